"""What is near a click, and whether the rest stayed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.data.base import Sample
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.noc import mean_stability
from napari_edgeflow.evaluation.stability import neighbourhood, stability

from .fakes import Scripted

SHAPE = (60, 80)


def box(y0: int, x0: int, y1: int, x1: int) -> BoolArray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return mask


def grown(mask: BoolArray, radius: float) -> BoolArray:
    """All pixels within ``radius`` of one of the mask's, by looking at every pair."""
    places = np.argwhere(mask)
    distances = [
        np.hypot(*(places - (row, column)).T).min()
        for row in range(SHAPE[0])
        for column in range(SHAPE[1])
    ]
    return np.asarray(np.reshape(distances, SHAPE) <= radius)


@pytest.mark.parametrize(
    ("truth", "before", "click", "region", "radius"),
    [
        # √area 30: a margin of 3; the part that is missing
        (box(10, 10, 40, 40), box(10, 10, 40, 30), Click(25, 35), box(10, 30, 40, 40), 3.0),
        # √area 40: a margin of 4; the wrong part and not the missing one
        (
            box(10, 10, 50, 50),
            box(10, 20, 50, 50) | box(0, 60, 8, 70),
            Click(4, 65, False),
            box(0, 60, 8, 70),
            4.0,
        ),
        # a click where nothing is wrong is near itself alone
        (box(10, 10, 40, 40), box(10, 10, 40, 40), Click(50, 70, False), box(50, 70, 51, 71), 3.0),
    ],
)
def test_the_neighbourhood_is_the_error_and_a_margin(
    truth: BoolArray, before: BoolArray, click: Click, region: BoolArray, radius: float
) -> None:
    np.testing.assert_array_equal(neighbourhood(truth, before, click), grown(region, radius))


def test_stability_is_the_iou_outside() -> None:
    before, after, near = box(0, 0, 10, 10), box(0, 5, 10, 20), box(0, 15, 10, 80)
    # outside: 100 before, 100 after, 50 in common
    assert stability(before, after, near) == pytest.approx(50 / 150)
    assert math.isnan(stability(before, after, np.ones(SHAPE, dtype=bool)))


def test_correcting_the_error_alone_is_stable_and_changing_the_far_end_is_not() -> None:
    truth = box(20, 5, 40, 75)
    left_out, far_end_lost = truth.copy(), truth.copy()
    left_out[:, 60:] = False
    far_end_lost[:, :20] = False
    sample = Sample("s", np.zeros(SHAPE, np.uint8), truth.astype(np.int32), np.zeros_like(truth))

    for after, expected in ((truth, 1.0), (far_end_lost, None)):
        segmenter = Scripted([left_out, after, truth])
        clicked = click_on_object(segmenter, sample, 1, field_of_view=80, max_clicks=2)
        assert len(clicked.stabilities) == len(clicked.clicks) - 1 == 1
        near = grown(box(20, 60, 40, 75), 0.1 * math.sqrt(20 * 70))
        wanted = (left_out & after & ~near).sum() / ((left_out | after) & ~near).sum()
        assert clicked.stabilities[0] == pytest.approx(wanted)
        if expected is not None:
            assert clicked.stabilities[0] == expected
        else:
            assert clicked.stabilities[0] < 0.75


def test_the_mean_looks_at_clicks_2_to_10_and_leaves_out_what_is_unknown() -> None:
    assert mean_stability([(0.5, math.nan), (1.0,)]) == 0.75
    assert mean_stability([(1.0,) * 9 + (0.0,)]) == 1.0
    assert mean_stability([(1.0,) * 8 + (0.1,)]) == pytest.approx((8 + 0.1) / 9)
    assert mean_stability([(math.nan,), ()]) is None
