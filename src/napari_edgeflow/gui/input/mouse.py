"""The click tool: plain clicks on the canvas, while drags pan and zoom as always."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from napari_edgeflow._types import ClickKind
from napari_edgeflow.gui.input.preferences import Modifier, MousePreferences
from napari_edgeflow.gui.input.shortcuts import in_pan_zoom

_LEFT, _RIGHT = 1, 2
_KEYS: dict[Modifier, tuple[str, ...]] = {
    "Control or Alt": ("Control", "Alt"),
    "Control": ("Control",),
    "Alt": ("Alt",),
    "none": (),
}

OnClick = Callable[[Sequence[float], ClickKind], None]


class ClickTool:
    """Left click: positive; right click, or left with Control or Alt held: negative.

    The preferences may swap the buttons and choose other keys for the other sign. Shift + click:
    on the boundary, while ``takes_boundary`` says so. On a Mac, Control + click is a right click.

    It acts while the selected layer is in its pan/zoom mode (or no layer is selected), so that
    painting, adding and selecting keep working in napari's own way.

    Args:
        viewer: The napari viewer.
        on_click: Called with the place in the world and the kind.
        takes_boundary: Whether the model takes clicks on the boundary.
        preferences: Asked at every press.

    Attributes:
        is_active: It listens.
        preferences: What the user set, asked at every press.
        is_swapped: Until further notice a click means what the other button means, for those
            who can only tap.
    """

    def __init__(
        self,
        viewer: Any,
        on_click: OnClick,
        takes_boundary: Callable[[], bool],
        preferences: Callable[[], MousePreferences] = MousePreferences,
    ) -> None:
        self._viewer = viewer
        self._on_click = on_click
        self._takes_boundary = takes_boundary
        self.preferences = preferences
        self._double_click: list[Any] = []
        self.is_active = False
        self.is_swapped = False

    @property
    def plain_kind(self) -> ClickKind:
        """What a left click without any key means now."""
        return self._signed(_LEFT, set())

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
        if event.button not in (_LEFT, _RIGHT) or not in_pan_zoom(self._viewer):
            return None
        held = {str(getattr(m, "name", m)) for m in event.modifiers}
        if held == {"Shift"} and event.button == _LEFT and self._takes_boundary():
            return "boundary"
        if event.button == _RIGHT:
            held -= {"Meta"}  # a Mac makes a right click of Control + click
        if held - set(_KEYS[self.preferences().other_sign]) or len(held) > 1:
            return None
        return self._signed(event.button, held)

    def _signed(self, button: int, held: set[str]) -> ClickKind:
        """The sign; swapped buttons and the swapped tool each turn it round.

        A key held with the right button changes nothing, as it is the other sign already.
        """
        is_other = button == _RIGHT or bool(held)
        is_negative = is_other ^ self.preferences().swap_buttons ^ self.is_swapped
        return "negative" if is_negative else "positive"

    def _on_press(self, viewer: Any, event: Any) -> Iterator[None]:
        kind = self._kind(event)
        if kind is None:
            return
        start, position = np.array(event.pos, dtype=float), tuple(event.position)
        most, drift = self.preferences().drift_px, 0.0
        yield
        while event.type == "mouse_move":
            drift = max(drift, float(np.linalg.norm(np.asarray(event.pos) - start)))
            if drift <= most:
                event.handled = True  # a trembling hand must not pan the view
            yield
        drift = max(drift, float(np.linalg.norm(np.asarray(event.pos) - start)))
        if drift <= most:
            self._on_click(position, kind)
