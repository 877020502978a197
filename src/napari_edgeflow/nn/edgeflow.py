"""EdgeFlow (Hao et al. 2021): early-late fusion, edge-guided flow, FineNet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.nn.blocks import ConvBNReLU, ScaleLayer, initialise, resize, spatial_size
from napari_edgeflow.nn.cues import CUE_CHANNELS, colour_cues
from napari_edgeflow.nn.edge import BodyWarp
from napari_edgeflow.nn.finenet import FineNet
from napari_edgeflow.nn.flow import AlignTarget, FlowAlign
from napari_edgeflow.nn.fold import compose_convolutions
from napari_edgeflow.nn.hrnet import (
    HRNET_18,
    HRNET_18S,
    HRNET_18XS,
    LAYER1_CHANNELS,
    STEM_CHANNELS,
    HRNet,
    HRNetConfig,
)
from napari_edgeflow.nn.ocr import SpatialOCR


@dataclass(frozen=True, slots=True)
class EdgeFlowConfig:
    """Size and readings of an EdgeFlow network.

    Attributes:
        backbone: Size of the HRNet.
        ocr_channels: Key channels of OCR; its features have twice as many.
        align: What the flow of the late fusions moves (see ``FlowAlign``).
        late_kernel: Kernel of the third fusion's convolution: 3 as published; 1 saves a
            quarter of the multiplications of the small network.
        align_channels: Width of the flow modules' 1×1 convolutions; None as published.
        fine_width: Channels of FineNet's atrous convolutions.
        fine_residual: FineNet adds to the coarse logits (see ``FineNet``).
        colour_cues: The interaction branch also sees how alike the view's colours are to
            those that were clicked (see ``nn.cues``); not in the paper.
    """

    backbone: HRNetConfig = HRNET_18
    ocr_channels: int = 64
    align: AlignTarget = "image"
    late_kernel: int = 3
    align_channels: int | None = None
    fine_width: int = 32
    fine_residual: bool = False
    colour_cues: bool = False


EDGEFLOW_18 = EdgeFlowConfig()
EDGEFLOW_18S = EdgeFlowConfig(
    backbone=HRNET_18S,
    ocr_channels=48,
    align="interaction",
    late_kernel=1,
    align_channels=64,
    fine_width=16,
    fine_residual=True,
)
EDGEFLOW_18S_CUES = replace(EDGEFLOW_18S, colour_cues=True)
EDGEFLOW_18XS = replace(EDGEFLOW_18S, backbone=HRNET_18XS)


class FusedHRNetOCR(HRNet):
    """HRNet + OCR with EdgeFlow's second and third fusion and its edge head (CoarseNet)."""

    def __init__(self, config: EdgeFlowConfig) -> None:
        super().__init__(config.backbone)
        joined, ocr = config.backbone.out_channels, 2 * config.ocr_channels
        self.warp1_conv = ConvBNReLU(STEM_CHANNELS, LAYER1_CHANNELS, stride=2)
        self.warp1_align = FlowAlign(LAYER1_CHANNELS, config.align, config.align_channels)
        self.warp2_conv = ConvBNReLU(LAYER1_CHANNELS, joined, config.late_kernel)
        self.warp2_align = FlowAlign(joined, config.align, config.align_channels)
        self.conv3x3_ocr = nn.Sequential(
            nn.Conv2d(joined, ocr, 3, padding=1), nn.BatchNorm2d(ocr), nn.ReLU(inplace=True)
        )
        self.ocr_distri_head = SpatialOCR(ocr, config.ocr_channels)
        self.cls_head = nn.Conv2d(ocr, 1, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(joined, joined, 1),
            nn.BatchNorm2d(joined),
            nn.ReLU(inplace=True),
            nn.Conv2d(joined, 1, 1),
        )
        self.edge = BodyWarp(ocr)
        self.edge_fusion: nn.Module = nn.Conv2d(2 * ocr, 256, 1, bias=False)
        self.edge_out = nn.Sequential(ConvBNReLU(256, 48), nn.Conv2d(48, 1, 1, bias=False))

    def forward(self, image: Tensor, interaction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(mask, edge, auxiliary) logits, each ``(B, 1, H/4, W/4)``.

        Args:
            image: ``(B, 3, H, W)`` normalised.
            interaction: ``(B, 64, H/2, W/2)``: the interaction branch's first features.
        """
        late, early, aux_logits = self._features(image, interaction)
        return self.cls_head(late), self._edge_logits(late, early), aux_logits

    def mask_logits(self, image: Tensor, interaction: Tensor) -> Tensor:
        """``(B, 1, H/4, W/4)``: the mask alone, without the work for its edge."""
        late, _, _ = self._features(image, interaction)
        return cast(Tensor, self.cls_head(late))

    def _features(self, image: Tensor, interaction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(features after OCR, features before, auxiliary logits)."""
        x = self.stem(image, interaction)
        middle = resize(self.warp1_conv(interaction), spatial_size(x))
        features = self.aggregate(self.warp1_align(x, middle))
        features = self.warp2_align(features, self.warp2_conv(middle))
        aux_logits = self.aux_head(features)
        early = self.conv3x3_ocr(features)
        return self.ocr_distri_head(early, aux_logits), early, aux_logits

    def _edge_logits(self, late: Tensor, early: Tensor) -> Tensor:
        """What the flow towards the object's body takes away is its edge (section 3.1)."""
        outline = late - self.edge(late)
        return cast(Tensor, self.edge_out(self.edge_fusion(torch.cat([outline, early], dim=1))))


class EdgeFlow(InteractiveNetwork):
    """The whole of EdgeFlow: interaction branch, CoarseNet, FineNet (figure 2).

    Three named outputs at the input's resolution: the fine mask, the coarse mask and the
    edge, whose probability is the next click's prior (section 3.2, "Edge guidance").

    Deviations from the published code: see ``FlowAlign``, ``FineBlock``, ``ConvBNReLU``;
    the size 18s is ours (the paper has 18 alone): a 1×1 convolution in the third fusion,
    narrower flow modules and a narrower, residual FineNet; 18s-cues adds ``nn.cues``.
    """

    def __init__(self, config: EdgeFlowConfig, spec: NetworkSpec | None = None) -> None:
        super().__init__(spec or NetworkSpec(prior="edge"))
        self.config = config
        self.maps_transform = nn.Sequential(
            nn.Conv2d(3 + (CUE_CHANNELS if config.colour_cues else 0), 16, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(16, STEM_CHANNELS, 3, 2, 1),
            ScaleLayer(0.05),
        )
        self.feature_extractor = FusedHRNetOCR(config)
        self.finenet = FineNet(config.fine_width, residual=config.fine_residual)
        initialise(self)
        self._start_small()

    def _start_small(self) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith("flow_make.weight"):
                nn.init.normal_(parameter, std=1e-3)
            elif self.config.fine_residual and name == "finenet.final_predict.2.weight":
                nn.init.constant_(parameter, 0.1)

    def prepare_inference(self) -> None:
        super().prepare_inference()
        coarse = self.feature_extractor
        block = coarse.edge_out[0]
        if isinstance(block, ConvBNReLU) and isinstance(coarse.edge_fusion, nn.Conv2d):
            block._conv = compose_convolutions(coarse.edge_fusion, block._conv)
            coarse.edge_fusion = nn.Identity()

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        size = spatial_size(image)
        image = self.normalise(image)
        guidance = torch.cat([prior, click_maps], dim=1)
        low_res = self.feature_extractor(image, self._interaction(image, guidance))
        coarse_logits, edge_logits, aux_logits = (resize(x.float(), size) for x in low_res)
        mask_logits = coarse_logits
        if self.refines:
            mask_logits = self.finenet(image, guidance, coarse_logits, edge_logits).float()
        return NetworkOutput(
            mask_logits, coarse_logits, edge_logits, aux_logits if self.training else None
        )

    def glance(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> Tensor:
        size = spatial_size(image)
        image = self.normalise(image)
        interaction = self._interaction(image, torch.cat([prior, click_maps], dim=1))
        return resize(self.feature_extractor.mask_logits(image, interaction).float(), size)

    def _interaction(self, image: Tensor, guidance: Tensor) -> Tensor:
        """The interaction branch's first features ``(B, 64, H/2, W/2)``."""
        if self.config.colour_cues:
            guidance = torch.cat([guidance, colour_cues(image, guidance[:, 1:])], dim=1)
        return cast(Tensor, self.maps_transform(guidance))


def edgeflow_18(config: EdgeFlowConfig = EDGEFLOW_18) -> EdgeFlow:
    """EdgeFlow on HRNet-18, as published: 11.3 M parameters."""
    return EdgeFlow(config)
