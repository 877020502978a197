"""Clean-up of masks: smooth outlines, filled holes, no specks; the cost follows the object's box.

Every step takes pixels that clicks have decided and leaves them as the clicks say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, PostProcessing, Window

Pixels = Sequence[tuple[int, int]]


def clean_mask(
    mask: BoolArray, window: Window, clicks: Sequence[Click], settings: PostProcessing
) -> BoolArray:
    """``(h, w) bool``: the mask smoothed, then its holes filled, then its specks left out.

    For masks without probabilities, such as committed objects: threshold and clicked parts
    have no say here.

    Args:
        mask: ``(h, w) bool`` of the window; not changed.
        window: Level-0 pixels.
        clicks: Level-0 pixels; those outside the window have no say.
        settings: What to do.
    """
    inside = [click for click in clicks if window.contains(click)]
    positive = [to_pixel(click, window) for click in inside if click.is_positive]
    negative = [to_pixel(click, window) for click in inside if click.is_negative]
    cleaned = smooth_outline(mask, settings.smooth_px, positive, negative)
    if settings.fill_holes:
        cleaned = fill_holes(cleaned, [to_pixel(c, window) for c in inside if not c.is_positive])
    if settings.min_part_px > 1:
        cleaned = keep_parts(cleaned, positive, settings.min_part_px)
    cleaned = cleaned.copy()
    for click in inside:
        if not click.is_boundary:
            cleaned[to_pixel(click, window)] = click.is_positive
    return cleaned


def clean_cut(
    mask: BoolArray,
    window: Window,
    clicks: Sequence[Click],
    settings: PostProcessing,
    whole: Window,
) -> BoolArray:
    """``clean_mask`` of a mask that was cut to its box, as if the rest of the image were there.

    Args:
        mask: ``(h, w) bool`` of the window; not changed.
        window: Beyond it the object has no pixel.
        clicks: In the window's pixels.
        settings: What to do.
        whole: The image, in the window's pixels.
    """
    reach = math.ceil(settings.smooth_px)
    top, bottom = reach * (window.y0 > whole.y0), reach * (window.y1 < whole.y1)
    left, right = reach * (window.x0 > whole.x0), reach * (window.x1 < whole.x1)
    padded = np.pad(mask, ((top, bottom), (left, right)))
    around = Window(window.y0 - top, window.x0 - left, window.y1 + bottom, window.x1 + right)
    cleaned = clean_mask(padded, around, clicks, settings)
    return cleaned[window.relative_to(around).slices]


def to_pixel(click: Click, window: Window) -> tuple[int, int]:
    """(row, column) of the click in the window's own array."""
    row, column = click.pixel
    return row - window.y0, column - window.x0


def smooth_outline(
    mask: BoolArray, radius_px: float, positive: Pixels = (), negative: Pixels = ()
) -> BoolArray:
    """``(h, w) bool``: each pixel as most pixels of the disk around it are.

    Straight edges stay where they are, corners get round, spikes and notches narrower than
    the disk go; object and background are treated alike. The disk holds the pixels at a
    distance of at most ``radius_px``; beyond the array the mask goes on as at its border.
    Where that would take a click's pixel to the other side, the disk around it stays as it was.

    Args:
        mask: ``(h, w) bool``; not changed.
        radius_px: Of the disk; below 1 nothing changes.
        positive: Pixels that are in and stay in.
        negative: Pixels that are out and stay out.
    """
    reach = math.floor(radius_px)
    if reach < 1:
        return mask
    rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    disk = (rows**2 + columns**2 <= radius_px**2).astype(np.float32)

    def smooth(part: BoolArray, _pixels: Pixels) -> BoolArray:
        count = cv2.filter2D(
            part.astype(np.uint8), cv2.CV_32F, disk, borderType=cv2.BORDER_REPLICATE
        )
        is_most: BoolArray = count > 0.5 * float(disk.sum())
        return is_most

    smoothed = _on_box(mask, smooth, (), reach)
    for pixels, is_in in ((positive, True), (negative, False)):
        for row, column in pixels:
            if mask[row, column] == is_in and smoothed[row, column] != is_in:
                _restore(smoothed, mask, (row, column), disk > 0)
    return smoothed


def _restore(smoothed: BoolArray, mask: BoolArray, pixel: tuple[int, int], disk: BoolArray) -> None:
    """Copies the disk around the pixel from ``mask`` to ``smoothed``."""
    reach = disk.shape[0] // 2
    (row, column), (height, width) = pixel, mask.shape
    y0, x0 = max(row - reach, 0), max(column - reach, 0)
    y1, x1 = min(row + reach + 1, height), min(column + reach + 1, width)
    part = disk[y0 - row + reach : y1 - row + reach, x0 - column + reach : x1 - column + reach]
    smoothed[y0:y1, x0:x1][part] = mask[y0:y1, x0:x1][part]


def fill_holes(mask: BoolArray, kept: Pixels = ()) -> BoolArray:
    """``(h, w) bool``: the mask with its holes filled.

    A hole is background that is cut off from the array's border (4-connected). Holes at a
    ``kept`` pixel, or touching it, stay: a negative or boundary click says that there is one.
    """

    def fill(part: BoolArray, pixels: Pixels) -> BoolArray:
        # One more pixel of background around it: everything outside is then in one part.
        is_in = np.pad(part, 1).astype(np.uint8)
        seeds = [(0, 0), *_around(pixels, is_in.shape)]
        for row, column in seeds:
            if is_in[row, column] == 0:
                cv2.floodFill(is_in, None, (column, row), 2, flags=4)
        filled: BoolArray = is_in[1:-1, 1:-1] != 2
        return filled

    return _on_box(mask, fill, kept)


def _around(pixels: Pixels, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The pixels and their eight neighbours, in an array with a border of one more pixel."""
    return [
        (row, column)
        for y, x in pixels
        for row in range(max(y, 0), min(y + 3, shape[0]))
        for column in range(max(x, 0), min(x + 3, shape[1]))
    ]


def keep_parts(mask: BoolArray, positive: Pixels, min_part_px: float) -> BoolArray:
    """``(h, w) bool``: the parts (8-connected) that are large enough, and those clicked on.

    Where no part holds a click, the largest stays too, so that something is left.

    Args:
        mask: ``(h, w) bool``; not changed.
        positive: Pixels whose parts stay.
        min_part_px: Smallest area that stays; infinity: only what was clicked on.
    """

    def keep(part: BoolArray, pixels: Pixels) -> BoolArray:
        count, parts, stats, _ = cv2.connectedComponentsWithStats(
            part.astype(np.uint8), connectivity=8
        )
        if count <= 2:
            return part
        areas = stats[:, cv2.CC_STAT_AREA]
        height, width = part.shape
        chosen = {int(parts[y, x]) for y, x in pixels if 0 <= y < height and 0 <= x < width} - {0}
        is_kept = areas >= min_part_px
        is_kept[list(chosen) or [1 + int(np.argmax(areas[1:]))]] = True
        is_kept[0] = False
        kept: BoolArray = is_kept[parts]
        return kept

    return _on_box(mask, keep, positive)


def keep_clicked_parts(mask: BoolArray, positive: Pixels) -> BoolArray:
    """``(h, w) bool``: the connected parts that hold a positive click, else the largest one."""
    return keep_parts(mask, positive, math.inf)


def _on_box(
    mask: BoolArray,
    step: Callable[[BoolArray, Pixels], BoolArray],
    pixels: Pixels,
    margin: int = 0,
) -> BoolArray:
    """The mask after a step that sees nothing but the object's box and ``margin`` around it."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return mask
    y0, x0 = max(y - margin, 0), max(x - margin, 0)
    box = (slice(y0, y + height + margin), slice(x0, x + width + margin))
    done = np.zeros_like(mask)
    done[box] = step(mask[box], [(row - y0, column - x0) for row, column in pixels])
    return done


def mask_box(mask: BoolArray, window: Window) -> Window | None:
    """Smallest window (level-0 pixels) around the mask, None when it is empty."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        return None
    return Window(window.y0 + y, window.x0 + x, window.y0 + y + height, window.x0 + x + width)
