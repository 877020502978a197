"""DeepLabV3+ (Chen et al. 2018) in the size that f-BRS and RITM use."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import conv_bn, resize, separable_conv, spatial_size
from napari_edgeflow.nn.resnet import ResNet, ResNetConfig

ASPP_RATES = (12, 24, 36)
SKIP_CHANNELS = 32


def _conv_bn_relu(in_channels: int, out_channels: int, rate: int | None = None) -> nn.Sequential:
    """A 1×1 convolution, or a 3×3 one with that dilation; batch norm, ReLU."""
    kernel, dilation = (1, 1) if rate is None else (3, rate)
    return nn.Sequential(
        *conv_bn(in_channels, out_channels, kernel, dilation=dilation), nn.ReLU(inplace=True)
    )


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling, ``(B, C_in, H, W)`` to ``(B, C_out, H, W)``.

    Chen et al. 2017, figure 5: a 1×1 convolution, three dilated 3×3 ones and the mean over
    the view side by side, then a 1×1 convolution. The dilations are those for stride 8.
    """

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                _conv_bn_relu(in_channels, out_channels),
                *(_conv_bn_relu(in_channels, out_channels, rate) for rate in ASPP_RATES),
            ]
        )
        self.pooled = _conv_bn_relu(in_channels, out_channels)
        self.project = nn.Sequential(
            *_conv_bn_relu(5 * out_channels, out_channels), nn.Dropout(dropout)
        )

    def forward(self, features: Tensor) -> Tensor:
        mean = self.pooled(features.mean(dim=(2, 3), keepdim=True))
        parts = [branch(features) for branch in self.branches]
        parts.append(mean.expand(-1, -1, *spatial_size(features)))
        return cast(Tensor, self.project(torch.cat(parts, dim=1)))


class DeepLabV3Plus(nn.Module):
    """Mask logits at stride 4 from a dilated ResNet.

    Sizes as in f-BRS (Sofiiuk et al. 2020), to which RITM refers: 32 skip channels, two
    separable convolutions and a 1×1 one in the decoder, then a head of two separable
    convolutions with half the channels and a 1×1 one. Parameter names are our own.

    Args:
        config: Size of the backbone.
        channels: Of ASPP and decoder: 128 for ResNet-34 and -50, 256 for ResNet-101.
        in_channels: Channels of the image.
        dropout: Probability that ASPP drops a value.
    """

    def __init__(
        self,
        config: ResNetConfig,
        channels: int,
        *,
        in_channels: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        self.stem_channels = config.stem_channels
        low, _, _, high = config.stage_channels
        self.backbone = ResNet(config, in_channels)
        self.aspp = ASPP(high, channels, dropout)
        self.skip_project = _conv_bn_relu(low, SKIP_CHANNELS)
        self.decoder = nn.Sequential(
            separable_conv(channels + SKIP_CHANNELS, channels),
            separable_conv(channels, channels),
            nn.Conv2d(channels, channels, 1),
        )
        self.head = nn.Sequential(
            separable_conv(channels, channels // 2),
            separable_conv(channels // 2, channels // 2),
            nn.Conv2d(channels // 2, 1, 1),
        )

    def decode(self, low: Tensor, high: Tensor) -> Tensor:
        """``(B, channels, h, w)`` features.

        Args:
            low: ``(B, C, h, w)``: the first stage's.
            high: ``(B, C', h', w')``: the last stage's.
        """
        context = resize(self.aspp(high), spatial_size(low))
        return cast(Tensor, self.decoder(torch.cat([context, self.skip_project(low)], dim=1)))

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, None]:
        """Mask logits ``(B, 1, ceil(H/4), ceil(W/4))``; there is no auxiliary output.

        Args:
            image: ``(B, in_channels, H, W)``, colours normalised.
            extra: ``(B, stem_channels, ceil(H/2), ceil(W/2))`` added to the first layer's
                features.
        """
        low, _, _, high = self.backbone(image, extra)
        return self.head(self.decode(low, high)), None
