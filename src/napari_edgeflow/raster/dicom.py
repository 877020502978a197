"""DICOM slices: rescaled to their own units, with the window that the scanner proposes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.details import Details, PixelSize
from napari_edgeflow.raster.inmemory import ArrayRaster


def open_dicom(path: Path, *, index: Sequence[int] | None = None) -> ArrayRaster:
    """Raster of a DICOM image, whole in memory, as slices are small.

    Grey values are rescaled by slope and intercept (Hounsfield units in CT) to float32, unless
    that changes nothing. Window centre and width become its limits, by DICOM PS3.3 C.11.2.1.2:
    black at ``centre - 0.5 - (width - 1) / 2``, white at ``centre - 0.5 + (width - 1) / 2``.
    MONOCHROME1, which shows low values white, is turned over, its limits with it.

    Args:
        path: The file.
        index: The frame of a file of many.

    Raises:
        ModuleNotFoundError: pydicom is not installed; the message says how to.
        RasterError: The file is damaged, holds no image, or is compressed in a way that
            pydicom cannot decode here.
    """
    pydicom = import_optional("pydicom", extra="dicom", needed_for=f"open {path.name}")
    try:
        dataset = pydicom.dcmread(path)
        stored: AnyArray = dataset.pixel_array
    except Exception as error:  # decoders and damaged headers raise their own kinds
        raise RasterError(
            f"{path.name}: expected a DICOM image, but it cannot be read ({error}); convert it "
            "to an uncompressed one first, for example with gdcmconv --raw"
        ) from error
    is_colour = int(dataset.get("SamplesPerPixel", 1)) > 1
    values = stored if is_colour else _rescale(stored, dataset)
    limits = () if is_colour else _limits(dataset)
    if not is_colour and dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        values, limits = _turned_over(values), tuple((-high, -low) for low, high in limits)
    frames = "Z" if int(dataset.get("NumberOfFrames", 1) or 1) > 1 else ""
    return ArrayRaster(
        [values],
        name=path.name,
        axes=frames + ("YXS" if is_colour else "YX"),
        index=index,
        details=Details(pixel_size=_pixel_size(dataset), limits=limits),
    )


def _rescale(stored: AnyArray, dataset: Any) -> AnyArray:
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    intercept = float(dataset.get("RescaleIntercept", 0) or 0)
    if (slope, intercept) == (1.0, 0.0):
        return stored
    scaled: AnyArray = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    return scaled


def _turned_over(values: AnyArray) -> AnyArray:
    turned: AnyArray = -values.astype(np.float32)
    return turned


def _limits(dataset: Any) -> tuple[tuple[float, float], ...]:
    """The first window of the file; empty without a usable one."""
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or not width > 1:
        return ()
    half = (width - 1) / 2
    return ((centre - 0.5 - half, centre - 0.5 + half),)


def _first(value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except TypeError:  # several windows
        return float(value[0]) if len(value) else None


def _pixel_size(dataset: Any) -> PixelSize | None:
    """Rows and columns apart, in millimetres."""
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    if spacing is None or len(spacing) != 2:
        return None
    return PixelSize(float(spacing[0]), float(spacing[1]), "mm")
