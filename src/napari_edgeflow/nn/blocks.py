"""Small building blocks that several networks share."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize(features: Tensor, size: tuple[int, int]) -> Tensor:
    """``(B, C, *size)`` bilinear resample with corners aligned, as in both published codes."""
    if features.shape[-2:] == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear", align_corners=True)


def spatial_size(features: Tensor) -> tuple[int, int]:
    """(height, width) of a ``(B, C, H, W)`` tensor."""
    return int(features.shape[-2]), int(features.shape[-1])


class ConvBNReLU(nn.Module):
    """Convolution, batch norm, ReLU under the names of PaddleSeg's block.

    Maps ``(B, C_in, H, W)`` to ``(B, C_out, ceil(H / stride), ceil(W / stride))``.
    Deviation: stride-2 convolutions pad both sides evenly where Paddle's ``same``
    padding pads after; both give the same output size.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self._conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=bias,
        )
        self._batch_norm = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(cast(Tensor, self._batch_norm(self._conv(features))), inplace=True)


class ScaleLayer(nn.Module):
    """Features times one learned scalar (RITM, Conv1S)."""

    def __init__(self, init_value: float = 0.05) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), init_value))

    def forward(self, features: Tensor) -> Tensor:
        return features * self.scale


def initialise(module: nn.Module) -> None:
    """Sets He-normal weights for convolutions and identity batch norms, in place.

    Convolutions to a single channel give logits: theirs start small.
    """
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            if child.out_channels == 1:
                nn.init.normal_(child.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.BatchNorm2d):
            nn.init.ones_(child.weight)
            nn.init.zeros_(child.bias)
