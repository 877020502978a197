"""TIFF and GeoTIFF files of any size: windows through zarr, pyramids as levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.georef import read_georeference
from napari_edgeflow.raster.inmemory import ArrayLike, ArrayRaster
from napari_edgeflow.raster.tiff_details import read_details

_JPEG_LIKE = frozenset({6, 7, 33007, 34892, 50001})


def open_tiff(
    path: Path, *, axes: str | None = None, index: Sequence[int] | None = None
) -> ArrayRaster:
    """Raster of the file's largest image; pixels are decoded when a window is read.

    Args:
        path: The file; its pyramid (SubIFDs, GDAL overviews, whole-slide levels) gives the
            levels.
        axes: A letter for each axis of the image in the file; None: as the file says.
        index: The plane of a stack.

    Raises:
        RasterError: The file is damaged, or its image cannot be used.
    """
    try:
        file = tifffile.TiffFile(path)
    except Exception as error:  # a damaged file fails in as many ways as it has bytes
        raise _damaged(path, error) from error
    try:
        return _describe(file, path, axes, index)
    except RasterError:
        file.close()
        raise
    except Exception as error:
        file.close()
        raise _damaged(path, error) from error


def _describe(
    file: tifffile.TiffFile, path: Path, axes: str | None, index: Sequence[int] | None
) -> ArrayRaster:
    series = _largest_series(file, path)
    page = series.keyframe
    _check_page(page, path)
    levels = list(series.levels)
    for level in levels:
        _check_complete(level, path, file.filehandle.size)
    arrays = [_lazy_array(series, number, path) for number in range(len(levels))]
    letters = str(series.axes)
    colormap = page.colormap
    if colormap is not None and not file.is_imagej:  # ImageJ's tables only tint intensities
        arrays = [_PaletteArray(array, colormap) for array in arrays]
        letters += "S"
    chosen = letters if axes is None else axes
    n_bands = _count_bands(arrays[0], chosen)
    return ArrayRaster(
        arrays,
        name=path.name,
        axes=chosen,
        index=index,
        georeference=read_georeference(file.pages.first),
        on_close=file.close,
        details=read_details(file, series, n_bands, path),
    )


def _count_bands(array: ArrayLike, letters: str) -> int:
    """Length of the axis of the bands; ``ArrayRaster`` refuses letters that do not fit."""
    lengths = [n for n, letter in zip(array.shape, letters.upper(), strict=False) if letter in "SC"]
    return max(lengths, default=1)


def _largest_series(file: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    usable = [series for series in file.series if {"Y", "X"} <= set(series.axes)]
    if not file.series:
        raise _damaged(path, ValueError("it holds no image"))
    if not usable:
        came = ", ".join(f"{series.axes} {series.shape}" for series in file.series)
        raise RasterError(
            f"{path.name}: expected an image with rows and columns, got {came}; "
            "save it as an ordinary TIFF first"
        )
    return max(usable, key=_plane_size)


def _plane_size(series: tifffile.TiffPageSeries) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return int(sizes["Y"]) * int(sizes["X"])


def _check_page(page: Any, path: Path) -> None:
    is_ycbcr = page.photometric == tifffile.PHOTOMETRIC.YCBCR
    if is_ycbcr and int(page.compression) not in _JPEG_LIKE:
        raise RasterError(
            f"{path.name}: expected RGB, grey or JPEG-compressed YCbCr pixels, got YCbCr without "
            "JPEG; convert it, for example with gdal_translate -co PHOTOMETRIC=RGB"
        )


def _check_complete(level: tifffile.TiffPageSeries, path: Path, size: int) -> None:
    """Refuse a file that ends before its pixels do."""
    page = level.keyframe
    if min(len(page.dataoffsets), len(page.databytecounts)) < math.prod(page.chunked):
        raise _damaged(path, ValueError("it does not say where its pixels are"))
    ends = [o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False) if n]
    if level.dataoffset is not None:
        ends.append(level.dataoffset + level.nbytes)
    if ends and max(ends) > size:
        raise RasterError(
            f"{path.name}: expected a whole TIFF file, but it ends after {size} bytes and its "
            f"pixels reach to byte {max(ends)}; copy or download it again"
        )


def _lazy_array(series: tifffile.TiffPageSeries, number: int, path: Path) -> ArrayLike:
    """The level as a memory map where its pixels lie plain in the file, else through zarr.

    Without the map, a file of one plain strip would be one chunk, and read whole.
    """
    level = series.levels[number]
    parent = level.keyframe.parent
    if level.dataoffset is not None and parent.filehandle.path == str(path.resolve()):
        plain = np.dtype(level.dtype).newbyteorder(parent.byteorder)
        shape = tuple(level.shape)
        mapped: AnyArray = np.memmap(path, plain, "r", level.dataoffset, shape)
        return mapped
    import zarr

    chunked: ArrayLike = zarr.open_array(series.aszarr(level=number), mode="r")
    return chunked


class _PaletteArray:
    """RGB of an array of palette indices, looked up when it is read."""

    def __init__(self, indices: ArrayLike, colormap: npt.NDArray[np.uint16]) -> None:
        """Keep both.

        Args:
            indices: ``(…, H, W)`` unsigned integers.
            colormap: ``(3, N) uint16``, as the TIFF tag has it.
        """
        self._indices = indices
        self._colors = (colormap.T >> 8).astype(np.uint8)
        self.shape = (*indices.shape, 3)
        self.chunks = (*getattr(indices, "chunks", (1,) * len(indices.shape)), 3)
        self.dtype = np.dtype(np.uint8)

    def __getitem__(self, key: tuple[int | slice, ...]) -> AnyArray:
        pixels = np.asarray(self._indices[key[:-1]])
        colors: AnyArray = self._colors[pixels][..., key[-1]]
        return colors


def _damaged(path: Path, error: Exception) -> RasterError:
    return RasterError(
        f"{path.name}: expected a TIFF file, but it cannot be read ({error}); "
        "check that it opens elsewhere, and copy or download it again"
    )
