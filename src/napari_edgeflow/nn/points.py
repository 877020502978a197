"""Clicks as a list, for the networks that look features up at the clicks.

A list is ``(B, M, 3) float``: y, x in pixels of the view, index of the kind; rows of −1 where
a view has fewer than M clicks (``clicks.encode.point_list`` makes one).
"""

from __future__ import annotations

import torch
from torch import Tensor


def require_points(points: Tensor | None) -> Tensor:
    """The list itself, for the networks that cannot do without.

    Raises:
        ValueError: There is none.
    """
    if points is None:
        raise ValueError(
            "this network looks features up at the clicks: give it points, (B, M, 3) of y, x and "
            "kind, as clicks.encode.point_list makes them"
        )
    return points


def pixels_of(points: Tensor) -> Tensor:
    """``(B, M, 2) float``: row and column of the pixels that hold the clicks."""
    return (points[..., :2].float() + 0.5).floor()


def clicked_cells(points: Tensor, view: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """``(B, M) int64``: flat index of the feature cell under each click, −1 for no click.

    Rows of ``points`` without a click (kind −1), and clicks that lie outside the view, have
    none. Cell 0 is a cell like the others.

    Args:
        points: ``(B, M, 3) float``: y, x in pixels of the view, index of the kind.
        view: (H, W) in pixels; the cells are spread evenly over it.
        cells: (h, w) of the feature map.
    """
    y, x, kind = points.float().unbind(-1)
    is_click = (kind >= 0) & (y >= -0.5) & (y < view[0] - 0.5) & (x >= -0.5) & (x < view[1] - 0.5)
    rows = ((y + 0.5) * (cells[0] / view[0])).floor().long().clamp(0, cells[0] - 1)
    columns = ((x + 0.5) * (cells[1] / view[1])).floor().long().clamp(0, cells[1] - 1)
    return torch.where(is_click, rows * cells[1] + columns, -1)


def gaussian_map(
    points: Tensor, is_shown: Tensor, size: tuple[int, int], sigma_px: float
) -> Tensor:
    """``(B, 1, H, W) float in [0, 1]``: ``clicks.encode.gaussian_maps`` of chosen clicks.

    Args:
        points: ``(B, M, 3)``: y, x, index of the kind.
        is_shown: ``(B, M) bool``: the clicks to draw.
        size: (H, W).
        sigma_px: Standard deviation in pixels.
    """
    pixels = pixels_of(points)
    bells = []
    for axis, n in enumerate(size):
        places = torch.arange(n, device=points.device, dtype=torch.float32)
        away = places - pixels[..., axis, None]
        bells.append(torch.exp(away**2 / (-2 * sigma_px**2)))
    rows = bells[0] * is_shown[..., None]
    return (rows[..., :, None] * bells[1][..., None, :]).amax(dim=1, keepdim=True)
