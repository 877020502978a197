"""The clicks that a view starts with, by the rules that ``clicks`` of a phase names."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Click
from napari_edgeflow.clicks.encode import mask_edge
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.training.damage import damage
from napari_edgeflow.training.view import View

MOST_POINTS = 24
GAMMA = 0.8
EROSIONS = 3
EROSION_CHANCE = 0.9
BORDER_WIDTH = 0.1
NEGATIVES = ("background", "other", "border")
NEGATIVE_CHANCES = (0.1, 0.4, 0.5)
SELECTION_JITTER_PX = 25.0

Start = Callable[[View, np.random.Generator], list[Click]]


def start_clicks(
    view: View, rng: np.random.Generator, *, rule: str, start_masks: float, prior: str
) -> None:
    """Puts the clicks and the prior that the view starts with, in place.

    Args:
        view: Without clicks.
        rng: Source of randomness.
        rule: Of the phase: one of ``settings.CLICK_RULES``.
        start_masks: Share of views that start from a mask made elsewhere, with the click that
            corrects it; only where the network has a prior and takes negative clicks.
        prior: What the network gets back: ``edge``, ``mask`` or ``none``.
    """
    can_correct = prior != "none" and rule not in ("selection", "boundary")
    if can_correct and rng.random() < start_masks:
        damaged = damage(view.truth, rng)
        correction = next_click(view.truth, damaged, ignore=view.ignore, rng=rng)
        if correction is not None:
            view.prior = mask_edge(damaged) if prior == "edge" else damaged.astype(np.float32)
            view.clicks.append(correction)
            return
    view.clicks += STARTS[rule](view, rng)


def one_or_some(view: View, rng: np.random.Generator) -> list[Click]:
    """Mostly the one positive click that a user begins with, else a handful of points too."""
    first = next_click(view.truth, np.zeros_like(view.truth), ignore=view.ignore, rng=rng)
    clicks = [] if first is None else [first]
    return clicks + _handful(view, rng) if rng.random() > 0.8 else clicks


def _handful(view: View, rng: np.random.Generator) -> list[Click]:
    """Up to eight points on the object and eight beside it, half of these near its border."""
    inside = cv2.erode(view.truth.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    near_width = max(int(0.15 * math.sqrt(float(view.truth.sum()))), 3)
    kernel = np.ones((2 * near_width + 1,) * 2, np.uint8)
    outside = ~view.truth & ~view.ignore
    near = outside & (cv2.dilate(view.truth.astype(np.uint8), kernel) > 0)
    near &= cv2.dilate(view.truth.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    points = _pick(inside, min(int(rng.geometric(0.3)) - 1, 8), True, rng)
    for _ in range(min(int(rng.geometric(0.3)) - 1, 8)):
        points += _pick(near if rng.random() < 0.6 else outside, 1, False, rng)
    return points


def random_points(view: View, rng: np.random.Generator) -> list[Click]:
    """RITM's random points: 1…24 on the object, 0…24 beside it, n with chance ∝ 0.8ⁿ.

    The positive ones lie on the object eroded three times (nine times out of ten, unless
    less than ten pixels are left); each negative one lies on the background, on another object
    or in a border around the object of a tenth of the root of its area, with chances 0.1, 0.4
    and 0.5. A region that is empty is replaced by the background.
    """
    positives = 1 + int(rng.choice(MOST_POINTS, p=_falling(MOST_POINTS)))
    negatives = int(rng.choice(MOST_POINTS + 1, p=_falling(MOST_POINTS + 1)))
    clicks = _pick(_eroded(view.truth, rng), positives, True, rng)
    regions = _negative_regions(view) if negatives else {}
    for number in rng.choice(len(NEGATIVES), size=negatives, p=NEGATIVE_CHANCES):
        region = regions[NEGATIVES[int(number)]]
        chosen = region if region.any() else regions["background"]
        clicks += _pick(chosen, 1, False, rng)
    return clicks


def _falling(count: int) -> npt.NDArray[np.float64]:
    """``count`` chances that fall by 0.8 and sum to 1."""
    chances = GAMMA ** np.arange(count, dtype=np.float64)
    falling: npt.NDArray[np.float64] = chances / chances.sum()
    return falling


def _eroded(truth: BoolArray, rng: np.random.Generator) -> BoolArray:
    if rng.random() >= EROSION_CHANCE:
        return truth
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    padded = np.pad(truth.astype(np.uint8), 1)
    eroded = cv2.erode(padded, cross, iterations=EROSIONS)[1:-1, 1:-1] > 0
    return eroded if int(eroded.sum()) > 10 else truth


def _negative_regions(view: View) -> dict[str, BoolArray]:
    """Where each kind of negative point may lie."""
    background = ~view.truth & ~view.ignore
    width = math.ceil(BORDER_WIDTH * math.sqrt(float(view.truth.sum())))
    grown = cv2.dilate(view.truth.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=width)
    others = background & view.others if view.others is not None else np.zeros_like(background)
    return {"background": background, "other": others, "border": background & (grown > 0)}


def selection_click(view: View, rng: np.random.Generator) -> list[Click]:
    """Two-in-One's selection click: the object's centre, moved by up to 25 px.

    The centre of mass where it lies on the object, else the deepest pixel. A move that would
    leave the object is drawn anew (the paper says nothing of it).
    """
    rows, columns = np.nonzero(view.truth & ~view.ignore)
    if len(rows) == 0:
        return []
    centre = round(float(rows.mean())), round(float(columns.mean()))
    if not view.truth[centre] or view.ignore[centre]:
        nothing = np.zeros_like(view.truth)
        deepest = next_click(view.truth, nothing, ignore=view.ignore)
        centre = deepest.pixel if deepest is not None else (int(rows[0]), int(columns[0]))
    for _ in range(10):
        y, x = jittered(centre, SELECTION_JITTER_PX, view.truth.shape, rng)
        if view.truth[y, x] and not view.ignore[y, x]:
            return [Click(float(y), float(x))]
    return [Click(float(centre[0]), float(centre[1]))]


def jittered(
    pixel: tuple[int, int], most_px: float, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int]:
    """(row, column) moved uniformly within a disk, kept inside ``shape``."""
    distance, angle = most_px * math.sqrt(rng.random()), rng.uniform(0, 2 * math.pi)
    row = pixel[0] + int(distance * math.sin(angle))
    column = pixel[1] + int(distance * math.cos(angle))
    return min(max(row, 0), shape[0] - 1), min(max(column, 0), shape[1] - 1)


def _pick(
    region: BoolArray, count: int, is_positive: bool, rng: np.random.Generator
) -> list[Click]:
    """Up to ``count`` different pixels of ``region``."""
    flat = np.flatnonzero(region)
    if len(flat) == 0 or count == 0:
        return []
    width = region.shape[1]
    chosen = rng.choice(flat, size=min(count, len(flat)), replace=False)
    return [Click(float(i // width), float(i % width), is_positive) for i in chosen]


STARTS: dict[str, Start] = {
    "recycle": one_or_some,
    "random": random_points,
    "iterative": random_points,
    "selection": selection_click,
    "boundary": selection_click,
}
