"""Folding batch norms changes the speed, not the answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.edgeflow import EdgeFlow
from napari_edgeflow.nn.fold import fold_batch_norms

MakeViews = Callable[..., tuple[Tensor, Tensor, Tensor]]


def _norms(network: nn.Module) -> list[str]:
    return [n for n, child in network.named_modules() if isinstance(child, nn.BatchNorm2d)]


def test_outputs_stay(network: EdgeFlow, views: MakeViews) -> None:
    inputs = views(1, 48, 80)
    before, count = _norms(network), len(_norms(network))
    with torch.no_grad():
        expected = network(*inputs)
        assert fold_batch_norms(network) == count - 6
        found = network(*inputs)
    for name in ("mask_logits", "coarse_logits", "edge_logits"):
        first, second = getattr(expected, name), getattr(found, name)
        assert float(first.std()) > 1e-3, f"{name} is flat: the test shows nothing"
        torch.testing.assert_close(second, first, rtol=1e-3, atol=1e-3 * float(first.std()))
    after_prelu = [f"finenet.atrous{n}.{i}" for n in (1, 2, 3) for i in (2, 5)]
    assert _norms(network) == after_prelu
    assert set(after_prelu) < set(before)


def test_a_network_in_training_is_left_alone(network: EdgeFlow) -> None:
    network.train()
    before = _norms(network)
    with pytest.raises(ValueError, match="eval mode"):
        fold_batch_norms(network)
    assert _norms(network) == before
