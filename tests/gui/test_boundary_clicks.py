"""Clicks on the boundary, in a real window: offered by models that take them, refused by others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_edgeflow._types import Click
from napari_edgeflow.gui.controller import Controller

from .canvas import RIGHT, click
from .fakes import FakePredictor, squares

OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]
SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def bounded(open_widget: OpenWidget, predictor: FakePredictor) -> Any:
    """The widget with the tool on and a model that takes boundary clicks, none negative."""
    predictor.click_kinds = ("positive", "boundary")
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    return widget


def _names(widget: Any) -> list[str]:
    return [layer.name for layer in widget.viewer.layers]


def _clicks(widget: Any) -> list[Click]:
    log = widget.controller.binding.log
    return [entry.click for plane in log.planes for entry in log.on_plane(plane)]


def test_shift_click_goes_to_the_model_and_to_a_yellow_layer(
    bounded: Any, settle: Settle, predictor: FakePredictor
) -> None:
    assert "boundary" in bounded.controller.status
    assert "beside" not in bounded.controller.status
    layer = bounded.controller.binding.clicks.layer("boundary")
    assert layer.name in _names(bounded)
    click(bounded.viewer, (15, 20))
    click(bounded.viewer, (10, 24), modifier=SHIFT)
    settle(bounded.controller)
    first, second = predictor.click_lists[-1]
    assert first.is_positive
    assert second.is_boundary
    assert (second.y, second.x) == pytest.approx((10, 24), abs=0.3)
    assert np.allclose(layer.data, [(10, 24)], atol=0.3)
    red, green, blue, _ = layer.face_color[0]
    assert red > 0.9 > green > 0.8 > 0.1 > blue
    assert len(bounded.controller.binding.clicks.layer("positive").data) == 1
    bounded.undo_button.click()
    settle(bounded.controller)
    assert len(layer.data) == 0
    assert [c.kind for c in _clicks(bounded)] == ["positive"]
    bounded.redo_button.click()
    settle(bounded.controller)
    assert len(layer.data) == 1
    assert [c.kind for c in _clicks(bounded)] == ["positive", "boundary"]


def test_the_boundary_needs_an_object_first(
    bounded: Any, settle: Settle, predictor: FakePredictor, messages: list[str]
) -> None:
    click(bounded.viewer, (10, 24), modifier=SHIFT)
    settle(bounded.controller)
    assert predictor.runs == 0
    assert messages == ["Click on an object first, then on its boundary"]


def test_a_kind_that_the_model_does_not_take_is_refused(
    bounded: Any, settle: Settle, predictor: FakePredictor, messages: list[str]
) -> None:
    click(bounded.viewer, (15, 20))
    click(bounded.viewer, (30, 60), RIGHT)
    settle(bounded.controller)
    assert [c.kind for c in _clicks(bounded)] == ["positive"]
    (notice,) = messages
    assert "takes no negative clicks" in notice
    assert "Shift + left click on its boundary" in notice


def test_a_boundary_point_added_or_moved_in_its_layer_counts(
    bounded: Any, settle: Settle, predictor: FakePredictor
) -> None:
    click(bounded.viewer, (15, 20))
    layer = bounded.controller.binding.clicks.layer("boundary")
    layer.add([[10, 24]])
    settle(bounded.controller)
    assert predictor.click_lists[-1][-1] == Click(10, 24, is_boundary=True)
    layer.data = np.array([[12.0, 30.0]])
    settle(bounded.controller)
    assert predictor.click_lists[-1][-1] == Click(12, 30, is_boundary=True)


def test_other_models_have_no_such_layer_and_leave_shift_clicks_alone(
    open_widget: OpenWidget, settle: Settle, predictor: FakePredictor
) -> None:
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    assert not [name for name in _names(widget) if "boundary" in name]
    assert widget.controller.binding.clicks.layer("boundary") is None
    assert "boundary" not in widget.controller.status
    click(widget.viewer, (15, 20))
    click(widget.viewer, (10, 24), modifier=SHIFT)
    settle(widget.controller)
    assert [c.kind for c in _clicks(widget)] == ["positive"]
    assert predictor.runs == 1


def test_closing_leaves_no_empty_boundary_layer(bounded: Any) -> None:
    bounded.close_down()
    assert not [name for name in _names(bounded) if "clicks" in name]
