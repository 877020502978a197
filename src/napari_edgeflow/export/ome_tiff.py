"""Labels as OME-TIFF for ImageJ, Fiji and others: uint16 where it holds them, with pixel size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo
from napari_edgeflow.export.label_tiff import TiffHead, write_label_tiff
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.views import objects_only

_OME_UNITS = {
    "um": "µm", "µm": "µm", "μm": "µm", "micrometer": "µm", "micrometre": "µm", "micron": "µm",
    "nm": "nm", "nanometer": "nm", "mm": "mm", "millimeter": "mm", "cm": "cm", "m": "m",
    "meter": "m", "metre": "m",
}  # fmt: skip
_PER_CENTIMETRE = {"nm": 1e7, "µm": 1e4, "mm": 10.0, "cm": 1.0, "m": 0.01}


def write_ome_tiff(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold, in words.

    Pixels have the ids of their objects, uint16 up to 65 535 and uint32 beyond. The pixel size is
    in the OME metadata and in the TIFF's resolution. Written tile by tile.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: The file cannot be written.
    """
    labels = objects_only(annotated)
    dtype = np.dtype(np.uint16 if labels.highest <= np.iinfo(np.uint16).max else np.uint32)
    write_label_tiff(path, labels, dtype, _head(annotated.image), run)
    notes = ["classes and names are not in a label image"] if annotated.objects else []
    if dtype == np.uint32:
        notes.append(
            f"ids up to {labels.highest} need 32 bits: Fiji opens the file through Bio-Formats only"
        )
    if annotated.image.place is not None or annotated.image.georeference is not None:
        notes.append("the place on the map is not in an OME-TIFF; label_tiff and label_cog keep it")
    return tuple(notes)


def _head(image: ImageInfo) -> TiffHead:
    """OME metadata, and the resolution where the unit of the pixel size has one."""
    metadata: dict[str, Any] = {"axes": "YX", "Name": image.name}
    unit = _OME_UNITS.get(image.unit.lower())
    if image.pixel_size_yx is None or unit is None:
        return TiffHead(ome=metadata)
    height, width = image.pixel_size_yx
    metadata |= {
        "PhysicalSizeY": height,
        "PhysicalSizeYUnit": unit,
        "PhysicalSizeX": width,
        "PhysicalSizeXUnit": unit,
    }
    per_cm = _PER_CENTIMETRE[unit]
    return TiffHead(ome=metadata, pixels_per_cm=(per_cm / width, per_cm / height))
