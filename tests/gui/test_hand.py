"""The loop in the hand: real keys, real clicks and a resting pointer in the widget's window."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_edgeflow._types import Click, PostProcessing
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.input import hover
from napari_edgeflow.gui.input.preferences import Modifier, MousePreferences

from .canvas import CTRL, LEFT, NO_KEY, RIGHT, canvas_point, click, drag, native_canvas
from .fakes import FakePredictor, region, squares

ALT, META = Qt.KeyboardModifier.AltModifier, Qt.KeyboardModifier.MetaModifier
OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]
PreviewMask = Callable[[Controller, tuple[int, ...]], Any]


def press(widget: Any, key: Any) -> None:
    canvas = native_canvas(widget.viewer)
    canvas.setFocus()
    QTest.keyClick(canvas, key)


def move_to(widget: Any, world: tuple[float, float]) -> None:
    """Move the pointer without a button, as Qt would tell the canvas."""
    canvas = native_canvas(widget.viewer)
    at = QPointF(canvas_point(widget.viewer, world))
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(QEvent.Type.MouseMove, at, canvas.mapToGlobal(at), none, none, NO_KEY)
    QApplication.sendEvent(canvas, event)


def kinds(widget: Any) -> list[str]:
    log = widget.controller.binding.log
    return [entry.kind for plane in log.planes for entry in log.on_plane(plane)]


@pytest.fixture
def clicking(open_widget: OpenWidget) -> Any:
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    return widget


def test_the_loop_by_keys_alone(clicking: Any, settle: Settle) -> None:
    control, image = clicking.controller, squares()
    click(clicking.viewer, (15, 20))
    settle(control)
    press(clicking, Qt.Key.Key_Return)
    settle(control)
    click(clicking.viewer, (40, 50))
    settle(control)
    press(clicking, Qt.Key.Key_Space)
    settle(control)
    expected = np.zeros(image.shape, int)
    expected[region(image, [Click(15, 20)])] = 1
    expected[region(image, [Click(40, 50)])] = 2
    assert np.array_equal(control.target.data, expected)
    click(clicking.viewer, (2, 2))
    settle(control)
    press(clicking, Qt.Key.Key_Escape)
    settle(control)
    assert control.active is None
    assert np.array_equal(control.target.data, expected)
    press(clicking, Qt.Key.Key_U)
    settle(control)
    assert kinds(clicking) == ["positive"]


def test_backspace_takes_clicks_then_objects_never_both(clicking: Any, settle: Settle) -> None:
    control = clicking.controller
    click(clicking.viewer, (15, 20))
    settle(control)
    press(clicking, Qt.Key.Key_Return)
    settle(control)
    control.selected_ids = (1,)
    click(clicking.viewer, (40, 50))
    click(clicking.viewer, (45, 60), RIGHT)
    settle(control)
    press(clicking, Qt.Key.Key_Backspace)
    settle(control)
    assert kinds(clicking) == ["positive"]
    press(clicking, Qt.Key.Key_Delete)
    settle(control)
    assert control.active is None
    assert list(control.project.state.objects) == [1]
    press(clicking, Qt.Key.Key_Delete)
    settle(control)
    assert not control.project.state.objects
    assert not control.target.data.any()
    press(clicking, Qt.Key.Key_U)
    settle(control)
    assert control.target.data.max() == 1


def test_nothing_to_delete_says_so(clicking: Any, messages: list[str]) -> None:
    press(clicking, Qt.Key.Key_Backspace)
    assert any("nothing to delete" in text for text in messages)


@pytest.mark.parametrize(
    ("mouse", "expected"),
    [
        (MousePreferences(), ["positive", "negative", "negative", "negative", "negative"]),
        (MousePreferences(True), ["negative", "positive", "positive", "positive", "positive"]),
        (MousePreferences(False, "Alt"), ["positive", "negative", "negative", "negative"]),
        (MousePreferences(False, "none"), ["positive", "negative", "negative"]),
    ],
)
def test_buttons_and_keys_give_the_sign(
    clicking: Any, settle: Settle, mouse: MousePreferences, expected: list[str]
) -> None:
    clicking.tool.preferences = lambda: mouse
    ways = [(LEFT, NO_KEY), (RIGHT, NO_KEY), (RIGHT, META), (LEFT, ALT), (LEFT, CTRL)]
    for step, (button, held) in enumerate(ways):
        click(clicking.viewer, (38 + step, 45 + 4 * step), button, held)
        settle(clicking.controller)
    assert kinds(clicking) == expected


def test_the_swap_key_turns_clicks_round(clicking: Any, settle: Settle) -> None:
    click(clicking.viewer, (15, 20))
    press(clicking, Qt.Key.Key_W)
    click(clicking.viewer, (20, 25))
    click(clicking.viewer, (12, 12), RIGHT)
    settle(clicking.controller)
    assert kinds(clicking) == ["positive", "negative", "positive"]
    assert clicking.tool.plain_kind == "negative"


@pytest.mark.parametrize(("drift_px", "n_clicks"), [(2, 0), (30, 1)])
def test_how_far_a_click_may_go(
    clicking: Any, settle: Settle, drift_px: int, n_clicks: int
) -> None:
    clicking.tool.preferences = lambda: MousePreferences(drift_px=drift_px)
    zoom = clicking.viewer.scene.camera.zoom
    drag(clicking.viewer, (15, 20), (15, 20 + 12 / zoom))
    settle(clicking.controller)
    assert len(kinds(clicking)) == n_clicks


def test_modifier_names_are_all_known() -> None:
    from typing import get_args

    from napari_edgeflow.gui.input.mouse import _KEYS

    assert set(_KEYS) == set(get_args(Modifier))


# --- hover -----------------------------------------------------------------------------------


def hover_mask(widget: Any) -> Any:
    """What is outlined under the pointer, in an array of the image's shape."""
    whole = np.zeros((60, 80), bool)
    preview = widget.hand.hover._preview
    if preview is not None and preview.layer.data.any():
        y, x = (round(float(t)) for t in preview.layer.translate)
        data = preview.layer.data
        whole[y : y + data.shape[0], x : x + data.shape[1]] = data > 0
    return whole


def test_hover_is_off_until_asked_for(
    clicking: Any, predictor: FakePredictor, qtbot: Any, settle: Settle
) -> None:
    names = [layer.name for layer in clicking.viewer.layers]
    move_to(clicking, (15, 20))
    qtbot.wait(250)
    assert predictor.peeks == 0
    press(clicking, Qt.Key.Key_H)
    assert clicking.hand.hover.is_on
    move_to(clicking, (15, 21))
    expected = region(squares(), [Click(15, 21)])
    qtbot.waitUntil(lambda: np.array_equal(hover_mask(clicking), expected), timeout=60_000)
    assert kinds(clicking) == []
    assert not clicking.controller.project.can_undo
    assert clicking.labels_box.findText("image · under the pointer") < 0
    move_to(clicking, (50, 5))
    assert not hover_mask(clicking).any()
    press(clicking, Qt.Key.Key_H)
    assert [layer.name for layer in clicking.viewer.layers] == names


def test_hover_adds_to_the_object_being_clicked(
    clicking: Any, predictor: FakePredictor, qtbot: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    clicking.hand.hover.is_on = True
    click(clicking.viewer, (15, 20))
    settle(clicking.controller)
    kept = preview_mask(clicking.controller, (60, 80))
    move_to(clicking, (40, 50))
    expected = region(squares(), [Click(15, 20), Click(40, 50)])
    qtbot.waitUntil(lambda: np.array_equal(hover_mask(clicking), expected), timeout=60_000)
    assert np.array_equal(preview_mask(clicking.controller, (60, 80)), kept)
    click(clicking.viewer, (40, 50))
    assert not hover_mask(clicking).any()
    settle(clicking.controller)
    assert np.array_equal(preview_mask(clicking.controller, (60, 80)), expected)


def test_hover_waits_for_rest_and_asks_once(
    clicking: Any, predictor: FakePredictor, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hover, "REST_MS", 1500)
    clicking.hand.hover.is_on = True
    for step in range(15):
        move_to(clicking, (15, 12 + step))
        qtbot.wait(5)
    began = time.monotonic()
    assert predictor.peeks == 0
    qtbot.waitUntil(lambda: predictor.peeks == 1, timeout=60_000)
    assert time.monotonic() - began > 1.2
    qtbot.wait(100)
    assert predictor.peeks == 1


def test_a_click_does_not_wait_for_hover(
    clicking: Any, predictor: FakePredictor, qtbot: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    """The peek that runs is asked to stop, what it finds is dropped, and it is not "busy"."""
    control = clicking.controller
    clicking.hand.hover.is_on = True
    predictor.gate.clear()
    move_to(clicking, (40, 50))
    qtbot.waitUntil(lambda: predictor.peeks == 1, timeout=60_000)
    assert not control.worker.is_busy
    click(clicking.viewer, (15, 20))
    assert control.worker.is_busy
    predictor.gate.set()
    settle(control)
    assert predictor.stopped == 1
    assert np.array_equal(preview_mask(control, (60, 80)), region(squares(), [Click(15, 20)]))
    assert not hover_mask(clicking).any()


def test_closing_with_hover_on_leaves_nothing(clicking: Any) -> None:
    clicking.hand.hover.is_on = True
    viewer = clicking.viewer
    viewer.window.remove_dock_widget(clicking)
    assert [layer.name for layer in viewer.layers] == ["image"]
    assert not [cb for cb in viewer.mouse_move_callbacks if "Hover" in repr(cb)]
    assert not [cb for cb in viewer.mouse_drag_callbacks if "Hover" in repr(cb)]


# --- panels ----------------------------------------------------------------------------------


def panel(widget: Any, title: str) -> Any:
    return dict(widget.panels)[title]


def test_clean_up_is_live_and_runs_no_network(
    open_widget: OpenWidget, settle: Settle, predictor: FakePredictor, preview_mask: PreviewMask
) -> None:
    image = squares()
    image[15:18, 15:18] = 0
    widget = open_widget(image)
    control, clean = widget.controller, panel(widget, "Clean up masks")
    widget.tool_button.setChecked(True)
    click(widget.viewer, (12, 12))
    settle(control)
    runs, plain = predictor.runs, region(image, [Click(12, 12)])
    assert np.array_equal(preview_mask(control, image.shape), plain)
    clean.holes.setChecked(True)
    settle(control)
    assert preview_mask(control, image.shape)[15:18, 15:18].all()
    clean.smallest.setValue(12)
    clean.smooth.setValue(2.5)
    settle(control)
    assert control.postprocessing == PostProcessing(0.5, True, True, 12, 2.5)
    assert predictor.runs == runs
    clean.holes.setChecked(False)
    settle(control)
    press(widget, Qt.Key.Key_Return)
    settle(control)
    assert control.project.state.objects[1].settings == PostProcessing(0.5, True, False, 12, 2.5)
    assert np.array_equal(control.target.data == 1, plain)


def test_finished_objects_are_cleaned_up_and_brought_back(
    open_widget: OpenWidget, settle: Settle
) -> None:
    image = squares()
    image[15:18, 15:18] = 0
    widget = open_widget(image)
    control, clean = widget.controller, panel(widget, "Clean up masks")
    assert not clean.apply_button.isEnabled()
    widget.tool_button.setChecked(True)
    click(widget.viewer, (12, 12))
    settle(control)
    press(widget, Qt.Key.Key_Return)
    settle(control)
    control.selected_ids = (1,)
    clean.holes.setChecked(True)
    clean.apply_button.click()
    settle(control)
    assert (control.target.data[15:18, 15:18] == 1).all()
    assert control.project.state.objects[1].area_px == 15 * 20
    assert "Cleaned up 1 object: +9 px" in clean.line.text()
    titles = []
    while control.project.redo_title != "clean up object 1":  # the settings are a step too
        titles.append(control.project.undo_title)
        press(widget, Qt.Key.Key_U)
        settle(control)
    assert titles[-1] == "clean up object 1"
    assert len(titles) <= 2
    assert not control.target.data[15:18, 15:18].any()


def test_help_shows_what_is_bound(clicking: Any) -> None:
    guide = panel(clicking, "Keys and mouse")
    text = guide.text.text()
    for line in (
        "N, Enter, Space",
        "Ctrl+Shift+Z",
        "Backspace, Delete",
        "Ctrl or Alt + left click",
    ):
        assert line in text, line
    left = text[text.index("Left click") :]
    assert left.index("on the object") < left.index("beside the object")
    guide.swap_box.setChecked(True)
    text = guide.text.text()
    left = text[text.index("Left click") :]
    assert left.index("beside the object") < left.index("on the object")
    press(clicking, Qt.Key.Key_W)
    assert not guide.swap_box.isChecked()
    press(clicking, Qt.Key.Key_H)
    assert guide.hover_box.isChecked()
