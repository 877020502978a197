"""COCO's run lengths of an object of a larger image, by its outline alone.

Pixels are counted down the columns, starting with background. The packed text keeps five bits a
character from ``'0'`` on, the lowest first; 0x20 says that more follow, and from the fourth count
on a count is kept as the difference to the one two before it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.vector.polygons import Polygon


def polygons_to_counts(
    polygons: Iterable[Polygon], window: Window, shape: tuple[int, int]
) -> list[int]:
    """Run lengths of a whole image, background first, of what lies in the polygons.

    Runs begin and end where an outline goes along a row, so that no mask is needed.

    Args:
        polygons: Along pixel edges, of ``mask_to_polygons``; (y, x), pixel centres whole.
        window: Of the image in the polygons' pixels: its corner is the origin of the counts.
        shape: (H, W) of the image.
    """
    edges = [np.zeros(0, np.int64)]
    for ring in (ring for polygon in polygons for ring in polygon.rings):
        corners = np.rint(ring + 0.5).astype(np.int64) - (window.y0, window.x0)
        ends = np.roll(corners, -1, axis=0)
        is_across = corners[:, 0] == ends[:, 0]
        row, here, there = corners[is_across, 0], corners[is_across, 1], ends[is_across, 1]
        first, length = np.minimum(here, there), np.abs(there - here)
        step = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
        edges.append((np.repeat(first, length) + step) * shape[0] + np.repeat(row, length))
    places = np.sort(np.concatenate(edges))
    # a run that goes on at the top of the next column is one run: its end and start are the same
    is_joint = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate([is_joint, is_joint + 1]))
    counts: list[int] = np.diff(places, prepend=0, append=shape[0] * shape[1]).tolist()
    return counts if counts[-1] else counts[:-1]


def pack_counts(counts: list[int]) -> str:
    """The packed text of run lengths."""
    text = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            bits = value & 0x1F
            value >>= 5
            is_last = value == (-1 if bits & 0x10 else 0)
            text.append(chr(48 + (bits if is_last else bits | 0x20)))
            if is_last:
                break
    return "".join(text)
