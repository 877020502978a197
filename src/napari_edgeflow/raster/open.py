"""One door to every kind of image: arrays, files and napari layers."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.axes import PlaneNeededError
from napari_edgeflow.raster.details import Details
from napari_edgeflow.raster.gdal_file import NotForGdalError, open_gdal
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.overview import read_overview
from napari_edgeflow.raster.pyramid import with_built_overviews
from napari_edgeflow.raster.source import OpenRaster

_WHOLE_PIXELS = 4096**2
_PICTURE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def open_raster(
    image: Any, *, axes: str | None = None, index: tuple[int, ...] | None = None
) -> OpenRaster:
    """The image as a raster that is read window by window.

    Args:
        image: An array (NumPy, zarr, dask, h5py) of shape (H, W), (H, W, B ≤ 4) or of what
            ``axes`` says; a list of arrays, the levels of a pyramid; an open zarr group with
            OME-Zarr metadata; the path of a TIFF, OME-Zarr, PNG, JPEG, DICOM or any file that
            GDAL opens; a napari Image layer; or a raster, which is returned as it is.
        axes: A letter for each axis: Y, X, C or S for bands, any other for the axes of a
            stack. None: as the file says, or rows and columns last.
        index: The plane of a stack, one number for each axis of the stack.

    Raises:
        RasterError: It is not an image that can be used; the message says what to do.
        ModuleNotFoundError: The file needs an optional package; the message names it.
    """
    if all(hasattr(image, name) for name in ("read", "levels", "n_bands")):
        return cast(OpenRaster, image)
    if isinstance(image, str | os.PathLike):
        return _open_path(Path(image), axes, index)
    if hasattr(image, "rgb") and hasattr(image, "data"):
        return _checked(_open_layer(image, axes, index))
    if hasattr(image, "shape") and hasattr(image, "dtype") and hasattr(image, "__getitem__"):
        return _checked(ArrayRaster([image], axes=axes, index=index))
    if isinstance(image, list | tuple) and image and all(hasattr(a, "shape") for a in image):
        return _checked(ArrayRaster(image, axes=axes, index=index))
    if hasattr(image, "attrs") and hasattr(image, "store_path"):
        from napari_edgeflow.raster.omezarr import open_node

        name = str(image.name).strip("/") or "image"
        return _checked(open_node(image, name=name, axes=axes, index=index))
    raise RasterError(
        "expected an array, a list of levels, the path of an image file or a napari Image layer, "
        f"got {type(image).__name__}; convert it with numpy.asarray first"
    )


def open_first_plane(path: str | os.PathLike[str]) -> ArrayRaster:
    """The file's image; of a stack the first plane, ``on_plane`` gives the others.

    Raises:
        RasterError: It is not an image that can be used.
        ModuleNotFoundError: The file needs an optional package; the message names it.
    """
    try:
        return _open_path(Path(path), None, None)
    except PlaneNeededError as error:
        return _open_path(Path(path), None, (0,) * error.n_axes)


def _open_path(path: Path, axes: str | None, index: Sequence[int] | None) -> ArrayRaster:
    return _checked(with_built_overviews(_open_by_content(path, axes, index), path))


def _open_by_content(path: Path, axes: str | None, index: Sequence[int] | None) -> ArrayRaster:
    if path.is_dir():
        from napari_edgeflow.raster.omezarr import open_zarr

        return open_zarr(path, axes=axes, index=index)
    head = _head(path)
    if head[:4] in _TIFF_MAGIC:
        from napari_edgeflow.raster.tiff import open_tiff

        return open_tiff(path, axes=axes, index=index)
    if head[128:132] == b"DICM":
        from napari_edgeflow.raster.dicom import open_dicom

        return open_dicom(path, index=index)
    if not head.startswith(_PICTURE_MAGIC) and importlib.util.find_spec("rasterio"):
        with contextlib.suppress(NotForGdalError):
            return open_gdal(path)
    from napari_edgeflow.raster.picture import read_picture

    picture = read_picture(path)
    return ArrayRaster(
        [picture], name=path.name, axes=axes, index=index, details=Details(path=path)
    )


def _head(path: Path) -> bytes:
    """The first 132 bytes."""
    try:
        with path.open("rb") as file:
            return file.read(132)
    except OSError as error:
        raise RasterError(
            f"expected the path of an image file, but {path} cannot be opened "
            f"({error.strerror}); check the path"
        ) from error


def _open_layer(layer: Any, axes: str | None, index: Sequence[int] | None) -> ArrayRaster:
    """Raster of a napari Image layer, known by its ``data``, ``rgb`` and ``multiscale``."""
    arrays = list(layer.data) if getattr(layer, "multiscale", False) else [layer.data]
    if axes is None:
        axes = _layer_axes(len(arrays[0].shape), bool(layer.rgb))
    return ArrayRaster(arrays, name=str(getattr(layer, "name", "image")), axes=axes, index=index)


def _layer_axes(n_axes: int, is_rgb: bool) -> str | None:
    """Rows and columns last, as napari shows them; a small last axis is no band unless rgb."""
    spatial = "YXS" if is_rgb else "YX"
    stack = "PUVTZ"[-max(0, n_axes - len(spatial)) :] if n_axes > len(spatial) else ""
    letters = stack + spatial
    return letters if len(letters) == n_axes else None


def _checked(raster: ArrayRaster) -> ArrayRaster:
    """The raster, unless its floats hold nothing finite.

    A large raster is refused only when it is small enough to read whole: its valid pixels may
    lie between those of the overview.
    """
    if raster.dtype.kind != "f":
        return raster
    try:
        if _is_empty(raster):
            raise RasterError(
                f"{raster.name}: expected an image with finite pixels, got NaN or infinity "
                "everywhere; check how it was computed, or which plane was chosen"
            )
    except RasterError:
        raster.close()
        raise
    return raster


def _is_empty(raster: ArrayRaster) -> bool:
    rows, columns = raster.shape
    if np.isfinite(read_overview(raster)).any() or rows * columns > _WHOLE_PIXELS:
        return False
    return not np.isfinite(raster.read(Window(0, 0, rows, columns))).any()
