"""From the pixels of any raster to the RGB that a network sees, by one rule for the raster."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, FloatArray
from napari_edgeflow.raster.details import NO_DETAILS, is_nodata
from napari_edgeflow.raster.overview import read_valid_overview
from napari_edgeflow.raster.source import RasterSource

_PERCENTILES = (0.1, 99.9)
_WIDE_UINT8 = 128


@dataclass(frozen=True, slots=True)
class Stretch:
    """A linear stretch for each band: ``low`` becomes 0, ``high`` becomes 1.

    Attributes:
        low: Value of each band that is shown black.
        high: Value of each band that is shown full; above ``low``.
        gamma: Power of what comes out, as in napari: below 1 brightens the middle.
        nodata: The value that stands for "nothing here" in all bands; shown black.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    gamma: float = 1.0
    nodata: float | None = None

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not 1 <= len(self.low) <= 3:
            raise ValueError(f"a stretch needs low and high for one to three bands, got {self}")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"a stretch needs low < high in every band, got {self}")
        if not (math.isfinite(self.gamma) and self.gamma > 0):
            raise ValueError(f"a stretch needs a finite gamma above 0, got {self.gamma}")

    def apply(self, pixels: AnyArray) -> FloatArray:
        """``(h, w, 3) float32 in [0, 1]`` of ``(h, w, B)`` pixels.

        One band is repeated three times; two bands become red and green. NaN and infinity
        become 0.

        Raises:
            ValueError: The number of bands is not that of the stretch.
        """
        if pixels.ndim != 3 or pixels.shape[2] != len(self.low):
            raise ValueError(
                f"expected pixels of shape (h, w, {len(self.low)}) for this stretch, "
                f"got {pixels.shape}; read the bands that it was estimated for"
            )
        rgb = np.zeros((*pixels.shape[:2], 3), np.float32)
        for band, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
            rgb[:, :, band] = _stretch_band(pixels[:, :, band], low, high)
        if self.gamma != 1:
            np.power(rgb, np.float32(self.gamma), out=rgb)
        if self.nodata is not None:
            rgb[is_nodata(pixels, self.nodata)] = 0
        if len(self.low) == 1:
            rgb[:, :, 1:] = rgb[:, :, :1]
        return rgb

    def to_json(self) -> dict[str, Any]:
        """The stretch as JSON values; ``from_json`` gives back exactly the same one."""
        return {
            "low": list(self.low),
            "high": list(self.high),
            "gamma": self.gamma,
            "nodata": self.nodata,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Stretch:
        """The stretch that ``to_json`` wrote.

        Raises:
            ValueError: The values are not those of a stretch.
        """
        try:
            low = tuple(float(value) for value in values["low"])
            high = tuple(float(value) for value in values["high"])
            nodata = values.get("nodata")
            gamma = float(values.get("gamma", 1.0))
            return cls(low, high, gamma, None if nodata is None else float(nodata))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"expected a stretch with low and high for each band, got {values!r}"
            ) from error


def default_bands(n_bands: int) -> tuple[int, ...]:
    """The bands shown when nobody chooses: the first three, or all of one or two."""
    return tuple(range(min(n_bands, 3)))


def estimate_stretch(
    source: RasterSource,
    bands: Sequence[int] | None = None,
    *,
    percentiles: tuple[float, float] = _PERCENTILES,
    gamma: float = 1.0,
) -> Stretch:
    """One stretch for the whole raster: percentiles of the valid pixels of an overview of it.

    Three uint8 bands share one range, which keeps their colours; others have one each. uint8
    that already fills half its range is left as it is. A file that says how it wants to be seen
    (DICOM's window, OMERO's display limits) is obeyed. Missing values, masked and transparent
    pixels, NaN and infinity do not count.

    Args:
        source: The raster.
        bands: One to three bands; None: the first three, or all of fewer.
        percentiles: What becomes black and what full, in 0…100.
        gamma: Of the stretch.

    Raises:
        ValueError: The percentiles are not two rising numbers of 0…100.
    """
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise ValueError(f"expected two rising percentiles of 0…100, got {percentiles}")
    chosen = default_bands(source.n_bands) if bands is None else tuple(bands)
    details = getattr(source, "details", NO_DETAILS)  # other sources need not have any
    if len(details.limits) == source.n_bands:
        ranges = [details.limits[band] for band in chosen]
    else:
        ranges = _overview_ranges(source, chosen, percentiles)
    low, high = tuple(a for a, _ in ranges), tuple(b for _, b in ranges)
    return Stretch(low, high, gamma, _usable_nodata(details.nodata))


def _usable_nodata(nodata: float | None) -> float | None:
    """The missing value; None for NaN, which is black anyway and equal to nothing."""
    return None if nodata is None or math.isnan(nodata) else nodata


def _overview_ranges(
    source: RasterSource, chosen: tuple[int, ...], percentiles: tuple[float, float]
) -> list[tuple[float, float]]:
    pixels, valid = read_valid_overview(source, chosen)
    is_uint8 = source.dtype == np.uint8
    if is_uint8 and len(chosen) == 3:
        return [_range(pixels[valid], is_uint8, percentiles)] * 3
    return [
        _range(pixels[valid[:, band], band], is_uint8, percentiles) for band in range(len(chosen))
    ]


def _stretch_band(band: AnyArray, low: float, high: float) -> FloatArray:
    """In float64 where float32 could not tell the values apart; what is not finite becomes 0."""
    wide: type[np.floating[Any]] = np.float32 if band.dtype.itemsize <= 2 else np.float64
    values: npt.NDArray[np.floating[Any]] = band.astype(wide)
    with np.errstate(over="ignore", invalid="ignore"):
        values -= low
        values /= high - low
    values[~np.isfinite(band) | np.isnan(values)] = 0
    stretched: FloatArray = np.clip(values, 0, 1).astype(np.float32)
    return stretched


def _range(
    values: AnyArray, is_uint8: bool, percentiles: tuple[float, float]
) -> tuple[float, float]:
    """(low, high) of valid values of one or more bands."""
    if values.size == 0:
        return (0.0, 255.0) if is_uint8 else (0.0, 1.0)
    low, high = (float(v) for v in np.percentile(values.astype(np.float64), percentiles))
    if is_uint8 and high - low >= _WIDE_UINT8:
        return 0.0, 255.0
    if not high - low > 0:
        return low, _above(low)
    return low, high


def _above(low: float) -> float:
    """``low + 1``, or the next float where adding 1 changes nothing; infinity after the last."""
    return max(low + 1.0, math.nextafter(low, math.inf))
