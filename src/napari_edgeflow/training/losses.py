"""Losses of RITM and EdgeFlow, each over ``(B, 1, H, W)`` logits and targets.

``target`` holds 0 or 1; ``valid`` is 0 where a pixel must not count (the ignore label).
Every function returns the mean over the batch, a float scalar tensor.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def normalised_focal_loss(
    logits: Tensor, target: Tensor, valid: Tensor, *, alpha: float = 0.5, gamma: float = 2.0
) -> Tensor:
    """Normalised focal loss (EdgeFlow eq. 1, RITM eq. 2).

    The focal weights ``(1 - p_t)^gamma`` are scaled, per image and without gradient, so
    that they sum to the number of valid pixels: the loss keeps its size as errors fade.

    Args:
        logits: Mask logits.
        target: 0 or 1.
        valid: 1 where the pixel counts.
        alpha: Weight of both classes, 0.5 in both papers' codes.
        gamma: Focus on wrong pixels.
    """
    probs = torch.sigmoid(logits)
    p_true = torch.where(target > 0.5, probs, 1 - probs)
    focus = (1 - p_true).pow(gamma) * valid
    with torch.no_grad():
        total = valid.sum(dim=(1, 2, 3), keepdim=True)
        scale = total / focus.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
        scale = scale.clamp_max(1e4)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    per_image = (alpha * scale * focus * cross_entropy).sum(dim=(1, 2, 3))
    return (per_image / total.flatten().clamp_min(1.0)).mean()


def balanced_bce(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Cross entropy that gives edge and background equal say (EdgeFlow, section 3.3)."""
    positive = target * valid
    n_valid = valid.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1.0)
    share = positive.sum(dim=(1, 2, 3), keepdim=True) / n_valid
    weight = torch.where(target > 0.5, 1 - share, share) * valid
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = weight.sum(dim=(1, 2, 3)).clamp_min(1e-6)
    return ((weight * cross_entropy).sum(dim=(1, 2, 3)) / total).mean()


def masked_bce(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Plain cross entropy over the valid pixels."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * valid
    total = valid.sum(dim=(1, 2, 3)).clamp_min(1.0)
    return (cross_entropy.sum(dim=(1, 2, 3)) / total).mean()


def edge_target(mask: Tensor) -> Tensor:
    """``(B, 1, H, W)`` edges, two pixels wide, of ``(B, 1, H, W)`` masks of 0 and 1.

    One pixel on either side of the boundary: dilation minus erosion by 3×3.
    """
    dilated = F.max_pool2d(mask, 3, 1, 1)
    eroded = -F.max_pool2d(-mask, 3, 1, 1)
    return dilated - eroded


def batch_iou(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """``(B,)`` IoU of the thresholded masks with the targets over the valid pixels."""
    predicted, truth = (logits > 0) & (valid > 0.5), (target > 0.5) & (valid > 0.5)
    overlap = (predicted & truth).sum(dim=(1, 2, 3)).float()
    union = (predicted | truth).sum(dim=(1, 2, 3)).float()
    return overlap / union.clamp_min(1.0)
