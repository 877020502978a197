"""Finished objects of the plane on the screen in any format, written by the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    LabelReader,
    ObjectRecord,
    PlaneIndex,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import ExportError
from napari_edgeflow.gui.files.image_facts import ImageFacts

if TYPE_CHECKING:
    from napari_edgeflow.export.formats import ExportFormat, ExportReport
    from napari_edgeflow.export.options import OptionValue

CLASS_NAME = "object"

ShouldStop = Callable[[], bool]
Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What is exported: a snapshot of one plane's objects; no image is opened yet.

    Attributes:
        facts: Of the image.
        classes: Of the project.
        objects: Of the plane, by id.
        labels: Whose pixel is whose.
    """

    facts: ImageFacts
    classes: ClassList
    objects: tuple[ObjectRecord, ...]
    labels: LabelReader

    @classmethod
    def of(cls, history: History, facts: ImageFacts, plane: PlaneIndex) -> Finished:
        """The objects of one plane; to be called where nobody changes the history meanwhile.

        Labels in memory are copied, so that clicking goes on while they are written. Those on
        disk are read later: an object that is changed until then is written as it is then.

        Raises:
            ExportError: There is no object on the plane.
        """
        objects = [one for one in history.state.objects.values() if one.plane == plane]
        check_objects(objects, facts.name)
        store = history.store
        labels = StoredPlane(store, plane)
        if not store.is_persistent:
            labels = StoredPlane(ArrayStore(store.read(Window(0, 0, *store.shape), plane)))
        objects.sort(key=lambda record: record.id)
        return cls(facts, history.state.classes, tuple(objects), labels)

    def annotations(self, form: ExportFormat) -> AnnotationSet:
        """The objects with what the format takes of the image."""
        info = self.facts.info(self.objects[0].plane, self.labels.shape)
        annotated = AnnotationSet(info, self.classes, self.objects, self.labels)
        return with_image(annotated, form, self.facts)

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


def check_objects(objects: Sequence[ObjectRecord], name: str) -> None:
    """Nothing, when there are some.

    Raises:
        ExportError: There is none.
    """
    if not objects:
        raise ExportError(
            f"expected objects on the plane of {name} that is shown, got none; finish one first"
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
