"""RITM: the published names and sizes, the ways clicks get in, the whole network."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.nn.conftest import SMALLEST, shake
from tests.nn.oracles import Array, convolve, leaky, normalise, to_array
from torch import Tensor, nn

from napari_edgeflow._types import Click
from napari_edgeflow.clicks.encode import click_maps
from napari_edgeflow.nn.deeplab import DeepLabV3Plus
from napari_edgeflow.nn.hrnet_ocr import HRNetOCR
from napari_edgeflow.nn.resnet import ResNetConfig
from napari_edgeflow.nn.ritm import RITM, InputScheme, RITMConfig
from napari_edgeflow.zoo.build import build_network

Inputs = tuple[Tensor, Tensor, Tensor]
MakeViews = Callable[..., Inputs]
REFERENCE = Path(__file__).parent / "reference"
PUBLISHED = {
    "ritm-h18s": ("ritm_h18s.keys", 4_220_047),
    "ritm-h18": ("ritm_h18.keys", 10_032_019),
    "ritm-h32": ("ritm_h32.keys", 30_951_363),
}
BASIC = RITMConfig(ResNetConfig("basic", (1, 1, 1, 1), "plain", width=4), 8, dropout=0.2)
DEEP = replace(BASIC, backbone=ResNetConfig("bottleneck", (1, 1, 1, 1), width=2))
HRNET = RITMConfig(SMALLEST, 4)
TINY = {
    "hrnet": HRNET,
    "hrnet-baseline": replace(HRNET, prior="none"),
    "hrnet-conv1e": replace(HRNET, input_scheme="conv1e"),
    "hrnet-dmf": replace(HRNET, input_scheme="dmf"),
    "basic": BASIC,
    "deep": DEEP,
    "deep-conv1e-baseline": replace(DEEP, input_scheme="conv1e", prior="none"),
    "deep-dmf": replace(DEEP, input_scheme="dmf"),
}


def _build(config: RITMConfig, seed: int = 0) -> RITM:
    torch.manual_seed(seed)
    built = RITM(config).eval()
    shake(built)
    return built


@pytest.fixture(params=list(TINY))
def ritm(request: pytest.FixtureRequest) -> RITM:
    """A small RITM in eval mode."""
    return _build(TINY[request.param])


@torch.no_grad()
def _mask(network: nn.Module, inputs: Inputs) -> Tensor:
    mask = network(*inputs).mask_logits
    assert isinstance(mask, Tensor)
    return mask


def _assert_alike(found: Tensor, expected: Tensor) -> None:
    assert float(expected.std()) > 1e-5, "flat: the comparison shows nothing"
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_names_and_shapes_are_the_published_ones(name: str) -> None:
    file, count = PUBLISHED[name]
    rows = (line.split(" ", 1) for line in (REFERENCE / file).read_text().splitlines())
    expected = {key: tuple(ast.literal_eval(shape)) for key, shape in rows}
    with torch.device("meta"):
        network = build_network(name)
    ours = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert list(ours.items()) == list(expected.items())
    assert sum(p.numel() for p in network.parameters()) == count


def test_the_baseline_lacks_the_mask_s_weights_alone() -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in build_network("ritm-h18-baseline").parameters())
    assert count == 10_032_003 == 10_032_019 - 16


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (97, 61)])
def test_any_size_comes_out_as_it_went_in(
    ritm: RITM, views: MakeViews, size: tuple[int, int]
) -> None:
    mask = _mask(ritm, views(1, *size))
    assert mask.shape == (1, 1, *size)
    assert torch.isfinite(mask).all()


def test_hrnet_alone_has_an_auxiliary_mask_in_training_alone(ritm: RITM, views: MakeViews) -> None:
    inputs = views(2, 33, 47)
    assert ritm(*inputs).aux_logits is None
    output = ritm.train()(*inputs)
    assert output.edge_logits is None
    if isinstance(ritm.feature_extractor, HRNetOCR):
        assert output.aux_logits.shape == (2, 1, 33, 47)
    else:
        assert output.aux_logits is None


def _without_effect(network: RITM) -> set[str]:
    """Biases right before a batch norm, which subtracts them again in training."""
    biases = {f"feature_extractor.{part}.0.bias" for part in ("conv3x3_ocr", "aux_head")}
    biases.add("rgb_conv.0.bias")
    return biases & {name for name, _ in network.named_parameters()}


def test_gradients_reach_every_parameter(ritm: RITM, views: MakeViews) -> None:
    output = ritm.train()(*views(3, 64, 80))
    draw = torch.Generator().manual_seed(1)
    loss = torch.zeros(())
    for logits in output:
        if logits is not None:
            loss = loss + (logits * torch.randn(logits.shape, generator=draw)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    attention = ("object_context_block.f_pixel", "object_context_block.f_object")
    unused = _without_effect(ritm)
    for name, parameter in ritm.named_parameters():
        assert parameter.grad is not None, name
        largest = float(parameter.grad.abs().max())
        if any(part in name for part in attention):
            assert largest == 0, f"{name}: attention over the one class is 1 whatever it learns"
        elif name not in unused:
            assert largest > 0, name


def test_eval_repeats_itself_and_batches_are_single_views(ritm: RITM, views: MakeViews) -> None:
    image, clicks, prior = views(2, 40, 56)
    clicks[1] = clicks[1].flip(-1)
    together = _mask(ritm, (image, clicks, prior))
    assert torch.equal(together, _mask(ritm, (image, clicks, prior)))
    alone = torch.cat(
        [_mask(ritm, (image[i, None], clicks[i, None], prior[i, None])) for i in (0, 1)]
    )
    _assert_alike(together, alone)


def test_a_state_dict_brings_the_network_back(ritm: RITM, views: MakeViews) -> None:
    stored = io.BytesIO()
    torch.save(ritm.state_dict(), stored)
    stored.seek(0)
    other = _build(ritm.config, seed=5)
    inputs = views(1, 32, 32)
    expected = _mask(ritm, inputs)
    assert not torch.allclose(_mask(other, inputs), expected, rtol=1e-3)
    other.load_state_dict(torch.load(stored, weights_only=True))
    other.eval()
    assert torch.equal(_mask(other, inputs), expected)


def test_prepare_inference_keeps_the_answers(ritm: RITM, views: MakeViews) -> None:
    inputs = views(1, 48, 80)
    expected = _mask(ritm, inputs)
    before = sum(isinstance(m, nn.BatchNorm2d) for m in ritm.modules())
    ritm.prepare_inference()
    _assert_alike(_mask(ritm, inputs), expected)
    left = [n for n, m in ritm.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert before > 10
    assert left in ([], ["feature_extractor.backbone.bn1"])


def test_image_clicks_and_mask_count(ritm: RITM, views: MakeViews) -> None:
    inputs = views(1, 48, 48)
    expected = _mask(ritm, inputs)
    image, clicks, prior = inputs
    changed = {
        "image": (image.flip(-1), clicks, prior),
        "clicks": (image, clicks.flip(-1), prior),
        "signs": (image, clicks.flip(1), prior),
        "prior": (image, clicks, prior.flip(-1)),
    }
    for part, others in changed.items():
        ignored = part == "prior" and ritm.config.prior == "none"
        assert torch.equal(_mask(ritm, others), expected) == ignored, part


def _given(layer: nn.Module, run: Callable[[], object]) -> tuple[Any, ...]:
    """What the layer is called with in a run."""
    calls: list[tuple[Any, ...]] = []
    hook = layer.register_forward_pre_hook(lambda _, given: calls.append(given))
    run()
    hook.remove()
    return calls[0]


def _first_features(network: RITM, inputs: Inputs) -> Tensor:
    """What the second layer of an HRNet, or the pooling of a ResNet, is given."""
    trunk = network.feature_extractor
    if isinstance(trunk, DeepLabV3Plus):
        return trunk.backbone.stem(*_given(trunk, lambda: network(*inputs)))
    features = _given(trunk.conv2, lambda: network(*inputs))[0]
    assert isinstance(features, Tensor)
    return features


def _guidance(network: RITM, inputs: Inputs) -> Tensor:
    """Previous mask (if the network takes one), positive clicks, negative clicks."""
    _, clicks, prior = inputs
    return torch.cat([prior, clicks], dim=1) if network.config.prior == "mask" else clicks


def _first_oracle(network: RITM, inputs: Inputs) -> Array:
    """Figure 3 of the paper for one view, in loops."""
    trunk = network.feature_extractor
    owner = trunk if isinstance(trunk, HRNetOCR) else trunk.backbone
    image = to_array(network.normalise(inputs[0])[0])
    guidance = to_array(_guidance(network, inputs)[0])
    extra: Array | float = 0.0
    if network.config.input_scheme == "conv1s":
        first, _, second, scale = network.maps_transform
        hidden = leaky(convolve(_conv(first), guidance), 0.2)
        extra = to_array(scale.get_parameter("scale")) * convolve(_conv(second), hidden)
    elif network.config.input_scheme == "conv1e":
        image = np.concatenate([image, guidance])
    else:
        first, norm, _, second = network.rgb_conv
        hidden = convolve(_conv(first), np.concatenate([image, guidance]))
        assert isinstance(norm, nn.BatchNorm2d)
        image = convolve(_conv(second), leaky(normalise(norm, hidden), 0.2))
    for layer in owner.conv1.modules():
        if isinstance(layer, nn.Conv2d):
            image = convolve(layer, image)
        elif isinstance(layer, nn.BatchNorm2d):
            image = normalise(layer, image)
        elif isinstance(layer, nn.ReLU):
            image = leaky(image)
    return np.asarray(leaky(normalise(owner.bn1, image)) + extra)


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer


def test_the_input_schemes_are_those_of_figure_3(ritm: RITM, views: MakeViews) -> None:
    inputs = views(1, 21, 18)
    expected = _first_oracle(ritm, inputs)
    with torch.no_grad():
        found = to_array(_first_features(ritm, inputs)[0])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("scheme", ["conv1s", "conv1e", "dmf"])
def test_only_the_scheme_s_own_weights_are_added(scheme: InputScheme) -> None:
    """Closed forms; C is the number of channels that come to the image."""
    with torch.device("meta"):
        plain = HRNetOCR(SMALLEST, 4)
        network = RITM(replace(HRNET, input_scheme=scheme))
    added = sum(p.numel() for p in network.parameters())
    added -= sum(p.numel() for p in plain.parameters())
    c = 3
    expected = {
        "conv1s": 16 * (c + 1) + 64 * (9 * 16 + 1) + 1,
        "conv1e": 64 * 9 * c,
        "dmf": (6 + c) * (3 + c + 1) + 2 * (6 + c) + 3 * (6 + c + 1),
    }
    assert added == expected[scheme]


def test_unknown_schemes_list_the_known() -> None:
    with pytest.raises(ValueError, match="conv1s, conv1e, dmf"):
        RITM(replace(HRNET, input_scheme="conv9"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "value_at_4_px"),
    [
        ("", 1.0),
        (":click_radius_px=3", 0.0),
        (":encoding=distance,click_radius_px=255", 4 / 255),
    ],
    ids=["disk5", "disk3", "distance"],
)
def test_the_spec_gives_the_encodings_of_table_1(settings: str, value_at_4_px: float) -> None:
    with torch.device("meta"):
        spec = build_network(f"ritm-h18s{settings}").spec
    assert spec.prior == "mask"
    assert spec.click_kinds == ("positive", "negative")
    maps = click_maps([Click(10, 10, True)], (20, 20), spec)
    assert maps.shape == (2, 20, 20)
    assert float(maps[0, 10, 14]) == pytest.approx(value_at_4_px)
