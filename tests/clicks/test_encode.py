"""Click maps and edges against their definitions, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from napari_edgeflow._types import BoolArray, Click, ClickKind, Encoding, FloatArray
from napari_edgeflow.clicks.encode import (
    click_maps,
    disk_maps,
    distance_maps,
    mask_edge,
    point_list,
)
from napari_edgeflow.nn.base import NetworkSpec

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


KINDS: tuple[ClickKind, ...] = ("positive", "boundary", "negative")
MIXED = [
    Click(10, 12),
    Click(11.6, 14.4, False),
    Click(0, 0),
    Click(22.4, 30.4, is_boundary=True),
    Click(-3, 15, is_boundary=True),
    Click(8, 33.5, False),
    Click(12, 400, False),
]


def _nearest(clicks: list[Click], kind: ClickKind) -> FloatArray:
    """Distance of every pixel to the nearest click of a kind, infinite without any."""
    distance = np.full(SHAPE, np.inf)
    for y, x in np.ndindex(SHAPE):
        for click in clicks:
            if click.kind == kind:
                row, column = math.floor(click.y + 0.5), math.floor(click.x + 0.5)
                distance[y, x] = min(distance[y, x], math.hypot(y - row, x - column))
    return distance.astype(np.float32)


@pytest.mark.parametrize("radius", [1.0, 4.0, 10.0])
@pytest.mark.parametrize("kinds", [KINDS, tuple(reversed(KINDS))])
@pytest.mark.parametrize("encoding", ["disk", "gaussian", "distance"])
def test_maps_of_every_encoding_and_order_of_kinds(
    encoding: Encoding, kinds: tuple[ClickKind, ...], radius: float
) -> None:
    spec = NetworkSpec(click_radius_px=radius, encoding=encoding, click_kinds=kinds)
    maps = click_maps(MIXED, SHAPE, spec)
    assert maps.shape == (3, *SHAPE)
    assert maps.dtype == np.float32
    for channel, kind in enumerate(kinds):
        near = _nearest(MIXED, kind)
        expected = {
            "disk": (near <= radius).astype(np.float32),
            "gaussian": np.exp(-(near**2) / (2 * radius**2)),
            "distance": np.minimum(near / radius, 1),
        }[encoding]
        np.testing.assert_allclose(maps[channel], expected, atol=4e-6)


def test_distances_are_cut_off_at_255_pixels() -> None:
    maps = distance_maps([Click(0, 0)], (1, 300))
    assert maps[0, 0, [0, 51, 255, 299]].tolist() == pytest.approx([0, 0.2, 1, 1])
    assert (maps[1] == 1).all(), "no click is as far as can be"


def test_points_are_the_clicks_in_order_then_nothing() -> None:
    spec = NetworkSpec(click_kinds=("positive", "negative", "boundary"))
    clicks = [Click(3.25, 4), Click(0, 0, False), Click(7, 8, is_boundary=True)]
    rows = [[3.25, 4, 0], [0, 0, 1], [7, 8, 2]]
    assert point_list(clicks, spec).tolist() == rows
    assert point_list(clicks, spec, 5).tolist() == [*rows, [-1, -1, -1], [-1, -1, -1]]
    assert point_list([], spec).tolist() == [[-1, -1, -1]]
    assert point_list(clicks, spec).dtype == np.float32
    with pytest.raises(ValueError, match="at most 2 clicks, got 3"):
        point_list(clicks, spec, 2)


@pytest.mark.parametrize("show", [partial(click_maps, shape=SHAPE), point_list])
def test_a_click_of_another_kind_is_refused(show: Callable[..., FloatArray]) -> None:
    with pytest.raises(ValueError, match="expected positive or negative clicks, got a boundary"):
        show([Click(3, 4, is_boundary=True)], spec=NetworkSpec())
    with pytest.raises(ValueError, match="a model that takes negative clicks"):
        show([Click(3, 4, False)], spec=NetworkSpec(click_kinds=("positive", "boundary")))


def test_a_boundary_click_is_neither_positive_nor_negative() -> None:
    boundary = Click(3, 4, is_boundary=True)
    assert boundary == Click(3, 4, False, True) == Click.of_kind(3, 4, "boundary")
    assert not boundary.is_positive
    assert not boundary.is_negative
    assert [Click(0, 0, sign).is_negative for sign in (True, False)] == [False, True]
    for kind in KINDS:
        assert Click.of_kind(1, 2, kind).kind == kind
    assert len({boundary, Click(3, 4), Click(3, 4, False)}) == 3
