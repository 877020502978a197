"""Dilated ResNets against strided ones and against loops."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from tests.nn.conftest import shake
from tests.nn.oracles import convolve, leaky, normalise, run, to_array
from torch import nn

from napari_edgeflow.nn.blocks import BasicBlock, Bottleneck
from napari_edgeflow.nn.resnet import RESNET_34, RESNET_50, RESNET_101, ResNet, ResNetConfig

TINY = {
    "basic": ResNetConfig("basic", (1, 1, 2, 3), "plain", width=4),
    "bottleneck": ResNetConfig("bottleneck", (1, 1, 2, 3), "deep", width=2),
}


@pytest.fixture(params=list(TINY))
def backbone(request: pytest.FixtureRequest) -> ResNet:
    torch.manual_seed(0)
    built = ResNet(TINY[request.param]).eval()
    shake(built)
    return built


def _classical(backbone: ResNet) -> ResNet:
    """The same weights with strides in place of dilations."""
    strided = copy.deepcopy(backbone)
    for stage in (strided.layer3, strided.layer4):
        for index, block in enumerate(stage):
            assert isinstance(block, BasicBlock | Bottleneck)
            first = block.conv1 if isinstance(block, BasicBlock) else block.conv2
            second = block.conv2
            assert isinstance(first, nn.Conv2d)
            assert isinstance(second, nn.Conv2d)
            first.dilation = first.padding = second.dilation = second.padding = (1, 1)
            if index == 0:
                first.stride = (2, 2)
                assert block.downsample is not None
                shortcut = block.downsample[0]
                assert isinstance(shortcut, nn.Conv2d)
                shortcut.stride = (2, 2)
    return strided


@pytest.mark.parametrize("size", [(64, 80), (75, 53)])
def test_dilations_keep_what_strides_would_see(backbone: ResNet, size: tuple[int, int]) -> None:
    """At every second (fourth) position a dilated stage is the strided one, borders included."""
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        dilated, strided = backbone(image), _classical(backbone)(image)
    for features, expected, step in zip(dilated, strided, (1, 1, 2, 4), strict=True):
        assert float(expected.std()) > 1e-3
        torch.testing.assert_close(features[..., ::step, ::step], expected, rtol=1e-4, atol=1e-4)


def test_strides_and_channels(backbone: ResNet) -> None:
    features = backbone(torch.rand(1, 3, 45, 70))
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, *size)
        for channels, size in zip(
            backbone.config.stage_channels, [(12, 18), (6, 9), (6, 9), (6, 9)], strict=True
        )
    ]


@pytest.mark.parametrize("kind", [BasicBlock, Bottleneck])
def test_blocks_are_the_sum_of_both_paths(kind: type[BasicBlock] | type[Bottleneck]) -> None:
    torch.manual_seed(2)
    block = kind(3, 2, stride=2, dilations=(2, 3)).eval()
    shake(block)
    x = torch.randn(1, 3, 9, 12)
    array = to_array(x[0])
    out = array
    for index in range(1, 4 if kind is Bottleneck else 3):
        out = convolve(getattr(block, f"conv{index}"), out)
        out = normalise(getattr(block, f"bn{index}"), out)
        if hasattr(block, f"conv{index + 1}"):
            out = leaky(out)
    assert block.downsample is not None
    expected = leaky(out + run(block.downsample, array))
    with torch.no_grad():
        np.testing.assert_allclose(to_array(block(x)[0]), expected, rtol=1e-4, atol=1e-5)


def test_the_stem_adds_what_comes_from_the_clicks(backbone: ResNet) -> None:
    image = torch.rand(1, 3, 33, 47)
    with torch.no_grad():
        plain = backbone.stem(image)
        extra = torch.randn(plain.shape)
        torch.testing.assert_close(backbone.stem(image, extra), plain + extra)
        with_extra = backbone(image, extra)
    for features, expected in zip(with_extra, backbone.stages(plain + extra), strict=True):
        torch.testing.assert_close(features, expected)


@pytest.mark.parametrize(
    ("config", "classifier", "published"),
    [(RESNET_34, 512, 21_797_672), (RESNET_50, 2048, 25_557_032), (RESNET_101, 2048, 44_549_160)],
    ids=["34", "50", "101"],
)
def test_parameters_of_the_classical_networks(
    config: ResNetConfig, classifier: int, published: int
) -> None:
    """The ImageNet classifiers' known counts, less their last layer, with a 7×7 stem."""
    plain = ResNetConfig(config.block, config.blocks, "plain")
    with torch.device("meta"):
        ours = sum(p.numel() for p in ResNet(plain).parameters())
    assert ours + 1000 * (classifier + 1) == published
