"""Polygons with holes along the edges of a mask's pixels, and simpler ones.

Coordinates are ``(y, x)`` with pixel centres on the integers, so that outlines of masks run on
halves. Pixels that touch only at a corner belong to different polygons (4-connectivity), which
keeps every polygon valid; holes may touch the outline at a corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow._types import BoolArray, Window

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
    if not mask.any():
        return ()
    offset = np.array((0, 0) if window is None else (window.y0, window.x0)) - 0.5
    corners, parts = _find_corners(mask)
    exteriors: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for cycle in _cycles(corners):
        part = int(parts[cycle[0]])
        row, column = corners[cycle[0], :2]
        # the walk began to the right: with the mask below, that is the way round of an exterior
        is_exterior_way = row < mask.shape[0] and bool(mask[row, column])
        for ring in _split_at_touching(corners[cycle if is_exterior_way else cycle[::-1], :2]):
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


def _find_corners(mask: BoolArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Corners of the outlines in units of pixel edges, and the connected part of each.

    Where two pixels touch at a corner, it is there twice, once for each pixel.

    Returns:
        ``(N, 4)``: row, column, place among corners at one spot along its row, along its column;
        ``(N,)``: part of the mask, from 1.
    """
    padded = np.pad(mask, 1)
    _, parts = cv2.connectedComponents(padded.astype(np.uint8), connectivity=4)
    ul, ur, ll, lr = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    count = ul.astype(np.int8) + ur + ll + lr
    is_touching = (count == 2) & (ul == lr)
    found = []
    turns = np.nonzero((count == 1) | (count == 3))
    around = np.stack([parts[y : y + len(ul), x : x + ul.shape[1]][turns] for y, x in _NEAR])
    found.append((turns, 0, 0, around.max(axis=0)))
    # the pixel on one side of the spot owns the edge to that side: it sorts before its opposite
    for (y, x), pixel in zip(_NEAR, (ul, ur, ll, lr), strict=True):
        spots = np.nonzero(is_touching & pixel)
        found.append((spots, x, y, parts[spots[0] + y, spots[1] + x]))
    corners = np.concatenate(
        [
            np.stack([at[0], at[1], np.full_like(at[0], x), np.full_like(at[0], y)], axis=1)
            for at, x, y, _ in found
        ]
    )
    return corners.astype(np.int64), np.concatenate([part for *_, part in found])


_NEAR = ((0, 0), (0, 1), (1, 0), (1, 1))


def _cycles(corners: npt.NDArray[np.int64]) -> list[list[int]]:
    """Indices of the corners along each closed outline, the topmost first, then to the right.

    Along each row the corners pair up: the first is joined to the second, the third to the
    fourth; likewise along each column. Outlines take these edges in turn.
    """
    row, column, along_row, along_column = corners.T
    across = _partners(np.lexsort((along_row, column, row)))
    down = _partners(np.lexsort((along_column, row, column)))
    starts = np.lexsort((column, row)).tolist()
    is_done = [False] * len(corners)
    cycles = []
    for start in starts:
        if is_done[start]:
            continue
        cycle, here = [], start
        while not is_done[here]:
            other = across[here]
            is_done[here] = is_done[other] = True
            cycle += [here, other]
            here = down[other]
        cycles.append(cycle)
    return cycles


def _partners(order: npt.NDArray[np.intp]) -> list[int]:
    partner = np.empty_like(order)
    partner[order[0::2]] = order[1::2]
    partner[order[1::2]] = order[0::2]
    found: list[int] = partner.tolist()
    return found


def _split_at_touching(ring: npt.NDArray[np.int64]) -> list[Ring]:
    """The ring, cut into rings that pass no spot twice; each keeps its way round."""
    stack: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    rings = []
    for spot in map(tuple, ring.tolist()):
        if spot in place:
            start = place[spot]
            loop = stack[start:]
            del stack[start + 1 :]
            for gone in loop[1:]:
                del place[gone]
            rings.append(np.array(loop, dtype=np.float64))
        else:
            place[spot] = len(stack)
            stack.append(spot)
    return [*rings, np.array(stack, dtype=np.float64)]
