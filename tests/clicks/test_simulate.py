"""The simulated click against a brute-force reading of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.clicks.simulate import next_click

Pixel = tuple[int, int]


def brute_squared_depth(error: BoolArray, clicked: set[Pixel]) -> dict[Pixel, int]:
    """Squared distance of each error pixel to the nearest non-error one, by looking at all."""
    height, width = error.shape
    outside = [
        (row, column)
        for row in range(-1, height + 1)
        for column in range(-1, width + 1)
        if not (0 <= row < height and 0 <= column < width and error[row, column])
    ]
    return {
        (row, column): min((row - r) ** 2 + (column - c) ** 2 for r, c in outside)
        for row in range(height)
        for column in range(width)
        if error[row, column] and (row, column) not in clicked
    }


def brute_next_click(
    truth: BoolArray, predicted: BoolArray, ignore: BoolArray, clicked: set[Pixel]
) -> Click | None:
    missed = brute_squared_depth(truth & ~predicted & ~ignore, clicked)
    wrong = brute_squared_depth(predicted & ~truth & ~ignore, clicked)
    is_positive = max(missed.values(), default=0) > max(wrong.values(), default=0)
    depth = missed if is_positive else wrong
    if not depth:
        return None
    deepest = max(depth.values())
    row, column = min(pixel for pixel, value in depth.items() if value == deepest)
    return Click(row, column, is_positive)


def bools(shape: tuple[int, int]) -> st.SearchStrategy[BoolArray]:
    return arrays(bool, shape)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), height=st.integers(1, 9), width=st.integers(1, 9))
def test_equals_brute_force(data: st.DataObject, height: int, width: int) -> None:
    shape = (height, width)
    truth, predicted, ignore = (data.draw(bools(shape)) for _ in range(3))
    pixels = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    clicked = data.draw(st.sets(pixels, max_size=4))
    clicks = [Click(row, column, True) for row, column in clicked]

    came = next_click(truth, predicted, ignore=ignore, clicked=clicks)

    assert came == brute_next_click(truth, predicted, ignore, clicked)


def test_large_blobs_equal_brute_force() -> None:
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:31, :37]
    for _ in range(10):
        truth, predicted = (
            (rows - rng.uniform(0, 31)) ** 2 + (columns - rng.uniform(0, 37)) ** 2
            < rng.uniform(20, 200)
            for _ in range(2)
        )
        expected = brute_next_click(truth, predicted, np.zeros_like(truth), set())
        assert next_click(truth, predicted) == expected


def test_centre_of_a_missed_square_is_clicked() -> None:
    truth = np.zeros((20, 30), dtype=bool)
    truth[4:9, 10:15] = True
    assert next_click(truth, np.zeros_like(truth)) == Click(6, 12, True)


def test_the_border_of_the_image_is_a_border() -> None:
    truth = np.ones((7, 9), dtype=bool)
    assert next_click(truth, np.zeros_like(truth)) == Click(3, 3, True)


def test_a_draw_between_missed_and_wrong_is_negative() -> None:
    truth = np.zeros((5, 9), dtype=bool)
    predicted = truth.copy()
    truth[1:4, 1:4] = True
    predicted[1:4, 5:8] = True
    assert next_click(truth, predicted) == Click(2, 6, False)


def test_nothing_to_correct_is_none() -> None:
    truth = np.eye(4, dtype=bool)
    assert next_click(truth, truth) is None
    assert next_click(truth, ~truth, ignore=np.ones_like(truth)) is None


def test_a_pixel_is_never_clicked_twice() -> None:
    truth = np.ones((3, 3), dtype=bool)
    empty = np.zeros_like(truth)
    clicks: list[Click] = []
    while (click := next_click(truth, empty, clicked=clicks)) is not None:
        clicks.append(click)
    assert sorted(click.pixel for click in clicks) == [(r, c) for r in range(3) for c in range(3)]


def test_training_draws_uniformly_from_the_inner_half() -> None:
    # The deepest pixels lie 7 deep; those 4 deep are in the inner half, those 3 deep are not.
    truth = np.zeros((16, 24), dtype=bool)
    truth[1:14, 2:22] = True
    depth = brute_squared_depth(truth, set())
    inner = {pixel for pixel, value in depth.items() if 4 * value > max(depth.values())}
    rng = np.random.default_rng(0)

    drawn = [next_click(truth, np.zeros_like(truth), rng=rng) for _ in range(60 * len(inner))]

    counts = dict.fromkeys(inner, 0)
    for click in drawn:
        assert click is not None
        assert click.is_positive
        counts[click.pixel] += 1  # KeyError when a click falls outside the inner half
    # Poisson, mean 60: five standard deviations either way.
    assert min(counts.values()) > 21
    assert max(counts.values()) < 99


def test_training_repeats_with_the_same_seed() -> None:
    truth = np.ones((9, 9), dtype=bool)
    empty = np.zeros_like(truth)
    first, second = (next_click(truth, empty, rng=np.random.default_rng(5)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("shape", [(4, 5), (4,), (4, 4, 1)])
def test_shapes_must_agree(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="same shape"):
        next_click(np.zeros((4, 4), dtype=bool), np.zeros(shape, dtype=bool))
