"""Right-angled outlines for buildings.

The outline is simplified; its main direction is the one in which its edges, weighted by length,
agree best modulo 90°. Edges are turned to that direction or across it, those of one kind in a row
become one, and steps shorter than asked for are evened out, the shortest first. Where the
rectangle of least area fits about as well, it is taken: four corners are what a plain roof has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from napari_edgeflow.vector.polygons import Polygon, Ring, polygons_from_shapely, simplify

_RECTANGLE_LOSS = 0.02
"""IoU that a rectangle may lack against the outline with more corners."""


@dataclass(frozen=True, slots=True, eq=False)
class Regularised:
    """A polygon with right angles, and how well it fits.

    Attributes:
        polygon: With right angles; the polygon that was given where none fits.
        iou: With the polygon that was given, in [0, 1].
        is_changed: False when nothing right-angled was close enough.
    """

    polygon: Polygon
    iou: float
    is_changed: bool


def square_up(polygon: Polygon, *, min_edge_px: float = 4.0, min_iou: float = 0.85) -> Regularised:
    """The polygon with right angles, where that fits.

    Args:
        polygon: Valid. Holes are squared in the same direction; one that does not survive goes.
        min_edge_px: Steps of the outline shorter than this are evened out.
        min_iou: IoU with the polygon below which it is left as it is.

    Raises:
        ValueError: ``min_edge_px`` is not positive.
    """
    if not min_edge_px > 0:
        raise ValueError(f"expected a shortest edge > 0 px, got {min_edge_px}")
    before = polygon.to_shapely()
    stepped = _stepped(polygon, min_edge_px)
    rectangle = _rectangle(polygon)
    fits = {id(shape): _iou(shape.to_shapely(), before) for shape in (*stepped, *rectangle)}
    best = max(stepped, key=lambda shape: fits[id(shape)], default=None)
    iou = fits[id(best)] if best is not None else 0.0
    for shape in rectangle:
        if fits[id(shape)] >= iou - _RECTANGLE_LOSS:
            best, iou = shape, fits[id(shape)]
    if best is None or iou < min_iou:
        return Regularised(polygon, 1.0, is_changed=False)
    return Regularised(best, iou, is_changed=True)


def main_direction(ring: Ring) -> float:
    """Angle in [0, π/2] along which, or across which, most of the ring's length runs.

    Measured from the x axis towards the y axis; edges' directions are averaged as angles times
    four, so that all sides of a rectangle agree.
    """
    dy, dx = (np.roll(ring, -1, axis=0) - ring).T
    total = np.sum(np.hypot(dy, dx) * np.exp(4j * np.arctan2(dy, dx)))
    return float(np.angle(total) / 4 % (math.pi / 2))


def _stepped(polygon: Polygon, min_edge_px: float) -> list[Polygon]:
    """Right-angled versions from more and less simplified outlines; valid ones only."""
    found = []
    for tolerance in (min_edge_px / 4, min_edge_px / 2):
        parts = simplify([polygon], tolerance)
        if len(parts) != 1:
            continue
        angle = main_direction(parts[0].exterior)
        rings = [_square_ring(ring, angle, min_edge_px) for ring in parts[0].rings]
        if rings[0] is None:
            continue
        squared = Polygon(rings[0], tuple(ring for ring in rings[1:] if ring is not None))
        if squared.to_shapely().is_valid:
            found.append(squared)
    return found


def _square_ring(ring: Ring, angle: float, min_edge_px: float) -> Ring | None:
    """The ring with edges along and across the angle; None when less than a rectangle is left."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    runs = _merge_runs(_edges(ring @ turn.T))
    while len(runs) > 4:
        shortest = min(range(len(runs)), key=lambda i: _length(runs, i))
        if _length(runs, shortest) >= min_edge_px:
            break
        runs = _merge_runs([run for i, run in enumerate(runs) if i != shortest])
    if len(runs) < 4:
        return None
    places = [run.place for run in runs]
    corners = [
        (here, after) if run.is_across else (after, here)
        for run, here, after in zip(runs, places, places[1:] + places[:1], strict=True)
    ]
    squared: Ring = np.array(corners) @ turn
    return squared


@dataclass(frozen=True, slots=True)
class _Run:
    """Edges in a row that become one: its kind, its place on the other axis, its weight."""

    is_across: bool  # along the second axis (x): its place is a y
    place: float
    weight: float


def _edges(ring: Ring) -> list[_Run]:
    ends = np.roll(ring, -1, axis=0)
    step, middle = np.abs(ends - ring), (ends + ring) / 2
    return [
        _Run(bool(dx >= dy), float(y if dx >= dy else x), float(max(dx, dy)))
        for (dy, dx), (y, x) in zip(step, middle, strict=True)
    ]


def _merge_runs(runs: list[_Run]) -> list[_Run]:
    """Neighbours of the same kind as one, at the mean place by weight; round the corner too."""
    merged: list[_Run] = []
    for run in runs:
        if merged and merged[-1].is_across == run.is_across:
            merged[-1] = _join(merged[-1], run)
        else:
            merged.append(run)
    if len(merged) > 1 and merged[0].is_across == merged[-1].is_across:
        merged[0] = _join(merged.pop(), merged[0])
    return merged


def _join(a: _Run, b: _Run) -> _Run:
    weight = a.weight + b.weight
    place = (a.place * a.weight + b.place * b.weight) / weight if weight else a.place
    return _Run(a.is_across, place, weight)


def _length(runs: list[_Run], index: int) -> float:
    """Of the edge that a run becomes: from the run before it to the one after it."""
    return abs(runs[(index + 1) % len(runs)].place - runs[index - 1].place)


def _rectangle(polygon: Polygon) -> list[Polygon]:
    """The rectangle of least area around the outline, shrunk to the polygon's own area."""
    if polygon.holes:
        return []
    shape = shapely.minimum_rotated_rectangle(polygon.to_shapely())
    return [_shrink(around, polygon.area) for around in polygons_from_shapely(shape)]


def _shrink(rectangle: Polygon, area: float) -> Polygon:
    """The rectangle with all sides moved in by the same step until it has this area."""
    a, b, _, d = rectangle.exterior
    width, height = math.dist(a, b), math.dist(a, d)
    # (width - 2 s)(height - 2 s) = area
    root = math.sqrt(max((width - height) ** 2 + 4 * area, 0.0))
    step = (width + height - root) / 4
    centre = rectangle.exterior.mean(axis=0)
    u, v = (b - a) / width, (d - a) / height
    half_u, half_v = u * (width / 2 - step), v * (height / 2 - step)
    corners = [centre - half_u - half_v, centre + half_u - half_v]
    return Polygon(np.array([*corners, centre + half_u + half_v, centre - half_u + half_v]))


def _iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
    union = shapely.union(a, b).area
    return float(shapely.intersection(a, b).area / union) if union else 0.0
