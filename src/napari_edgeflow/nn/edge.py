"""The flow of EdgeFlow's edge head, which draws features towards the object's body."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import ConvBNReLU, resize, spatial_size
from napari_edgeflow.nn.flow import warp


class BodyWarp(nn.Module):
    """Features drawn towards the object's body, ``(B, C, H, W)`` to the same shape.

    EdgeFlow, section 3.1: two depthwise stride-2 convolutions, upsampled, decide a flow;
    what it removes from the features is the edge.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *(
                ConvBNReLU(channels, channels, stride=2, groups=channels, bias=True)
                for _ in range(2)
            )
        )
        self.flow_make = nn.Conv2d(2 * channels, 2, 3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        body = resize(self.down(features), spatial_size(features))
        flow = self.flow_make(torch.cat([features, body], dim=1))
        return warp(features, cast(Tensor, flow))
