"""EdgeFlow (Hao et al. 2021): early-late fusion, edge-guided flow, FineNet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkOutput, NetworkSpec, PriorKind
from napari_edgeflow.nn.blocks import (
    ConvBNReLU,
    conv1s_branch,
    initialise,
    resize,
    spatial_size,
)
from napari_edgeflow.nn.cues import CUE_CHANNELS, colour_cues
from napari_edgeflow.nn.edge import BodyWarp, sobel_edges
from napari_edgeflow.nn.finenet import FineNet
from napari_edgeflow.nn.flow import AlignTarget, FlowAlign
from napari_edgeflow.nn.fold import compose_convolutions
from napari_edgeflow.nn.hrnet import (
    HRNET_18,
    HRNET_18S,
    HRNET_18XS,
    LAYER1_CHANNELS,
    STEM_CHANNELS,
    HRNetConfig,
)
from napari_edgeflow.nn.hrnet_ocr import HRNetOCR

Parts = Literal["baseline", "ef", "ef+f"]
Prior = Literal["edge", "mask", "sobel", "none"]
_FED_BACK: dict[Prior, PriorKind] = {
    "edge": "edge",
    "mask": "mask",
    "sobel": "none",
    "none": "none",
}


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
        parts: What there is of the network (table 2): ``baseline`` is HRNet with OCR, into
            which clicks come as in RITM; ``ef`` adds the edge-guided flow (late fusions and
            edge head); ``ef+f`` FineNet as well.
        prior: What the network sees besides clicks (table 3): the ``edge`` or the ``mask``
            of the step before, the image's ``sobel`` edges, or ``none``.
    """

    backbone: HRNetConfig = HRNET_18
    ocr_channels: int = 64
    align: AlignTarget = "image"
    late_kernel: int = 3
    align_channels: int | None = None
    fine_width: int = 32
    fine_residual: bool = False
    colour_cues: bool = False
    parts: Parts = "ef+f"
    prior: Prior = "edge"


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


class FusedHRNetOCR(HRNetOCR):
    """HRNet + OCR with EdgeFlow's second and third fusion and its edge head (CoarseNet)."""

    def __init__(self, config: EdgeFlowConfig) -> None:
        super().__init__(config.backbone, config.ocr_channels)
        joined, ocr = config.backbone.out_channels, 2 * config.ocr_channels
        self.warp1_conv = ConvBNReLU(STEM_CHANNELS, LAYER1_CHANNELS, stride=2)
        self.warp1_align = FlowAlign(LAYER1_CHANNELS, config.align, config.align_channels)
        self.warp2_conv = ConvBNReLU(LAYER1_CHANNELS, joined, config.late_kernel)
        self.warp2_align = FlowAlign(joined, config.align, config.align_channels)
        self.edge = BodyWarp(ocr)
        self.edge_fusion: nn.Module = nn.Conv2d(2 * ocr, 256, 1, bias=False)
        self.edge_out = nn.Sequential(ConvBNReLU(256, 48), nn.Conv2d(48, 1, 1, bias=False))

    def features(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        if extra is None:
            raise ValueError("late fusions need the interaction branch's features, got none")
        x = self.stem(image, extra)
        middle = resize(self.warp1_conv(extra), spatial_size(x))
        features = self.aggregate(self.warp1_align(x, middle))
        return cast(Tensor, self.warp2_align(features, self.warp2_conv(middle)))

    def with_edge(self, image: Tensor, interaction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(mask, edge, auxiliary) logits, each ``(B, 1, H/4, W/4)``.

        Args:
            image: ``(B, 3, H, W)`` normalised.
            interaction: ``(B, 64, H/2, W/2)``: the interaction branch's first features.
        """
        late, early, aux_logits = self.augment(self.features(image, interaction))
        return self.cls_head(late), self._edge_logits(late, early), aux_logits

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
    The baseline of the ablations has no edge, so it cannot be fed one back.

    Raises:
        ValueError: The baseline is to be fed its edge.
    """

    def __init__(self, config: EdgeFlowConfig, spec: NetworkSpec | None = None) -> None:
        if config.parts == "baseline" and config.prior == "edge":
            raise ValueError("the baseline has no edge; set prior to mask, sobel or none")
        super().__init__(spec or NetworkSpec(prior=_FED_BACK[config.prior]))
        self.config = config
        guidance = 2 if config.prior == "none" else 3
        cues = CUE_CHANNELS if config.colour_cues else 0
        self.maps_transform = conv1s_branch(guidance + cues, STEM_CHANNELS)
        self.feature_extractor: HRNetOCR
        if config.parts == "baseline":
            self.feature_extractor = HRNetOCR(config.backbone, config.ocr_channels)
        else:
            self.feature_extractor = FusedHRNetOCR(config)
        self.finenet: FineNet | None = None
        if config.parts == "ef+f":
            self.finenet = FineNet(
                config.fine_width, residual=config.fine_residual, guidance=guidance
            )
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
        if not isinstance(coarse, FusedHRNetOCR):
            return
        block = coarse.edge_out[0]
        if isinstance(block, ConvBNReLU) and isinstance(coarse.edge_fusion, nn.Conv2d):
            block._conv = compose_convolutions(coarse.edge_fusion, block._conv)
            coarse.edge_fusion = nn.Identity()

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        size = spatial_size(image)
        guidance = self._guidance(image, click_maps, prior)
        image = self.normalise(image)
        interaction = self._interaction(image, guidance, click_maps)
        edge_logits: Tensor | None = None
        if isinstance(self.feature_extractor, FusedHRNetOCR):
            coarse, edge, aux = self.feature_extractor.with_edge(image, interaction)
            edge_logits = resize(edge.float(), size)
        else:
            coarse, aux = self.feature_extractor(image, interaction)
        coarse_logits = mask_logits = resize(coarse.float(), size)
        if self.refines and self.finenet is not None and edge_logits is not None:
            mask_logits = self.finenet(image, guidance, coarse_logits, edge_logits).float()
        aux_logits = resize(aux.float(), size) if self.training else None
        return NetworkOutput(mask_logits, coarse_logits, edge_logits, aux_logits)

    def glance(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> Tensor:
        size = spatial_size(image)
        guidance = self._guidance(image, click_maps, prior)
        image = self.normalise(image)
        interaction = self._interaction(image, guidance, click_maps)
        coarse, _ = self.feature_extractor(image, interaction)
        return resize(coarse.float(), size)

    def _guidance(self, image: Tensor, click_maps: Tensor, prior: Tensor) -> Tensor:
        """Prior (if any), positive and negative clicks; ``image`` is not yet normalised."""
        if self.config.prior == "none":
            return click_maps
        if self.config.prior == "sobel":
            prior = sobel_edges(image)
        return torch.cat([prior, click_maps], dim=1)

    def _interaction(self, image: Tensor, guidance: Tensor, click_maps: Tensor) -> Tensor:
        """The interaction branch's first features ``(B, 64, H/2, W/2)``."""
        if self.config.colour_cues:
            guidance = torch.cat([guidance, colour_cues(image, click_maps)], dim=1)
        return cast(Tensor, self.maps_transform(guidance))


def edgeflow_18(config: EdgeFlowConfig = EDGEFLOW_18) -> EdgeFlow:
    """EdgeFlow on HRNet-18, as published: 11.3 M parameters."""
    return EdgeFlow(config)
