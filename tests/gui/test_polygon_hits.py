"""What is under the cursor, against distances worked out by shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.polygon_commands import Outline
from napari_edgeflow.gui.outlines.hits import (
    REACH_PX,
    Hit,
    ScreenFrame,
    corners_in_box,
    find_hit,
    with_corner,
    without_corners,
)
from napari_edgeflow.gui.outlines.preview import ADDED, MOVED, REMOVED, find_changes
from napari_edgeflow.vector.polygons import Polygon

SQUARE = np.array([[0.0, 0], [0, 20], [20, 20], [20, 0]])
HOLE = np.array([[8.0, 8], [12, 8], [12, 12], [8, 12]])
TURNED = ScreenFrame(np.array([[5.0, 3.0], [-2.0, 6.0]]), np.array([40.0, -7.0]))


@given(st.tuples(st.floats(-5, 25), st.floats(-5, 25)))
@settings(max_examples=80, deadline=None)
def test_the_nearest_corner_or_edge_within_reach(at: tuple[float, float]) -> None:
    cursor = TURNED.put(np.array([at]))[0]
    hit = find_hit([SQUARE, HOLE], TURNED, cursor)
    placed = [TURNED.put(ring) for ring in (SQUARE, HOLE)]
    corners = min(float(np.hypot(*(ring - cursor).T).min()) for ring in placed)
    edges = min(shapely.LinearRing(ring).distance(shapely.Point(cursor)) for ring in placed)
    if hit is None:
        assert edges >= REACH_PX * (1 - 1e-9)
        return
    ring = placed[hit.ring]
    if hit.along is None:
        assert np.hypot(*(ring[hit.corner] - cursor)) == pytest.approx(corners)
        return
    assert corners >= REACH_PX * (1 - 1e-9)
    start, end = ring[hit.corner], ring[(hit.corner + 1) % 4]
    found = start + hit.along * (end - start)
    assert np.hypot(*(found - cursor)) == pytest.approx(edges)


def test_corners_are_added_on_their_edge_and_taken_away() -> None:
    more = with_corner(SQUARE, Hit(0, 3, 0.25))  # the edge back to the first corner
    assert more.tolist() == [[0, 0], [0, 20], [20, 20], [20, 0], [15, 0]]
    assert without_corners(more, [4]).tolist() == SQUARE.tolist()
    assert without_corners(SQUARE, [0, 2]).shape == (0, 2)
    assert corners_in_box([SQUARE, HOLE], (12, 12), (-1, 7)) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert corners_in_box([SQUARE, HOLE], (20, 20), (20, 20)) == [(0, 2)]


def test_pixels_that_would_change() -> None:
    before = [
        (1, Window(2, 2, 6, 6), np.ones((4, 4), bool)),
        (2, Window(40, 40, 44, 44), np.ones((4, 4), bool)),
    ]

    def box(y0: float, x0: float, y1: float, x1: float) -> Polygon:
        ring = np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], dtype=float) - 0.5
        return Polygon(ring)

    outlines = [
        Outline(1, (box(2, 2, 6, 4), box(40, 40, 44, 42))),  # 8 px less here, 8 of object 2 there
        Outline(1, (box(2, 4, 4, 8),), is_new=True),  # 4 px of object 1, 4 new
        Outline(2, (box(40, 42, 44, 44),)),
    ]
    changes = find_changes(before, outlines, (60, 60))
    assert (changes.added, changes.removed, changes.moved) == (4, 4, 12)
    assert changes.total_px == 8 + 8 + 8 + 8
    assert changes.window == Window(2, 4, 44, 42)
    picture = np.zeros((60, 60), int)
    assert changes.picture is not None
    picture[changes.window.slices] = changes.picture
    expected = np.zeros((60, 60), int)
    expected[2:4, 4:6], expected[2:4, 6:8], expected[4:6, 4:6] = MOVED, ADDED, REMOVED
    expected[40:44, 40:42] = MOVED
    np.testing.assert_array_equal(picture, expected)
    same = [Outline(1, (box(2, 2, 6, 6),)), Outline(2, (box(40, 40, 44, 44),))]
    untouched = find_changes(before, same, (60, 60))
    assert (untouched.window, untouched.total_px) == (None, 32)
