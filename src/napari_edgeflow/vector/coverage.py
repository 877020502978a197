"""Polygons of neighbouring objects that share their edges, and stay so when made simpler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.vector.polygons import Polygon, Ring, mask_to_polygons

_WIDE = np.int64(2**31)


@dataclass(frozen=True, slots=True)
class CoverageFaults:
    """What is wrong with polygons that should tile without gaps; all 0 is right.

    Attributes:
        invalid: Polygons that are not valid.
        overlap_area: Area that more than one of them has, in squared units.
        mismatched: Polygons with an edge that a neighbour does not share exactly.
    """

    invalid: int
    overlap_area: float
    mismatched: int


def label_polygons(labels: LabelArray, label: int, window: Window) -> tuple[Polygon, ...]:
    """Polygons of one object, with a corner wherever three labels meet.

    A neighbour that ends half-way along a straight edge leaves no corner in ``mask_to_polygons``;
    two objects would then describe one edge in different words. The extra corners are a matter of
    the 2×2 pixels around them alone, so that each object can be outlined in its own window.

    Args:
        labels: ``(h, w)`` integers of the window. The window must reach one pixel beyond the
            object where the raster does; what lies outside counts as background.
        label: The object's id.
        window: Where ``labels`` lies, level-0 pixels.
    """
    offset = np.array((window.y0, window.x0)) - 0.5
    nodes = _meeting_points(labels)
    return tuple(
        Polygon(
            _with_nodes(polygon.exterior - offset, nodes) + offset,
            tuple(_with_nodes(hole - offset, nodes) + offset for hole in polygon.holes),
        )
        for polygon in mask_to_polygons(labels == label, window)
    )


def _meeting_points(labels: LabelArray) -> npt.NDArray[np.int64]:
    """``(N, 2)`` corners (row, column), in pixel edges, where three or more labels meet."""
    padded = np.pad(labels, 1)
    around = np.stack([padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]])
    around.sort(axis=0)
    return np.argwhere((np.diff(around, axis=0) != 0).sum(axis=0) >= 2).astype(np.int64)


def _with_nodes(ring: Ring, nodes: npt.NDArray[np.int64]) -> Ring:
    """The ring of straight edges, with those points among its corners that lie on it."""
    corners = np.round(ring).astype(np.int64)
    ends = np.roll(corners, -1, axis=0)
    is_across = corners[:, 0] == ends[:, 0]
    found: list[npt.NDArray[np.int64]] = []
    lines = [(_sorted_keys(nodes[:, fixed], nodes[:, 1 - fixed]), fixed) for fixed in (0, 1)]
    spans = {}
    for keys, fixed in lines:
        mine = np.flatnonzero(is_across if fixed == 0 else ~is_across)
        low = np.minimum(corners[mine, 1 - fixed], ends[mine, 1 - fixed])
        high = np.maximum(corners[mine, 1 - fixed], ends[mine, 1 - fixed])
        base = corners[mine, fixed] * _WIDE
        first = np.searchsorted(keys, base + low, side="right")
        last = np.searchsorted(keys, base + high, side="left")
        for edge, start, stop in zip(mine.tolist(), first.tolist(), last.tolist(), strict=True):
            if stop > start:
                spans[edge] = (keys[start:stop] - base[mine == edge], fixed)
    for edge, corner in enumerate(corners):
        found.append(corner[None])
        if edge in spans:
            places, fixed = spans[edge]
            extra = np.repeat(corner[None], len(places), axis=0)
            is_forward = ends[edge, 1 - fixed] > corner[1 - fixed]
            extra[:, 1 - fixed] = places if is_forward else places[::-1]
            found.append(extra)
    return np.concatenate(found).astype(np.float64)


def _sorted_keys(
    major: npt.NDArray[np.int64], minor: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    return np.sort(major * _WIDE + minor)


def simplify_coverage(shapes: Sequence[Any], tolerance: float) -> list[Any]:
    """Valid shapes with fewer corners whose common edges are still the same on both sides.

    Visvalingam-Whyatt over the whole coverage (shapely's ``coverage_simplify``): a corner goes
    when the triangle with its neighbours is smaller than the squared tolerance. Corners where
    three shapes meet stay. 0 drops only corners on straight edges.

    Args:
        shapes: Shapely polygons and multipolygons that do not overlap, of ``label_polygons``.
        tolerance: ≥ 0, in the units of the coordinates.

    Raises:
        ValueError: The tolerance is negative or not finite.
    """
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"expected a tolerance ≥ 0, got {tolerance}")
    if not len(shapes):
        return []
    simple = shapely.coverage_simplify(np.array(shapes, dtype=object), tolerance)
    return list(simple)


def coverage_faults(shapes: Sequence[Any]) -> CoverageFaults:
    """What is wrong with shapes that should not overlap and share their edges."""
    array = np.array(shapes, dtype=object)
    if not len(array):
        return CoverageFaults(0, 0.0, 0)
    invalid = int((~shapely.is_valid(array)).sum())
    pairs = shapely.STRtree(array).query(array, predicate="intersects")
    pairs = pairs[:, pairs[0] < pairs[1]]
    shared = shapely.area(shapely.intersection(array[pairs[0]], array[pairs[1]]))
    edges = shapely.coverage_invalid_edges(array)
    mismatched = int((~shapely.is_empty(edges)).sum())
    return CoverageFaults(invalid, float(shared.sum()), mismatched)
