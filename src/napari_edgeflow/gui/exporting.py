"""Finished objects of the plane on the screen in any format, written by the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    LabelReader,
    ObjectRecord,
    PlaneIndex,
    measure_labels,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import ExportError
from napari_edgeflow.gui.image_facts import ImageFacts
from napari_edgeflow.gui.planes import Plane

if TYPE_CHECKING:
    from napari_edgeflow.export.formats import ExportFormat, ExportReport
    from napari_edgeflow.export.options import OptionValue

CLASS_NAME = "object"

ShouldStop = Callable[[], bool]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What is exported: a snapshot of one plane, nothing measured and no image opened yet.

    Attributes:
        facts: Of the image.
        plane: Which plane; () for a plain image.
        labels: Ids: a copy, or those of a project, which stay as they are while it is written.
        classes: None: all objects are of the class ``CLASS_NAME``.
        objects: By id; None: they are measured.
    """

    facts: ImageFacts
    plane: PlaneIndex
    labels: LabelReader
    classes: ClassList | None = None
    objects: tuple[ObjectRecord, ...] | None = None

    @classmethod
    def of(cls, image: Any, labels: Any, plane: Plane) -> Finished:
        """The plane of an Image layer and the Labels layer over it.

        Raises:
            ExportError: The labels are of another shape, or there is no object on the plane.
        """
        data = np.asarray(labels.data)
        if data.ndim != len(plane.index):
            raise ExportError(
                f"expected labels with the image's axes, got {labels.name} with {data.ndim} axes "
                f"for {len(plane.index)}; choose the Labels layer of this image"
            )
        part = np.array(data[plane.slicer])
        if part.shape != plane.shape:
            raise ExportError(
                f"expected labels of the image's size {plane.shape}, got {labels.name} with "
                f"{part.shape}; choose the Labels layer of this image"
            )
        if not part.any():
            raise ExportError(f"{labels.name} holds no object in {plane.name}; finish one first")
        index = plane.index if any(at is not None for at in plane.index) else ()
        return cls(ImageFacts.of_layer(image), index, StoredPlane(ArrayStore(part)))

    @property
    def proposed_name(self) -> str:
        """For the file, without suffix."""
        return Path(self.facts.name).stem or "objects"

    def annotations(self, form: ExportFormat) -> AnnotationSet:
        """The objects with what the format takes of the image."""
        records = self.objects
        if records is None:
            records = tuple(
                ObjectRecord(label, 1, box, area, plane=self.plane)
                for label, (box, area) in measure_labels(self.labels).items()
            )
        classes = ClassList().add(CLASS_NAME) if self.classes is None else self.classes
        info = self.facts.info(self.plane, self.labels.shape)
        return with_image(AnnotationSet(info, classes, records, self.labels), form, self.facts)

    def write(
        self,
        form: str,
        path: Path,
        options: Mapping[str, OptionValue] | None = None,
        progress: Progress | None = None,
        should_stop: ShouldStop | None = None,
    ) -> ExportReport:
        """What was written, and what the format could not hold.

        Args:
            form: A name of ``export.formats.FORMATS``.
            path: Where.
            options: Of the format.
            progress: Called with the share done, 0…1, from this thread.
            should_stop: Asked now and then.

        Raises:
            Cancelled: ``should_stop`` said so.
            ExportError: It cannot be written, or has no place on the map where one is needed.
            ModuleNotFoundError: An optional package is not installed; the message names it.
        """
        from napari_edgeflow.export.formats import FORMATS, export

        annotated = self.annotations(FORMATS[form])
        return export(
            form,
            path,
            [annotated],
            options=options or {},
            progress=progress,
            should_stop=should_stop,
        )


def with_image(annotated: AnnotationSet, form: ExportFormat, facts: ImageFacts) -> AnnotationSet:
    """The annotations with what the format takes of the image, opened here.

    Raises:
        ExportError: The format needs the image, and there are labels alone.
        ModuleNotFoundError: It needs the place on the map, and the extra ``geo`` is missing.
        RasterError: The image cannot be read.
    """
    plane = annotated.objects[0].plane if annotated.objects else ()
    image = annotated.image
    if "place" in form.uses:
        try:
            image = replace(image, place=facts.of_file("place", image.shape))
        except ModuleNotFoundError:
            if "place" in form.needs:
                raise
    return replace(
        annotated,
        image=image,
        pixels=facts.pixels(plane) if "pixels" in form.uses else annotated.pixels,
        raster=facts.raster(plane) if "raster" in form.uses else annotated.raster,
    )
