"""A bounded sample of a raster, whatever its size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.source import RasterSource

MAX_PIXELS = 1024**2
_BLOCKS = 8
_BLOCK_SIDE = 128


def read_overview(source: RasterSource, bands: Sequence[int] | None = None) -> AnyArray:
    """``(n, B)`` pixels of the whole raster, at most 1024² of them.

    The finest level that fits is taken whole. Where none fits, the coarsest is sampled in
    blocks of 128 px on an even grid, so that a file without a pyramid is never read whole.
    """
    for number, level in enumerate(source.levels):
        if level.shape[0] * level.shape[1] <= MAX_PIXELS:
            pixels = source.read(Window(0, 0, *level.shape), number, bands)
            return pixels.reshape(-1, pixels.shape[2])
    number = len(source.levels) - 1
    blocks = [source.read(window, number, bands) for window in _grid(source.levels[-1].shape)]
    return np.concatenate([block.reshape(-1, block.shape[2]) for block in blocks])


def _grid(shape: tuple[int, int]) -> list[Window]:
    """Windows on an even grid over the level, first and last at its borders."""
    rows, columns = (_spans(size, MAX_PIXELS // other) for size, other in (shape, shape[::-1]))
    return [Window(y0, x0, y1, x1) for y0, y1 in rows for x0, x1 in columns]


def _spans(size: int, most: int) -> list[tuple[int, int]]:
    """Eight spans of 128 that cover ``size`` evenly; more of it where the other side is thin."""
    budget = max(_BLOCKS * _BLOCK_SIDE, most)
    if size <= budget:
        return [(0, size)]
    side = budget // _BLOCKS
    starts = np.linspace(0, size - side, _BLOCKS).round().astype(int).tolist()
    return [(start, start + side) for start in starts]
