"""Losses of RITM, EdgeFlow and Two-in-One, each over ``(B, 1, H, W)`` logits and targets.

``target`` holds 0 or 1; ``valid`` is the weight of a pixel: 0 where it must not count (the
ignore label), 1 elsewhere, more where it matters more. Every function returns the mean over
the batch, a float scalar tensor.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
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


def focal_loss(
    logits: Tensor, target: Tensor, valid: Tensor, *, alpha: float = 0.5, gamma: float = 2.0
) -> Tensor:
    """Focal loss (Lin et al. 2017, eq. 4, alpha the same for both classes as in RITM)."""
    probs = torch.sigmoid(logits)
    p_true = torch.where(target > 0.5, probs, 1 - probs)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    per_image = (alpha * (1 - p_true).pow(gamma) * cross_entropy * valid).sum(dim=(1, 2, 3))
    return (per_image / valid.sum(dim=(1, 2, 3)).clamp_min(1.0)).mean()


def soft_iou_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """One minus the IoU of probabilities: Σ p·t over Σ max(p, t) (RITM's SoftIoU).

    For targets of 0 and 1. An image without a valid pixel counts 0.
    """
    probs = torch.sigmoid(logits)
    overlap = (probs * target * valid).sum(dim=(1, 2, 3))
    union = (torch.maximum(probs, target) * valid).sum(dim=(1, 2, 3))
    has_any = (valid.sum(dim=(1, 2, 3)) > 0).to(union.dtype)
    return ((1 - overlap / union.clamp_min(1e-8)) * has_any).mean()


def boundary_aware_loss(
    logits: Tensor, target: Tensor, valid: Tensor, *, tau: float = 40.0, k: float = 255.0
) -> Tensor:
    """BA-CE of Two-in-One (its eq. 2, 3): wrong background near the object costs more.

    Every pixel's cross entropy is weighted by 1 minus the share of its class in the
    mini-batch, and by 1 + d/k on background that is at most ``tau`` from the object.

    Deviations: the paper sums over pixels (with a learning rate of 1e-8), here it is a mean
    over the valid ones; its d is written as a squared distance but called a Euclidean one
    with ``tau`` in pixels: here it is the distance, to the object's pixels that count.
    """
    n_valid = valid.sum().clamp_min(1.0)
    share = (target * valid).sum() / n_valid
    balance = torch.where(target > 0.5, 1 - share, share)
    weight = balance * (1 + _nearness(target * (valid > 0), tau, k)) * valid
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (weight * cross_entropy).sum() / n_valid


@torch.no_grad()
def _nearness(target: Tensor, tau: float, k: float) -> Tensor:
    """``(B, 1, H, W)``: d/k on background at most ``tau`` from the object, else 0 (eq. 2)."""
    outside = (target < 0.5).to(torch.uint8).cpu().numpy()[:, 0]
    planes = np.zeros(outside.shape, np.float32)
    for plane, mask in zip(planes, outside, strict=True):
        if not mask.all():
            plane[:] = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    planes[planes > tau] = 0
    return torch.from_numpy(planes[:, None] / k).to(target.device)


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "nfl": normalised_focal_loss,
    "focal": focal_loss,
    "bce": masked_bce,
    "balanced_bce": balanced_bce,
    "soft_iou": soft_iou_loss,
    "ba_ce": boundary_aware_loss,
}
"""By the names of ``settings.LOSS_NAMES``."""


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
