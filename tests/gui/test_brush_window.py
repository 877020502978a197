"""Painting in a window of a large raster's labels, in a real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.errors import EdgeFlowError
from napari_edgeflow.gui.labels.brush_window import LAYER_NAME, BrushWindow, brush_window

from .fakes import PATIENCE_S, squares
from .test_large_labels import SIDE, SquareSession, _levels, _look_at


@pytest.fixture
def painting(
    open_widget: Callable[..., Any], qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """(widget, brush window) over a 20 000² raster with object 1 in view and 2 far away."""
    monkeypatch.setenv("NAPARI_EDGEFLOW_PROJECTS", str(tmp_path))
    widget = open_widget(
        _levels(), session=SquareSession, multiscale=True, rgb=True, contrast_limits=(0, 255)
    )
    brush = next(panel for _, panel in widget.panels if isinstance(panel, BrushWindow))
    _look_at(widget.viewer, (10_000, 10_000), 1.0)
    widget.controller.show_layers()
    project = widget.controller.project
    for y, x in ((9950, 9950), (100, 100)):
        window = Window(y, x, y + 80, x + 90)
        mask = np.ones(window.shape, bool)
        project.do(
            lambda state, store, window=window, mask=mask: commit_object(
                state, store, window, mask, NewObject(class_id=1)
            )
        )
    _wait(qtbot, lambda: len(project.state.objects) == 2)
    return widget, brush


def _wait(qtbot: Any, is_done: Callable[[], bool]) -> None:
    qtbot.waitUntil(is_done, timeout=PATIENCE_S * 1000)


def test_what_is_painted_becomes_one_step(painting: Any, qtbot: Any) -> None:
    widget, brush = painting
    viewer, project = widget.viewer, widget.controller.project
    assert brush.start_button.isEnabled()
    brush.start_button.click()
    _wait(qtbot, lambda: brush.layer is not None)
    layer = brush.layer
    assert layer.name == LAYER_NAME
    assert max(layer.data.shape) <= 4096
    assert layer.selected_label == 3
    assert not project.layer.visible
    y0, x0 = (int(value) for value in layer.translate)
    assert (layer.data[9950 - y0 : 10_030 - y0, 9950 - x0 : 10_040 - x0] == 1).all()
    layer.paint((9970 - y0, 10_100 - x0), 3)
    rows, columns = np.mgrid[9950 - y0 : 9960 - y0, 9950 - x0 : 10_040 - x0]
    layer.data_setitem((rows.ravel(), columns.ravel()), 0)
    brush.keep_button.click()
    _wait(qtbot, lambda: brush.layer is None)
    assert layer not in viewer.layers
    assert project.layer.visible
    objects = project.state.objects
    assert objects[1].box == Window(9960, 9950, 10_030, 10_040)
    assert objects[1].area_px == 70 * 90
    assert objects[3].area_px > 20
    assert project.read(Window(9970, 10_100, 9971, 10_101)).item() == 3
    assert project.undo_title.startswith("paint object 1, 3")
    project.undo()
    _wait(qtbot, lambda: 3 not in project.state.objects)
    assert (project.read(Window(9950, 9950, 10_030, 10_040)) == 1).all()
    _wait(qtbot, lambda: not project.view.is_saving)


def test_dropped_and_deleted_paintings_leave_nothing(painting: Any, qtbot: Any) -> None:
    widget, brush = painting
    project = widget.controller.project
    title = project.undo_title
    for end in (brush.drop, lambda: widget.viewer.layers.remove(LAYER_NAME)):
        brush.start()
        _wait(qtbot, lambda: brush.layer is not None)
        brush.layer.paint((5, 5), 3)
        end()
        assert brush.layer is None
        assert LAYER_NAME not in widget.viewer.layers
        assert project.layer.visible
        assert project.undo_title == title
    brush.start()
    _wait(qtbot, lambda: brush.layer is not None)
    brush.keep()  # nothing was painted
    _wait(qtbot, lambda: brush.layer is None)
    assert project.undo_title == title
    _wait(qtbot, lambda: not project.view.is_saving)


def test_small_images_are_painted_in_their_own_layer(open_widget: Callable[..., Any]) -> None:
    widget = open_widget(squares())
    widget.controller.show_layers()
    brush = next(panel for _, panel in widget.panels if isinstance(panel, BrushWindow))
    assert not brush.start_button.isEnabled()
    assert "small enough" in brush.line.text()
    for control in (brush.start_button, brush.keep_button, brush.drop_button, brush.line):
        assert control.toolTip()


def test_the_part_that_is_painted_in() -> None:
    shape = (SIDE, SIDE)
    assert brush_window(Window(-5, 10, 100, 300), shape) == Window(0, 10, 100, 300)
    big = brush_window(Window(1000, 0, 11_000, 3000), shape)
    assert big == Window(3952, 0, 8048, 3000)
    for nothing in (None, Window(SIDE, 0, SIDE + 5, 10)):
        with pytest.raises(EdgeFlowError, match="move the view"):
            brush_window(nothing, shape)
