"""Where to look again: cells along a mask's boundary, each the middle of a tile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, MaskPatch, Window

Cell = tuple[int, int]
"""(row, column) of a lattice."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Square cells over a window, counted from its corner; a tile is twice as large as its cell.

    Tiles overlap by half, so that every pixel of a cell is at least a quarter of a tile away
    from its tile's border, but at the raster's own border, where tiles are moved inside.

    Attributes:
        window: Level-0 pixels.
        scale: Level-0 pixels per pixel of a tile.
        side: Of a tile, in its own pixels; a multiple of 4.
        raster: (rows, columns) of the raster.
    """

    window: Window
    scale: int
    side: int
    raster: tuple[int, int]

    @property
    def cell_px(self) -> int:
        """Side of a cell in level-0 pixels."""
        return self.side // 2 * self.scale

    def cell(self, cell: Cell) -> Window:
        """What a cell covers, cut at the window's end."""
        y0, x0 = self.window.y0 + cell[0] * self.cell_px, self.window.x0 + cell[1] * self.cell_px
        y1, x1 = min(y0 + self.cell_px, self.window.y1), min(x0 + self.cell_px, self.window.x1)
        return Window(y0, x0, y1, x1)

    def tile(self, cell: Cell) -> Window:
        """The tile around a cell, inside the raster, on whole tile pixels from the corner on."""
        (y0, y1), (x0, x1) = (self._span(cell[axis], axis) for axis in (0, 1))
        return Window(y0, x0, y1, x1)

    def _span(self, index: int, axis: int) -> tuple[int, int]:
        origin = (self.window.y0, self.window.x0)[axis]
        size, length = self.raster[axis], self.side * self.scale
        first = -(origin // self.scale)  # the first whole tile pixel of the raster
        last = (size - length - origin) // self.scale
        wanted = index * (self.side // 2) - self.side // 4
        start = origin + max(min(wanted, last), first) * self.scale
        return start, min(start + length, size)

    def cells_in(self, window: Window) -> list[Cell]:
        """The cells that a window inside the lattice's own overlaps."""
        y0, x0 = window.y0 - self.window.y0, window.x0 - self.window.x0
        y1, x1 = window.y1 - 1 - self.window.y0, window.x1 - 1 - self.window.x0
        step = self.cell_px
        return [
            (row, column)
            for row in range(y0 // step, y1 // step + 1)
            for column in range(x0 // step, x1 // step + 1)
        ]

    def touched(self, patch: MaskPatch) -> set[Cell]:
        """The cells that hold a boundary pixel of the patch."""
        rows, columns = np.nonzero(boundary(patch.mask))
        y = patch.window.y0 - self.window.y0 + rows * patch.scale
        x = patch.window.x0 - self.window.x0 + columns * patch.scale
        places = np.unique(np.stack([y // self.cell_px, x // self.cell_px], axis=1), axis=0)
        return {(int(row), int(column)) for row, column in places}


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """A mask so far: what is known coarsely, and cells that were looked at more closely.

    Attributes:
        base: What covers the window.
        stages: Cells of each later look, coarser looks first.
    """

    base: tuple[MaskPatch, ...]
    stages: tuple[tuple[Lattice, dict[Cell, MaskPatch]], ...] = ()

    @property
    def window(self) -> Window:
        """What is covered."""
        return self.base[0].window

    @property
    def newest(self) -> tuple[MaskPatch, ...]:
        """The patches that hold the mask's boundary."""
        return tuple(self.stages[-1][1].values()) if self.stages else self.base[:1]

    @property
    def fine(self) -> tuple[MaskPatch, ...]:
        """All patches but the first, coarser ones first."""
        looked = (patch for _, cells in self.stages for patch in cells.values())
        return (*self.base[1:], *looked)

    def mask_in(self, window: Window, scale: int) -> BoolArray:
        """``(h, w) bool`` of a window inside, in cells of ``scale`` pixels."""
        mask = np.zeros((-(-window.height // scale), -(-window.width // scale)), dtype=bool)
        for patch in self.base:
            patch.paste(mask, window, scale)
        for lattice, cells in self.stages:
            for cell in lattice.cells_in(window):
                if cell in cells:
                    cells[cell].paste(mask, window, scale)
        return mask

    def around(self, window: Window, margin: int, scale: int) -> tuple[BoolArray, Window]:
        """The mask of a window and ``margin`` cells around it, and what that covers."""
        grown = Window(
            window.y0 - margin * scale,
            window.x0 - margin * scale,
            window.y1 + margin * scale,
            window.x1 + margin * scale,
        ).intersect(self.window)
        if grown is None:
            raise ValueError(f"expected a window inside {self.window}, got {window}")
        return self.mask_in(grown, scale), grown


def boundary(mask: BoolArray) -> BoolArray:
    """``(h, w) bool``: pixels with a neighbour on the other side; the array's border is none."""
    plane = mask.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    is_edge: BoolArray = cv2.dilate(plane, kernel) != cv2.erode(plane, kernel)
    return is_edge


def near_boundary(mask: BoolArray, reach: float) -> BoolArray:
    """``(h, w) bool``: pixels at a distance of at most ``reach`` from the other side."""
    if mask.all() or not mask.any():
        return np.zeros_like(mask)
    plane = mask.astype(np.uint8)
    inner = cv2.distanceTransform(plane, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    outer = cv2.distanceTransform(1 - plane, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    is_near: BoolArray = (inner + outer) <= reach
    return is_near


def deepest_pixels(mask: BoolArray, count: int, least_px: float) -> list[tuple[int, int]]:
    """(row, column) of up to ``count`` pixels that lie deep inside the mask, apart from another.

    Each is the deepest that is left; around it a disk of one and a half times its depth, at
    least an eighth of the array's side, is out of the question for the next.

    Args:
        mask: ``(h, w) bool``; the array's border counts as the mask's.
        count: At most.
        least_px: Least distance from the mask's border.
    """
    depth = cv2.distanceTransform(
        np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
    )[1:-1, 1:-1]
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    apart = math.sqrt(mask.size) / 6
    found = []
    for _ in range(count):
        row, column = (int(at) for at in np.unravel_index(depth.argmax(), depth.shape))
        if depth[row, column] < least_px:
            break
        found.append((row, column))
        radius = max(1.5 * float(depth[row, column]), apart)
        depth[(rows - row) ** 2 + (columns - column) ** 2 < radius**2] = 0
    return found


def without_islands(mask: BoolArray, is_fixed: BoolArray) -> BoolArray:
    """``(h, w) bool``: parts and holes that touch neither a fixed pixel nor the border change side.

    Args:
        mask: ``(h, w) bool``; not changed.
        is_fixed: ``(h, w) bool``: pixels that are sure to be on their side.
    """
    cleaned = mask.copy()
    anchored = is_fixed.copy()
    anchored[[0, -1]] = True
    anchored[:, [0, -1]] = True
    for side in (True, False):
        count, parts = cv2.connectedComponents(
            (cleaned == side).astype(np.uint8), connectivity=8 if side else 4
        )
        is_kept = np.zeros(count, dtype=bool)
        is_kept[np.unique(parts[anchored])] = True
        is_kept[0] = True
        cleaned[~is_kept[parts]] = not side
    return cleaned
