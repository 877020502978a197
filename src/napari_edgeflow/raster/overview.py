"""A bounded sample of a raster, whatever its size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.raster.source import Level, RasterSource

MAX_PIXELS = 1024**2
MOST_AT_ONCE = 2**26
_BLOCKS = 8
_BLOCK_SIDE = 128
_BANDS_OF_ROWS = 64


@runtime_checkable
class SupportsValidity(Protocol):
    """A raster that knows which of its pixels show something."""

    def valid_pixels(
        self, pixels: AnyArray, window: Window, level: int = 0, bands: Sequence[int] | None = None
    ) -> BoolArray:
        """``(h, w, B) bool`` of the pixels just read; see ``ArrayRaster.valid_pixels``."""
        ...


def read_overview(source: RasterSource, bands: Sequence[int] | None = None) -> AnyArray:
    """``(n, B)`` pixels of the whole raster, at most 1024² of them.

    The finest level that fits is taken whole. Where none fits, the coarsest is sampled on an
    even grid, in pieces that suit its chunks, so that a file without a pyramid is never read
    whole, unless it is one chunk of at most 2²⁶ pixels.
    """
    return read_valid_overview(source, bands)[0]


def read_valid_overview(
    source: RasterSource, bands: Sequence[int] | None = None
) -> tuple[AnyArray, BoolArray]:
    """``(n, B)`` pixels as ``read_overview`` takes them, and which of them show something."""
    number, windows, step = _plan(source)
    parts = [_read_part(source, window, number, bands, step) for window in windows]
    pixels = np.concatenate([part for part, _ in parts])[:MAX_PIXELS]
    valid = np.concatenate([part for _, part in parts])[:MAX_PIXELS]
    return pixels, valid


def _plan(source: RasterSource) -> tuple[int, list[Window], int]:
    """(level, windows, every how many pixels) of the sample."""
    for number, level in enumerate(source.levels):
        if level.shape[0] * level.shape[1] <= MAX_PIXELS:
            return number, [Window(0, 0, *level.shape)], 1
    level = source.levels[-1]
    size = level.shape[0] * level.shape[1]
    few_chunks = level.chunk[0] * _BLOCKS > level.shape[0]
    if few_chunks and level.chunk[1] * _BLOCKS > level.shape[1] and size <= MOST_AT_ONCE:
        # so few chunks that any sample would decode them all
        step = math.ceil(math.sqrt(size / MAX_PIXELS))
        return len(source.levels) - 1, [Window(0, 0, *level.shape)], step
    return len(source.levels) - 1, _grid(level), 1


def _read_part(
    source: RasterSource, window: Window, number: int, bands: Sequence[int] | None, step: int
) -> tuple[AnyArray, BoolArray]:
    pixels = source.read(window, number, bands)
    if isinstance(source, SupportsValidity):
        valid = source.valid_pixels(pixels, window, number, bands)
    else:
        valid = np.isfinite(pixels)
    n_bands = pixels.shape[2]
    return (
        pixels[::step, ::step].reshape(-1, n_bands),
        valid[::step, ::step].reshape(-1, n_bands),
    )


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
