"""Keys of the click tool: which action has which, as the user set them in napari's Preferences.

napari ignores key bindings of manifests, so they are bound here. Keys that napari uses itself
are refused, but for a few (``SHARED``) that do different things at different times: they
are ours only while the click tool is on and the selected layer is in its pan/zoom mode.
Ctrl-Z works too, except while a Labels layer is selected, where it is napari's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from napari import layers as napari_layers
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.notifications import show_warning
from psygnal import Signal

from napari_edgeflow.gui.input.preferences import KEYS, Preferences
from napari_edgeflow.gui.input.shared_keys import SharedKeys

TITLES: Mapping[str, str] = {
    "tool": "Click tool on or off",
    "next": "Finish the object; the next one begins",
    "reset": "Drop the object being clicked",
    "delete": "Delete the last click; between objects: the selected objects",
    "undo": "Undo",
    "redo": "Redo",
    "swap": "Swap what left and right click mean",
    "hover": "Show the probable mask under the pointer",
    "series_next": "Next image of the series",
    "series_previous": "Previous image of the series",
}
SHARED = frozenset(("Enter", "Space", "Escape", "Backspace", "Delete"))
_LABELS_TOO = frozenset(map(coerce_keybinding, ("Control-Z", "Control-Shift-Z")))
"""Ours but while a Labels layer is selected."""
_NAMES = {"Return": "Enter", "Esc": "Escape", "Del": "Delete"}
_MODIFIERS = {"Ctrl", "Shift", "Alt", "Meta"}

Actions = Mapping[str, Callable[[], object]]


class Plan(NamedTuple):
    """Keys of each action, and what could not be done as the user wished."""

    keys: dict[str, list[str]]
    complaints: list[str]


class Shortcuts:
    """Binds the keys, remembers what it bound, and binds anew when the preferences change.

    Args:
        viewer: The napari viewer.
        actions: By name, a key of ``TITLES``.
        is_clicking: True while the click tool is on.
        preferences: Keys as the user set them.
    """

    changed = Signal()
    """Other keys are bound now."""

    def __init__(
        self,
        viewer: Any,
        actions: Actions,
        is_clicking: Callable[[], bool] = lambda: False,
        preferences: Preferences | None = None,
    ) -> None:
        self._viewer = viewer
        self._actions = actions
        self._is_clicking = is_clicking
        self.preferences = preferences or Preferences()
        self._shared = SharedKeys(viewer, self._may_act)
        self._plain: list[str] = []
        self.bound: dict[str, list[str]] = {}
        self._bind()
        self.preferences.changed.connect(self._bind_anew)

    def hint(self, name: str) -> str:
        """`` [N]``, or nothing when the action has no key."""
        keys = self.bound.get(name)
        return f"  [{', '.join(map(in_print, keys))}]" if keys else ""

    def close(self) -> None:
        """Unbind."""
        self.preferences.close()
        self._unbind()
        self._shared.close()
        self.changed.disconnect()

    def _may_act(self) -> bool:
        """True while a key that napari has a use for too is ours."""
        return self._is_clicking() and in_pan_zoom(self._viewer)

    def _bind(self) -> None:
        wanted = {name: self.preferences.keys(name) for name in self._actions}
        self.bound, complaints = plan_keys(wanted, _taken_keys(self._viewer))
        for name, keys in self.bound.items():
            for key in keys:
                if key in SHARED:
                    self._shared.bind(key, self._actions[name])
                else:
                    self._viewer.bind_key(key, _as_callback(self._actions[name]))
                    self._plain.append(key)
        for complaint in complaints:
            show_warning(complaint)

    def _unbind(self) -> None:
        self._shared.unbind()
        for key in self._plain:
            self._viewer.bind_key(key, None)
        self._plain, self.bound = [], {}

    def _bind_anew(self) -> None:
        self._unbind()
        self._bind()
        self.changed.emit()


def plan_keys(wanted: Mapping[str, str], taken: Iterable[Any]) -> Plan:
    """Which keys each action gets.

    An action whose keys cannot be read, are napari's own or are another action's keeps its
    default ones, as far as those are free. The user's own keys come before defaults.

    Args:
        wanted: Action to its keys, separated by commas.
        taken: Key bindings that belong to napari or another plugin.
    """
    used: dict[str, str] = dict.fromkeys(map(str, taken), "napari")
    complaints: list[str] = []
    plan: dict[str, list[str]] = {}
    chosen = [name for name in wanted if wanted[name] != KEYS[name]]
    for name in chosen:
        try:
            plan[name] = _claim(name, wanted[name], used)
        except ValueError as error:
            complaints.append(
                f"Keys for “{TITLES[name]}”: {error}. The default is kept ({KEYS[name]}); change "
                "it in Preferences > EdgeFlow > Keys."
            )
    for name in wanted:
        if name not in plan:
            free = [key for key in parse_keys(KEYS[name]) if _owner(key, used) is None]
            plan[name] = _claim(name, ", ".join(free), used)
    return Plan({name: plan[name] for name in wanted if plan[name]}, complaints)


def _claim(name: str, text: str, used: dict[str, str]) -> list[str]:
    """The keys in the text, marked as used.

    Raises:
        ValueError: One of them is no key, or is used.
    """
    keys = parse_keys(text)
    for key in keys:
        owner = _owner(key, used)
        if owner is not None:
            raise ValueError(f"expected a free key, got {key}, which is {owner}’s")
    used.update({str(coerce_keybinding(key)): f"“{TITLES[name]}”" for key in keys})
    return keys


def _owner(key: str, used: Mapping[str, str]) -> str | None:
    owner = used.get(str(coerce_keybinding(key)))
    return None if key in SHARED and owner == "napari" else owner


def parse_keys(text: str) -> list[str]:
    """The keys in a text such as ``N, Enter, Control-Z``; none in an empty one.

    Raises:
        ValueError: A part of it is no key that napari knows, or a modifier alone.
    """
    keys = []
    for word in filter(None, map(str.strip, text.split(","))):
        word = _NAMES.get(word.capitalize(), word)
        word = word.capitalize() if word.capitalize() in SHARED else word
        parts = coerce_keybinding(word).parts
        last = str(parts[-1].key) if len(parts) == 1 else ""
        if not last or last == "UNKNOWN" or int(parts[-1].key) == 0 or last in _MODIFIERS:
            raise ValueError(
                f"expected keys such as “N, Enter, Control-Shift-Z”, got {word!r}, which is none"
            )
        keys.append(word)
    return list(dict.fromkeys(keys))


def in_print(key: str) -> str:
    """The key as it is written on the screen: ``Ctrl+Shift+Z``."""
    return str(coerce_keybinding(key))


def in_pan_zoom(viewer: Any) -> bool:
    """True while the selected layer is in its pan/zoom mode, or none is selected."""
    active = viewer.layers.selection.active
    return active is None or str(getattr(active, "mode", "pan_zoom")) == "pan_zoom"


def _as_callback(action: Callable[[], object]) -> Callable[[Any], None]:
    def run(_viewer: Any) -> None:  # napari asks for its __name__, which a partial has not
        action()

    return run


def _taken_keys(viewer: Any) -> set[Any]:
    """Keys of the viewer, of all kinds of layers, and those of the user's napari settings."""
    taken = {coerce_keybinding(key) for key in viewer.keymap}
    kinds = [getattr(napari_layers, name) for name in ("Image", "Labels", "Points", "Shapes")]
    for kind in (type(viewer), *kinds):
        for base in kind.__mro__:
            found = getattr(base, "class_keymap", {})
            taken.update(key for key in found if key is not Ellipsis)
    for keys in get_settings().shortcuts.shortcuts.values():
        taken.update(coerce_keybinding(key) for key in keys)
    return taken - {key for key in _LABELS_TOO if key not in viewer.keymap}
