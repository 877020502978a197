"""A day's work in small: 100 objects by mouse and keys with the bundled model, 1000 without it.

``xvfb-run -a python benchmarks/session.py [--objects 100] [--more 1000] [--picture OUT.png]``

Nuclei of the bundled sample are clicked on in a real window: left, now and then right beside it, a
wrong click taken back with Backspace, Enter, every tenth object undone and done again. A timer of
5 ms watches Qt's event loop: a gap is the time between two of its ticks, wall and processor time of
the Qt thread, the latter being what is left on a quiet machine. Every number depends on the
machine; nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.large_window import resident_mb
from scripts import demo

TICK_MS = 5
SPACING_PX, SIDE_PX = 16, 12
Place = tuple[float, float]


@dataclass
class LoopWatch:
    """Gaps between the ticks of a timer on the Qt thread.

    Attributes:
        phase: What is being done now, in words.
        gaps: (wall ms, processor ms, phase) of each.
    """

    phase: str = ""
    gaps: list[tuple[float, float, str]] = field(default_factory=list)

    def start(self) -> None:
        """Watch from now on."""
        from qtpy.QtCore import Qt, QTimer

        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._last = time.perf_counter(), time.thread_time()
        self._timer.start(TICK_MS)

    def _tick(self) -> None:
        now = time.perf_counter(), time.thread_time()
        wall, busy = (1e3 * (new - old) for new, old in zip(now, self._last, strict=True))
        self.gaps.append((wall, busy, self.phase))
        self._last = now

    def report(self) -> None:
        """Print the gaps since the start, and the worst of each phase."""
        self._timer.stop()
        gaps = np.array([gap[:2] for gap in self.gaps])
        for name, column in zip(("wall", "processor"), gaps.T, strict=True):
            middle, rare, worst = np.percentile(column, [50, 99, 100])
            n_over = int((column > 50).sum())
            print(
                f"gaps of the event loop, {name}: median {middle:.0f} · 99 % {rare:.0f} · "
                f"worst {worst:.0f} ms · {n_over} of {len(column)} above 50 ms"
            )
        for phase in sorted({gap[2] for gap in self.gaps}):
            own = [gap for gap in self.gaps if gap[2] == phase]
            wall, busy = max(gap[0] for gap in own), max(gap[1] for gap in own)
            print(f"  {phase:<24} worst {wall:5.0f} ms wall {busy:5.0f} ms processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=100, help="clicked with the model")
    parser.add_argument("--more", type=int, default=1000, help="committed without it")
    parser.add_argument("--picture", type=Path, help="a picture of the window after the clicks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_EDGEFLOW_PROJECTS"] = folder
        click_objects(options.objects, options.picture)
        commit_objects(options.more)


def open_window(pixels: Any, name: str) -> tuple[Any, Any]:
    """A viewer with this image, and the widget with the click tool on and the model loaded."""
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1400, 850)
    viewer.add_image(pixels, name=name)
    _, widget = viewer.window.add_plugin_dock_widget(demo.PLUGIN, demo.WIDGET)
    widget.tool_button.setChecked(True)
    demo.wait_until(lambda: bool(widget.controller.device_line), "loading the model")
    demo.wait_until(lambda: not widget.controller.is_busy, "opening the project")
    return viewer, widget


def nuclei(n: int) -> tuple[Any, list[Place]]:
    """The sample, mirrored to the right until it has n nuclei, and the middle of each."""
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    from napari_edgeflow.gui.sample_data import open_nuclei

    pixels = open_nuclei()[0][0]
    otsu: Any = threshold_otsu
    while True:
        parts, n_parts = ndimage.label(ndimage.gaussian_filter(pixels, 1) > otsu(pixels))
        sizes = ndimage.sum_labels(parts > 0, parts, np.arange(1, n_parts + 1))
        large = 1 + np.flatnonzero((sizes > 80) & (sizes < 4000))
        if len(large) >= n:
            inside = ndimage.distance_transform_edt(parts > 0)
            middles = ndimage.maximum_position(inside, parts, large[:n])
            return pixels, [(float(y), float(x)) for y, x in middles]
        pixels = np.hstack([pixels, pixels[:, ::-1]])


def click_objects(n: int, picture: Path | None) -> None:
    """Annotate n nuclei as a user would, and print what it took."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    pixels, places = nuclei(n)
    viewer, widget = open_window(pixels, "nuclei")
    control, canvas = widget.controller, demo.find_canvas(viewer)
    watch, before, n_clicks = LoopWatch(), resident_mb(), 0

    def act(phase: str, do: Callable[[], object]) -> None:
        watch.phase = phase
        do()
        demo.wait_until(lambda: not control.is_busy, phase)

    def click(y: float, x: float, is_positive: bool = True) -> None:
        nonlocal n_clicks
        n_clicks += 1
        phase = "click" if control.active else "first click of an object"
        phase = phase if n_clicks > 1 else "first click of all"
        act(phase, lambda: demo.click_at(viewer, y, x, is_positive))

    def press(phase: str, key: Any, held: Any = Qt.KeyboardModifier.NoModifier) -> None:
        act(phase, lambda: QTest.keyClick(canvas, key, held))

    watch.start()
    began, began_busy = time.perf_counter(), time.thread_time()
    for number, (y, x) in enumerate(places, start=1):
        click(y, x)
        if number % 3 == 0:
            click(max(y - 25, 0), x, is_positive=False)
        if number % 5 == 0:
            click(y, max(x - 30, 0))
            press("Backspace", Qt.Key.Key_Backspace)
        press("Enter", Qt.Key.Key_Return)
        if control.active is not None:  # the mask lay on finished objects
            press("Escape", Qt.Key.Key_Escape)
        if number % 10 == 0:
            press("undo", Qt.Key.Key_U)
            press("redo", Qt.Key.Key_U, Qt.KeyboardModifier.ShiftModifier)
    spent, busy = time.perf_counter() - began, time.thread_time() - began_busy
    done = len(control.project.state.objects)
    print(f"{done} of {n} objects, {n_clicks} clicks in {spent:.0f} s: {60 * done / spent:.0f} a "
          f"minute · Qt thread {1e3 * busy / n:.0f} ms of processor an object")  # fmt: skip
    watch.report()
    print(f"memory {before:.0f} MB before, {resident_mb():.0f} MB after · {control.device_line}")
    _save_picture(viewer, picture)
    viewer.close()


def _save_picture(viewer: Any, picture: Path | None) -> None:
    if picture is not None:
        from skimage.io import imsave

        imsave(picture, viewer.screenshot(canvas_only=False, flash=False), check_contrast=False)


def commit_objects(n: int) -> None:
    """Commit n discs through the project, undo a tenth, and print what it took."""
    from napari_edgeflow._types import Window
    from napari_edgeflow.annotation.commands import NewObject, commit_object
    from napari_edgeflow.gui.panels.sections import Sections

    per_row = int(np.ceil(np.sqrt(n)))
    side = per_row * SPACING_PX
    viewer, widget = open_window(np.zeros((side, side), np.uint8), "discs")
    widget.findChild(Sections).open("Objects")
    project, watch, before = widget.controller.project, LoopWatch(), resident_mb()
    y, x = np.ogrid[:SIDE_PX, :SIDE_PX]
    mask = (y - SIDE_PX / 2) ** 2 + (x - SIDE_PX / 2) ** 2 < SIDE_PX**2 / 4

    def wait() -> None:
        demo.wait_until(lambda: not project.is_busy, watch.phase)

    def timed(phase: str, n_steps: int, step: Callable[[int], object]) -> None:
        watch.phase, began, busy = phase, time.perf_counter(), time.thread_time()
        for number in range(n_steps):
            step(number)
            wait()
        spent, busy = time.perf_counter() - began, time.thread_time() - busy
        print(f"{n_steps} × {phase}: {1e3 * spent / n_steps:.1f} ms each, "
              f"{1e3 * busy / n_steps:.1f} ms of processor on the Qt thread")  # fmt: skip

    def commit(number: int) -> None:
        top, left = (SPACING_PX * at for at in divmod(number, per_row))
        window = Window(top, left, top + SIDE_PX, left + SIDE_PX)
        project.do(
            lambda state, store: commit_object(state, store, window, mask, NewObject(class_id=1))
        )

    watch.start()
    timed("commit", n, commit)
    print(f"memory {before:.0f} MB before, {resident_mb():.0f} MB with {n} objects")
    timed("undo", n // 10, lambda _number: project.undo())
    timed("redo", n // 10, lambda _number: project.redo())
    watch.report()
    viewer.close()


if __name__ == "__main__":
    main()
