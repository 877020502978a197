"""Two-in-one refinement (Majumder et al. 2020): one click selects, boundary clicks refine."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_edgeflow.nn.base import ClickKind, InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.nn.blocks import conv_bn, initialise, resize, spatial_size
from napari_edgeflow.nn.hrnet import HRNET_18S, HRNet, HRNetConfig
from napari_edgeflow.nn.points import gaussian_map, pixels_of, require_points
from napari_edgeflow.nn.resnet import RESNET_101, ResNet, ResNetConfig
from napari_edgeflow.nn.roi import mask_boxes, paste, roi_align

POOLED_SIDES = (1, 2, 3, 6)
COLOURS = 3
_POSITIVE = 0
_KINDS: dict[str, tuple[ClickKind, ...]] = {
    "boundary": ("positive", "boundary"),
    "signs": ("positive", "negative"),
}


@dataclass(frozen=True, slots=True)
class TwoInOneConfig:
    """Size of a two-in-one network, and which clicks refine.

    Attributes:
        backbone: Of the selection network.
        refinement: ``boundary``: clicks on the boundary, one map without signs (the paper's
            Ours-BRC); ``signs``: positive and negative clicks, a map each (Ours-PNR).
        channels: Of the features that both networks share.
        refine_channels: Of the three convolutions of the refinement network (eq. 4).
        roi_side: Bins along each side of the box that is refined.
        sigma_px: Of the Gaussians that show clicks, in pixels of the view.
        crop_above: Probability above which a pixel belongs to the box.
        padding_px: Added to the box on each side, in pixels of the view.
    """

    backbone: HRNetConfig | ResNetConfig = RESNET_101
    refinement: Literal["boundary", "signs"] = "boundary"
    channels: int = 512
    refine_channels: tuple[int, int, int] = (512, 256, 256)
    roi_side: int = 48
    sigma_px: float = 10.0
    crop_above: float = 0.001
    padding_px: int = 16


TWO_IN_ONE = TwoInOneConfig()
TWO_IN_ONE_PNR = TwoInOneConfig(refinement="signs")
TWO_IN_ONE_H18S = TwoInOneConfig(HRNET_18S, channels=128, refine_channels=(128, 64, 64))
TWO_IN_ONE_H18S_PNR = replace(TWO_IN_ONE_H18S, refinement="signs")


class PyramidPooling(nn.Module):
    """Features with means over ever larger parts of the view; keeps the size.

    Zhao et al. 2017, "Pyramid Scene Parsing Network", figure 3: grids of 1, 2, 3 and 6
    means a side, a quarter of the channels each, joined by a 3×3 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        narrow = max(in_channels // len(POOLED_SIDES), 1)
        self.pooled = nn.ModuleList(
            nn.Sequential(*conv_bn(in_channels, narrow, 1), nn.ReLU(inplace=True))
            for _ in POOLED_SIDES
        )
        joined = in_channels + narrow * len(POOLED_SIDES)
        self.project = nn.Sequential(*conv_bn(joined, out_channels, 3), nn.ReLU(inplace=True))

    def forward(self, features: Tensor) -> Tensor:
        size = spatial_size(features)
        parts = [features]
        for side, layers in zip(POOLED_SIDES, self.pooled, strict=True):
            parts.append(resize(layers(F.adaptive_avg_pool2d(features, side)), size))
        return cast(Tensor, self.project(torch.cat(parts, dim=1)))


class SelectionNetwork(nn.Module):
    """Mask logits and shared features from colours and the selection click (section 3.1).

    As in the paper: the click's map comes to the colours as a fourth channel; a dilated
    ResNet, pyramid pooling to 512 channels, a 1×1 convolution. An HRNet can take the
    ResNet's place.
    """

    def __init__(self, backbone: HRNetConfig | ResNetConfig, channels: int) -> None:
        super().__init__()
        self.backbone: HRNet | ResNet
        if isinstance(backbone, HRNetConfig):
            self.backbone = HRNet(backbone, COLOURS + 1)
            width = backbone.out_channels
        else:
            self.backbone = ResNet(backbone, COLOURS + 1)
            width = backbone.stage_channels[3]
        self.pyramid = PyramidPooling(width, channels)
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``(B, 1, h, w)`` and features ``(B, channels, h, w)``.

        Args:
            image: ``(B, 3, H, W)`` normalised.
            guidance: ``(B, 1, H, W)``: the selection click.
        """
        joined = torch.cat([image, guidance], dim=1)
        if isinstance(self.backbone, HRNet):
            deep = self.backbone.aggregate(self.backbone.stem(joined))
        else:
            deep = self.backbone(joined)[3]
        features = self.pyramid(deep)
        return self.head(features), features


class RefinementNetwork(nn.Module):
    """Logits of a box from its features and the clicks in it (section 3.2, eq. 4).

    Each channel of the features is brought to mean 0 and deviation 1 within the box before
    the click maps are joined to it: our reading of "channel-wise normalization".
    """

    def __init__(self, in_channels: int, clicks: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        channels = (in_channels + clicks, *widths)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [*conv_bn(before, after, 3), nn.ReLU(inplace=True)]
        self.blocks = nn.Sequential(*layers)
        self.head = nn.Conv2d(widths[-1], 1, 1)

    def forward(self, features: Tensor, guidance: Tensor) -> Tensor:
        """``(B, 1, h, w)`` logits.

        Args:
            features: ``(B, C, h, w)`` of the box.
            guidance: ``(B, K, h, w)``: the clicks.
        """
        joined = torch.cat([F.instance_norm(features), guidance.to(features.dtype)], dim=1)
        return cast(Tensor, self.head(self.blocks(joined)))


class TwoInOne(InteractiveNetwork):
    """Selection by the first positive click, then refinement of the box around the object.

    Views without further clicks, and all views while ``refines`` is off, get the selection's
    mask; it is always there as ``coarse_logits``. Beyond the box the refined mask is the
    selection's, whose probability there is at most 0.001.

    With boundary clicks, positive clicks after the first have no effect on the network (the
    session still puts their pixels into the mask). There is no prior.

    The paper leaves open, and is read as: overlapping Gaussians give their maximum; the box
    is refined at 48 × 48 bins and padded by 16 px. Deviations: the box also covers every
    click, so that none is lost; an object that nobody sees above 0.001 has the whole view
    as its box.
    """

    def __init__(self, config: TwoInOneConfig, spec: NetworkSpec | None = None) -> None:
        kinds = _KINDS[config.refinement]
        super().__init__(spec or NetworkSpec("none", config.sigma_px, 256, "gaussian", kinds))
        self.config = config
        self.selection = SelectionNetwork(config.backbone, config.channels)
        n_maps = 1 if config.refinement == "boundary" else 2
        self.refinement = RefinementNetwork(config.channels, n_maps, config.refine_channels)
        initialise(self)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        points = require_points(points)
        size = spatial_size(image)
        is_first = _first_positive(points)
        click = gaussian_map(points, is_first, size, self.config.sigma_px)
        low_res, features = self.selection(self.normalise(image), click)
        selected = resize(low_res.float(), size)
        is_further = (points[..., 2] >= 0) & ~is_first
        if self.config.refinement == "boundary":
            is_further &= points[..., 2] != _POSITIVE
        if not self.refines or self._may_skip(is_further):
            return NetworkOutput(selected, selected, None, None)
        guidance = self._guidance(click_maps, points, is_further)
        refined = self._refine(selected, features, guidance, points)
        is_refined = is_further.any(dim=1)[:, None, None, None]
        return NetworkOutput(torch.where(is_refined, refined, selected), selected, None, None)

    def _may_skip(self, is_further: Tensor) -> bool:
        """True when no view has clicks to refine by; training always runs all layers."""
        return not self.training and not is_further.is_meta and not bool(is_further.any())

    def _guidance(self, click_maps: Tensor, points: Tensor, is_further: Tensor) -> Tensor:
        """``(B, K, H, W)``: the clicks to refine by; the selection click is none of them."""
        other = click_maps[:, 1:2]
        if self.config.refinement == "boundary":
            return other
        is_positive = is_further & (points[..., 2] == _POSITIVE)
        size = spatial_size(click_maps)
        return torch.cat(
            [gaussian_map(points, is_positive, size, self.config.sigma_px), other], dim=1
        )

    def _refine(
        self, selected: Tensor, features: Tensor, guidance: Tensor, points: Tensor
    ) -> Tensor:
        view, bins = spatial_size(selected), (self.config.roi_side,) * 2
        boxes = self._boxes(selected.detach(), points)
        refined = self.refinement(
            roi_align(features, boxes, view, bins), roi_align(guidance, boxes, view, bins)
        )
        return paste(refined.float(), boxes, selected)

    def _boxes(self, selected: Tensor, points: Tensor) -> Tensor:
        """``(B, 4)``: the object and all clicks, padded, within the view."""
        above = math.log(self.config.crop_above / (1 - self.config.crop_above))
        box = mask_boxes(selected[:, 0] > above)
        low, high = box[:, :2], box[:, 2:]
        is_click = points[..., 2:] >= 0
        pixels = pixels_of(points)
        low = torch.minimum(low, pixels.masked_fill(~is_click, math.inf).amin(1))
        high = torch.maximum(high, pixels.masked_fill(~is_click, -math.inf).amax(1) + 1)
        end = torch.tensor(spatial_size(selected), device=low.device, dtype=low.dtype)
        low = torch.minimum((low - self.config.padding_px).clamp(min=0), end - 1)
        return torch.cat([low, torch.minimum(high + self.config.padding_px, end)], dim=1)


def _first_positive(points: Tensor) -> Tensor:
    """``(B, M) bool``: true at each view's first positive click."""
    is_positive = points[..., 2] == _POSITIVE
    return is_positive & (is_positive.cumsum(dim=1) == 1)
