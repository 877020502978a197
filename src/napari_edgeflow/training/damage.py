"""Masks as another program or a careless annotator might leave them, to be corrected."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, FloatArray

Damage = Callable[[BoolArray, np.random.Generator], BoolArray]


def damage(truth: BoolArray, rng: np.random.Generator) -> BoolArray:
    """``(S, S) bool``: the object's mask with one kind of mistake, half of the time with two.

    Args:
        truth: ``(S, S) bool``, the object.
        rng: Source of randomness.
    """
    mask = truth
    for number in rng.choice(len(KINDS), size=int(rng.integers(1, 3)), replace=False):
        mask = KINDS[int(number)](mask, rng)
    return mask


def wavy(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The outline swings in and out, and the mask is a little too large or too small."""
    side = mask.shape[0]
    noise = cv2.resize(rng.standard_normal((6, 6)).astype(np.float32), (side, side))
    amount = 0.25 * _size(mask)
    wave = noise * np.float32(amount)
    wavy_mask: BoolArray = _depth(mask) + wave > rng.uniform(-0.3, 0.3) * amount
    return wavy_mask


def bitten(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """A disk around a pixel of the mask is missing."""
    return mask & ~_disk_at(mask, rng)


def swollen(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """A disk around a pixel of the outline is added: a leak into the neighbourhood."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return mask | _disk_at(mask & ~inner, rng)


def resized(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Grown or shrunk by the same width everywhere."""
    width = 1 + rng.uniform(0.02, 0.15) * _size(mask)
    changed: BoolArray = _depth(mask) > (width if rng.random() < 0.5 else -width)
    return changed


def moved(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Beside its place by up to a fifth of its size."""
    dx, dy = rng.uniform(-0.2, 0.2, 2) * _size(mask)
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    shifted = cv2.warpAffine(mask.astype(np.uint8), matrix, mask.shape[::-1], flags=0)
    return np.asarray(shifted) > 0


KINDS: tuple[Damage, ...] = (wavy, bitten, swollen, resized, moved)


def _size(mask: BoolArray) -> float:
    """Root of the area."""
    return math.sqrt(float(mask.sum()))


def _depth(mask: BoolArray) -> FloatArray:
    """``(S, S) float32``: distance to the outline, positive inside."""
    inner = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outer = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(inner - outer, np.float32)


def _disk_at(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """A disk of a fifth to a half of the mask's size around one of its pixels."""
    flat = np.flatnonzero(mask)
    if len(flat) == 0:
        return mask
    row, column = divmod(int(rng.choice(flat)), mask.shape[1])
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    radius = rng.uniform(0.2, 0.5) * _size(mask)
    disk: BoolArray = (y - row) ** 2 + (x - column) ** 2 <= radius**2
    return disk
