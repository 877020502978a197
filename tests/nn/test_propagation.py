"""The cascade and its levels: clicks as maps and as points, from coarse to fine."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
import torch
from tests.nn.cases import Case, largest_difference, make_case, view_of
from tests.nn.conftest import shake
from torch import nn

from napari_edgeflow._types import Click
from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.nn.graph import HighResSparseGraph, SparseGraph
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.nn.propagation import PROPAGATION_R50, CoarseToFine, PropagationConfig
from napari_edgeflow.nn.resnet import ResNetConfig

ON_HRNET = PropagationConfig(HRNetConfig(4, 1, 1, 1, 1), head_channels=4)
ON_RESNET = PropagationConfig(ResNetConfig("basic", (1, 1, 1, 1), "plain", 4), head_channels=6)
CONFIGS = {"hrnet": ON_HRNET, "resnet": ON_RESNET}
CLICKS = [Click(0, 0), Click(30, 33, False), Click(12, 20)]


def _built(config: PropagationConfig, seed: int = 0) -> CoarseToFine:
    torch.manual_seed(seed)
    network = CoarseToFine(config)
    shake(network, seed)
    for child in network.modules():
        if isinstance(child, SparseGraph | HighResSparseGraph):
            child.gamma.data.fill_(0.8)
        elif isinstance(child, nn.Conv2d) and child.out_channels == 1:
            nn.init.normal_(child.weight, std=0.3)
    return network.eval()


@pytest.fixture(params=list(CONFIGS))
def network(request: pytest.FixtureRequest) -> CoarseToFine:
    return _built(CONFIGS[request.param])


def _case(network: CoarseToFine, size: tuple[int, int] = (48, 40)) -> Case:
    return make_case(network.spec, [CLICKS, CLICKS[1:]], size)


@torch.no_grad()
def _run(network: nn.Module, case: Case) -> NetworkOutput:
    output = network(*case)
    assert isinstance(output, NetworkOutput)
    return output


@pytest.mark.parametrize("size", [(48, 40), (33, 47), (65, 17)])
def test_any_size_comes_out_as_it_went_in(network: CoarseToFine, size: tuple[int, int]) -> None:
    clicks = [[Click(3, 4), Click(20, 9, False)]]
    output = _run(network, make_case(network.spec, clicks, size))
    for logits in (output.mask_logits, output.coarse_logits):
        assert logits.shape == (1, 1, *size)
        assert torch.isfinite(logits).all()
    assert output.edge_logits is None
    assert output.aux_logits is None


def test_the_fine_level_gets_the_coarse_mask(network: CoarseToFine) -> None:
    image, maps, prior, points = _case(network)
    found = _run(network, (image, maps, prior, points))
    coarse = _run(network.coarse, (image, maps, prior, points)).mask_logits
    fine = _run(network.fine, (image, maps, torch.sigmoid(coarse), points)).mask_logits
    assert torch.equal(found.coarse_logits, coarse)
    assert torch.equal(found.mask_logits, fine)
    assert network.stages == (network.coarse, network.fine)
    assert torch.equal(network.glance(image, maps, prior, points), coarse)


def test_without_refines_the_coarse_level_answers_alone(network: CoarseToFine) -> None:
    case = _case(network)
    refined = _run(network, case)
    network.refines = False
    coarse = _run(network, case)
    assert torch.equal(coarse.mask_logits, refined.coarse_logits)
    assert coarse.coarse_logits is coarse.mask_logits


def test_points_reach_the_graphs_and_padding_does_not(network: CoarseToFine) -> None:
    image, maps, prior, points = _case(network)
    expected = _run(network, (image, maps, prior, points)).mask_logits
    padded = torch.cat([points, torch.full((2, 5, 3), -1.0)], dim=1)
    same = _run(network, (image, maps, prior, padded)).mask_logits
    torch.testing.assert_close(same, expected, rtol=1e-4, atol=1e-5)
    shuffled = _run(network, (image, maps, prior, points.flip(1))).mask_logits
    torch.testing.assert_close(shuffled, expected, rtol=1e-3, atol=1e-4)
    for index in range(3):  # the first one lies in cell 0
        fewer = points.clone()
        fewer[0, index] = -1
        less = _run(network, (image, maps, prior, fewer)).mask_logits
        assert largest_difference(less[:1], expected[:1]) > 1e-5


@pytest.mark.parametrize("part", [0, 1, 2], ids=["image", "clicks", "prior"])
def test_every_input_changes_the_answer(network: CoarseToFine, part: int) -> None:
    inputs = list(_case(network))
    before = _run(network, (inputs[0], inputs[1], inputs[2], inputs[3])).mask_logits
    inputs[part] = inputs[part].flip(-1)
    after = _run(network, (inputs[0], inputs[1], inputs[2], inputs[3])).mask_logits
    assert largest_difference(before, after) > 1e-3


def test_a_batch_is_its_views_one_by_one(network: CoarseToFine) -> None:
    case = _case(network)
    together = _run(network, case).mask_logits
    for index in range(2):
        alone = _run(network, view_of(case, index)).mask_logits
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-3, atol=1e-3)


def _has_no_effect(name: str) -> bool:
    """What a softmax or a batch norm takes out again.

    Attention over the one class of OCR is 1; φ's bias is the same for all clicks; the coarse
    auxiliary mask counts through OCR's regions alone, where its bias is the same everywhere.
    """
    if "object_context_block.f_pixel" in name or "object_context_block.f_object" in name:
        return True
    biases = ("conv3x3_ocr.0.bias", "aux_head.0.bias", "attention.key.bias")
    return name.endswith(biases) or name == "coarse.feature_extractor.aux_head.3.bias"


def test_gradients_reach_every_parameter(network: CoarseToFine) -> None:
    network.train()
    output: NetworkOutput = network(*_case(network))
    draw = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for logits in (output.mask_logits, output.coarse_logits, output.aux_logits):
        if logits is not None:
            loss = loss + (logits * torch.randn(logits.shape, generator=draw)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert _has_no_effect(name) or float(parameter.grad.abs().max()) > 0, name


def test_the_second_stage_trains_the_fine_level_alone(network: CoarseToFine) -> None:
    network.begin_fine_stage()
    case = _case(network)
    first, second = _run(network.coarse, case), _run(network.fine, case)
    torch.testing.assert_close(second.mask_logits, first.mask_logits)
    network.train()
    assert network.fine.training
    assert not network.coarse.training
    before = {name: value.clone() for name, value in network.coarse.state_dict().items()}
    output: NetworkOutput = network(*case)
    (output.mask_logits.sum() + output.coarse_logits.sum()).backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is None for parameter in network.coarse.parameters())
    assert any(parameter.grad is not None for parameter in network.fine.parameters())
    after = network.coarse.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_state_dict_brings_the_network_back(network: CoarseToFine) -> None:
    stored = io.BytesIO()
    torch.save(network.state_dict(), stored)
    stored.seek(0)
    other = _built(network.config, seed=3)
    case = _case(network)
    expected = _run(network, case).mask_logits
    assert largest_difference(_run(other, case).mask_logits, expected) > 1e-2
    other.load_state_dict(torch.load(stored, weights_only=True))
    torch.testing.assert_close(_run(other, case).mask_logits, expected)
    assert torch.equal(_run(network, case).mask_logits, expected), "eval repeats itself"


def test_preparing_for_inference_keeps_the_answers(network: CoarseToFine) -> None:
    case = _case(network)
    before = _run(network, case)
    network.prepare_inference()
    after = _run(network, case)
    for old, new in ((before.mask_logits, after.mask_logits), (before[1], after[1])):
        torch.testing.assert_close(new, old, rtol=2e-3, atol=2e-3)


def test_an_untrained_graph_changes_nothing_by_its_messages() -> None:
    torch.manual_seed(0)
    network = CoarseToFine(ON_HRNET).eval()
    image, maps, prior, points = _case(network)
    alone = _run(network, (image, maps, prior, torch.full_like(points, -1))).mask_logits
    torch.testing.assert_close(_run(network, (image, maps, prior, points)).mask_logits, alone)


def test_points_are_needed(network: CoarseToFine) -> None:
    image, maps, prior, _ = _case(network)
    with pytest.raises(ValueError, match="point_list"):
        network(image, maps, prior)


def test_the_published_size_is_about_the_papers() -> None:
    with torch.device("meta"):
        network = CoarseToFine(PROPAGATION_R50)
        fewer_heads = CoarseToFine(replace(PROPAGATION_R50, heads=1))
    n = sum(parameter.numel() for parameter in network.parameters())
    assert n == pytest.approx(64.7e6, rel=0.02)
    assert sum(parameter.numel() for parameter in fewer_heads.parameters()) < n
