"""EdgeFlow's tables 2 and 3: parts that can be left out, priors that can be exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import sobel
from tests.nn.conftest import AS_PUBLISHED, SMALLEST, shake
from torch import Tensor

from napari_edgeflow.nn.base import NetworkOutput
from napari_edgeflow.nn.edge import sobel_edges
from napari_edgeflow.nn.edgeflow import EdgeFlow, EdgeFlowConfig, Parts, Prior
from napari_edgeflow.nn.ritm import RITM, RITMConfig
from napari_edgeflow.zoo.build import build_network

MakeViews = Callable[..., tuple[Tensor, Tensor, Tensor]]
BASELINE = replace(AS_PUBLISHED, parts="baseline", prior="none")
POINTS: list[tuple[Parts, Prior]] = [
    ("baseline", "none"),
    ("baseline", "mask"),
    ("baseline", "sobel"),
    ("ef", "edge"),
    ("ef", "sobel"),
    ("ef+f", "sobel"),
    ("ef+f", "none"),
    ("ef+f", "mask"),
]


def _build(config: EdgeFlowConfig, seed: int = 0) -> EdgeFlow:
    torch.manual_seed(seed)
    built = EdgeFlow(config).eval()
    shake(built)
    return built


@pytest.fixture(params=POINTS, ids=lambda point: "-".join(point))
def point(request: pytest.FixtureRequest) -> EdgeFlow:
    """A small network for one line of the tables."""
    parts, prior = request.param
    return _build(replace(AS_PUBLISHED, parts=parts, prior=prior))


@torch.no_grad()
def _run(network: torch.nn.Module, inputs: tuple[Tensor, Tensor, Tensor]) -> NetworkOutput:
    output = network(*inputs)
    assert isinstance(output, NetworkOutput)
    return output


def test_the_baseline_with_a_mask_is_ritm(views: MakeViews) -> None:
    baseline = _build(replace(BASELINE, prior="mask"))
    ritm = RITM(RITMConfig(SMALLEST, AS_PUBLISHED.ocr_channels)).eval()
    ritm.load_state_dict(baseline.state_dict())
    inputs = views(2, 33, 47)
    expected = _run(ritm, inputs)
    assert float(expected.mask_logits.std()) > 1e-3
    found = _run(baseline, inputs)
    torch.testing.assert_close(found.mask_logits, expected.mask_logits)
    assert found.mask_logits is found.coarse_logits
    assert found.edge_logits is None


def test_without_finenet_the_answer_is_the_coarse_one(views: MakeViews) -> None:
    whole = _build(AS_PUBLISHED)
    coarse = EdgeFlow(replace(AS_PUBLISHED, parts="ef")).eval()
    state = {n: v for n, v in whole.state_dict().items() if not n.startswith("finenet.")}
    coarse.load_state_dict(state)
    inputs = views(1, 48, 40)
    expected, found = _run(whole, inputs), _run(coarse, inputs)
    assert torch.equal(found.mask_logits, expected.coarse_logits)
    assert expected.edge_logits is not None
    assert found.edge_logits is not None
    assert torch.equal(found.edge_logits, expected.edge_logits)


def test_each_part_adds_its_own_parameters() -> None:
    names = {}
    for parts in ("baseline", "ef", "ef+f"):
        with torch.device("meta"):
            network = build_network(f"edgeflow-18:parts={parts},prior=mask")
        names[parts] = {name for name, _ in network.named_parameters()}
    flow = ("warp1_", "warp2_", "edge.", "edge_fusion.", "edge_out.")
    prefixes = tuple(f"feature_extractor.{part}" for part in flow)
    assert names["baseline"] < names["ef"] < names["ef+f"]
    assert all(n.startswith(prefixes) for n in names["ef"] - names["baseline"])
    assert all(n.startswith("finenet.") for n in names["ef+f"] - names["ef"])


def test_priors_say_what_the_caller_feeds_back(point: EdgeFlow, views: MakeViews) -> None:
    prior = point.config.prior
    assert point.spec.prior == {"edge": "edge", "mask": "mask"}.get(prior, "none")
    inputs = views(1, 33, 47)
    expected = _run(point, inputs).mask_logits
    other = _run(point, (*inputs[:2], 1 - inputs[2])).mask_logits
    assert torch.equal(other, expected) == (prior in ("none", "sobel"))
    for part in (0, 1):
        changed = [*inputs]
        changed[part] = changed[part].flip(-1)
        other = _run(point, (changed[0], changed[1], changed[2])).mask_logits
        assert float((other - expected).abs().max()) > 1e-4


def test_sobel_s_edges_stand_where_the_prior_did(views: MakeViews) -> None:
    with_sobel, with_edge = (_build(replace(AS_PUBLISHED, prior=p)) for p in ("sobel", "edge"))
    with_edge.load_state_dict(with_sobel.state_dict())
    image, clicks, prior = views(1, 33, 47)
    found = _run(with_sobel, (image, clicks, prior)).mask_logits
    assert torch.equal(found, _run(with_edge, (image, clicks, sobel_edges(image))).mask_logits)


def test_sobel_edges() -> None:
    image = torch.rand(2, 3, 9, 14, generator=torch.Generator().manual_seed(0))
    for view, edges in zip(image.double().numpy(), sobel_edges(image), strict=True):
        grey = np.tensordot([0.299, 0.587, 0.114], view, 1)
        length = np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest"))
        np.testing.assert_allclose(edges[0].numpy(), np.minimum(length / 4, 1), atol=1e-6)
    step = torch.zeros(1, 3, 6, 8)
    step[..., 4:] = 1
    expected = torch.tensor([0.0, 0, 0, 1, 1, 0, 0, 0]).expand(6, 8)
    torch.testing.assert_close(sobel_edges(step)[0, 0], expected)


def test_sobel_edges_are_exact_in_fast_modes() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected = sobel_edges(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sobel_edges(image), expected)


def test_gradients_reach_every_parameter(point: EdgeFlow, views: MakeViews) -> None:
    output = point.train()(*views(2, 48, 64))
    draw = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for logits in output:
        if logits is not None:
            loss = loss + (logits * torch.randn(logits.shape, generator=draw)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in point.named_parameters():
        assert parameter.grad is not None, name


def test_prepare_inference_keeps_the_answers(point: EdgeFlow, views: MakeViews) -> None:
    inputs = views(1, 48, 80)
    expected = _run(point, inputs).mask_logits
    rough = point.glance(*inputs)
    point.prepare_inference()
    found = _run(point, inputs).mask_logits
    spread = float(expected.std())
    assert spread > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * spread)
    torch.testing.assert_close(point.glance(*inputs), rough, rtol=1e-3, atol=1e-3 * spread)


def test_the_baseline_has_no_edge_to_feed_back() -> None:
    with pytest.raises(ValueError, match="no edge; set prior to mask, sobel or none"):
        build_network("edgeflow-18:parts=baseline")
