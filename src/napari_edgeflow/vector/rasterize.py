"""Masks from polygons: a pixel is in when its centre is.

A centre exactly on an outline belongs to the polygon below it or to its right, so that polygons
that share an edge share no pixel and leave none out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.vector.polygons import Polygon, Ring


def polygons_to_mask(polygons: Iterable[Polygon], window: Window) -> BoolArray:
    """``(h, w) bool`` of the window: the pixels whose centres lie in any of the polygons.

    Args:
        polygons: Corners (y, x), pixel centres on the integers. Where rings of one polygon
            overlap, even-odd decides.
        window: Level-0 pixels; what lies outside is cut off.

    Raises:
        ValueError: A corner is not finite.
    """
    mask = np.zeros(window.shape, dtype=bool)
    for polygon in polygons:
        box = polygons_window([polygon])
        part = box.intersect(window) if box is not None else None
        if part is not None:
            mask[part.relative_to(window).slices] |= _fill(polygon, part)
    return mask


def polygons_window(polygons: Iterable[Polygon]) -> Window | None:
    """Smallest window that holds every pixel centre in the polygons; None when there is none.

    Raises:
        ValueError: A corner is not finite.
    """
    found: Window | None = None
    for polygon in polygons:
        if not all(np.isfinite(ring).all() for ring in polygon.rings):
            raise ValueError("expected polygons with finite corners")
        y0, x0, y1, x1 = (math.ceil(value) for value in polygon.bounds)
        if y1 > y0 and x1 > x0:
            box = Window(y0, x0, y1, x1)
            found = box if found is None else found.union(box)
    return found


def _fill(polygon: Polygon, window: Window) -> BoolArray:
    toggles = np.zeros((window.height, window.width + 1), dtype=np.int64)
    for ring in polygon.rings:
        rows, columns = _crossings(ring, window)
        np.add.at(toggles, (rows - window.y0, columns - window.x0), 1)
    inside: BoolArray = np.cumsum(toggles[:, :-1], axis=1) % 2 == 1
    return inside


def _crossings(ring: Ring, window: Window) -> tuple[AnyArray, AnyArray]:
    """Rows that the outline crosses, and the first column of the window at or after each place.

    Every edge is computed from its upper end down, so that polygons on its two sides agree.
    """
    ends = np.roll(ring, -1, axis=0)
    is_up = ring[:, 0] > ends[:, 0]
    top = np.where(is_up[:, None], ends, ring)
    bottom = np.where(is_up[:, None], ring, ends)
    first = np.clip(np.ceil(top[:, 0]), window.y0, window.y1).astype(np.int64)
    last = np.clip(np.ceil(bottom[:, 0]), window.y0, window.y1).astype(np.int64)
    counts = last - first
    edge = np.repeat(np.arange(len(ring)), counts)
    rows = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    (y0, x0), (y1, x1) = top[edge].T, bottom[edge].T
    columns = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return rows, np.clip(columns, window.x0, window.x1).astype(np.int64)
