"""The whole network: sizes, outputs, gradients, and that every input counts."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.zoo.build import REGISTRY, build_network

Inputs = tuple[Tensor, Tensor, Tensor]
MakeViews = Callable[..., Inputs]
EDGEFLOWS = [name for name, config in REGISTRY.items() if isinstance(config, EdgeFlowConfig)]


def _three(output: NetworkOutput) -> dict[str, Tensor]:
    assert output.edge_logits is not None
    return {
        "mask": output.mask_logits,
        "coarse": output.coarse_logits,
        "edge": output.edge_logits,
    }


@torch.no_grad()
def _run(network: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    return _three(network(*inputs))


def _largest_difference(first: Tensor, second: Tensor) -> float:
    return float((first - second).abs().max())


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (97, 130), (64, 16)])
def test_any_size_comes_out_as_it_went_in(
    network: EdgeFlow, views: MakeViews, size: tuple[int, int]
) -> None:
    for name, logits in _run(network, views(1, *size)).items():
        assert logits.shape == (1, 1, *size), name
        assert torch.isfinite(logits).all(), name


@pytest.mark.parametrize("name", EDGEFLOWS)
def test_every_registered_network_runs(name: str, views: MakeViews) -> None:
    real = build_network(name).eval()
    for logits in _run(real, views(1, 64, 64)).values():
        assert logits.shape == (1, 1, 64, 64)
        assert torch.isfinite(logits).all()


def test_the_auxiliary_mask_exists_in_training_only(network: EdgeFlow, views: MakeViews) -> None:
    inputs = views(2, 33, 47)
    assert network(*inputs).aux_logits is None
    trained = network.train()(*inputs)
    assert trained.aux_logits.shape == (2, 1, 33, 47)


def _without_effect(network: EdgeFlow) -> set[str]:
    """Biases right before a batch norm, which subtracts them again in training."""
    before_norm = set()
    for name, child in network.named_modules():
        if name.endswith(("conv3x3_ocr", "aux_head")):
            before_norm.add(f"{name}.0.bias")
        elif name.endswith("._conv") and isinstance(child, nn.Conv2d) and child.bias is not None:
            before_norm.add(f"{name}.bias")
    return before_norm


def test_gradients_reach_every_parameter(network: EdgeFlow, views: MakeViews) -> None:
    network.train()
    output = network(*views(2, 48, 64))
    draw = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for logits in output:
        loss = loss + (logits * torch.randn(logits.shape, generator=draw)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    attention = ("object_context_block.f_pixel", "object_context_block.f_object")
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        largest = float(parameter.grad.abs().max())
        if any(part in name for part in attention):
            assert largest == 0, f"{name}: attention over the one class is 1 whatever it learns"
        elif name not in _without_effect(network):
            assert largest > 0, name


def test_eval_repeats_itself(network: EdgeFlow, views: MakeViews) -> None:
    inputs = views(1, 33, 47)
    first, second = _run(network, inputs), _run(network, inputs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_batch_is_its_views_one_by_one(network: EdgeFlow, views: MakeViews) -> None:
    image, clicks, prior = views(2, 40, 56)
    clicks[1] = clicks[1].flip(-1)
    together = _run(network, (image, clicks, prior))
    for index in range(2):
        part = slice(index, index + 1)
        alone = _run(network, (image[part], clicks[part], prior[part]))
        for name in alone:
            torch.testing.assert_close(together[name][part], alone[name], rtol=1e-4, atol=1e-4)


def test_a_state_dict_brings_the_network_back(network: EdgeFlow, views: MakeViews) -> None:
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    other = EdgeFlow(network.config).eval()
    inputs = views(1, 32, 32)
    assert _largest_difference(_run(other, inputs)["mask"], _run(network, inputs)["mask"]) > 0.01
    other.load_state_dict(torch.load(stored, weights_only=True))
    expected = _run(network, inputs)
    assert all(torch.equal(v, expected[n]) for n, v in _run(other, inputs).items())


def test_without_refinement_the_coarse_mask_is_the_answer(
    network: EdgeFlow, views: MakeViews
) -> None:
    inputs = views(1, 32, 48)
    refined = _run(network, inputs)
    network.refines = False
    coarse = _run(network, inputs)
    assert torch.equal(coarse["mask"], refined["coarse"])
    assert _largest_difference(refined["mask"], refined["coarse"]) > 0.01


@pytest.mark.parametrize("part", [0, 1, 2], ids=["image", "clicks", "prior"])
def test_every_input_changes_every_output(network: EdgeFlow, views: MakeViews, part: int) -> None:
    inputs = list(views(1, 48, 48))
    before = _run(network, (inputs[0], inputs[1], inputs[2]))
    inputs[part] = inputs[part].flip(-1)
    after = _run(network, (inputs[0], inputs[1], inputs[2]))
    for name in before:
        assert _largest_difference(before[name], after[name]) > 1e-3, name


def test_positive_and_negative_clicks_are_told_apart(network: EdgeFlow, views: MakeViews) -> None:
    image, clicks, prior = views(1, 48, 48)
    swapped = _run(network, (image, clicks.flip(1), prior))
    assert (
        _largest_difference(_run(network, (image, clicks, prior))["mask"], swapped["mask"]) > 1e-3
    )


def test_colours_are_normalised_by_imagenet(network: EdgeFlow) -> None:
    grey = torch.full((1, 3, 2, 2), 0.5)
    expected = [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
    assert network.normalise(grey)[0, :, 1, 0].tolist() == pytest.approx(expected, rel=1e-5)


def test_branch_widths_double() -> None:
    assert HRNetConfig(width=18).widths == (18, 36, 72, 144)
    assert HRNetConfig(width=18).out_channels == 270
