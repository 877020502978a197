"""Windows far larger than what is made of them: a few of their pixels, evenly spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.raster.source import RasterSource

DIRECT_PIXELS = 2**24
SAMPLES_PER_PIXEL = 4

_Places = npt.NDArray[np.int64]


def read_for_size(
    source: RasterSource,
    window: Window,
    level: int,
    bands: Sequence[int],
    shape: tuple[int, int],
    *,
    should_stop: Callable[[], bool] = lambda: False,
) -> AnyArray:
    """``(h, w, B)`` pixels of the window: all of them, or enough to show it at a given size.

    Windows of at most 2²⁴ pixels are read whole. Of larger ones, every n-th row and column is
    kept, at least four along each axis for a pixel of ``shape``. Which ones depends on the
    window and the shape alone, not on how the raster is stored. Pieces of at most 2²⁴ pixels
    are read one after the other, each chunk once where the chunks allow it.

    Args:
        source: What to read.
        window: In pixels of that level, inside it.
        level: Index of the level.
        bands: Bands in the order wanted.
        shape: (rows, columns) that the pixels will be brought to.
        should_stop: Asked before every piece.

    Raises:
        RasterError: The file cannot be read.
        Cancelled: ``should_stop`` said so.
    """
    if window.height * window.width <= DIRECT_PIXELS:
        return source.read(window, level, bands)
    rows, columns = (
        _places(length, shape[axis]) for axis, length in enumerate((window.height, window.width))
    )
    chunk = source.levels[level].chunk
    out = np.zeros((len(rows), len(columns), len(bands)), source.dtype)
    for part_y, part_x in _pieces(window, rows, columns, chunk):
        if should_stop():
            raise Cancelled("the pixels were not read: the work was cancelled")
        ys, xs = rows[part_y], columns[part_x]
        piece = Window(
            window.y0 + int(ys[0]),
            window.x0 + int(xs[0]),
            window.y0 + int(ys[-1]) + 1,
            window.x0 + int(xs[-1]) + 1,
        )
        pixels = source.read(piece, level, bands)
        out[part_y, part_x] = pixels[np.ix_(ys - ys[0], xs - xs[0])]
    return out


def _places(length: int, size: int) -> _Places:
    """Middles of equal parts of an axis."""
    step = max(length // (SAMPLES_PER_PIXEL * size), 1)
    count = length // step
    places: _Places = ((2 * np.arange(count, dtype=np.int64) + 1) * length) // (2 * count)
    return places


def _pieces(
    window: Window, rows: _Places, columns: _Places, chunk: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """Parts of ``rows`` and ``columns`` to read together: a row of chunks, cut where too long."""
    pieces = []
    for part_y in _runs(rows + window.y0, chunk[0], DIRECT_PIXELS):
        height = int(rows[part_y.stop - 1] - rows[part_y.start]) + 1
        widest = max(DIRECT_PIXELS // height, 1)
        width = max(widest // chunk[1], 1) * chunk[1] if chunk[1] <= widest else widest
        pieces += [(part_y, part_x) for part_x in _runs(columns + window.x0, width, widest)]
    return pieces


def _runs(places: _Places, side: int, longest: int) -> list[slice]:
    """Runs of places in the same multiple of ``side``, none longer than ``longest`` pixels."""
    side = min(side, longest)
    blocks = places // side
    starts = np.flatnonzero(np.diff(blocks, prepend=blocks[0] - 1))
    stops = [*starts[1:].tolist(), len(places)]
    return [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
