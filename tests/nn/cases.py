"""Views with clicks that a network can be asked about, for any kinds and encoding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import click_maps, point_list
from napari_edgeflow.nn.base import NetworkSpec

Case = tuple[Tensor, Tensor, Tensor, Tensor]


def make_case(
    spec: NetworkSpec, clicks: Sequence[Sequence[Click]], size: tuple[int, int], seed: int = 0
) -> Case:
    """Random image and prior of as many views as there are lists of clicks; maps; points."""
    draw = torch.Generator().manual_seed(seed)
    batch, longest = len(clicks), max(map(len, clicks))
    maps = np.stack([click_maps(own, size, spec) for own in clicks])
    points = np.stack([point_list(own, spec, longest + 1) for own in clicks])
    return (
        torch.rand(batch, 3, *size, generator=draw),
        torch.from_numpy(maps),
        torch.rand(batch, 1, *size, generator=draw),
        torch.from_numpy(points),
    )


def view_of(case: Case, index: int) -> Case:
    """One view of a case, as a batch of one."""
    part = slice(index, index + 1)
    return case[0][part], case[1][part], case[2][part], case[3][part]


def largest_difference(first: Tensor, second: Tensor) -> float:
    return float((first - second).detach().abs().max())
