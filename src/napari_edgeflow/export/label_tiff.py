"""Label images as TIFF, tile by tile: the one place where they are handed to tifffile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_edgeflow._files import written_whole
from napari_edgeflow._types import AnyArray
from napari_edgeflow.annotation.objects import LabelReader, tiles
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.whole import drop_derived
from napari_edgeflow.raster.georef import TiffTag

_TILE = 256
_CLASSIC_BYTES = 2**31


@dataclass(frozen=True, slots=True)
class TiffHead:
    """What a label TIFF says beside its pixels.

    Attributes:
        tags: ``extratags`` of tifffile.
        ome: OME metadata; None for a plain TIFF.
        pixels_per_cm: Along (x, y); None when not known.
    """

    tags: Sequence[TiffTag] = ()
    ome: Mapping[str, Any] | None = None
    pixels_per_cm: tuple[float, float] | None = None


def write_label_tiff(
    target: Path,
    labels: LabelReader,
    dtype: np.dtype[Any],
    head: TiffHead,
    run: ExportRun = PLAIN_RUN,
) -> None:
    """Nothing; the file is there, complete, when this returns.

    Zlib, tiles of 256² pixels, BigTIFF where the bare pixels take more than 2 GB.

    Args:
        target: Where; a file that is already there is replaced only by a whole one.
        labels: Read tile by tile; none above what ``dtype`` holds.
        dtype: Of the file: uint8, uint16 or uint32.
        head: What else it says.
        run: Hears how far it is.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: The file cannot be written.
    """
    known = head.pixels_per_cm is not None
    with written_whole(target) as file:
        tifffile.imwrite(
            file,
            _tiles(labels, dtype, run),
            shape=labels.shape,
            dtype=dtype,
            tile=(_TILE, _TILE),
            photometric="minisblack",
            compression="zlib",
            bigtiff=labels.shape[0] * labels.shape[1] * dtype.itemsize > _CLASSIC_BYTES,
            ome=head.ome is not None,
            metadata=None if head.ome is None else dict(head.ome),
            resolution=head.pixels_per_cm,
            resolutionunit="CENTIMETER" if known else None,
            software="napari-edgeflow",
            extratags=list(head.tags),
        )
    drop_derived(target)


def _tiles(labels: LabelReader, dtype: np.dtype[Any], run: ExportRun) -> Iterator[AnyArray]:
    """Tiles row by row; those at the far borders are filled up with zeros."""
    rows, columns = labels.shape
    total = -(-rows // _TILE) * -(-columns // _TILE)
    for number, window in enumerate(tiles(labels.shape, _TILE)):
        run.count(number, total)
        tile = np.zeros((_TILE, _TILE), dtype)
        tile[: window.height, : window.width] = labels.read(window)
        yield tile
