"""Shared edges: none is lost, before and after simplifying; pixels and shapes agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.vector.coverage import (
    coverage_faults,
    groups_that_meet,
    label_polygons,
    pixel_boxes,
    simplify_coverage,
)
from napari_edgeflow.vector.rasterize import polygons_to_mask

RIGHT = (0, 0.0, 0)


def _shapes(labels: AnyArray) -> dict[int, Any]:
    """Every object outlined in its own window of one pixel more."""
    shapes = {}
    for label in np.unique(labels[labels > 0]).tolist():
        rows, columns = np.nonzero(labels == label)
        window = Window(
            max(rows.min() - 1, 0), max(columns.min() - 1, 0),
            min(rows.max() + 2, labels.shape[0]), min(columns.max() + 2, labels.shape[1]),
        )  # fmt: skip
        polygons = label_polygons(labels[window.slices], label, window)
        np.testing.assert_array_equal(
            polygons_to_mask(polygons, Window(0, 0, *labels.shape)), labels == label
        )
        shapes[label] = shapely.MultiPolygon([polygon.to_shapely() for polygon in polygons])
    return shapes


def _cells(seed: int, shape: tuple[int, int] = (120, 150), n: int = 30) -> AnyArray:
    """Touching cells around random seeds, some of them background."""
    places = np.zeros(shape, int)
    chosen = np.random.default_rng(seed).choice(places.size, n, replace=False)
    places.ravel()[chosen] = np.arange(1, n + 1)
    nearest: AnyArray = ndimage.distance_transform_edt(
        places == 0, return_distances=False, return_indices=True
    )
    labels: AnyArray = places[tuple(nearest)]
    labels[labels % 5 == 0] = 0
    return labels


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 7), st.integers(1, 7)),
                  elements=st.integers(0, 4)))  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_any_labels_share_their_edges_exactly(labels: AnyArray) -> None:
    shapes = list(_shapes(labels).values())
    faults = coverage_faults(shapes)
    assert (faults.invalid, faults.overlap_area, faults.mismatched) == RIGHT
    total = shapely.union_all(shapes).area if shapes else 0
    assert total == np.count_nonzero(labels)


def test_a_neighbour_that_ends_half_way_leaves_a_corner() -> None:
    labels = np.array([[1, 1, 1, 1], [2, 2, 3, 3], [0, 2, 3, 3]])
    upper = label_polygons(labels, 1, Window(0, 0, 3, 4))[0]
    assert [0.5, 1.5] in upper.exterior.tolist()
    assert upper.n_vertices == 5
    lone = label_polygons((labels == 1) * 1, 1, Window(0, 0, 3, 4))[0]
    assert lone.n_vertices == 4


@pytest.mark.parametrize("tolerance", [0, 0.5, 1.5, 4, 12])
@pytest.mark.parametrize("seed", [0, 1])
def test_simplified_together_there_are_no_gaps_and_no_overlaps(seed: int, tolerance: float) -> None:
    labels = _cells(seed)
    shapes = list(_shapes(labels).values())
    simple = simplify_coverage(shapes, tolerance)
    faults = coverage_faults(simple)
    assert (faults.invalid, faults.mismatched) == (0, 0)
    assert faults.overlap_area < 1e-9
    before, after = shapely.union_all(shapes), shapely.union_all(simple)
    n_holes = [sum(len(p.interiors) for p in shapely.get_parts(u)) for u in (before, after)]
    assert n_holes[0] == n_holes[1]  # a gap would be a hole of its own
    corners = [shapely.get_num_coordinates(s).sum() for s in (shapes, simple)]
    if tolerance == 0:
        assert before.equals(after)
    if tolerance >= 1.5:
        assert corners[1] < 0.6 * corners[0]
    # each by itself would overlap: the fault that this is here to prevent
    if tolerance >= 4:
        alone = coverage_faults([shape.simplify(tolerance) for shape in shapes])
        assert alone.overlap_area > 1


def _nests(seed: int) -> AnyArray:
    """Tilings of cells with gaps between them, rings with something inside, lone blobs."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((150, 190), int)
    labels[5:65, 5:85] = _cells(seed, (60, 80), 12)
    labels[70:130, 10:70] = _cells(seed + 50, (60, 60), 9) * 100
    y, x = np.ogrid[:150, :190]
    for number, (row, column) in enumerate(rng.integers(20, 60, (3, 2)).tolist()):
        distance = np.hypot(y - row - 40 * number, x - column - 90)
        ring = (distance < 14) & (distance > 9) & (labels == 0)
        labels[ring] = 5000 + number
        labels[(distance < 7) & (labels == 0)] = 6000 + number
    blobs = ndimage.label(ndimage.gaussian_filter(rng.normal(size=labels.shape), 3) > 0.12)[0]
    is_free = (labels == 0) & (blobs > 0)
    labels[is_free] = blobs[is_free] + 7000
    return labels


@pytest.mark.parametrize("tolerance", [0.7, 2.0, 6.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_groups_that_do_not_meet_are_simplified_as_all_at_once(seed: int, tolerance: float) -> None:
    shapes = np.array(list(_shapes(_nests(seed)).values()), dtype=object)
    groups = groups_that_meet(shapely.convex_hull(shapes))
    assert len(groups) > 5
    assert max(map(len, groups)) > 5
    assert sorted(number for group in groups for number in group) == list(range(len(shapes)))
    together = np.array(simplify_coverage(shapes.tolist(), tolerance), dtype=object)
    apart = np.full(len(shapes), None, dtype=object)
    for group in groups:
        apart[group] = simplify_coverage(shapes[group].tolist(), tolerance)
    assert shapely.equals_exact(shapely.normalize(apart), shapely.normalize(together), 0).all()
    faults = coverage_faults(apart.tolist())
    assert (faults.invalid, faults.mismatched) == (0, 0)
    assert faults.overlap_area < 1e-9


def test_groups_meet_over_edges_corners_and_others() -> None:
    boxes = pixel_boxes(
        [Window(0, 0, 2, 2), Window(9, 9, 11, 11), Window(2, 2, 4, 4), Window(4, 0, 5, 4),
         Window(0, 6, 2, 8), Window(12, 9, 13, 11)]
    )  # fmt: skip
    assert groups_that_meet(boxes) == [[0, 2, 3], [1], [4], [5]]
    assert groups_that_meet([]) == []


def test_holes_stay() -> None:
    labels = np.zeros((40, 40), int)
    labels[5:35, 5:35] = 1
    labels[10:20, 10:20] = 2
    labels[25:30, 22:30] = 0
    ring = simplify_coverage(list(_shapes(labels).values()), 2)[0]
    assert sum(len(part.interiors) for part in shapely.get_parts(ring)) == 2


def test_faults_are_seen() -> None:
    square, other = shapely.box(0, 0, 4, 4), shapely.box(3, 0, 6, 4)
    assert coverage_faults([square, other]).overlap_area == 4
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    assert coverage_faults([bow]).invalid == 1
    assert coverage_faults([square, shapely.box(4, 1, 6, 3)]).mismatched > 0
    assert coverage_faults([]) == coverage_faults([square])


def test_tolerances_that_make_no_sense() -> None:
    assert simplify_coverage([], 1) == []
    for tolerance in (-1, np.inf, np.nan):
        with pytest.raises(ValueError, match="a tolerance ≥ 0"):
            simplify_coverage([shapely.box(0, 0, 1, 1)], tolerance)
