"""Corners of the outlines in a mask that is read in strips, and which part of it each belongs to.

A strip is a run of whole rows. What is kept from strip to strip is one row and the corners found,
so that memory follows the outline and not the area. The corners do not depend on how the mask was
cut: a corner is a matter of the 2×2 pixels around it, and the numbers of connected parts are
joined over the borders of strips.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, BoolArray

STRIP_PIXELS = 2**21
"""Of a strip that is looked at at once; about ten bytes are needed for each."""

_Numbers = npt.NDArray[np.int64]
_NEAR = ((0, 0), (0, 1), (1, 0), (1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Corners:
    """Corners of outlines, in units of pixel edges.

    Where two pixels touch at a corner, it is there twice, once for each pixel.

    Attributes:
        spots: ``(N, 2) int64`` row and column.
        ranks: ``(N, 2) int64`` place among the corners at one spot, along its row and its column.
        parts: ``(N,) int64`` connected part of the mask (4-connectivity).
        is_open_below: ``(N,) bool``: the pixel below and to the right is in the mask.
        is_double: ``(N,) bool``: there is another corner at the spot.
    """

    spots: _Numbers
    ranks: _Numbers
    parts: _Numbers
    is_open_below: BoolArray
    is_double: BoolArray


def find_corners(strips: Iterable[BoolArray], width: int) -> Corners:
    """The corners of a mask.

    Args:
        strips: ``(h, width) bool`` each, from the top, any heights.
        width: Columns of the mask.
    """
    parts = _Parts()
    found: list[Corners] = []
    above = np.zeros((1, width + 2), bool)
    above_parts = np.zeros(width + 2, np.int64)
    row = 0
    for strip in _with_end(strips, width):
        block = np.concatenate([above, np.pad(strip, ((0, 0), (1, 1)))])
        _, local = cv2.connectedComponents(block.view(np.uint8), connectivity=4)
        table = parts.number(local, above_parts)
        found.append(_corners_of(block, local, table, row))
        row += len(strip)
        above, above_parts = block[-1:].copy(), table[local[-1]]
    joined = _concatenate(found)
    return Corners(
        joined.spots,
        joined.ranks,
        parts.final()[joined.parts],
        joined.is_open_below,
        joined.is_double,
    )


def cut_into_strips(rows: AnyArray) -> Iterator[AnyArray]:
    """The array in runs of rows of at most ``STRIP_PIXELS``; of an empty one nothing."""
    step = max(1, STRIP_PIXELS // max(rows.shape[1], 1))
    for y in range(0, len(rows), step):
        yield rows[y : y + step]


def _with_end(strips: Iterable[BoolArray], width: int) -> Iterator[BoolArray]:
    """Strips small enough, and an empty row at the end, which closes what reaches the last one."""
    last = np.zeros((0, width), bool)
    for strip in strips:
        for piece in cut_into_strips(strip):
            if len(last):
                yield last
            last = piece
    yield np.pad(last, ((0, 1), (0, 0)))


class _Parts:
    """Numbers of connected parts over all strips; those that turn out to be one are joined."""

    def __init__(self) -> None:
        self._parents = [0]

    def number(self, local: AnyArray, above_parts: _Numbers) -> _Numbers:
        """``(n,)``: the number over all strips of each number in this one.

        Args:
            local: ``(1 + h, w)`` numbers in this strip; its first row is the last of the one above.
            above_parts: ``(w,)`` numbers over all strips of that row.
        """
        table = np.full(int(local.max()) + 1, -1, np.int64)
        table[0] = 0
        is_met = above_parts > 0
        pairs = np.unique(np.stack([local[0][is_met], above_parts[is_met]]), axis=1)
        for here, there in pairs.T.tolist():
            known, root = int(table[here]), self._root(there)
            if known >= 0:
                known = self._root(known)
                self._parents[max(known, root)] = min(known, root)
                root = min(known, root)
            table[here] = root
        new = np.flatnonzero(table < 0)
        first = len(self._parents)
        self._parents.extend(range(first, first + len(new)))
        table[new] = np.arange(first, first + len(new))
        return table

    def final(self) -> _Numbers:
        """``(n,)``: the number that each number ended as."""
        parents = np.array(self._parents, np.int64)
        while True:
            further = parents[parents]
            if np.array_equal(further, parents):
                return parents
            parents = further

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number


def _corners_of(block: BoolArray, local: AnyArray, table: _Numbers, row: int) -> Corners:
    """The corners between the rows of a block, whose first row is the one above the strip."""
    ul, ur, ll, lr = block[:-1, :-1], block[:-1, 1:], block[1:, :-1], block[1:, 1:]
    count = ul.view(np.int8) + ur.view(np.int8)
    count += ll.view(np.int8)
    count += lr.view(np.int8)
    found = []
    turns = np.nonzero(count & 1)
    around = np.stack([local[turns[0] + y, turns[1] + x] for y, x in _NEAR])
    found.append((turns, 0, 0, around.max(axis=0)))
    at_two = np.nonzero(count == 2)
    is_touching = ul[at_two] == lr[at_two]
    touching = at_two[0][is_touching], at_two[1][is_touching]
    # the pixel on one side of the spot owns the edge to that side: it sorts before its opposite
    for (y, x), pixel in zip(_NEAR, (ul, ur, ll, lr), strict=True):
        is_mine = pixel[touching]
        spots = touching[0][is_mine], touching[1][is_mine]
        found.append((spots, x, y, local[spots[0] + y, spots[1] + x]))
    return _concatenate(
        [
            Corners(
                np.stack([at[0] + row, at[1]], axis=1).astype(np.int64),
                np.broadcast_to(np.array([x, y], np.int64), (len(at[0]), 2)),
                table[part],
                lr[at],
                np.full(len(at[0]), number > 0),
            )
            for number, (at, x, y, part) in enumerate(found)
        ]
    )


def _concatenate(corners: list[Corners]) -> Corners:
    return Corners(
        np.concatenate([one.spots for one in corners]),
        np.concatenate([one.ranks for one in corners]),
        np.concatenate([one.parts for one in corners]),
        np.concatenate([one.is_open_below for one in corners]),
        np.concatenate([one.is_double for one in corners]),
    )
