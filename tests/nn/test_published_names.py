"""EdgeFlow-18 is the published network, name for name and shape for shape."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import torch

from napari_edgeflow.nn.edgeflow import edgeflow_18

PUBLISHED = Path(__file__).parent / "reference" / "edgeflow_paddle.keys"
UNUSED = ("finenet.final_predict.0.conv2.", "finenet.final_predict.0.bn2.")
OURS = {"_mean": "running_mean", "_variance": "running_var"}


def _published() -> dict[str, tuple[int, ...]]:
    """Shape of every entry of the published checkpoint under Paddle's names."""
    rows = (line.split(" ", 1) for line in PUBLISHED.read_text().splitlines())
    return {name: tuple(ast.literal_eval(shape)) for name, shape in rows}


def _in_torch(name: str) -> str:
    """Torch's name for Paddle's: batch norms' statistics and PReLU's slope differ."""
    owner, _, last = name.rpartition(".")
    if last == "_weight":
        return f"{owner}.weight"
    return f"{owner}.{OURS.get(last, last)}"


def test_names_and_shapes_are_the_published_ones() -> None:
    expected = {
        _in_torch(name): shape
        for name, shape in _published().items()
        if not name.startswith(UNUSED)
    }
    assert len(expected) == 1678 - 5
    with torch.device("meta"):
        state = edgeflow_18().state_dict()
    ours = {n: tuple(v.shape) for n, v in state.items() if not n.endswith("num_batches_tracked")}
    assert ours == expected


def test_the_paper_s_number_of_parameters() -> None:
    unused = sum(
        math.prod(shape)
        for name, shape in _published().items()
        if name.startswith(UNUSED) and not name.endswith(("_mean", "_variance"))
    )
    with torch.device("meta"):
        ours = sum(p.numel() for p in edgeflow_18().parameters())
    assert unused == 32 * 32 * 9 + 2 * 32
    assert round((ours + unused) / 1e6, 2) == 11.31
