"""Going from image to image of a series: what it costs the Qt thread, turn by turn.

``xvfb-run -a python benchmarks/series.py [--side 512] [--images 6] [--profile]``

An object is clicked and finished on each picture of a folder, by a session without a network, and
the next one is opened. The event loop is watched as in ``session.py``; the parts of a change are
timed by the processor time of the Qt thread. With ``--profile`` the functions that take most of it
follow, which the profiler itself makes about three times slower. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.session import LoopWatch
from scripts import demo

REST_S = 0.1
"""After a change, for what napari draws then."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels of a picture's side")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--profile", action="store_true", help="list the dearest functions")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        os.environ["NAPARI_EDGEFLOW_PROJECTS"] = str(folder / "projects")
        write_pictures(folder, options.images, options.side)
        measure(folder, options.images, cProfile.Profile(time.thread_time), options.profile)


def write_pictures(folder: Path, n: int, side: int) -> None:
    """Noise, ``(side, side)`` uint8, in n PNG files."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(n):
        pixels = rng.integers(0, 255, (side, side), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"picture {number}.png")


def open_series(folder: Path) -> tuple[Any, Any, Any]:
    """The viewer, the controller with the click tool on, and the series at its first picture."""
    import napari
    from tests.gui.fakes import FakePredictor, FakeSession

    from napari_edgeflow.gui.controller import Controller
    from napari_edgeflow.gui.series.series import Series
    from napari_edgeflow.gui.widget import EdgeFlowWidget

    viewer = napari.Viewer()
    viewer.window.resize(1400, 850)
    control = Controller(viewer, lambda _name: FakePredictor(), FakeSession)
    widget = EdgeFlowWidget(viewer, control, [("fake", "region grow")])
    viewer.window.add_dock_widget(widget, name="EdgeFlow")
    series = Series(viewer, control, lambda: folder)
    series.open_folder(folder)
    wait(series, control)
    widget.tool_button.setChecked(True)
    wait(series, control)
    return viewer, control, series


def wait(series: Any, control: Any) -> None:
    """Until nothing is read, shown, worked out or written, and drawing is done."""
    demo.wait_until(
        lambda: (
            not (series.is_loading or control.is_busy or any(one.is_busy for one in series.workers))
        ),
        "the series",
    )
    end = time.monotonic() + REST_S
    demo.wait_until(lambda: time.monotonic() > end, "drawing")


class Parts:
    """Processor time of the Qt thread in some functions, in ms by name."""

    def __init__(self) -> None:
        self.ms: dict[str, list[float]] = defaultdict(list)

    def time(self, owner: Any, function: str, name: str) -> None:
        """Time a function of a class from now on."""
        inner = getattr(owner, function)

        def timed(*args: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return inner(*args, **options)
            finally:
                self.ms[name].append(1e3 * (time.thread_time() - began))

        setattr(owner, function, timed)


def measure(folder: Path, n: int, profile: cProfile.Profile, is_profiled: bool) -> None:
    """Go through the series and print what each change took."""
    from napari.components.layerlist import LayerList

    from napari_edgeflow.gui.series.switch import ImageSwitch

    viewer, control, series = open_series(folder)
    parts, watch, totals = Parts(), LoopWatch(), []
    parts.time(LayerList, "insert", "napari adds a layer")
    parts.time(LayerList, "remove", "napari removes a layer")
    parts.time(ImageSwitch, "_change_over", "binding, helper layers")
    watch.start()

    def do(phase: str, act: Callable[[], object]) -> None:
        watch.phase = phase
        act()
        wait(series, control)

    for number in range(n - 1):
        do("click", partial(control.click, (10 + number, 10), "positive"))
        do("finish", control.finish)
        began = time.thread_time()
        if is_profiled:
            profile.enable()
        do("next image", series.next)
        profile.disable()
        totals.append(1e3 * (time.thread_time() - began))
    watch.report()
    print(f"processor of a whole change: {np.median(totals):.0f} ms in the middle")
    for name, ms in parts.ms.items():
        print(f"  {name:<24} {len(ms)} × {np.median(ms):.0f} ms in the middle, {max(ms):.0f} worst")
    series.close()
    viewer.close()
    if is_profiled:
        pstats.Stats(profile).sort_stats("cumulative").print_stats(60)


if __name__ == "__main__":
    main()
