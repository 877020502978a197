"""Label images as TIFF, GeoTIFF or PNG, whole on disk or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from napari_edgeflow._files import written_whole
from napari_edgeflow._types import AnyArray, LabelArray
from napari_edgeflow.errors import ExportError
from napari_edgeflow.raster.georef import GeoReference

LABEL_SUFFIXES = (".tif", ".tiff", ".png")
_TILE = (256, 256)
_LABEL_TYPES: tuple[type[np.unsignedinteger[Any]], ...] = (np.uint8, np.uint16, np.uint32)


def check_label_path(path: str | os.PathLike[str]) -> Path:
    """The path, when a label image can go there as far as one can tell without writing.

    Raises:
        ExportError: The suffix is not one of ``LABEL_SUFFIXES``, or the folder is missing.
    """
    target = Path(path)
    if target.suffix.lower() not in LABEL_SUFFIXES:
        raise ExportError(
            f"expected a label image ending in {', '.join(LABEL_SUFFIXES)}, got {target.name!r}; "
            "change the name, .tif keeps the most"
        )
    if not target.parent.is_dir():
        raise ExportError(
            f"expected a folder to write {target.name} to, but {target.parent} is none; make it "
            "first, or choose another"
        )
    if target.is_dir():
        raise ExportError(f"expected a file to write, but {target} is a folder; name a file in it")
    return target


def write_label_image(
    path: str | os.PathLike[str],
    labels: LabelArray | npt.NDArray[np.bool_],
    *,
    georeference: GeoReference | None = None,
) -> None:
    """Nothing; the file is there, complete, when this returns.

    Args:
        path: Where; ``.tif``, ``.tiff`` or ``.png`` chooses the format. A file that is already
            there is replaced only when the new one is complete.
        labels: ``(H, W)`` integers ≥ 0 or bool: 0 for the background, ids for objects. Stored
            in the smallest of uint8, uint16 and uint32.
        georeference: Of the image they were drawn on; kept by TIFF, not by PNG.

    Raises:
        ExportError: The format cannot hold the ids, or the file cannot be written.
        ValueError: The labels are not an image of ids.
    """
    target = check_label_path(path)
    small = _shrink(labels)
    if target.suffix.lower() != ".png":
        with written_whole(target) as file:
            _write_tiff(file, small, georeference)
        return
    if small.dtype == np.uint32:
        raise ExportError(
            f"expected ids up to 65535 for PNG, got {int(small.max())}; write a TIFF instead"
        )
    with written_whole(target) as file:
        file.write(imagecodecs.png_encode(small))


def _shrink(labels: LabelArray | npt.NDArray[np.bool_]) -> AnyArray:
    """The labels in the smallest unsigned type that holds them."""
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "biu":
        raise ValueError(
            "expected labels of shape (H, W) and an integer type, "
            f"got shape {labels.shape} and {labels.dtype}"
        )
    if int(labels.min()) < 0:
        raise ValueError(f"expected labels ≥ 0, got {int(labels.min())}")
    highest = int(labels.max())
    for kind in _LABEL_TYPES:
        if highest <= np.iinfo(kind).max:
            return np.ascontiguousarray(labels, dtype=kind)
    raise ExportError(
        f"expected ids up to {np.iinfo(np.uint32).max}, got {highest}; number the objects anew"
    )


def _write_tiff(file: BinaryIO, labels: AnyArray, georeference: GeoReference | None) -> None:
    tifffile.imwrite(
        file,
        labels,
        photometric="minisblack",
        compression="zlib",
        tile=_TILE if min(labels.shape) > max(_TILE) else None,
        metadata=None,
        software="napari-edgeflow",
        extratags=[] if georeference is None else georeference.mask_tags(),
    )
