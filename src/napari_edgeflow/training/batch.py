"""Views as tensors, and the loss of what a network says about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_edgeflow._types import Click, FloatArray
from napari_edgeflow.clicks.encode import click_maps, point_list
from napari_edgeflow.nn.base import NetworkOutput, NetworkSpec, PriorKind
from napari_edgeflow.training.losses import LOSSES, edge_target
from napari_edgeflow.training.settings import Losses
from napari_edgeflow.training.view import View

FOCUS_REACH_PX = 20


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Views as tensors, each ``(B, C, S, S) float32``; ``points`` is ``(B, N, 3)``.

    ``valid`` is 0 where a pixel must not count, else 1; ``weight`` is the same but for the
    phase's focus around the latest click.
    """

    image: Tensor
    click_maps: Tensor
    prior: Tensor
    points: Tensor
    target: Tensor
    valid: Tensor
    weight: Tensor

    @staticmethod
    def of(
        views: list[View], spec: NetworkSpec, device: torch.device, *, focus: float = 1.0
    ) -> Batch:
        """Stacks views and shows their clicks as ``spec`` asks for."""
        side = views[0].truth.shape
        shape = (side[0], side[1])
        image = torch.from_numpy(np.stack([v.image for v in views])).to(device)
        pixels = (image.permute(0, 3, 1, 2).float() / 255).contiguous(
            memory_format=torch.channels_last
        )
        most = max(1, *(len(v.clicks) for v in views))
        maps = np.stack([click_maps(v.clicks, shape, spec) for v in views])
        points = np.stack([point_list(v.clicks, spec, most) for v in views])
        valid = ~np.stack([v.ignore for v in views])
        weight = valid * np.stack([_focus(v.clicks, shape, focus) for v in views])
        planes = (np.stack([v.prior for v in views]), np.stack([v.truth for v in views]))
        prior, target, counted, weighted = (
            torch.from_numpy(plane.astype(np.float32)[:, None]).to(device)
            for plane in (*planes, valid, weight)
        )
        shown = (torch.from_numpy(part).to(device) for part in (maps, points))
        return Batch(pixels, next(shown), prior, next(shown), target, counted, weighted)


def _focus(clicks: list[Click], shape: tuple[int, int], focus: float) -> FloatArray:
    """``(S, S) float32``: ``focus`` in a 40 × 40 square around the latest click, else 1."""
    weight = np.ones(shape, np.float32)
    if focus != 1 and clicks:
        row, column = clicks[-1].pixel
        rows = slice(max(row - FOCUS_REACH_PX, 0), max(row + FOCUS_REACH_PX, 0))
        columns = slice(max(column - FOCUS_REACH_PX, 0), max(column + FOCUS_REACH_PX, 0))
        weight[rows, columns] = focus
    return weight


_DEFAULT = Losses()


def total_loss(output: NetworkOutput, batch: Batch, losses: Losses = _DEFAULT) -> Tensor:
    """The weighted losses of mask, edge and auxiliary mask.

    By default NFL on the mask + 0.4 balanced BCE on the edge + 0.4 BCE on the auxiliary mask
    (EdgeFlow, section 4.1). With a refinement, the mask's loss is 1.3 times the mean of those
    of the fine and of the coarse mask.
    """
    target, weight = batch.target, batch.weight
    of_mask = LOSSES[losses.mask]
    loss = of_mask(output.mask_logits, target, weight)
    if output.coarse_logits is not output.mask_logits:
        loss = 0.5 * (loss + of_mask(output.coarse_logits, target, weight)) * 1.3
    loss = losses.mask_weight * loss
    if output.edge_logits is not None and losses.edge_weight:
        edge = LOSSES[losses.edge](output.edge_logits, edge_target(target), weight)
        loss = loss + losses.edge_weight * edge
    if output.aux_logits is not None and losses.aux_weight:
        aux = LOSSES[losses.aux](output.aux_logits, target, weight)
        loss = loss + losses.aux_weight * aux
    return loss


def answers(output: NetworkOutput, prior: PriorKind) -> tuple[FloatArray, FloatArray]:
    """(mask probabilities, priors), each ``(B, S, S) float32 in [0, 1]``.

    Priors are rounded to float16, so that a checkpoint keeps them exactly in half the space.
    """
    probs = torch.sigmoid(output.mask_logits.detach()).float()[:, 0]
    if prior == "none":
        priors = torch.zeros_like(probs)
    elif prior == "edge" and output.edge_logits is not None:
        priors = torch.sigmoid(output.edge_logits.detach()).float()[:, 0]
    else:
        priors = probs
    return probs.cpu().numpy(), priors.half().float().cpu().numpy()
