"""From the pixels of any raster to the RGB that a network sees, by one rule for the raster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, FloatArray
from napari_edgeflow.raster.overview import read_overview
from napari_edgeflow.raster.source import RasterSource

_PERCENTILES = (0.1, 99.9)
_WIDE_UINT8 = 128


@dataclass(frozen=True, slots=True)
class Stretch:
    """A linear stretch for each band: ``low`` becomes 0, ``high`` becomes 1.

    Attributes:
        low: Value of each band that is shown black.
        high: Value of each band that is shown full; above ``low``.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or not 1 <= len(self.low) <= 3:
            raise ValueError(f"a stretch needs low and high for one to three bands, got {self}")
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"a stretch needs low < high in every band, got {self}")

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
        if len(self.low) == 1:
            rgb[:, :, 1:] = rgb[:, :, :1]
        return rgb


def default_bands(n_bands: int) -> tuple[int, ...]:
    """The bands shown when nobody chooses: the first three, or all of one or two."""
    return tuple(range(min(n_bands, 3)))


def estimate_stretch(source: RasterSource, bands: Sequence[int] | None = None) -> Stretch:
    """One stretch for the whole raster: percentiles 0.1 and 99.9 of an overview of it.

    Three uint8 bands share one range, which keeps their colours; others have one each. uint8
    that already fills half its range is left as it is.

    Args:
        source: The raster.
        bands: One to three bands; None: the first three, or all of fewer.
    """
    chosen = default_bands(source.n_bands) if bands is None else tuple(bands)
    pixels = read_overview(source, chosen)
    is_uint8 = source.dtype == np.uint8
    if is_uint8 and len(chosen) == 3:
        ranges = [_range(pixels, is_uint8)] * 3
    else:
        ranges = [_range(pixels[:, band], is_uint8) for band in range(len(chosen))]
    return Stretch(tuple(low for low, _ in ranges), tuple(high for _, high in ranges))


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


def _range(values: AnyArray, is_uint8: bool) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite.astype(np.float64), _PERCENTILES))
    if is_uint8 and high - low >= _WIDE_UINT8:
        return 0.0, 255.0
    if not high - low > 0:
        return low, _above(low)
    return low, high


def _above(low: float) -> float:
    """``low + 1``, or the next float where adding 1 changes nothing; infinity after the last."""
    return max(low + 1.0, math.nextafter(low, math.inf))
