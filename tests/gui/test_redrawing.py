"""The canvas is drawn between the removal of a layer and the next press of the mouse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QObject

from .canvas import click, native_canvas
from .fakes import squares


class _Log(QObject):  # type: ignore[misc, unused-ignore]
    """Paintings and presses of a canvas, in their order."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = ""

    def eventFilter(self, _widget: Any, event: Any) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.Paint:
            self.seen += "p"
        return False

    def taken(self) -> str:
        """What came since the last time."""
        seen, self.seen = self.seen, ""
        return seen


@pytest.fixture
def widget(open_widget: Any, settle: Any) -> Any:
    made = open_widget(squares())
    made.tool_button.setChecked(True)
    settle(made.controller)
    return made


@pytest.fixture
def log(widget: Any) -> Iterator[_Log]:
    made, canvas = _Log(), native_canvas(widget.viewer)
    canvas.repaint()
    canvas.installEventFilter(made)
    made.taken()
    yield made
    canvas.removeEventFilter(made)


def test_the_canvas_is_drawn_before_a_press_that_follows_a_removal(widget: Any, log: _Log) -> None:
    viewer = widget.viewer
    for _ in range(2):
        notes = [viewer.add_points(np.ones((2, 2))), viewer.add_labels(np.zeros((3, 3), int))]
        native_canvas(viewer).repaint()
        log.taken()
        for layer in notes:
            viewer.layers.remove(layer)
        assert log.taken() == ""  # it costs nothing where nobody presses
        click(viewer, (30, 40))
        assert log.taken() == "p"  # once for both; without, the second round ended the process
        click(viewer, (30, 40))
        assert log.taken() == ""


def test_layers_that_go_with_the_panel_are_looked_after_as_well(widget: Any, log: _Log) -> None:
    viewer = widget.viewer
    before = len(viewer.layers)
    widget.close_down()
    assert len(viewer.layers) < before
    log.taken()
    click(viewer, (30, 40))
    assert log.taken() == "p"
    viewer.layers.remove(viewer.add_points(np.ones((2, 2))))
    native_canvas(viewer).repaint()
    log.taken()
    viewer.add_labels(np.zeros((3, 3), int))
    viewer.layers.remove(viewer.layers[-1])
    click(viewer, (30, 40))
    assert log.taken() == ""  # napari on its own again
