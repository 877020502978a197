"""Finished objects of a Labels layer in any format, written by the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import LabelArray
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    ObjectRecord,
    PixelReader,
    measure_labels,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import ExportError
from napari_edgeflow.gui.planes import Plane, PlaneImage, plane_image

CLASS_NAME = "object"
NEEDS_PIXELS = ("cutout",)
MAP_FORMATS = (
    ("GeoPackage", ".gpkg"),
    ("GeoJSON", ".geojson"),
    ("Shapefile", ".shp"),
)
"""(title, suffix) of the formats that need a place on the map."""


@dataclass(frozen=True, slots=True, eq=False)
class Finished:
    """What is exported: a snapshot of one plane, nothing read or measured yet.

    Attributes:
        image: The plane's pixels.
        path: The file the image came from, if known.
        labels: ``(H, W)`` ids, a copy: clicking goes on while it is written.
        pixel_size_yx: Of the layer's scale.
        unit: Of the layer.
    """

    image: PlaneImage
    path: Path | None
    labels: LabelArray
    pixel_size_yx: tuple[float, float]
    unit: str

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
        rows, columns = plane.axes
        source = image.source.path or image.metadata.get("path")
        return cls(
            plane_image(image, plane),
            Path(source) if source else None,
            part,
            (float(image.scale[rows]), float(image.scale[columns])),
            str(image.units[rows]),
        )

    @property
    def proposed_name(self) -> str:
        """For the file, without suffix."""
        return self.path.stem if self.path is not None else self.image.name or "objects"

    def annotations(self, *, with_pixels: bool) -> AnnotationSet:
        """The objects, measured, all of one class; the image is opened for its pixels alone."""
        store = StoredPlane(ArrayStore(self.labels))
        records = tuple(
            ObjectRecord(label, 1, box, area)
            for label, (box, area) in measure_labels(store).items()
        )
        name = self.path.name if self.path is not None else self.image.name
        info = ImageInfo(
            name,
            store.shape,
            self.pixel_size_yx,
            self.unit,
            self._of_file("georeference"),
            self.path,
        )
        classes = ClassList().add(CLASS_NAME)
        return AnnotationSet(info, classes, records, store, self._pixels() if with_pixels else None)

    def _pixels(self) -> PixelReader:
        """The plane as it is shown."""
        from napari_edgeflow.export.pictures import StretchedPixels
        from napari_edgeflow.raster.open import open_raster

        data, axes, index = self.image.source()
        return StretchedPixels.of(open_raster(data, axes=axes, index=index))

    def _of_file(self, attribute: str) -> Any:
        """``georeference`` or ``place`` of the image's file; None when it has none.

        A file of another size than the plane is not the image on the screen.
        """
        from napari_edgeflow.raster.open import open_raster

        if self.path is None or self.path.suffix.lower() not in (".tif", ".tiff"):
            return None
        with open_raster(self.path) as raster:
            is_same = tuple(raster.shape) == self.labels.shape
            return getattr(raster, attribute) if is_same else None

    def write(self, form: str, path: Path) -> tuple[str, ...]:
        """Writes the file or folder; returns what the format could not hold.

        Args:
            form: A name of ``export.formats.FORMATS``, or a suffix of ``MAP_FORMATS``.
            path: Where.

        Raises:
            ExportError: It cannot be written, or has no place on the map where one is needed.
            ModuleNotFoundError: The extra ``geo`` is not installed.
        """
        from napari_edgeflow.export.formats import export
        from napari_edgeflow.export.geo import write_map_objects

        annotated = self.annotations(with_pixels=form in NEEDS_PIXELS)
        if form not in {suffix for _, suffix in MAP_FORMATS}:
            return export(form, path, [annotated]).notes
        return write_map_objects(path, annotated, self._of_file("place"))


def write_finished(
    finished: Finished, form: str, path: Path
) -> Callable[[Callable[[], bool]], tuple[Path, tuple[str, ...]]]:
    """The worker's job: (path, notes)."""
    return lambda _should_stop: (path, finished.write(form, path))
