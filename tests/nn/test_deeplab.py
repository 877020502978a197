"""DeepLabV3+ against a slow implementation, and its published sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.nn.conftest import shake
from tests.nn.oracles import Array, convolve, resample, run, to_array
from torch import nn

from napari_edgeflow.nn.deeplab import ASPP, DeepLabV3Plus
from napari_edgeflow.nn.resnet import ResNetConfig
from napari_edgeflow.zoo.build import build_network

TINY = ResNetConfig("basic", (1, 1, 1, 1), "plain", width=4)


def _aspp_oracle(aspp: ASPP, features: Array) -> Array:
    """Chen et al. 2017, figure 5: five views of the features, joined by a 1×1 convolution."""
    mean = run(aspp.pooled, features.mean(axis=(1, 2), keepdims=True))
    parts = [run(branch, features) for branch in aspp.branches]
    parts.append(np.broadcast_to(mean, parts[0].shape))
    return run(aspp.project, np.concatenate(parts))


def test_aspp() -> None:
    torch.manual_seed(0)
    aspp = ASPP(3, 2, dropout=0.5).eval()
    shake(aspp)
    features = torch.randn(2, 3, 41, 30)
    with torch.no_grad():
        found = aspp(features)
    for index in range(2):
        expected = _aspp_oracle(aspp, to_array(features[index]))
        np.testing.assert_allclose(to_array(found[index]), expected, rtol=1e-4, atol=1e-5)


def test_the_dilations_are_those_for_stride_8() -> None:
    impulse = torch.zeros(1, 1, 81, 81)
    impulse[0, 0, 40, 40] = 1
    for branch, rate in zip(ASPP(1, 1, 0.0).branches, (0, 12, 24, 36), strict=True):
        conv = next(branch.children())
        reached = conv(impulse)[0, 0].nonzero()
        assert (reached.min(), reached.max()) == (40 - rate, 40 + rate)
        assert len(reached) == (9 if rate else 1)


def test_decoder_and_head() -> None:
    torch.manual_seed(1)
    network = DeepLabV3Plus(TINY, 16).eval()
    shake(network)
    image = torch.rand(1, 3, 50, 67)
    with torch.no_grad():
        low, _, _, high = network.backbone(image)
        found, aux = network(image)
    assert aux is None
    context = resample(_aspp_oracle(network.aspp, to_array(high[0])), (13, 17))
    joined = np.concatenate([context, run(network.skip_project, to_array(low[0]))])
    expected = run(network.head, run(network.decoder, joined))
    assert expected.std() > 1e-4
    np.testing.assert_allclose(
        to_array(found[0]), expected, rtol=1e-3, atol=1e-3 * float(expected.std())
    )


def test_separable_convolutions_see_each_channel_alone_first() -> None:
    network = DeepLabV3Plus(TINY, 4)
    first = next(network.decoder.children())
    depthwise, pointwise = list(first.children())[:2]
    assert isinstance(depthwise, nn.Conv2d)
    assert isinstance(pointwise, nn.Conv2d)
    assert depthwise.groups == 4 + 32
    assert pointwise.kernel_size == (1, 1)
    assert pointwise.out_channels == 4
    x = torch.rand(1, 36, 5, 6)
    expected = convolve(depthwise, to_array(x[0]))
    np.testing.assert_allclose(to_array(depthwise(x)[0]), expected, rtol=1e-4, atol=1e-5)


def _megabytes(name: str) -> float:
    """Of a checkpoint: f-BRS feeds two click maps through distance maps fusion."""
    with torch.device("meta"):
        network = build_network(f"{name}:input_scheme=dmf,prior=none")
    sizes = [v.numel() * v.element_size() for v in network.state_dict().values()]
    return float(sum(sizes)) / 2**20


@pytest.mark.parametrize(
    ("name", "published"), [("ritm-r34", 89), ("ritm-r50", 120), ("ritm-r101", 223)]
)
def test_checkpoints_are_as_large_as_the_published_ones(name: str, published: int) -> None:
    """f-BRS's release gives 89, 120 and 223 MB; RITM takes its networks from there."""
    assert round(_megabytes(name)) == published


def test_the_papers_number_of_parameters() -> None:
    """Table 4 gives 31.40 M for ResNet-50; its 19.17 M for ResNet-34 cannot be (docs)."""
    with torch.device("meta"):
        r50 = build_network("ritm-r50:input_scheme=dmf,prior=none")
        r34 = build_network("ritm-r34")
    assert round(sum(p.numel() for p in r50.parameters()) / 1e6, 2) == 31.40
    trunk = r34.feature_extractor
    assert isinstance(trunk, DeepLabV3Plus)
    assert sum(p.numel() for p in trunk.backbone.parameters()) == 21_284_672
