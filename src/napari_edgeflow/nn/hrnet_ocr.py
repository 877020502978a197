"""HRNet with object-contextual representations: RITM's network, and EdgeFlow's baseline."""

from __future__ import annotations

from torch import Tensor, nn

from napari_edgeflow.nn.hrnet import STEM_CHANNELS, HRNet, HRNetConfig
from napari_edgeflow.nn.ocr import SpatialOCR


class HRNetOCR(HRNet):
    """Mask logits at stride 4 (Sun et al. 2019; Yuan et al. 2020, with one class).

    Args:
        config: Size of the backbone.
        ocr_channels: Key channels of OCR; its features have twice as many.
        in_channels: Channels of the image.
        dropout: Probability that OCR drops a feature map.
    """

    stem_channels = STEM_CHANNELS

    def __init__(
        self,
        config: HRNetConfig,
        ocr_channels: int,
        *,
        in_channels: int = 3,
        dropout: float = 0.05,
    ) -> None:
        super().__init__(config, in_channels)
        joined, ocr = config.out_channels, 2 * ocr_channels
        self.conv3x3_ocr = nn.Sequential(
            nn.Conv2d(joined, ocr, 3, padding=1), nn.BatchNorm2d(ocr), nn.ReLU(inplace=True)
        )
        self.ocr_distri_head = SpatialOCR(ocr, ocr_channels, dropout)
        self.cls_head = nn.Conv2d(ocr, 1, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(joined, joined, 1),
            nn.BatchNorm2d(joined),
            nn.ReLU(inplace=True),
            nn.Conv2d(joined, 1, 1),
        )

    def features(self, image: Tensor, extra: Tensor | None = None) -> Tensor:
        """``(B, sum of widths, ceil(H/4), ceil(W/4))``: all branches, joined.

        Args:
            image: ``(B, in_channels, H, W)``, colours normalised.
            extra: ``(B, 64, ceil(H/2), ceil(W/2))`` added to the first layer's features.
        """
        return self.aggregate(self.stem(image, extra))

    def augment(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(features after OCR, features before, auxiliary logits), from joined branches."""
        aux_logits = self.aux_head(features)
        early = self.conv3x3_ocr(features)
        return self.ocr_distri_head(early, aux_logits), early, aux_logits

    def forward(self, image: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(mask, auxiliary) logits, each ``(B, 1, ceil(H/4), ceil(W/4))``.

        Takes what ``features`` takes.
        """
        late, _, aux_logits = self.augment(self.features(image, extra))
        return self.cls_head(late), aux_logits
