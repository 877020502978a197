"""Intention-aware feature propagation: sparse click graphs, from coarse to fine.

Zhang et al., "Intention-aware Feature Propagation Network for Interactive Segmentation";
later named "cascaded sparse feature propagation".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.nn.blocks import conv1s_branch, initialise, resize, spatial_size
from napari_edgeflow.nn.deeplab import DeepLabV3Plus
from napari_edgeflow.nn.graph import HighResSparseGraph, SparseGraph
from napari_edgeflow.nn.hrnet import HRNET_18, STEM_CHANNELS, HRNetConfig
from napari_edgeflow.nn.hrnet_ocr import HRNetOCR
from napari_edgeflow.nn.points import require_points
from napari_edgeflow.nn.resnet import RESNET_50, RESNET_101, ResNetConfig


@dataclass(frozen=True, slots=True)
class PropagationConfig:
    """Size of a feature propagation network.

    Attributes:
        backbone: An HRNet gets OCR on top, a ResNet DeepLabV3+.
        head_channels: Key channels of OCR, or channels of ASPP and decoder.
        heads: Attentions that are averaged in each graph.
        click_radius_px: Radius of the disks.
    """

    backbone: HRNetConfig | ResNetConfig = HRNET_18
    head_channels: int = 64
    heads: int = 3
    click_radius_px: float = 5.0


PROPAGATION_H18 = PropagationConfig(HRNET_18, 64)
PROPAGATION_R50 = PropagationConfig(RESNET_50, 128)
PROPAGATION_R101 = PropagationConfig(RESNET_101, 256)


class PropagatingHRNet(HRNetOCR):
    """HRNet with both graphs before OCR, which then runs at stride 2.

    As in the published HRNet variant: the low-resolution graph hears the joined branches,
    the high-resolution one joins its result with the stem's 64 channels.
    """

    def __init__(self, config: PropagationConfig, backbone: HRNetConfig) -> None:
        super().__init__(backbone, config.head_channels)
        joined = backbone.out_channels
        self.graph = SparseGraph(joined, config.heads)
        self.high_res_graph = HighResSparseGraph(joined, STEM_CHANNELS, config.heads)

    def propagate(self, image: Tensor, extra: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """(mask, auxiliary) logits, each ``(B, 1, ceil(H/2), ceil(W/2))``.

        Args:
            image: ``(B, 3, H, W)`` normalised.
            extra: ``(B, 64, ceil(H/2), ceil(W/2))`` added to the first layer's features.
            points: ``(B, M, 3)``: see ``nn.points``.
        """
        view = spatial_size(image)
        low = F.relu(self.bn1(self.conv1(image))) + extra
        middle = self.layer1(F.relu(self.bn2(self.conv2(low))))
        heard = self.graph(self.aggregate(middle), points, view)
        features = self.high_res_graph(heard, low, points, view)
        aux_logits = self.aux_head(features)
        augmented = self.ocr_distri_head(self.conv3x3_ocr(features), aux_logits)
        return self.cls_head(augmented), aux_logits


class PropagatingDeepLab(DeepLabV3Plus):
    """DeepLabV3+ with both graphs between its decoder and its head (footnote 5, figure 2).

    The higher-level features are the decoder's, at stride 4; the lower-level ones are those
    of the ResNet's first layer, at stride 2. The head's two convolutions are the paper's
    "two-layer conv-block".
    """

    def __init__(self, config: PropagationConfig, backbone: ResNetConfig) -> None:
        super().__init__(backbone, config.head_channels)
        channels = config.head_channels
        self.graph = SparseGraph(channels, config.heads)
        self.high_res_graph = HighResSparseGraph(channels, self.stem_channels, config.heads)

    def propagate(self, image: Tensor, extra: Tensor, points: Tensor) -> tuple[Tensor, None]:
        """Mask logits ``(B, 1, ceil(H/2), ceil(W/2))``; there is no auxiliary output.

        Args:
            image: ``(B, 3, H, W)`` normalised.
            extra: ``(B, stem_channels, ceil(H/2), ceil(W/2))`` added to the first layer's
                features.
            points: ``(B, M, 3)``: see ``nn.points``.
        """
        view = spatial_size(image)
        low = self.backbone.stem(image, extra)
        first, _, _, last = self.backbone.stages(low)
        heard = self.graph(self.decode(first, last), points, view)
        return self.head(self.high_res_graph(heard, low, points, view)), None


class PropagationNetwork(InteractiveNetwork):
    """One level of the cascade: M_c or M_f of eq. 2 and 4.

    Previous mask, positive and negative disks come in as in RITM's Conv1S; the graphs get
    the same clicks as points.
    """

    def __init__(self, config: PropagationConfig, spec: NetworkSpec | None = None) -> None:
        super().__init__(spec or NetworkSpec("mask", config.click_radius_px))
        backbone = config.backbone
        self.feature_extractor: PropagatingHRNet | PropagatingDeepLab
        if isinstance(backbone, HRNetConfig):
            self.feature_extractor = PropagatingHRNet(config, backbone)
        else:
            self.feature_extractor = PropagatingDeepLab(config, backbone)
        guidance = 1 + len(self.spec.click_kinds)
        self.maps_transform = conv1s_branch(guidance, self.feature_extractor.stem_channels)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        points, size = require_points(points), spatial_size(image)
        extra = self.maps_transform(torch.cat([prior, click_maps], dim=1))
        mask, aux = self.feature_extractor.propagate(self.normalise(image), extra, points)
        logits = resize(mask.float(), size)
        aux_logits = None
        if self.training and aux is not None:
            aux_logits = resize(aux.float(), size)
        return NetworkOutput(logits, logits, None, aux_logits)


class CoarseToFine(InteractiveNetwork):
    """The cascade: a coarse level finds what is meant, a fine one of the same shape draws it.

    ``stages`` gives both levels to callers that zoom in between (section 3.2): the coarse
    one sees the whole view and the last mask, the fine one the zoomed window and the coarse
    mask. Called itself, both see the same view. Without ``refines`` the coarse level answers
    alone, which is the first stage of training; ``begin_fine_stage`` starts the second.

    No gradient flows from the fine mask into the coarse level.
    """

    def __init__(self, config: PropagationConfig, spec: NetworkSpec | None = None) -> None:
        super().__init__(spec or NetworkSpec("mask", config.click_radius_px))
        self.config = config
        self.coarse = PropagationNetwork(config, self.spec)
        self.fine = PropagationNetwork(config, self.spec)
        initialise(self)

    @property
    def stages(self) -> tuple[InteractiveNetwork, ...]:
        return self.coarse, self.fine

    def begin_fine_stage(self) -> None:
        """Freezes the coarse level and starts the fine one from its weights (section 3.4)."""
        self.fine.load_state_dict(self.coarse.state_dict())
        self.coarse.requires_grad_(False).eval()
        self.refines = True

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.coarse.parameters()):
            self.coarse.eval()
        return self

    def glance(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> Tensor:
        return cast(Tensor, self.coarse(image, click_maps, prior, points).mask_logits)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        coarse: NetworkOutput = self.coarse(image, click_maps, prior, points)
        if not self.refines:
            return coarse
        meant = torch.sigmoid(coarse.mask_logits.detach())
        fine: NetworkOutput = self.fine(image, click_maps, meant, points)
        return fine._replace(coarse_logits=coarse.mask_logits)
