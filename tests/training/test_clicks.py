"""Simulated clicks: RITM's random points, Two-in-One's selection and boundary clicks."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from napari_edgeflow._types import BoolArray, Click, FloatArray
from napari_edgeflow.training.damage import KINDS, damage
from napari_edgeflow.training.first_clicks import (
    MOST_POINTS,
    jittered,
    random_points,
    selection_click,
    start_clicks,
)
from napari_edgeflow.training.next_clicks import (
    boundary_pixel,
    error_regions,
    outline,
    recycled,
    simulate,
    with_boundary_clicks,
)
from napari_edgeflow.training.settings import Phase
from napari_edgeflow.training.view import View

SIDE = 64


def _disk(y: float, x: float, radius: float, side: int = SIDE) -> BoolArray:
    rows, columns = np.mgrid[:side, :side]
    inside: BoolArray = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return inside


def _view(truth: BoolArray, others: BoolArray | None = None) -> View:
    ignore = np.zeros_like(truth)
    ignore[:3] = True
    image = np.zeros((*truth.shape, 3), np.uint8)
    prior = np.zeros(truth.shape, np.float32)
    return View(image, truth & ~ignore, ignore, [], prior, others)


# --- random points -------------------------------------------------------------------------


def test_numbers_of_random_points_fall_by_a_fifth() -> None:
    """Positives 1…24 and negatives 0…24, each with chance ∝ 0.8ⁿ: mean and shares."""
    view, rng = _view(_disk(32, 32, 15)), np.random.default_rng(0)
    draws = [random_points(view, rng) for _ in range(3000)]
    for is_positive, least in ((True, 1), (False, 0)):
        counts = [sum(c.is_positive == is_positive for c in clicks) for clicks in draws]
        values = np.arange(least, MOST_POINTS + 1)
        chances = 0.8 ** np.arange(len(values))
        chances /= chances.sum()
        assert min(counts) == least
        assert max(counts) <= MOST_POINTS
        deviation = math.sqrt(chances @ values**2 - (chances @ values) ** 2)
        assert abs(np.mean(counts) - chances @ values) < 4 * deviation / math.sqrt(3000)
        share = counts.count(least) / 3000
        assert abs(share - chances[0]) < 4 * math.sqrt(chances[0] * (1 - chances[0]) / 3000)


def test_where_random_points_lie() -> None:
    """Border, other object and background have chances 0.5, 0.4 and 0.1."""
    truth, others = _disk(32, 32, 12), _disk(52, 54, 6)
    view, rng = _view(truth, others), np.random.default_rng(1)
    width = math.ceil(0.1 * math.sqrt(truth.sum()))
    rows, columns = np.nonzero(truth)
    places: Counter[str] = Counter()
    deep = n_positive = 0
    for _ in range(1500):
        for click in random_points(view, rng):
            row, column = click.pixel
            assert not view.ignore[row, column]
            assert truth[row, column] == click.is_positive
            if click.is_positive:
                n_positive += 1
                deep += math.hypot(row - 32, column - 32) <= 9.5
                continue
            chessboard = int(np.maximum(abs(rows - row), abs(columns - column)).min())
            is_border, is_other = chessboard <= width, others[row, column]
            places["border" if is_border else "other" if is_other else "background"] += 1
    shares = {name: count / places.total() for name, count in places.items()}
    assert shares["other"] == pytest.approx(0.4, abs=0.04)
    assert shares["border"] == pytest.approx(0.5, abs=0.06)
    assert shares["background"] == pytest.approx(0.1, abs=0.04)
    eroded_share = (_disk(32, 32, 9.5) & truth).sum() / truth.sum()
    assert deep / n_positive > eroded_share + 0.15


def test_without_other_objects_the_background_stands_in() -> None:
    view, rng = _view(_disk(32, 32, 12), np.zeros((SIDE, SIDE), bool)), np.random.default_rng(2)
    clicks = [click for _ in range(50) for click in random_points(view, rng)]
    assert any(not click.is_positive for click in clicks)


# --- selection -----------------------------------------------------------------------------


def test_the_selection_click_is_near_the_centre() -> None:
    view, rng = _view(_disk(32, 32, 30)), np.random.default_rng(3)
    found = [selection_click(view, rng)[0] for _ in range(200)]
    away = [math.hypot(click.y - 32, click.x - 32) for click in found]
    assert all(click.is_positive for click in found)
    assert max(away) <= 25
    assert 10 < np.mean(away) < 20
    assert np.mean([c.y for c in found]) == pytest.approx(32, abs=3)


def test_the_selection_click_stays_on_a_hollow_object() -> None:
    ring = _disk(32, 32, 28) & ~_disk(32, 32, 20)
    view, rng = _view(ring), np.random.default_rng(4)
    assert all(view.truth[selection_click(view, rng)[0].pixel] for _ in range(50))
    tiny = _view(_disk(32, 32, 0))
    assert selection_click(tiny, rng) == [Click(32, 32)]
    assert selection_click(_view(np.zeros((SIDE, SIDE), bool)), rng) == []


def test_jitter_fills_its_disk_and_stays_inside() -> None:
    rng = np.random.default_rng(5)
    moved = [jittered((30, 30), 10, (60, 60), rng) for _ in range(400)]
    away = [math.hypot(y - 30, x - 30) for y, x in moved]
    assert max(away) <= 10
    assert np.mean(np.square(away)) == pytest.approx(50, rel=0.25)
    assert all(0 <= y < 60 and 0 <= x < 60 for y, x in (jittered((0, 59), 10, (60, 60), rng),))


# --- boundary clicks -----------------------------------------------------------------------


def _by_hand(
    truth: BoolArray, predicted: BoolArray, region: BoolArray, is_missed: bool
) -> tuple[float, set[tuple[int, int]]]:
    """(distance of eq. 5, all boundary pixels that have it), by loops."""

    def edge(mask: BoolArray) -> set[tuple[int, int]]:
        height, width = mask.shape
        found = set()
        for y, x in np.argwhere(mask):
            near = [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
            near = [(a, b) for a, b in near if 0 <= a < height and 0 <= b < width]
            if not all(mask[a, b] for a, b in near):
                found.add((int(y), int(x)))
        return found

    def touches(pixel: tuple[int, int]) -> bool:
        y, x = pixel
        return bool(region[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].any())

    of_truth, of_predicted = edge(truth), edge(predicted)
    ends = {p for p in of_truth if (region[p] if is_missed else touches(p))} or of_truth
    starts = {p for p in of_predicted if (touches(p) if is_missed else region[p])} or of_predicted
    nearest = {p: min(math.dist(p, q) for q in starts) for p in ends}
    wanted = max(nearest.values()) if is_missed else min(nearest.values())
    return wanted, {p for p, d in nearest.items() if abs(d - wanted) < 1e-4}


@pytest.mark.parametrize("seed", range(6))
def test_boundary_pixels_by_equation_5(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = _disk(20, 18, 9, 40) | _disk(24, 26, 6, 40)
    predicted = _disk(20 + rng.uniform(-4, 4), 20 + rng.uniform(-5, 5), 9, 40)
    predicted |= _disk(rng.uniform(5, 35), rng.uniform(5, 35), 3, 40)
    checked = 0
    for region, is_missed in error_regions(truth, predicted, np.ones_like(truth), 2):
        found = boundary_pixel(truth, predicted, region, is_missed=is_missed)
        if found is None:
            assert not (outline(truth) & region).any()
            continue
        assert found in _by_hand(truth, predicted, region, is_missed)[1]
        checked += 1
    assert checked > 0


def test_a_hole_asks_for_no_boundary_click() -> None:
    truth = _disk(20, 20, 12, 40)
    hole = _disk(20, 20, 3, 40)
    assert boundary_pixel(truth, truth & ~hole, hole, is_missed=True) is None


def test_nothing_predicted_and_regions_apart() -> None:
    truth, nothing = _disk(20, 20, 8, 40), np.zeros((40, 40), bool)
    found = boundary_pixel(truth, nothing, truth, is_missed=True)
    assert found is not None
    assert outline(truth)[found]
    apart = _disk(20, 36, 3, 40)
    found = boundary_pixel(truth, truth | apart, apart, is_missed=False)
    assert found == (20, 28)


def test_error_regions_are_the_connected_errors() -> None:
    truth, predicted = _disk(20, 20, 8, 40), _disk(20, 24, 8, 40) | _disk(36, 4, 2, 40)
    allowed = np.ones_like(truth)
    allowed[:, 30:] = False
    found = error_regions(truth, predicted, allowed, 0)
    assert [is_missed for _, is_missed in found][:1] == [True]
    areas = [int(region.sum()) for region, _ in found]
    assert areas == sorted(areas, reverse=True)
    whole = np.sum([region for region, _ in found], axis=0)
    np.testing.assert_array_equal(whole == 1, (truth ^ predicted) & allowed)
    assert len(error_regions(truth, predicted, allowed, areas[0])) == areas.count(areas[0])


def test_views_get_boundary_clicks_near_the_boundary() -> None:
    truth = _disk(30, 30, 14)
    predicted = _disk(30, 38, 14) & ~_disk(38, 30, 5)
    view, rng = _view(truth), np.random.default_rng(6)
    view.clicks = [Click(30, 30)]
    prior = np.full((SIDE, SIDE), 0.5, np.float32)
    edge = np.argwhere(outline(truth))
    for _ in range(30):
        after = with_boundary_clicks(view, predicted, prior, rng)
        first, *others = after.clicks
        assert first == Click(30, 30)
        assert 1 <= len(others) <= 4
        assert after.prior is prior
        for click in others:
            assert click.is_boundary
            assert np.hypot(*(edge - click.pixel).T).min() <= 10.5
    assert with_boundary_clicks(view, view.truth, prior, rng).clicks == view.clicks


# --- starting masks ------------------------------------------------------------------------


@pytest.mark.parametrize("prior", ["edge", "mask"])
def test_the_share_of_views_that_start_from_a_mask(prior: str) -> None:
    rng, count = np.random.default_rng(7), 0
    for _ in range(600):
        view = _view(_disk(32, 32, 15))
        start_clicks(view, rng, rule="recycle", start_masks=0.15, prior=prior)
        if view.prior.any():
            count += 1
            assert len(view.clicks) == 1
            if prior == "mask":
                assert view.prior.mean() > 0.02
                damaged = view.prior > 0
                assert view.clicks[0].is_positive != damaged[view.clicks[0].pixel]
            else:
                assert set(np.unique(view.prior)) == {0, 1}
                assert view.prior.mean() < 0.3
    assert abs(count / 600 - 0.15) < 4 * math.sqrt(0.15 * 0.85 / 600)


@pytest.mark.parametrize(("rule", "prior"), [("recycle", "none"), ("selection", "edge")])
def test_no_masks_where_they_mean_nothing(rule: str, prior: str) -> None:
    rng = np.random.default_rng(8)
    for _ in range(50):
        view = _view(_disk(32, 32, 15))
        start_clicks(view, rng, rule=rule, start_masks=1.0, prior=prior)
        assert not view.prior.any()


def test_damage_is_real_but_not_hopeless() -> None:
    truth, rng = _disk(32, 30, 14), np.random.default_rng(9)
    ious = []
    for _ in range(200):
        mask = damage(truth, rng)
        ious.append((mask & truth).sum() / (mask | truth).sum())
    assert 0.5 < np.mean(ious) < 0.9
    assert np.quantile(ious, 0.05) > 0.15
    for kind in KINDS:
        changed = [bool((kind(truth, rng) != truth).any()) for _ in range(10)]
        assert sum(changed) >= 8, kind.__name__


# --- what the network's answers ask for -----------------------------------------------------


def _answer(prob: FloatArray) -> tuple[list[int], object]:
    """(how often it was asked, a network that always answers ``prob``)."""
    asked: list[int] = []

    def answer(views: list[View]) -> tuple[FloatArray, FloatArray]:
        asked.append(len(views))
        return np.stack([prob] * len(views)), np.stack([prob / 2] * len(views))

    return asked, answer


def test_iterative_clicks_are_0_to_3_for_the_whole_batch() -> None:
    truth = _disk(30, 30, 14)
    prob = np.where(_disk(30, 40, 14), 0.9, 0.1).astype(np.float32)
    rng, seen = np.random.default_rng(10), Counter[int]()
    for _ in range(120):
        views = [_view(truth), _view(truth)]
        for view in views:
            view.clicks = [Click(30, 30)]
        asked, answer = _answer(prob)
        after = simulate(views, Phase(1, SIDE, 2, clicks="iterative"), answer, rng)  # type: ignore[arg-type]
        counts = {len(view.clicks) - 1 for view in after}
        assert counts == {len(asked)}
        seen[len(asked)] += 1
        if asked:
            np.testing.assert_array_equal(after[0].prior, prob / 2)
        assert all(len(view.clicks) == 1 for view in views), "the views given must stay"
    assert sorted(seen) == [0, 1, 2, 3]
    assert min(seen.values()) > 15


def test_other_rules_ask_nothing() -> None:
    asked, answer = _answer(np.zeros((SIDE, SIDE), np.float32))
    views = [_view(_disk(30, 30, 14))]
    phase = Phase(1, SIDE, 2)
    assert simulate(views, phase, answer, np.random.default_rng(0)) is views  # type: ignore[arg-type]
    assert asked == []


def test_recycled_views_carry_the_answer() -> None:
    truth = _disk(30, 30, 14)
    prob = np.where(_disk(30, 40, 14), 0.9, 0.1).astype(np.float32)
    views = [_view(truth) for _ in range(200)]
    for view in views:
        view.clicks = [Click(30, 30)]
    half = (prob / 2).astype(np.float32)
    said = np.stack([prob] * 200), np.stack([half] * 200)
    back = recycled(views, said, np.random.default_rng(11), 5)
    assert 150 <= len(back) <= 187
    assert all(len(view.clicks) == 2 for view in back)
    np.testing.assert_array_equal(back[0].prior, prob / 2)
    assert recycled(views, said, np.random.default_rng(11), 1) == []
