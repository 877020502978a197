"""Polygons of neighbouring objects that share their edges, and stay so when made simpler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_edgeflow._types import BoolArray, LabelArray, Window
from napari_edgeflow.vector.corners import cut_into_strips
from napari_edgeflow.vector.polygons import Polygon, Ring, strips_to_polygons

_WIDE = np.int64(2**31)
_Numbers = npt.NDArray[np.int64]


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
    return label_strips_to_polygons([labels], label, window)


def label_strips_to_polygons(
    strips: Iterable[LabelArray], label: int, window: Window
) -> tuple[Polygon, ...]:
    """What ``label_polygons`` gives for the labels, read strip by strip, to the last bit.

    Memory grows with the outline and with the tallest strip, not with the window.

    Args:
        strips: ``(h, w)`` integers, runs of rows from the top, together the labels of the window.
        label: The object's id.
        window: As for ``label_polygons``.
    """
    nodes = _Nodes(label, window.width)
    polygons = strips_to_polygons(nodes.watch(strips), window)
    lines = nodes.lines()
    offset = np.array((window.y0, window.x0)) - 0.5
    return tuple(
        Polygon(
            _with_nodes(polygon.exterior, lines, offset),
            tuple(_with_nodes(hole, lines, offset) for hole in polygon.holes),
        )
        for polygon in polygons
    )


class _Nodes:
    """Corners, in pixel edges, where an object and two or more other labels meet."""

    def __init__(self, label: int, width: int) -> None:
        self._label = label
        self._above: LabelArray | None = None
        self._row, self._width = 0, width
        self._found = [np.zeros((0, 2), np.int64)]

    def watch(self, strips: Iterable[LabelArray]) -> Iterator[BoolArray]:
        """The object's mask in each strip; its nodes are noted on the way."""
        for strip in strips:
            for piece in cut_into_strips(strip):
                self._note(piece)
                mask: BoolArray = piece == self._label
                yield mask
        self._note(np.zeros((1, self._width), np.uint8))

    def lines(self) -> tuple[_Numbers, _Numbers]:
        """Nodes as ``row · 2³¹ + column`` and ``column · 2³¹ + row``, each sorted."""
        y, x = np.concatenate(self._found).T
        return np.sort(y * _WIDE + x), np.sort(x * _WIDE + y)

    def _note(self, strip: LabelArray) -> None:
        above = np.zeros((1, self._width), strip.dtype) if self._above is None else self._above
        block = np.pad(np.concatenate([above, strip]), ((0, 0), (1, 1)))
        y, x = np.nonzero(_is_node(block, self._label))
        self._found.append(np.stack([y + self._row, x], axis=1).astype(np.int64))
        self._row += len(strip)
        self._above = strip[-1:].copy()


def _is_node(labels: LabelArray, label: int) -> BoolArray:
    """``(h - 1, w - 1) bool``: of the 2×2 labels there three differ, and one is the object's.

    Going round the four, three or four of the steps change the label where three labels meet; so
    do they where only two meet over a corner, but then opposite ones are the same.
    """
    is_mine = labels == label
    right, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    steps = right[:-1].view(np.int8) + right[1:].view(np.int8)
    steps += down[:, :-1].view(np.int8)
    steps += down[:, 1:].view(np.int8)
    is_crossing = (labels[:-1, :-1] == labels[1:, 1:]) & (labels[:-1, 1:] == labels[1:, :-1])
    is_node: BoolArray = (steps >= 3) & ~is_crossing
    is_node &= is_mine[:-1, :-1] | is_mine[:-1, 1:] | is_mine[1:, :-1] | is_mine[1:, 1:]
    return is_node


def _with_nodes(ring: Ring, lines: tuple[_Numbers, _Numbers], offset: Ring) -> Ring:
    """The ring of straight edges, with those nodes among its corners that lie on it."""
    corners = np.round(ring - offset).astype(np.int64)
    ends = np.roll(corners, -1, axis=0)
    first, last = np.zeros((2, len(ring)), np.int64)
    for fixed, keys in enumerate(lines):
        mine = np.flatnonzero(corners[:, fixed] == ends[:, fixed])
        along = corners[mine, 1 - fixed], ends[mine, 1 - fixed]
        base = corners[mine, fixed] * _WIDE
        first[mine] = np.searchsorted(keys, base + np.minimum(*along), side="right")
        last[mine] = np.searchsorted(keys, base + np.maximum(*along), side="left")
    counts = last - first
    if not counts.any():
        return ring
    edge = np.repeat(np.arange(len(ring)), counts + 1)
    step = np.arange(len(edge)) - np.repeat(np.cumsum(counts + 1) - counts - 1, counts + 1)
    out = corners[edge]
    for fixed, keys in enumerate(lines):
        at = np.flatnonzero((step > 0) & (corners[edge, fixed] == ends[edge, fixed]))
        on = edge[at]
        is_forward = ends[on, 1 - fixed] > corners[on, 1 - fixed]
        key = keys[np.where(is_forward, first[on] + step[at] - 1, last[on] - step[at])]
        out[at, 1 - fixed] = key - corners[on, fixed] * _WIDE
    return out + offset


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


def pixel_boxes(windows: Iterable[Window]) -> list[Any]:
    """Shapely boxes (x, y) around the pixels of windows; those of neighbours share an edge."""
    corners = np.array([(w.x0, w.y0, w.x1, w.y1) for w in windows], np.float64).reshape(-1, 4)
    return list(shapely.box(*corners.T))


def groups_that_meet(hulls: Sequence[Any]) -> list[list[int]]:
    """Numbers of shapes in groups, by their first members: no two groups have a point in common.

    Given convex hulls of objects, or boxes around them, ``simplify_coverage`` of each group gives
    what it gives of all at once: corners are only taken away, so that every outline stays in its
    hull, and whether a corner may go depends on the triangle with its neighbours alone.

    Args:
        hulls: Shapely polygons whose coordinates are exact, such as those of pixels.
    """
    if not len(hulls):
        return []
    array = np.array(hulls, dtype=object)
    one, two = shapely.STRtree(array).query(array, predicate="intersects")
    links = coo_array((np.ones(len(one), bool), (one, two)), shape=(len(array),) * 2)
    n_groups, group = connected_components(links, directed=False)
    order = np.argsort(group, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(group, minlength=n_groups))[:-1])
    return sorted(members.tolist() for members in groups)


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
