"""Overviews made for a raster that came without: where they are kept and when they count.

They are a tiled TIFF of halved levels beside the raster (``NAME.overviews.tif``), or in the
user's cache when that folder cannot be written to. A stamp in the file names the size and time
of the raster they were made of; another raster of that name makes them void.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import tifffile

from napari_edgeflow.raster.inmemory import ArrayLike, ArrayRaster

LEAST_SIDE = 1024
CACHE_VARIABLE = "NAPARI_EDGEFLOW_CACHE"
_STAMP = "napari-edgeflow overviews"
_REDUCED, _MASK = 1, 4


def needs_overviews(raster: ArrayRaster) -> bool:
    """True for a raster of a single level, and too large to look at whole."""
    return len(raster.levels) == 1 and max(raster.shape) > LEAST_SIDE


def overview_places(path: Path, index: Sequence[int] | None = None) -> tuple[Path, Path]:
    """Where the overviews of a file can lie: beside it, or in the cache.

    Args:
        path: The raster.
        index: The plane of a stack; each has overviews of its own.
    """
    plane = "".join(f".{position}" for position in index or ())
    own = os.environ.get(CACHE_VARIABLE)
    cache = Path(own) if own else platformdirs.user_cache_path("napari-edgeflow")
    digest = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:24]
    return (
        path.with_name(f"{path.name}{plane}.overviews.tif"),
        cache / "overviews" / f"{digest}{plane}.tif",
    )


def raster_stamp(path: Path, axes: str | None, index: Sequence[int] | None) -> str:
    """Text that changes when the raster does: its size, its time, the plane chosen.

    Of a zarr folder, the metadata files are looked at, not every chunk.
    """
    files = [path]
    if path.is_dir():
        names = ("zarr.json", ".zarray", ".zattrs", ".zgroup")
        files = [path / name for name in names if (path / name).exists()] or [path]
    states = [file.stat() for file in files]
    return json.dumps(
        {
            "kind": _STAMP,
            "version": 1,
            "sizes": [state.st_size for state in states],
            "times_ns": [state.st_mtime_ns for state in states],
            "axes": axes,
            "index": None if index is None else [int(position) for position in index],
        }
    )


def with_built_overviews(raster: ArrayRaster, path: Path) -> ArrayRaster:
    """The raster with the overviews that were built for it, or with GDAL's ``.ovr``, if any."""
    if not needs_overviews(raster):
        return raster
    stamp = raster_stamp(path, raster.axes, raster.index)
    for place in overview_places(path, raster.index):
        found = _open_levels(place, raster, lambda text: text == stamp, 0)
        if found is not None:
            return raster.with_overviews(*found)
    ovr = path.with_name(path.name + ".ovr")
    if raster.index is None and ovr.exists() and ovr.stat().st_mtime >= path.stat().st_mtime:
        found = _open_levels(ovr, raster, lambda text: True, _REDUCED)
        if found is not None:
            return raster.with_overviews(*found)
    return raster


def _open_levels(
    place: Path, raster: ArrayRaster, is_right: Callable[[str], bool], kind: int
) -> tuple[list[ArrayLike], Callable[[], None]] | None:
    """Levels in a file of overviews and what closes it; None unless they fit the raster."""
    if not place.exists():
        return None
    try:
        file = tifffile.TiffFile(place)
    except (OSError, ValueError, tifffile.TiffFileError):
        return None
    pages: list[Any] = [page.aspage() for page in file.pages]
    levels = [page for page in pages if int(page.subfiletype) & (_REDUCED | _MASK) == kind]
    fits = levels and is_right(pages[0].description) and _fit(levels, raster)
    if not fits:
        file.close()
        return None
    return [PageLevel(page) for page in levels], file.close


def _fit(levels: Sequence[Any], raster: ArrayRaster) -> bool:
    """True when each level has the raster's bands and type and halves the one before."""
    rows, columns = raster.shape
    for page in levels:
        rows, columns = -(-rows // 2), -(-columns // 2)
        if page.samplesperpixel != raster.n_bands or page.dtype != raster.dtype:
            return False
        if (page.imagelength, page.imagewidth) != (rows, columns):
            return False
    return True


class PageLevel:
    """``(h, w, B)`` of a TIFF page, whatever the order it is stored in."""

    def __init__(self, page: Any) -> None:
        import zarr

        self._array: Any = zarr.open_array(page.aszarr(), mode="r")
        self._axes = str(page.axes)
        bands = page.samplesperpixel
        self.shape: tuple[int, ...] = (page.imagelength, page.imagewidth, bands)
        sides = dict(zip(self._axes, self._array.chunks, strict=True))
        self.chunks = (sides["Y"], sides["X"], sides.get("S", 1))
        self.dtype = np.dtype(page.dtype)

    def __getitem__(self, key: tuple[slice, ...]) -> Any:
        parts = dict(zip("YXS", key, strict=True))
        pixels = np.asarray(self._array[tuple(parts[axis] for axis in self._axes)])
        if "S" not in self._axes:
            return pixels[:, :, None][:, :, parts["S"]]
        return pixels.transpose([self._axes.index(axis) for axis in "YXS"])
