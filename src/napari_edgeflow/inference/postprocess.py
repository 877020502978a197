"""From probabilities to a mask, without the network: threshold, obedience, components."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray, Window

OBEY_SHARE = 0.05
OBEY_LEVEL = 0.8
BOUNDARY_SHARE = 0.1


def probs_to_mask(
    probs: FloatArray,
    window: Window,
    clicks: Sequence[Click],
    *,
    threshold: float,
    largest_component: bool,
) -> BoolArray:
    """``(h, w) bool`` mask of the window.

    A positive click's pixel is always inside and a negative's outside, each with the
    connected neighbourhood whose probabilities are like the click's own; where two clicks
    disagree, the later one wins on its pixel.

    Through a boundary click's pixel passes the mask's boundary (of the 3×3 pixels around it
    some are in and some are out) if the probabilities allow it: where a boundary is near
    enough, the probability at the click takes the threshold's place between the two.

    Args:
        probs: ``(h, w) float32 in [0, 1]`` of the window.
        window: Level-0 pixels.
        clicks: Level-0 pixels; those outside the window have no say here.
        threshold: Probability above which a pixel is in.
        largest_component: Keep only the parts that hold a positive click; the largest part
            when none does.
    """
    mask: BoolArray = probs > threshold
    inside = [click for click in clicks if window.contains(click)]
    signed = [click for click in inside if not click.is_boundary]
    for index, click in enumerate(signed):
        row, column = _pixel(click, window)
        if mask[row, column] != click.is_positive:
            _obey(mask, probs, (row, column), click.is_positive, _others(signed, index, window))
    for click in inside:
        if click.is_boundary:
            pull_boundary(mask, probs, _pixel(click, window))
    if largest_component:
        mask = keep_clicked_parts(mask, [_pixel(c, window) for c in inside if c.is_positive])
    for click in signed:
        mask[_pixel(click, window)] = click.is_positive
    return mask


def _pixel(click: Click, window: Window) -> tuple[int, int]:
    row, column = click.pixel
    return row - window.y0, column - window.x0


def _others(clicks: Sequence[Click], index: int, window: Window) -> list[tuple[int, int]]:
    """Pixels of the clicks that say the opposite of click ``index``."""
    sign = clicks[index].is_positive
    return [_pixel(click, window) for click in clicks if click.is_positive != sign]


def _obey(
    mask: BoolArray,
    probs: FloatArray,
    pixel: tuple[int, int],
    is_positive: bool,
    opposite: Sequence[tuple[int, int]],
) -> None:
    """Sets the click's neighbourhood in ``mask``, in place.

    The neighbourhood is connected, lies within a disk that stops half-way to any opposite
    click and is at most a twentieth of the window, and its probability for the click's
    sign is at least 0.8 times that at the click.
    """
    row, column = pixel
    radius = max(OBEY_SHARE * math.sqrt(mask.size), 1.5)
    for other in opposite:
        radius = min(radius, 0.5 * math.hypot(other[0] - row, other[1] - column))
    reach = math.floor(radius)
    y0, y1 = max(row - reach, 0), min(row + reach + 1, mask.shape[0])
    x0, x1 = max(column - reach, 0), min(column + reach + 1, mask.shape[1])
    part = probs[y0:y1, x0:x1]
    favour = part if is_positive else 1 - part
    rows, columns = np.ogrid[y0 - row : y1 - row, x0 - column : x1 - column]
    alike = (favour >= OBEY_LEVEL * favour[row - y0, column - x0]) & (
        rows**2 + columns**2 <= radius**2
    )
    _, parts = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    mask[y0:y1, x0:x1][parts == parts[row - y0, column - x0]] = is_positive


def pull_boundary(mask: BoolArray, probs: FloatArray, pixel: tuple[int, int]) -> bool:
    """False when the boundary cannot be made to pass through the pixel; works in place.

    Within a disk of a tenth of the window's side, the connected pixels between the click's
    probability and the boundary change sides: taken into the mask when the click lies
    outside of it, cut off when inside. They must reach the boundary within the disk, so that
    no island and no hole comes of it; else nothing changes.

    Args:
        mask: ``(h, w) bool``.
        probs: ``(h, w) float32 in [0, 1]``.
        pixel: Row and column of the click.
    """
    if _is_mixed(mask, pixel):
        return True
    row, column = pixel
    radius = max(BOUNDARY_SHARE * math.sqrt(mask.size), 1.5)
    reach = math.floor(radius)
    part = (
        slice(max(row - reach, 0), row + reach + 1),
        slice(max(column - reach, 0), column + reach + 1),
    )
    rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
    is_near = (rows[part[0]] - row) ** 2 + (columns[:, part[1]] - column) ** 2 <= radius**2
    is_in, level = bool(mask[pixel]), probs[pixel]
    beyond = probs[part] <= level if is_in else probs[part] >= level
    changing = is_near & beyond & (mask[part] == is_in)
    _, parts = cv2.connectedComponents(changing.astype(np.uint8), connectivity=4)
    tongue = parts == parts[row - part[0].start, column - part[1].start]
    around = cv2.dilate(tongue.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if not (around & is_near & (mask[part] != is_in)).any():
        return False
    changed = mask[part] ^ tongue
    before = mask[part].copy()
    mask[part] = changed
    if not _is_mixed(mask, pixel):
        mask[part] = before
        return False
    return True


def _is_mixed(mask: BoolArray, pixel: tuple[int, int]) -> bool:
    """True when the pixel and its eight neighbours are not all in or all out.

    Beyond the window everything is out.
    """
    row, column = pixel
    around = mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return bool(around.any()) and not (around.size == 9 and bool(around.all()))


def keep_clicked_parts(mask: BoolArray, positive: Sequence[tuple[int, int]]) -> BoolArray:
    """``(h, w) bool``: the connected parts that hold a positive click, else the largest one."""
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    chosen = {int(parts[pixel]) for pixel in positive} - {0}
    if not chosen:
        chosen = {1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))}
    keep = np.zeros(count, dtype=bool)
    keep[list(chosen)] = True
    kept: BoolArray = keep[parts]
    return kept


def mask_box(mask: BoolArray, window: Window) -> Window | None:
    """Smallest window (level-0 pixels) around the mask, None when it is empty."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if width == 0:
        return None
    return Window(window.y0 + y, window.x0 + x, window.y0 + y + height, window.x0 + x + width)
