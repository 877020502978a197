"""Click maps and edges against their definitions, pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_edgeflow._types import BoolArray, Click, FloatArray
from napari_edgeflow.clicks.encode import disk_maps, mask_edge

SHAPE = (23, 31)


def _disks(clicks: list[Click], shape: tuple[int, int], radius: float) -> FloatArray:
    """RITM's rule by a loop over all pixels and clicks."""
    maps = np.zeros((2, *shape), np.float32)
    for y in range(shape[0]):
        for x in range(shape[1]):
            for click in clicks:
                row, column = math.floor(click.y + 0.5), math.floor(click.x + 0.5)
                if (y - row) ** 2 + (x - column) ** 2 <= radius * radius:
                    maps[0 if click.is_positive else 1, y, x] = 1
    return maps


@pytest.mark.parametrize("radius", [0.0, 0.5, 2.5, 5.0, 12.0])
def test_disks_inside_at_the_border_and_outside(radius: float) -> None:
    clicks = [
        Click(10, 12),
        Click(11.6, 14.4, False),  # overlaps the first, in the other map
        Click(0, 0),
        Click(22.4, 30.4, False),
        Click(-3, 15),  # outside, its disk reaches in
        Click(8, 33.5, False),
        Click(-40, 5),
        Click(12, 400, False),
    ]
    maps = disk_maps(clicks, SHAPE, radius)
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps, _disks(clicks, SHAPE, radius))


def test_the_published_disk_has_81_pixels() -> None:
    maps = disk_maps([Click(10, 12)], SHAPE, 5.0)
    assert maps.sum(axis=(1, 2)).tolist() == [81, 0]


def test_no_clicks_give_empty_maps() -> None:
    maps = disk_maps([], SHAPE, 5.0)
    assert maps.shape == (2, *SHAPE)
    assert not maps.any()


def _edge(mask: BoolArray) -> FloatArray:
    """1 where the 3×3 neighbourhood within the image holds object and background."""
    edge = np.zeros(mask.shape, np.float32)
    for y, x in np.ndindex(mask.shape):
        around = mask[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        edge[y, x] = around.any() and not around.all()
    return edge


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_edge_of_any_mask(share: float) -> None:
    mask = np.random.default_rng(4).random(SHAPE) < share
    np.testing.assert_array_equal(mask_edge(mask), _edge(mask))


def test_edge_of_a_square_is_two_pixels_wide() -> None:
    mask = np.zeros((12, 12), bool)
    mask[3:9, 4:10] = True
    edge = mask_edge(mask)
    assert edge.dtype == np.float32
    assert edge[6].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0]
    assert edge.sum() == 8 * 8 - 4 * 4


@pytest.mark.parametrize("value", [True, False])
def test_an_even_mask_has_no_edge_not_even_at_the_border(value: bool) -> None:
    assert not mask_edge(np.full(SHAPE, value)).any()
