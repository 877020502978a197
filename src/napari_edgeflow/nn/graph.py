"""Sparse graph networks: every place of a feature map learns from the clicked places.

Zhang et al., "Intention-aware Feature Propagation Network for Interactive Segmentation",
section 3.3. Messages go from M clicks to N places, so time and memory are O(MN).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import conv_bn, resize, spatial_size
from napari_edgeflow.nn.points import clicked_cells


class ClickAttention(nn.Module):
    """Messages from the clicked places, by attention of every place to them.

    Σ_j α(g_n, g_uj) Wᵀ f_uj with α the softmax over the clicks of θ(g_n)ᵀ φ(g_uj)
    (eq. 5 and 6 with g = f; eq. 7 with g the higher-level features), the mean of several
    heads. A view without clicks gets no message.

    Args:
        similarity_channels: Channels of g, which decide who listens to whom.
        channels: Channels of f and of the messages.
        hidden: Channels of θ and φ.
        heads: How many such attentions are averaged, each with weights of its own.
    """

    def __init__(self, similarity_channels: int, channels: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.hidden, self.heads = hidden, heads
        self.query = nn.Conv2d(similarity_channels, heads * hidden, 1)
        self.key = nn.Linear(similarity_channels, heads * hidden)
        self.value = nn.Linear(channels, heads * channels, bias=False)

    def forward(self, similarity: Tensor, features: Tensor, cells: Tensor) -> Tensor:
        """``(B, C, h, w)`` messages.

        Args:
            similarity: ``(B, C', h, w)``: g.
            features: ``(B, C, h, w)``: f.
            cells: ``(B, M) int64``: see ``nn.points.clicked_cells``.
        """
        batch, _, height, width = features.shape
        heads = self.heads
        query = self.query(similarity).reshape(batch, heads, self.hidden, height * width)
        key = self.key(gather(similarity, cells)).reshape(batch, -1, heads, self.hidden)
        value = self.value(gather(features, cells)).reshape(batch, cells.shape[1], heads, -1)
        scores = torch.einsum("bmhd,bhdn->bhmn", key.float(), query.float())
        weights = _softmax_over_clicks(scores, (cells >= 0)[:, None, :, None])
        messages = torch.einsum("bhmn,bmhc->bcn", weights.to(value.dtype), value) / heads
        return messages.reshape(batch, -1, height, width)


def gather(features: Tensor, cells: Tensor) -> Tensor:
    """``(B, M, C)``: the features of these cells; those of cell 0 where there is no cell.

    Args:
        features: ``(B, C, h, w)``.
        cells: ``(B, M) int64``, −1 for none.
    """
    index = cells.clamp(min=0)[:, None, :].expand(-1, features.shape[1], -1)
    return features.flatten(2).gather(2, index).transpose(1, 2)


def _softmax_over_clicks(scores: Tensor, is_click: Tensor) -> Tensor:
    """``(B, heads, M, N)`` weights that sum to 1 over the clicks, 0 where there is none."""
    masked = scores.masked_fill(~is_click, torch.finfo(scores.dtype).min)
    return torch.softmax(masked, dim=2) * is_click


class SparseGraph(nn.Module):
    """Features that have heard of the clicks; keeps ``(B, C, h, w)`` (SGM, eq. 5 and 6).

    As in the published HRNet variant: three heads averaged, θ and φ a third as wide as the
    features, the messages scaled by a learned γ that starts at 0, then a 1×1 convolution.
    Whether heads share their values is not known; here each has its own.
    """

    def __init__(self, channels: int, heads: int = 3) -> None:
        super().__init__()
        self.attention = ClickAttention(channels, channels, max(channels // 3, 1), heads)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.project = nn.Sequential(*conv_bn(channels, channels, 1), nn.ReLU(inplace=True))

    def forward(self, features: Tensor, points: Tensor, view: tuple[int, int]) -> Tensor:
        """The features with their messages.

        Args:
            features: ``(B, C, h, w)``.
            points: ``(B, M, 3)``: see ``nn.points.clicked_cells``.
            view: (H, W) in pixels.
        """
        cells = clicked_cells(points, view, spatial_size(features))
        messages = self.attention(features, features, cells)
        return cast(Tensor, self.project(features + self.gamma * messages))


class HighResSparseGraph(nn.Module):
    """The same at a higher resolution, attention by the higher-level features (HSGM, eq. 7).

    σ, which joins both levels, is two 3×3 convolutions with batch norm and ReLU, as in the
    published HRNet variant.

    Args:
        channels: Of the higher-level features, and of the result.
        low_channels: Of the high-resolution features.
        heads: See ``ClickAttention``.
    """

    def __init__(self, channels: int, low_channels: int, heads: int = 3) -> None:
        super().__init__()
        self.join = nn.Sequential(
            *conv_bn(channels + low_channels, channels, 3),
            nn.ReLU(inplace=True),
            *conv_bn(channels, channels, 3),
            nn.ReLU(inplace=True),
        )
        self.attention = ClickAttention(channels, channels, max(channels // 3, 1), heads)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, high: Tensor, low: Tensor, points: Tensor, view: tuple[int, int]) -> Tensor:
        """``(B, C, H', W')`` features at the resolution of ``low``.

        Args:
            high: ``(B, C, h, w)``: higher-level features that have heard of the clicks.
            low: ``(B, C', H', W')``: features with more detail.
            points: ``(B, M, 3)``: see ``nn.points.clicked_cells``.
            view: (H, W) in pixels.
        """
        guide = resize(high, spatial_size(low))
        joined = self.join(torch.cat([low, guide], dim=1))
        cells = clicked_cells(points, view, spatial_size(low))
        return cast(Tensor, joined + self.gamma * self.attention(guide, joined, cells))
