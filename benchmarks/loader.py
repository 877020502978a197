"""How many training views a second the loader draws, by its number of threads.

    python benchmarks/loader.py [DATA ...] [--side 256] [--seconds 4]

DATA are data sets as for ``napari-edgeflow train``; without them, images of disks are made up.
Prints views a second and the ratio to one thread; nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from napari_edgeflow.training.feed import AHEAD, Feed
from napari_edgeflow.training.pack import Pack, write_pack
from napari_edgeflow.training.sampling import ViewSampler
from napari_edgeflow.training.settings import Phase

WORKERS = (1, 2, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        pack = write_pack(options.data or [disks(Path(folder) / "disks")], Path(folder) / "pack")
        spent = time.perf_counter() - began
        print(
            f"{len(pack.images)} images, {len(pack.objects)} objects, packed in {spent:.1f} s; "
            f"views of {options.side} px; {os.cpu_count()} cores\n"
        )
        print("threads  views/s  to one thread")
        first = None
        for workers in WORKERS:
            rate = views_a_second(pack, options.side, workers, options.seconds)
            first = first or rate
            print(f"{workers:>7}  {rate:7.1f}  {rate / first:13.2f}")


def views_a_second(pack: Pack, side: int, workers: int, seconds: float) -> float:
    """The rate at which ``workers`` threads fill a feed that is emptied at once."""
    feed = Feed(ViewSampler(pack), (0,), threads=workers)
    phase = Phase(until=1.0, side=side, batch=1)
    try:
        for _ in range(2 * AHEAD):  # past what was drawn ahead
            feed.next(phase)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            feed.next(phase)
            count += 1
        return count / (time.perf_counter() - began)
    finally:
        feed.close()


def disks(folder: Path, *, images: int = 8, size: int = 512) -> Path:
    """A data set of noisy disks, five in each image."""
    rng = np.random.default_rng(0)
    rows, columns = np.ogrid[:size, :size]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(images):
        ids = np.zeros((size, size), np.uint8)
        for i in range(1, 6):
            y, x = rng.integers(40, size - 40, 2)
            ids[(rows - y) ** 2 + (columns - x) ** 2 <= int(rng.integers(8, 60)) ** 2] = i
        pixels = np.where(ids > 0, 150, 60)[..., None] + rng.integers(0, 60, (size, size, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray(ids).save(folder / "masks" / f"{number}.png")
    return folder


if __name__ == "__main__":
    main()
