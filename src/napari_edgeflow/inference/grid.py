"""Windows too large for an array of level-0 pixels are kept in square cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from napari_edgeflow._types import (
    BoolArray,
    Click,
    FloatArray,
    MaskPatch,
    PostProcessing,
    Window,
)
from napari_edgeflow.inference.zoom import resample

MOST_CELLS = 4096**2
_LONGEST = 2**14


@dataclass(frozen=True, slots=True)
class Grid:
    """A window in cells of ``scale`` × ``scale`` level-0 pixels, the last ones cut at its end.

    Attributes:
        window: Level-0 pixels.
        scale: Side of a cell.
    """

    window: Window
    scale: int = 1

    @classmethod
    def of(cls, window: Window, most_cells: int = MOST_CELLS) -> Grid:
        """The finest grid of at most that many cells whose side is a power of two."""
        grid = cls(window)
        while grid.shape[0] * grid.shape[1] > most_cells or max(grid.shape) > _LONGEST:
            grid = cls(window, 2 * grid.scale)
        return grid

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of cells."""
        return -(-self.window.height // self.scale), -(-self.window.width // self.scale)

    @property
    def cells(self) -> Window:
        """The window whose pixels are the cells; level-0 pixels where the scale is 1."""
        if self.scale == 1:
            return self.window
        return Window(0, 0, *self.shape)

    def to_cells(self, clicks: Sequence[Click]) -> tuple[Click, ...]:
        """The clicks in pixels of ``cells``."""
        if self.scale == 1:
            return tuple(clicks)
        moved = []
        for click in clicks:
            row, column = click.pixel
            y, x = (row - self.window.y0) // self.scale, (column - self.window.x0) // self.scale
            moved.append(Click.of_kind(y, x, click.kind))
        return tuple(moved)

    def settings(self, settings: PostProcessing) -> PostProcessing:
        """The settings with their sizes in cells."""
        return replace(
            settings,
            min_part_px=math.ceil(settings.min_part_px / self.scale**2),
            smooth_px=settings.smooth_px / self.scale,
        )

    def to_window(self, box: Window | None) -> Window | None:
        """A box of cells in level-0 pixels, cut at the window's end."""
        if box is None or self.scale == 1:
            return box
        return Window(
            self.window.y0 + box.y0 * self.scale,
            self.window.x0 + box.x0 * self.scale,
            min(self.window.y0 + box.y1 * self.scale, self.window.y1),
            min(self.window.x0 + box.x1 * self.scale, self.window.x1),
        )

    def disobeyed(self, mask: BoolArray, clicks: Sequence[Click]) -> tuple[MaskPatch, ...]:
        """The pixels of clicks that the mask's cells say the opposite of, as patches.

        Clicks of both kinds may share a cell.

        Args:
            mask: ``(h, w) bool`` of the cells.
            clicks: Level-0 pixels; those outside the window have no say.
        """
        if self.scale == 1:
            return ()
        inside = [click for click in clicks if self.window.contains(click)]
        patches = []
        for click, cell in zip(inside, self.to_cells(inside), strict=True):
            if not click.is_boundary and mask[cell.pixel] != click.is_positive:
                row, column = click.pixel
                pixel = Window(row, column, row + 1, column + 1)
                patches.append(MaskPatch(pixel, np.full((1, 1), click.is_positive)))
        return tuple(patches)

    def spread(self, plane: FloatArray) -> FloatArray:
        """``(h, w) float32`` of the cells from a ``(n, m) float32`` plane of the whole window."""
        if self.scale == 1:
            return resample(plane, self.shape)
        rows, columns = plane.shape
        step_y = self.scale * rows / self.window.height
        step_x = self.scale * columns / self.window.width
        matrix = np.array([[step_x, 0.0, step_x / 2 - 0.5], [0.0, step_y, step_y / 2 - 0.5]])
        spread = cv2.warpAffine(
            plane,
            matrix,
            (self.shape[1], self.shape[0]),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(spread, dtype=np.float32)
