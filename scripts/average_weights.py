"""Weighted average of two weights files of one network, for runs that share a start.

python scripts/average_weights.py a/weights.safetensors b/weights.safetensors 0.5 out.safetensors

keeps half of each; 0.67 keeps 67 % of the second. The metadata are the first file's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file

from napari_edgeflow.zoo.build import read_metadata, save_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float, help="of the second, from 0 to 1")
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if not 0 <= options.share <= 1:
        parser.error(f"expected a share from 0 to 1, got {options.share}")
    first, second = load_file(options.first), load_file(options.second)
    if {name: value.shape for name, value in first.items()} != {
        name: value.shape for name, value in second.items()
    }:
        parser.error("the files are of different networks")
    averaged = {
        name: value.lerp(second[name].to(value.dtype), options.share)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
    save_weights(averaged, options.out, read_metadata(options.first))


if __name__ == "__main__":
    main()
