"""Builds the overviews of a raster that came without, in bounded memory, all or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile

from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.errors import Cancelled, RasterError
from napari_edgeflow.raster.details import Details, nodata_as
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.pyramid import PageLevel, overview_places, raster_stamp

TILE = 256
SMALLEST_SIDE = 512
_BLOCK_BYTES = 2**25
_OLD_SECONDS = 24 * 3600.0


def build_overviews(
    path: str | os.PathLike[str],
    *,
    axes: str | None = None,
    index: tuple[int, ...] | None = None,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path | None:
    """The file of overviews that ``open_raster`` finds from now on; None if it needs none.

    Every level halves the one before, by the mean of the valid pixels (missing values and NaN
    do not count), rounded half up for integers. The work holds about 200 MB, whatever the size
    of the raster, and starts anew after an interruption. Safe to call from any thread.

    Args:
        path: The raster: a file, or a zarr folder.
        axes: As for ``open_raster``.
        index: As for ``open_raster``.
        progress: Called with the share done, 0…1.
        should_stop: Asked between tiles; True stops the work.

    Raises:
        Cancelled: ``should_stop`` said so; nothing is left behind.
        RasterError: The raster cannot be read, or the overviews cannot be written anywhere.
    """
    source = Path(path)
    with open_raster(source, axes=axes, index=index) as raster:
        if not isinstance(raster, ArrayRaster):  # what a path gives
            raise TypeError(f"expected the path of a raster, got {path!r}")
        if len(raster.levels) > 1 or max(raster.shape) <= SMALLEST_SIDE:
            return None
        stamp = raster_stamp(source, raster.axes, raster.index)
        refused: OSError | None = None
        for target in overview_places(source, raster.index):
            try:
                return _write(raster, target, stamp, _Watch(raster.shape, progress, should_stop))
            except OSError as error:
                refused = error
    raise RasterError(
        f"expected to write the overviews of {source.name} beside it or in the cache, but the "
        f"system refused both ({refused}); free some space, or make one of them writable"
    )


class _Watch:
    """Reports the share of the pixels read, and stops when asked to."""

    def __init__(
        self,
        shape: tuple[int, int],
        progress: Callable[[float], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._total = shape[0] * shape[1] * 4 / 3
        self._done = 0
        self._progress, self._should_stop = progress, should_stop

    def count(self, window: Window) -> None:
        """Note a window that was read."""
        self._done += window.height * window.width
        if self._progress is not None:
            self._progress(min(self._done / self._total, 1.0))
        if self._should_stop is not None and self._should_stop():
            raise Cancelled("the overviews were not built: the work was cancelled")


def _write(raster: ArrayRaster, target: Path, stamp: str, watch: _Watch) -> Path:
    """The target, written whole: a unique name in its folder, then renamed.

    Raises:
        OSError: The folder cannot be written to, or is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_old(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x+b") as file:
            _write_levels(raster, file, temporary, stamp, watch)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def _remove_old(target: Path) -> None:
    """Remove what a killed process left; a day's age tells it from one that works now."""
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        if time.time() - left.stat().st_mtime > _OLD_SECONDS:
            left.unlink(missing_ok=True)


def _write_levels(
    raster: ArrayRaster, file: BinaryIO, path: Path, stamp: str, watch: _Watch
) -> None:
    finer, number = raster, 0
    with contextlib.ExitStack() as opened, tifffile.TiffWriter(file, bigtiff=True) as writer:
        while max(finer.shape) > SMALLEST_SIDE:
            rows, columns = -(-finer.shape[0] // 2), -(-finer.shape[1] // 2)
            writer.write(
                _halved_tiles(finer, watch),
                shape=(rows, columns, raster.n_bands) if raster.n_bands > 1 else (rows, columns),
                dtype=raster.dtype,
                tile=(TILE, TILE),
                photometric="minisblack",
                planarconfig="contig" if raster.n_bands > 1 else None,
                compression="zlib",
                description=stamp,
                metadata=None,
                maxworkers=1,
            )
            file.flush()
            finer, number = opened.enter_context(_open_level(path, number, raster)), number + 1


def _open_level(path: Path, number: int, raster: ArrayRaster) -> ArrayRaster:
    """A level that was just written, as a raster with the same missing value."""
    file = tifffile.TiffFile(path)
    return ArrayRaster(
        [PageLevel(file.pages[number].aspage())],
        name=raster.name,
        axes="YXS",
        on_close=file.close,
        details=Details(nodata=raster.details.nodata, bands=raster.details.bands),
    )


def _halved_tiles(raster: ArrayRaster, watch: _Watch) -> Iterator[AnyArray]:
    """Tiles of the next level, row by row; those at the far borders are filled up with zeros."""
    rows, columns = raster.shape
    pixel_bytes = raster.n_bands * max(raster.dtype.itemsize, 4)
    side = 2 * TILE
    block = max(_BLOCK_BYTES // (side * pixel_bytes) // side, 1) * side
    for y0 in range(0, rows, side):
        for x0 in range(0, columns, block):
            window = Window(y0, x0, min(y0 + side, rows), min(x0 + block, columns))
            watch.count(window)
            pixels = raster.read(window)
            small = halve(pixels, raster.valid_pixels(pixels, window), raster.details.nodata)
            for start in range(0, small.shape[1], TILE):
                part = small[:, start : start + TILE]
                tile = np.zeros((TILE, TILE, raster.n_bands), raster.dtype)
                tile[: part.shape[0], : part.shape[1]] = part
                yield tile if raster.n_bands > 1 else tile[:, :, 0]


def halve(pixels: AnyArray, valid: BoolArray, nodata: float | None = None) -> AnyArray:
    """``(ceil(h/2), ceil(w/2), B)`` means of 2×2 pixels, in the same type.

    Args:
        pixels: ``(h, w, B)`` of any type but complex.
        valid: ``(h, w, B) bool``: which pixels count.
        nodata: What stands where none of the four counts; without it, the first of them.
    """
    is_float = pixels.dtype.kind == "f"
    wide = np.float64 if is_float or pixels.dtype.itemsize > 4 else np.int64
    counted = valid.astype(np.int64)
    kept = np.where(valid, pixels, 0).astype(wide)
    total, count = _sum_of_four(kept), _sum_of_four(counted)
    safe = np.maximum(count, 1)
    mean = total / safe if wide is np.float64 else (total + safe // 2) // safe
    nothing = count == 0
    if nothing.any():
        value = nodata_as(nodata, pixels.dtype)
        mean[nothing] = pixels[::2, ::2][nothing] if value is None else value
    with np.errstate(invalid="ignore", over="ignore"):
        halved: AnyArray = (mean if is_float else np.round(mean)).astype(pixels.dtype)
    return halved


def _sum_of_four(values: AnyArray) -> AnyArray:
    """Sums of 2×2 values; an odd last row or column adds what is there."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[0], 2), axis=0)
    summed: AnyArray = np.add.reduceat(rows, np.arange(0, values.shape[1], 2), axis=1)
    return summed
