"""One level of a label store as the lazy array that napari slices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray
from napari_edgeflow.raster.indexing import ReadPlane, take

CHUNK = 512


class StoreLevel:
    """One level of a store as a lazy, read-only array of what is on disk and what is not yet."""

    def __init__(self, shape: tuple[int, ...], read: ReadPlane) -> None:
        """Describe the level.

        Args:
            shape: (stack…, rows, columns).
            read: ``(h, w) uint32`` labels of a plane, and a window in pixels of the level.
        """
        self.shape, self._read = shape, read
        self.dtype = np.dtype(np.uint32)
        self.chunks = chunks_of(shape)
        self.ndim, self.size = len(shape), math.prod(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        """The part that NumPy's basic indexing with integers, slices or ``...`` means."""
        return take(key, self.shape, self.dtype, self.ndim - 2, self._read)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        whole: AnyArray = np.asarray(self[...], dtype=dtype)
        return whole


def chunks_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides of a chunk of a level: one plane, at most 512² pixels of it."""
    return (*(1 for _ in shape[:-2]), *(min(CHUNK, side) for side in shape[-2:]))
