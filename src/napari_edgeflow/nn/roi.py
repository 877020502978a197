"""Boxes around masks; the features of a box at a fixed size, and the way back.

A box is (y0, x0, y1, x1) in pixels of the view, half-open: pixel ``i`` covers ``[i, i + 1)``.
Its corners may lie anywhere.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_edgeflow.nn.blocks import spatial_size

SAMPLES = 2


def mask_boxes(masks: Tensor) -> Tensor:
    """``(B, 4) float``: the smallest box around each mask, the whole view where it is empty.

    Args:
        masks: ``(B, H, W) bool``.
    """
    spans = [_span(masks.any(dim=other)) for other in (2, 1)]
    starts, stops = zip(*spans, strict=True)
    return torch.stack([*starts, *stops], dim=1)


def _span(line: Tensor) -> tuple[Tensor, Tensor]:
    """First and one past the last true place of each row of ``(B, N) bool``; 0 and N for none."""
    size = line.shape[1]
    place = torch.arange(size, device=line.device)
    first = torch.where(line, place, size).amin(1)
    past = torch.where(line, place + 1, 0).amax(1)
    is_empty = past == 0
    return torch.where(is_empty, 0, first).float(), torch.where(is_empty, size, past).float()


def roi_align(
    features: Tensor, boxes: Tensor, view: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """``(B, C, *size)``: the features in each view's box, whatever the box's size.

    RoIAlign (He et al. 2017, "Mask R-CNN", section 3): the box is divided into bins without
    rounding; a bin's value is the mean of four bilinear samples. Features beyond the border
    are those on it.

    Args:
        features: ``(B, C, h, w)``, evenly spread over the view.
        boxes: ``(B, 4)``: one box for each view.
        view: (H, W) in pixels.
        size: Bins along rows and columns.
    """
    fine = (SAMPLES * size[0], SAMPLES * size[1])
    rows, columns = (
        (torch.arange(n, device=boxes.device, dtype=torch.float32) + 0.5) / n for n in fine
    )
    y0, x0, y1, x1 = boxes.float().unbind(1)
    y = y0[:, None] + rows * (y1 - y0)[:, None]
    x = x0[:, None] + columns * (x1 - x0)[:, None]
    grid = _grid(2 * y / view[0] - 1, 2 * x / view[1] - 1)
    sampled = _sample(features, grid)
    return F.avg_pool2d(sampled, SAMPLES)


def paste(values: Tensor, boxes: Tensor, outside: Tensor) -> Tensor:
    """``(B, C, H, W)``: the bins' values drawn into their boxes, ``outside`` elsewhere.

    A pixel of the box gets the bilinear mean of the bins around its centre.

    Args:
        values: ``(B, C, h, w)``: one value a bin.
        boxes: ``(B, 4)``: one box for each view.
        outside: ``(B, C, H, W)``.
    """
    height, width = spatial_size(outside)
    y0, x0, y1, x1 = boxes.float().unbind(1)
    y = _place(height, y0, y1)
    x = _place(width, x0, x1)
    drawn = _sample(values, _grid(y, x))
    is_inside = ((y.abs() <= 1)[:, :, None] & (x.abs() <= 1)[:, None, :])[:, None]
    return torch.where(is_inside, drawn, outside)


def _place(size: int, start: Tensor, stop: Tensor) -> Tensor:
    """``(B, size)``: where the pixels' centres lie in the box, its edges being −1 and 1."""
    centres = torch.arange(size, device=start.device, dtype=torch.float32) + 0.5
    return 2 * (centres - start[:, None]) / (stop - start)[:, None] - 1


def _grid(y: Tensor, x: Tensor) -> Tensor:
    """``(B, h, w, 2)`` for ``grid_sample`` from ``(B, h)`` rows and ``(B, w)`` columns."""
    shape = (y.shape[0], y.shape[1], x.shape[1])
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=-1)


def _sample(features: Tensor, grid: Tensor) -> Tensor:
    sampled = F.grid_sample(
        features.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled.to(features.dtype)
