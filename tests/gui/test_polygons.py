"""Outlines of objects edited in a real window, by the mouse and by the buttons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from napari.layers import Shapes
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_edgeflow._types import AnyArray
from napari_edgeflow.annotation.commands import delete_objects, set_locked
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.outlines.preview import ADDED, MOVED, REMOVED
from napari_edgeflow.gui.panels.polygon_panel import PolygonPanel
from napari_edgeflow.gui.widget import EdgeFlowWidget

from .annotated import grid_of_objects
from .canvas import CTRL, LEFT, NO_KEY, canvas_point, click, native_canvas
from .fakes import PATIENCE_S, squares

SHAPE = (60, 80)


def objects() -> AnyArray:
    """A square with a hole (3), one beside it (5), a disc far from both (9)."""
    labels = np.zeros(SHAPE, np.uint32)
    labels[10:30, 10:30] = 3
    labels[16:22, 16:22] = 0
    labels[10:30, 30:45] = 5
    y, x = np.ogrid[:60, :80]
    labels[(y - 42) ** 2 + (x - 60) ** 2 < 150] = 9
    return labels


class Window:
    """A viewer with image, labels and the panel, and what tests ask of them."""

    def __init__(self, viewer: Any, controller: Controller, qtbot: Any) -> None:
        self.viewer, self.controller, self.qtbot = viewer, controller, qtbot
        self.panel = PolygonPanel(viewer, controller)
        self.editor = self.panel.editor

    @property
    def labels(self) -> AnyArray:
        assert self.controller.project is not None
        assert self.controller.project.layer is not None
        data: AnyArray = self.controller.project.layer.data
        return data

    def labels_layer(self) -> Any:
        assert self.controller.project is not None
        return self.controller.project.layer

    @property
    def layer(self) -> Any:
        layer = self.editor.shapes.layer
        assert layer is not None
        return layer

    def wait(self) -> None:
        """Until nothing is on its way."""
        for _ in range(2):
            self.qtbot.waitUntil(
                lambda: not self.controller.is_busy and not self.editor.worker.is_busy,
                timeout=PATIENCE_S * 1000,
            )
            self.qtbot.wait(15)

    def start(self, *ids: int, tolerance: float = 0.0) -> None:
        self.editor.set_tolerance(tolerance)
        self.controller.selected_ids = ids
        self.panel.start_button.click()
        self.wait()
        assert self.editor.is_editing

    def shape_layers(self) -> list[int]:
        """How many shapes each Shapes layer of the viewer holds."""
        return [one.nshapes for one in self.viewer.layers if isinstance(one, Shapes)]

    def apply(self) -> str:
        """Press the button; the title of the step."""
        self.panel.apply_button.click()
        self.wait()
        assert not self.editor.is_editing, self.editor.status
        assert self.controller.project is not None
        return self.controller.project.undo_title

    def codes(self) -> AnyArray:
        """What the layer of changes shows, in an array of the image's shape."""
        layer = self.editor.changes_layer.layer
        assert layer is not None
        codes = np.zeros(SHAPE, np.uint8)
        y, x = (round(float(t)) for t in layer.translate)
        codes[y : y + layer.data.shape[0], x : x + layer.data.shape[1]] = layer.data
        return codes

    def rings(self) -> list[list[list[float]]]:
        return [np.round(ring, 3).tolist() for ring in self.editor.shapes.read()]

    def double_click(self, world_yx: Sequence[float]) -> None:
        click(self.viewer, world_yx)
        place = canvas_point(self.viewer, world_yx)
        QTest.mouseDClick(native_canvas(self.viewer), LEFT, NO_KEY, place)
        self.wait()

    def press(self, key: Any, modifier: Any = NO_KEY) -> None:
        QTest.keyClick(native_canvas(self.viewer), key, modifier)
        self.wait()

    def draw(self, tool: str, corners: Sequence[Sequence[float]]) -> None:
        self.panel.tool_buttons[tool].click()  # type: ignore[index]
        native = native_canvas(self.viewer)
        for corner in corners:
            move(native, canvas_point(self.viewer, corner), Qt.MouseButton.NoButton)
            click(self.viewer, corner)
        self.press(Qt.Key.Key_Return)


def move(native: Any, place: Any, button: Any) -> None:
    """The mouse moves there, wherever the real pointer is."""
    QTest.qWait(12)  # the canvas drops what comes within 10 ms
    at, world = QPointF(place), QPointF(native.mapToGlobal(place))
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(QEvent.Type.MouseMove, at, world, none, button, NO_KEY)
    QApplication.sendEvent(native, event)


def drag(viewer: Any, start: Sequence[float], end: Sequence[float]) -> None:
    """Press, move and release."""
    native = native_canvas(viewer)
    first, last = canvas_point(viewer, start), canvas_point(viewer, end)
    move(native, first, Qt.MouseButton.NoButton)
    QTest.mousePress(native, LEFT, NO_KEY, first)
    for step in (0.5, 1.0):
        move(native, first + (last - first) * step, LEFT)
    QTest.mouseRelease(native, LEFT, NO_KEY, last)


@pytest.fixture
def window(
    make_napari_viewer: Any, make_controller: Callable[..., Controller], qtbot: Any
) -> Iterator[Callable[..., Window]]:
    made: list[Window] = []

    def make(labels: AnyArray | None = None, **placement: Any) -> Window:
        labels = objects() if labels is None else labels
        viewer = make_napari_viewer(show=True)
        grey = np.where(labels, 160, 40).astype(np.uint8)
        data = grey if grey.ndim > 2 else [grey, grey[::2, ::2]]
        image = viewer.add_image(data, **placement)
        layer = viewer.add_labels(labels, **placement)
        controller = make_controller(viewer)
        controller.bind(image)
        controller.target = layer
        window = Window(viewer, controller, qtbot)
        made.append(window)
        viewer.window.add_dock_widget(window.panel, name="Outline")
        qtbot.waitUntil(lambda: not controller.is_busy, timeout=PATIENCE_S * 1000)
        return window

    yield make
    for window in made:
        window.panel.close_down()
        qtbot.waitUntil(lambda w=window: not w.editor.worker.is_alive, timeout=PATIENCE_S * 1000)


def test_a_corner_is_dragged_and_applied_and_taken_back(window: Callable[..., Window]) -> None:
    w = window()
    w.start(5)
    assert w.rings() == [[[9.5, 29.5], [9.5, 44.5], [29.5, 44.5], [29.5, 29.5]]]
    assert w.editor.corners_line == "4 corners"
    drag(w.viewer, (29.5, 44.5), (49.5, 64.5))
    w.wait()
    moved = w.editor.shapes.read()[0]
    assert np.abs(moved[2] - (49.5, 64.5)).max() < 0.5
    assert w.editor.changes is not None
    assert w.editor.changes.removed == 0
    gained = w.editor.changes.added
    asked: list[str] = []
    w.controller.overlap_rule = "ask"

    def ask(text: str, answer: Callable[[Any], None]) -> None:
        asked.append(text)
        answer(None)

    w.editor.ask = ask
    w.panel.apply_button.click()
    w.wait()
    assert w.editor.is_editing
    assert "lies partly on object 9" in asked[0]
    w.editor.ask = lambda _text, answer: answer("old_protected")
    assert w.codes().max() == ADDED
    np.testing.assert_array_equal(w.labels, objects())  # nothing is written before

    w.panel.apply_button.click()
    w.wait()
    assert not w.editor.is_editing
    assert w.shape_layers() == [0]
    assert w.viewer.layers.selection.active is w.labels_layer(), "as before the edit"
    taken = (objects() == 9) & (w.labels != 9)
    assert not taken.any()  # neighbours keep theirs
    assert "px stayed with neighbours" in w.editor.status
    project = w.controller.project
    assert project is not None
    assert project.undo_title == "reshape object 5"
    assert gained > 100
    project.undo()
    w.wait()
    np.testing.assert_array_equal(w.labels, objects())
    project.redo()
    w.wait()
    assert (w.labels == 5).sum() > (objects() == 5).sum() + 50


def test_corners_come_and_go_with_double_clicks_and_boxes(window: Callable[..., Window]) -> None:
    w = window()
    w.start(5)
    zoom = w.viewer.scene.camera.zoom
    w.double_click((29.5, 37.0))
    assert len(w.rings()[0]) == 5
    added = w.editor.shapes.read()[0][3]
    assert abs(added[0] - 29.5) < 1e-6  # on the edge, not where the hand trembled
    assert abs(added[1] - 37.0) < 0.5
    assert w.viewer.scene.camera.zoom == zoom
    drag(w.viewer, (29.5, 37.0), (22.0, 37.0))
    w.wait()
    w.double_click((9.5, 29.5))
    assert len(w.rings()[0]) == 4
    assert [9.5, 29.5] not in w.rings()[0]

    drag(w.viewer, (36.0, 40.0), (20.0, 34.0))  # from a free place, over two corners
    w.wait()
    assert w.editor.shapes.n_chosen == 1
    drag(w.viewer, (36.0, 50.0), (20.0, 34.0))
    w.wait()
    assert w.editor.corners_line == "4 corners, 2 chosen"
    w.press(Qt.Key.Key_Delete)
    assert w.editor.is_editing
    assert len(w.rings()[0]) == 4, "two corners are no polygon: refused"
    assert "something to be left" in w.editor.status

    w.press(Qt.Key.Key_Z, CTRL)
    assert len(w.rings()[0]) == 5
    w.panel.undo_button.click()
    w.wait()
    drag(w.viewer, (26.0, 50.0), (33.0, 34.0))
    w.wait()
    assert w.editor.shapes.n_chosen == 2
    w.panel.delete_button.click()
    w.wait()
    assert w.rings() == [[[9.5, 29.5], [9.5, 44.5], [29.5, 29.5]]]
    for _ in range(2):
        w.panel.undo_button.click()
    assert w.rings() == [[[9.5, 29.5], [9.5, 44.5], [29.5, 44.5], [29.5, 29.5]]]
    assert not w.panel.undo_button.isEnabled()
    w.panel.redo_button.click()
    assert len(w.rings()[0]) == 5
    w.panel.cancel_button.click()
    w.wait()
    np.testing.assert_array_equal(w.labels, objects())
    assert w.controller.project is not None
    assert not w.controller.project.can_undo
    assert w.shape_layers() == [0]


def test_split_cut_and_add_with_drawn_shapes(window: Callable[..., Window]) -> None:
    w = window()
    w.start(3)
    assert len(w.rings()) == 2  # the hole is a ring of its own
    w.draw("split", [(5, 25.5), (20, 25.5), (36, 25.5)])
    assert w.editor.status.startswith("Object 3. Becomes 2 objects.")
    assert w.layer.mode == "direct"
    assert w.editor.tool is None
    w.draw("cut", [(5, 5), (5, 40), (12.5, 40), (12.5, 5)])
    w.draw("add", [(28, 10), (28, 20), (34.5, 20), (34.5, 10)])
    codes = w.codes()
    assert set(np.unique(codes)) == {0, ADDED, REMOVED, MOVED}
    assert w.apply() == "split into objects 3, 10"
    expected = objects()
    expected[10:30, 26:30] = 10
    expected[10:13, 10:30] = 0
    expected[30:35, 10:20] = 3
    wrong = w.labels != expected
    assert wrong.sum() <= 25, "clicks are placed to half a pixel"
    np.testing.assert_array_equal(codes == MOVED, (objects() == 3) & (w.labels == 10))
    np.testing.assert_array_equal(codes == ADDED, (objects() == 0) & (w.labels != 0))
    np.testing.assert_array_equal(codes == REMOVED, (objects() != 0) & (w.labels == 0))
    assert w.controller.selected_ids == (3, 10)
    assert w.controller.project is not None
    w.controller.project.undo()
    w.wait()
    np.testing.assert_array_equal(w.labels, objects())


def test_merge_and_tolerance_and_exactness(window: Callable[..., Window]) -> None:
    w = window()
    w.start(3, 5, 9)
    fine = w.editor.sketch.n_corners  # type: ignore[union-attr]
    assert w.editor.changes is not None
    assert (w.editor.changes.added, w.editor.changes.removed, w.editor.changes.moved) == (0, 0, 0)
    w.panel.slider.setValue(4)
    w.wait()
    assert w.panel.tolerance_label.text() == "1 px"
    coarse = w.editor.sketch.n_corners  # type: ignore[union-attr]
    assert coarse < fine
    assert w.panel.corners_label.text() == f"{coarse} corners"
    w.panel.slider.setValue(0)
    w.wait()
    assert w.panel.corners_label.text() == f"{fine} corners"
    w.panel.undo_button.click()
    assert w.editor.sketch.n_corners == fine  # type: ignore[union-attr]
    assert not w.panel.undo_button.isEnabled(), "a slide is one step"
    assert w.apply() == ""
    assert w.editor.status == "Nothing was changed."

    w.start(3, 5)
    w.panel.merge_button.click()
    w.wait()
    assert len(w.rings()) == 2
    assert w.apply() == "merge objects 3, 5"
    np.testing.assert_array_equal(w.labels, np.where(objects() == 5, 3, objects()))
    assert w.controller.project is not None
    assert set(w.controller.project.state.objects) == {3, 9}

    w.start(9, tolerance=3.0)
    ring = w.editor.shapes.read()[0]
    drag(w.viewer, ring[0], np.add(ring[len(ring) // 2], (5, 5)))  # over the edge on the other side
    w.wait()
    assert "crosses itself" in w.editor.status
    assert w.editor.changes is not None
    wanted = w.editor.changes.total_px
    assert w.apply() == "reshape object 9"
    assert int((w.labels == 9).sum()) == wanted


def test_right_angles_on_a_rotated_stack(window: Callable[..., Window]) -> None:
    labels = np.zeros((3, 60, 80), np.uint32)
    y, x = np.mgrid[:60, :80]
    turned = 0.9 * (y - 30) + 0.43 * (x - 40), -0.43 * (y - 30) + 0.9 * (x - 40)
    labels[2] = (np.abs(turned[0]) < 12) & (np.abs(turned[1]) < 20)
    labels[1, 5:20, 5:20] = 2
    before = labels.copy()
    w = window(labels, scale=(2, 0.5, 0.25), translate=(1, 10, 20), rotate=20)
    w.viewer.dims.set_point(0, 3)
    w.start(1)
    assert w.controller.project is not None
    assert w.controller.project.plane == (2, None, None), "the object's slice is shown"
    w.panel.square_button.click()
    w.wait()
    (ring,) = w.editor.shapes.read()
    assert len(ring) == 4
    corner = ring[1]

    def world(yx: Sequence[float]) -> Sequence[float]:
        return [float(v) for v in w.layer.data_to_world((2, *yx))][1:]

    drag(w.viewer, world(corner), world(np.add(corner, (6, 0))))
    w.wait()
    moved = w.editor.shapes.read()[0][1]
    assert np.abs(moved - corner - (6, 0)).max() < 1
    w.double_click(world((ring[2] + ring[3]) / 2))
    assert len(w.rings()[0]) == 5
    assert w.apply() == "reshape object 1"
    np.testing.assert_array_equal(w.labels[:2], before[:2])
    assert (w.labels[2] != before[2]).sum() > 20


def test_what_ends_an_edit_and_what_cannot_begin(
    window: Callable[..., Window], messages: list[str]
) -> None:
    w = window()
    w.controller.selected_ids = ()
    w.editor.start([77])
    assert "Select an object first" in w.editor.status
    assert w.controller.project is not None
    w.controller.project.do(lambda state, _store: set_locked(state, [9], True))
    w.wait()
    w.editor.start([9])
    assert "Object 9 is locked" in w.editor.status
    w.labels_layer().selected_label = 5  # what is picked is taken when nothing is selected
    w.editor.start()
    w.wait()
    w.editor.start([3])
    assert "Apply or cancel" in w.editor.status
    w.editor.shapes.edited.emit([np.zeros((0, 2))], False)
    assert "something to be left" in w.editor.status
    assert len(w.rings()) == 1

    w.controller.project.do(lambda state, store: delete_objects(state, store, [5]))
    w.wait()
    w.panel.apply_button.click()
    w.wait()
    assert w.editor.is_editing, "an edit that cannot be applied stays open"
    assert "there is none of" in w.editor.status
    w.controller.project.undo()
    w.wait()
    w.viewer.layers.remove(w.controller.image)
    w.wait()
    assert not w.editor.is_editing
    assert "image was deleted" in w.editor.status


def test_one_object_of_thousands(window: Callable[..., Window]) -> None:
    labels, _ = grid_of_objects(2500, per_row=50)
    w = window(labels.copy())
    w.start(1234)
    assert w.shape_layers() == [1]
    w.draw("cut", [(0, 0), (0, 3), (3, 3)])  # beside it
    assert "one beside it" in w.editor.status
    drag(w.viewer, w.editor.shapes.read()[0][0], w.editor.shapes.read()[0][2] - (1, 3))
    w.wait()
    w.apply()
    assert (w.labels == 1234).sum() not in (0, 49)
    assert ((w.labels != labels) & (labels != 1234)).sum() == 0


def test_outlines_in_the_widget(open_widget: Callable[..., EdgeFlowWidget], qtbot: Any) -> None:
    widget = open_widget(squares())
    control: Any = widget.controller
    panel = dict(widget.panels)["Outlines"]

    def wait() -> None:
        qtbot.waitUntil(
            lambda: not control.is_busy and not panel.editor.worker.is_busy,
            timeout=PATIENCE_S * 1000,
        )
        qtbot.wait(15)

    widget.tool_button.setChecked(True)
    control.click((17, 20), "positive")
    wait()
    control.finish()
    wait()
    control.selected_ids = (1,)
    panel.start_button.click()
    wait()
    assert panel.editor.sketch.n_corners == 4
    for place in ((9.6, 20), (9.6, 20)):  # a corner comes and goes; nothing is taken up
        n = panel.editor.sketch.n_corners
        native = native_canvas(widget.viewer)
        click(widget.viewer, place)
        QTest.mouseDClick(native, LEFT, NO_KEY, canvas_point(widget.viewer, place))
        wait()
        assert abs(panel.editor.sketch.n_corners - n) == 1
        assert control.active is None
    panel.editor.shapes.edited.emit([panel.editor.shapes.read()[0] + (2, 0)], False)
    wait()
    helper = panel.editor.changes_layer.layer
    assert control.is_preview(helper), "objects must not be written to it"
    panel.apply_button.click()
    wait()
    moved = np.zeros((60, 80), bool)
    moved[12:27, 10:30] = True
    np.testing.assert_array_equal(control.project.layer.data == 1, moved)
    control.undo()
    wait()
    np.testing.assert_array_equal(control.project.layer.data == 1, np.roll(moved, -2, axis=0))
    panel.start_button.click()
    wait()
    worker, viewer = panel.editor.worker, widget.viewer
    widget.close_down()
    qtbot.waitUntil(lambda: not worker.is_alive, timeout=PATIENCE_S * 1000)
    assert helper not in viewer.layers
    assert [one.nshapes for one in viewer.layers if isinstance(one, Shapes)] == [0]
