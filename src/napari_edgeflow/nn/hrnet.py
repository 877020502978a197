"""HRNet: parallel branches at strides 4, 8, 16 and 32 that exchange features.

Sun et al. 2019, "Deep High-Resolution Representation Learning". Parameter names are
those of the published RITM and EdgeFlow checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_edgeflow.nn.blocks import BasicBlock, Bottleneck, conv_bn, resize, spatial_size

STEM_CHANNELS = 64
LAYER1_CHANNELS = 256


@dataclass(frozen=True, slots=True)
class HRNetConfig:
    """Size of an HRNet.

    Attributes:
        width: Channels of the stride-4 branch; the others have 2, 4 and 8 times as many.
        layer1_blocks: Bottlenecks at stride 4 before the branches part.
        branch_blocks: Basic blocks a branch and module.
        stage3_modules: Exchange modules of stage 3.
        stage4_modules: Exchange modules of stage 4.
    """

    width: int = 18
    layer1_blocks: int = 4
    branch_blocks: int = 4
    stage3_modules: int = 4
    stage4_modules: int = 3

    @property
    def widths(self) -> tuple[int, int, int, int]:
        """Channels of the four branches, high resolution first."""
        return self.width, 2 * self.width, 4 * self.width, 8 * self.width

    @property
    def out_channels(self) -> int:
        """Channels of the four branches side by side."""
        return sum(self.widths)


HRNET_18 = HRNetConfig()
HRNET_32 = HRNetConfig(width=32)
HRNET_18S = HRNetConfig(layer1_blocks=2, branch_blocks=2, stage3_modules=3, stage4_modules=2)
HRNET_18XS = HRNetConfig(layer1_blocks=1, branch_blocks=2, stage3_modules=1, stage4_modules=1)


class ExchangeModule(nn.Module):
    """Basic blocks on every branch, then each branch sums all branches at its own size."""

    def __init__(self, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(blocks))) for width in channels
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self._path(channels, source, target) for source in range(len(channels)))
            for target in range(len(channels))
        )

    @staticmethod
    def _path(channels: Sequence[int], source: int, target: int) -> nn.Module:
        """Layers that bring branch ``source`` to the channels (and size) of ``target``."""
        if source == target:
            return nn.Identity()
        if source > target:
            return nn.Sequential(*conv_bn(channels[source], channels[target], 1))
        steps: list[nn.Module] = []
        for step in range(target - source):
            is_last = step == target - source - 1
            out_channels = channels[target] if is_last else channels[source]
            layers = conv_bn(channels[source], out_channels, 3, stride=2)
            if not is_last:
                layers.append(nn.ReLU(inplace=True))
            steps.append(nn.Sequential(*layers))
        return nn.Sequential(*steps)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        own = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        fused = []
        for target, paths in enumerate(self.fuse_layers):
            size = spatial_size(own[target])
            total = own[target]
            for source, path in enumerate(cast(nn.ModuleList, paths)):
                if source == target:
                    continue
                contribution = path(own[source])
                total = total + (resize(contribution, size) if source > target else contribution)
            fused.append(F.relu(total))
        return fused


class HRNet(nn.Module):
    """The backbone without a head: stem, layer1, three stages of exchanging branches.

    ``stem`` and ``aggregate`` are separate so that fusions can act between them.

    Args:
        config: Its size.
        in_channels: Channels of the image: more than 3 where clicks come with the colours.
    """

    def __init__(self, config: HRNetConfig, in_channels: int = 3) -> None:
        super().__init__()
        self.config = config
        self.conv1 = nn.Conv2d(in_channels, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        self.conv2 = nn.Conv2d(STEM_CHANNELS, STEM_CHANNELS, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(STEM_CHANNELS)
        first = Bottleneck(STEM_CHANNELS, 64)
        rest = [Bottleneck(LAYER1_CHANNELS, 64) for _ in range(config.layer1_blocks - 1)]
        self.layer1 = nn.Sequential(first, *rest)
        widths = config.widths
        self.transition1 = nn.ModuleList(
            [
                nn.Sequential(*conv_bn(LAYER1_CHANNELS, widths[0], 3), nn.ReLU(inplace=True)),
                nn.Sequential(_down(LAYER1_CHANNELS, widths[1])),
            ]
        )
        self.stage2 = self._stage(widths[:2], 1)
        self.transition2 = nn.ModuleList(
            [nn.Identity(), nn.Identity(), nn.Sequential(_down(widths[1], widths[2]))]
        )
        self.stage3 = self._stage(widths[:3], config.stage3_modules)
        self.transition3 = nn.ModuleList([nn.Identity() for _ in range(3)])
        self.transition3.append(nn.Sequential(_down(widths[2], widths[3])))
        self.stage4 = self._stage(widths, config.stage4_modules)

    def _stage(self, channels: Sequence[int], modules: int) -> nn.Sequential:
        blocks = self.config.branch_blocks
        return nn.Sequential(*(ExchangeModule(channels, blocks) for _ in range(modules)))

    def stem(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """``(B, 256, H/4, W/4)`` features of layer1.

        Args:
            image: ``(B, in_channels, H, W)``, colours normalised.
            extra: ``(B, 64, H/2, W/2)`` added after the first convolution (fusion 1).
        """
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)
        if extra is not None:
            x = x + extra
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return cast(Tensor, self.layer1(x))

    def aggregate(self, x: Tensor) -> Tensor:
        """``(B, sum of widths, H/4, W/4)``: layer1's features through all branches, joined."""
        branches = self.stage2([layer(x) for layer in self.transition1])
        branches = self.stage3([*branches, self.transition2[2](branches[-1])])
        branches = self.stage4([*branches, self.transition3[3](branches[-1])])
        size = spatial_size(branches[0])
        return torch.cat([resize(branch, size) for branch in branches], dim=1)


def _down(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(*conv_bn(in_channels, out_channels, 3, stride=2), nn.ReLU(inplace=True))
