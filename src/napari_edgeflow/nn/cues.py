"""Colour cues: how alike every pixel is to the clicked places and to the view's border.

A small network trained for hours, not weeks, learns slowly to compare a pixel with a place
far away. These maps make the comparison for it: the classical cues of graph cuts (colour
models of object and background) and of geodesic segmentation, as further channels of the
interaction branch. They have no parameters and no gradients.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_SEEDS = 128
"""Seed cells of one kind that are compared; a disk of radius 5 covers about five."""

CUE_CHANNELS = 5
_CELL_PX = 4
_SHARPNESS = 2.0
_RESISTANCE = 0.4
_SPREAD_STEPS = 24
_COVERED = 0.2
_FAR = 1e4


@torch.no_grad()
def colour_cues(image: Tensor, click_maps: Tensor) -> Tensor:
    """``(B, 5, H, W) float32 in [0, 1]``: what the clicks' colours say about every pixel.

    Channels: similarity to the positive and to the negative clicks' surroundings; the same
    two, but spreading from the clicks through similar pixels alone (what a path to the click
    loses on its way); similarity to the border of the view. Colours count relative to the
    view's own contrast, texture as a fourth colour.

    Args:
        image: ``(B, 3, H, W) float``, normalised RGB.
        click_maps: ``(B, 2, H, W) float in [0, 1]``: positive, negative disks.
    """
    with torch.autocast(image.device.type, enabled=False):
        pixels = _features(image.float())
        cells = F.avg_pool2d(pixels, 2, ceil_mode=True)
        seeds = F.avg_pool2d(click_maps.float(), _CELL_PX, ceil_mode=True)
        near = [_nearest(pixels, cells, seeds[:, kind]) for kind in (0, 1)]
        maps = [torch.exp(-_SHARPNESS * distance) for distance in near]
        for kind in (0, 1):
            distance = F.avg_pool2d(near[kind], 2, ceil_mode=True)
            maps.append(_spread(seeds[:, kind : kind + 1], torch.exp(-_RESISTANCE * distance)))
        maps.append(_border_likeness(cells))
        full = (image.shape[2], image.shape[3])
        return torch.cat(
            [F.interpolate(m, full, mode="bilinear", align_corners=False) for m in maps], dim=1
        )


def _features(image: Tensor) -> Tensor:
    """``(B, 4, H/2, W/2)``: smoothed colours and local deviation, over the view's deviation."""
    half = F.avg_pool2d(image, 2, ceil_mode=True)
    smooth = F.avg_pool2d(half, 3, 1, 1, count_include_pad=False)
    grey = half.mean(dim=1, keepdim=True)
    mean = F.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    square = F.avg_pool2d(grey * grey, 5, 1, 2, count_include_pad=False)
    texture = (square - mean * mean).clamp_min(0).sqrt()
    features = torch.cat([smooth, texture], dim=1)
    spread = smooth.var(dim=(2, 3), keepdim=True, unbiased=False).mean(dim=1, keepdim=True)
    return features / (spread + 1e-4).sqrt()


def _nearest(pixels: Tensor, cells: Tensor, seeds: Tensor) -> Tensor:
    """``(B, 1, h, w)``: squared distance in colour to the nearest seed; large without one.

    Args:
        pixels: ``(B, C, h, w)`` to compare.
        cells: ``(B, C, m, n)`` to compare with.
        seeds: ``(B, m, n)``: share of each cell that clicks cover.
    """
    batch, channels, height, width = pixels.shape
    covered = seeds.flatten(1)
    count = int((covered >= _COVERED).sum(dim=1).amax())
    if count == 0:
        return pixels.new_full((batch, 1, height, width), _FAR)
    weight, index = covered.topk(min(MAX_SEEDS, count), dim=1)
    keys = cells.flatten(2).gather(2, index[:, None].expand(-1, channels, -1))
    queries = pixels.flatten(2)
    cross = torch.bmm(queries.transpose(1, 2), keys)
    distance = (keys * keys).sum(1)[:, None] - 2 * cross
    distance = distance.masked_fill(weight[:, None] < _COVERED, _FAR).amin(dim=2)
    distance = (distance + (queries * queries).sum(1)).clamp(0, _FAR)
    return distance.view(batch, 1, height, width)


def _spread(seeds: Tensor, passage: Tensor) -> Tensor:
    """``(B, 1, m, n) in [0, 1]``: the best product of ``passage`` on a path from a seed."""
    reached = (seeds >= _COVERED).float()
    if not bool(reached.any()):
        return reached
    for _ in range(_SPREAD_STEPS):
        reached = torch.maximum(reached, passage * F.max_pool2d(reached, 3, 1, 1))
    return reached


def _border_likeness(cells: Tensor) -> Tensor:
    """``(B, 1, m, n) in [0, 1]``: mean similarity to the cells along the border."""
    rim = torch.cat(
        [cells[:, :, 0], cells[:, :, -1], cells[:, :, 1:-1, 0], cells[:, :, 1:-1, -1]], dim=2
    )
    queries = cells.flatten(2)
    cross = torch.bmm(queries.transpose(1, 2), rim)
    distance = (queries * queries).sum(1)[:, :, None] + (rim * rim).sum(1)[:, None] - 2 * cross
    likeness = torch.exp(-_SHARPNESS * distance.clamp_min(0)).mean(dim=2)
    return likeness.view(cells.shape[0], 1, *cells.shape[2:])
