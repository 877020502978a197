"""Shows EdgeFlow on a bundled image: in napari's window, or by itself where there is no display.

Without a display it starts itself again under Xvfb, clicks on roofs with real mouse events,
and writes demo/mask.tif (a GeoTIFF, for the sample is one), demo/mask.png and demo/screenshot.png.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PLUGIN, WIDGET, SAMPLE = "napari-edgeflow", "EdgeFlow click segmentation", "aerial_buildings"
STEPS = 5
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Stroke:
    """Clicks on one object, and the part of the image that is looked at meanwhile."""

    centre_yx: tuple[float, float]
    side_px: float
    clicks: tuple[tuple[float, float, bool], ...]


# The clicks: (y, x, is_positive) in pixels of the sample, object by object.
STROKES = (
    Stroke(
        (690.0, 735.0),
        640.0,
        (
            (704.0, 612.0, True),
            (606.0, 574.0, False),
            (603.0, 879.0, False),
            (709.0, 884.0, True),
            (774.0, 912.0, False),
        ),
    ),
    Stroke(
        (255.0, 440.0),
        480.0,
        ((251.0, 453.0, True), (205.0, 529.0, False), (245.0, 556.0, False)),
    ),
    Stroke(
        (120.0, 260.0),
        400.0,
        ((42.0, 277.0, True), (36.0, 209.0, True), (10.0, 255.0, True), (9.0, 163.0, False)),
    ),
)


def announce(step: int, text: str) -> None:
    print(f"[{step}/{STEPS}] {text}", flush=True)


def has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def restart_under_xvfb() -> None:
    """Replaces this process by itself on a virtual display; never returns."""
    xvfb = shutil.which("xvfb-run")
    if xvfb is None:
        sys.exit("there is no display and no xvfb-run: apt-get install -y xvfb xauth, then again")
    screen = "-screen 0 1600x1000x24"
    os.execv(xvfb, [xvfb, "-a", "-s", screen, sys.executable, *sys.argv, "--by-itself"])


def open_window() -> tuple[Any, Any]:
    """A viewer with the sample loaded and the widget docked, and the widget."""
    import napari

    viewer = napari.Viewer(title="napari-edgeflow demo")
    viewer.window.resize(1500, 900)
    viewer.open_sample(PLUGIN, SAMPLE)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    return viewer, widget


def wait_until(is_done: Callable[[], bool], what: str) -> None:
    """Lets Qt work until something is true; gives up with a message after a while.

    Sleeps between Qt's events: vispy replaces QTest.qWait by a loop that never sleeps and so
    takes half of the processor from the network.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    end = time.monotonic() + PATIENCE_S
    while not is_done():
        if time.monotonic() > end:
            sys.exit(f"demo: {what} did not happen within {PATIENCE_S:.0f} s")
        pause = QEventLoop()
        QTimer.singleShot(5, pause.quit)
        pause.exec()


def find_canvas(viewer: Any) -> Any:
    """The Qt widget that shows the image: the largest one that OpenGL draws."""
    from qtpy.QtWidgets import QApplication

    canvases = [w for w in QApplication.allWidgets() if "CanvasBackend" in type(w).__name__]
    return max(canvases, key=lambda widget: widget.width() * widget.height())


def find_camera(viewer: Any) -> Any:
    """The camera: napari 0.9 moved it to viewer.scene."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def look_at(viewer: Any, centre_yx: tuple[float, float], side_px: float) -> None:
    """Moves the camera so that a square of this side fills the canvas."""
    canvas = find_canvas(viewer)
    camera = find_camera(viewer)
    camera.center = (0.0, *centre_yx)
    camera.zoom = min(canvas.width(), canvas.height()) / side_px


def click_at(viewer: Any, y: float, x: float, is_positive: bool) -> None:
    """A real click of the mouse on a pixel of the image: left is positive, right negative."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    canvas = find_canvas(viewer)
    camera = find_camera(viewer)
    _, centre_y, centre_x = camera.center
    zoom = camera.zoom
    place = QPoint(
        round((x - centre_x) * zoom + canvas.width() / 2),
        round((y - centre_y) * zoom + canvas.height() / 2),
    )
    button = Qt.MouseButton.LeftButton if is_positive else Qt.MouseButton.RightButton
    QTest.mouseMove(canvas, place)
    QTest.mouseClick(canvas, button, Qt.KeyboardModifier.NoModifier, place)


def segment(viewer: Any, widget: Any) -> None:
    """Clicks every object of STROKES and commits it to the Labels layer."""
    controller = widget.controller
    for number, stroke in enumerate(STROKES, start=1):
        look_at(viewer, stroke.centre_yx, stroke.side_px)
        for count, (y, x, is_positive) in enumerate(stroke.clicks, start=1):
            click_at(viewer, y, x, is_positive)
            wait_until(partial(has_mask_of, controller, count), f"the mask of click {count}")
            print(f"      object {number}, click {count}: {controller.timings}", flush=True)
        controller.finish()
        wait_until(lambda: controller.active is None, f"the commit of object {number}")


def has_mask_of(controller: Any, n_clicks: int) -> bool:
    """True when the preview shows the answer to this many clicks."""
    active = controller.active
    return active is not None and len(active.predicted_clicks or ()) == n_clicks


def write_results(viewer: Any, widget: Any, folder: Path) -> None:
    """Writes the Labels layer as GeoTIFF and PNG, and a picture of the whole window."""
    from skimage.io import imsave

    from napari_edgeflow import open_raster
    from napari_edgeflow.export.mask import write_label_image

    folder.mkdir(parents=True, exist_ok=True)
    labels = np.asarray(widget.controller.target.data)
    with open_raster(viewer.layers["aerial buildings"].metadata["path"]) as source:
        write_label_image(folder / "mask.tif", labels, georeference=source.georeference)
    write_label_image(folder / "mask.png", labels)
    viewer.reset_view()
    picture = viewer.screenshot(canvas_only=False, flash=False)
    imsave(folder / "screenshot.png", picture, check_contrast=False)
    for path in sorted(folder.iterdir()):
        print(f"      {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}", flush=True)


def run_by_itself(folder: Path) -> None:
    """The demo without anybody at the mouse."""
    announce(1, "opening napari on a virtual display")
    viewer, widget = open_window()
    announce(2, "loading the model")
    widget.tool_button.setChecked(True)
    wait_until(lambda: bool(widget.controller.device_line), "loading the model")
    print(f"      {widget.controller.device_line}", flush=True)
    announce(3, f"clicking on {len(STROKES)} roofs")
    segment(viewer, widget)
    announce(4, "writing results")
    write_results(viewer, widget, folder)
    announce(5, "done")
    viewer.close()


def run_for_user() -> None:
    """The demo for somebody at the mouse; ends with the window."""
    import napari

    announce(1, "opening napari; close its window to end")
    _viewer, widget = open_window()
    widget.tool_button.setChecked(True)
    print("      left click on a roof, right click beside it, then Next object", flush=True)
    napari.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for the results")
    parser.add_argument("--by-itself", action="store_true", help="click, write and end")
    options = parser.parse_args()
    if not has_display():
        restart_under_xvfb()
    if options.by_itself:
        run_by_itself(options.out)
    else:
        run_for_user()


if __name__ == "__main__":
    main()
