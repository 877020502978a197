from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_edgeflow._types import BoolArray, Click, FloatArray, PostProcessing, Window
from napari_edgeflow.inference.cleaning import keep_clicked_parts, mask_box
from napari_edgeflow.inference.postprocess import probs_to_mask

WINDOW = Window(10, 20, 74, 84)


def _mask(
    probs: FloatArray, clicks: list[Click], *, threshold: float = 0.5, largest: bool = False
) -> BoolArray:
    return probs_to_mask(probs, WINDOW, clicks, PostProcessing(threshold, largest))


def _plane(value: float) -> FloatArray:
    return np.full((64, 64), value, np.float32)


def test_threshold_alone_when_nothing_else_applies() -> None:
    probs = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    for threshold in (0.2, 0.5, 0.9):
        assert np.array_equal(_mask(probs, [], threshold=threshold), probs > threshold)


def test_positive_click_on_flat_background_takes_a_small_disk() -> None:
    mask = _mask(_plane(0.01), [Click(42, 52)])
    rows, columns = np.nonzero(mask)
    assert mask[32, 32]
    assert 9 <= mask.sum() <= 40
    assert rows.mean() == pytest.approx(32)
    assert columns.mean() == pytest.approx(32)


def test_obeyed_region_follows_the_probabilities() -> None:
    """A faint stripe under the click is taken along, the darker surroundings are not."""
    probs = _plane(0.05)
    probs[:, 31:34] = 0.3
    mask = _mask(probs, [Click(42, 52)])
    rows, columns = np.nonzero(mask)
    assert set(columns) == {31, 32, 33}
    assert len(set(rows)) >= 5


def test_negative_click_cuts_a_hole_that_follows_the_probabilities() -> None:
    probs = _plane(0.95)
    probs[30:35, 30:35] = 0.6
    mask = _mask(probs, [Click(20, 30), Click(42, 52, is_positive=False)])
    hole = ~mask
    assert hole[32, 32]
    assert 5 <= hole.sum() <= 25
    assert hole[30:35, 30:35].sum() == hole.sum()


def test_region_stops_half_way_to_an_opposite_click() -> None:
    mask = _mask(_plane(0.01), [Click(42, 52), Click(42, 54, is_positive=False)])
    assert mask[32, 32]
    assert not mask[32, 34]


def test_largest_component_keeps_what_was_clicked() -> None:
    probs = _plane(0.0)
    probs[5:10, 5:10] = 1
    probs[30:60, 30:60] = 1
    small = Click(17, 27)
    assert _mask(probs, [small], largest=True).sum() == 25
    assert _mask(probs, [small], largest=False).sum() == 25 + 900
    both = [small, Click(50, 60)]
    assert _mask(probs, both, largest=True).sum() == 25 + 900


def test_without_a_positive_click_the_largest_part_stays() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0:3, 0:3] = mask[10:18, 10:18] = True
    assert keep_clicked_parts(mask, []).sum() == 64


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_click_is_obeyed(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10_000))
    noise = np.random.default_rng(seed).random((64, 64))
    probs = ndimage.gaussian_filter(noise, 2).astype(np.float32)
    probs = (probs - probs.min()) / (probs.max() - probs.min())
    spot = st.tuples(st.integers(0, 63), st.integers(0, 63))
    pixels = data.draw(st.lists(spot, min_size=1, max_size=8, unique=True))
    signs = data.draw(st.lists(st.booleans(), min_size=len(pixels), max_size=len(pixels)))
    clicks = [
        Click(row + 10, column + 20, sign)
        for (row, column), sign in zip(pixels, signs, strict=True)
    ]
    threshold = data.draw(st.sampled_from([0.05, 0.5, 0.95]))
    mask = _mask(probs, clicks, threshold=threshold, largest=data.draw(st.booleans()))
    for pixel, sign in zip(pixels, signs, strict=True):
        assert mask[pixel] == sign


def test_later_click_wins_on_the_same_pixel() -> None:
    here, not_here = Click(42, 52), Click(42, 52, is_positive=False)
    assert not _mask(_plane(0.9), [here, not_here])[32, 32]
    assert _mask(_plane(0.1), [not_here, here])[32, 32]


def test_clicks_outside_the_window_change_nothing() -> None:
    assert not _mask(_plane(0.1), [Click(200, 200)]).any()


def test_box_of_a_mask_in_raster_pixels() -> None:
    mask = np.zeros((64, 64), bool)
    assert mask_box(mask, WINDOW) is None
    mask[3, 7] = mask[40, 50] = True
    assert mask_box(mask, WINDOW) == Window(13, 27, 51, 71)


def _ramp() -> FloatArray:
    """Probability falls from left to right: 0.5 between columns 31 and 32."""
    row = (1 - (np.arange(64) + 0.5) / 64).astype(np.float32)
    return np.tile(row, (64, 1))


def _crosses(mask: BoolArray, row: int, column: int) -> bool:
    around = mask[row - 1 : row + 2, column - 1 : column + 2]
    return bool(around.any() and not around.all())


@pytest.mark.parametrize("column", [27, 29, 31, 32, 34, 36])
def test_boundary_passes_through_a_boundary_click(column: int) -> None:
    probs = _ramp()
    plain = probs > 0.5
    mask = _mask(probs, [Click(42, column + 20, is_boundary=True)])
    assert _crosses(mask, 32, column)
    rows, columns = np.nonzero(mask != plain)
    if column in (31, 32):
        assert not len(rows)
        return
    # A dent or a bump: connected, near the click, on the click's side of the old boundary.
    assert np.hypot(rows - 32, columns - column).max() <= 6.4
    wanted = (columns >= column) & (columns <= 31) if column < 32 else (columns <= column)
    assert wanted.all()
    assert ndimage.label(mask)[1] == ndimage.label(~mask)[1] == 1


@pytest.mark.parametrize("column", [2, 20, 42, 60])
def test_a_boundary_click_far_from_the_boundary_changes_nothing(column: int) -> None:
    probs = _ramp()
    assert np.array_equal(_mask(probs, [Click(42, column + 20, is_boundary=True)]), probs > 0.5)


@pytest.mark.parametrize("value", [0.1, 0.9])
def test_a_boundary_click_makes_no_boundary_where_there_is_none(value: float) -> None:
    mask = _mask(_plane(value), [Click(42, 52, is_boundary=True)])
    assert (mask == (value > 0.5)).all()


def test_a_wall_of_lower_probability_stops_the_boundary() -> None:
    probs = _ramp()
    probs[:, 33] = 0.01
    changed = _mask(probs, [Click(42, 55, is_boundary=True)])
    assert np.array_equal(changed, probs > 0.5)


def test_signed_clicks_are_obeyed_before_boundary_clicks() -> None:
    clicks = [Click(42, 49), Click(42, 48, is_boundary=True), Click(42, 47, is_positive=False)]
    mask = _mask(_ramp(), clicks)
    assert mask[32, 29]
    assert not mask[32, 27]
    assert _crosses(mask, 32, 28)


def test_a_boundary_click_is_no_part_to_keep() -> None:
    probs = _plane(0.0)
    probs[5:10, 5:10] = 1
    probs[30:60, 30:60] = 1
    on_small = Click(15, 25, is_boundary=True)
    assert _mask(probs, [on_small], largest=True).sum() == 900
    assert _mask(probs, [on_small, Click(17, 27)], largest=True).sum() == 25
