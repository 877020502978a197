"""Labels as a Cloud Optimized GeoTIFF, tile by tile: memory does not grow with the raster."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.objects import LabelReader, tiles
from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.export.whole import drop_derived
from napari_edgeflow.raster.place import MapPlace

_BLOCK = 512
_CACHE_BYTES = 2**25
_TYPES = (np.uint8, np.uint16, np.uint32)


def write_label_cog(
    path: Path,
    labels: LabelReader,
    place: MapPlace | None,
    *,
    highest_id: int,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Nothing; the file is there, complete, when this returns.

    Ids are in the smallest of uint8, uint16 and uint32; 0, the background, is the file's missing
    value; overviews take the nearest pixel. Tiles without objects take no room.

    Args:
        path: ``.tif`` or ``.tiff``.
        labels: Read in windows of at most 1024².
        place: Of the image; None writes a file that lies nowhere.
        highest_id: No label is above it; it decides the type.
        progress: Called with the share done, 0…1.
        should_stop: Asked between windows; True stops the work.

    Raises:
        Cancelled: ``should_stop`` said so; nothing is left behind.
        ExportError: A label is above ``highest_id``, or the file cannot be written.
        ModuleNotFoundError: rasterio is not installed; the message says how to.
    """
    rasterio = import_optional("rasterio", extra="geo", needed_for=f"write {path.name}")
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ExportError(f"expected a file ending in .tif, got {path.name!r}; change the name")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            plain, cog = Path(folder) / "plain.tif", Path(folder) / path.name
            with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES), warnings.catch_warnings():
                warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                profile = _profile(labels.shape, place, highest_id)
                with rasterio.open(plain, "w", **profile) as dataset:
                    _copy_tiles(dataset, labels, highest_id, progress, should_stop)
                _optimize(plain, cog)
            with cog.open("rb+") as file:
                os.fsync(file.fileno())
            cog.replace(path)
        drop_derived(path)
    except (OSError, rasterio.errors.RasterioError) as error:
        raise ExportError(
            f"expected to write {path}, but the system refused ({error}); "
            "free some space, or choose a folder that can be written to"
        ) from error


def _profile(shape: tuple[int, int], place: MapPlace | None, highest_id: int) -> dict[str, Any]:
    from rasterio import Affine

    kind = next((t for t in _TYPES if highest_id <= np.iinfo(t).max), None)
    if kind is None:
        raise ExportError(f"expected ids up to {2**32 - 1}, got {highest_id}; number them anew")
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": shape[0],
        "width": shape[1],
        "count": 1,
        "dtype": np.dtype(kind).name,
        "nodata": 0,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "sparse_ok": True,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    if place is not None:
        profile |= {"crs": place.crs_wkt, "transform": Affine(*place.affine)}
    return profile


def _copy_tiles(
    dataset: Any,
    labels: LabelReader,
    highest_id: int,
    progress: Callable[[float], None] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    total, done = labels.shape[0] * labels.shape[1], 0
    for window in tiles(labels.shape, 2 * _BLOCK):
        if should_stop is not None and should_stop():
            raise Cancelled("the labels were not exported: the work was cancelled")
        part = labels.read(window)
        if part.any():
            _check_highest(part, highest_id)
            rows, columns = (window.y0, window.y1), (window.x0, window.x1)
            dataset.write(part.astype(dataset.dtypes[0]), 1, window=(rows, columns))
        done += _area(window)
        if progress is not None:
            progress(done / total)


def _area(window: Window) -> int:
    return window.height * window.width


def _check_highest(part: LabelArray, highest_id: int) -> None:
    if int(part.max()) > highest_id:
        raise ExportError(
            f"expected ids up to {highest_id}, as the objects have, got {int(part.max())}; "
            "save the objects again first"
        )


def _optimize(plain: Path, cog: Path) -> None:
    """Through GDAL's COG driver: its memory stays small when it copies a tiled file."""
    from rasterio import shutil

    shutil.copy(
        plain,
        cog,
        driver="COG",
        COMPRESS="DEFLATE",
        BLOCKSIZE=str(_BLOCK),
        RESAMPLING="NEAREST",
        OVERVIEW_RESAMPLING="NEAREST",
        SPARSE_OK="TRUE",
        BIGTIFF="IF_SAFER",
    )
