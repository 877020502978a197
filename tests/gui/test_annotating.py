"""Classes and objects in the widget: real clicks, the real project, its table and its colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_edgeflow.annotation.commands import edit_classes
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.labels.object_columns import COLUMNS

from .canvas import CTRL, NO_KEY, click, native_canvas
from .fakes import PATIENCE_S, squares

OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]


def _wait(qtbot: Any, controller: Controller) -> None:
    project = controller.project
    assert project is not None
    qtbot.waitUntil(
        lambda: not controller.worker.is_busy and not project.is_busy, timeout=PATIENCE_S * 1000
    )


def _press(widget: Any, key: Any, modifier: Any = NO_KEY) -> None:
    QTest.keyClick(native_canvas(widget.viewer), key, modifier)


def _cells(objects: Any) -> list[list[str]]:
    keys = [number for number, one in enumerate(COLUMNS) if one.key in ("id", "class", "area_px")]
    table = objects.table
    return [[table.index(row, k).data() for k in keys] for row in range(table.rowCount())]


def test_objects_get_the_class_of_the_digit_and_are_found_in_the_table(
    open_widget: OpenWidget, qtbot: Any
) -> None:
    widget = open_widget(squares())
    control, panels = widget.controller, dict(widget.panels)
    classes, objects = panels["Classes"], panels["Objects"]
    _wait(qtbot, control)
    control.project.do(lambda s, _: edit_classes(s, s.classes.add("nucleus")))
    _wait(qtbot, control)
    widget.tool_button.setChecked(True)
    for at, key in (((15, 20), Qt.Key.Key_2), ((40, 50), Qt.Key.Key_1)):
        _press(widget, key)
        click(widget.viewer, at)
        _wait(qtbot, control)
        control.finish()
        _wait(qtbot, control)
    first = control.project.state.classes.classes[0].name
    assert _cells(objects) == [["1", "nucleus", "300"], ["2", first, "450"]]

    classes.color_box.setCurrentIndex(1)
    classes.color_box.activated.emit(1)
    control.selected_ids = (2,)
    _press(widget, Qt.Key.Key_2, CTRL)
    _wait(qtbot, control)
    assert _cells(objects)[1] == ["2", "nucleus", "450"]
    control.selected_ids = ()
    layer = control.project.layer
    shown = layer.colormap.map(np.array([1, 2], layer.dtype))
    color = control.project.state.classes.named("nucleus").color
    np.testing.assert_allclose(shown[:, :3] * 255, [color, color], atol=0.5)

    control.selected_ids = (1,)
    objects.delete_button.click()
    _wait(qtbot, control)
    assert _cells(objects) == [["2", "nucleus", "450"]]
    assert not (layer.data == 1).any()
    control.undo()
    control.undo()
    _wait(qtbot, control)
    assert _cells(objects) == [["1", "nucleus", "300"], ["2", first, "450"]]
    objects.table.sort(0)
    control.selected_ids = (1,)
    objects.take_up_button.click()
    _wait(qtbot, control)
    assert control.active is not None


def test_panels_let_go_with_the_widget(open_widget: OpenWidget, qtbot: Any) -> None:
    widget = open_widget(squares())
    control, project = widget.controller, widget.controller.project
    _wait(qtbot, control)
    scale = widget.viewer.layers[0].events.scale
    n_links = sum("ProjectLink" in repr(one) for one in scale.callbacks)
    widget.close_down()
    assert n_links >= 3
    assert not any("ProjectLink" in repr(one) for one in scale.callbacks)
    assert len(control.selection_changed) == 0
    assert project is not None
    assert not widget.viewer.keymap
