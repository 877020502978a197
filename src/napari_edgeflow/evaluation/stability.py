"""Does what lies far from a click stay as it was?"""

from __future__ import annotations

import math

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click

MARGIN_SHARE = 0.1
"""Margin around a corrected error, as a share of the side of a square as large as the object."""

MIN_MARGIN_PX = 3


def neighbourhood(truth: BoolArray, before: BoolArray, click: Click) -> BoolArray:
    """``(H, W) bool``: where a click may well change the mask.

    The connected error that it points at (missed pixels for a positive click, wrong ones for a
    negative click), grown by a tenth of √area of the object, at least by 3 pixels.

    Args:
        truth: ``(H, W) bool``: the object.
        before: ``(H, W) bool``: the mask before the click.
        click: Inside the image.
    """
    row, column = click.pixel
    error = (truth & ~before) if click.is_positive else (before & ~truth)
    _, regions = cv2.connectedComponents(error.astype(np.uint8), connectivity=8)
    region = (regions == regions[row, column]) & error
    region[row, column] = True
    margin = max(MIN_MARGIN_PX, MARGIN_SHARE * math.sqrt(float(np.count_nonzero(truth))))
    far = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(far <= margin, dtype=bool)


def stability(before: BoolArray, after: BoolArray, near: BoolArray) -> float:
    """IoU in [0, 1] of two ``(H, W)`` masks outside of ``near``; NaN when both are empty there."""
    union = int(np.count_nonzero((before | after) & ~near))
    return int(np.count_nonzero(before & after & ~near)) / union if union else math.nan
