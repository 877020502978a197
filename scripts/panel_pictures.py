"""Draws the pictures of the panel's sections for the documentation, each as a small PNG.

``xvfb-run -a python scripts/panel_pictures.py [--out docs/images]``; the window shows the bundled
nuclei with a few objects, clicked by this script.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from scripts import demo

NUCLEI = ((181, 247), (155, 320), (45, 140), (340, 235), (105, 550))
WIDTH_PX = 300
MOST_BYTES = 60_000
COLOURS = 64
SETTLE_S = 0.7


def name_of(title: str) -> str:
    """The file of a section: ``panel_image-series.png``."""
    return f"panel_{re.sub(r'[^a-z]+', '-', title.lower()).strip('-')}.png"


def open_window() -> tuple[Any, Any]:
    """A viewer with the nuclei and the widget, and the widget, at the width of the pictures."""
    import napari
    from qtpy.QtCore import Qt

    viewer = napari.Viewer()
    viewer.window.resize(1400, 900)
    viewer.open_sample(demo.PLUGIN, "nuclei")
    dock, widget = viewer.window.add_plugin_dock_widget(demo.PLUGIN, demo.WIDGET)
    window = dock.parent()
    while not hasattr(window, "resizeDocks"):
        window = window.parent()
    window.resizeDocks([dock], [WIDTH_PX], Qt.Orientation.Horizontal)
    demo.wait_until(lambda: bool(widget.controller.device_line), "loading the model")
    return viewer, widget


def click_objects(widget: Any) -> None:
    """A few finished objects."""
    for y, x in NUCLEI:
        widget.controller.click((float(y), float(x)), "positive")
        demo.wait_until(partial(demo.has_mask_of, widget.controller, 1), "the mask")
        widget.controller.finish()
        demo.wait_until(lambda: widget.controller.active is None, "the commit")


def has_passed(moment: float) -> bool:
    """True after this time; Qt lays out in several rounds."""
    return time.monotonic() > moment


def save_small(widget: Any, path: Path) -> None:
    """Write what a widget shows with few colours, which is all that it has.

    Raises:
        ValueError: The file is too large for a page.
    """
    from PIL import Image

    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        widget.grab().save(str(shot))
        with Image.open(shot) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"expected at most {MOST_BYTES} bytes, got {path.stat().st_size}: {path}")


def draw_sections(widget: Any, out: Path, say: Callable[[str], None]) -> None:
    """One picture of every section, opened alone, and one of what is above them."""
    from napari_edgeflow.gui.panels.sections import Sections

    sections = widget.findChild(Sections)
    for one in sections.titles.values():
        one.setChecked(False)
    for title, panel in widget.panels:
        sections.open(title)
        demo.wait_until(panel.isVisible, f"opening {title}")
        demo.wait_until(partial(has_passed, time.monotonic() + SETTLE_S), "the layout")
        save_small(panel, out / name_of(title))
        say(f"{name_of(title)}: {(out / name_of(title)).stat().st_size} bytes")
        sections.titles[title].setChecked(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=demo.ROOT / "docs" / "images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as projects:
        os.environ["NAPARI_EDGEFLOW_PROJECTS"] = projects
        viewer, widget = open_window()
        click_objects(widget)
        draw_sections(widget, options.out, print)
        widget.close_down()
        viewer.close()


if __name__ == "__main__":
    main()
