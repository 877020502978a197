"""Outlines traced strip by strip: the same to the last bit, in memory that follows the outline."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.vector.coverage import label_polygons, label_strips_to_polygons
from napari_edgeflow.vector.polygons import Polygon, mask_to_polygons, strips_to_polygons

SIDES = st.tuples(st.integers(1, 14), st.integers(1, 14))
CUTS = st.lists(st.integers(0, 14), max_size=8)


def _assert_same(one: tuple[Polygon, ...], two: tuple[Polygon, ...]) -> None:
    """The same polygons, holes and corners, in the same order, each ring from the same corner."""
    assert [len(p.holes) for p in one] == [len(p.holes) for p in two]
    for a, b in zip(one, two, strict=True):
        for mine, other in zip(a.rings, b.rings, strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)


def _strips(array: AnyArray, cuts: list[int]) -> list[AnyArray]:
    return np.split(array, sorted(min(cut, len(array)) for cut in cuts))


@given(hnp.arrays(bool, SIDES, elements=st.booleans(), fill=st.nothing()), CUTS)
@settings(deadline=None, max_examples=80)
def test_strips_of_any_heights_give_the_same_polygons(mask: BoolArray, cuts: list[int]) -> None:
    window = Window(30, 70, 30 + mask.shape[0], 70 + mask.shape[1])
    whole = mask_to_polygons(mask, window)
    _assert_same(strips_to_polygons(_strips(mask, cuts), window), whole)
    assert shapely.union_all([p.to_shapely() for p in whole]).area == mask.sum()


@given(hnp.arrays(np.uint32, SIDES, elements=st.integers(0, 4), fill=st.nothing()), CUTS)
@settings(deadline=None, max_examples=40)
def test_strips_of_labels_too_with_the_corners_where_three_meet(
    labels: AnyArray, cuts: list[int]
) -> None:
    window = Window(3, 1, 3 + labels.shape[0], 1 + labels.shape[1])
    for label in (1, 2):
        whole = label_polygons(labels, label, window)
        _assert_same(label_strips_to_polygons(_strips(labels, cuts), label, window), whole)
        assert _nodes(labels, label, window) <= _spots(whole)


def _spots(polygons: tuple[Polygon, ...]) -> set[tuple[float, float]]:
    rings = [ring for polygon in polygons for ring in polygon.rings]
    return {(y, x) for ring in rings for y, x in ring.tolist()}


def _nodes(labels: AnyArray, label: int, window: Window) -> set[tuple[float, float]]:
    """Corners where the label and at least two others meet, one by one."""
    padded = np.pad(labels, 1)
    found = set()
    for y, x in np.ndindex(labels.shape[0] + 1, labels.shape[1] + 1):
        here = set(padded[y : y + 2, x : x + 2].ravel().tolist())
        if label in here and len(here) > 2:
            found.add((y + window.y0 - 0.5, x + window.x0 - 0.5))
    return found


def test_parts_that_meet_only_below_are_one() -> None:
    """Three legs, joined in the last row: the outermost legs have a notch between them."""
    mask = np.zeros((40, 11), bool)
    mask[:, [1, 5, 9]] = True
    mask[-1, 1:10] = True
    (polygon,) = strips_to_polygons([row[None] for row in mask], Window(0, 0, 40, 11))
    assert polygon.n_vertices == 12
    assert polygon.area == mask.sum()


def test_rows_left_out_at_the_end_are_empty() -> None:
    mask = np.zeros((9, 5), bool)
    mask[:4, 1:3] = True
    window = Window(0, 0, *mask.shape)
    _assert_same(strips_to_polygons([mask[:4]], window), mask_to_polygons(mask))
    assert strips_to_polygons([], window) == ()


@pytest.mark.parametrize("side", [4000])
def test_memory_follows_the_outline_not_the_area(side: int) -> None:
    """A disk of which the bare mask would take 16 MB, and its parts 64 MB."""

    def disk() -> Iterator[BoolArray]:
        x = np.arange(side, dtype=np.int32)
        for top in range(0, side, 100):
            y = np.arange(top, top + 100, dtype=np.int32)[:, None]
            yield (y - side // 2) ** 2 + (x - side // 2) ** 2 <= (side // 2 - 1) ** 2

    tracemalloc.start()
    (polygon,) = strips_to_polygons(disk(), Window(0, 0, side, side))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert polygon.area == pytest.approx(np.pi * (side / 2 - 1) ** 2, rel=1e-4)
    assert peak < 15e6
