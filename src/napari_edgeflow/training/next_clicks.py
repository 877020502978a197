"""The clicks that correct a prediction: signed ones, and Two-in-One's on the boundary."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy import ndimage

from napari_edgeflow._types import BoolArray, Click, FloatArray
from napari_edgeflow.clicks.simulate import next_click
from napari_edgeflow.training.first_clicks import jittered
from napari_edgeflow.training.settings import Phase
from napari_edgeflow.training.view import View

THRESHOLD = 0.49
BOUNDARY_JITTER_PX = 10.0
FEWEST_BOUNDARY_CLICKS, MOST_BOUNDARY_CLICKS = 2, 4
RETURNS = 0.85
"""Chance that a view that can be corrected goes back to the pool."""

Answers = tuple[FloatArray, FloatArray]
"""(mask probabilities, priors), each ``(B, S, S) float32``."""

_SQUARE = np.ones((3, 3), np.uint8)


def simulate(
    views: list[View],
    phase: Phase,
    answer: Callable[[list[View]], Answers],
    rng: np.random.Generator,
) -> list[View]:
    """The views with the clicks that the network's own answers ask for, before the step.

    Args:
        views: With the clicks that they start with.
        phase: ``iterative`` adds up to ``extra_clicks`` to each view, the same number for the
            whole batch (RITM, section 3.2); ``boundary`` adds boundary clicks.
        answer: Runs the network in eval mode, without gradients.
        rng: Source of randomness.
    """
    if phase.clicks == "boundary":
        return [
            with_boundary_clicks(view, prob > THRESHOLD, prior, rng)
            for view, prob, prior in zip(views, *answer(views), strict=True)
        ]
    rounds = int(rng.integers(0, phase.extra_clicks + 1)) if phase.clicks == "iterative" else 0
    for _ in range(rounds):
        clicked = []
        for view, prob, prior in zip(views, *answer(views), strict=True):
            more = with_next_click(view, prob > THRESHOLD, prior, rng, len(view.clicks) + 1)
            clicked.append(more or dataclasses.replace(view, prior=prior))
        views = clicked
    return views


def recycled(
    views: Sequence[View], answers: Answers, rng: np.random.Generator, limit: int
) -> list[View]:
    """The views that come back in a later step, with the click that corrects the answer.

    Args:
        views: Of the step that was done.
        answers: What the network said about them.
        rng: Source of randomness.
        limit: Most clicks.
    """
    found = []
    for view, prob, prior in zip(views, *answers, strict=True):
        if rng.random() <= RETURNS:
            again = with_next_click(view, prob > THRESHOLD, prior, rng, limit)
            found += [again] if again is not None else []
    return found


def with_next_click(
    view: View, predicted: BoolArray, prior: FloatArray, rng: np.random.Generator, limit: int
) -> View | None:
    """The view with the click that corrects ``predicted``, or None when it is done.

    Args:
        view: Not changed.
        predicted: ``(S, S) bool``: the mask after its clicks.
        prior: ``(S, S) float32``: what the network gets back.
        rng: Source of randomness.
        limit: Most clicks.
    """
    if len(view.clicks) >= limit:
        return None
    click = next_click(view.truth, predicted, ignore=view.ignore, rng=rng)
    if click is None:
        return None
    clicks = [*view.clicks, click]
    return View(view.image, view.truth, view.ignore, clicks, prior, view.others)


def with_boundary_clicks(
    view: View, predicted: BoolArray, prior: FloatArray, rng: np.random.Generator
) -> View:
    """The view with up to four clicks on the object's boundary (Two-in-One, section 3.3).

    Errors smaller than 1 to 5 % of the object are left alone; the largest two to four of the
    others get a click each, moved by up to 10 px.
    """
    allowed = ~view.ignore
    least_px = rng.uniform(0.01, 0.05) * float(view.truth.sum())
    count = int(rng.integers(FEWEST_BOUNDARY_CLICKS, MOST_BOUNDARY_CLICKS + 1))
    clicks = list(view.clicks)
    for region, is_missed in error_regions(view.truth, predicted, allowed, least_px):
        if len(clicks) - len(view.clicks) == count:
            break
        pixel = boundary_pixel(view.truth, predicted, region, is_missed=is_missed)
        if pixel is not None:
            y, x = jittered(pixel, BOUNDARY_JITTER_PX, view.truth.shape, rng)
            clicks.append(Click(float(y), float(x), is_boundary=True))
    return View(view.image, view.truth, view.ignore, clicks, prior, view.others)


def error_regions(
    truth: BoolArray, predicted: BoolArray, allowed: BoolArray, least_px: float
) -> list[tuple[BoolArray, bool]]:
    """(mask, it is missed and not wrongly covered) of every error region, largest first.

    Args:
        truth: ``(S, S) bool``: the object.
        predicted: ``(S, S) bool``: the mask so far.
        allowed: ``(S, S) bool``: pixels that count.
        least_px: Smaller regions are left out.
    """
    found: list[tuple[int, BoolArray, bool]] = []
    for errors, is_missed in ((truth & ~predicted, True), (predicted & ~truth, False)):
        labels, count = ndimage.label(errors & allowed, structure=_SQUARE)
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        found += [
            (int(areas[i]), labels == i, is_missed)
            for i in range(1, count + 1)
            if areas[i] >= least_px
        ]
    found.sort(key=lambda item: -item[0])
    return [(mask, is_missed) for _, mask, is_missed in found]


def boundary_pixel(
    truth: BoolArray, predicted: BoolArray, region: BoolArray, *, is_missed: bool
) -> tuple[int, int] | None:
    """(row, column) on the object's boundary that an error region asks for (eq. 5).

    For a missed region the boundary pixel of the object in it that is farthest from the
    predicted boundary beside it (directed Hausdorff); for a wrongly covered one the boundary
    pixel of the object beside it that is nearest to the predicted boundary in it. None when
    a missed region has no part of the object's boundary: a hole.

    Where no predicted boundary touches a missed region, all of it counts, and where nothing
    is predicted, the first boundary pixel is taken; a wrong region apart from the object
    looks at the whole of the object's boundary. (The paper leaves these cases open.)
    """
    reach = cv2.dilate(region.astype(np.uint8), _SQUARE) > 0
    of_truth, of_predicted = outline(truth), outline(predicted)
    ends = of_truth & (region if is_missed else reach)
    if not ends.any() and not is_missed:
        ends = of_truth
    if not ends.any():
        return None
    starts = of_predicted & (reach if is_missed else region)
    starts = starts if starts.any() else of_predicted
    rows, columns = np.nonzero(ends)
    chosen = 0
    if starts.any():
        away = cv2.distanceTransform(
            (~starts).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )[rows, columns]
        chosen = int(away.argmax() if is_missed else away.argmin())
    return int(rows[chosen]), int(columns[chosen])


def outline(mask: BoolArray) -> BoolArray:
    """``(S, S) bool``: pixels of the mask with a neighbour outside; the view's edge is none."""
    eroded = cv2.erode(mask.astype(np.uint8), _SQUARE, borderValue=1)
    edge: BoolArray = mask & (eroded == 0)
    return edge
