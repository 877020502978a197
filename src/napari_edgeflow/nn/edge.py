"""Edges in EdgeFlow: the flow of its edge head, and Sobel's as a prior to compare with."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import ConvBNReLU, resize, spatial_size
from napari_edgeflow.nn.flow import warp

_LUMINANCE = (0.299, 0.587, 0.114)
_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def sobel_edges(image: Tensor) -> Tensor:
    """``(B, 1, H, W) in [0, 1]``: how steep the image is (EdgeFlow, table 3, "SI").

    The gradient's length by Sobel's kernels on the luminance, over that of a straight step
    from black to white, at most 1; the paper does not give its scale. The border repeats.

    Args:
        image: ``(B, 3, H, W) float in [0, 1]``, RGB.
    """
    with torch.autocast(image.device.type, enabled=False):
        image = image.float()
        grey = (image * image.new_tensor(_LUMINANCE).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        across = image.new_tensor(_SOBEL)
        kernels = torch.stack([across, across.T])[:, None]
        gradient = F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), kernels)
        return (gradient.square().sum(dim=1, keepdim=True).sqrt() / 4).clamp_max(1)


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
