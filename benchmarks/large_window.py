"""Large rasters in the window: opening, committing, redrawing, memory; ratios to 1 000².

``xvfb-run -a python benchmarks/large_window.py [--sides 1000 50000 100000]``; each side runs in a
process of its own over a sparse pyramid made for it. Times are wall and, in brackets, processor
time (of the Qt thread where the row says so): what is left on a quiet machine. Every number depends
on the machine: compare runs on the same one. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

SIDES = (1000, 50_000, 100_000)
OBJECT_PX, N_COMMITS, N_VIEWS = 1024, 5, 8
_ROWS = {
    "open": "open, with the labels' layer, ms",
    "memory": "memory above an open window, MB",
    "commit": "commit of a 1024² object, ms",
    "shown": "of that on the Qt thread, ms",
    "refresh": "redrawing the labels, Qt thread, ms",
    "pan": "moving the view, Qt thread, ms",
}
Figures = dict[str, tuple[float, float]]
"""By row: the figure, and its processor time where it is a time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES, help="rows and columns")
    parser.add_argument("--one", type=int, help="measure this side here; prints JSON")
    parser.add_argument("--picture", type=Path, help="a picture of the window, with --one")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options.picture)))
        return
    results = [_in_a_process(side) for side in options.sides]
    print(f"{'':<42}" + "".join(f"{f'{side}²':>22}" for side in options.sides))
    for key, name in _ROWS.items():
        print(f"{name:<42}" + "".join(f"{_cell(one[key], results[0][key]):>22}" for one in results))


def _cell(figure: tuple[float, float], first: tuple[float, float]) -> str:
    """The figure, its processor time, and how many times the first one's that is."""
    number = 1 if figure[1] else 0
    busy = f" ({figure[1]:.0f})" if figure[1] else ""
    return f"{figure[0]:.0f}{busy} ×{figure[number] / max(first[number], 1e-9):.1f}"


class Stopwatch:
    """Milliseconds since it was made: wall, and processor time by the clock that was chosen."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began, self._began_busy = time.perf_counter(), clock()

    def read(self) -> tuple[float, float]:
        """(wall, processor)."""
        busy = self._clock() - self._began_busy
        return 1e3 * (time.perf_counter() - self._began), 1e3 * busy


def _medians(readings: list[tuple[float, float]]) -> tuple[float, float]:
    return median(one for one, _ in readings), median(two for _, two in readings)


def _in_a_process(side: int) -> Figures:
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(side)], check=True, capture_output=True, text=True
    )
    found: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(side: int, picture: Path | None = None) -> Figures:
    """The figures of one side."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_EDGEFLOW_PROJECTS"] = folder
        path = sparse_pyramid(Path(folder) / "raster.zarr", side)
        viewer, widget = _window()
        before = resident_mb()
        watch = Stopwatch(time.process_time)
        _open(viewer, widget, path)
        figures: Figures = {"open": watch.read()}
        figures["memory"] = resident_mb() - before, 0.0
        figures |= _commits(widget.controller.project, side)
        figures |= _views(viewer, widget.controller.project, side)
        if picture is not None:
            from skimage.io import imsave

            imsave(picture, viewer.screenshot(canvas_only=False, flash=False))
        viewer.close()
    return figures


def sparse_pyramid(path: Path, side: int) -> Path:
    """An OME-Zarr image of one band with a textured square here and there, the rest unwritten."""
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    datasets, number, size = [], 0, side
    places = [share * (side - 512) for share in (0.0, 0.3, 0.5, 0.7, 1.0)]
    texture = np.random.default_rng(0).integers(60, 200, (512, 512), dtype=np.uint8)
    while True:
        array = group.create_array(
            str(number), shape=(size, size), chunks=(min(512, size),) * 2, dtype="uint8"
        )
        step = 2**number
        for y in places:
            for x in places:
                part = texture[::step, ::step]
                top, left = int(y) // step, int(x) // step
                part = part[: size - top, : size - left]
                array[top : top + part.shape[0], left : left + part.shape[1]] = part
        scale = {"type": "scale", "scale": [float(step)] * 2}
        datasets.append({"path": str(number), "coordinateTransformations": [scale]})
        if size <= 1024:
            break
        number, size = number + 1, -(-size // 2)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    metadata: Any = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    group.attrs["ome"] = metadata
    return path


def _window() -> tuple[Any, Any]:
    """A viewer with the widget and a small image, so that all modules are loaded."""
    import napari

    from napari_edgeflow.gui.controller import Controller
    from napari_edgeflow.gui.widget import EdgeFlowWidget

    viewer = napari.Viewer()
    viewer.window.resize(1400, 850)
    small = viewer.add_image(np.zeros((64, 64), np.uint8))
    controller = Controller(viewer, lambda _name: None, None)  # type: ignore[arg-type, return-value]
    widget = EdgeFlowWidget(viewer, controller, [])
    viewer.window.add_dock_widget(widget, name="EdgeFlow")
    controller.show_layers()
    wait_until(lambda: controller.project is not None and controller.project.is_open)
    viewer.layers.remove(small)
    return viewer, widget


def _open(viewer: Any, widget: Any, path: Path) -> None:
    from napari_edgeflow.gui.files.reader import read_image

    ((data, options, _),) = read_image(path)
    image = viewer.add_image(data, **options)
    widget.controller.bind(image)
    widget.controller.show_layers()
    project = widget.controller.project
    wait_until(lambda: project.is_open and project.layer is not None)
    viewer.reset_view()
    wait_until(lambda: True)


def _commits(project: Any, side: int) -> Figures:
    from napari_edgeflow._types import Window
    from napari_edgeflow.annotation.commands import NewObject, commit_object

    n_px = min(OBJECT_PX, side // 2)
    y, x = np.ogrid[:n_px, :n_px]
    mask = (y - n_px / 2) ** 2 + (x - n_px / 2) ** 2 < (n_px * 0.45) ** 2
    whole, shown = [], []
    show = project.view.show

    def timed_show(*arguments: Any) -> None:
        watch = Stopwatch(time.thread_time)
        show(*arguments)
        shown.append(watch.read())

    project.view.show = timed_show
    for number in range(N_COMMITS):
        top = min(side // 2 + number * 200, side - n_px)
        window = Window(top, top, top + n_px, top + n_px)
        watch = Stopwatch(time.process_time)
        project.do(
            lambda state, store, window=window: commit_object(
                state, store, window, mask, NewObject(class_id=1), "new_on_top"
            )
        )
        wait_until(lambda: not project.is_busy)
        whole.append(watch.read())
    return {"commit": _medians(whole), "shown": _medians(shown)}


def _views(viewer: Any, project: Any, side: int) -> Figures:
    camera = (viewer.scene if hasattr(viewer, "scene") else viewer).camera
    refreshed, panned = [], []
    for number in range(N_VIEWS):
        watch = Stopwatch(time.thread_time)
        camera.center = (side * (0.4 + 0.02 * number), side * 0.5)
        camera.zoom = 0.5 if number % 2 else 0.05
        wait_until(lambda: True)
        panned.append(watch.read())
        watch = Stopwatch(time.thread_time)
        project.layer.refresh(extent=False, thumbnail=False)
        refreshed.append(watch.read())
    return {"refresh": _medians(refreshed), "pan": _medians(panned)}


def resident_mb() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wait_until(is_done: Callable[[], bool]) -> None:
    """Let Qt work until then."""
    from qtpy.QtWidgets import QApplication

    while True:
        QApplication.processEvents()
        if is_done():
            return
        time.sleep(0.001)


if __name__ == "__main__":
    main()
