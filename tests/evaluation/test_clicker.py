"""The simulated user: what is clicked, when it stops, what is measured."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_edgeflow._types import AnyArray, Click, Prediction, Window
from napari_edgeflow.data.base import Sample
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.segmenters import SessionSegmenter

from .fakes import Constant, Oracle, Scripted


def two_squares(ignore_column: int | None = None) -> Sample:
    """Object 1 of 5 × 5 around (7, 7), object 2 of 3 × 3 around (15, 15)."""
    labels = np.zeros((20, 20), np.int32)
    labels[5:10, 5:10] = 1
    labels[14:17, 14:17] = 2
    ignore = np.zeros((20, 20), dtype=bool)
    if ignore_column is not None:
        ignore[:, ignore_column] = True
        labels[ignore] = 0
    return Sample("squares", np.asarray(60 * labels, dtype=np.uint8), labels, ignore)


def test_an_oracle_needs_one_click() -> None:
    clicked = click_on_object(Oracle(), two_squares(), 2, field_of_view=20)
    assert clicked.ious == (1.0,)
    assert clicked.clicks == (Click(15, 15, True),)
    assert clicked.mask.sum() == 9


def test_nothing_at_all_takes_every_click_until_no_pixel_is_left() -> None:
    clicked = click_on_object(Constant(False), two_squares(), 2, field_of_view=20)
    # Nine pixels, none of them clicked twice, then nothing is left to click on.
    assert clicked.ious == (0.0,) * 9
    assert len({click.pixel for click in clicked.clicks}) == 9


def test_patience_ends_after_max_clicks() -> None:
    clicked = click_on_object(Constant(False), two_squares(), 1, field_of_view=20, max_clicks=4)
    assert len(clicked.ious) == len(clicked.seconds) == len(clicked.clicks) == 4


def test_a_mask_of_everything_is_answered_with_negative_clicks() -> None:
    clicked = click_on_object(Constant(True), two_squares(), 1, field_of_view=20, max_clicks=5)
    assert [click.is_positive for click in clicked.clicks] == [True] + [False] * 4
    assert clicked.ious == (25 / 400,) * 5


def test_each_click_answers_to_the_mask_before_it() -> None:
    truth = two_squares().labels == 1
    left, everything = truth.copy(), truth.copy()
    left[:, 7:] = False  # 10 of 25
    everything[12:19, 2:9] = True  # 49 wrong ones around (15, 5)
    segmenter = Scripted([left, everything, truth])

    clicked = click_on_object(segmenter, two_squares(), 1, field_of_view=17)

    assert segmenter.field_of_view == 17
    assert segmenter.clicks == [Click(7, 7, True), Click(6, 8, True), Click(15, 5, False)]
    assert clicked.ious == (10 / 25, 25 / 74, 1.0)


def test_the_user_stops_at_095() -> None:
    truth = np.ones((20, 20), dtype=bool)
    sample = Sample("s", np.zeros((20, 20), np.uint8), truth.astype(np.int32), ~truth)
    nearly, enough = truth.copy(), truth.copy()
    nearly.flat[:21] = False
    enough.flat[:20] = False
    clicked = click_on_object(Scripted([nearly, enough]), sample, 1, field_of_view=20)
    assert clicked.ious == (379 / 400, 0.95)


def test_ignored_pixels_draw_no_click_and_cost_nothing() -> None:
    sample = two_squares(ignore_column=9)
    truth = sample.labels == 1  # 5 x 4
    mask = truth.copy()
    mask[:, 9] = True
    clicked = click_on_object(Scripted([mask]), sample, 1, field_of_view=20)
    assert clicked.ious == (1.0,)
    assert clicked.clicks == (Click(6, 6, True),)


def test_a_wrong_mask_on_ignored_pixels_is_not_corrected() -> None:
    sample = two_squares()
    sample.ignore[:, 12:] = True
    truth = sample.labels == 1
    mask = truth | sample.ignore  # 160 wrong pixels that nobody judges
    mask[5, 5:7] = False
    segmenter = Scripted([mask, truth])
    clicked = click_on_object(segmenter, sample, 1, field_of_view=20)
    assert segmenter.clicks[1] == Click(5, 5, True)
    assert clicked.ious == (23 / 25, 1.0)


def test_only_the_click_itself_is_timed() -> None:
    ticks = itertools.count(0.0, 2.5)
    clicked = click_on_object(
        Constant(False),
        two_squares(),
        1,
        field_of_view=20,
        max_clicks=3,
        clock=lambda: next(ticks),
    )
    assert clicked.seconds == (2.5, 2.5, 2.5)


def test_an_object_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no object 9"):
        click_on_object(Oracle(), two_squares(), 9, field_of_view=20)


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a mask of"):
        click_on_object(Scripted([np.zeros((3, 3), dtype=bool)]), two_squares(), 1, field_of_view=9)


class FakeSession:
    """Answers with the pixel clicked on, in a window of 4 × 6 around nothing in particular."""

    def __init__(self, image: AnyArray, field_of_view: float) -> None:
        self.window = Window(3, 2, 7, 8)
        self.asked = (image.shape, field_of_view)

    def add_click(self, y: float, x: float, is_positive: bool = True) -> Prediction:
        mask = np.zeros(self.window.shape, dtype=bool)
        mask[int(y) - 3, int(x) - 2] = is_positive
        return Prediction(self.window, mask.astype(np.float32), mask, 1.0)


def test_the_mask_of_a_session_is_put_at_its_place() -> None:
    opened: list[FakeSession] = []

    def open_session(image: AnyArray, field_of_view: float) -> FakeSession:
        opened.append(FakeSession(image, field_of_view))
        return opened[-1]

    segmenter = SessionSegmenter(open_session)
    segmenter.begin(np.zeros((10, 12, 3), np.uint8), 8.0)
    mask = segmenter.click(Click(5, 4))

    assert mask.shape == (10, 12)
    assert np.argwhere(mask).tolist() == [[5, 4]]
    assert opened[0].asked == ((10, 12, 3), 8.0)
    assert not segmenter.click(Click(5, 4, False)).any()


def test_a_session_must_be_begun() -> None:
    with pytest.raises(RuntimeError, match="begin"):
        SessionSegmenter(FakeSession).click(Click(1, 1))
