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


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, dilation: int = 1
) -> list[nn.Module]:
    """A convolution without bias and its batch norm; the size is divided by the stride."""
    padding = dilation * (kernel // 2)
    return [
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(out_channels),
    ]


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    if in_channels == out_channels and stride == 1:
        return None
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride=stride))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al. 2016, figure 5, left).

    Maps ``(B, C_in, H, W)`` to ``(B, planes, ceil(H / stride), ceil(W / stride))``.

    Args:
        in_channels: Channels in.
        planes: Channels out.
        stride: Of the first convolution and of the shortcut.
        dilations: Of the first and of the second convolution.
    """

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        planes: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        first, second = dilations
        self.conv1, self.bn1 = conv_bn(in_channels, planes, 3, stride=stride, dilation=first)
        self.conv2, self.bn2 = conv_bn(planes, planes, 3, dilation=second)
        self.downsample = _shortcut(in_channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        return F.relu(out.add_(shortcut), inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 convolutions around a shortcut (He et al. 2016, figure 5, right).

    Maps ``(B, C_in, H, W)`` to ``(B, 4·planes, ceil(H / stride), ceil(W / stride))``.

    Args:
        in_channels: Channels in.
        planes: Channels of the 3×3 convolution.
        stride: Of the 3×3 convolution and of the shortcut.
        dilations: The first is that of the 3×3 convolution; the second is not used.
    """

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        planes: int,
        *,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        out_channels = self.expansion * planes
        self.conv1, self.bn1 = conv_bn(in_channels, planes, 1)
        self.conv2, self.bn2 = conv_bn(planes, planes, 3, stride=stride, dilation=dilations[0])
        self.conv3, self.bn3 = conv_bn(planes, out_channels, 1)
        self.downsample = _shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        return F.relu(out.add_(shortcut), inplace=True)


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


def separable_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """3×3 depthwise, then 1×1 convolution, batch norm, ReLU; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
        *conv_bn(in_channels, out_channels, 1),
        nn.ReLU(inplace=True),
    )


def conv1s_branch(in_channels: int, out_channels: int) -> nn.Sequential:
    """The interaction branch of RITM's Conv1S: features to add to those of the first layer.

    Maps ``(B, C_in, H, W)`` to ``(B, C_out, ceil(H / 2), ceil(W / 2))`` (RITM, section 3.1;
    the layers are those of the published checkpoints).
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, out_channels, 3, 2, 1),
        ScaleLayer(0.05),
    )


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
