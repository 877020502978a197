"""Dilated ResNets: features at stride 8 for segmentation.

He et al. 2016, "Deep Residual Learning", with the last two stages dilated instead of strided
(Chen et al. 2017, "Rethinking Atrous Convolution"). Names of layers are the usual ones:
``conv1``, ``bn1``, ``layerN.M.convK``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import BasicBlock, Bottleneck, conv_bn

StageFeatures = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class ResNetConfig:
    """Size of a ResNet.

    Attributes:
        block: Two 3×3 convolutions, or three convolutions with four times the channels out.
        blocks: Blocks of the four stages.
        stem: One 7×7 convolution, or three of 3×3 that end in twice the channels.
        width: Channels of the first stage's 3×3 convolutions; they double at each stage.
    """

    block: Literal["basic", "bottleneck"] = "bottleneck"
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    stem: Literal["plain", "deep"] = "deep"
    width: int = 64

    @property
    def stem_channels(self) -> int:
        """Channels at stride 2."""
        return self.width if self.stem == "plain" else 2 * self.width

    @property
    def stage_channels(self) -> tuple[int, int, int, int]:
        """Channels out of each stage."""
        first = self.width * _BLOCKS[self.block].expansion
        return first, 2 * first, 4 * first, 8 * first


_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {
    "basic": BasicBlock,
    "bottleneck": Bottleneck,
}
RESNET_34 = ResNetConfig("basic", (3, 4, 6, 3), "plain")
RESNET_50 = ResNetConfig("bottleneck", (3, 4, 6, 3))
RESNET_101 = ResNetConfig("bottleneck", (3, 4, 23, 3))


class ResNet(nn.Module):
    """Four stages of features, at strides 4, 8, 8 and 8.

    The third and the fourth stage have dilations 2 and 4 in place of their strides. In their
    first block the first 3×3 convolution still has the dilation of the stage before, as in
    the backbone that RITM took over from GluonCV.

    Args:
        config: Its size.
        in_channels: Channels of the image: more than 3 where clicks come with the colours.
    """

    def __init__(self, config: ResNetConfig, in_channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.conv1 = _first_layers(config, in_channels)
        self.bn1 = nn.BatchNorm2d(config.stem_channels)
        channels = (config.stem_channels, *config.stage_channels)
        self.layer1 = self._stage(0, channels[0])
        self.layer2 = self._stage(1, channels[1], stride=2)
        self.layer3 = self._stage(2, channels[2], dilation=2)
        self.layer4 = self._stage(3, channels[3], dilation=4)

    def _stage(
        self, index: int, in_channels: int, *, stride: int = 1, dilation: int = 1
    ) -> nn.Sequential:
        kind = _BLOCKS[self.config.block]
        planes = self.config.width * 2**index
        before = max(dilation // 2, 1)
        first = kind(in_channels, planes, stride=stride, dilations=(before, dilation))
        rest = (
            kind(self.config.stage_channels[index], planes, dilations=(dilation, dilation))
            for _ in range(self.config.blocks[index] - 1)
        )
        return nn.Sequential(first, *rest)

    def stem(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """``(B, stem_channels, ceil(H/2), ceil(W/2))``: features of the first layer.

        Args:
            image: ``(B, in_channels, H, W)``, colours normalised.
            extra: Of the result's shape; added to it.
        """
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)
        return x if extra is None else x + extra

    def stages(self, x: Tensor) -> StageFeatures:
        """Features of the four stages, from those of the stem."""
        first = self.layer1(F.max_pool2d(x, 3, 2, 1))
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, cast(Tensor, self.layer4(third))

    def forward(self, image: Tensor, extra: Tensor | None = None) -> StageFeatures:
        return self.stages(self.stem(image, extra))


def _first_layers(config: ResNetConfig, in_channels: int) -> nn.Module:
    """The stem's convolutions, without the last batch norm and ReLU."""
    width = config.width
    if config.stem == "plain":
        return nn.Conv2d(in_channels, width, 7, 2, 3, bias=False)
    return nn.Sequential(
        *conv_bn(in_channels, width, 3, stride=2),
        nn.ReLU(inplace=True),
        *conv_bn(width, width, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
    )
