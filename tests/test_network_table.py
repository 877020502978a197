"""The table of networks: multiply-adds against closed forms and the papers' figures."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from napari_edgeflow.nn.base import InteractiveNetwork, NetworkOutput, NetworkSpec
from napari_edgeflow.nn.hrnet import HRNetConfig
from napari_edgeflow.nn.ocr import ObjectContext
from napari_edgeflow.nn.ritm import RITM, RITMConfig
from napari_edgeflow.zoo.build import build_network

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def networks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("networks_table", BENCHMARKS / "networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


class _Small(InteractiveNetwork):
    """A strided, a dilated and a depthwise convolution, a linear layer, a matrix product."""

    def __init__(self) -> None:
        super().__init__(NetworkSpec(prior="none"))
        self.strided = nn.Conv2d(3, 5, 3, 2, 1)
        self.dilated = nn.Conv2d(5, 6, 3, padding=4, dilation=4)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.linear = nn.Linear(6, 7)

    def forward(
        self, image: Tensor, click_maps: Tensor, prior: Tensor, points: Tensor | None = None
    ) -> NetworkOutput:
        x = self.depthwise(self.dilated(self.strided(image)))
        rows = self.linear(x.flatten(2).transpose(1, 2))
        mixed = rows.transpose(1, 2) @ rows
        return NetworkOutput(mixed, mixed, None, None)


def test_every_kind_of_layer_counts(networks: ModuleType) -> None:
    pixels = 10 * 10  # of a 19 × 19 view at stride 2
    expected = pixels * (9 * 3 * 5 + 9 * 5 * 6 + 9 * 6 + 6 * 7 + 7 * 7)
    assert networks.multiply_adds(_Small().eval(), 19) == expected


def test_a_whole_network_in_closed_form(networks: ModuleType) -> None:
    """RITM on the smallest HRNet: one block everywhere, widths w, 2w, 4w, 8w; keys k."""
    w, k, side = 2, 3, 64
    half, p4 = (side // 2) ** 2, (side // 4) ** 2
    p8, p16, p32 = p4 // 4, p4 // 16, p4 // 64
    stem = half * (16 * 64 * 9 + 3 * 64 * 9) + side**2 * 3 * 16 + p4 * 64 * 64 * 9
    layer1 = p4 * (64 * 64 + 64 * 64 * 9 + 64 * 256 + 64 * 256)
    # A basic block is two 3 × 3 convolutions: with half the side and twice the channels,
    # every branch costs the same.
    branch = p4 * 2 * 9 * w * w
    down = {1: 9 * 2 * w * w * p8, 2: 9 * (w * w * p8 + 4 * w * w * p16)}
    down[3] = 9 * (w * w * p8 + w * w * p16 + 8 * w * w * p32)
    transitions = 9 * (256 * w * p4 + 256 * 2 * w * p8 + 8 * w * w * p16 + 32 * w * w * p32)
    pixels, total = (p4, p8, p16, p32), stem + layer1 + transitions
    for branches in (2, 3, 4):
        total += branches * branch
        for source in range(branches):
            for target in range(branches):
                if source > target:
                    total += (2**source * w) * (2**target * w) * pixels[source]
                elif source < target:
                    # Steps between the same levels of scaled branches cost the same.
                    total += _steps(w * 2**source, target - source, pixels[source])
    assert _steps(w, 3, p4) == down[3]
    assert _steps(w, 2, p4) == down[2]
    assert _steps(w, 1, p4) == down[1]
    joined, ocr = 15 * w, 2 * k
    total += p4 * (9 * joined * ocr + joined * joined + joined)  # conv3x3_ocr, aux_head
    total += p4 * ocr  # the object's features: a matrix product over the pixels
    total += ocr * k + k * ocr  # f_down, f_up: of the one object
    total += p4 * (2 * ocr * ocr + ocr)  # conv_bn_dropout, cls_head
    network = RITM(RITMConfig(HRNetConfig(w, 1, 1, 1, 1), k)).eval()
    assert networks.multiply_adds(network, side) == total


def _steps(channels: int, count: int, pixels: int) -> int:
    """Strided 3 × 3 convolutions, the last of which widens to the target's channels."""
    total = 0
    for step in range(count):
        pixels //= 4
        out_channels = channels * 2**count if step == count - 1 else channels
        total += 9 * channels * out_channels * pixels
    return total


@pytest.mark.parametrize(
    ("name", "gflop"),
    [("ritm-h18s", 17.84), ("ritm-r34", 122.28), ("ritm-r50", 170.13)],
)
def test_the_papers_multiply_adds(networks: ModuleType, name: str, gflop: float) -> None:
    """RITM, table 4, counts a multiply-add as two, small operations and OCR's attention."""
    with torch.device("meta"):
        network = build_network(name).eval()
    for module in network.modules():
        if isinstance(module, ObjectContext):
            module.training = True
    found = 2 * networks.multiply_adds(network, 400) / 1e9
    assert found == pytest.approx(gflop, rel=0.01)


def test_the_table_goes_between_the_markers(networks: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"# Title\n{networks.BEGIN}\nold\n{networks.END}\nafter\n", encoding="utf-8")
    rows = [networks.Row("small", 12_345_678, 8.735, (72.4, 50.6))]
    networks.replace_between_markers(path, networks.table(rows, 400))
    assert path.read_text(encoding="utf-8").splitlines() == [
        "# Title",
        networks.BEGIN,
        "",
        "| network | parameters | GMAC at 400² | ms a click, float32 | ms, bfloat16 |",
        "|---|--:|--:|--:|--:|",
        "| `small` | 12,345,678 | 8.73 | 72 | 51 |",
        "",
        networks.END,
        "after",
    ]
    path.write_text("# Title\n", encoding="utf-8")
    with pytest.raises(ValueError, match="add them"):
        networks.replace_between_markers(path, [])
