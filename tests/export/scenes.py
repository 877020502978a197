"""Annotations to export: holes, parts, borders, odd sizes, ids with gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import rasterio

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    ObjectRecord,
    measure_labels,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.raster.place import MapPlace

PLACE = MapPlace((0.5, 0, 733601.25, 0, -0.5, 3725139.75), rasterio.CRS.from_epsg(32616).to_wkt())
CLASSES = ClassList().add("cell").add("débris & dust", (10, 20, 30)).add("unused")


@dataclass(frozen=True)
class Picture:
    """An image whose pixels are an array."""

    rgb: npt.NDArray[np.uint8]

    def read_rgb(self, window: Window) -> npt.NDArray[np.uint8]:
        return self.rgb[window.slices]


def scene_labels(shape: tuple[int, int] = (61, 83)) -> AnyArray:
    """A ring with an island, an object of two parts that touch at a corner, one on the border."""
    labels = np.zeros(shape, np.uint32)
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = (y - 22) ** 2 + (x - 30) ** 2
    labels[(distance < 300) & (distance > 120)] = 3
    labels[distance < 30] = 7
    labels[5:12, 60:70] = 900
    labels[12:20, 70:75] = 900
    labels[-7:, -9:] = 12
    return labels


def scene(
    labels: AnyArray | None = None,
    name: str = "images/plate one.tif",
    classes: ClassList = CLASSES,
    pixels: Picture | None = None,
    place: MapPlace | None = None,
) -> AnnotationSet:
    """The annotations of such labels; objects have the classes 1 and 2 in turn."""
    array = scene_labels() if labels is None else labels
    reader = StoredPlane(ArrayStore(array))
    records = [
        ObjectRecord(label, 1 + index % 2, box, area, name=f"object {label}")
        for index, (label, (box, area)) in enumerate(measure_labels(reader).items())
    ]
    image = ImageInfo(name, (array.shape[0], array.shape[1]), place=place)
    return AnnotationSet(image, classes, tuple(records), reader, pixels)
