"""FineNet: EdgeFlow's refinement of the coarse mask at full resolution."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _atrous(in_channels: int, width: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, width, 3, padding=dilation, dilation=dilation, bias=False),
        nn.PReLU(),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, width // 2, 1, bias=False),
        nn.PReLU(),
        nn.BatchNorm2d(width // 2),
    )


class FineBlock(nn.Module):
    """1×1 residual block, ``(B, 3w/2, H, W)`` to ``(B, 2w, H, W)`` for width w.

    Deviation: the published block also holds a 3×3 convolution and its batch norm
    (``conv2``, ``bn2``) that its forward pass never uses; they are left out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        joined = 3 * (width // 2)
        self.conv1 = nn.Conv2d(joined, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(2 * width)
        self.downsample = nn.Sequential(
            nn.Conv2d(joined, 2 * width, 1, bias=False), nn.BatchNorm2d(2 * width)
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn3(self.conv3(out))
        return F.relu(out.add_(self.downsample(x)), inplace=True)


class FineNet(nn.Module):
    """Refined mask logits ``(B, 1, H, W)`` (EdgeFlow, section 3.1, "FineNet").

    Three parallel atrous branches (dilation 1, 2, 3) over eight channels: RGB, prior,
    positive, negative, coarse probability, edge probability; without a prior, seven.

    Deviation: with ``residual`` the coarse logits are added to the output, so that the
    untrained FineNet starts from the coarse answer; published weights need it off.
    """

    def __init__(self, width: int = 32, *, residual: bool = False, guidance: int = 3) -> None:
        super().__init__()
        self.residual = residual
        channels = 3 + guidance + 2
        self.atrous1 = _atrous(channels, width, 1)
        self.atrous2 = _atrous(channels, width, 2)
        self.atrous3 = _atrous(channels, width, 3)
        self.final_predict = nn.Sequential(
            FineBlock(width),
            nn.Conv2d(2 * width, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )

    def forward(
        self, image: Tensor, guidance: Tensor, coarse_logits: Tensor, edge_logits: Tensor
    ) -> Tensor:
        """Logits at full resolution.

        Args:
            image: ``(B, 3, H, W)`` normalised RGB.
            guidance: ``(B, guidance, H, W)``: prior (if any), positive disks, negative disks.
            coarse_logits: ``(B, 1, H, W)``.
            edge_logits: ``(B, 1, H, W)``.
        """
        inputs = torch.cat([image, guidance, coarse_logits.sigmoid(), edge_logits.sigmoid()], dim=1)
        branches = [self.atrous1(inputs), self.atrous2(inputs), self.atrous3(inputs)]
        fine = cast(Tensor, self.final_predict(torch.cat(branches, dim=1)))
        return coarse_logits + fine if self.residual else fine
