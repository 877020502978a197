"""The click tool: plain clicks on the canvas, while drags pan and zoom as always."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_edgeflow._types import ClickKind

_MAX_DRIFT_PX = 4.0
_LEFT, _RIGHT = 1, 2

OnClick = Callable[[Sequence[float], ClickKind], None]


class ClickTool:
    """Left click: positive; right click or Ctrl + left click: negative.

    Shift + left click: on the boundary, while ``takes_boundary`` says so.

    It acts while the selected layer is in its pan/zoom mode (or no layer is selected), so that
    painting, adding and selecting keep working in napari's own way.
    """

    def __init__(self, viewer: Any, on_click: OnClick, takes_boundary: Callable[[], bool]) -> None:
        self._viewer = viewer
        self._on_click = on_click
        self._takes_boundary = takes_boundary
        self._double_click: list[Any] = []
        self.is_active = False

    def activate(self) -> None:
        """Start listening; double clicks stop zooming, as two quick clicks must not."""
        if self.is_active:
            return
        self.is_active = True
        self._viewer.mouse_drag_callbacks.append(self._on_press)
        self._double_click = list(self._viewer.mouse_double_click_callbacks)
        self._viewer.mouse_double_click_callbacks.clear()
        active = self._viewer.layers.selection.active
        if active is not None and getattr(active, "mode", "pan_zoom") != "pan_zoom":
            active.mode = "pan_zoom"

    def deactivate(self) -> None:
        """Stop listening and give the double click back."""
        if not self.is_active:
            return
        self.is_active = False
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)
        self._viewer.mouse_double_click_callbacks.extend(self._double_click)
        self._double_click = []

    def _kind(self, event: Any) -> ClickKind | None:
        """What the click would mean, None when it is not for the tool."""
        active = self._viewer.layers.selection.active
        if active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom":
            return None
        modifiers = {str(getattr(m, "name", m)) for m in event.modifiers}
        if modifiers == {"Shift"} and event.button == _LEFT and self._takes_boundary():
            return "boundary"
        if modifiers - {"Control"} or event.button not in (_LEFT, _RIGHT):
            return None
        return "positive" if event.button == _LEFT and not modifiers else "negative"

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        kind = self._kind(event)
        if kind is None:
            return
        start, position = np.array(event.pos, dtype=float), tuple(event.position)
        drift = 0.0
        yield
        while event.type == "mouse_move":
            drift = max(drift, float(np.linalg.norm(np.asarray(event.pos) - start)))
            if drift <= _MAX_DRIFT_PX:
                event.handled = True  # a trembling hand must not pan the view
            yield
        drift = max(drift, float(np.linalg.norm(np.asarray(event.pos) - start)))
        if drift <= _MAX_DRIFT_PX:
            self._on_click(position, kind)
