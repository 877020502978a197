"""A training example: what the network is shown, and what it should answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Click, FloatArray


@dataclass(slots=True, eq=False)
class View:
    """A training example that keeps its clicks from step to step.

    Attributes:
        image: ``(S, S, 3) uint8``.
        truth: ``(S, S) bool``: the object.
        ignore: ``(S, S) bool``: pixels that count for nothing.
        clicks: So far, in the view's pixels.
        prior: ``(S, S) float32 in [0, 1]``: what the step before gives back, zeros at the start.
        others: ``(S, S) bool``: other objects; None where nobody asked for them.
    """

    image: npt.NDArray[np.uint8]
    truth: BoolArray
    ignore: BoolArray
    clicks: list[Click]
    prior: FloatArray
    others: BoolArray | None = None
