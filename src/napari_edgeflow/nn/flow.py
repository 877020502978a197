"""Flow-guided alignment of two feature maps (EdgeFlow, section 3.2)."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AlignTarget = Literal["image", "interaction"]


def warp(features: Tensor, flow: Tensor) -> Tensor:
    """``(B, C, H, W)`` features sampled bilinearly at ``identity + flow / (W, H)``.

    Args:
        features: ``(B, C, h, w)``; sampled at the flow's own resolution.
        flow: ``(B, 2, H, W)``: displacement (x, y); a value of W/2 crosses the half of
            the width, since the sampling grid spans [-1, 1] with corners aligned.
    """
    height, width = int(flow.shape[-2]), int(flow.shape[-1])
    grid_y, grid_x = torch.meshgrid(
        _axis(height, flow.device), _axis(width, flow.device), indexing="ij"
    )
    identity = torch.stack([grid_x, grid_y], dim=-1)
    scale = torch.tensor([width, height], device=flow.device, dtype=torch.float32)
    grid = identity + flow.permute(0, 2, 3, 1).float() / scale
    sampled = F.grid_sample(
        features.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=True
    )
    return sampled.to(features.dtype)


def _axis(size: int, device: torch.device) -> Tensor:
    """``(size,)`` positions from -1 to 1; the middle for a single pixel."""
    if size == 1:
        return torch.zeros(1, device=device)
    return torch.linspace(-1.0, 1.0, size, device=device)


class FlowAlign(nn.Module):
    """Image features plus features moved by a flow that both branches determine.

    EdgeFlow, figure 2: 1×1 convolutions on both inputs, concatenation, a 3×3
    convolution to a two-channel flow. ``target`` says what the flow moves:

    * ``"image"``: ``x + warp(x)``, what the published code does; clicks act on late
      features through the flow alone;
    * ``"interaction"``: ``x + warp(interaction)``, how the text reads: the interaction
      feature is brought into register with the image.

    ``hidden`` is the width of the 1×1 convolutions: that of the features as published.

    Deviation: the flow convolution starts near zero, so training starts at the identity.
    """

    def __init__(
        self, channels: int, target: AlignTarget = "image", hidden: int | None = None
    ) -> None:
        super().__init__()
        self.target = target
        hidden = hidden or channels
        self.down_h = nn.Conv2d(channels, hidden, 1, bias=False)
        self.down_l = nn.Conv2d(channels, hidden, 1, bias=False)
        self.flow_make = nn.Conv2d(2 * hidden, 2, 3, padding=1, bias=False)

    def forward(self, image: Tensor, interaction: Tensor) -> Tensor:
        """``(B, C, H, W)`` from two inputs of that shape."""
        joined = torch.cat([self.down_h(image), self.down_l(interaction)], dim=1)
        moved = image if self.target == "image" else interaction
        return image + warp(moved, cast(Tensor, self.flow_make(joined)))
