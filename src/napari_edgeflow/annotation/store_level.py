"""One level of a label store as the lazy array that napari slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.objects import Labels
from napari_edgeflow.raster.lazy import index_range

CHUNK = 512


class StoreLevel:
    """One level of a store as a lazy, read-only array of what is on disk and what is not yet."""

    ndim = 2

    def __init__(self, shape: tuple[int, int], read: Callable[[Window], Labels]) -> None:
        """Describe the level.

        Args:
            shape: (rows, columns).
            read: Labels of a window in pixels of the level.
        """
        self.shape, self._read = shape, read
        self.dtype = np.dtype(np.uint32)
        self.chunks = (min(CHUNK, shape[0]), min(CHUNK, shape[1]))
        self.size = shape[0] * shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        """The part that NumPy's basic indexing with integers, slices or ``...`` means."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (3 - len(parts))
        parts += [slice(None)] * (2 - len(parts))
        if len(parts) > 2:
            raise IndexError(f"expected at most two indices, got {key!r}")
        ranges = [index_range(part, size) for part, size in zip(parts, self.shape, strict=True)]
        shape = [len(r) for r, part in zip(ranges, parts, strict=True) if isinstance(part, slice)]
        if not all(ranges):
            return np.zeros(shape, self.dtype)
        rows, columns = ranges
        window = Window(min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        whole = self._read(window)
        if (rows.step, columns.step) != (1, 1):
            whole = whole[np.ix_(np.array(rows) - window.y0, np.array(columns) - window.x0)]
        part: AnyArray = whole.reshape(shape)
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        whole: AnyArray = np.asarray(self[:, :], dtype=dtype)
        return whole
