"""Size and speed of every registered network, as a Markdown table.

    python benchmarks/networks.py [NAME ...] [--side 400] [--runs 20] [--into docs/networks.md]

Weights are random: they do not matter for size and speed. A click is one answer of all
stages of a network, click maps included, on a view of side × side pixels; shown is the
median. ``--into`` replaces the table between the two markers in that file.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from napari_edgeflow._types import Click
from napari_edgeflow.inference.device import Precision
from napari_edgeflow.inference.predictor import Predictor
from napari_edgeflow.nn.base import InteractiveNetwork
from napari_edgeflow.zoo.build import build_network, network_names

BEGIN, END = "<!-- networks: begin -->", "<!-- networks: end -->"
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one network.

    Attributes:
        name: Registered name.
        parameters: Trained numbers.
        gmac: Billions of multiply-adds of one click.
        milliseconds: Median of a click for each of ``PRECISIONS``.
    """

    name: str
    parameters: int
    gmac: float
    milliseconds: tuple[float, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(network_names()))
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    rows = []
    for name in options.names:
        rows.append(measure(name, options.side, options.runs))
        print(table(rows, options.side)[-1], flush=True)
    lines = [_conditions(options.side, options.runs), "", *table(rows, options.side)]
    if options.into is None:
        print("\n".join(lines))
    else:
        replace_between_markers(options.into, lines)


def measure(name: str, side: int, runs: int) -> Row:
    """Figures of the network called ``name`` on views of ``side`` × ``side`` pixels."""
    network = build_network(name).eval()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    gmac = multiply_adds(network, side) / 1e9
    milliseconds = []
    for precision in PRECISIONS:
        predictor = Predictor(network, name=name, device="cpu", precision=precision)
        milliseconds.append(1e3 * seconds_a_click(predictor, side, runs))
    return Row(name, parameters, gmac, tuple(milliseconds))


def multiply_adds(network: InteractiveNetwork, side: int) -> int:
    """Multiply-adds of convolutions and matrix products for one view, in eval mode.

    All stages together, as the network is: convolutions and batch norms not merged, element
    by element operations, warps and resampling not counted. Runs on the network's device.
    """
    device = next(network.parameters()).device
    kinds = network.spec.click_kinds
    maps = torch.zeros(1, len(kinds), side, side, device=device)
    maps[..., side // 2 - 5 : side // 2 + 6, side // 2 - 5 : side // 2 + 6] = 1
    centre = [[side / 2, side / 2, float(kind)] for kind in range(len(kinds))]
    image = torch.zeros(1, 3, side, side, device=device)
    prior = torch.zeros(1, 1, side, side, device=device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for stage in network.stages:
            stage(image, maps, prior, torch.tensor([centre], device=device))
    return int(counter.get_total_flops()) // 2


def seconds_a_click(predictor: Predictor, side: int, runs: int) -> float:
    """Median seconds of an answer to one click of each kind, after two to warm up."""
    rng = np.random.default_rng(0)
    image = rng.random((side, side, 3), dtype=np.float32)
    prior = rng.random((side, side), dtype=np.float32)
    centre = side / 2
    clicks = [
        Click.of_kind(centre + 20 * index, centre, kind)
        for index, kind in enumerate(predictor.click_kinds)
    ]
    spent = []
    for _ in range(runs + 2):
        began = time.perf_counter()
        for stage in predictor.stages:
            stage.predict(image, clicks, prior)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent[2:])


def table(rows: list[Row], side: int) -> list[str]:
    """Lines of a Markdown table."""
    lines = [
        f"| network | parameters | GMAC at {side}² | ms a click, float32 | ms, bfloat16 |",
        "|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        times = " | ".join(f"{value:.0f}" for value in row.milliseconds)
        lines.append(f"| `{row.name}` | {row.parameters:,} | {row.gmac:.2f} | {times} |")
    return lines


def _conditions(side: int, runs: int) -> str:
    threads = torch.get_num_threads()
    return (
        f"CPU with {threads} thread{'s' if threads != 1 else ''}, PyTorch {torch.__version__}, "
        f"views of {side} × {side} pixels, medians of {runs} clicks."
    )


def replace_between_markers(path: Path, lines: list[str]) -> None:
    """Puts the lines between the two markers of a Markdown file.

    Raises:
        ValueError: The file does not have both markers.
    """
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{path} must hold the lines {BEGIN} and {END}; add them")
    block = "\n".join([begin, "", *lines, "", end])
    path.write_text(before + block + after, encoding="utf-8")


if __name__ == "__main__":
    main()
