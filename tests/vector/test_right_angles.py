"""Right-angled outlines against rectangles that are known, and real roofs' shapes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import Window
from napari_edgeflow.vector.polygons import Polygon, Ring, mask_to_polygons
from napari_edgeflow.vector.rasterize import polygons_to_mask
from napari_edgeflow.vector.right_angles import main_direction, square_up

_WINDOW = Window(0, 0, 120, 120)


def _turned(corners: list[tuple[float, float]], degrees: float) -> Polygon:
    """Corners about the middle of the window, turned."""
    a = math.radians(degrees)
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    return Polygon(np.array(corners) @ turn.T + 60)


def _pixels(polygon: Polygon) -> Polygon:
    """The outline of its mask: the stairs that an annotation starts from."""
    (outline,) = mask_to_polygons(polygons_to_mask([polygon], _WINDOW))
    return outline


def _worst_angle(ring: Ring) -> float:
    """Degrees by which the corner farthest from a right angle misses it."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    after /= np.linalg.norm(after, axis=1, keepdims=True)
    return math.degrees(np.arcsin(np.abs((before * after).sum(axis=1)).max()))


def _iou(a: Polygon, b: Polygon) -> float:
    one, other = a.to_shapely(), b.to_shapely()
    return float(one.intersection(other).area / one.union(other).area)


@given(st.floats(0, 90), st.floats(12, 40), st.floats(12, 40))
@settings(max_examples=40, deadline=None)
def test_a_roof_of_four_corners(degrees: float, height: float, width: float) -> None:
    corners = [(-height, -width), (-height, width), (height, width), (height, -width)]
    roof = _turned(corners, degrees)
    result = square_up(_pixels(roof))
    assert result.is_changed
    assert result.polygon.n_vertices == 4
    assert _worst_angle(result.polygon.exterior) < 1e-6
    assert _iou(result.polygon, roof) > 0.9  # half a pixel is 4 % of the smallest side
    assert result.iou > 0.93
    assert result.iou == pytest.approx(_iou(result.polygon, _pixels(roof)))


@pytest.mark.parametrize("degrees", [0, 10, 33, 45, 71])
def test_an_l_shaped_roof_keeps_its_six_corners(degrees: float) -> None:
    corners = [(-40.0, -40.0), (-40.0, 40.0), (0.0, 40.0), (0.0, 0.0), (40.0, 0.0), (40.0, -40.0)]
    roof = _turned(corners, degrees)
    result = square_up(_pixels(roof))
    assert result.polygon.n_vertices == 6
    assert _worst_angle(result.polygon.exterior) < 1e-6
    assert _iou(result.polygon, roof) > 0.95


def test_a_courtyard_stays() -> None:
    outer = _turned([(-40, -40), (-40, 40), (40, 40), (40, -40)], 20)
    yard = _turned([(-15, -15), (-15, 15), (15, 15), (15, -15)], 20)
    result = square_up(_pixels(Polygon(outer.exterior, (yard.exterior[::-1],))))
    assert [len(ring) for ring in result.polygon.rings] == [4, 4]
    assert result.iou > 0.95
    assert result.polygon.to_shapely().is_valid


def test_what_has_no_right_angles_is_left_alone() -> None:
    triangle = _turned([(-45, 0), (30, -35), (30, 35)], 10)
    result = square_up(triangle, min_iou=0.9)
    assert result.polygon is triangle
    assert (result.is_changed, result.iou) == (False, 1.0)


def test_a_speck_is_left_alone_or_squared_but_never_broken() -> None:
    for mask in (np.ones((1, 1), bool), np.ones((1, 9), bool), np.eye(2, dtype=bool)):
        for polygon in mask_to_polygons(mask):
            assert shapely.is_valid(square_up(polygon).polygon.to_shapely())


@pytest.mark.parametrize("degrees", [0.0, 12.5, 44.0, 89.0])
def test_the_main_direction(degrees: float) -> None:
    ring = _turned([(-10, -30), (-10, 30), (10, 30), (10, -30)], degrees).exterior
    # turning (y, x) by an angle moves the x axis the other way
    off = math.degrees(main_direction(ring)) + degrees
    assert math.remainder(off, 90) == pytest.approx(0, abs=1e-6)


def test_the_shortest_edge_must_be_positive() -> None:
    with pytest.raises(ValueError, match="shortest edge > 0 px, got 0"):
        square_up(Polygon(np.zeros((3, 2))), min_edge_px=0)
