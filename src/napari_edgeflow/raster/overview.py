"""A bounded sample of a raster, whatever its size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.source import Level, RasterSource

MAX_PIXELS = 1024**2
_BLOCKS = 8
_BLOCK_SIDE = 128
_BANDS_OF_ROWS = 64


def read_overview(source: RasterSource, bands: Sequence[int] | None = None) -> AnyArray:
    """``(n, B)`` pixels of the whole raster, at most 1024² of them.

    The finest level that fits is taken whole. Where none fits, the coarsest is sampled on an
    even grid, in pieces that suit its chunks, so that a file without a pyramid is never read
    whole, unless it is one chunk and cannot be read otherwise.
    """
    for number, level in enumerate(source.levels):
        if level.shape[0] * level.shape[1] <= MAX_PIXELS:
            return _read_flat(source, Window(0, 0, *level.shape), number, bands)
    number = len(source.levels) - 1
    level = source.levels[-1]
    if level.chunk[0] * _BLOCKS > level.shape[0] and level.chunk[1] * _BLOCKS > level.shape[1]:
        return _read_strided(source, number, bands)
    pieces = [_read_flat(source, window, number, bands) for window in _grid(level)]
    return np.concatenate(pieces)


def _read_flat(
    source: RasterSource, window: Window, number: int, bands: Sequence[int] | None
) -> AnyArray:
    pixels = source.read(window, number, bands)
    return pixels.reshape(-1, pixels.shape[2])


def _read_strided(source: RasterSource, number: int, bands: Sequence[int] | None) -> AnyArray:
    """Every n-th pixel of a level in so few chunks that any sample would decode them all."""
    rows, columns = source.levels[number].shape
    step = math.ceil(math.sqrt(rows * columns / MAX_PIXELS))
    pixels = source.read(Window(0, 0, rows, columns), number, bands)
    # an even number of pixels may round up along both sides
    return pixels[::step, ::step].reshape(-1, pixels.shape[2])[:MAX_PIXELS]


def _grid(level: Level) -> list[Window]:
    """Windows of at most 1024² pixels, evenly spread, the first and last at the borders."""
    height, width = level.shape
    if level.chunk[1] * _BLOCKS > width or width <= _BLOCKS * _BLOCK_SIDE:
        budget = max(1, MAX_PIXELS // width)
        count = min(budget, _BANDS_OF_ROWS)
        rows, columns = _spans(height, count, budget // count), [(0, width)]
    elif level.chunk[0] * _BLOCKS > height or height <= _BLOCKS * _BLOCK_SIDE:
        budget = max(1, MAX_PIXELS // height)
        count = min(budget, _BANDS_OF_ROWS)
        rows, columns = [(0, height)], _spans(width, count, budget // count)
    else:
        rows = _spans(height, _BLOCKS, _BLOCK_SIDE)
        columns = _spans(width, _BLOCKS, _BLOCK_SIDE)
    return [Window(y0, x0, y1, x1) for y0, y1 in rows for x0, x1 in columns]


def _spans(size: int, count: int, side: int) -> list[tuple[int, int]]:
    """``count`` spans of ``side``, evenly spread over ``size``."""
    starts = np.linspace(0, size - side, count).round().astype(int).tolist()
    return [(start, start + side) for start in starts]
