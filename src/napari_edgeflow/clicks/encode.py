"""Maps that show clicks to a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, FloatArray


def disk_maps(clicks: Sequence[Click], shape: tuple[int, int], radius_px: float) -> FloatArray:
    """``(2, H, W) float32`` maps, positive then negative: 1 within the disks, 0 elsewhere.

    A pixel belongs to a disk when its squared distance to the click's pixel is at most the
    squared radius (RITM's rule).

    Args:
        clicks: In the coordinates of the maps; those outside paint what reaches inside.
        shape: (H, W) of the maps.
        radius_px: Radius in pixels of the maps.
    """
    maps = np.zeros((2, *shape), dtype=np.float32)
    reach = math.ceil(radius_px)
    for click in clicks:
        row, column = click.pixel
        y0, y1 = max(row - reach, 0), min(row + reach + 1, shape[0])
        x0, x1 = max(column - reach, 0), min(column + reach + 1, shape[1])
        if y0 >= y1 or x0 >= x1:
            continue
        rows = np.arange(y0, y1)[:, None] - row
        columns = np.arange(x0, x1)[None, :] - column
        channel = 0 if click.is_positive else 1
        maps[channel, y0:y1, x0:x1][rows**2 + columns**2 <= radius_px**2] = 1.0
    return maps


def mask_edge(mask: BoolArray) -> FloatArray:
    """``(H, W) float32`` of 0 and 1: the edge of a ``(H, W) bool`` mask, two pixels wide.

    One pixel on either side of the boundary: dilation minus erosion by 3×3, which is also
    what edge heads are trained to predict.
    """
    values = mask.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    edge = cv2.dilate(values, kernel) - cv2.erode(values, kernel)
    return np.asarray(edge, dtype=np.float32)
