"""A network that learns something in seconds, and a clock that nobody waits for."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.training import loop, sampling


class TinyNetwork(InteractiveNetwork):
    """Three dilated convolutions and a head for each output, at full resolution."""

    def __init__(self) -> None:
        super().__init__(NetworkSpec(input_side=32))
        layers: list[nn.Module] = []
        for channels, dilation in ((6, 1), (8, 2), (8, 4)):
            layers += [
                nn.Conv2d(channels, 8, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm2d(8),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers)
        self.heads = nn.Conv2d(8, 4, 1)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        features = self.body(torch.cat([self.normalise(image), click_maps, prior], dim=1))
        coarse, edge, aux, fine = cast(Tensor, self.heads(features)).chunk(4, dim=1)
        return NetworkOutput(coarse + fine if self.refines else coarse, coarse, edge, aux)


class Clock:
    """Goes on by one second whenever it is read: a step of a run takes one second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        """Seconds since some moment."""
        self.now += 1.0
        return self.now


def build_tiny(name: str, *, align: str | None = None) -> InteractiveNetwork:
    """The tiny network, whatever is asked for."""
    return TinyNetwork()


def same_colours(
    image: npt.NDArray[np.uint8], rng: np.random.Generator, *, is_photograph: bool
) -> npt.NDArray[np.uint8]:
    """The image itself."""
    return image


def use_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers build the tiny network, count one second a step and keep all colours."""
    monkeypatch.setattr(loop, "build_network", build_tiny)
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(sampling, "random_colours", same_colours)
