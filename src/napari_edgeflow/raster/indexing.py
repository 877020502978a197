"""NumPy's basic indexing for arrays that are read plane by plane, window by window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, Window

ReadPlane = Callable[[tuple[int, ...], Window], AnyArray]
"""``(h, w)`` or ``(h, w, C)`` pixels of a window of the plane at a place of the stack."""


def take(
    key: Any, shape: tuple[int, ...], dtype: np.dtype[Any], n_stack: int, read: ReadPlane
) -> AnyArray:
    """The part of an array ``(stack…, rows, columns)`` or ``(stack…, rows, columns, C)``.

    Each plane is read once, the smallest window that holds what is wanted of it.

    Args:
        key: Integers, slices and ``...``, as NumPy's basic indexing takes them.
        shape: Of the array.
        dtype: Of the array.
        n_stack: Axes before rows and columns.
        read: Reads a window of a plane.

    Raises:
        IndexError: There are too many indices, or one is outside.
    """
    parts = _whole_key(key, len(shape))
    ranges = [_positions(part, size) for part, size in zip(parts, shape, strict=True)]
    pixels = np.zeros([len(places) for places in ranges], dtype)
    if all(pixels.shape):
        rows, columns, *tail = ranges[n_stack:]
        window = Window(min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        picked = np.ix_(np.array(rows) - window.y0, np.array(columns) - window.x0)
        is_plain = (rows.step, columns.step) == (1, 1)
        for at in itertools.product(*(range(len(places)) for places in ranges[:n_stack])):
            plane = read(tuple(ranges[axis][i] for axis, i in enumerate(at)), window)
            plane = plane if is_plain else plane[picked]
            is_whole = not tail or tail[0] == range(shape[-1])
            pixels[at] = plane if is_whole else plane[:, :, list(tail[0])]
    part: AnyArray = pixels[tuple(slice(None) if isinstance(p, slice) else 0 for p in parts)]
    return part


def count_planes(key: Any, shape: tuple[int, ...], n_stack: int) -> int:
    """How many planes ``take`` reads for a key; its arguments are those of ``take``."""
    parts = _whole_key(key, len(shape))[:n_stack]
    return math.prod(len(_positions(part, size)) for part, size in zip(parts, shape, strict=False))


def _whole_key(key: Any, ndim: int) -> list[Any]:
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [at for at, part in enumerate(parts) if part is Ellipsis]
    if dots:
        parts[dots[0] : dots[0] + 1] = [slice(None)] * (ndim - len(parts) + 1)
    parts += [slice(None)] * (ndim - len(parts))
    if len(parts) != ndim:
        raise IndexError(f"expected at most {ndim} indices, got {key!r}")
    return parts


def _positions(part: Any, size: int) -> range:
    """The positions that an integer or a slice means on an axis of that size."""
    if isinstance(part, slice):
        return range(size)[part]
    position = int(part)
    if not -size <= position < size:
        raise IndexError(f"expected an index within {size}, got {position}")
    return range(position % size, position % size + 1)
