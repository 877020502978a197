"""The object table in a real window: keys, mouse, menus, and what they make of the project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QLineEdit, QMenu, QPushButton

from napari_edgeflow.annotation import commands
from napari_edgeflow.gui.labels.object_columns import AREA_UNIT, SLICE, number_of
from napari_edgeflow.gui.panels.objects_panel import ObjectsPanel

from .annotated import InstantController, InstantProject, grid_of_objects
from .canvas import canvas_point, native_canvas

NO_KEY, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
LEFT = Qt.MouseButton.LeftButton


def open_in(viewer: Any) -> Any:
    labels, records = grid_of_objects(12)
    image = viewer.add_image(np.zeros(labels.shape), scale=(0.5, 0.5), units=("um", "um"))
    layer = viewer.add_labels(labels, scale=(0.5, 0.5), units=("um", "um"))
    made: Any = InstantController(InstantProject.of(image, labels, records, layer))
    made.viewer = viewer
    return made


@pytest.fixture
def controller(qapp: Any) -> Any:
    """With a viewer that has no canvas, which is quick."""
    return open_in(ViewerModel())


@pytest.fixture
def panel(controller: Any, qtbot: Any) -> Iterator[ObjectsPanel]:
    made = ObjectsPanel(controller.viewer, controller)
    qtbot.addWidget(made)
    made.resize(300, 500)
    made.show()
    yield made
    made.close_down()


def click_row(panel: ObjectsPanel, label: int, modifier: Any = NO_KEY, twice: bool = False) -> None:
    panel.view.show_row_of(label)
    (row,) = panel.table.rows_of([label])
    place = panel.view.visualRect(panel.table.index(row, 0)).center()
    QTest.mouseClick(panel.view.viewport(), LEFT, modifier, place)
    if twice:
        QTest.mouseDClick(panel.view.viewport(), LEFT, modifier, place)


def camera_of(viewer: Any) -> Any:
    return (viewer.scene if hasattr(viewer, "scene") else viewer).camera


def menu_of(fill: Callable[[QMenu], None], parent: Any) -> dict[str, Any]:
    menu = QMenu(parent)
    fill(menu)
    return {action.text(): action for action in menu.actions()}


def test_rows_select_objects_and_objects_select_rows(panel: Any, controller: Any) -> None:
    click_row(panel, 3)
    assert controller.selected_ids == (3,)
    assert controller.project.layer.selected_label == 3
    click_row(panel, 6, SHIFT)
    assert controller.selected_ids == (3, 4, 5, 6)
    assert panel.line.text() == "12 objects, 4 selected"
    controller.selected_ids = (9, 2)
    rows = {index.row() for index in panel.view.selectionModel().selectedRows()}
    assert rows == {1, 8}
    assert controller.selected_ids == (9, 2)


def test_the_picker_of_the_labels_layer_selects_the_row(
    make_napari_viewer: Any, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    controller = open_in(viewer)
    panel, layer = ObjectsPanel(viewer, controller), controller.project.layer
    qtbot.addWidget(panel)
    viewer.layers.selection.active = layer
    layer.mode = "pick"
    y, x = np.argwhere(controller.project.history.store.array == 7).mean(axis=0)
    QTest.mouseClick(
        native_canvas(viewer), LEFT, NO_KEY, canvas_point(viewer, layer.data_to_world((y, x)))
    )
    assert controller.selected_ids == (7,)
    assert [i.row() for i in panel.view.selectionModel().selectedRows()] == [6]
    layer.selected_label = 0
    assert controller.selected_ids == (7,)
    panel.close_down()


def test_delete_key_deletes_and_undo_brings_back(panel: Any, controller: Any) -> None:
    click_row(panel, 3)
    QTest.keyClick(panel.view, Qt.Key.Key_Delete)
    project = controller.project
    assert 3 not in project.state.objects
    assert not (project.layer.data == 3).any()
    assert (panel.table.rowCount(), controller.selected_ids) == (11, ())
    project.undo()
    assert (project.layer.data == 3).sum() == 49
    assert panel.table.ids == list(range(1, 13))


def test_locked_objects_are_not_deleted(panel: Any, controller: Any, messages: list[str]) -> None:
    controller.selected_ids = (3, 4)
    panel.lock_button.click()
    assert [controller.project.state.objects[k].is_locked for k in (3, 4)] == [True, True]
    assert panel.lock_button.text() == "Unlock"
    assert not panel.delete_button.isEnabled()
    assert not panel.class_button.isEnabled()
    QTest.keyClick(panel.view, Qt.Key.Key_Delete)
    assert 3 in controller.project.state.objects
    assert "unlock them first" in messages[-1]
    panel.lock_button.click()
    assert panel.delete_button.isEnabled()


def test_hide_and_show(panel: Any, controller: Any) -> None:
    controller.selected_ids = (1, 2)
    panel.hide_button.click()
    assert panel.hide_button.text() == "Show"
    controller.selected_ids = (2, 3)
    assert panel.hide_button.text() == "Hide"
    panel.hide_button.click()
    panel.hide_button.click()
    hidden = [k for k, r in controller.project.state.objects.items() if r.is_hidden]
    assert hidden == [1]


def test_a_name_is_typed_into_the_table(panel: Any, controller: Any, qtbot: Any) -> None:
    controller.selected_ids = (5,)
    panel.rename_button.click()
    editor = panel.view.viewport().findChild(QLineEdit)
    QTest.keyClicks(editor, "soma 5")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: controller.project.state.objects[5].name == "soma 5", timeout=10_000)
    panel.filter.setText("soma")
    assert panel.table.ids == [5]
    assert panel.line.text() == "1 of 12 objects, 1 selected"


def test_the_menu_does_what_the_buttons_do(panel: Any, controller: Any) -> None:
    click_row(panel, 2)
    actions = menu_of(panel.fill_menu, panel)
    assert all(action.isEnabled() for action in actions.values())
    actions["Take up"].trigger()
    assert controller.taken_up == [2]
    classes = menu_of(panel.fill_class_menu, panel)
    assert list(classes) == ["cell", "nucleus", "debris"]
    classes["debris"].trigger()
    assert controller.project.state.objects[2].class_id == 3
    controller.selected_ids = ()
    assert not any(action.isEnabled() for action in menu_of(panel.fill_menu, panel).values())


def test_double_click_brings_the_object_into_view(make_napari_viewer: Any, qtbot: Any) -> None:
    controller = open_in(make_napari_viewer())
    panel = ObjectsPanel(controller.viewer, controller)
    qtbot.addWidget(panel)
    panel.show()
    click_row(panel, 12, twice=True)
    viewer, project = controller.viewer, controller.project
    box = project.state.objects[12].box
    center = project.image.data_to_world(((box.y0 + box.y1 - 1) / 2, (box.x0 + box.x1 - 1) / 2))
    np.testing.assert_allclose(camera_of(viewer).center[1:], center)
    size = native_canvas(viewer).size()
    shown = np.array([size.height(), size.width()]) / camera_of(viewer).zoom
    assert shown.min() == pytest.approx(2 * 0.5 * max(box.shape), rel=0.01)
    panel.close_down()


def test_zooming_goes_to_the_plane_of_the_object(qtbot: Any) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((6, 20, 90)), scale=(3, 1, 1))
    labels, records = grid_of_objects(3, plane=(4, None, None))
    controller = InstantController(InstantProject.of(image, labels, records))
    panel = ObjectsPanel(viewer, controller)
    qtbot.addWidget(panel)
    assert not panel.view.isColumnHidden(number_of(SLICE))
    viewer.dims.ndisplay = 3
    controller.selected_ids = (2,)
    panel.zoom_button.click()
    assert viewer.dims.ndisplay == 2
    assert viewer.dims.current_step[0] == 4
    panel.close_down()


def test_the_area_column_follows_the_scale_of_the_image(panel: Any, controller: Any) -> None:
    def area() -> str:
        return str(panel.table.index(0, number_of(AREA_UNIT)).data())

    assert (area(), panel.view.isColumnHidden(number_of(AREA_UNIT))) == ("12.25", False)
    controller.project.image.scale = (1, 2)
    assert area() == "98"
    controller.project.image.units = ("pixel", "pixel")
    assert panel.view.isColumnHidden(number_of(AREA_UNIT))


def test_columns_can_be_left_out(panel: Any) -> None:
    menu_of(panel.view.fill_heading_menu, panel)["Model"].trigger()
    assert panel.view.isColumnHidden(number_of("model"))
    panel.table.sort(0)
    menu_of(panel.view.fill_heading_menu, panel)["Model"].trigger()
    assert not panel.view.isColumnHidden(number_of("model"))


def test_another_image_shows_its_own_objects(panel: Any, controller: Any) -> None:
    first = controller.project
    labels, records = grid_of_objects(3)
    controller.selected_ids = (8,)
    controller.show(InstantProject.of(Image(labels), labels, records))
    assert (panel.table.ids, controller.selected_ids) == ([1, 2, 3], ())
    first.do(lambda s, _: commands.set_hidden(s, [1], True))
    assert panel.table.index(0, number_of("state")).data() == ""
    controller.show(None)
    assert panel.table.rowCount() == 0
    assert not panel.zoom_button.isEnabled()
    QTest.keyClick(panel.view, Qt.Key.Key_Delete)


def test_the_view_does_not_jump_while_the_user_looks_at_row_300(qtbot: Any) -> None:
    labels, records = grid_of_objects(400, side=2, per_row=20)
    controller = InstantController(InstantProject.of(Image(labels), labels, records))
    panel = ObjectsPanel(ViewerModel(), controller)
    qtbot.addWidget(panel)
    panel.show()
    controller.selected_ids = (300,)
    top = panel.view.rowAt(0)
    assert top > 200
    controller.project.do(lambda s, _: commands.set_hidden(s, range(1, 150), True))
    assert panel.view.rowAt(0) == top
    assert controller.selected_ids == (300,)
    panel.close_down()


def test_it_fits_a_narrow_dock_and_says_what_everything_does(panel: Any) -> None:
    assert panel.minimumSizeHint().width() <= 300
    assert len(panel.findChildren(QPushButton)) == 7
    panel.filter.setText("x")  # shows its button
    buttons = panel.findChildren(QAbstractButton)
    for part in (panel.view, panel.filter, panel.line, *buttons):
        assert part.toolTip(), part


def test_nothing_is_listened_to_after_the_end(panel: Any, controller: Any) -> None:
    panel.close_down()
    panel.close_down()
    before = panel.table.ids
    controller.project.do(lambda s, store: commands.delete_objects(s, store, [1]))
    controller.selected_ids = (2,)
    controller.project.layer.selected_label = 4
    assert panel.table.ids == before
    assert len(controller.changed) == len(controller.selection_changed) == 0
    assert len(controller.project.changed) == 0
