"""A predictor with a rule that a test can work out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_edgeflow._types import BoolArray, Click, ClickKind, FloatArray
from napari_edgeflow.inference.predictor import RawPrediction, SupportsPredict


class ColourPredictor:
    """The object is whatever has the colour under the last positive click.

    Remembers what it was asked, so that tests can look at it.
    """

    name = "colour"

    def __init__(
        self, input_side: int = 64, click_kinds: tuple[ClickKind, ...] = ("positive", "negative")
    ) -> None:
        self.input_side = input_side
        self.click_kinds = click_kinds
        self.images: list[FloatArray] = []
        self.clicks: list[list[Click]] = []
        self.priors: list[FloatArray | None] = []

    takes_prior = True

    @property
    def stages(self) -> tuple[SupportsPredict, ...]:
        return (self,)

    @property
    def n_runs(self) -> int:
        return len(self.images)

    def predict(
        self, image: FloatArray, clicks: Sequence[Click], prior: FloatArray | None
    ) -> RawPrediction:
        self.images.append(image.copy())
        self.clicks.append(list(clicks))
        self.priors.append(None if prior is None else prior.copy())
        positive = [click for click in clicks if click.is_positive]
        logits = np.full(image.shape[:2], -6.0, np.float32)
        if positive:
            row, column = positive[-1].pixel
            row = min(max(row, 0), image.shape[0] - 1)
            column = min(max(column, 0), image.shape[1] - 1)
            distance = np.abs(image - image[row, column]).max(axis=2)
            logits = np.clip(6.0 * (1 - distance / 0.25), -6.0, 6.0).astype(np.float32)
        return RawPrediction(logits, (logits > 0).astype(np.float32) * 0.5)

    def glance(self, image: FloatArray, clicks: Sequence[Click]) -> FloatArray:
        return self.predict(image, clicks, None).logits

    def prior_from_mask(self, mask: BoolArray) -> FloatArray:
        return mask.astype(np.float32)
