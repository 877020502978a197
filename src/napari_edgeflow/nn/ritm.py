"""RITM (Sofiiuk et al. 2021): clicks and the previous mask go into a segmentation network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import Encoding, InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.nn.blocks import conv1s_branch, initialise, resize, spatial_size
from napari_edgeflow.nn.deeplab import DeepLabV3Plus
from napari_edgeflow.nn.hrnet import HRNET_18, HRNET_18S, HRNET_32, HRNetConfig
from napari_edgeflow.nn.hrnet_ocr import HRNetOCR
from napari_edgeflow.nn.resnet import RESNET_34, RESNET_50, RESNET_101, ResNetConfig

InputScheme = Literal["conv1s", "conv1e", "dmf"]
COLOURS = 3
INPUT_SIDE = 400
"""The long side of views at evaluation (section 5, Zoom-In of f-BRS)."""


@dataclass(frozen=True, slots=True)
class RITMConfig:
    """Size and input of a RITM network.

    Attributes:
        backbone: An HRNet gets OCR on top, a ResNet DeepLabV3+.
        head_channels: Key channels of OCR, or channels of ASPP and decoder.
        input_scheme: How clicks get in (section 3.1, figure 3):
            ``conv1s``: a small branch, added to the first layer's features;
            ``conv1e``: the first layer's weights are extended by the clicks' channels;
            ``dmf``: two 1×1 convolutions make three channels of image and clicks.
        encoding: What click maps look like.
        click_radius_px: Radius of the disks (3 or 5 in the paper); the distance at which the
            distance transform is cut off (255 in Xu et al. 2016).
        prior: The mask of the step before is a further channel, or not.
        dropout: Of OCR's feature maps (0.05 in RITM) or of ASPP's values (0.2).
    """

    backbone: HRNetConfig | ResNetConfig = HRNET_18
    head_channels: int = 64
    input_scheme: InputScheme = "conv1s"
    encoding: Encoding = "disk"
    click_radius_px: float = 5.0
    prior: Literal["mask", "none"] = "mask"
    dropout: float = 0.05


RITM_H18S = RITMConfig(HRNET_18S, 48)
RITM_H18 = RITMConfig(HRNET_18, 64)
RITM_H32 = RITMConfig(HRNET_32, 128)
RITM_H18_BASELINE = replace(RITM_H18, prior="none")
RITM_R34 = RITMConfig(RESNET_34, 128, dropout=0.2)
RITM_R50 = RITMConfig(RESNET_50, 128, dropout=0.2)
RITM_R101 = RITMConfig(RESNET_101, 256, dropout=0.2)


class RITM(InteractiveNetwork):
    """RITM's mask at the input's resolution; with HRNet, also its auxiliary mask.

    The channels that come to the image are (previous mask,) positive clicks, negative
    clicks. Names and shapes of HRNet's parameters with ``conv1s`` are those of the published
    checkpoints.

    Deviations from the published code: with ``conv1e`` the clicks' part is added before the
    first layer's batch norm and activation, which is what extending its weights means (there
    it comes after them); with ``conv1s`` and ResNet-50 or -101 the branch has all 128
    channels of the first layer, as the paper says (there 64, filled up with zeros).

    Raises:
        ValueError: The configuration names no known input scheme.
    """

    def __init__(self, config: RITMConfig, spec: NetworkSpec | None = None) -> None:
        super().__init__(spec or _spec(config))
        self.config = config
        guidance = len(self.spec.click_kinds) + (config.prior == "mask")
        if config.input_scheme not in ("conv1s", "conv1e", "dmf"):
            raise ValueError(
                f"no input scheme is called {config.input_scheme!r}; known are conv1s, conv1e, dmf"
            )
        extended = guidance if config.input_scheme == "conv1e" else 0
        trunk = _trunk(config, COLOURS + extended)
        if config.input_scheme == "conv1s":
            self.maps_transform = conv1s_branch(guidance, trunk.stem_channels)
        elif config.input_scheme == "dmf":
            self.rgb_conv = _distance_maps_fusion(guidance)
        self.feature_extractor = trunk
        initialise(self)

    def _feed(self, image: Tensor, guidance: Tensor) -> tuple[Tensor, Tensor | None]:
        """What the backbone sees, and what is added to its first layer's features."""
        if self.config.input_scheme == "conv1s":
            return image, self.maps_transform(guidance)
        joined = torch.cat([image, guidance], dim=1)
        if self.config.input_scheme == "conv1e":
            return joined, None
        return self.rgb_conv(joined), None

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        size = spatial_size(image)
        guidance = click_maps
        if self.config.prior == "mask":
            guidance = torch.cat([prior, click_maps], dim=1)
        mask, aux = self.feature_extractor(*self._feed(self.normalise(image), guidance))
        mask_logits = resize(mask.float(), size)
        aux_logits = None
        if self.training and aux is not None:
            aux_logits = resize(aux.float(), size)
        return NetworkOutput(mask_logits, mask_logits, None, aux_logits)


def _spec(config: RITMConfig) -> NetworkSpec:
    return NetworkSpec(
        prior=config.prior,
        click_radius_px=config.click_radius_px,
        input_side=INPUT_SIDE,
        encoding=config.encoding,
    )


def _trunk(config: RITMConfig, in_channels: int) -> HRNetOCR | DeepLabV3Plus:
    if isinstance(config.backbone, HRNetConfig):
        return HRNetOCR(
            config.backbone,
            config.head_channels,
            in_channels=in_channels,
            dropout=config.dropout,
        )
    return DeepLabV3Plus(
        config.backbone, config.head_channels, in_channels=in_channels, dropout=config.dropout
    )


def _distance_maps_fusion(guidance: int) -> nn.Sequential:
    """DMF of f-BRS (Sofiiuk et al. 2020): image and clicks to three channels."""
    hidden = 2 * COLOURS + guidance
    return nn.Sequential(
        nn.Conv2d(COLOURS + guidance, hidden, 1),
        nn.BatchNorm2d(hidden),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(hidden, COLOURS, 1),
    )
