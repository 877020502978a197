"""The class list in a real window: keys, drags, dialogs, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QDropEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QLineEdit, QPushButton

from napari_edgeflow.annotation.classes import ClassList, ObjectClass, read_classes
from napari_edgeflow.gui.panels.class_tree import COUNT, ID, KEY, NAME
from napari_edgeflow.gui.panels.classes_panel import ClassesPanel
from napari_edgeflow.gui.panels.remove_class import RemoveClassDialog

from .annotated import CLASSES, InstantController, InstantProject, grid_of_objects
from .canvas import native_canvas

NO_KEY, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier
ALT = Qt.KeyboardModifier.AltModifier


class Window:
    """A viewer with the panel, and a click tool that is on or off."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        labels, records = grid_of_objects(12)
        self.viewer, self.is_clicking = viewer, False
        image = viewer.add_image(np.zeros(labels.shape))
        self.layer = viewer.add_labels(labels)
        self.project = InstantProject.of(image, labels, records, self.layer)
        self.controller = InstantController(self.project)
        self.panel = ClassesPanel(viewer, self.controller, lambda: self.is_clicking)
        qtbot.addWidget(self.panel)
        self.panel.resize(300, 400)
        self.panel.show()

    @property
    def classes(self) -> ClassList:
        return self.project.state.classes

    @property
    def tree(self) -> Any:
        return self.panel.tree

    def row(self, class_id: int) -> list[str]:
        item = self.tree.topLevelItem(self.tree.ids.index(class_id))
        return [item.text(column) for column in (KEY, NAME, ID, COUNT)]

    def press(self, key: Any, modifier: Any = NO_KEY) -> None:
        QTest.keyClick(native_canvas(self.viewer), key, modifier)

    def choose(self, class_id: int) -> None:
        tree = self.tree
        item = tree.topLevelItem(tree.ids.index(class_id))
        place = tree.visualItemRect(item).center()
        QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place)

    def type_name(self, name: str, key: Any = Qt.Key.Key_Return) -> None:
        editor = self.tree.viewport().findChild(QLineEdit)
        editor.selectAll()
        QTest.keyClicks(editor, name)
        QTest.keyClick(editor, key)


@pytest.fixture
def window(qtbot: Any) -> Iterator[Window]:
    """Quick, as there is no canvas."""
    made = Window(ViewerModel(), qtbot)
    yield made
    made.panel.close_down()


@pytest.fixture
def canvas(make_napari_viewer: Any, qtbot: Any) -> Iterator[Window]:
    """The same with a canvas for keys."""
    made = Window(make_napari_viewer(), qtbot)
    yield made
    made.panel.close_down()


def test_the_list_shows_keys_names_ids_and_numbers(window: Window) -> None:
    assert [window.row(k) for k in (1, 2, 3)] == [
        ["1", "cell", "1", "4"], ["2", "nucleus", "2", "4"], ["3", "debris", "3", "4"],
    ]  # fmt: skip
    assert window.panel.line.text() == "Next object: cell"


def test_choosing_a_class_is_for_the_next_object(window: Window) -> None:
    window.choose(2)
    assert window.controller.class_id == 2
    assert window.panel.line.text() == "Next object: nucleus"
    window.controller.class_id = 3
    window.controller.changed.emit()
    assert window.tree.currentItem().text(NAME) == "debris"


def test_alt_and_a_digit_choose_whatever_layer_is_selected(canvas: Window) -> None:
    for layer in canvas.viewer.layers:
        canvas.viewer.layers.selection.active = layer
        for digit, key in ((3, Qt.Key.Key_3), (2, Qt.Key.Key_2), (9, Qt.Key.Key_9)):
            canvas.press(key, ALT)
            assert canvas.controller.class_id == (digit if digit < 4 else 2)


def test_plain_digits_are_ours_while_clicking_and_else_napari_s(canvas: Window) -> None:
    canvas.viewer.layers.selection.active = canvas.layer
    canvas.press(Qt.Key.Key_2)
    assert (str(canvas.layer.mode), canvas.controller.class_id) == ("paint", 1)
    canvas.is_clicking = True
    canvas.press(Qt.Key.Key_3)
    assert (str(canvas.layer.mode), canvas.controller.class_id) == ("polygon", 1)
    canvas.layer.mode = "pan_zoom"
    canvas.press(Qt.Key.Key_3)
    assert (str(canvas.layer.mode), canvas.controller.class_id) == ("pan_zoom", 3)


def test_points_are_not_deleted_by_choosing_class_one(canvas: Window) -> None:
    points = canvas.viewer.add_points(np.array([[1, 1], [5, 5]]))
    points.selected_data = {0, 1}
    canvas.is_clicking = True
    canvas.controller.class_id = 2
    canvas.press(Qt.Key.Key_1)
    assert (len(points.data), canvas.controller.class_id) == (2, 1)


def test_control_and_a_digit_give_the_class_to_the_selected_objects(
    canvas: Window, messages: list[str]
) -> None:
    canvas.press(Qt.Key.Key_3, CTRL)
    assert "Select objects" in messages[-1]
    canvas.controller.selected_ids = (1, 2)
    canvas.press(Qt.Key.Key_3, CTRL)
    assert [canvas.project.state.objects[k].class_id for k in (1, 2)] == [3, 3]
    assert [canvas.row(k)[3] for k in (1, 2, 3)] == ["3", "3", "6"]
    assert canvas.controller.class_id == 1
    canvas.choose(2)
    canvas.panel.give_button.click()
    assert [canvas.project.state.objects[k].class_id for k in (1, 2)] == [2, 2]


def test_add_opens_the_name_for_typing(window: Window, qtbot: Any) -> None:
    window.panel.add_button.click()
    assert window.row(4) == ["4", "class 4", "4", "0"]
    assert window.controller.class_id == 4
    window.type_name("axon")
    qtbot.waitUntil(lambda: window.classes.get(4).name == "axon", timeout=10_000)
    assert window.row(4)[1] == "axon"
    window.project.undo()
    window.project.undo()
    assert len(window.classes) == 3
    assert window.controller.class_id in window.classes


def test_a_name_that_is_taken_is_refused_and_the_old_one_stays(window: Window, qtbot: Any) -> None:
    window.choose(2)
    window.panel.rename_button.click()
    window.type_name("cell")
    qtbot.waitUntil(lambda: bool(window.project.refusals), timeout=10_000)
    assert "expected each name once" in window.project.refusals[0]
    assert window.row(2)[1] == "nucleus"


def test_recolour(window: Window) -> None:
    window.choose(2)
    asked: list[Any] = []

    def ask(color: Any) -> Any:
        asked.append(color)
        return 1, 2, 3

    window.panel.ask_color = ask
    window.panel.color_button.click()
    assert asked == [(86, 180, 233)]
    assert window.classes.get(2).color == (1, 2, 3)
    item = window.tree.topLevelItem(1)
    shown = item.icon(NAME).pixmap(8, 8).toImage().pixelColor(4, 4)
    assert (shown.red(), shown.green(), shown.blue()) == (1, 2, 3)
    window.panel.ask_color = lambda _color: None
    n_steps = window.project.history.n_undo
    window.panel.color_button.click()
    assert window.project.history.n_undo == n_steps


def test_another_digit_takes_it_from_whichever_class_had_it(window: Window) -> None:
    window.choose(2)
    menu = window.panel.key_button.menu()
    menu.aboutToShow.emit()
    texts = {action.text(): action for action in menu.actions()}
    assert list(texts)[:3] == ["none", "1  (cell)", "2  (nucleus)"]
    texts["1  (cell)"].trigger()
    assert [window.row(k)[0] for k in (1, 2, 3)] == ["", "1", "3"]


@pytest.mark.parametrize(
    ("dragged", "target", "below", "order"),
    [
        (3, 0, False, [3, 1, 2]),
        (1, 2, True, [2, 3, 1]),
        (1, 1, True, [2, 1, 3]),
        (1, None, True, [2, 3, 1]),
        (2, 1, False, [1, 2, 3]),
    ],
)
def test_dragging_reorders(
    window: Window, dragged: int, target: int | None, below: bool, order: list[int]
) -> None:
    tree = window.tree
    window.choose(dragged)
    if target is None:
        place = QPointF(20, tree.viewport().height() - 3)
    else:
        box = tree.visualItemRect(tree.topLevelItem(target))
        place = QPointF(20, box.bottom() if below else box.top())
    mime = tree.model().mimeData(tree.selectedIndexes())
    move, button = Qt.DropAction.MoveAction, Qt.MouseButton.LeftButton
    tree.dropEvent(QDropEvent(place, move, mime, button, NO_KEY))
    assert [one.id for one in window.classes] == order
    assert tree.ids == order
    assert tree.topLevelItemCount() == 3
    assert window.controller.class_id == dragged


def test_an_unused_class_goes_without_a_question(window: Window) -> None:
    window.panel.add()
    window.panel.ask_fate = lambda *_: pytest.fail("nobody should be asked")
    window.panel.remove_button.click()
    assert [one.id for one in window.classes] == [1, 2, 3]
    assert window.controller.class_id == 1


@pytest.mark.parametrize("fate", [3, "delete", None])
def test_what_becomes_of_the_objects_is_asked(window: Window, fate: Any) -> None:
    window.choose(2)
    asked: list[Any] = []

    def ask(*about: Any) -> Any:
        asked.append(about)
        return fate

    window.panel.ask_fate = ask
    window.panel.remove_button.click()
    one, count, others = asked[0]
    assert (one.name, count, [c.name for c in others]) == ("nucleus", 4, ["cell", "debris"])
    state = window.project.state
    of_class = {k: r.class_id for k, r in state.objects.items()}
    if fate is None:
        assert 2 in state.classes
    else:
        assert 2 not in state.classes
        assert set(of_class.values()) == {1, 3}
        assert len(of_class) == (12 if fate == 3 else 8)
        window.project.undo()
        assert len(window.project.state.objects) == 12
        assert window.row(2)[3] == "4"


def test_the_last_class_cannot_be_removed(window: Window) -> None:
    for class_id in (3, 2):
        window.choose(class_id)
        window.panel.ask_fate = lambda *_: "delete"
        window.panel.remove_button.click()
    assert len(window.classes) == 1
    assert not window.panel.remove_button.isEnabled()


def test_the_dialog_says_what_was_chosen(qtbot: Any) -> None:
    one, *others = CLASSES
    dialog: Any = RemoveClassDialog(one, 1, others)
    qtbot.addWidget(dialog)
    assert dialog.fate == 2
    dialog.box.setCurrentIndex(1)
    assert dialog.fate == 3
    dialog.delete_button.click()
    assert dialog.fate == "delete"
    assert not dialog.box.isEnabled()


@pytest.mark.parametrize("suffix", [".json", ".txt"])
def test_class_lists_go_to_files_and_come_back(
    window: Window, tmp_path: Path, suffix: str, messages: list[str]
) -> None:
    path = tmp_path / f"classes{suffix}"
    window.panel.ask_file = lambda _is_written: path
    window.panel.export_button.click()
    assert [c.name for c in read_classes(path)] == ["cell", "nucleus", "debris"]
    assert str(path) in messages[-1]
    assert ("not kept" in messages[-1]) == (suffix == ".txt")
    labels, _ = grid_of_objects(1)
    window.controller.show(InstantProject.of(Image(labels), labels, {}))
    window.controller.project.do(lambda s, _: _only(s, ObjectClass(7, "other", (0, 0, 0), 1)))
    window.panel.import_button.click()
    assert window.panel.classes == CLASSES


def _only(state: Any, one: ObjectClass) -> Any:
    from napari_edgeflow.annotation.commands import edit_classes

    return edit_classes(state, ClassList((one,)))


def test_an_import_never_changes_what_objects_mean(window: Window, tmp_path: Path) -> None:
    path = tmp_path / "eiseg.txt"
    path.write_text("2 vesicle 9 9 9\n")
    window.panel.ask_file = lambda _is_written: path
    window.panel.import_button.click()
    assert "class 2 to be 'nucleus'" in window.project.refusals[-1]
    path.write_text("rubbish\n")
    window.panel.import_button.click()
    assert "line 1" in window.project.refusals[-1]
    path.write_text("4 vesicle 9 9 9\n")
    window.panel.import_button.click()
    assert [c.name for c in window.classes] == ["vesicle", "cell", "nucleus", "debris"]


def test_labels_are_coloured_by_class_from_the_box(window: Window) -> None:
    box = window.panel.color_box
    box.setCurrentIndex(1)
    box.activated.emit(1)
    color = window.layer.colormap.map(np.array([2], np.uint32))[0]
    np.testing.assert_allclose(color[:3] * 255, (86, 180, 233), atol=0.5)


def test_without_a_project_there_is_nothing_to_do(window: Window) -> None:
    window.controller.show(None)
    enabled = [b.text() for b in window.panel.findChildren(QPushButton) if b.isEnabled()]
    assert enabled == []
    assert window.panel.line.text() == "Next object: none"
    window.panel.choose_digit(1)
    window.panel.give_digit(1)


def test_it_fits_a_narrow_dock_and_says_what_everything_does(window: Window) -> None:
    panel = window.panel
    assert panel.minimumSizeHint().width() <= 300
    parts = [*panel.findChildren(QPushButton), *panel.findChildren(QComboBox), panel.tree]
    assert len(parts) == 10
    assert all(part.toolTip() for part in parts)


def test_keys_and_signals_are_given_back(window: Window) -> None:
    before = set(window.viewer.keymap)
    window.panel.close_down()
    window.panel.close_down()
    assert len(before) == 30
    assert not window.viewer.keymap
    signals = (window.controller.changed, window.controller.selection_changed)
    assert [len(one) for one in (*signals, window.project.changed)] == [0, 0, 0]
