"""Views and their truths stay in register, and clicks lie on the right side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.training import sampling
from napari_edgeflow.training.augment import random_colours
from napari_edgeflow.training.pack import write_pack
from napari_edgeflow.training.sampling import View, ViewSampler, group_weights, with_next_click

from .tiny import same_colours

MakeDataset = Callable[..., Path]
Shapes = list[tuple[int, int]]

LARGE: Shapes = [(300, 400), (260, 260)]
SMALL: Shapes = [(30, 200), (48, 40), (64, 64)]


def _sampler(
    make_dataset: MakeDataset, tmp_path: Path, shapes: Shapes, ignore: bool
) -> ViewSampler:
    folder = make_dataset("cells", shapes, with_ignore=ignore)
    return ViewSampler(write_pack([folder], tmp_path / "pack"))


def _iou(first: BoolArray, second: BoolArray) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("shapes", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("side", [48, 160])
def test_image_and_truth_stay_in_register(
    make_dataset: MakeDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shapes: Shapes,
    side: int,
) -> None:
    monkeypatch.setattr(sampling, "random_colours", same_colours)
    sampler = _sampler(make_dataset, tmp_path, shapes, ignore=False)
    rng = np.random.default_rng(0)
    shares, overlaps = [], []
    for _ in range(60):
        view = sampler.draw(side, rng)
        assert view.image.shape == (side, side, 3)
        assert view.image.dtype == np.uint8
        assert view.truth.shape == view.ignore.shape == view.prior.shape == (side, side)
        shown = (view.image[..., 0] > 127) & ~view.ignore
        overlaps.append(_iou(shown, view.truth & ~view.ignore))
        shares.append(view.truth.mean())
    assert min(overlaps) > 0.85
    assert np.mean(overlaps) > 0.97
    assert max(shares) > 3 * min(shares), "views of one zoom only"


def test_views_cut_at_the_border_mark_what_lies_outside(
    make_dataset: MakeDataset, tmp_path: Path
) -> None:
    """An image of 30 rows cannot fill a square view of a wide object."""
    sampler = _sampler(make_dataset, tmp_path, [(30, 200)], ignore=False)
    rng = np.random.default_rng(1)
    views = [sampler.draw(64, rng) for _ in range(20)]
    outside = [view.ignore.mean() for view in views]
    assert max(outside) > 0.3
    assert not any((view.ignore & view.truth).any() for view in views)


def test_ignored_pixels_come_along(
    make_dataset: MakeDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ignored stripe is white too: what is shown white is truth or ignored."""
    monkeypatch.setattr(sampling, "random_colours", same_colours)
    sampler = _sampler(make_dataset, tmp_path, LARGE, ignore=True)
    rng = np.random.default_rng(2)
    some = 0
    for _ in range(40):
        view = sampler.draw(96, rng)
        shown = view.image[..., 0] > 127
        assert not (view.truth & view.ignore).any()
        missed = shown & ~view.truth & ~view.ignore
        assert missed.sum() < 0.1 * shown.sum()
        some += int((view.ignore & shown).sum() > 0.05 * shown.sum())
    assert some > 20


def _check_click(click: Click, view: View) -> None:
    row, column = click.pixel
    assert 0 <= row < view.truth.shape[0]
    assert 0 <= column < view.truth.shape[1]
    assert view.truth[row, column] == click.is_positive
    assert not view.ignore[row, column]


def test_first_clicks_lie_on_the_right_side(make_dataset: MakeDataset, tmp_path: Path) -> None:
    sampler = _sampler(make_dataset, tmp_path, [*LARGE, *SMALL], ignore=True)
    rng = np.random.default_rng(3)
    views = [sampler.draw(64, rng) for _ in range(150)]
    for view in views:
        for click in view.clicks:
            _check_click(click, view)
        assert set(np.unique(view.prior)) <= {0, 1}
    counts = [len(view.clicks) for view in views]
    assert min(counts) == 1
    assert 0.5 < np.mean([count == 1 for count in counts]) < 0.98
    assert any(not click.is_positive for view in views for click in view.clicks)
    with_prior = [view for view in views if view.prior.any()]
    assert 0.08 < len(with_prior) / len(views) < 0.25
    alone = [view for view in views if len(view.clicks) == 1 and not view.prior.any()]
    assert all(view.clicks[0].is_positive for view in alone)


def test_the_same_seed_draws_the_same_views(make_dataset: MakeDataset, tmp_path: Path) -> None:
    sampler = _sampler(make_dataset, tmp_path, SMALL, ignore=False)
    first, second = (sampler.draw(48, np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.truth, second.truth)
    assert first.clicks == second.clicks


def _view() -> View:
    truth = np.zeros((40, 40), bool)
    truth[10:30, 10:30] = True
    ignore = np.zeros_like(truth)
    ignore[:, 34:] = True
    zeros = np.zeros((40, 40), np.float32)
    return View(np.zeros((40, 40, 3), np.uint8), truth, ignore, [Click(20, 20)], zeros)


def test_the_next_click_corrects_the_prediction() -> None:
    view, rng = _view(), np.random.default_rng(0)
    predicted = np.zeros((40, 40), bool)
    predicted[10:30, 10:20] = True  # the right half is missed
    predicted[:, 34:] = True  # this is ignored
    prior = np.full((40, 40), 0.25, np.float32)
    for _ in range(20):
        again = with_next_click(view, predicted, prior, rng, limit=3)
        assert again is not None
        first, second = again.clicks
        assert first == view.clicks[0]
        assert second.is_positive
        assert 10 <= second.y < 30
        assert 20 <= second.x < 30
        assert again.prior is prior
    assert len(view.clicks) == 1


def test_no_further_click_when_done_or_at_the_limit() -> None:
    view, rng = _view(), np.random.default_rng(0)
    prior = view.prior
    assert with_next_click(view, view.truth | view.ignore, prior, rng, limit=9) is None
    assert with_next_click(view, ~view.truth, prior, rng, limit=1) is None


def test_data_sets_are_drawn_by_their_weights(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folders = [
        make_dataset("a", [(40, 40)] * 4),
        make_dataset("b", [(40, 40)], seed=1),
    ]
    pack = write_pack(folders, tmp_path / "pack")
    assert ViewSampler(pack).chances.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert ViewSampler(pack, {"a": 1, "b": 3}).chances.tolist() == [0.25, 0.75]


def test_shares_by_prefix() -> None:
    sizes = {"micro_a": 9, "micro_b": 1, "nat_c": 25}
    weights = group_weights(list(sizes), {"micro_": 0.4, "nat_": 0.6}, sizes)
    assert weights == pytest.approx({"micro_a": 0.3, "micro_b": 0.1, "nat_c": 0.6})
    assert group_weights(list(sizes), {}, sizes) == {}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"micro_": 1.0}, "without a prefix or with several: nat_c"),
        ({"micro_": 1, "nat_": 1, "rs_": 1}, "prefixes without a data set: rs_;"),
        ({"micro_": 1, "micro_a": 1, "nat_": 1}, "with several: micro_a"),
    ],
)
def test_shares_that_fit_badly(shares: dict[str, float], message: str) -> None:
    sizes = {"micro_a": 9, "micro_b": 1, "nat_c": 25}
    with pytest.raises(ValueError, match=message):
        group_weights(list(sizes), shares, sizes)


@pytest.mark.parametrize("is_photograph", [True, False])
def test_colours_change_without_moving_anything(is_photograph: bool) -> None:
    """A step edge stays where it is: each half keeps to itself, whatever its new colour."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = (230, 200, 180)
    looks = set()
    for seed in range(40):
        out = random_colours(image, np.random.default_rng(seed), is_photograph=is_photograph)
        assert out.shape == image.shape
        assert out.dtype == np.uint8
        grey = out.astype(float).mean(axis=(0, 2))
        jump = np.abs(np.diff(grey))
        assert 28 <= int(jump.argmax()) <= 34
        looks.add(tuple(out[32, 48]))
    assert len(looks) > 30
    assert image[0, 0].tolist() == [0, 0, 0]
    assert image[0, 63].tolist() == [230, 200, 180]
