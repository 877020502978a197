"""Clicks and masks make napari look at the list of layers as seldom as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Points

from napari_edgeflow.gui.clicks.deleting import delete
from napari_edgeflow.gui.clicks.quiet import drawn_once, set_points
from napari_edgeflow.gui.controller import Controller

from .canvas import canvas_point, click
from .fakes import squares

Settle = Callable[[Controller], None]
_LOOKS = ("data", "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
"""Events of a layer after which napari works out the extent of all layers."""


class Looks:
    """Counts them for all layers of a viewer, and layers that come and go."""

    def __init__(self, viewer: Any) -> None:
        self.counts: Counter[str] = Counter()
        for layer in viewer.layers:
            for name in _LOOKS:
                getattr(layer.events, name).connect(self._note)
        viewer.layers.events.inserted.connect(self._note)
        viewer.layers.events.removed.connect(self._note)

    def _note(self, event: Any) -> None:
        self.counts[event.type] += 1

    def taken(self) -> int:
        """How many since the last time."""
        n = sum(self.counts.values())
        self.counts.clear()
        return n


@pytest.fixture
def ready(make_controller: Any, settle: Settle) -> Any:
    """A controller with all its layers made, and one object finished."""
    viewer = ViewerModel()
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(squares()))
    controller.show_layers()
    controller.click((40, 50), "positive")
    controller.finish()
    settle(controller)
    return controller


def test_an_object_costs_few_looks(ready: Any, settle: Settle) -> None:
    looks, most = Looks(ready.viewer), {}

    def count(what: str, do: Callable[[], object]) -> None:
        do()
        settle(ready)
        most[what] = looks.taken()

    count("click", lambda: ready.click((15, 20), "positive"))
    count("negative click", lambda: ready.click((12, 12), "negative"))
    count("third click", lambda: ready.click((20, 20), "positive"))
    count("delete", lambda: delete(ready))
    count("finish", ready.finish)
    count("undo", ready.undo)
    count("redo", ready.redo)
    assert len(ready.project.state.objects) == 2
    one_layer = dict.fromkeys(("click", "negative click", "third click", "delete"), 1)
    assert most == one_layer | dict.fromkeys(("finish", "undo", "redo"), 2)  # both signs had clicks


def test_a_plain_object_costs_one_look_at_each_step(ready: Any, settle: Settle) -> None:
    looks = Looks(ready.viewer)
    ready.click((15, 20), "positive")
    settle(ready)
    assert looks.taken() == 1
    ready.finish()
    settle(ready)
    assert looks.taken() == 1


def test_others_hear_of_points_once_with_what_happened() -> None:
    layer, heard = Points(np.empty((0, 2))), []
    layer.events.data.connect(
        lambda event: heard.append((str(event.action), tuple(event.data_indices), len(event.value)))
    )
    set_points(layer, np.array([[1.0, 2]]))
    set_points(layer, np.array([[1.0, 2], [3, 4]]))
    layer.selected_data = {1}
    set_points(layer, np.empty((0, 2)))
    assert heard == [("added", (0,), 1), ("changed", (0, 1), 2), ("removed", (0, 1), 0)]
    assert not layer.selected_data


@pytest.mark.parametrize("is_shown", [True, False])
def test_one_cut_for_all_changes(is_shown: bool) -> None:
    viewer = ViewerModel()
    layer: Labels = viewer.add_labels(np.zeros((3, 3), np.uint8), visible=is_shown)
    before = viewer.layers.extent.world
    drawn: list[object] = []
    layer.events.set_data.connect(drawn.append)
    with drawn_once(layer):
        layer.data = np.ones((4, 5), np.uint8)
        layer.scale = (2, 2)
        layer.translate = (10, 20)
    assert len(drawn) == is_shown
    assert layer.visible == is_shown
    np.testing.assert_array_equal(before, [[0, 0], [2, 2]])
    np.testing.assert_array_equal(viewer.layers.extent.world, [[10, 20], [16, 28]])


def test_the_mask_is_drawn_where_the_object_is(open_widget: Any, settle: Settle) -> None:
    widget = open_widget(squares())
    viewer, control = widget.viewer, widget.controller
    widget.tool_button.setChecked(True)
    settle(control)
    objects = ((17, 15), (43, 65))

    def blueness() -> list[int]:
        pixels = viewer.screenshot(canvas_only=True, flash=False).astype(int)
        canvas = viewer.window._qt_viewer.canvas.native
        zoom = pixels.shape[0] / canvas.height()
        found = []
        for place in objects:
            point = canvas_point(viewer, place)
            red, _, blue = pixels[round(point.y() * zoom), round(point.x() * zoom), :3]
            found.append(int(blue - red))
        return found

    assert blueness() == [0, 0]
    click(viewer, (15, 25))
    settle(control)
    first, second = blueness()
    assert first > 50 > second
    control.reset()
    settle(control)
    assert blueness() == [0, 0]
    click(viewer, (40, 50))
    settle(control)
    first, second = blueness()
    assert first < 50 < second
