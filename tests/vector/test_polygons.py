"""Polygons and masks against each other, GDAL and a pixel-by-pixel rule."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.features import shapes
from scipy import ndimage

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.vector.polygons import (
    Polygon,
    mask_to_polygons,
    polygons_from_shapely,
    simplify,
)
from napari_edgeflow.vector.rasterize import polygons_to_mask, polygons_window

shapes_hw = st.tuples(st.integers(1, 17), st.integers(1, 17))
masks = hnp.arrays(bool, shapes_hw, elements=st.booleans(), fill=st.nothing())


def _whole(mask: BoolArray) -> Window:
    return Window(0, 0, *mask.shape)


def _union(polygons: tuple[Polygon, ...]) -> shapely.Geometry:
    return shapely.union_all([polygon.to_shapely() for polygon in polygons])


def _blobs(seed: int, shape: tuple[int, int] = (61, 83)) -> BoolArray:
    noise = np.random.default_rng(seed).normal(size=shape)
    blobs: BoolArray = ndimage.gaussian_filter(noise, 2) > 0.05
    return blobs


@given(masks)
@settings(max_examples=150, deadline=None)
def test_round_trip_is_exact_and_every_polygon_valid(mask: BoolArray) -> None:
    polygons = mask_to_polygons(mask)
    np.testing.assert_array_equal(polygons_to_mask(polygons, _whole(mask)), mask)
    assert all(polygon.to_shapely().is_valid for polygon in polygons)
    assert len(polygons) == ndimage.label(mask)[1]
    assert sum(polygon.area for polygon in polygons) == mask.sum()


@given(masks)
@settings(max_examples=60, deadline=None)
def test_the_same_ground_as_gdal_s(mask: BoolArray) -> None:
    theirs = [
        shapely.geometry.shape(geometry)
        for geometry, _ in shapes(mask.astype(np.uint8), mask=mask, connectivity=4)
    ]
    moved = shapely.transform(_union(mask_to_polygons(mask)), lambda xy: xy + 0.5)
    assert shapely.symmetric_difference(moved, shapely.union_all(theirs)).area == 0
    assert len(theirs) == len(mask_to_polygons(mask))


def test_corners_only_where_the_outline_turns() -> None:
    mask = np.zeros((6, 9), dtype=bool)
    mask[1:4, 2:7] = True
    (polygon,) = mask_to_polygons(mask, Window(100, 200, 106, 209))
    assert polygon.exterior.tolist() == [
        [100.5, 201.5], [100.5, 206.5], [103.5, 206.5], [103.5, 201.5]
    ]  # fmt: skip
    assert polygon.holes == ()
    assert polygon.n_vertices == 4


def test_a_hole_in_a_hole_is_an_island() -> None:
    mask = np.ones((7, 7), dtype=bool)
    mask[1:-1, 1:-1] = False
    mask[2:-2, 2:-2] = True
    mask[3, 3] = False
    outer, inner = sorted(mask_to_polygons(mask), key=lambda polygon: -polygon.area)
    assert [len(outer.holes), len(inner.holes)] == [1, 1]
    assert (outer.area, inner.area) == (24, 8)


def test_a_ring_closed_over_a_corner_has_a_hole_that_touches_its_outline() -> None:
    mask = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], dtype=bool)
    mask[0, 0] = False  # the hole reaches the outside over the corner (0.5, 0.5)
    (polygon,) = mask_to_polygons(mask)
    assert len(polygon.holes) == 1
    assert polygon.to_shapely().is_valid
    assert polygon.area == 7


def test_a_full_and_an_empty_mask() -> None:
    assert mask_to_polygons(np.zeros((3, 4), dtype=bool)) == ()
    (polygon,) = mask_to_polygons(np.ones((3, 4), dtype=bool))
    assert polygon.bounds == (-0.5, -0.5, 2.5, 3.5)


@pytest.mark.parametrize(
    ("mask", "window", "message"),
    [
        (np.zeros((3, 4)), None, r"\(h, w\) bool mask, got shape \(3, 4\) and float64"),
        (np.zeros(3, bool), None, r"shape \(3,\)"),
        (np.ones((3, 4), bool), Window(0, 0, 4, 3), r"window's \(4, 3\) px, got \(3, 4\)"),
    ],
)
def test_what_is_no_mask(mask: BoolArray, window: Window | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mask_to_polygons(mask, window)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("tolerance", [0.5, 1.0, 3.0])
def test_simpler_polygons_are_valid_and_stay_within_the_tolerance(
    seed: int, tolerance: float
) -> None:
    polygons = mask_to_polygons(_blobs(seed))
    simple = simplify(polygons, tolerance)
    assert sum(p.n_vertices for p in simple) < sum(p.n_vertices for p in polygons)
    assert len(simple) == len(polygons)
    for before, after in zip(polygons, simple, strict=True):
        assert after.to_shapely().is_valid
        outline = before.to_shapely().boundary
        for ring in after.rings:
            corners = shapely.points(ring[:, ::-1])
            assert shapely.distance(corners, outline).max() == 0
        assert outline.hausdorff_distance(after.to_shapely().boundary) <= 2 * tolerance


def test_tolerance_0_changes_nothing() -> None:
    polygons = mask_to_polygons(_blobs(3))
    assert simplify(polygons, 0) == polygons


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_tolerances_that_are_none(tolerance: float) -> None:
    with pytest.raises(ValueError, match="expected a tolerance ≥ 0 px"):
        simplify([], tolerance)


def test_shapely_and_back() -> None:
    polygons = mask_to_polygons(_blobs(1))
    back = polygons_from_shapely(shapely.MultiPolygon([p.to_shapely() for p in polygons]))
    for ours, theirs in zip(polygons, back, strict=True):
        for a, b in zip(ours.rings, theirs.rings, strict=True):
            np.testing.assert_array_equal(a, b)
    points = shapely.GeometryCollection([shapely.Point(0, 0), polygons[0].to_shapely()])
    assert len(polygons_from_shapely(points)) == 1
    assert polygons_from_shapely(shapely.Polygon()) == ()


@given(st.lists(st.tuples(st.floats(-4, 15), st.floats(-4, 15)), min_size=3, max_size=8))
@settings(max_examples=80, deadline=None)
def test_pixels_are_in_when_their_centres_are(corners: list[tuple[float, float]]) -> None:
    polygon = Polygon(np.array(corners))
    window = Window(-2, 1, 11, 12)
    mask = polygons_to_mask([polygon], window)
    for row, column in np.ndindex(mask.shape):
        assert mask[row, column] == _is_inside(corners, row - 2, column + 1)


def _is_inside(corners: list[tuple[float, float]], y: float, x: float) -> bool:
    """Even-odd rule by a ray to the left."""
    inside = False
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        (y0, x0), (y1, x1) = (a, b) if a[0] <= b[0] else (b, a)
        if y0 <= y < y1 and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
            inside = not inside
    return inside


@given(st.floats(0.1, 9.9), st.floats(0.1, 9.9), st.floats(0, 10), st.floats(0, 10))
@settings(max_examples=60, deadline=None)
def test_neighbours_share_no_pixel_and_leave_none_out(
    y: float, x: float, top: float, bottom: float
) -> None:
    inner = [(0.0, top), (y, x), (10.0, bottom)]
    left = Polygon(np.array([*inner, (10.0, -5.0), (0.0, -5.0)]))
    right = Polygon(np.array([*inner[::-1], (0.0, 15.0), (10.0, 15.0)]))
    window = Window(0, -5, 10, 15)
    a, b = polygons_to_mask([left], window), polygons_to_mask([right], window)
    assert np.all(a ^ b)


def test_windows_cut_polygons_off() -> None:
    mask = _blobs(2)
    polygons = mask_to_polygons(mask)
    window = Window(10, 20, 33, 47)
    np.testing.assert_array_equal(polygons_to_mask(polygons, window), mask[window.slices])


def test_the_window_of_polygons() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[2:4, 3:8] = True
    assert polygons_window(mask_to_polygons(mask)) == Window(2, 3, 4, 8)
    assert polygons_window([]) is None
    assert polygons_window([Polygon(np.array([[0.1, 0.1], [0.1, 0.9], [0.9, 0.9]]))]) is None
    with pytest.raises(ValueError, match="finite corners"):
        polygons_window([Polygon(np.array([[0, np.nan], [0, 1], [1, 1]]))])
