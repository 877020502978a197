"""Object-contextual representations (Yuan et al. 2020), as used by RITM and EdgeFlow."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


def _projection(in_channels: int, out_channels: int, repeats: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for index in range(repeats):
        channels = in_channels if index == 0 else out_channels
        layers.append(nn.Conv2d(channels, out_channels, 1, bias=False))
        layers.append(nn.Sequential(nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)))
    return nn.Sequential(*layers)


class ObjectContext(nn.Module):
    """Attention from every pixel ``(B, C, H, W)`` to the object regions ``(B, C, K)``.

    Yuan et al. 2020, eq. 3: with the single class of interactive segmentation the
    softmax runs over one key and is 1 everywhere, so every pixel receives the object's
    representation itself. The attention is kept general in K; for K = 1 the products
    with queries and keys have no effect on the value.
    """

    def __init__(self, channels: int, key_channels: int) -> None:
        super().__init__()
        self.key_channels = key_channels
        self.f_pixel = _projection(channels, key_channels, repeats=2)
        self.f_object = _projection(channels, key_channels, repeats=2)
        self.f_down = _projection(channels, key_channels)
        self.f_up = _projection(key_channels, channels)

    def forward(self, features: Tensor, regions: Tensor) -> Tensor:
        batch, _, height, width = features.shape
        proxies = regions.unsqueeze(-1)
        value = self.f_down(proxies).flatten(2).transpose(1, 2)
        if value.shape[1] == 1 and not self.training:
            context = value.transpose(1, 2).unsqueeze(-1)
            return cast(Tensor, self.f_up(context)).expand(-1, -1, height, width)
        query = self.f_pixel(features).flatten(2).transpose(1, 2)
        key = self.f_object(proxies).flatten(2)
        weights = torch.softmax(query @ key * self.key_channels**-0.5, dim=-1)
        context = (weights @ value).transpose(1, 2).reshape(batch, -1, height, width)
        return cast(Tensor, self.f_up(context))


class SpatialOCR(nn.Module):
    """Pixel features joined with their object context; keeps ``(B, C, H, W)``.

    Args:
        channels: Channels in and out.
        key_channels: Channels of queries, keys and values.
        dropout: Probability of dropping a whole feature map.
    """

    def __init__(self, channels: int, key_channels: int, dropout: float = 0.05) -> None:
        super().__init__()
        self.object_context_block = ObjectContext(channels, key_channels)
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)),
            nn.Dropout2d(dropout),
        )

    def forward(self, features: Tensor, region_logits: Tensor) -> Tensor:
        """Augmented features.

        Args:
            features: ``(B, C, H, W)``.
            region_logits: ``(B, K, H, W)``: soft object regions; their softmax over the
                pixels weighs the features of each region (eq. 2).
        """
        weights = torch.softmax(region_logits.flatten(2).float(), dim=-1).to(features.dtype)
        regions = (weights @ features.flatten(2).transpose(1, 2)).transpose(1, 2)
        context = self.object_context_block(features, regions)
        return cast(Tensor, self.conv_bn_dropout(torch.cat([context, features], dim=1)))
