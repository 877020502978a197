"""The sparse graphs against the paper's sums, place by place and click by click."""

from __future__ import annotations

import math

import pytest
import torch
from tests.nn.conftest import shake
from torch import Tensor, nn

from napari_edgeflow.nn.graph import (
    ClickAttention,
    HighResSparseGraph,
    SparseGraph,
    gather,
)
from napari_edgeflow.nn.points import clicked_cells

VIEW = (37, 50)
CELLS = (10, 13)


def _points(*rows: tuple[float, float, float], batch: int = 1) -> Tensor:
    return torch.tensor(rows).expand(batch, -1, -1).clone()


CLICKS = _points((0, 0, 0), (36, 49, 1), (20, 11, 0), (5, 33, 2))


def _features(channels: int, cells: tuple[int, int] = CELLS, seed: int = 0) -> Tensor:
    return torch.randn(1, channels, *cells, generator=torch.Generator().manual_seed(seed))


def _slow_cell(y: float, x: float, cells: tuple[int, int]) -> int:
    """The cell whose share of the view holds the click's pixel centre."""
    for row in range(cells[0]):
        for column in range(cells[1]):
            top, left = row * VIEW[0] / cells[0], column * VIEW[1] / cells[1]
            is_row = top <= y + 0.5 < top + VIEW[0] / cells[0]
            if is_row and left <= x + 0.5 < left + VIEW[1] / cells[1]:
                return row * cells[1] + column
    return -1


@pytest.mark.parametrize("cells", [CELLS, (19, 25), (1, 1), (37, 50)])
def test_every_pixel_has_the_cell_that_covers_it(cells: tuple[int, int]) -> None:
    rows = [(y, x, 0.0) for y in (0.0, 3.0, 18.0, 36.0) for x in (0.0, 7.0, 25.0, 49.0)]
    found = clicked_cells(_points(*rows), VIEW, cells)[0].tolist()
    assert found == [_slow_cell(y, x, cells) for y, x, _ in rows]


def test_padding_and_clicks_outside_have_no_cell_but_cell_0_is_one() -> None:
    rows = [(0.0, 0.0, 0.0), (-1.0, -1.0, -1.0), (-0.4, 0.0, 1.0), (-3.0, 5.0, 0.0), (5, 50, 1)]
    assert clicked_cells(_points(*rows), VIEW, CELLS)[0].tolist() == [0, -1, 0, -1, -1]


def _slow_messages(module: ClickAttention, g: Tensor, f: Tensor, cells: list[int]) -> Tensor:
    """Eq. 5 and 6 for one view: loops over heads, places and clicks."""
    g, f = g[0].flatten(1).T, f[0].flatten(1).T
    d, heads = module.hidden, module.heads
    theta = (module.query.weight.flatten(1), module.query.bias)
    phi, w = (module.key.weight, module.key.bias), module.value.weight
    assert theta[1] is not None
    out = torch.zeros_like(f)
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        w_head = w[head * f.shape[1] : (head + 1) * f.shape[1]]
        for n in range(len(f)):
            query = theta[0][part] @ g[n] + theta[1][part]
            scores = [float(query @ (phi[0][part] @ g[u] + phi[1][part])) for u in cells]
            total = sum(math.exp(score) for score in scores)
            for u, score in zip(cells, scores, strict=True):
                out[n] += math.exp(score) / total * (w_head @ f[u]) / heads
    return out.T.reshape(1, -1, *CELLS)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 3])
def test_messages_are_the_papers_sums(heads: int) -> None:
    torch.manual_seed(0)
    module = ClickAttention(6, 4, 3, heads)
    g, f = _features(6), _features(4, seed=1)
    cells = clicked_cells(CLICKS, VIEW, CELLS)
    expected = _slow_messages(module, g, f, cells[0].tolist())
    torch.testing.assert_close(module(g, f, cells), expected, rtol=1e-4, atol=1e-5)


def _graphs() -> list[tuple[nn.Module, tuple[Tensor, ...]]]:
    torch.manual_seed(0)
    low, high = SparseGraph(6), HighResSparseGraph(6, 5)
    for module in (low, high):
        shake(module)
        module.gamma.data.fill_(0.7)
        module.eval()
    return [(low, (_features(6),)), (high, (_features(6), _features(5, (19, 25), seed=2)))]


@torch.no_grad()
@pytest.mark.parametrize("index", [0, 1], ids=["low", "high"])
def test_order_and_padding_of_the_clicks_do_not_matter(index: int) -> None:
    module, features = _graphs()[index]
    expected = module(*features, CLICKS, VIEW)
    shuffled = CLICKS[:, [2, 0, 3, 1]]
    torch.testing.assert_close(module(*features, shuffled, VIEW), expected, rtol=1e-4, atol=1e-5)
    padded = torch.cat([CLICKS, torch.full((1, 7, 3), -1.0)], dim=1)
    torch.testing.assert_close(module(*features, padded, VIEW), expected, rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("index", [0, 1], ids=["low", "high"])
def test_every_click_counts_also_the_one_in_cell_0(index: int) -> None:
    module, features = _graphs()[index]
    expected = module(*features, CLICKS, VIEW)
    for left_out in range(4):
        fewer = CLICKS[:, [i for i in range(4) if i != left_out]]
        assert float((module(*features, fewer, VIEW) - expected).abs().max()) > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("index", [0, 1], ids=["low", "high"])
def test_without_clicks_there_is_no_message(index: int) -> None:
    module, features = _graphs()[index]
    without = module(*features, torch.full((1, 3, 3), -1.0), VIEW)
    dict(module.named_parameters())["gamma"].data.zero_()
    torch.testing.assert_close(without, module(*features, CLICKS, VIEW))


@torch.no_grad()
def test_the_views_of_a_batch_keep_their_clicks_to_themselves() -> None:
    module, (features,) = _graphs()[0]
    both = torch.cat([features, features.flip(-1)])
    points = torch.cat([CLICKS, CLICKS])
    points[1, 2:] = -1
    together = module(both, points, VIEW)
    alone = module(both[1:], CLICKS[:, :2], VIEW)
    torch.testing.assert_close(together[1:], alone, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_low_resolution_graph_is_equation_5() -> None:
    module, (features,) = _graphs()[0]
    assert isinstance(module, SparseGraph)
    cells = clicked_cells(CLICKS, VIEW, CELLS)[0].tolist()
    heard = features + 0.7 * _slow_messages(module.attention, features, features, cells)
    torch.testing.assert_close(
        module(features, CLICKS, VIEW), module.project(heard), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_high_resolution_graph_is_equation_7() -> None:
    module = _graphs()[1][0]
    assert isinstance(module, HighResSparseGraph)
    high, low = _features(6), _features(5, seed=2)
    joined = module.join(torch.cat([low, high], dim=1))
    cells = clicked_cells(CLICKS, VIEW, CELLS)[0].tolist()
    expected = joined + 0.7 * _slow_messages(module.attention, high, joined, cells)
    torch.testing.assert_close(module(high, low, CLICKS, VIEW), expected, rtol=1e-4, atol=1e-5)


def test_gathering_takes_the_cells_features() -> None:
    features = _features(4)
    found = gather(features, torch.tensor([[0, 129, 14]]))
    assert torch.equal(
        found[0], torch.stack([features[0, :, *at] for at in ((0, 0), (9, 12), (1, 1))])
    )
