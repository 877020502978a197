"""Coarse on the whole view at every click, fine on the window that it zooms in to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import AnyArray, BoolArray, Click, FloatArray, Window
from napari_edgeflow.inference.cascade import CascadeComputer, step_computer
from napari_edgeflow.inference.predictor import Predictor, RawPrediction
from napari_edgeflow.inference.session import Session
from napari_edgeflow.inference.steps import Run, Start, StepComputer
from napari_edgeflow.inference.zoom import adaptive_expansion, object_window
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.nn.propagation import CoarseToFine, PropagationConfig
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import Stretch

FULL = Stretch((0.0,) * 3, (255.0,) * 3)
SQUARE = Window(150, 200, 190, 240)
TINY = PropagationConfig(HRNetConfig(4, 1, 1, 1, 1), head_channels=4)


class Cascade(ColourPredictor):
    """Two predictors that remember what they were asked."""

    def __init__(self) -> None:
        super().__init__()
        self.coarse, self.fine = ColourPredictor(), ColourPredictor()

    @property
    def stages(self) -> tuple[ColourPredictor, ColourPredictor]:
        return self.coarse, self.fine


def _picture() -> AnyArray:
    image = np.full((300, 400, 3), 90, np.uint8)
    image[SQUARE.slices] = (0, 220, 0)
    image[40:120, 50:130] = (220, 0, 0)
    return image


@pytest.fixture
def cascade() -> Cascade:
    return Cascade()


@pytest.fixture
def session(cascade: Cascade) -> Session:
    return Session(_picture(), cascade, stretch=FULL)


def _computer(cascade: Cascade) -> CascadeComputer:
    computer = step_computer(open_raster(_picture()), cascade, (0, 1, 2), FULL)
    assert isinstance(computer, CascadeComputer)
    return computer


def test_one_stage_needs_no_cascade() -> None:
    source = open_raster(_picture())
    assert isinstance(step_computer(source, ColourPredictor(), (0, 1, 2), FULL), StepComputer)


def test_three_stages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    three = (ColourPredictor(), ColourPredictor(), ColourPredictor())
    monkeypatch.setattr(Cascade, "stages", three)
    with pytest.raises(ValueError, match="one or two stages, got 3"):
        step_computer(open_raster(_picture()), Cascade(), (0, 1, 2), FULL)


def test_the_first_click_sees_the_whole_view_then_the_object(cascade: Cascade) -> None:
    step = _computer(cascade).first(Click(170, 220), None, Run())
    assert cascade.coarse.n_runs == cascade.fine.n_runs == 1
    assert cascade.n_runs == 0
    assert step.whole == Window(0, 0, 300, 400)
    assert step.box is not None
    expansion = adaptive_expansion(SQUARE, step.whole)
    assert expansion == pytest.approx(2.5 - 4 * (1600 / 120_000) ** 0.5, abs=1e-6)
    assert step.view.window.height == pytest.approx(40 * expansion, rel=0.15)
    coarse_prior, fine_prior = cascade.coarse.priors[0], cascade.fine.priors[0]
    assert coarse_prior is None
    assert fine_prior is not None
    share = float((fine_prior > 0.25).mean())  # the coarse mask, where the window sees it
    assert share == pytest.approx(1 / expansion**2, rel=0.35)


def test_every_click_begins_with_the_whole_view_and_the_last_mask(cascade: Cascade) -> None:
    computer = _computer(cascade)
    first = computer.first(Click(170, 220), None, Run())
    clicks = (Click(170, 220), Click(160, 210))
    second = computer.later(first, clicks, Run())
    assert cascade.coarse.n_runs == cascade.fine.n_runs == 2
    assert second.whole == Window(0, 0, 300, 400)
    seen = cascade.coarse.priors[1]
    assert seen is not None
    rows, columns = np.nonzero(seen > 0.25)
    height, width = seen.shape
    assert (rows.mean() + 0.5) / height == pytest.approx(170 / 300, abs=0.03)
    assert (columns.mean() + 0.5) / width == pytest.approx(220 / 400, abs=0.03)
    assert len(rows) / seen.size == pytest.approx(1600 / 120_000, rel=0.5)
    assert [len(asked) for asked in cascade.coarse.clicks] == [1, 2]
    assert [len(asked) for asked in cascade.fine.clicks] == [1, 2]


def test_a_click_outside_the_whole_view_enlarges_it(cascade: Cascade) -> None:
    computer = _computer(cascade)
    first = computer.first(Click(80, 90), 120.0, Run())
    assert first.whole == Window(20, 30, 140, 150)
    far = (Click(80, 90), Click(200, 300, is_positive=False))
    second = computer.later(first, far, Run())
    assert second.whole is not None
    assert second.whole.contains(far[1])
    assert second.view.window.contains(far[1])


def test_nothing_found_leaves_the_fine_stage_the_whole_view(cascade: Cascade) -> None:
    step = _computer(cascade).first(Click(170, 220, is_positive=False), None, Run())
    assert step.box is None
    assert step.view.window == step.whole


def test_a_mask_to_start_from_is_the_coarse_stages_prior(cascade: Cascade) -> None:
    start = Start(SQUARE, np.ones(SQUARE.shape, bool))
    clicks = (Click(170, 220),)
    step = _computer(cascade).first_correction(start, clicks, Run())
    assert step.whole == object_window(SQUARE, clicks, (300, 400))
    prior = cascade.coarse.priors[0]
    assert prior is not None
    assert prior.mean() == pytest.approx(1 / 1.4**2, rel=0.1)


def test_session_with_a_cascade_finds_undoes_and_obeys(session: Session, cascade: Cascade) -> None:
    first = session.add_click(170, 220)
    expected = np.zeros((300, 400), bool)
    expected[SQUARE.slices] = True
    found = first.full_mask((300, 400))
    assert (found & expected).sum() / (found | expected).sum() > 0.95
    second = session.add_click(5, 5, is_positive=False)
    assert not second.full_mask((300, 400))[5, 5]
    runs = cascade.coarse.n_runs
    back = session.undo()
    assert back is not None
    assert np.array_equal(back.probs, first.probs)
    again = session.redo()
    assert again is not None
    assert np.array_equal(again.mask, second.mask)
    assert cascade.coarse.n_runs == runs


def test_predictor_has_the_networks_stages() -> None:
    torch.manual_seed(0)
    network = CoarseToFine(TINY)
    for module in (network.coarse, network.fine):
        torch.nn.init.normal_(module.feature_extractor.cls_head.weight)  # type: ignore[union-attr, arg-type]
    predictor = Predictor(network, name="tiny", device="cpu", input_side=48)
    coarse, fine = predictor.stages
    assert coarse.input_side == fine.input_side == 48
    assert coarse.stages == (coarse,)
    assert predictor.takes_prior
    image = np.random.default_rng(0).random((40, 56, 3)).astype(np.float32)
    clicks = [Click(10, 12), Click(30, 50, is_positive=False)]
    whole = predictor.predict(image, clicks, None)
    seen = coarse.predict(image, clicks, None)
    drawn = fine.predict(image, clicks, seen.prior)
    np.testing.assert_allclose(drawn.logits, whole.logits, atol=1e-4)
    assert np.abs(seen.logits - drawn.logits).max() > 1e-3
    np.testing.assert_allclose(seen.prior, 1 / (1 + np.exp(-seen.logits)), atol=1e-5)


def test_session_with_a_real_cascade_answers_and_repeats() -> None:
    torch.manual_seed(0)
    predictor = Predictor(CoarseToFine(TINY), name="tiny", device="cpu", input_side=32)
    masks: list[BoolArray] = []
    for _ in range(2):
        session = Session(_picture(), predictor, stretch=FULL)
        session.add_click(170, 220)
        masks.append(session.add_click(0, 399, is_positive=False).full_mask((300, 400)))
    assert masks[0][170, 220]
    assert not masks[0][0, 399]
    assert np.array_equal(masks[0], masks[1])


def test_cascades_predictions_stay_whole_when_a_stage_says_nothing() -> None:
    """A coarse stage without an object leaves no trace in the fine stage's prior."""

    class Blind(ColourPredictor):
        def predict(
            self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
        ) -> RawPrediction:
            raw = super().predict(image, clicks, prior)
            return replace(raw, logits=np.full_like(raw.logits, -6), prior=0 * raw.prior)

    cascade = Cascade()
    cascade.coarse = Blind()
    prediction = Session(_picture(), cascade, stretch=FULL).add_click(170, 220)
    fine_prior = cascade.fine.priors[0]
    assert fine_prior is not None
    assert not fine_prior.any()
    assert prediction.full_mask((300, 400))[170, 220]
