"""Object-contextual representations against a slow loop over pixels and regions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from napari_edgeflow.nn.ocr import SpatialOCR

Array = npt.NDArray[np.float64]
CHANNELS, KEYS, HEIGHT, WIDTH = 5, 3, 4, 6


def _block(seed: int = 0) -> SpatialOCR:
    """A block with random weights and batch norms, in eval mode."""
    draw = torch.Generator().manual_seed(seed)
    block = SpatialOCR(CHANNELS, KEYS).eval()
    for child in block.modules():
        if isinstance(child, nn.Conv2d):
            child.weight.data = torch.randn(child.weight.shape, generator=draw)
        elif isinstance(child, nn.BatchNorm2d):
            child.weight.data = 0.5 + torch.rand(child.weight.shape, generator=draw)
            child.bias.data = 0.3 * torch.randn(child.bias.shape, generator=draw)
            child.running_mean = 0.3 * torch.randn(child.weight.shape, generator=draw)
            child.running_var = 0.5 + torch.rand(child.weight.shape, generator=draw)
    return block


def _softmax(values: list[float]) -> Array:
    exponentials = np.exp(np.array(values) - max(values))
    return np.asarray(exponentials / exponentials.sum())


def _project(block: SpatialOCR, prefix: str, vector: Array) -> Array:
    """One vector through the 1×1 convolutions, batch norms and ReLUs called ``prefix``."""
    state = {k: v.double().numpy() for k, v in block.state_dict().items() if k.startswith(prefix)}
    index = 0
    while f"{prefix}.{index}.weight" in state:
        norm = f"{prefix}.{index + 1}.0"
        vector = state[f"{prefix}.{index}.weight"][:, :, 0, 0] @ vector
        vector = (vector - state[f"{norm}.running_mean"]) / np.sqrt(
            state[f"{norm}.running_var"] + 1e-5
        )
        vector = np.maximum(vector * state[f"{norm}.weight"] + state[f"{norm}.bias"], 0)
        index += 2
    return vector


def _oracle(block: SpatialOCR, features: Array, logits: Array) -> Array:
    """Yuan et al. 2020, eq. 1 to 3, for one image: loops over regions and pixels."""
    pixels = [(y, x) for y in range(HEIGHT) for x in range(WIDTH)]
    regions = []
    for plane in logits:
        weights = _softmax([plane[p] for p in pixels])
        regions.append(
            sum(w * features[:, y, x] for w, (y, x) in zip(weights, pixels, strict=True))
        )
    context = "object_context_block"
    keys = [_project(block, f"{context}.f_object", region) for region in regions]
    values = [_project(block, f"{context}.f_down", region) for region in regions]
    out = np.zeros((CHANNELS, HEIGHT, WIDTH))
    for y, x in pixels:
        query = _project(block, f"{context}.f_pixel", features[:, y, x])
        attention = _softmax([float(query @ key) / np.sqrt(KEYS) for key in keys])
        mixed = sum(a * v for a, v in zip(attention, values, strict=True))
        object_context = _project(block, f"{context}.f_up", np.asarray(mixed))
        joined = np.concatenate([object_context, features[:, y, x]])
        out[:, y, x] = _project(block, "conv_bn_dropout", joined)
    return out


@pytest.mark.parametrize("regions", [1, 2, 4])
def test_equations_2_and_3(regions: int) -> None:
    draw = torch.Generator().manual_seed(regions)
    block = _block()
    features = torch.randn(2, CHANNELS, HEIGHT, WIDTH, generator=draw)
    logits = 2 * torch.randn(2, regions, HEIGHT, WIDTH, generator=draw)
    with torch.no_grad():
        found = block(features, logits).double().numpy()
    for b in range(2):
        expected = _oracle(block, features[b].double().numpy(), logits[b].double().numpy())
        np.testing.assert_allclose(found[b], expected, rtol=1e-4, atol=1e-4)


def test_the_short_cut_for_one_class_changes_nothing() -> None:
    draw = torch.Generator().manual_seed(7)
    block = _block().object_context_block
    features = torch.randn(2, CHANNELS, HEIGHT, WIDTH, generator=draw)
    regions = torch.randn(2, CHANNELS, 1, generator=draw)
    with torch.no_grad():
        short = block(features, regions)
        block.training = True  # the block alone: its batch norms stay as they are
        torch.testing.assert_close(short, block(features, regions))
