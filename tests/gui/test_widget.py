"""The widget in a real window, with real mouse events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from napari.layers import Labels, Points
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QProgressBar, QScrollArea, QSlider

from napari_edgeflow._types import Click
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.input.preferences import KEYS
from napari_edgeflow.gui.input.shortcuts import parse_keys

from .canvas import CTRL, LEFT, NO_KEY, RIGHT, canvas_point, click, drag, native_canvas
from .fakes import PATIENCE_S, FakePredictor, region, squares

OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]
PreviewMask = Callable[[Controller, tuple[int, ...]], Any]


def test_real_clicks_make_and_cut_the_mask(
    open_widget: OpenWidget, settle: Settle, preview_mask: PreviewMask
) -> None:
    image = squares()
    widget = open_widget(image)
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    assert np.array_equal(
        preview_mask(widget.controller, image.shape), region(image, [Click(15, 20)])
    )
    click(widget.viewer, (20, 25), RIGHT)
    click(widget.viewer, (12, 12), modifier=CTRL)
    settle(widget.controller)
    log = widget.controller.binding.log
    (plane,) = log.planes
    clicks = [entry.click for entry in log.on_plane(plane)]
    assert [c.is_positive for c in clicks] == [True, False, False]
    assert np.allclose([(c.y, c.x) for c in clicks], [(15, 20), (20, 25), (12, 12)], atol=0.1)
    assert np.array_equal(preview_mask(widget.controller, image.shape), region(image, clicks))


def test_what_is_no_click(
    open_widget: OpenWidget, settle: Settle, predictor: FakePredictor
) -> None:
    widget = open_widget(squares())
    viewer = widget.viewer
    before = list(viewer.mouse_double_click_callbacks)
    widget.tool_button.setChecked(True)
    center = tuple(viewer.scene.camera.center)
    drag(viewer, (15, 20), (30, 40))
    settle(widget.controller)
    assert predictor.runs == 0
    assert tuple(viewer.scene.camera.center) != center
    zoom = viewer.scene.camera.zoom
    QTest.mouseClick(native_canvas(viewer), LEFT, NO_KEY, canvas_point(viewer, (15, 20)))
    QTest.mouseDClick(native_canvas(viewer), LEFT, NO_KEY, canvas_point(viewer, (15, 20)))
    settle(widget.controller)
    assert viewer.scene.camera.zoom == zoom
    assert len(widget.controller.binding.log.rows("positive")) == 1
    runs = predictor.runs
    labels = viewer.add_labels(np.zeros((60, 80), np.uint8))
    labels.mode, labels.selected_label = "paint", 3
    click(viewer, (40, 50))
    settle(widget.controller)
    assert labels.data[40, 50] == 3
    viewer.layers.selection.active = viewer.layers[0]
    widget.tool_button.setChecked(False)
    assert list(viewer.mouse_double_click_callbacks) == before
    click(viewer, (40, 50))
    settle(widget.controller)
    assert predictor.runs == runs


def test_next_object_commits_ids_and_spares_neighbours(
    open_widget: OpenWidget, settle: Settle
) -> None:
    image = squares()
    widget = open_widget(image)
    widget.tool_button.setChecked(True)
    for y, x in ((15, 20), (40, 50), (2, 2)):
        click(widget.viewer, (y, x))
        settle(widget.controller)
        widget.next_button.click()
        settle(widget.controller)
    target = widget.controller.target
    expected = np.zeros(image.shape, np.uint32)
    expected[region(image, [Click(15, 20)])] = 1
    expected[region(image, [Click(40, 50)])] = 2
    expected[region(image, [Click(2, 2)])] = 3
    assert np.array_equal(target.data, expected)
    assert widget.labels_box.layer is target
    assert widget.object_line.text() == "Next object: 4"


def test_keys_drive_the_widget(open_widget: OpenWidget, settle: Settle) -> None:
    widget = open_widget(squares())
    window = native_canvas(widget.viewer)
    window.setFocus()
    QTest.keyClick(window, Qt.Key.Key_Q)
    assert widget.tool_button.isChecked()
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    QTest.keyClick(window, Qt.Key.Key_U)
    settle(widget.controller)
    assert widget.controller.binding.log.planes == ()
    QTest.keyClick(window, Qt.Key.Key_U, Qt.KeyboardModifier.ShiftModifier)
    settle(widget.controller)
    assert len(widget.controller.binding.log.rows("positive")) == 1
    QTest.keyClick(window, Qt.Key.Key_N)
    settle(widget.controller)
    assert widget.controller.target.data.max() == 1


def test_threshold_slider_runs_no_network(
    open_widget: OpenWidget, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    runs = predictor.runs
    widget.threshold.slider.setValue(95)
    settle(widget.controller)
    assert not preview_mask(widget.controller, (60, 80)).any()
    widget.threshold.slider.setValue(5)
    settle(widget.controller)
    assert preview_mask(widget.controller, (60, 80)).all()
    assert predictor.runs == runs


def test_correct_selected_label(open_widget: OpenWidget, settle: Settle) -> None:
    image = squares()
    widget = open_widget(image)
    labels = np.zeros(image.shape, np.uint16)
    labels[12:20, 12:20] = 7
    layer = widget.viewer.add_labels(labels)
    widget.labels_box.choose(layer)
    layer.selected_label = 7
    widget.correct_button.click()
    settle(widget.controller)
    assert widget.object_line.text() == "Correcting object 7 on the image"
    widget.tool_button.setChecked(True)
    click(widget.viewer, (22, 20))
    settle(widget.controller)
    widget.next_button.click()
    settle(widget.controller)
    expected = np.where(region(image, [Click(22, 20)]), 7, 0)
    assert np.array_equal(layer.data, expected)


def test_messages_keys_tooltips_and_width(
    open_widget: OpenWidget, messages: list[str], qtbot: Any
) -> None:
    widget = open_widget(show=False)
    viewer = widget.viewer
    widget.tool_button.setChecked(True)
    assert not widget.tool_button.isChecked()
    assert any("Open an image" in text for text in messages)
    viewer.add_image(squares())
    layer = viewer.add_labels(np.zeros((5, 5), np.uint8))
    widget.labels_box.choose(layer)
    assert widget.controller.target is None
    assert widget.labels_box.layer is None
    assert any("(60, 80)" in text for text in messages)
    bound = widget.shortcuts.bound
    assert {"tool", "next", "undo", "redo", "reset"} <= set(bound)
    assert bound == {name: parse_keys(KEYS[name]) for name in bound}
    for kind in (QAbstractButton, QComboBox, QSlider, QProgressBar):
        for child in widget.findChildren(kind):
            is_qts_own = child.objectName().startswith("qt_") or isinstance(
                child.parent(), QLineEdit
            )
            assert child.toolTip() or is_qts_own, child
    assert widget.minimumSizeHint().width() <= 300
    inside = widget.findChild(QScrollArea).widget()
    assert inside.minimumSizeHint().width() <= 280


def test_closing_the_dock_leaves_nothing_behind(
    open_widget: OpenWidget, qtbot: Any, predictor: FakePredictor
) -> None:
    widget = open_widget(squares())
    viewer = widget.viewer
    keys = set(viewer.keymap)
    widget.tool_button.setChecked(True)
    assert len(viewer.layers) == 5
    viewer.window.remove_dock_widget(widget)
    assert [layer.name for layer in viewer.layers] == ["image"]
    assert not [cb for cb in viewer.mouse_drag_callbacks if "ClickTool" in repr(cb)]
    assert keys - set(viewer.keymap)
    qtbot.waitUntil(lambda: not widget.controller.worker.is_alive, timeout=PATIENCE_S * 1000)
    viewer.add_image(squares())
    viewer.layers.clear()


def test_closing_the_dock_keeps_active_clicks(open_widget: OpenWidget, settle: Settle) -> None:
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    settle(widget.controller)
    widget.viewer.window.remove_dock_widget(widget)
    kept = [layer for layer in widget.viewer.layers if isinstance(layer, Points)]
    assert [len(layer.data) for layer in kept] == [1]
    masks = [layer for layer in widget.viewer.layers if isinstance(layer, Labels)]
    assert masks[0].data.sum() == 15 * 20


def test_closing_the_viewer_while_the_network_runs(
    open_widget: OpenWidget, qtbot: Any, predictor: FakePredictor
) -> None:
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    predictor.gate.clear()
    click(widget.viewer, (15, 20))
    assert predictor.started.wait(PATIENCE_S)
    widget.viewer.close()
    predictor.gate.set()
    qtbot.waitUntil(lambda: not widget.controller.worker.is_alive, timeout=PATIENCE_S * 1000)
    qtbot.wait(1)
