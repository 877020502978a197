"""Warping and flow alignment against scipy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import map_coordinates
from torch import Tensor

from napari_edgeflow.nn.flow import AlignTarget, FlowAlign, warp


def _warp_oracle(features: Tensor, flow: Tensor) -> Tensor:
    """Bilinear interpolation in pixels, zeros outside; corners of both grids coincide."""
    height, width = flow.shape[-2:]
    rows, columns = features.shape[-2:]
    out = np.zeros((*features.shape[:2], height, width))
    y, x = np.mgrid[:height, :width].astype(float)
    for b, (dx, dy) in enumerate(flow.double().numpy()):
        at_x = (x / (width - 1) + dx / width / 2) * (columns - 1)
        at_y = (y / (height - 1) + dy / height / 2) * (rows - 1)
        for c, plane in enumerate(features[b].double().numpy()):
            out[b, c] = map_coordinates(plane, [at_y, at_x], order=1, mode="grid-constant")
    return torch.from_numpy(out).float()


@pytest.mark.parametrize("source", [(9, 14), (5, 8)], ids=["same size", "other size"])
def test_warp_is_bilinear_interpolation(source: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(3)
    features = torch.randn(2, 3, *source, generator=draw)
    flow = 6 * torch.randn(2, 2, 9, 14, generator=draw)
    torch.testing.assert_close(
        warp(features, flow), _warp_oracle(features, flow), rtol=1e-4, atol=1e-5
    )


def test_zero_flow_changes_nothing() -> None:
    features = torch.randn(1, 4, 7, 11, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(warp(features, torch.zeros(1, 2, 7, 11)), features)


def test_a_flow_by_one_pixel_moves_by_one_pixel() -> None:
    features = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0] = 2 * 4 / (4 - 1)  # one pixel in x, of the grid that spans [-1, 1]
    expected = torch.tensor([[1.0, 2, 3, 0], [5, 6, 7, 0], [9, 10, 11, 0]])
    torch.testing.assert_close(warp(features, flow)[0, 0], expected)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_a_single_row_or_column_stays_where_it_is(shape: tuple[int, int]) -> None:
    features = torch.rand(1, 2, *shape, generator=torch.Generator().manual_seed(0)) + 1
    torch.testing.assert_close(warp(features, torch.zeros(1, 2, *shape)), features)


@pytest.mark.parametrize("target", ["image", "interaction"])
def test_align_adds_what_the_flow_moved(target: AlignTarget) -> None:
    draw = torch.Generator().manual_seed(5)
    module = FlowAlign(3, target, hidden=2)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=draw)
    image, interaction = (torch.randn(2, 3, 6, 8, generator=draw) for _ in range(2))
    state = module.state_dict()
    joined = torch.cat(
        [
            torch.einsum("oi,bihw->bohw", state["down_h.weight"][:, :, 0, 0], image),
            torch.einsum("oi,bihw->bohw", state["down_l.weight"][:, :, 0, 0], interaction),
        ],
        dim=1,
    )
    flow = F.conv2d(joined, state["flow_make.weight"], padding=1)
    moved = {"image": image, "interaction": interaction}[target]
    with torch.no_grad():
        torch.testing.assert_close(
            module(image, interaction), image + _warp_oracle(moved, flow), rtol=1e-4, atol=1e-4
        )


def test_the_published_width_is_that_of_the_features() -> None:
    assert FlowAlign(6).flow_make.weight.shape == (2, 12, 3, 3)
    assert FlowAlign(6, hidden=2).flow_make.weight.shape == (2, 4, 3, 3)
