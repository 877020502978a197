"""Size and brightness of objects, in pixels and in units of length, read piece by piece."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.raster.details import BandInfo
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.source import RasterSource

_SIDE = 2048
_BANDS = 4
"""Read at once."""
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))
"""Four directions (rows, columns), by rising angle for square pixels."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What one step along rows and columns is in the plane, in a unit of length.

    Attributes:
        down: (x, y) of a step to the next row.
        right: (x, y) of a step to the next column.
    """

    down: tuple[float, float] = (0.0, 1.0)
    right: tuple[float, float] = (1.0, 0.0)

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in squared units."""
        return abs(self.right[0] * self.down[1] - self.right[1] * self.down[0])

    def step(self, rows: int, columns: int) -> tuple[float, float]:
        """(x, y) of so many steps."""
        x = rows * self.down[0] + columns * self.right[0]
        return x, rows * self.down[1] + columns * self.right[1]


PIXELS = Frame()
"""Square pixels of side 1."""


@dataclass(slots=True)
class Brightness:
    """Statistics of the pixels of one band, gathered piece by piece.

    Attributes:
        count: Valid pixels.
        mean: Of them; 0 while there is none.
        squares: Sum of squared deviations from the mean.
        low: Smallest value.
        high: Largest value.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take in more pixels; the update is that of Chan, Golub and LeVeque (1983)."""
        if not values.size:
            return
        mean = float(values.mean())
        squares = float(np.square(values - mean).sum())
        total, shift = self.count + values.size, mean - self.mean
        self.squares += squares + shift**2 * self.count * values.size / total
        self.mean += shift * values.size / total
        self.count = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    @property
    def std(self) -> float:
        """Standard deviation of the pixels as the whole population."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan


@dataclass(slots=True)
class ObjectSize:
    """What is measured of one object.

    Attributes:
        area_px: Pixels.
        y: Row of the centroid, pixel centres on the integers.
        x: Its column.
        crossings: For each direction of ``_STEPS``, pairs of neighbours of which one is inside.
        bands: Of the image, one for each band.
    """

    area_px: int = 0
    y: float = 0.0
    x: float = 0.0
    crossings: list[int] = field(default_factory=lambda: [0] * len(_STEPS))
    bands: list[Brightness] = field(default_factory=list)

    def perimeter(self, frame: Frame = PIXELS) -> float:
        """Length of the outline, holes included, in units of the frame.

        By Cauchy and Crofton's formula: lines in four directions, each standing for the angles
        nearest to it (Legland, Kiêu and Devaux 2007); corners of pixels do not make it longer.
        """
        steps = [frame.step(*step) for step in _STEPS]
        angles = [math.atan2(y, x) % math.pi for x, y in steps]
        order = sorted(range(len(steps)), key=lambda n: angles[n])
        total = 0.0
        for place, n in enumerate(order):
            after = angles[order[(place + 1) % len(order)]]
            before = angles[order[place - 1]]
            share = (after - before) % math.pi / 2 or math.pi / 2
            spacing = frame.pixel_area / math.hypot(*steps[n])
            total += 0.5 * share * spacing * self.crossings[n]
        return total


def measure_object(
    annotated: AnnotationSet, record: ObjectRecord, raster: RasterSource | None
) -> ObjectSize:
    """Size of one object, and its brightness where there is an image.

    Memory does not grow with the object.
    """
    size = ObjectSize(bands=[Brightness() for _ in range(0 if raster is None else raster.n_bands)])
    sums = np.zeros(2)
    for window in _windows(record.box):
        around = _read_around(annotated, record.id, window)
        inside = around[:-1, 1:-1]
        for n, (down, right) in enumerate(_STEPS):
            there = around[down : down + window.height, 1 + right : 1 + right + window.width]
            size.crossings[n] += int(np.count_nonzero(inside != there))
        rows, columns = np.nonzero(inside)
        size.area_px += len(rows)
        sums += (rows.sum() + window.y0 * len(rows), columns.sum() + window.x0 * len(rows))
        if raster is not None:
            _add_pixels(size.bands, raster, window, inside)
    if size.area_px:
        size.y, size.x = (sums / size.area_px).tolist()
    return size


def _windows(box: Window) -> Iterator[Window]:
    """Pieces of the box and one pixel around it, which may lie outside the image."""
    for y in range(box.y0 - 1, box.y1 + 1, _SIDE):
        for x in range(box.x0 - 1, box.x1 + 1, _SIDE):
            yield Window(y, x, min(y + _SIDE, box.y1 + 1), min(x + _SIDE, box.x1 + 1))


def _read_around(annotated: AnnotationSet, label: int, window: Window) -> BoolArray:
    """``(h + 1, w + 2) bool`` of the object: the window, the row below it, a column each side."""
    wide = Window(window.y0, window.x0 - 1, window.y1 + 1, window.x1 + 1)
    mask = np.zeros(wide.shape, bool)
    known = wide.intersect(annotated.image.whole)
    if known is not None:
        mask[known.relative_to(wide).slices] = annotated.labels.read(known) == label
    return mask


def _add_pixels(
    bands: list[Brightness], raster: RasterSource, window: Window, inside: BoolArray
) -> None:
    """Take in the image's valid pixels where the object is."""
    known = window.intersect(Window(0, 0, *raster.shape))
    if known is None or not inside.any():
        return
    part = inside[known.relative_to(window).slices][:, :, None]
    for first in range(0, raster.n_bands, _BANDS):
        chosen = range(first, min(first + _BANDS, raster.n_bands))
        pixels = raster.read(known, bands=chosen)
        valid = np.isfinite(pixels) & part
        if isinstance(raster, ArrayRaster):
            valid &= raster.valid_pixels(pixels, known, bands=chosen)
        for column, number in enumerate(chosen):
            values = pixels[:, :, column][valid[:, :, column]]
            bands[number].add(values.astype(np.float64))


def band_names(raster: RasterSource) -> list[str | None]:
    """A name for each band: the file's, or its number from 1; None for transparency."""
    details = getattr(raster, "details", None)
    known = tuple(getattr(details, "bands", ())) or (BandInfo(),) * raster.n_bands
    names: list[str | None] = []
    for number, band in enumerate(known, start=1):
        name = band.name or (band.colour if band.colour != "gray" else "")
        plain = "intensity" if len(known) == 1 else f"band_{number}"
        names.append(None if band.colour == "alpha" else name or plain)
    twice = {name for name in names if names.count(name) > 1}
    return [
        f"{name}_{number}" if name is not None and name in twice else name
        for number, name in enumerate(names, start=1)
    ]
