"""How long the window takes: from starting Python to the widget ready, and a click in the window.

``xvfb-run -a python benchmarks/window.py [--picture OUT.png]``; prints one run, asserts nothing.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

STARTED = time.perf_counter()

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripts import demo  # noqa: E402

NUCLEI = ((181, 247), (155, 320), (45, 140), (340, 235), (105, 550), (260, 603), (480, 405))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path, help="a picture of the window at the end")
    options = parser.parse_args()
    import napari

    viewer = napari.Viewer()
    viewer.window.resize(1400, 850)
    opened = time.perf_counter()
    viewer.open_sample(demo.PLUGIN, "nuclei")
    _, widget = viewer.window.add_plugin_dock_widget(demo.PLUGIN, demo.WIDGET)
    docked = time.perf_counter()
    widget.tool_button.setChecked(True)
    demo.wait_until(lambda: bool(widget.controller.device_line), "loading the model")
    ready = time.perf_counter()
    print(f"napari's window {opened - STARTED:.1f} s · sample and widget {docked - opened:.1f} s")
    print(f"model ready {ready - docked:.1f} s later · {widget.controller.device_line}")
    for number, (y, x) in enumerate(NUCLEI, start=1):
        demo.look_at(viewer, (float(y), float(x)), 200.0)
        began = time.perf_counter()
        demo.click_at(viewer, y, x, is_positive=True)
        demo.wait_until(partial(demo.has_mask_of, widget.controller, 1), "the mask")
        spent = 1e3 * (time.perf_counter() - began)
        print(f"nucleus {number}: {spent:.0f} ms in all · {widget.controller.timings}")
        if number < len(NUCLEI):
            widget.controller.finish()
            demo.wait_until(lambda: widget.controller.active is None, "the commit")
    if options.picture is not None:
        from skimage.io import imsave

        viewer.reset_view()
        imsave(options.picture, viewer.screenshot(canvas_only=False, flash=False))
    viewer.close()


if __name__ == "__main__":
    main()
