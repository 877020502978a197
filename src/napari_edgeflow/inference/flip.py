"""Flip averaging: the answer to a view and to its mirror image, averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_edgeflow._types import BoolArray, Click, ClickKind, FloatArray
from napari_edgeflow.inference.predictor import RawPrediction, SupportsPredict

_SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, so that their logits stay finite."""


class FlipPredictor:
    """Answers with the mean of the logits of a view and of its mirror image, at twice the cost.

    RITM's test-time augmentation (section 5): the mask of a mirrored picture is the mirrored mask.
    The prior is averaged as logits too.

    Args:
        predictor: Answers the clicks.
    """

    def __init__(self, predictor: SupportsPredict) -> None:
        self._predictor = predictor

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._predictor.name

    @property
    def input_side(self) -> int:
        """Side in pixels of the views it likes."""
        return self._predictor.input_side

    @property
    def click_kinds(self) -> tuple[ClickKind, ...]:
        """Kinds of clicks it takes."""
        return self._predictor.click_kinds

    @property
    def takes_prior(self) -> bool:
        """True when it makes use of the step before."""
        return self._predictor.takes_prior

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        """The predictor's stages, each with flip averaging."""
        parts = self._predictor.stages
        return (self,) if len(parts) == 1 else tuple(FlipPredictor(part) for part in parts)

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        """The averaged answer for ``(h, w, 3) float32 in [0, 1]`` and clicks in its pixels.

        Raises:
            ValueError: As of the predictor.
        """
        mirrored_prior = None if prior is None else _mirror(prior)
        one = self._predictor.predict(image, clicks, prior)
        two = self._predictor.predict(
            _mirror(image), _mirror_clicks(clicks, image.shape[1]), mirrored_prior
        )
        prior_logits = _mean(_logits(one.prior), _logits(_mirror(two.prior)))
        return RawPrediction(_mean(one.logits, _mirror(two.logits)), _probs(prior_logits))

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        """``(h, w) float32``: averaged rough mask logits."""
        mirrored = self._predictor.glance(_mirror(image), _mirror_clicks(clicks, image.shape[1]))
        return _mean(self._predictor.glance(image, clicks), _mirror(mirrored))

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        """``(h, w) float32``: the prior that stands for a mask made elsewhere."""
        return self._predictor.prior_from_mask(mask)


def _mean(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.float32(0.5) * (first + second)


def _mirror(plane: FloatArray) -> FloatArray:
    """``(h, w[, C])``, left and right changed over."""
    return np.ascontiguousarray(plane[:, ::-1])


def _mirror_clicks(clicks: Sequence[Click], width: int) -> list[Click]:
    return [replace(click, x=width - 1 - click.x) for click in clicks]


def _logits(probs: FloatArray) -> FloatArray:
    safe = np.clip(probs.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return (np.log(safe) - np.log1p(-safe)).astype(np.float32)


def _probs(logits: FloatArray) -> FloatArray:
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
