"""What every raster offers: its shape, its levels, and windows read on demand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.georef import GeoReference


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a raster.

    Attributes:
        shape: (rows, columns) of the level.
        scale_yx: Level-0 pixels per pixel of the level; (1.0, 1.0) for level 0.
        chunk: (rows, columns) of the pieces that are read whole: tiles, strips; (1, 1) when
            any pixel can be had alone.
    """

    shape: tuple[int, int]
    scale_yx: tuple[float, float]
    chunk: tuple[int, int] = (1, 1)


class RasterSource(Protocol):
    """A read-only image of any size, read window by window."""

    @property
    def name(self) -> str:
        """What to call it in messages and layer names."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of level 0."""
        ...

    @property
    def n_bands(self) -> int:
        """Number of bands."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, in native byte order; never bool, complex or object."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """Level 0 first, coarser ones after it."""
        ...

    @property
    def georeference(self) -> GeoReference | None:
        """The TIFF tags that place it on a map, or None."""
        ...

    def read(self, window: Window, level: int = 0, bands: Sequence[int] | None = None) -> AnyArray:
        """``(h, w, B)`` pixels of the window.

        Args:
            window: In pixels of that level; it must lie inside the level.
            level: Index into ``levels``.
            bands: Bands in the order wanted; None: all.

        Raises:
            ValueError: The window, the level or a band does not exist.
            RasterError: The file cannot be read.
        """
        ...


class OpenRaster(RasterSource, Protocol):
    """A raster that may hold a file open: close it, or use it in a ``with`` statement."""

    def close(self) -> None:
        """Let go of the file; reading afterwards raises ``RasterError``."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def check_request(
    levels: Sequence[Level], n_bands: int, window: Window, level: int, bands: Sequence[int] | None
) -> None:
    """Nothing when the pixels asked for exist.

    Raises:
        ValueError: The window, the level or a band does not exist.
    """
    if not 0 <= level < len(levels):
        raise ValueError(f"level must be 0…{len(levels) - 1}, got {level}")
    rows, columns = levels[level].shape
    if window.y0 < 0 or window.x0 < 0 or window.y1 > rows or window.x1 > columns:
        raise ValueError(
            f"the window must lie inside level {level} of {rows}×{columns} px, got {window}; "
            f"intersect it with Window(0, 0, {rows}, {columns}) first"
        )
    if bands is None:
        return
    if not bands:
        raise ValueError("bands must name at least one band, got none; None reads all")
    wrong = [band for band in bands if not 0 <= band < n_bands]
    if wrong:
        raise ValueError(f"bands must be 0…{n_bands - 1}, got {wrong}")


def describe_levels(
    shapes: Sequence[tuple[int, int]],
    chunks: Sequence[tuple[int, int]],
    scales: Sequence[tuple[float, float]] = (),
) -> tuple[Level, ...]:
    """Levels with their exact scales, from their shapes and chunks, level 0 first.

    Args:
        shapes: (rows, columns) of each level.
        chunks: (rows, columns) of the pieces of each.
        scales: Level-0 pixels per pixel of the first levels, where the file says so; the
            others follow from the shapes.
    """
    told = list(scales) + [_scale(shapes[0], shape) for shape in shapes[len(scales) :]]
    return tuple(
        Level(shape, scale, chunk) for shape, scale, chunk in zip(shapes, told, chunks, strict=True)
    )


def _scale(full: tuple[int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """Level-0 pixels per level pixel; a whole factor wherever rounding explains the sizes.

    1025 → 513 was halved and rounded up, so its scale is 2, not 1.998. A factor common to both
    axes is preferred, and a power of two before its neighbours: 5 → 1 can be 4 or 5.
    """
    if full == shape:
        return 1.0, 1.0
    long, short = (0, 1) if shape[0] >= shape[1] else (1, 0)
    fitting = _factors(full[long], shape[long])
    common = {k for k in fitting if _explains(k, full[short], shape[short])}
    if common:
        factor = float(_likeliest(common))
        return factor, factor
    return _scale_of_axis(full[0], shape[0]), _scale_of_axis(full[1], shape[1])


def _scale_of_axis(full: int, size: int) -> float:
    factors = _factors(full, size)
    return float(_likeliest(factors)) if factors else full / size


def _likeliest(factors: set[int]) -> int:
    powers = {factor for factor in factors if factor & (factor - 1) == 0}
    return min(powers or factors)


def _factors(full: int, size: int) -> set[int]:
    """Whole factors that turn ``full`` into ``size`` when rounding down or up."""
    first = max(1, full // (size + 1))
    last = full // max(1, size - 1)
    return {k for k in range(first, last + 2) if _explains(k, full, size)}


def _explains(factor: int, full: int, size: int) -> bool:
    return size in (full // factor, -(-full // factor))
