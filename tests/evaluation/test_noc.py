"""Figures against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from napari_edgeflow._types import BoolArray
from napari_edgeflow.evaluation.noc import (
    carried_forward,
    clicks_to_reach,
    count_drops,
    iou,
    summarise,
)

SHAPE = (5, 6)


def test_iou_of_two_overlapping_boxes() -> None:
    first, second = np.zeros((10, 10), dtype=bool), np.zeros((10, 10), dtype=bool)
    first[0:4, 0:5] = True  # 20 pixels
    second[2:6, 0:5] = True  # 20 pixels, 10 in common
    assert iou(first, second, np.zeros_like(first)) == pytest.approx(10 / 30)


def test_ignored_pixels_count_on_neither_side() -> None:
    truth, predicted, ignore = (np.zeros((4, 4), dtype=bool) for _ in range(3))
    truth[0] = True
    predicted[0, :2] = predicted[1] = True
    ignore[1, :3] = True
    # In judgement: 2 in common, 4 of the truth, 1 wrong.
    assert iou(predicted, truth, ignore) == pytest.approx(2 / 5)


@settings(deadline=None)
@given(arrays(bool, SHAPE), arrays(bool, SHAPE), arrays(bool, SHAPE))
def test_iou_equals_set_arithmetic(first: BoolArray, second: BoolArray, ignore: BoolArray) -> None:
    a, b, left_out = (
        {tuple(pixel) for pixel in np.argwhere(mask).tolist()} for mask in (first, second, ignore)
    )
    a, b = a - left_out, b - left_out
    expected = len(a & b) / len(a | b) if a | b else 1.0
    assert iou(first, second, ignore) == expected


@pytest.mark.parametrize(
    ("ious", "threshold", "expected"),
    [
        ((0.85,), 0.85, 1),
        ((0.2, 0.849, 0.85, 0.1), 0.85, 3),
        ((0.9, 0.1), 0.85, 1),
        ((0.2, 0.84), 0.85, None),
    ],
)
def test_clicks_to_reach(ious: tuple[float, ...], threshold: float, expected: int | None) -> None:
    assert clicks_to_reach(ious, threshold) == expected


@pytest.mark.parametrize(
    ("ious", "expected"),
    [
        ((0.5,), (0, 0)),
        ((0.5, 0.6, 0.7), (0, 2)),
        ((0.5, 0.4, 0.7, 0.1), (2, 3)),
        ((0.500, 0.495, 0.489), (0, 2)),  # each falls by less than 0.01
        ((0.75, 0.734375), (1, 1)),  # by 1/64
        ((*[0.9] * 10, 0.1), (0, 9)),  # the eleventh click is not looked at
        ((*[0.9] * 9, 0.1, 0.9), (1, 9)),
    ],
)
def test_count_drops(ious: tuple[float, ...], expected: tuple[int, int]) -> None:
    assert count_drops(ious) == expected


def test_the_last_value_is_carried_forward() -> None:
    assert carried_forward((0.25, 0.5), 4) == [0.25, 0.5, 0.5, 0.5]


def test_summary_of_two_objects_by_hand() -> None:
    summary = summarise(
        "nuclei",
        ious=[(0.5, 0.875, 0.75, 0.96875), (0.25, 0.25, 0.9375, 0.9375, 0.9375)],
        seconds=[(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0, 9.0)],
        max_clicks=5,
    )
    assert summary.objects == 2
    assert summary.noc85 == (2 + 3) / 2
    assert summary.noc90 == (4 + 3) / 2
    assert summary.noc95 == (4 + 5) / 2  # the second one fails and counts as 5
    assert (summary.nof85, summary.nof90) == (0, 0)
    assert summary.miou_at == (0.375, 0.5625, 0.84375, 0.953125, 0.953125)
    assert summary.drop_rate == 1 / 7
    assert summary.seconds_per_click_median == 5.0


def test_failures_are_counted_apart_from_late_success() -> None:
    curves = [(*[0.1] * 19, last) for last in (0.9, 0.86, 0.1)]
    summary = summarise("d", ious=curves, seconds=[(1.0,)] * 3, max_clicks=20)
    assert (summary.noc85, summary.noc90) == (20, 20)
    assert (summary.nof85, summary.nof90) == (1, 2)


def test_an_empty_data_set_has_no_figures() -> None:
    with pytest.raises(ValueError, match="at least one object"):
        summarise("d", [], [], 20)


def test_without_a_second_click_nothing_dropped() -> None:
    assert summarise("d", [(0.97,)], [(1.0,)], 20).drop_rate == 0


def test_more_than_twenty_clicks_are_told_apart() -> None:
    # RITM's NoC20 and NoC100: three objects at 0.9 after 5, 20 and 60 clicks, one never
    curves = [[0.0] * (n - 1) + [0.96] for n in (5, 20, 60)] + [[0.0] * 100]
    summary = summarise("d", curves, [(1.0,)] * 4, max_clicks=100)
    assert summary.noc90 == (5 + 20 + 20 + 20) / 4
    assert (summary.nof90, summary.late90) == (2, 3)
    assert summary.long is not None
    assert summary.long.clicks == 100
    assert summary.long.noc90 == (5 + 20 + 60 + 100) / 4
    assert (summary.long.nof85, summary.long.nof90, summary.long.nof95) == (1, 1, 1)
    assert len(summary.miou_at) == 100
    assert summary.miou_at[19] == pytest.approx(0.96 / 2)


def test_twenty_clicks_and_fewer_have_no_long_figures() -> None:
    summary = summarise("d", [(0.0,) * 8], [(1.0,)], max_clicks=8)
    assert summary.long is None
    assert (summary.noc85, summary.nof95, summary.late95) == (8.0, 1, 1)


def test_seconds_and_stability_of_all_clicks() -> None:
    summary = summarise(
        "d", [(0.1, 0.2), (0.3,)], [(1.0, 2.0), (6.0,)], 20, stabilities=[(0.5,), ()]
    )
    assert summary.seconds_per_click_mean == 3.0
    assert summary.seconds_per_click_median == 2.0
    assert summary.stability == 0.5
