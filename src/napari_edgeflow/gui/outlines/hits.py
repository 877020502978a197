"""Which corner or edge of some rings is under the cursor; plain geometry on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_edgeflow.vector.polygons import Ring

REACH_PX = 8.0
"""How near to a corner or an edge the cursor must be, in pixels of the screen."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A place on a ring.

    Attributes:
        ring: Which ring.
        corner: The corner, or the one where the edge begins.
        along: Where on the edge, in [0, 1]; None for a corner.
    """

    ring: int
    corner: int
    along: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ScreenFrame:
    """From rows and columns of a plane to pixels of the screen.

    Attributes:
        matrix: ``(2, 2) float64``: a step of one row, one column, as columns.
        origin: ``(2,) float64``: where row 0, column 0 is.
    """

    matrix: npt.NDArray[np.float64]
    origin: npt.NDArray[np.float64]

    def put(self, yx: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """``(N, 2)`` places on the screen."""
        placed: npt.NDArray[np.float64] = yx @ self.matrix.T + self.origin
        return placed


def find_hit(rings: Sequence[Ring], frame: ScreenFrame, at: npt.NDArray[np.float64]) -> Hit | None:
    """The corner within reach that is nearest, else the edge; None when there is neither.

    Args:
        rings: Corners (y, x).
        frame: Where they are on the screen.
        at: ``(2,)``: the cursor on the screen.
    """
    best: tuple[float, Hit | None] = (REACH_PX, None)
    best_edge: tuple[float, Hit | None] = (REACH_PX, None)
    for number, ring in enumerate(rings):
        placed = frame.put(ring)
        away = np.hypot(*(placed - at).T)
        corner = int(away.argmin())
        if away[corner] < best[0]:
            best = float(away[corner]), Hit(number, corner)
        edge, distance, along = _nearest_on_edges(placed, at)
        if distance < best_edge[0]:
            best_edge = distance, Hit(number, edge, along)
    return best[1] or best_edge[1]


def open_ring(yx: Ring) -> Ring:
    """The ring without its last corner where that is the first again."""
    return yx[:-1] if len(yx) > 1 and np.array_equal(yx[0], yx[-1]) else yx


def with_corner(ring: Ring, hit: Hit) -> Ring:
    """The ring with a new corner at that place on its edge."""
    start, end = ring[hit.corner], ring[(hit.corner + 1) % len(ring)]
    place = start + (hit.along or 0.0) * (end - start)
    return np.insert(ring, hit.corner + 1, place, axis=0)


def without_corners(ring: Ring, corners: Sequence[int]) -> Ring:
    """The ring without these corners; empty when fewer than three are left."""
    left = np.delete(ring, list(corners), axis=0)
    return left if len(left) >= 3 else ring[:0]


def corners_in_box(
    rings: Sequence[Ring], corner_yx: Sequence[float], opposite_yx: Sequence[float]
) -> list[tuple[int, int]]:
    """(ring, corner) of the corners in a box, its border included; any two opposite corners."""
    low, high = np.minimum(corner_yx, opposite_yx), np.maximum(corner_yx, opposite_yx)
    return [
        (number, int(index))
        for number, ring in enumerate(rings)
        for index in np.flatnonzero(((ring >= low) & (ring <= high)).all(axis=1))
    ]


def _nearest_on_edges(placed: Ring, at: npt.NDArray[np.float64]) -> tuple[int, float, float]:
    """(edge, distance, place along it in [0, 1]) of the nearest edge."""
    step = np.roll(placed, -1, axis=0) - placed
    length2 = np.maximum((step**2).sum(axis=1), 1e-300)
    along = np.clip(((at - placed) * step).sum(axis=1) / length2, 0, 1)
    away = np.hypot(*(placed + along[:, None] * step - at).T)
    edge = int(away.argmin())
    return edge, float(away[edge]), float(along[edge])
