"""Puts trained weights into the package: float16, with their hash in the catalogue.

python scripts/bundle_weights.py runs/first/weights.safetensors --name edgeflow-18s \
        --network edgeflow-18s --summary "..." --light-side 112
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from napari_edgeflow.zoo.build import build_network, load_weights, read_metadata, save_weights
from napari_edgeflow.zoo.catalog import file_sha256

WEIGHTS = Path(__file__).parents[1] / "src" / "napari_edgeflow" / "zoo" / "weights"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--network", required=True)
    parser.add_argument("--licence", default="BSD-3-Clause (weights); see the model card")
    parser.add_argument("--summary", required=True)
    parser.add_argument("--input-side", type=int, default=0, help="if not that of training")
    parser.add_argument(
        "--light-side",
        type=int,
        help="side in pixels for a second entry, the same weights on smaller and faster views",
    )
    options = parser.parse_args()
    metadata = read_metadata(options.weights)
    load_weights(build_network(options.network), options.weights)
    state = load_file(options.weights)
    side = str(options.input_side or metadata.get("input_side", "0"))
    for name, value in state.items():
        if not torch.isfinite(value.half()).all():
            raise SystemExit(f"{name} does not fit into float16")
    target = WEIGHTS / f"{options.name}.safetensors"
    save_weights(
        state, target, metadata | {"network": options.network, "input_side": side}, half=True
    )
    entry = {
        "name": options.name,
        "network": options.network,
        "file": target.name,
        "sha256": file_sha256(target),
        "licence": options.licence,
        "summary": options.summary,
        "input_side": side,
    }
    _enter(entry)
    if options.light_side:
        _enter(
            entry
            | {
                "name": f"{options.name}-light",
                "summary": "The same weights on smaller views, for slow computers",
                "input_side": str(options.light_side),
            }
        )
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB, trained {metadata.get('step')} steps")


def _enter(item: dict[str, str]) -> None:
    """Replaces the model's entry in the catalogue, or adds it at the end."""
    path = WEIGHTS / "catalog.json"
    entries = json.loads(path.read_text()) if path.exists() else []
    names = [entry["name"] for entry in entries]
    if item["name"] in names:
        entries[names.index(item["name"])] = item
    else:
        entries.append(item)
    path.write_text(json.dumps(entries, indent=2) + "\n")


if __name__ == "__main__":
    main()
