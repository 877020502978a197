"""Times and memory of large rasters and label stores: opening, writing, reading, exporting.

Run with ``python benchmarks/rasters.py [--side 50000] [--objects 1000]``; needs the extra ``geo``.
Columns: wall time, processor time (what is left on a quiet machine), memory above the last peak.
Every number depends on the machine: compare runs on the same one.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, ObjectRecord
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.export.geo import write_map_objects
from napari_edgeflow.export.geo_raster import write_label_cog
from napari_edgeflow.raster.place import MapPlace


def peak_mb() -> float:
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(name: str, action: Callable[[], Any], repeats: int = 1) -> Any:
    """The action's result; prints median wall and processor time, and memory above the peak."""
    before, seconds, result = peak_mb(), [], None
    busy = []
    for _ in range(repeats):
        began, began_busy = time.perf_counter(), time.process_time()
        result = action()
        seconds.append(time.perf_counter() - began)
        busy.append(time.process_time() - began_busy)
    wall_ms, busy_ms = statistics.median(seconds) * 1e3, statistics.median(busy) * 1e3
    print(f"{name:<44} {wall_ms:9.1f} ms  {busy_ms:9.1f} ms  +{peak_mb() - before:.0f} MB")
    return result


def disk(side: int) -> Any:
    """``(side, side) uint32``: a disk of ones."""
    y, x = np.ogrid[:side, :side]
    centre = (side - 1) / 2
    return ((y - centre) ** 2 + (x - centre) ** 2 < (side * 0.45) ** 2).astype(np.uint32)


def measure_store(folder: Path, side: int) -> ZarrStore:
    path = folder / "labels.zarr"
    timed(f"create a store of {side}²", lambda: ZarrStore.create(path, (side, side)))
    store: ZarrStore = timed(f"open a store of {side}²", lambda: ZarrStore.open(path))
    labels = disk(1024) * np.uint32(2**24 + 1)
    places = iter(np.random.default_rng(0).integers(0, side - 1024, (20, 2)).tolist())

    def commit() -> None:
        y, x = next(places)
        store.write(Window(y, x, y + 1024, x + 1024), labels)

    def commit_and_save() -> None:
        commit()
        store.flush()

    timed("commit 1024², all levels, in memory", commit, 5)
    timed("save what is pending", store.flush)
    timed("commit 1024² and save it", commit_and_save, 5)
    timed("read 1024²", lambda: store.read(Window(100, 100, 1124, 1124)), 5)
    view = store.levels[len(store.levels) // 2]
    timed("read a view of 1024² of a middle level", lambda: view[:1024, :1024], 5)
    return store


def measure_export(folder: Path, side: int, n_objects: int) -> None:
    store = ZarrStore.create(folder / "objects.zarr", (side, side))
    place = MapPlace((0.5, 0, 733601.25, 0, -0.5, 3725139.75), _utm())
    shape, records = disk(64), []
    per_row = max(1, side // 80)
    for number in range(n_objects):
        y, x = (number // per_row) * 80, (number % per_row) * 80
        window = Window(y, x, y + 64, x + 64)
        store.write(window, shape * np.uint32(number + 1))
        records.append(ObjectRecord(number + 1, 1, window, int(shape.sum())))
    timed(f"save {n_objects} objects", store.flush)
    classes = ClassList((ObjectClass(1, "disk", (230, 159, 0)),))
    image = ImageInfo("benchmark", (side, side))
    annotations = AnnotationSet(image, classes, tuple(records), store)
    for name, tolerance in (("exact", 0.0), ("simplified by 1 m", 1.0)):
        write = partial(
            write_map_objects, folder / "objects.gpkg", annotations, place, tolerance=tolerance
        )
        timed(f"GeoPackage of {n_objects} objects, {name}", write)
    timed(
        f"label COG of {side}²",
        lambda: write_label_cog(folder / "labels.tif", store, place, highest_id=n_objects),
    )


def _utm() -> str:
    import pyproj

    return str(pyproj.CRS.from_epsg(32616).to_wkt())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=50_000, help="rows and columns")
    parser.add_argument("--objects", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure_store(Path(folder), arguments.side)
        measure_export(Path(folder), arguments.side, arguments.objects)


if __name__ == "__main__":
    main()
