"""The classics: they find what is easy, and odd clicks do not upset them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_edgeflow._types import AnyArray, BoolArray, Click, Window
from napari_edgeflow.evaluation.baselines import GrabCut, RandomWalker, Watershed, square_around
from napari_edgeflow.evaluation.noc import iou

BASELINES = [GrabCut, RandomWalker, Watershed]


def disc(size: int = 120, centre: tuple[int, int] = (70, 50), radius: int = 14) -> BoolArray:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2, dtype=bool)


def picture(truth: BoolArray) -> AnyArray:
    """A red thing on green ground, with noise."""
    noise = np.random.default_rng(0).normal(0, 8, (*truth.shape, 3))
    colours = np.where(truth[..., None], (190, 60, 50), (60, 140, 70)) + noise
    return np.clip(colours, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize("max_side", [40, 400])
def test_a_clear_object_is_found_with_one_click(baseline: type, max_side: int) -> None:
    truth = disc(centre=(70, 95))  # the square is moved into the image: columns 36…119
    segmenter = baseline(max_side)
    segmenter.begin(picture(truth), 84.0)
    mask = segmenter.click(Click(70, 95))
    assert iou(mask, truth, np.zeros_like(truth)) > (0.8 if max_side == 40 else 0.93)


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p[..., 0],
        lambda p: p[..., 0].astype(np.uint16) * 200,
        lambda p: np.where(p[..., 0] > 250, np.nan, p[..., 0] / 255.0).astype(np.float32),
    ],
)
def test_grey_images_of_any_depth(baseline: type, convert: object) -> None:
    truth = disc()
    segmenter = baseline()
    segmenter.begin(convert(picture(truth)), 84.0)  # type: ignore[operator]
    mask = segmenter.click(Click(70, 50))
    assert iou(mask, truth, np.zeros_like(truth)) > 0.9


@pytest.mark.parametrize("baseline", BASELINES)
def test_a_negative_click_removes_what_it_hits(baseline: type) -> None:
    truth, other = disc(), disc(centre=(70, 90), radius=12)
    segmenter = baseline()
    segmenter.begin(picture(truth | other), 120.0)
    segmenter.click(Click(70, 50))
    mask = segmenter.click(Click(70, 90, False))
    assert not mask[70, 90]
    assert mask[70, 50]


@pytest.mark.parametrize("baseline", BASELINES)
@pytest.mark.parametrize(
    "image", [np.zeros((30, 30), np.uint8), np.zeros((1, 40, 3), np.uint8), np.ones((5, 5))]
)
@pytest.mark.parametrize("signs", [(True,), (False,), (False, True), (True, False, False)])
def test_odd_pictures_and_odd_clicks_give_a_mask(
    baseline: type, image: AnyArray, signs: tuple[bool, ...]
) -> None:
    segmenter = baseline()
    segmenter.begin(image, 64.0)
    for column, is_positive in enumerate(signs):
        mask = segmenter.click(Click(0, column, is_positive))
        assert mask.shape == image.shape[:2]
        assert mask.dtype == bool
    if True not in signs:
        assert not mask.any()


@pytest.mark.parametrize("baseline", BASELINES)
def test_the_same_clicks_give_the_same_mask(baseline: type) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)  # nothing to find
    segmenter = baseline()
    masks = []
    for _ in range(2):
        segmenter.begin(noise, 60.0)
        segmenter.click(Click(30, 30))
        masks.append(segmenter.click(Click(30, 45, False)))
    np.testing.assert_array_equal(*masks)


@pytest.mark.parametrize("baseline", BASELINES)
def test_outside_of_the_square_there_is_nothing(baseline: type) -> None:
    truth = disc(centre=(100, 100), radius=60, size=300)
    segmenter = baseline()
    segmenter.begin(picture(truth), 40.0)
    mask = segmenter.click(Click(100, 100))
    # A click out of reach is heard, and changes nothing.
    again = segmenter.click(Click(10, 290))
    inside = np.zeros_like(mask)
    inside[80:120, 80:120] = True
    assert not mask[~inside].any()
    np.testing.assert_array_equal(mask, again)


@pytest.mark.parametrize(
    ("click", "side", "expected"),
    [
        (Click(50, 60), 20, Window(40, 50, 60, 70)),
        (Click(3, 99), 20, Window(0, 80, 20, 100)),
        (Click(50, 60), 500, Window(0, 0, 80, 100)),
        (Click(70, 60), 90, Window(0, 10, 80, 100)),
        (Click(5, 5), 0.2, Window(5, 5, 6, 6)),
    ],
)
def test_square_around(click: Click, side: float, expected: Window) -> None:
    assert square_around(click, side, (80, 100)) == expected


def test_a_square_needs_pixels() -> None:
    with pytest.raises(ValueError, match="at least 8"):
        GrabCut(4)
