"""Flip averaging: symmetric answers, averaged as logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from napari_edgeflow import Session
from napari_edgeflow._types import BoolArray, Click, ClickKind, FloatArray
from napari_edgeflow.inference.flip import FlipPredictor
from napari_edgeflow.inference.predictor import RawPrediction, SupportsPredict


class Lopsided:
    """Answers with what lies to the left: nothing about it is symmetric."""

    name, input_side = "lopsided", 64
    click_kinds: tuple[ClickKind, ...] = ("positive", "negative")
    takes_prior = True

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        return (self,)

    def __init__(self) -> None:
        self.clicks: list[list[Click]] = []

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        self.clicks.append(list(clicks))
        logits = np.cumsum(image[..., 0], axis=1, dtype=np.float32) - 3
        for click in clicks:
            logits[click.pixel] += 4
        if prior is not None:
            logits = logits + prior
        return RawPrediction(logits, (1 / (1 + np.exp(-2 * logits))).astype(np.float32))

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        return self.predict(image, clicks, None).logits

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        return mask.astype(np.float32)


def example() -> tuple[FloatArray, list[Click], FloatArray]:
    rng = np.random.default_rng(0)
    clicks = [Click(2, 1), Click(3.25, 7.5, False)]
    return rng.random((5, 9, 3), np.float32), clicks, rng.random((5, 9), np.float32)


def test_the_logits_are_the_mean_of_the_view_and_of_its_mirror_image() -> None:
    image, clicks, prior = example()
    mirrored = [Click(2, 7), Click(3.25, 0.5, False)]
    one = Lopsided().predict(image, clicks, prior)
    two = Lopsided().predict(image[:, ::-1], mirrored, prior[:, ::-1])

    inner = Lopsided()
    found = FlipPredictor(inner).predict(image, clicks, prior)

    assert inner.clicks == [clicks, mirrored]
    np.testing.assert_allclose(found.logits, (one.logits + two.logits[:, ::-1]) / 2, rtol=1e-6)
    # a prior that is the sigmoid of some logits becomes the sigmoid of their mean
    expected = 1 / (1 + np.exp(-(one.logits + two.logits[:, ::-1])))
    np.testing.assert_allclose(found.prior, expected, rtol=1e-3, atol=1e-6)
    assert found.prior.dtype == found.logits.dtype == np.float32


def test_a_mirrored_picture_gives_the_mirrored_answer() -> None:
    image, clicks, prior = example()
    mirrored = [Click(c.y, 8 - c.x, c.is_positive) for c in clicks]
    predictor = FlipPredictor(Lopsided())
    straight = predictor.predict(image, clicks, prior)
    back = predictor.predict(image[:, ::-1], mirrored, prior[:, ::-1])
    np.testing.assert_allclose(straight.logits, back.logits[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(straight.prior, back.prior[:, ::-1], rtol=1e-5)
    np.testing.assert_allclose(
        predictor.glance(image, clicks), predictor.glance(image[:, ::-1], mirrored)[:, ::-1]
    )


def test_certain_priors_stay_finite() -> None:
    class Certain(Lopsided):
        def predict(
            self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
        ) -> RawPrediction:
            zeros = np.zeros(image.shape[:2], np.float32)
            return RawPrediction(zeros, zeros if clicks[0].x == 1 else zeros + 1)

    image, _, _ = example()
    found = FlipPredictor(Certain()).predict(image, [Click(0, 1)], None)
    np.testing.assert_allclose(found.prior, 0.5, atol=0.01)


@pytest.mark.parametrize("name", ["name", "input_side", "click_kinds", "takes_prior"])
def test_it_passes_for_the_predictor(name: str) -> None:
    assert getattr(FlipPredictor(Lopsided()), name) == getattr(Lopsided, name)


def test_a_session_takes_it() -> None:
    predictor: SupportsPredict = FlipPredictor(Lopsided())
    image = np.random.default_rng(1).integers(0, 255, (60, 80), dtype=np.uint8)
    session = Session(image, predictor, 64)
    prediction = session.add_click(30, 40)
    assert prediction.full_mask(image.shape)[30, 40]
    np.testing.assert_array_equal(
        predictor.prior_from_mask(np.eye(3, dtype=bool)), np.eye(3, dtype=np.float32)
    )


def test_each_stage_is_averaged() -> None:
    class Staged(Lopsided):
        @property
        def stages(self) -> tuple[SupportsPredict, ...]:
            return Lopsided(), Lopsided()

    assert [type(stage) for stage in FlipPredictor(Staged()).stages] == [FlipPredictor] * 2
    alone = FlipPredictor(Lopsided())
    assert alone.stages == (alone,)
