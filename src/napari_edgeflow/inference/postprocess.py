"""From probabilities to a mask, without the network: threshold, obedience, clean-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray, PostProcessing, Window
from napari_edgeflow.inference.cleaning import (
    clean_mask,
    keep_clicked_parts,
    smooth_outline,
    to_pixel,
)

OBEY_SHARE = 0.05
OBEY_LEVEL = 0.8
BOUNDARY_SHARE = 0.1
PLAIN = PostProcessing()
"""Threshold 0.5 and the clicked parts."""


def probs_to_mask(
    probs: FloatArray,
    window: Window,
    clicks: Sequence[Click],
    settings: PostProcessing = PLAIN,
) -> BoolArray:
    """``(h, w) bool`` mask of the window.

    The steps, in this order:

    1. pixels above the threshold are in;
    2. a positive click's pixel is in and a negative's out, each with the connected
       neighbourhood whose probabilities are like the click's own; where two clicks disagree,
       the later one wins on its pixel;
    3. the outline is smoothed (``smooth_outline``);
    4. through a boundary click's pixel passes the mask's boundary (of the 3×3 pixels around it
       some are in and some are out) if the probabilities allow it: where a boundary is near
       enough, the probability at the click takes the threshold's place between the two;
    5. the parts that hold a positive click stay, the largest part when none does
       (``largest_component``);
    6. holes are filled, but not those that hold a negative or touch a boundary click;
    7. parts that are too small are left out, but not those that hold a positive click.

    Each of 3 and 5 to 7 only if the settings say so, and none undoes step 2.

    Args:
        probs: ``(h, w) float32 in [0, 1]`` of the window.
        window: Level-0 pixels.
        clicks: Level-0 pixels; those outside the window have no say here.
        settings: Threshold and clean-up.
    """
    mask: BoolArray = probs > settings.threshold
    inside = [click for click in clicks if window.contains(click)]
    signed = [click for click in inside if not click.is_boundary]
    for index, click in enumerate(signed):
        row, column = to_pixel(click, window)
        if mask[row, column] != click.is_positive:
            _obey(mask, probs, (row, column), click.is_positive, _others(signed, index, window))
    positive = [to_pixel(click, window) for click in signed if click.is_positive]
    negative = [to_pixel(click, window) for click in signed if click.is_negative]
    mask = smooth_outline(mask, settings.smooth_px, positive, negative)
    for click in inside:
        if click.is_boundary:
            pull_boundary(mask, probs, to_pixel(click, window))
    if settings.largest_component:
        mask = keep_clicked_parts(mask, positive)
    return clean_mask(mask, window, inside, replace(settings, smooth_px=0.0))


def _others(clicks: Sequence[Click], index: int, window: Window) -> list[tuple[int, int]]:
    """Pixels of the clicks that say the opposite of click ``index``."""
    sign = clicks[index].is_positive
    return [to_pixel(click, window) for click in clicks if click.is_positive != sign]


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
