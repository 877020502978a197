"""RoIAlign and the way back against loops that follow the definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from napari_edgeflow.nn.roi import mask_boxes, paste, roi_align

BOXES = torch.tensor([[0.0, 0.0, 21.0, 30.0], [2.5, 7.25, 9.0, 29.5], [20.0, 3.0, 21.0, 4.0]])
VIEW = (21, 30)


def _bilinear(plane: Tensor, y: float, x: float) -> float:
    """Value between the cells' centres, which lie on the integers; the border goes on."""
    y = min(max(y, 0.0), plane.shape[0] - 1)
    x = min(max(x, 0.0), plane.shape[1] - 1)
    y0, x0 = min(int(y), plane.shape[0] - 2), min(int(x), plane.shape[1] - 2)
    b, a = y - y0, x - x0
    top = (1 - a) * plane[y0, x0] + a * plane[y0, x0 + 1]
    bottom = (1 - a) * plane[y0 + 1, x0] + a * plane[y0 + 1, x0 + 1]
    return float((1 - b) * top + b * bottom)


def _slow_roi_align(plane: Tensor, box: list[float], size: tuple[int, int]) -> Tensor:
    """Mean of four samples a bin, one after the other."""
    out = torch.zeros(size)
    y0, x0, y1, x1 = box
    per_y, per_x = plane.shape[0] / VIEW[0], plane.shape[1] / VIEW[1]
    for row in range(size[0]):
        for column in range(size[1]):
            for part_y in (0.25, 0.75):
                for part_x in (0.25, 0.75):
                    y = y0 + (row + part_y) * (y1 - y0) / size[0]
                    x = x0 + (column + part_x) * (x1 - x0) / size[1]
                    out[row, column] += _bilinear(plane, y * per_y - 0.5, x * per_x - 0.5) / 4
    return out


@pytest.mark.parametrize("cells", [(21, 30), (6, 8), (40, 33)])
@pytest.mark.parametrize("size", [(4, 4), (7, 3)])
def test_roi_align_is_the_mean_of_four_samples(
    cells: tuple[int, int], size: tuple[int, int]
) -> None:
    features = torch.rand(3, 2, *cells, generator=torch.Generator().manual_seed(0))
    found = roi_align(features, BOXES, VIEW, size)
    assert found.shape == (3, 2, *size)
    for view in range(3):
        for channel in range(2):
            expected = _slow_roi_align(features[view, channel], BOXES[view].tolist(), size)
            torch.testing.assert_close(found[view, channel], expected, rtol=1e-4, atol=1e-5)


def test_paste_puts_every_pixel_of_the_box_where_it_belongs() -> None:
    draw = torch.Generator().manual_seed(1)
    values = torch.rand(3, 1, 5, 4, generator=draw)
    outside = -torch.rand(3, 1, *VIEW, generator=draw)
    found = paste(values, BOXES, outside)
    for view in range(3):
        y0, x0, y1, x1 = BOXES[view].tolist()
        for y in range(VIEW[0]):
            for x in range(VIEW[1]):
                expected = float(outside[view, 0, y, x])
                if y0 <= y + 0.5 <= y1 and x0 <= x + 0.5 <= x1:
                    row = (y + 0.5 - y0) / (y1 - y0) * 5 - 0.5
                    column = (x + 0.5 - x0) / (x1 - x0) * 4 - 0.5
                    expected = _bilinear(values[view, 0], row, column)
                assert float(found[view, 0, y, x]) == pytest.approx(expected, abs=1e-4)


def test_a_ramp_survives_the_way_there_and_back() -> None:
    ramp = torch.arange(30.0).expand(1, 1, 21, 30) + 100 * torch.arange(21.0)[:, None]
    box = torch.tensor([[4.0, 6.0, 16.0, 22.0]])
    back = paste(roi_align(ramp, box, VIEW, (12, 16)), box, torch.zeros(1, 1, *VIEW))
    torch.testing.assert_close(back[0, 0, 5:15, 7:21], ramp[0, 0, 5:15, 7:21], rtol=0, atol=1e-2)
    assert back[0, 0, 3].abs().max() == 0


@pytest.mark.parametrize("seed", range(4))
def test_box_of_any_mask(seed: int) -> None:
    masks = torch.rand(6, 11, 17, generator=torch.Generator().manual_seed(seed)) > 0.97
    for mask, box in zip(masks, mask_boxes(masks).tolist(), strict=True):
        places = torch.nonzero(mask).tolist() or [[0, 0], [10, 16]]
        assert box[:2] == [min(p[i] for p in places) for i in (0, 1)]
        assert box[2:] == [max(p[i] for p in places) + 1 for i in (0, 1)]


def test_gradients_flow_through_both_ways() -> None:
    features = torch.rand(1, 1, 6, 8, requires_grad=True)
    box = torch.tensor([[3.0, 3.0, 18.0, 28.0]])
    paste(roi_align(features, box, VIEW, (5, 5)), box, torch.zeros(1, 1, *VIEW)).sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert math.isfinite(float(features.grad.sum()))
    assert float(features.grad.abs().max()) > 0
