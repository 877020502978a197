"""Clicks handled in napari's own way, in a real window with real mouse and key events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_edgeflow._types import Click, Prediction, Window
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.planes import PlaneImage

from .canvas import click, drag, native_canvas
from .fakes import FakePredictor, FakeSession, FakeTimings, region, squares

OpenWidget = Callable[..., Any]
Settle = Callable[[Controller], None]
PreviewMask = Callable[[Controller, tuple[int, ...]], Any]


@pytest.fixture
def clicked(open_widget: OpenWidget, settle: Settle) -> Any:
    """The widget with a click on each square."""
    widget = open_widget(squares())
    widget.tool_button.setChecked(True)
    click(widget.viewer, (15, 20))
    click(widget.viewer, (40, 50))
    settle(widget.controller)
    assert len(widget.controller.binding.log.rows("positive")) == 2
    return widget


def logged(widget: Any) -> Any:
    """(y, x) of the positive clicks in the log."""
    return np.array([entry.position for entry in widget.controller.binding.log.rows("positive")])


def test_a_point_dragged_in_select_mode_takes_the_mask_along(
    clicked: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    points = clicked.controller.binding.clicks.layer("positive")
    points.mode = "select"
    drag(clicked.viewer, (15, 20), (56, 4))
    settle(clicked.controller)
    assert np.allclose(logged(clicked), [(56, 4), (40, 50)], atol=0.3)
    assert np.array_equal(points.data, logged(clicked))
    expected = region(squares(), [Click(56, 4), Click(40, 50)])
    assert expected.sum() == 3 * 4 + 15 * 30
    assert np.array_equal(preview_mask(clicked.controller, (60, 80)), expected)
    clicked.undo_button.click()
    settle(clicked.controller)
    assert np.allclose(logged(clicked), [(15, 20), (40, 50)], atol=0.3)


def test_the_selected_point_is_deleted_by_key(
    clicked: Any, settle: Settle, preview_mask: PreviewMask
) -> None:
    points = clicked.controller.binding.clicks.layer("positive")
    points.mode = "select"
    click(clicked.viewer, (15, 20))
    assert set(points.selected_data) == {0}
    canvas = native_canvas(clicked.viewer)
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_Delete)
    settle(clicked.controller)
    assert np.allclose(logged(clicked), [(40, 50)], atol=0.3)
    expected = region(squares(), [Click(40, 50)])
    assert np.array_equal(preview_mask(clicked.controller, (60, 80)), expected)


class DiscSession(FakeSession):
    """A disc of radius 9 around the last click; reads no pixels, however large the image."""

    def __init__(
        self, image: PlaneImage, predictor: FakePredictor, field_of_view: float | None
    ) -> None:
        self._predictor = predictor
        self.reset(field_of_view)
        self.timings = FakeTimings()

    def set_clicks(self, clicks: Any, should_stop: Any = None) -> Prediction | None:
        self.clicks = tuple(clicks)
        return self.prediction

    @property
    def prediction(self) -> Prediction | None:
        if not self.clicks:
            return None
        row, column = self.clicks[-1].pixel
        window = Window(row - 20, column - 20, row + 20, column + 20)
        y, x = np.ogrid[-20:20, -20:20]
        mask = y**2 + x**2 <= 81
        return Prediction(window, mask.astype(np.float32), mask, 0.9)


def test_an_object_of_a_large_raster_is_shown_where_it_was_clicked(
    open_widget: OpenWidget, settle: Settle
) -> None:
    side = 5000
    levels = [
        np.broadcast_to(np.zeros((1, 1), np.uint8), (side // step, side // step))
        for step in (1, 4, 16)
    ]
    widget = open_widget(levels, multiscale=True, contrast_limits=(0, 1), session=DiscSession)
    widget.tool_button.setChecked(True)
    click(widget.viewer, (3000, 4000))
    settle(widget.controller)
    preview = widget.controller.binding.preview.layer
    ((y, x),) = logged(widget)
    assert np.allclose((y, x), (3000, 4000), atol=side / 400)
    assert tuple(preview.translate) == (round(y) - 9, round(x) - 9)
    assert preview.data.shape == (19, 19)
