"""Edits of polygons by hand: corners moved, added, deleted; polygons split, merged, cut.

Polygons are never changed in place. An edit whose result is no valid polygon raises; the caller
keeps what it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import shapely
from shapely.ops import split as split_by_line

from napari_edgeflow.vector.polygons import Polygon, Ring, polygons_from_shapely, simplify

YX = tuple[float, float]


def problem_of(polygon: Polygon) -> str:
    """What makes the polygon invalid, in words; empty when it is valid."""
    if any(len(ring) < 3 for ring in polygon.rings):
        return "fewer than three corners"
    if not all(np.isfinite(ring).all() for ring in polygon.rings):
        return "corners that are not finite"
    shape = polygon.to_shapely()
    return "" if shape.is_valid else str(shapely.is_valid_reason(shape))


def mend(polygon: Polygon) -> tuple[Polygon, ...]:
    """Valid polygons of the same area, as far as that can be said; the polygon if it is valid.

    Where an outline crosses itself, each closed loop counts as inside; what a hole covers outside
    the exterior is nothing. Rings of fewer than three corners are left out.

    Raises:
        ValueError: A corner is not finite.
    """
    problem = problem_of(polygon)
    if not problem:
        return (polygon,)
    if not all(np.isfinite(ring).all() for ring in polygon.rings):
        raise ValueError(f"expected a polygon with finite corners, got one with: {problem}")
    if len(polygon.exterior) < 3:
        return ()
    holes = [_mend_ring(hole) for hole in polygon.holes if len(hole) >= 3]
    outside = shapely.union_all(holes)
    return polygons_from_shapely(shapely.difference(_mend_ring(polygon.exterior), outside))


def _mend_ring(ring: Ring) -> shapely.Geometry:
    return shapely.make_valid(shapely.Polygon(ring[:, ::-1]), method="structure")


def move_vertex(polygon: Polygon, ring: int, index: int, to_yx: YX) -> Polygon:
    """The polygon with one corner elsewhere.

    Args:
        polygon: Valid.
        ring: 0 for the exterior, 1… for the holes.
        index: Corner of that ring.
        to_yx: Where it goes.

    Raises:
        ValueError: There is no such corner, or the outline would cross itself.
    """
    corners = _ring(polygon, ring).copy()
    _check_index(corners, index)
    corners[index] = to_yx
    return _checked(_with_ring(polygon, ring, corners))


def insert_vertex(polygon: Polygon, at_yx: YX) -> Polygon:
    """The polygon with a new corner there, on the edge that is nearest.

    Raises:
        ValueError: The outline would cross itself.
    """
    ring, edge = nearest_edge(polygon, at_yx)
    corners = np.insert(polygon.rings[ring], edge + 1, at_yx, axis=0)
    return _checked(_with_ring(polygon, ring, corners))


def nearest_edge(polygon: Polygon, at_yx: YX) -> tuple[int, int]:
    """(ring, index of the corner where the edge begins) of the edge nearest to a place."""
    point = np.array(at_yx, dtype=np.float64)
    best = (np.inf, 0, 0)
    for number, ring in enumerate(polygon.rings):
        along = np.roll(ring, -1, axis=0) - ring
        length2 = np.maximum((along**2).sum(axis=1), 1e-300)
        t = np.clip(((point - ring) * along).sum(axis=1) / length2, 0, 1)
        distance = np.hypot(*(ring + t[:, None] * along - point).T)
        edge = int(distance.argmin())
        best = min(best, (float(distance[edge]), number, edge))
    return best[1], best[2]


def delete_vertices(polygon: Polygon, chosen: Iterable[tuple[int, int]]) -> Polygon:
    """The polygon without these corners; a hole left with fewer than three goes altogether.

    Args:
        polygon: Valid.
        chosen: Pairs of ring (0 for the exterior) and corner.

    Raises:
        ValueError: There is no such corner, the exterior would have fewer than three, or an
            outline would cross itself.
    """
    keep = [np.ones(len(ring), dtype=bool) for ring in polygon.rings]
    for ring, index in chosen:
        _check_index(_ring(polygon, ring), index)
        keep[ring][index] = False
    exterior, *holes = (ring[kept] for ring, kept in zip(polygon.rings, keep, strict=True))
    if len(exterior) < 3:
        raise ValueError(
            f"expected at least three corners to stay, got {len(exterior)}; delete the object "
            "instead"
        )
    return _checked(Polygon(exterior, tuple(hole for hole in holes if len(hole) >= 3)))


def vertices_in_box(polygon: Polygon, corner_yx: YX, opposite_yx: YX) -> list[tuple[int, int]]:
    """(ring, index) of the corners in a box, its border included; any two opposite corners."""
    low = np.minimum(corner_yx, opposite_yx)
    high = np.maximum(corner_yx, opposite_yx)
    return [
        (number, int(index))
        for number, ring in enumerate(polygon.rings)
        for index in np.flatnonzero(((ring >= low) & (ring <= high)).all(axis=1))
    ]


def delete_in_box(polygon: Polygon, corner_yx: YX, opposite_yx: YX) -> Polygon:
    """The polygon without the corners in a box; see ``delete_vertices``."""
    return delete_vertices(polygon, vertices_in_box(polygon, corner_yx, opposite_yx))


def split(polygon: Polygon, line_yx: npt.NDArray[np.float64]) -> tuple[Polygon, ...]:
    """The parts of the polygon on the sides of a line, the largest first.

    Args:
        polygon: Valid.
        line_yx: ``(N, 2) float64``, N ≥ 2: the line's corners (y, x); it may bend.

    Raises:
        ValueError: The line is none, or does not go right through.
    """
    if line_yx.ndim != 2 or line_yx.shape[1] != 2 or len(line_yx) < 2:
        raise ValueError(f"expected a line of at least two points, got shape {line_yx.shape}")
    line = shapely.node(shapely.LineString(line_yx[:, ::-1]))
    parts: list[shapely.Geometry] = [polygon.to_shapely()]
    for piece in shapely.get_parts(shapely.line_merge(line)):
        parts = [part for one in parts for part in split_by_line(one, piece).geoms]
    if len(parts) < 2:
        raise ValueError(
            "expected a line that goes right through the polygon, got one that does not part it; "
            "begin and end outside"
        )
    found = [part for shape in parts for part in polygons_from_shapely(shape)]
    return tuple(sorted(found, key=lambda part: -part.area))


def merge(polygons: Iterable[Polygon]) -> tuple[Polygon, ...]:
    """The polygons joined; those that touch along an edge or overlap become one."""
    return polygons_from_shapely(shapely.union_all([polygon.to_shapely() for polygon in polygons]))


def cut_away(polygons: Iterable[Polygon], eraser: Polygon) -> tuple[Polygon, ...]:
    """What is left of the polygons outside the eraser; nothing, one or several."""
    knife = shapely.make_valid(eraser.to_shapely(), method="structure")
    whole = shapely.union_all([polygon.to_shapely() for polygon in polygons])
    return polygons_from_shapely(shapely.difference(whole, knife))


def count_vertices(polygons: Sequence[Polygon], tolerance_px: float) -> int:
    """How many corners are left at this tolerance, for a slider's caption."""
    return sum(polygon.n_vertices for polygon in simplify(polygons, tolerance_px))


def _ring(polygon: Polygon, ring: int) -> Ring:
    if not 0 <= ring < len(polygon.rings):
        raise ValueError(f"expected a ring 0…{len(polygon.rings) - 1}, got {ring}")
    return polygon.rings[ring]


def _check_index(corners: Ring, index: int) -> None:
    if not 0 <= index < len(corners):
        raise ValueError(f"expected a corner 0…{len(corners) - 1}, got {index}")


def _with_ring(polygon: Polygon, ring: int, corners: Ring) -> Polygon:
    if ring == 0:
        return replace(polygon, exterior=corners)
    holes = list(polygon.holes)
    holes[ring - 1] = corners
    return replace(polygon, holes=tuple(holes))


def _checked(polygon: Polygon) -> Polygon:
    problem = problem_of(polygon)
    if problem:
        raise ValueError(f"expected a polygon that does not cross itself, got one with: {problem}")
    return polygon
