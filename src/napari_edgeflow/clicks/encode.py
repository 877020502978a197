"""Maps and lists that show clicks to a network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from napari_edgeflow._types import BoolArray, Click, ClickKind, Encoding, FloatArray

SIGNS: tuple[ClickKind, ...] = ("positive", "negative")


class ClickSpec(Protocol):
    """The part of ``nn.base.NetworkSpec`` that says how a network is shown clicks."""

    @property
    def encoding(self) -> Encoding:
        """What the maps look like."""

    @property
    def click_radius_px(self) -> float:
        """Radius of disks, sigma of Gaussians, or where distances are cut off."""

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks in the order of their maps."""


def click_maps(clicks: Sequence[Click], shape: tuple[int, int], spec: ClickSpec) -> FloatArray:
    """``(K, H, W) float32 in [0, 1]``: the maps that a network with this spec expects.

    Args:
        clicks: In the coordinates of the maps.
        shape: (H, W) of the maps.
        spec: Of the network.

    Raises:
        ValueError: A click is of a kind that the network does not take.
    """
    draw = {"disk": disk_maps, "gaussian": gaussian_maps, "distance": distance_maps}[spec.encoding]
    return draw(clicks, shape, spec.click_radius_px, spec.click_kinds)


def point_list(clicks: Sequence[Click], spec: ClickSpec, n: int | None = None) -> FloatArray:
    """``(n, 3) float32``: (y, x, index into ``spec.click_kinds``) of each click, in order.

    Args:
        clicks: In pixels of the network's input.
        spec: Of the network.
        n: Rows; those without a click are −1. None: as many as there are clicks, at least one.

    Raises:
        ValueError: There are more than ``n`` clicks, or one of a kind that the network does
            not take.
    """
    n = max(len(clicks), 1) if n is None else n
    if len(clicks) > n:
        raise ValueError(f"expected at most {n} clicks, got {len(clicks)}; make the list longer")
    points = np.full((n, 3), -1, np.float32)
    for row, click in enumerate(clicks):
        points[row] = click.y, click.x, kind_index(click, spec.click_kinds)
    return points


def kind_index(click: Click, kinds: Sequence[ClickKind]) -> int:
    """Where the click's kind stands among ``kinds``.

    Raises:
        ValueError: Nowhere.
    """
    if click.kind not in kinds:
        raise ValueError(
            f"expected {' or '.join(kinds)} clicks, got a {click.kind} click; "
            f"choose a model that takes {click.kind} clicks"
        )
    return kinds.index(click.kind)


def disk_maps(
    clicks: Sequence[Click],
    shape: tuple[int, int],
    radius_px: float,
    kinds: Sequence[ClickKind] = SIGNS,
) -> FloatArray:
    """``(K, H, W) float32`` maps, one for each kind: 1 within the disks, 0 elsewhere.

    A pixel belongs to a disk when its squared distance to the click's pixel is at most the
    squared radius (RITM's rule).

    Args:
        clicks: In the coordinates of the maps; those outside paint what reaches inside.
        shape: (H, W) of the maps.
        radius_px: Radius in pixels of the maps.
        kinds: Kinds of clicks in the order of their maps.

    Raises:
        ValueError: A click is of none of the kinds.
    """
    maps = np.zeros((len(kinds), *shape), dtype=np.float32)
    for channel, part, squared in _around(clicks, shape, math.ceil(radius_px), kinds):
        maps[channel][part][squared <= radius_px**2] = 1.0
    return maps


def gaussian_maps(
    clicks: Sequence[Click],
    shape: tuple[int, int],
    sigma_px: float,
    kinds: Sequence[ClickKind] = SIGNS,
) -> FloatArray:
    """``(K, H, W) float32`` maps: exp(−d² / 2σ²) of the distance d to the nearest click.

    The peak is 1. Where Gaussians overlap the larger one counts, so that maps stay within
    [0, 1]; five sigmas away from all clicks, where it is below 4e-6, the value is 0.

    Args:
        clicks: In the coordinates of the maps; those outside paint what reaches inside.
        shape: (H, W) of the maps.
        sigma_px: Standard deviation in pixels of the maps.
        kinds: Kinds of clicks in the order of their maps.

    Raises:
        ValueError: A click is of none of the kinds.
    """
    maps = np.zeros((len(kinds), *shape), dtype=np.float32)
    for channel, part, squared in _around(clicks, shape, math.ceil(5 * sigma_px), kinds):
        bell = np.exp(squared / (-2 * sigma_px**2)) * (squared <= (5 * sigma_px) ** 2)
        np.maximum(maps[channel][part], bell, out=maps[channel][part], casting="same_kind")
    return maps


def distance_maps(
    clicks: Sequence[Click],
    shape: tuple[int, int],
    limit_px: float = 255.0,
    kinds: Sequence[ClickKind] = SIGNS,
) -> FloatArray:
    """``(K, H, W) float32`` maps: distance to the nearest click over ``limit_px``, at most 1.

    The distance transform of Xu et al. 2016, which RITM compares with disks: Euclidean,
    truncated at 255 px and not inverted, so 0 on a click, 1 far away, and 1 everywhere
    without clicks. Here it is scaled to [0, 1].

    Args:
        clicks: In the coordinates of the maps, inside or outside.
        shape: (H, W) of the maps.
        limit_px: Where distances are cut off, in pixels of the maps.
        kinds: Kinds of clicks in the order of their maps.

    Raises:
        ValueError: A click is of none of the kinds.
    """
    maps = np.ones((len(kinds), *shape), dtype=np.float32)
    for channel, part, squared in _around(clicks, shape, math.ceil(limit_px), kinds):
        distance = np.sqrt(squared) / limit_px
        np.minimum(maps[channel][part], distance, out=maps[channel][part], casting="same_kind")
    return maps


def _around(
    clicks: Sequence[Click], shape: tuple[int, int], reach: int, kinds: Sequence[ClickKind]
) -> Iterator[tuple[int, tuple[slice, slice], FloatArray]]:
    """For each click: its map, the part of it within ``reach``, squared distances there."""
    for click in clicks:
        channel = kind_index(click, kinds)
        row, column = click.pixel
        y0, y1 = max(row - reach, 0), min(row + reach + 1, shape[0])
        x0, x1 = max(column - reach, 0), min(column + reach + 1, shape[1])
        if y0 < y1 and x0 < x1:
            rows = np.arange(y0, y1, dtype=np.float32)[:, None] - row
            columns = np.arange(x0, x1, dtype=np.float32)[None, :] - column
            yield channel, (slice(y0, y1), slice(x0, x1)), rows**2 + columns**2


def mask_edge(mask: BoolArray) -> FloatArray:
    """``(H, W) float32`` of 0 and 1: the edge of a ``(H, W) bool`` mask, two pixels wide.

    One pixel on either side of the boundary: dilation minus erosion by 3×3, which is also
    what edge heads are trained to predict.
    """
    values = mask.astype(np.uint8)
    kernel = np.ones((3, 3), np.uint8)
    edge = cv2.dilate(values, kernel) - cv2.erode(values, kernel)
    return np.asarray(edge, dtype=np.float32)
