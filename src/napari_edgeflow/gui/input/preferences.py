"""What the user set in napari's Preferences for this plugin, from 0.9 on; the defaults before.

The manifest's ``configurations`` declare the same settings with the same defaults; a test
compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from psygnal import Signal
from qtpy.QtCore import QTimer

PLUGIN = "napari-edgeflow"
_QUIET_MS = 600
"""Text is stored with every letter typed: wait for the end of the word."""

Modifier = Literal["Control or Alt", "Control", "Alt", "none"]

KEYS: dict[str, str] = {
    "tool": "Q",
    "next": "N, Enter, Space",
    "reset": "Shift-R, Escape",
    "delete": "Backspace, Delete",
    "undo": "U, Control-Z",
    "redo": "Shift-U, Control-Shift-Z",
    "swap": "W",
    "hover": "H",
    "series_next": "PageDown",
    "series_previous": "PageUp",
}


@dataclass(frozen=True, slots=True)
class MousePreferences:
    """How clicks are meant.

    Attributes:
        swap_buttons: The right button is for the object, the left for what is beside it.
        other_sign: Keys that make a click mean what the other button means.
        drift_px: How far the pointer may move on the screen between press and release of a
            click, in pixels.
    """

    swap_buttons: bool = False
    other_sign: Modifier = "Control or Alt"
    drift_px: int = 4


class Preferences:
    """Reads the settings and tells when they change."""

    changed = Signal()
    """Something was changed in napari's Preferences, and the user has stopped typing."""

    def __init__(self) -> None:
        self._settings = _plugin_settings()
        self._groups = [group for group in map(self._group, ("keys", "mouse")) if group is not None]
        self._n_changes = 0
        for group in self._groups:
            group.events.connect(self._on_change)

    def keys(self, action: str) -> str:
        """The keys of an action, separated by commas, as the user wrote them."""
        return str(getattr(self._group("keys"), f"{action}_keys", KEYS[action]))

    @property
    def mouse(self) -> MousePreferences:
        """Of the click tool; values that do not make sense count as the defaults."""
        group, usual = self._group("mouse"), MousePreferences()
        other_sign = getattr(group, "other_sign", usual.other_sign)
        return MousePreferences(
            bool(getattr(group, "swap_buttons", usual.swap_buttons)),
            other_sign if other_sign in get_args(Modifier) else usual.other_sign,
            int(getattr(group, "drift_px", usual.drift_px)),
        )

    def close(self) -> None:
        """Listen no more."""
        for group in self._groups:
            group.events.disconnect(self._on_change)
        self._groups = []
        self.changed.disconnect()

    def _group(self, name: str) -> Any:
        return getattr(self._settings, name, None)

    def _on_change(self, _event: Any = None) -> None:
        self._n_changes += 1
        QTimer.singleShot(_QUIET_MS, partial(self._on_quiet, self._n_changes))

    def _on_quiet(self, n_changes: int) -> None:
        if n_changes == self._n_changes:
            self.changed.emit()


def _plugin_settings() -> Any:
    """What napari keeps for this plugin; None before 0.9 or when it does not know the plugin."""
    import napari.settings

    read: Callable[[str], Any] | None = getattr(napari.settings, "get_plugin_settings", None)
    if read is None:
        return None
    try:
        return read(PLUGIN)
    except KeyError:
        return None
