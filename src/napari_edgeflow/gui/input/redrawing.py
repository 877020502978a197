"""Removed layers are gone from the canvas before the mouse is pressed again.

A press makes vispy draw the scene once more, to find what lies under the pointer. When that came
after a layer was removed and before the window was drawn, the next drawing of this kind has ended
the process: a segmentation fault in glDrawArrays (napari issue 6472), whether or not the layer had
been hidden or emptied first. Points layers do it most easily. So the window is drawn first.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

from qtpy.QtCore import QEvent, QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

_NEEDS_DRAWING = (
    QEvent.Type.MouseButtonPress,
    QEvent.Type.MouseButtonDblClick,
    QEvent.Type.Wheel,
)
"""Events at which vispy looks for what lies under the pointer."""


class Redrawing:
    """Has the canvas drawn between the removal of a layer, by whomever, and the next press.

    Args:
        viewer: The napari viewer.
        widget: Somewhere in its window.
    """

    def __init__(self, viewer: Any, widget: QWidget) -> None:
        self._viewer = viewer
        self._widget = ref(widget)  # it may be gone before the viewer is
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of the viewer; what is removed until the next drawing is still looked after."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._on_removed()

    def _on_removed(self, _event: Any = None) -> None:
        widget = self._widget()
        if widget is None:
            return
        try:
            canvases = _window(widget).findChildren(QOpenGLWidget)
        except RuntimeError:  # Qt deleted the widget before Python did: the window is closing
            return
        for canvas in canvases:
            (canvas.findChild(_DrawnFirst) or _DrawnFirst(canvas)).wait()


class _DrawnFirst(QObject):  # type: ignore[misc, unused-ignore]
    """Sees to it that a canvas is drawn before a press; lives as long as the canvas."""

    def __init__(self, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._canvas = ref(canvas)

    def wait(self) -> None:
        """Look at what comes to the canvas until that is drawn."""
        canvas = self._canvas()
        if canvas is not None:
            canvas.installEventFilter(self)

    def eventFilter(self, canvas: QObject, event: QEvent) -> bool:  # noqa: N802
        """Draw before a press; look no further after a drawing."""
        is_press = event.type() in _NEEDS_DRAWING
        if is_press or event.type() == QEvent.Type.Paint:
            canvas.removeEventFilter(self)
        if is_press and isinstance(canvas, QWidget):
            canvas.repaint()
        return False


def _window(widget: QWidget) -> QWidget:
    """The main window, also of a panel that floats in a window of its own."""
    above = widget.parentWidget()
    while above is not None:
        widget, above = above, above.parentWidget()
    return widget
