"""Edits of outlines as values, checked by areas and by shapely's own operations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import shapely

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.polygon_commands import Outline, outline_pieces
from napari_edgeflow.gui.outlines.edit import (
    MAX_CORNERS,
    Sketch,
    add_area,
    cut_out,
    faults,
    merge_all,
    open_sketch,
    separate,
    split_by,
    square_all,
    with_rings,
    with_tolerance,
)
from napari_edgeflow.vector.coverage import coverage_faults, label_polygons
from napari_edgeflow.vector.polygons import Polygon, mask_to_polygons

SHAPE = (60, 80)


def _box(y0: float, x0: float, y1: float, x1: float) -> Polygon:
    return Polygon(np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], dtype=float))


def _holed() -> Polygon:
    return Polygon(_box(0, 0, 10, 20).exterior, (_box(2, 2, 4, 4).exterior[::-1],))


def _sketch(*outlines: Outline) -> Sketch:
    return with_tolerance(outlines, 0)


def _two() -> Sketch:
    return _sketch(Outline(3, (_holed(), _box(20, 0, 30, 10))), Outline(5, (_box(0, 20, 10, 30),)))


def _mask(sketch: Sketch) -> BoolArray:
    mask = np.zeros(SHAPE, dtype=bool)
    for outline in sketch.outlines:
        for window, piece in outline_pieces(outline, SHAPE):
            mask[window.slices] |= piece
    return mask


def test_rings_go_out_and_come_back() -> None:
    sketch = _two()
    assert sketch.keys == ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
    back = with_rings(sketch, sketch.rings)
    assert back.keys == sketch.keys
    assert [outline.area for outline in back.outlines] == [296, 100]
    moved = [ring.copy() for ring in sketch.rings]
    moved[3][2] += (0, 4)
    assert with_rings(sketch, moved).outlines[1].area == 120


def test_rings_that_lose_their_corners_are_gone() -> None:
    sketch, nothing = _two(), np.zeros((0, 2))
    rings = list(sketch.rings)
    assert with_rings(sketch, [rings[0], nothing, *rings[2:]]).outlines[0].area == 300
    without = with_rings(sketch, [nothing, *rings[1:]])  # an exterior takes its holes with it
    assert [outline.area for outline in without.outlines] == [100, 100]
    (left,) = with_rings(sketch, [nothing, rings[1], rings[2][:2], rings[3]]).outlines
    assert left.label == 5
    with pytest.raises(ValueError, match="delete the object instead"):
        with_rings(sketch, [nothing] * 4)


def test_the_tolerance_starts_from_the_base_each_time() -> None:
    y, x = np.ogrid[:60, :80]
    base = (Outline(1, mask_to_polygons((y - 30) ** 2 + (x - 40) ** 2 < 600)),)
    counts = [with_tolerance(base, tolerance).n_corners for tolerance in (0, 0.5, 1, 2, 4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == base[0].polygons[0].n_vertices > counts[2] > 8
    np.testing.assert_array_equal(
        _mask(with_tolerance(base, 0)), (y - 30) ** 2 + (x - 40) ** 2 < 600
    )
    assert with_tolerance(with_tolerance(base, 4).base, 0).n_corners == counts[0]


def test_neighbours_keep_their_common_edge_when_made_simpler() -> None:
    y, x = np.mgrid[:60, :80]
    wave = x < 40 + 6 * np.sin(y / 5)
    labels = np.where((y > 5) & (y < 50) & (x > 5) & (x < 70), np.where(wave, 1, 2), 0)
    outlines = [Outline(i, label_polygons(labels, i, Window(0, 0, *SHAPE))) for i in (1, 2)]
    simple = with_tolerance(outlines, 2.0)
    assert simple.n_corners < with_tolerance(outlines, 0).n_corners / 3
    shapes = [outline.polygons[0].to_shapely() for outline in simple.outlines]
    found = coverage_faults(shapes)
    assert (found.invalid, found.overlap_area, found.mismatched) == (0, 0, 0)


def test_an_object_with_very_many_corners_opens_simpler() -> None:
    rng = np.random.default_rng(0)
    noisy = mask_to_polygons(rng.random((150, 150)) < 0.7)
    sketch = open_sketch((Outline(1, noisy),), 0.0)
    assert with_tolerance(sketch.base, 0).n_corners > MAX_CORNERS
    assert sketch.tolerance_px > 0
    small = open_sketch((Outline(1, (_holed(),)),), 1.0)
    assert small.tolerance_px == 1.0


def test_a_line_splits_what_it_crosses() -> None:
    parts = split_by(_two(), np.array([[5.0, -1.0], [5.0, 31.0]]))
    assert [(one.label, one.is_new, one.area) for one in parts.outlines] == [
        (3, False, 200),
        (3, True, 96),
        (5, False, 50),
        (5, True, 50),
    ]
    np.testing.assert_array_equal(_mask(parts), _mask(_two()))
    with pytest.raises(ValueError, match="goes right through"):
        split_by(_two(), np.array([[50.0, 0.0], [50.0, 60.0]]))


def test_parts_are_separated_and_merged_again() -> None:
    parts = separate(_two())
    assert [(one.label, one.is_new, one.area) for one in parts.outlines] == [
        (3, False, 196),
        (3, True, 100),
        (5, False, 100),
    ]
    (one,) = merge_all(parts).outlines
    assert (one.label, one.is_new, one.area, len(one.polygons)) == (3, False, 396, 2)
    np.testing.assert_array_equal(_mask(merge_all(parts)), _mask(_two()))
    with pytest.raises(ValueError, match="one piece"):
        separate(_sketch(Outline(3, (_holed(),))))
    with pytest.raises(ValueError, match="two or more outlines"):
        merge_all(_sketch(Outline(3, (_holed(),))))


def test_regions_are_cut_out_and_added() -> None:
    cut = cut_out(_two(), _box(-1, 15, 11, 25))
    assert [one.area for one in cut.outlines] == [246, 50]
    inner = cut_out(_sketch(Outline(5, (_box(0, 0, 10, 10),))), _box(3, 3, 6, 6))
    assert len(inner.outlines[0].polygons[0].holes) == 1
    (left,) = cut_out(_two(), _box(-1, 19.5, 11, 40)).outlines
    assert left.label == 3
    with pytest.raises(ValueError, match="beside it"):
        cut_out(_two(), _box(50, 50, 55, 55))
    with pytest.raises(ValueError, match="delete the object instead"):
        cut_out(_two(), _box(-5, -5, 55, 55))
    grown = add_area(_two(), _box(5, 25, 15, 35))
    assert [one.area for one in grown.outlines] == [296, 175]
    near = add_area(_two(), _box(20, 12, 30, 14))  # touches none: nearest to the second part of 3
    assert [one.area for one in near.outlines] == [316, 100]


def test_what_is_left_of_an_object_keeps_its_id() -> None:
    parts = split_by(_sketch(Outline(5, (_box(0, 0, 10, 10),))), np.array([[-1.0, 6], [11.0, 6]]))
    (left,) = cut_out(parts, _box(-1, -1, 11, 6)).outlines
    assert (left.label, left.is_new, left.area) == (5, False, 40)


def test_right_angles() -> None:
    rough = Polygon(np.array([[0.0, 0], [0.8, 30], [20, 29], [19.4, 0.5]]))
    (square,) = square_all(_sketch(Outline(1, (rough,))), 4.0).outlines
    ring = square.polygons[0].exterior
    along = np.roll(ring, -1, axis=0) - ring
    assert np.abs((along * np.roll(along, -1, axis=0)).sum(axis=1)).max() < 1e-6
    assert square.area == pytest.approx(rough.area, rel=0.02)
    turn = np.linspace(0, 2 * np.pi, 5, endpoint=False)
    star = Polygon(np.stack([np.sin(2 * turn), np.cos(2 * turn)], axis=1) * 20 + 30)
    with pytest.raises(ValueError, match="nothing was changed"):
        square_all(_sketch(Outline(1, (star,))), 4.0)


@pytest.mark.parametrize(
    "edit",
    [
        lambda sketch: split_by(sketch, np.array([[5.0, -1.0], [5.0, 11.0]])),
        lambda sketch: cut_out(sketch, _box(4, 4, 6, 6)),
        lambda sketch: add_area(sketch, _box(-3, 4, 1, 6)),
        lambda sketch: with_tolerance(sketch.base, 1.0),
    ],
)
def test_an_outline_that_crosses_itself_is_mended_by_the_next_edit(
    edit: Callable[[Sketch], Sketch],
) -> None:
    crossing = _sketch(Outline(1, (Polygon(np.array([[0.0, 0], [10, 10], [0, 10], [10, 0]])),)))
    assert faults(crossing)
    after = edit(crossing)
    assert not faults(after)
    assert all(p.to_shapely().is_valid for one in after.outlines for p in one.polygons)


def test_a_hole_dragged_outside_takes_nothing_else_away() -> None:
    outside = Polygon(_box(0, 0, 10, 20).exterior, (_box(5, 15, 8, 30).exterior[::-1],))
    (piece,) = outline_pieces(Outline(1, (outside,)), SHAPE)
    expected = shapely.difference(shapely.box(0, 0, 20, 10), shapely.box(15, 5, 30, 8))
    assert piece[1].sum() == expected.area
