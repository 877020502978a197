"""Networks small enough for tests, with every parameter away from its starting value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.hrnet import HRNetConfig

SMALLEST = HRNetConfig(
    width=4, layer1_blocks=1, branch_blocks=1, stage3_modules=1, stage4_modules=1
)
AS_PUBLISHED = EdgeFlowConfig(SMALLEST, ocr_channels=4, fine_width=4)
AS_18S = replace(
    AS_PUBLISHED, align="interaction", late_kernel=1, align_channels=8, fine_residual=True
)
CONFIGS = {"as-published": AS_PUBLISHED, "as-18s": AS_18S}

Inputs = tuple[Tensor, Tensor, Tensor]


def shake(network: nn.Module, seed: int = 0) -> None:
    """Gives every parameter and every batch norm's statistics random values, in place.

    The weights keep their starting size; all that starts at zero, at one or so small that
    nothing would depend on it (flows, logits, the clicks' scale) is drawn anew.
    """
    draw = torch.Generator().manual_seed(seed)
    for name, child in network.named_modules():
        if isinstance(child, nn.BatchNorm2d):
            size = child.num_features
            child.weight.data = 0.5 + torch.rand(size, generator=draw)
            child.bias.data = 0.2 * torch.randn(size, generator=draw)
            child.running_mean = 0.2 * torch.randn(size, generator=draw)
            child.running_var = 0.5 + torch.rand(size, generator=draw)
        elif isinstance(child, nn.Conv2d) and name.endswith("flow_make"):
            child.weight.data = 0.1 * torch.randn(child.weight.shape, generator=draw)
        elif isinstance(child, nn.Conv2d) and child.bias is not None:
            child.bias.data = 0.1 * torch.randn(child.bias.shape, generator=draw)
    for name, parameter in network.named_parameters():
        if name.endswith(".scale"):
            parameter.data.fill_(1.0)


@pytest.fixture(params=list(CONFIGS))
def network(request: pytest.FixtureRequest) -> EdgeFlow:
    """A small EdgeFlow in eval mode, in either reading of the paper."""
    torch.manual_seed(0)
    built = EdgeFlow(CONFIGS[request.param])
    shake(built)
    built.eval()
    return built


@pytest.fixture
def views() -> Callable[..., Inputs]:
    """Random views: image, click maps with a disk or two each, soft prior."""

    def make(batch: int, height: int, width: int, seed: int = 0) -> Inputs:
        draw = torch.Generator().manual_seed(seed)
        image = torch.rand(batch, 3, height, width, generator=draw)
        clicks = torch.zeros(batch, 2, height, width)
        clicks[:, 0, height // 4 : height // 2, width // 4 : width // 2] = 1
        clicks[:, 1, -height // 4 :, : width // 4] = 1
        return image, clicks, torch.rand(batch, 1, height, width, generator=draw)

    return make


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small tensors are slower on several threads, and results could differ in the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
