"""Weights of edgeflow-18s for edgeflow-18s-cues: the same answers, ready to learn more.

python scripts/add_colour_cues.py runs/second/weights.safetensors runs/cues.safetensors

The channels of the colour cues get weights of zero, so that training can begin from a network
that never saw them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from napari_edgeflow.nn.cues import CUE_CHANNELS
from napari_edgeflow.zoo.build import build_network, load_weights, read_metadata, save_weights

FIRST = "maps_transform.0.weight"


def add_colour_cues(source: Path, target: Path) -> None:
    """Writes ``target``; ``source`` must hold weights of edgeflow-18s."""
    load_weights(build_network("edgeflow-18s"), source)
    state = load_file(source)
    first = state[FIRST]
    new = torch.zeros(first.shape[0], CUE_CHANNELS, *first.shape[2:], dtype=first.dtype)
    state[FIRST] = torch.cat([first, new], dim=1)
    save_weights(state, target, read_metadata(source) | {"network": "edgeflow-18s-cues"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    add_colour_cues(options.source, options.target)
