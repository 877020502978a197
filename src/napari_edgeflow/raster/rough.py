"""Coarse levels for rasters that have none: exact in small views, sampled in large ones."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.later import Later
from napari_edgeflow.raster.source import Level

BUDGET_PIXELS = 2**23
"""Read for a view at most, at once or later."""
AT_ONCE_BYTES = 2**21
"""Read for a first answer at most, before compression: about 20 ms of most codecs."""
_KEPT_VIEWS = 4
_STRIP_PIXELS = 2**20
_LEAST_BLOCK, _MOST_BLOCKS = 64, 1024

_Key = tuple[object, Window]
_Views = OrderedDict[_Key, AnyArray]


class RoughLevel:
    """Every ``factor``-th pixel of a level.

    A view whose pixels are too many to read shows, instead, as many evenly spread chunks as can
    be read at once, each enlarged over its neighbours. That is a map to find one's way; overviews
    (``build_overviews``) make it sharp.
    """

    def __init__(
        self,
        level: Level,
        number: int,
        factor: int,
        bands: Sequence[int],
        finish: Callable[[AnyArray], AnyArray] = lambda pixels: pixels,
    ) -> None:
        """Describe it.

        Args:
            level: What is sampled.
            number: Of that level.
            factor: Pixels of that level per pixel of this one.
            bands: Bands read.
            finish: Makes what is shown of ``(h, w, B)`` pixels; each pixel for itself.
        """
        self._level, self._number, self._factor = level, number, factor
        self._bands, self._finish = tuple(bands), finish
        rows, columns = level.shape
        self.shape = -(-rows // factor), -(-columns // factor)
        self.coarsest = self
        """The level that whole views are taken from to begin with; set by who makes several."""
        self._lock = threading.Lock()
        self._views: _Views = OrderedDict()
        self._first_views: _Views = OrderedDict()

    def read(self, raster: ArrayRaster, window: Window, later: Later | None = None) -> AnyArray:
        """What is shown of a window of this level; a few views are remembered.

        Args:
            raster: Of which.
            window: In pixels of this level.
            later: Where a read that takes long goes. The answer is a rougher one then, which
                takes at most ``AT_ONCE_BYTES`` of reading; the better one is remembered when it
                is there. None, or watched by nobody: all is read now.
        """
        key = raster.index, window
        kept = self._remembered(self._views, key)
        if kept is not None:
            return kept
        if later is None or not later.is_watched or self._bytes(raster, window) <= AT_ONCE_BYTES:
            return self._remember(self._views, key, self._read(raster, window))
        later.submit((id(self), key), lambda: self._read_later(raster, window))
        first = self._remembered(self._first_views, key)
        if first is None:
            first = self._remember(self._first_views, key, self._read_first(raster, window))
        return first

    def whole_view(self, raster: ArrayRaster) -> AnyArray | None:
        """What is remembered of the whole level, the better the later; None: nothing."""
        key = raster.index, Window(0, 0, *self.shape)
        found = self._remembered(self._views, key)
        return self._remembered(self._first_views, key) if found is None else found

    def _remembered(self, views: _Views, key: _Key) -> AnyArray | None:
        with self._lock:
            if key in views:
                views.move_to_end(key)
            return views.get(key)

    def _remember(self, views: _Views, key: _Key, pixels: AnyArray) -> AnyArray:
        with self._lock:
            views[key] = pixels
            while len(views) > _KEPT_VIEWS:
                views.popitem(last=False)
        return pixels

    def _read_later(self, raster: ArrayRaster, window: Window) -> None:
        self._remember(self._views, (raster.index, window), self._read(raster, window))

    def _base(self, window: Window) -> Window:
        """The window in pixels of the level that is sampled."""
        factor, (rows, columns) = self._factor, self._level.shape
        return Window(
            window.y0 * factor,
            window.x0 * factor,
            min(window.y1 * factor, rows),
            min(window.x1 * factor, columns),
        )

    def _bytes(self, raster: ArrayRaster, window: Window) -> int:
        """To be decoded for a window: whole chunks of all bands."""
        base, (height, width) = self._base(window), self._level.chunk
        rows = (-(-base.y1 // height) - base.y0 // height) * height
        columns = (-(-base.x1 // width) - base.x0 // width) * width
        size = min(rows * columns, BUDGET_PIXELS)
        return size * raster.n_bands * raster.dtype.itemsize

    def _read(self, raster: ArrayRaster, window: Window) -> AnyArray:
        base = self._base(window)
        if base.height * base.width <= BUDGET_PIXELS:
            pixels = self._thinned(raster, window, base)
        else:
            pixels = self._mosaic(raster, window, base, BUDGET_PIXELS)
        return np.ascontiguousarray(self._finish(pixels))  # what was skipped is let go

    def _thinned(self, raster: ArrayRaster, window: Window, base: Window) -> AnyArray:
        """``(h, w, B)``: every ``factor``-th pixel, read in strips that end with the chunks.

        Others who read the file between two strips need not wait for the whole.
        """
        factor, chunk = self._factor, self._level.chunk[0]
        rows = max(_STRIP_PIXELS // base.width // chunk, 1) * chunk
        rows = -(-rows // factor) * factor
        pixels = np.zeros((*window.shape, len(self._bands)), raster.dtype)
        top = base.y0
        while top < base.y1:
            bottom = min((top // rows + 1) * rows, base.y1)
            strip = raster.read(Window(top, base.x0, bottom, base.x1), self._number, self._bands)
            at = (top - base.y0) // factor
            thin = strip[::factor, ::factor]
            pixels[at : at + len(thin)] = thin
            top = bottom
        return pixels

    def _read_first(self, raster: ArrayRaster, window: Window) -> AnyArray:
        """Something to see at once: what is remembered, enlarged, or a mosaic of few chunks."""
        coarse = self.coarsest
        whole = None if coarse is self else coarse.whole_view(raster)
        if whole is None:
            most = AT_ONCE_BYTES // (raster.n_bands * raster.dtype.itemsize)
            return self._finish(self._mosaic(raster, window, self._base(window), most))
        ratio = coarse._factor // self._factor
        rows = np.minimum(np.arange(window.y0, window.y1) // ratio, whole.shape[0] - 1)
        columns = np.minimum(np.arange(window.x0, window.x1) // ratio, whole.shape[1] - 1)
        first: AnyArray = whole[rows[:, None], columns[None]]
        with self._lock:
            known = [(at, view) for (index, at), view in self._views.items()
                     if index == raster.index]  # fmt: skip
        for at, view in known:
            both = at.intersect(window)
            if both is not None:
                first[both.relative_to(window).slices] = view[both.relative_to(at).slices]
        return first

    def _mosaic(self, raster: ArrayRaster, window: Window, base: Window, budget: int) -> AnyArray:
        """``(h, w, B)`` of at most so many pixels read; all 0 where a chunk has more."""
        height, width = self._level.chunk
        height, width = max(height, _LEAST_BLOCK), max(width, _LEAST_BLOCK)
        n_rows, n_columns = -(-base.height // height), -(-base.width // width)
        pixels = np.zeros((*window.shape, len(self._bands)), raster.dtype)
        most = min(_MOST_BLOCKS, budget // (height * width))
        if most == 0 and budget < BUDGET_PIXELS:
            return pixels
        most = max(1, most)
        share = min(1.0, math.sqrt(most / (n_rows * n_columns)))
        n_columns_read = max(1, min(round(n_columns * share), most))
        n_rows_read = max(1, min(n_rows, most // n_columns_read))
        ys = _middles(base.y0, base.y1, n_rows_read)
        xs = _middles(base.x0, base.x1, n_columns_read)
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
