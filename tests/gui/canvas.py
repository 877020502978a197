"""Real mouse events on the real canvas; the only place that looks inside napari's window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

LEFT, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton
NO_KEY, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier


def native_canvas(viewer: Any) -> Any:
    """Qt widget of the canvas."""
    return viewer.window._qt_viewer.canvas.native


def canvas_point(viewer: Any, world_yx: Sequence[float]) -> QPoint:
    """Where on the canvas this place of the displayed world is."""
    canvas = viewer.window._qt_viewer.canvas
    transform = canvas.view.transform * canvas.view.scene.transform
    x, y = transform.map([world_yx[1], world_yx[0], 0, 1])[:2]
    return QPoint(round(float(x)), round(float(y)))


def click(
    viewer: Any, world_yx: Sequence[float], button: Any = LEFT, modifier: Any = NO_KEY
) -> None:
    """Press and release at this place."""
    QTest.mouseClick(native_canvas(viewer), button, modifier, canvas_point(viewer, world_yx))


def drag(viewer: Any, start: Sequence[float], end: Sequence[float], button: Any = LEFT) -> None:
    """Press, move and release."""
    native = native_canvas(viewer)
    first, last = canvas_point(viewer, start), canvas_point(viewer, end)
    QTest.mousePress(native, button, NO_KEY, first)
    for step in (0.3, 0.6, 1.0):
        QTest.mouseMove(native, first + (last - first) * step)
        QTest.qWait(1)
    QTest.mouseRelease(native, button, NO_KEY, last)
