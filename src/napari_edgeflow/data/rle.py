"""Masks in the forms of COCO's JSON: polygons, and run lengths written out or packed into text.

The run-length form counts pixels down the columns, starting with background. The packed form
keeps five bits a character from ``'0'`` on, the lowest first; 0x20 says that more follow, the sign
is the top bit of the last group, and from the fourth count on a count is kept as the difference to
the one two before it. Polygons are filled as COCO's own tools fill them: the outline is walked in
steps of a fifth of a pixel, a pixel's column is entered where the outline crosses its middle, and
from one crossing to the next one down is inside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray

_STEPS = 5
"""Steps of an outline's walk within one pixel."""

_Whole = npt.NDArray[np.int64]


def decode_segmentation(segmentation: object, shape: tuple[int, int]) -> BoolArray:
    """``(H, W) bool`` mask of an annotation's ``segmentation``.

    Args:
        segmentation: A list of polygons ``[x0, y0, x1, y1, …]``, or a mapping with ``size``
            ``[H, W]`` and ``counts`` as a list or as packed text.
        shape: (H, W) of the image.

    Raises:
        ValueError: It is none of these, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        return _decode_runs(segmentation, shape)
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise ValueError(
            f"expected a list of polygons or a run-length mask, got {type(segmentation).__name__}"
        )
    mask = np.zeros(shape, dtype=bool)
    for polygon in segmentation:
        mask |= fill_polygon(polygon, shape)
    return mask


def fill_polygon(polygon: object, shape: tuple[int, int]) -> BoolArray:
    """``(H, W) bool``: the pixels inside one polygon, by COCO's rule.

    Args:
        polygon: ``[x0, y0, x1, y1, …]``, at least three points; pixel edges on the integers.
        shape: (H, W).

    Raises:
        ValueError: It is no such list, or a number is not finite.
    """
    try:
        flat = np.asarray(polygon, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a polygon of numbers, got {str(polygon)[:40]}") from error
    if flat.ndim != 1 or len(flat) < 6 or len(flat) % 2:
        raise ValueError(
            f"expected a polygon as x, y, x, y, … of at least three points, got {flat.size} numbers"
        )
    if not np.isfinite(flat).all():
        raise ValueError("expected a polygon of finite numbers")
    corners = np.trunc(_STEPS * flat.reshape(-1, 2) + 0.5).astype(np.int64)
    return _between_crossings(_walk(corners), shape)


def unpack_counts(text: str | bytes) -> list[int]:
    """The run lengths of COCO's packed text.

    Raises:
        ValueError: The text ends within a number, or has a foreign character.
    """
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for byte in data:
        bits = byte - 48
        if not 0 <= bits < 64:
            raise ValueError(f"expected packed run lengths, got the character {chr(byte)!r}")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("expected packed run lengths, got a text that is cut off")
    return counts


def _decode_runs(segmentation: Mapping[str, object], shape: tuple[int, int]) -> BoolArray:
    """``(H, W) bool`` of ``{"size": …, "counts": …}``."""
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, Sequence) or tuple(size) != shape:
        raise ValueError(f"expected a run-length mask of size {list(shape)}, got size {size}")
    if isinstance(counts, str | bytes):
        counts = unpack_counts(counts)
    if not isinstance(counts, Sequence) or not all(isinstance(n, int) and n >= 0 for n in counts):
        raise ValueError("expected run lengths as whole numbers or as packed text")
    if sum(counts) != shape[0] * shape[1]:
        raise ValueError(
            f"expected run lengths that add up to {shape[0]} × {shape[1]} pixels, got {sum(counts)}"
        )
    inside: BoolArray = np.arange(len(counts)) % 2 == 1
    mask: BoolArray = np.repeat(inside, counts).reshape(shape[1], shape[0]).T
    return mask


def _walk(corners: _Whole) -> _Whole:
    """``(N, 2)`` points (x, y) in fifths of a pixel along the closed outline of ``corners``."""
    parts = []
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = np.abs(end - start)
        along = 0 if steps[0] >= steps[1] else 1
        # always walked from the lower coordinate up, so that both ways round give the same points
        backwards = start[along] > end[along]
        low, high = (end, start) if backwards else (start, end)
        t = np.arange(steps[along] + 1)
        slope = (high[1 - along] - low[1 - along]) / max(int(steps[along]), 1)
        points = np.empty((len(t), 2), dtype=np.int64)
        points[:, along] = low[along] + t
        points[:, 1 - along] = np.trunc(low[1 - along] + slope * t + 0.5).astype(np.int64)
        parts.append(points[::-1] if backwards else points)
    return np.concatenate(parts)


def _between_crossings(points: _Whole, shape: tuple[int, int]) -> BoolArray:
    """``(H, W) bool``: what lies between the places where an outline crosses a column's middle."""
    height, width = shape
    x, y = points[:, 0], points[:, 1]
    moves = np.flatnonzero(np.diff(x))
    columns = (np.minimum(x[moves], x[moves + 1]) + 0.5) / _STEPS - 0.5
    rows = np.minimum(y[moves], y[moves + 1])
    is_middle = (columns == np.floor(columns)) & (columns >= 0) & (columns <= width - 1)
    rows = np.ceil(np.clip((rows[is_middle] + 0.5) / _STEPS - 0.5, 0, height)).astype(np.int64)
    places = columns[is_middle].astype(np.int64) * height + rows
    toggles = np.bincount(places, minlength=height * width + 1)[: height * width]
    inside: BoolArray = np.cumsum(toggles) % 2 == 1
    return inside.reshape(width, height).T
