"""Coarse levels for rasters that have none: exact in small views, sampled in large ones."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.source import Level

BUDGET_PIXELS = 2**23
_KEPT_VIEWS = 4
_LEAST_BLOCK, _MOST_BLOCKS = 64, 1024


class RoughLevel:
    """Every ``factor``-th pixel of a level.

    A view whose pixels are too many to read shows, instead, as many evenly spread chunks as can
    be read at once, each enlarged over its neighbours. That is a map to find one's way; overviews
    (``build_overviews``) make it sharp.
    """

    def __init__(self, level: Level, number: int, factor: int, bands: Sequence[int]) -> None:
        """Describe it.

        Args:
            level: What is sampled.
            number: Of that level.
            factor: Pixels of that level per pixel of this one.
            bands: Bands read.
        """
        self._level, self._number, self._factor = level, number, factor
        self._bands = tuple(bands)
        rows, columns = level.shape
        self.shape = -(-rows // factor), -(-columns // factor)
        self._views: OrderedDict[tuple[object, Window], AnyArray] = OrderedDict()

    def read(self, raster: ArrayRaster, window: Window) -> AnyArray:
        """``(h, w, B)`` pixels of a window of this level; a few are remembered."""
        key = raster.index, window
        pixels = self._views.pop(key, None)
        if pixels is None:
            pixels = self._read(raster, window)
        self._views[key] = pixels
        while len(self._views) > _KEPT_VIEWS:
            self._views.popitem(last=False)
        return pixels

    def _read(self, raster: ArrayRaster, window: Window) -> AnyArray:
        factor, (rows, columns) = self._factor, self._level.shape
        base = Window(
            window.y0 * factor,
            window.x0 * factor,
            min(window.y1 * factor, rows),
            min(window.x1 * factor, columns),
        )
        if base.height * base.width <= BUDGET_PIXELS:
            return raster.read(base, self._number, self._bands)[::factor, ::factor]
        return self._mosaic(raster, window, base)

    def _mosaic(self, raster: ArrayRaster, window: Window, base: Window) -> AnyArray:
        height, width = self._level.chunk
        height, width = max(height, _LEAST_BLOCK), max(width, _LEAST_BLOCK)
        n_rows, n_columns = -(-base.height // height), -(-base.width // width)
        most = max(1, min(_MOST_BLOCKS, BUDGET_PIXELS // (height * width)))
        share = min(1.0, math.sqrt(most / (n_rows * n_columns)))
        n_columns_read = max(1, min(round(n_columns * share), most))
        n_rows_read = max(1, min(n_rows, most // n_columns_read))
        ys = _middles(base.y0, base.y1, n_rows_read)
        xs = _middles(base.x0, base.x1, n_columns_read)
        pixels = np.zeros((*window.shape, len(self._bands)), raster.dtype)
        for y, rows in zip(ys, _parts(window.height, n_rows_read), strict=True):
            for x, columns in zip(xs, _parts(window.width, n_columns_read), strict=True):
                chunk = self._chunk(raster, y, x, height, width)
                down, along = _spread(chunk.shape[0], rows), _spread(chunk.shape[1], columns)
                pixels[rows.start : rows.stop, columns.start : columns.stop] = chunk[
                    down[:, None], along[None, :]
                ]
        return pixels

    def _chunk(self, raster: ArrayRaster, y: int, x: int, height: int, width: int) -> AnyArray:
        """``(h, w, B)`` pixels of the chunk at a place."""
        rows, columns = self._level.shape
        top, left = y // height * height, x // width * width
        part = Window(top, left, min(top + height, rows), min(left + width, columns))
        return raster.read(part, self._number, self._bands)


def _spread(size: int, places: range) -> AnyArray:
    """Which of ``size`` pixels is shown at each of the places, evenly."""
    n = len(places)
    return (2 * np.arange(n) + 1) * size // (2 * n) if n else np.arange(0)


def _parts(size: int, count: int) -> list[range]:
    """``count`` equal parts of ``size``."""
    ends = [size * i // count for i in range(count + 1)]
    return [range(start, stop) for start, stop in pairwise(ends)]


def _middles(start: int, stop: int, count: int) -> list[int]:
    """The middles of ``count`` equal parts."""
    return [start + (2 * i + 1) * (stop - start) // (2 * count) for i in range(count)]
