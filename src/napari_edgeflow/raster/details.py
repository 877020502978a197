"""What a raster knows about itself beside its pixels: bands, missing values, size, place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray
from napari_edgeflow.raster.place import MapPlace

if TYPE_CHECKING:
    from napari_edgeflow.raster.inmemory import ArrayLike


@dataclass(frozen=True, slots=True)
class BandInfo:
    """What one band shows, as far as the file says.

    Attributes:
        name: Its description or channel name; empty where the file has none.
        colour: ``red``, ``green``, ``blue``, ``gray``, ``nir``, ``alpha``, or empty.
        wavelength_nm: Centre wavelength in nanometres, or None.
    """

    name: str = ""
    colour: str = ""
    wavelength_nm: float | None = None


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Size of a level-0 pixel.

    Attributes:
        y: Height.
        x: Width.
        unit: Of both, as the file writes it: ``µm``, ``mm``, ``metre``; empty if unknown.
    """

    y: float
    x: float
    unit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Details:
    """Everything optional about a raster.

    Attributes:
        bands: One entry for each band; empty when nothing is known.
        nodata: The value that stands for "nothing here" in every band, or None.
        masks: ``(H, W)`` arrays, one for each level: nonzero where there is a pixel. Empty
            when there is no mask.
        pixel_size: Size of a pixel, or None.
        scales: Level-0 pixels per pixel of each level, where the file says so; empty to tell
            them from the shapes.
        limits: (black, white) for each band, where the file says how it wants to be seen; empty
            otherwise.
        place: Where it lies on the map, when that is known already.
        path: The file, to find its place when somebody asks.
    """

    bands: tuple[BandInfo, ...] = ()
    nodata: float | None = None
    masks: tuple[ArrayLike, ...] = ()
    pixel_size: PixelSize | None = None
    scales: tuple[tuple[float, float], ...] = ()
    limits: tuple[tuple[float, float], ...] = ()
    place: MapPlace | None = None
    path: Path | None = None


NO_DETAILS = Details()


def is_nodata(pixels: AnyArray, nodata: float | None) -> BoolArray:
    """``(h, w) bool``: True where every band of ``(h, w, B)`` pixels is the missing value.

    NaN needs no value of its own: it is never valid, and is not looked at here.
    """
    value = nodata_as(nodata, pixels.dtype)
    if value is None:
        return np.zeros(pixels.shape[:2], bool)
    missing: BoolArray = (pixels == value).all(axis=2)
    return missing


def nodata_as(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """The missing value as a pixel of that type can hold it; None if none can be equal to it."""
    if nodata is None or np.isnan(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    holds = float(nodata).is_integer() and limits.min <= nodata <= limits.max
    return dtype.type(int(nodata)) if holds else None
