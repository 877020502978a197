"""Keys of the click tool, bound to the viewer while the widget is open.

napari ignores key bindings of manifests, so they are bound here, and only those that nothing
else in napari uses: N, Q, U, Shift-U and Shift-R are free in 0.9 in the viewer and in every kind
of layer. Ctrl-Z works too, except while a Labels layer is selected, where it is napari's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding

KEYS: Mapping[str, tuple[str, ...]] = {
    "tool": ("Q",),
    "next": ("N",),
    "undo": ("U", "Control-Z"),
    "redo": ("Shift-U", "Control-Shift-Z"),
    "reset": ("Shift-R",),
}


class Shortcuts:
    """Binds what is free; remembers what it bound."""

    def __init__(self, viewer: Any, actions: Mapping[str, Callable[[], object]]) -> None:
        self._viewer = viewer
        self.bound: dict[str, list[str]] = {}
        taken = _taken_keys(viewer)
        for name, action in actions.items():
            for key in KEYS.get(name, ()):
                if coerce_keybinding(key) not in taken:
                    viewer.bind_key(key, _as_callback(action))
                    self.bound.setdefault(name, []).append(key)

    def hint(self, name: str) -> str:
        """`` [N]``, or nothing when the action has no key."""
        keys = self.bound.get(name)
        return f"  [{', '.join(keys)}]" if keys else ""

    def close(self) -> None:
        """Unbind."""
        for keys in self.bound.values():
            for key in keys:
                self._viewer.bind_key(key, None)
        self.bound = {}


def _as_callback(action: Callable[[], object]) -> Callable[[Any], None]:
    def run(_viewer: Any) -> None:
        action()

    return run


def _taken_keys(viewer: Any) -> set[Any]:
    """Keys of the viewer, and those that the user's settings give to napari's viewer actions."""
    taken = {coerce_keybinding(key) for key in (*viewer.keymap, *viewer.class_keymap)}
    for keys in get_settings().shortcuts.shortcuts.values():
        taken.update(coerce_keybinding(key) for key in keys)
    return taken
