"""A raster far larger than memory with a picture somewhere in it, computed when it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray

MOST_PIXELS = 2**26


@dataclass
class VirtualArray:
    """One level of the virtual raster, ``(side, side, bands)``.

    A pixel of level k is the level-0 pixel at 2ᵏ times its place: the crop where that lies in it,
    else a hash of the place. Reading more than 64 Mpx at once raises.
    """

    crop: AnyArray
    at: tuple[int, int]
    side: int = 100_000
    level: int = 0
    chunks: tuple[int, ...] = (512, 512, 3)
    pixels_read: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        size = -(-self.side // 2**self.level)
        self.shape = (size, size, self.crop.shape[2])
        self.dtype = self.crop.dtype

    def __getitem__(self, key: Any) -> AnyArray:
        ranges = [np.arange(*part.indices(n)) for part, n in zip(key, self.shape, strict=True)]
        rows, columns, bands = ranges
        self.pixels_read += rows.size * columns.size
        if rows.size * columns.size > MOST_PIXELS:
            raise MemoryError(f"{rows.size} × {columns.size} pixels at once")
        rows, columns = rows * 2**self.level, columns * 2**self.level
        pixels = background(rows, columns, bands, self.dtype)
        inside_y = (rows >= self.at[0]) & (rows < self.at[0] + self.crop.shape[0])
        inside_x = (columns >= self.at[1]) & (columns < self.at[1] + self.crop.shape[1])
        if inside_y.any() and inside_x.any():
            place = np.ix_(rows[inside_y] - self.at[0], columns[inside_x] - self.at[1], bands)
            pixels[np.ix_(inside_y, inside_x)] = self.crop[place]
        return pixels


def background(rows: AnyArray, columns: AnyArray, bands: AnyArray, dtype: Any) -> AnyArray:
    """Dark grey noise that depends on the place alone: 30…61 in every band."""
    y, x, band = np.ix_(rows, columns, bands)
    mixed = (y * 2654435761 + x * 40503 + band * 97) >> 7
    noise: AnyArray = (30 + mixed % 32).astype(dtype)
    return noise


def virtual_levels(
    crop: AnyArray, at: tuple[int, int], side: int = 100_000, n_levels: int = 8
) -> list[VirtualArray]:
    """The pyramid of a virtual raster with ``crop`` at ``at``, finest level first."""
    return [VirtualArray(crop, at, side, level) for level in range(n_levels)]
