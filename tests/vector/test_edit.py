"""Edits of polygons, checked by areas and by shapely's own operations."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import Window
from napari_edgeflow.vector.edit import (
    count_vertices,
    cut_away,
    delete_in_box,
    delete_vertices,
    insert_vertex,
    mend,
    merge,
    move_vertex,
    nearest_edge,
    problem_of,
    split,
    vertices_in_box,
)
from napari_edgeflow.vector.polygons import Polygon, mask_to_polygons, simplify
from napari_edgeflow.vector.rasterize import polygons_to_mask


def _box(y0: float, x0: float, y1: float, x1: float) -> Polygon:
    return Polygon(np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], dtype=float))


def _holed() -> Polygon:
    return Polygon(_box(0, 0, 10, 20).exterior, (_box(2, 2, 4, 4).exterior[::-1],))


def test_a_moved_corner() -> None:
    moved = move_vertex(_holed(), 0, 2, (10.0, 24.0))
    assert moved.exterior[2].tolist() == [10.0, 24.0]
    assert moved.area == _holed().area + 20  # a triangle, 10 high and 4 wide
    inner = move_vertex(_holed(), 1, 0, (5.0, 3.0))
    assert inner.holes[0][0].tolist() == [5.0, 3.0]
    assert _holed().exterior[2].tolist() == [10.0, 20.0]


@pytest.mark.parametrize(
    ("ring", "index", "to", "message"),
    [
        (0, 0, (15.0, 10.0), "does not cross itself"),
        (1, 0, (-5.0, 3.0), "does not cross itself"),
        (0, 0, (float("nan"), 0.0), "not finite"),
        (2, 0, (0.0, 0.0), "ring 0…1, got 2"),
        (0, 4, (0.0, 0.0), "corner 0…3, got 4"),
        (0, -1, (0.0, 0.0), "corner 0…3, got -1"),
    ],
)
def test_moves_that_are_refused(
    ring: int, index: int, to: tuple[float, float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        move_vertex(_holed(), ring, index, to)


def test_a_new_corner_goes_on_the_nearest_edge() -> None:
    more = insert_vertex(_holed(), (-1.0, 5.0))
    assert more.exterior[1].tolist() == [-1.0, 5.0]
    assert more.area == _holed().area + 10
    assert nearest_edge(_holed(), (2.1, 3.0))[0] == 1
    assert len(insert_vertex(_holed(), (3.0, 4.5)).holes[0]) == 5
    last = insert_vertex(_holed(), (5.0, -0.5))  # the edge back to the first corner
    assert last.exterior[-1].tolist() == [5.0, -0.5]


@given(st.tuples(st.floats(-3, 13), st.floats(-3, 23)))
@settings(max_examples=60, deadline=None)
def test_the_nearest_edge_is_shapely_s(at: tuple[float, float]) -> None:
    ring, edge = nearest_edge(_holed(), at)
    corners = _holed().rings[ring]
    ours = shapely.LineString([corners[edge][::-1], corners[(edge + 1) % 4][::-1]])
    point = shapely.Point(at[::-1])
    assert ours.distance(point) == pytest.approx(_holed().to_shapely().boundary.distance(point))


def test_deleted_corners() -> None:
    assert delete_vertices(_holed(), [(0, 2)]).n_vertices == 7
    assert delete_vertices(_holed(), [(1, 0), (1, 1)]).holes == ()
    with pytest.raises(ValueError, match="three corners to stay, got 2; delete the object"):
        delete_vertices(_holed(), [(0, 0), (0, 1)])
    with pytest.raises(ValueError, match="corner 0…3, got 9"):
        delete_vertices(_holed(), [(0, 9)])


def test_a_bunch_of_corners_in_a_box_drawn_any_way() -> None:
    assert vertices_in_box(_holed(), (5.0, 5.0), (-1.0, -1.0)) == [
        (0, 0), (1, 0), (1, 1), (1, 2), (1, 3)
    ]  # fmt: skip
    assert vertices_in_box(_holed(), (10.0, 20.0), (10.0, 20.0)) == [(0, 2)]
    left = delete_in_box(_holed(), (1.0, 5.0), (5.0, 1.0))
    assert (left.holes, len(left.exterior)) == ((), 4)


def test_split_by_a_line_that_bends() -> None:
    line = np.array([[-1.0, 10.0], [5.0, 10.0], [5.0, 25.0]])
    big, small = split(_holed(), line)
    assert (small.area, big.area) == (50, 146)
    assert shapely.union(big.to_shapely(), small.to_shapely()).equals(_holed().to_shapely())


def test_split_through_a_hole_and_more_than_once() -> None:
    parts = split(_holed(), np.array([[3.0, -1.0], [3.0, 21.0]]))
    assert sorted(part.area for part in parts) == [58, 138]
    comb = np.array([[-1.0, 6.0], [11.0, 6.0], [11.0, 12.0], [-1.0, 12.0]])
    assert [part.area for part in split(_holed(), comb)] == [80, 60, 56]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ([[5.0, 5.0], [5.0, 25.0]], "goes right through"),
        ([[50.0, 5.0], [50.0, 25.0]], "goes right through"),
        ([[5.0, 5.0]], "at least two points"),
    ],
)
def test_lines_that_part_nothing(line: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(_holed(), np.array(line))


def test_merge_and_cut() -> None:
    (one,) = merge([_box(0, 0, 4, 4), _box(0, 4, 4, 8)])
    assert one.area == 32
    assert len(merge([_box(0, 0, 4, 4), _box(0, 5, 4, 8)])) == 2
    (holed,) = cut_away([_box(0, 0, 10, 10)], _box(4, 4, 6, 6))
    assert (holed.area, len(holed.holes)) == (96, 1)
    assert len(cut_away([_box(0, 0, 10, 10)], _box(4, -1, 6, 11))) == 2
    assert cut_away([_box(0, 0, 10, 10)], _box(-1, -1, 11, 11)) == ()
    bow_tie = Polygon(np.array([[0.0, 0], [10, 10], [0, 10], [10, 0]]))  # a careless scribble
    (left, *_) = cut_away([_box(0, 0, 10, 10)], bow_tie)
    assert left.to_shapely().is_valid


def test_pixels_of_a_split_and_merged_object_come_back() -> None:
    mask = np.zeros((40, 50), dtype=bool)
    mask[5:35, 8:44] = True
    mask[12:20, 15:30] = False
    (polygon,) = mask_to_polygons(mask)
    parts = split(polygon, np.array([[0.0, 2.0], [40.0, 47.0]]))
    window = Window(0, 0, 40, 50)
    pixels = [polygons_to_mask([part], window) for part in parts]
    assert np.sum(pixels, axis=0).max() == 1
    np.testing.assert_array_equal(polygons_to_mask(merge(parts), window), mask)


def test_the_count_for_a_slider_is_that_of_the_simplified_polygons() -> None:
    yy, xx = np.ogrid[:60, :60]
    polygons = mask_to_polygons((yy - 30) ** 2 + (xx - 30) ** 2 < 500)
    counts = [count_vertices(polygons, tolerance) for tolerance in (0, 0.5, 1, 2, 4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == polygons[0].n_vertices
    assert counts[2] == simplify(polygons, 1)[0].n_vertices


def test_what_is_wrong_with_a_polygon() -> None:
    assert problem_of(_holed()) == ""
    assert "Self-intersection" in problem_of(Polygon(np.array([[0.0, 0], [4, 4], [0, 4], [4, 0]])))
    assert "three corners" in problem_of(Polygon(np.array([[0.0, 0], [4, 4]])))


def test_polygons_that_cross_themselves_are_mended() -> None:
    holed = _holed()
    assert mend(holed) == (holed,)
    lobes = mend(Polygon(np.array([[0.0, 0], [10, 10], [0, 10], [10, 0]])))
    assert sorted(lobe.area for lobe in lobes) == [25, 25]
    outside = Polygon(_box(0, 0, 10, 20).exterior, (_box(5, 15, 8, 30).exterior,))
    (notched,) = mend(outside)
    assert (notched.area, notched.holes) == (200 - 3 * 5, ())
    assert mend(Polygon(np.array([[0.0, 0], [4, 4]]))) == ()
    (filled,) = mend(Polygon(_box(0, 0, 10, 20).exterior, (np.array([[1.0, 1], [2, 2]]),)))
    assert filled.area == 200
    with pytest.raises(ValueError, match="finite corners"):
        mend(Polygon(np.array([[0.0, 0], [4, np.nan], [4, 0]])))
