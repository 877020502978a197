"""Where a view lies in its image, and the pixels and masks cut out for it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray


def random_geometry(
    box: tuple[int, int, int, int],
    shape: tuple[int, ...],
    side: int,
    rng: np.random.Generator,
    zoom: tuple[float, float],
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.float64]]:
    """Where a view lies: any angle, mirrored or not, a little stretched, around an object.

    Args:
        box: ``(y0, x0, y1, x1)`` of the object, half-open.
        shape: (H, W) of the image.
        side: Of the view, in pixels.
        rng: Source of randomness.
        zoom: Smallest and largest side of the view in sides of the box, drawn log-uniformly.

    Returns:
        (region ``(y0, x0, y1, x1)`` of the image to read, ``(2, 3) float64`` matrix from the
        region's (x, y) to the view's (x, y)).
    """
    y0, x0, y1, x1 = box
    longer = max(y1 - y0, x1 - x0)
    factor = math.exp(rng.uniform(math.log(zoom[0]), math.log(zoom[1])))
    extent = max(min(longer * factor, max(1.15 * longer, min(shape[0], shape[1]))), 24.0)
    slack = max(extent - longer, 0.15 * longer) / 2
    centre_y = (y0 + y1 - 1) / 2 + rng.uniform(-slack, slack)
    centre_x = (x0 + x1 - 1) / 2 + rng.uniform(-slack, slack)
    angle = rng.uniform(0, 360)
    if extent * _diagonal(angle) > min(shape[0], shape[1]) or rng.random() < 0.4:
        angle = float(rng.choice([0, 90, 180, 270]))
    reach = extent / 2 * _diagonal(angle)
    if 2 * reach <= min(shape[0], shape[1]):
        centre_y, centre_x = _inside(centre_y, reach, shape[0]), _inside(centre_x, reach, shape[1])
    scale = side / extent
    cos, sin = math.cos(math.radians(angle)) * scale, math.sin(math.radians(angle)) * scale
    stretch = math.exp(rng.uniform(-0.15, 0.15))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array(
        [[cos * flip * stretch, -sin * stretch], [sin * flip / stretch, cos / stretch]]
    )
    margin = int(reach * 1.3) + 4
    region = (
        max(int(centre_y) - margin, 0),
        max(int(centre_x) - margin, 0),
        min(int(centre_y) + margin, shape[0]),
        min(int(centre_x) + margin, shape[1]),
    )
    centre = np.array([centre_x - region[1], centre_y - region[0]])
    offset = np.array([(side - 1) / 2, (side - 1) / 2]) - linear @ centre
    return region, np.column_stack([linear, offset])


def _diagonal(angle: float) -> float:
    """Side of the upright box around a unit square turned by ``angle`` degrees."""
    return abs(math.cos(math.radians(angle))) + abs(math.sin(math.radians(angle)))


def _inside(centre: float, reach: float, size: int) -> float:
    """``centre`` moved so that ``reach`` on both sides stays within ``[0, size)``."""
    return min(max(centre, reach - 0.5), size - 0.5 - reach)


def warp_image(
    region: npt.NDArray[np.uint8],
    matrix: npt.NDArray[np.float64],
    side: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """``(side, side, 3) uint8``; shrinks by area first where the view is coarser."""
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    matrix = matrix.copy()
    if scale < 0.7:
        height, width = region.shape[:2]
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        region = np.asarray(cv2.resize(region, size, interpolation=cv2.INTER_AREA), np.uint8)
        shrink = np.array([size[0] / width, size[1] / height])
        matrix[:, 2] += matrix[:, :2] @ (0.5 / shrink - 0.5)
        matrix[:, :2] = matrix[:, :2] / shrink
    flags = cv2.INTER_CUBIC if rng.random() < 0.7 else cv2.INTER_LINEAR
    out = cv2.warpAffine(region, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.uint8)


def warp_mask(
    mask: BoolArray, matrix: npt.NDArray[np.float64], side: int, *, outside: bool = False
) -> BoolArray:
    """``(side, side) bool``: the mask resampled smoothly and cut at one half."""
    values = mask.astype(np.float32)
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    if scale < 0.7:
        values = np.asarray(cv2.blur(values, (max(round(1 / scale), 1),) * 2), np.float32)
    out = cv2.warpAffine(
        values, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(float(outside),)
    )
    return np.asarray(out) > 0.5
