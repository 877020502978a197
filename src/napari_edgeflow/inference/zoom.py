"""Which part of the raster the network looks at, and how pixels map to its input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray, Window
from napari_edgeflow.raster.source import Level

MIN_WINDOW_PX = 32
DEFAULT_VIEW_PX = 1024
LARGEST_WHOLE_PX = 2048
EXPANSION = 1.4
WIDEST_EXPANSION = 2.5
SAME_WINDOW_IOU = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """A window, the pyramid level it is read at and the network's input size for it.

    Attributes:
        window: Level-0 pixels; its edges lie on pixel edges of the level.
        level: Index of the level.
        shape: (h, w) of the network's input.
    """

    window: Window
    level: int
    shape: tuple[int, int]

    @property
    def scale_yx(self) -> tuple[float, float]:
        """Input pixels per level-0 pixel."""
        return self.shape[0] / self.window.height, self.shape[1] / self.window.width

    def to_input(self, click: Click) -> Click:
        """The click in the input's pixels: edges map to edges, so centres shift by a half."""
        scale_y, scale_x = self.scale_yx
        row, column = click.pixel
        return Click.of_kind(
            (row + 0.5 - self.window.y0) * scale_y - 0.5,
            (column + 0.5 - self.window.x0) * scale_x - 0.5,
            click.kind,
        )


def first_window(click: Click, shape: tuple[int, int], field_of_view: float | None) -> Window:
    """The square that the user looks at around the first click, moved into the raster.

    Args:
        click: The first click.
        shape: (H, W) of the raster.
        field_of_view: Side in level-0 pixels; None: the whole raster up to 2048 px, else
            1024.
    """
    if field_of_view is None:
        field_of_view = max(shape) if max(shape) <= LARGEST_WHOLE_PX else DEFAULT_VIEW_PX
    side = round(min(max(field_of_view, MIN_WINDOW_PX), max(*shape, MIN_WINDOW_PX)))
    row, column = click.pixel
    return _square(row + 0.5, column + 0.5, (side, side), shape)


def adaptive_expansion(box: Window, view: Window) -> float:
    """From 2.5 for the smallest objects of a view down to 1.4, by the square root of the share.

    The adaptive margin of intention-aware feature propagation (section 3.2), in the numbers
    of its published code: max(2.5 − 4·√(box / view), 1.4).
    """
    share = (box.height * box.width) / (view.height * view.width)
    return max(WIDEST_EXPANSION - 4 * math.sqrt(share), EXPANSION)


def object_window(
    box: Window,
    clicks: Sequence[Click],
    shape: tuple[int, int],
    expansion: float = EXPANSION,
) -> Window:
    """The object's box and all clicks, expanded, moved into the raster.

    The expansion is 1.4 (RITM's ZoomIn) unless given; the shorter side is at least half the
    longer.
    """
    for click in clicks:
        row, column = click.pixel
        box = box.union(Window(row, column, row + 1, column + 1))
    height = max(box.height * expansion, MIN_WINDOW_PX)
    width = max(box.width * expansion, MIN_WINDOW_PX)
    longer = max(height, width)
    sides = (max(height, longer / 2), max(width, longer / 2))
    return _square(
        (box.y0 + box.y1) / 2,
        (box.x0 + box.x1) / 2,
        (math.ceil(sides[0]), math.ceil(sides[1])),
        shape,
    )


def _square(
    centre_y: float, centre_x: float, sides: tuple[int, int], shape: tuple[int, int]
) -> Window:
    """A window of ``sides`` around a centre, shifted to lie inside, cut if it cannot."""
    height, width = min(sides[0], shape[0]), min(sides[1], shape[1])
    y0 = min(max(math.floor(centre_y - height / 2), 0), shape[0] - height)
    x0 = min(max(math.floor(centre_x - width / 2), 0), shape[1] - width)
    return Window(y0, x0, y0 + height, x0 + width)


def keeps_window(old: Window, wanted: Window, clicks: Sequence[Click]) -> bool:
    """True when the old window still serves: much the same extent and every click inside.

    RITM's rule: the product of the overlaps along rows and columns is at least one half.
    """
    if not all(old.contains(click) for click in clicks):
        return False
    common = old.intersect(wanted)
    if common is None:
        return False
    rows = common.height / (max(old.y1, wanted.y1) - min(old.y0, wanted.y0))
    columns = common.width / (max(old.x1, wanted.x1) - min(old.x0, wanted.x0))
    return rows * columns >= SAME_WINDOW_IOU


def touched_window(mask: BoolArray, window: Window, shape: tuple[int, int]) -> Window | None:
    """A window grown by half on the sides where the mask meets its border, None if nowhere.

    Sides on the raster's own border do not count.
    """
    grow_y, grow_x = window.height // 2, window.width // 2
    y0 = window.y0 - grow_y if window.y0 > 0 and mask[0].any() else window.y0
    y1 = window.y1 + grow_y if window.y1 < shape[0] and mask[-1].any() else window.y1
    x0 = window.x0 - grow_x if window.x0 > 0 and mask[:, 0].any() else window.x0
    x1 = window.x1 + grow_x if window.x1 < shape[1] and mask[:, -1].any() else window.x1
    if (y0, x0, y1, x1) == (window.y0, window.x0, window.y1, window.x1):
        return None
    return Window(max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1]))


def choose_view(
    window: Window, levels: Sequence[Level], shape: tuple[int, int], input_shape: tuple[int, int]
) -> View:
    """The coarsest level that still holds all the detail the input can show.

    The window is moved outwards to whole pixels of that level, so that the read pixels
    cover exactly the window.
    """
    shrink = min(window.height / input_shape[0], window.width / input_shape[1])
    fitting = [i for i, level in enumerate(levels) if max(level.scale_yx) <= max(shrink, 1.0)]
    level = max(fitting, key=lambda i: max(levels[i].scale_yx)) if fitting else 0
    scale_y, scale_x = levels[level].scale_yx
    snapped = Window(
        math.floor(math.floor(window.y0 / scale_y) * scale_y),
        math.floor(math.floor(window.x0 / scale_x) * scale_x),
        min(math.ceil(math.ceil(window.y1 / scale_y) * scale_y), shape[0]),
        min(math.ceil(math.ceil(window.x1 / scale_x) * scale_x), shape[1]),
    )
    return View(snapped, level, input_shape)


def window_at_level(view: View, levels: Sequence[Level]) -> Window:
    """The view's window in its level's own pixels."""
    level = levels[view.level]
    scale_y, scale_x = level.scale_yx
    return Window(
        round(view.window.y0 / scale_y),
        round(view.window.x0 / scale_x),
        min(math.ceil(view.window.y1 / scale_y), level.shape[0]),
        min(math.ceil(view.window.x1 / scale_x), level.shape[1]),
    )


def resample(plane: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """``(h, w[, C]) float32`` at another size: by area when shrinking, cubic when growing."""
    if plane.shape[:2] == shape:
        return plane
    shrinks = shape[0] <= plane.shape[0] and shape[1] <= plane.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    out = cv2.resize(plane, (shape[1], shape[0]), interpolation=method)
    return np.asarray(out, dtype=np.float32).reshape(*shape, *plane.shape[2:])


def move_plane(plane: FloatArray, old: View, new: View) -> FloatArray:
    """``(h, w) float32`` of the old view as the new view sees it, 0 where it saw nothing."""
    if old == new:
        return plane
    old_y, old_x = old.scale_yx
    new_y, new_x = new.scale_yx
    scale = np.array([old_x / new_x, old_y / new_y])
    corner = np.array([new.window.x0 - old.window.x0, new.window.y0 - old.window.y0])
    offset = 0.5 * scale - 0.5 + corner * np.array([old_x, old_y])
    matrix = np.array([[scale[0], 0.0, offset[0]], [0.0, scale[1], offset[1]]])
    moved = cv2.warpAffine(
        plane,
        matrix,
        (new.shape[1], new.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0.0,),
    )
    return np.asarray(moved, dtype=np.float32)
