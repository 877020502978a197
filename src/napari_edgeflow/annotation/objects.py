"""Objects and what is known of them; the annotations of one image, for exporters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, BoolArray, Click, Window
from napari_edgeflow._types import PostProcessing as PostProcessing  # where records are
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.raster.source import RasterSource

Labels = npt.NDArray[np.uint32]
"""``(h, w) uint32``: ids of objects, 0 for the background."""

PlaneIndex = tuple[int | None, ...]
"""One entry for each axis: a position, or None for rows and columns; () for a plain image."""


class LabelReader(Protocol):
    """Labels of one image, read window by window."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        ...

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window, which lies inside the image."""
        ...


class PixelReader(Protocol):
    """Pixels of one image as they are shown, read window by window."""

    def read_rgb(self, window: Window) -> npt.NDArray[np.uint8]:
        """``(h, w, 3) uint8`` of the window."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One object.

    Attributes:
        id: Its value in the labels, from 1.
        class_id: Of the class list.
        box: Smallest window around its pixels, level-0.
        area_px: Pixels.
        name: Given by the user; may be empty.
        clicks: That made it, in their order; empty when it came from elsewhere.
        model: Name of the network; empty when none.
        model_sha256: Of the weights; empty when not known.
        created: When, ISO 8601 in UTC.
        is_hidden: Not shown.
        is_locked: Neither overwritten nor changed.
        settings: Post-processing of its mask.
        field_of_view: Side in level-0 pixels of what the user saw at the first click, if known.
        plane: Which plane of a stack.
        is_edited: Its mask is not what its clicks give: painted, or drawn as a polygon.
    """

    id: int
    class_id: int
    box: Window
    area_px: int
    name: str = ""
    clicks: tuple[Click, ...] = ()
    model: str = ""
    model_sha256: str = ""
    created: str = ""
    is_hidden: bool = False
    is_locked: bool = False
    settings: PostProcessing = field(default_factory=PostProcessing)
    field_of_view: float | None = None
    plane: PlaneIndex = ()
    is_edited: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.id <= np.iinfo(np.uint32).max:
            raise ValueError(f"expected an object's id from 1 to 2³² − 1, got {self.id}")

    @property
    def n_positive(self) -> int:
        """Clicks on the object."""
        return sum(click.is_positive for click in self.clicks)

    @property
    def n_negative(self) -> int:
        """Clicks beside it."""
        return sum(click.is_negative for click in self.clicks)


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of the image that was annotated.

    Attributes:
        name: File name, or what the layer is called.
        shape: (rows, columns).
        pixel_size_yx: Height and width of a pixel in ``unit``; None when not known.
        unit: Of the pixel size: ``"um"``, ``"m"``…
        georeference: Its GeoTIFF tags, for label images; None when it has none.
        path: Its file, if it has one.
        place: Affine and CRS, for formats on the map; None when it has no place there.
    """

    name: str
    shape: tuple[int, int]
    pixel_size_yx: tuple[float, float] | None = None
    unit: str = ""
    georeference: GeoReference | None = None
    path: Path | None = None
    place: MapPlace | None = None

    @property
    def whole(self) -> Window:
        """The window of all of it."""
        return Window(0, 0, *self.shape)

    @property
    def stem(self) -> str:
        """The name without folders and suffix, for files that belong to the image."""
        return Path(self.name).stem or "image"


@dataclass(frozen=True, slots=True, eq=False)
class AnnotationSet:
    """The annotations of one image.

    Attributes:
        image: What they were drawn on.
        classes: In the user's order.
        objects: By id; their boxes and areas agree with the labels.
        labels: Which pixel is whose.
        pixels: The image as it is shown; None when whoever exports does not have it.
        raster: The image with its own values, for measurements; None likewise.
    """

    image: ImageInfo
    classes: ClassList
    objects: tuple[ObjectRecord, ...]
    labels: LabelReader
    pixels: PixelReader | None = None
    raster: RasterSource | None = None

    def __post_init__(self) -> None:
        if self.labels.shape != self.image.shape:
            raise ValueError(
                f"expected labels of the image's shape {self.image.shape}, got {self.labels.shape}"
            )
        for record in self.objects:
            self.classes.get(record.class_id)

    def class_of(self, record: ObjectRecord) -> ObjectClass:
        """The object's class."""
        return self.classes.get(record.class_id)

    def mask_of(self, record: ObjectRecord) -> BoolArray:
        """``(h, w) bool`` of the object's box."""
        mask: BoolArray = self.labels.read(record.box) == record.id
        return mask


def tight_box(mask: BoolArray, window: Window) -> Window | None:
    """Smallest window (level-0) around a mask that lies in ``window``; None when it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    (y0, y1), (x0, x1) = rows[[0, -1]].tolist(), columns[[0, -1]].tolist()
    return Window(window.y0 + y0, window.x0 + x0, window.y0 + y1 + 1, window.x0 + x1 + 1)


def tiles(shape: tuple[int, int], side: int = 1024) -> Iterable[Window]:
    """Windows of at most ``side`` squared that cover the image, row by row."""
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield Window(y, x, min(y + side, shape[0]), min(x + side, shape[1]))


def measure_labels(labels: LabelReader) -> dict[int, tuple[Window, int]]:
    """Box and area in pixels of each id in the labels, read tile by tile."""
    found: dict[int, tuple[Window, int]] = {}
    for window in tiles(labels.shape):
        part = labels.read(window)
        for label, (box, area) in _measure(part, window).items():
            if label in found:
                before, count = found[label]
                box, area = before.union(box), count + area
            found[label] = box, area
    return dict(sorted(found.items()))


def _measure(part: AnyArray, window: Window) -> dict[int, tuple[Window, int]]:
    rows, columns = np.nonzero(part)
    if not len(rows):
        return {}
    order = np.argsort(part[rows, columns], kind="stable")
    rows, columns = rows[order] + window.y0, columns[order] + window.x0
    ids, starts, counts = np.unique(
        part[rows - window.y0, columns - window.x0], return_index=True, return_counts=True
    )
    y0, y1 = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts) + 1
    x0, x1 = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts) + 1
    measured = zip(*(a.tolist() for a in (ids, y0, x0, y1, x1, counts)), strict=True)
    return {label: (Window(*box), count) for label, *box, count in measured}
