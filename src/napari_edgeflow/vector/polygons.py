"""Polygons with holes along the edges of a mask's pixels, and simpler ones.

Coordinates are ``(y, x)`` with pixel centres on the integers, so that outlines of masks run on
halves. Pixels that touch only at a corner belong to different polygons (4-connectivity), which
keeps every polygon valid; holes may touch the outline at a corner.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.vector.corners import Corners, find_corners

Ring = npt.NDArray[np.float64]
"""``(N, 2) float64``: corners (y, x) in order, the first not repeated at the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygon:
    """An outline with holes.

    Attributes:
        exterior: ``(N, 2) float64``, N ≥ 3: corners (y, x), first not repeated.
        holes: Rings of the same form inside it.
    """

    exterior: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The exterior, then the holes."""
        return (self.exterior, *self.holes)

    @property
    def n_vertices(self) -> int:
        """Corners of all rings together."""
        return sum(map(len, self.rings))

    @property
    def area(self) -> float:
        """Square pixels, holes left out."""
        return abs(ring_area(self.exterior)) - sum(abs(ring_area(hole)) for hole in self.holes)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(y0, x0, y1, x1) of the exterior."""
        (y0, x0), (y1, x1) = self.exterior.min(axis=0), self.exterior.max(axis=0)
        return float(y0), float(x0), float(y1), float(x1)

    def to_shapely(self) -> shapely.Polygon:
        """The same in shapely, whose coordinates are (x, y)."""
        return shapely.Polygon(self.exterior[:, ::-1], [hole[:, ::-1] for hole in self.holes])


def ring_area(ring: Ring) -> float:
    """Signed area of a ring in square pixels; positive when x grows before y."""
    # relative to a corner: far from the origin the products would eat the digits
    y, x = (ring - ring[0]).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def mask_to_polygons(mask: BoolArray, window: Window | None = None) -> tuple[Polygon, ...]:
    """Polygons whose pixels are exactly those of the mask, by the row of their first corner.

    Args:
        mask: ``(h, w) bool``.
        window: Where the mask lies, level-0 pixels; None: at the origin.

    Raises:
        ValueError: The mask is not a 2-D bool array, or not of the window's shape.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise ValueError(f"expected a (h, w) bool mask, got shape {mask.shape} and {mask.dtype}")
    if window is not None and mask.shape != window.shape:
        raise ValueError(f"expected a mask of the window's {window.shape} px, got {mask.shape}")
    at = Window(0, 0, *mask.shape) if window is None else window
    return strips_to_polygons([mask] if mask.any() else [], at)


def strips_to_polygons(strips: Iterable[BoolArray], window: Window) -> tuple[Polygon, ...]:
    """What ``mask_to_polygons`` gives for the mask, read strip by strip.

    The answer is the same to the last bit however the mask is cut. Memory grows with the outline
    and with the tallest strip, not with the mask.

    Args:
        strips: ``(h, w) bool`` runs of rows, from the top, together the mask; rows that are left
            out at the end are empty.
        window: Where the mask lies, level-0 pixels.
    """
    corners = find_corners(strips, window.width)
    offset = np.array((window.y0, window.x0)) - 0.5
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for cycle in _cycles(corners):
        part = int(corners.parts[cycle[0]])
        # the walk began to the right: with the mask below, that is the way round of an exterior
        way = cycle if corners.is_open_below[cycle[0]] else cycle[::-1]
        for ring in _split_at_touching(corners.spots[way], corners.is_double[way]):
            placed = ring + offset
            if ring_area(ring) > 0:
                exteriors[part] = placed
            else:
                holes.setdefault(part, []).append(placed)
    return tuple(Polygon(ring, tuple(holes.get(part, ()))) for part, ring in exteriors.items())


def polygons_from_shapely(shape: Any) -> tuple[Polygon, ...]:
    """The polygons of any shapely geometry; its points and lines are left out."""
    if shape.is_empty:
        return ()
    if shape.geom_type == "Polygon":
        return (Polygon(_ring(shape.exterior), tuple(map(_ring, shape.interiors))),)
    if hasattr(shape, "geoms"):
        return tuple(part for one in shape.geoms for part in polygons_from_shapely(one))
    return ()


def simplify(polygons: Iterable[Polygon], tolerance_px: float) -> tuple[Polygon, ...]:
    """Valid polygons with fewer corners; the outline moves by about the tolerance at most.

    Douglas-Peucker with kept topology (shapely), each polygon for itself. Where the last corner
    of a ring meets its first, the outline may move by up to twice the tolerance. A tolerance of
    0 gives the polygons back. One that would vanish keeps its corners.

    Args:
        polygons: Valid ones.
        tolerance_px: ≥ 0, in pixels.

    Raises:
        ValueError: The tolerance is negative or not finite.
    """
    if not 0 <= tolerance_px < np.inf:
        raise ValueError(f"expected a tolerance ≥ 0 px, got {tolerance_px}")
    kept: list[Polygon] = []
    for polygon in polygons:
        kept.extend([polygon] if tolerance_px == 0 else _simplify_one(polygon, tolerance_px))
    return tuple(kept)


def _simplify_one(polygon: Polygon, tolerance_px: float) -> Sequence[Polygon]:
    simple = polygon.to_shapely().simplify(tolerance_px, preserve_topology=True)
    if not simple.is_valid:
        simple = shapely.make_valid(simple, method="structure")
    return polygons_from_shapely(simple) or (polygon,)


def _ring(line: Any) -> Ring:
    xy = np.asarray(line.coords, dtype=np.float64)
    return np.ascontiguousarray(xy[:-1, ::-1])


def _cycles(corners: Corners) -> Iterator[npt.NDArray[np.int64]]:
    """Indices of the corners along each closed outline, the topmost first, then to the right.

    Along each row the corners pair up: the first is joined to the second, the third to the
    fourth; likewise along each column. Outlines take these edges in turn.
    """
    row, column = corners.spots.T
    along_row, along_column = corners.ranks.T
    across = _partners(np.lexsort((along_row, column, row)))
    down = _partners(np.lexsort((along_column, row, column)))
    starts = np.lexsort((column, row))
    is_done = bytearray(len(starts))
    for start in starts.data:
        if is_done[start]:
            continue
        cycle, here = array("q"), start
        while not is_done[here]:
            other = across[here]
            is_done[here] = is_done[other] = 1
            cycle.append(here)
            cycle.append(other)
            here = down[other]
        yield np.frombuffer(cycle, np.int64)


def _partners(order: npt.NDArray[np.intp]) -> Sequence[int]:
    partner = np.empty(len(order), np.int64)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    return partner.data


def _split_at_touching(spots: npt.NDArray[np.int64], is_double: BoolArray) -> list[Ring]:
    """The ring, cut into rings that pass no spot twice; each keeps its way round.

    Only spots with two corners can be passed twice: what lies between them moves in one piece.
    """
    ring = spots.astype(np.float64)
    cuts = np.flatnonzero(is_double)
    if not len(cuts):
        return [ring]
    ends = [*cuts[1:].tolist(), len(ring)]
    stack: list[Ring] = [ring[: cuts[0]]]
    names: list[tuple[int, int] | None] = [None]
    place: dict[tuple[int, int], int] = {}
    rings = []
    for start, stop in zip(cuts.tolist(), ends, strict=True):
        spot = (int(spots[start, 0]), int(spots[start, 1]))
        piece = ring[start:stop]
        if spot not in place:
            place[spot] = len(stack)
            stack.append(piece)
            names.append(spot)
            continue
        first = place[spot]
        rings.append(np.concatenate(stack[first:]))
        for gone in names[first + 1 :]:
            if gone is not None:
                del place[gone]
        del stack[first:], names[first + 1 :]
        stack.append(piece)
    return [*rings, np.concatenate(stack)]
