"""The bar that offers what was saved, the line that says what is saved, and a double click."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from qtpy.QtTest import QTest

from napari_edgeflow.gui.controller import Controller

from .canvas import LEFT, NO_KEY, canvas_point, click, native_canvas
from .fakes import PATIENCE_S, squares

Settle = Callable[[Controller], None]


def test_a_window_offers_what_the_one_before_saved(
    open_widget: Callable[..., Any], settle: Settle, tmp_path: Path, qtbot: Any
) -> None:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, squares())
    options = {"name": "cells", "metadata": {"path": str(path)}}
    first = open_widget(tifffile.imread(path), **options)
    assert not first.resume_bar.isVisibleTo(first)
    first.tool_button.setChecked(True)
    click(first.viewer, (15, 20))
    settle(first.controller)
    first.next_button.click()
    settle(first.controller)
    assert first.saved_line.text().startswith("Saved at ")
    assert first.undo_button.toolTip().startswith("Undo: finish object 1")
    first.close_down()
    qtbot.waitUntil(
        lambda: not first.controller.projects.worker.is_alive, timeout=PATIENCE_S * 1000
    )

    again = open_widget(tifffile.imread(path), **options)
    bar = again.resume_bar
    assert bar.isVisibleTo(again)
    assert bar.line.text().startswith("Resume 1 object of ")
    bar.resume_button.click()
    settle(again.controller)
    assert not bar.isVisibleTo(again)
    assert np.array_equal(again.controller.target.data > 0, squares_at_the_click())
    again.tool_button.setChecked(True)
    native, point = native_canvas(again.viewer), canvas_point(again.viewer, (15, 20))
    QTest.mouseClick(native, LEFT, NO_KEY, point)
    QTest.mouseDClick(native, LEFT, NO_KEY, point)
    settle(again.controller)
    assert again.object_line.text() == "Correcting object 1 on the image"
    again.overlap_box.setCurrentIndex(2)
    again.overlap_box.activated.emit(2)
    assert again.controller.overlap_rule == "ask"


def squares_at_the_click() -> Any:
    """The object that was clicked."""
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:25, 10:30] = True
    return mask
