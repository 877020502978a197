"""Memory and processor time of exports of large rasters, each in a process of its own.

Run with ``python benchmarks/exports.py [--scene object rings] [--formats geopackage coco]``; needs
the extra ``geo``. Two scenes, computed as they are read, so that nothing but the export is
measured:

* ``object``: one disk with a hole and a rough border, 20 000 × 20 000 px;
* ``rings``: 10 000 rings of 120 px, each with a disk in it, on 50 000 × 50 000 px.

Columns: processor time, highest resident memory of the process, of that above the start.
Every number depends on the machine: compare runs on the same one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, Labels, ObjectRecord
from napari_edgeflow.export.formats import FORMATS, export
from napari_edgeflow.raster.place import MapPlace

SIDE_OBJECT, SIDE_RINGS, N_RINGS, PITCH = 20_000, 50_000, 10_000, 130
OUTLINES = ("geopackage", "geojson", "shapefile", "qupath", "imagej_roi", "coco", "labelme", "yolo")
_TOLERANT = ("geopackage", "geojson", "shapefile", "qupath")


@dataclass(frozen=True)
class RoughDisk:
    """A disk whose border waves by some pixels, with a hole; id 1."""

    side: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.side, self.side

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` of the window."""
        y = np.arange(window.y0, window.y1, dtype=np.int32)[:, None] - self.side // 2
        x = np.arange(window.x0, window.x1, dtype=np.int32)[None] - self.side // 2
        squared = y * y + x * x
        wave = 40 * ((y >> 2) * 7 + (x >> 2) * 13 & 31)  # of the squared radius, in pixels of it
        outer, inner = self.side // 2 - 700, self.side // 8
        is_in = (squared + wave * 700 < outer**2) & (squared - wave * 100 > inner**2)
        labels: Labels = is_in.astype(np.uint32)
        return labels


@dataclass(frozen=True)
class Rings:
    """Rings of 120 px in rows, with disks that touch them in their holes: two objects a place."""

    side: int
    count: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.side, self.side

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` of the window."""
        per_row = self.side // PITCH
        y = np.arange(window.y0, window.y1)[:, None]
        x = np.arange(window.x0, window.x1)[None]
        number = (y // PITCH) * per_row + x // PITCH
        distance = (y % PITCH - 60) ** 2 + (x % PITCH - 60) ** 2
        label = 2 * number + 1 + (distance < 30**2)
        is_in = (distance < 60**2) & (number < self.count // 2) & (x // PITCH < per_row)
        labels: Labels = np.where(is_in, label, 0).astype(np.uint32)
        return labels


def scene(name: str) -> AnnotationSet:
    """The annotations of a scene."""
    import pyproj

    reader: Any = RoughDisk(SIDE_OBJECT) if name == "object" else Rings(SIDE_RINGS, N_RINGS)
    records = [ObjectRecord(1, 1, Window(0, 0, SIDE_OBJECT, SIDE_OBJECT), 1)]
    if name == "rings":
        records = []
        for number in range(N_RINGS // 2):
            y, x = (at * PITCH for at in divmod(number, SIDE_RINGS // PITCH))
            records.append(ObjectRecord(2 * number + 1, 1, Window(y, x, y + 121, x + 121), 1))
            inner = Window(y + 30, x + 30, y + 91, x + 91)
            records.append(ObjectRecord(2 * number + 2, 1, inner, 1))
    place = MapPlace((0.5, 0, 733601.25, 0, -0.5, 3725139.75), pyproj.CRS.from_epsg(32616).to_wkt())
    image = ImageInfo(f"{name}.tif", reader.shape, place=place)
    return AnnotationSet(image, ClassList().add("thing"), tuple(records), reader)


def measure(name: str, one_format: str, tolerance: float) -> dict[str, float]:
    """Seconds of processor time, peak of resident memory, and what was there before, in MB."""
    annotated = scene(name)
    options = {"tolerance": tolerance} if one_format in _TOLERANT else {}
    with tempfile.TemporaryDirectory() as folder:
        suffix = FORMATS[one_format].suffix
        target = Path(folder) / (f"out{suffix}" if suffix else "out")
        small = AnnotationSet(annotated.image, annotated.classes, (), annotated.labels)
        if suffix:  # the libraries are loaded before
            export(one_format, target, [small], options=options)
        before, began = _peak_mb(), time.process_time()
        export(one_format, target, [annotated], options=options)
        return {
            "seconds": time.process_time() - began,
            "peak": _peak_mb(),
            "before": before,
        }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", nargs="+", choices=("object", "rings"), default=["object"])
    parser.add_argument("--formats", nargs="+", default=OUTLINES)
    parser.add_argument("--tolerances", nargs="+", type=float, default=[0.0])
    parser.add_argument("--one", help="measure this JSON list here; prints JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(*json.loads(options.one))))
        return
    for name in options.scene:
        for one_format in options.formats:
            for tolerance in options.tolerances:
                command = [sys.executable, __file__, "--one"]
                chosen = json.dumps([name, one_format, tolerance])
                done = subprocess.run(
                    [*command, chosen], check=True, capture_output=True, text=True
                )
                found = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{name:<8}{one_format:<12}{tolerance:>6.1f}  {found['seconds']:8.1f} s "
                    f"{found['peak']:8.0f} MB  +{found['peak'] - found['before']:.0f} MB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
