"""Keys that napari uses too: ours while objects are clicked on, napari's at all other times.

napari asks the selected layer for a key before the viewer. So such a key is bound to the viewer
and, where the kind of layer has a use for it, to the selected layer itself; when it is not
ours, the handler goes on to what it hides. A Shapes layer keeps all its keys: polygons end
with Enter and vertices go with Delete there.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from napari.layers import Shapes
from napari.utils.key_bindings import coerce_keybinding


class _Bound(NamedTuple):
    holder: Any
    key: str
    handler: Callable[[Any], Any]
    before: Callable[[Any], Any] | None


class SharedKeys:
    """Binds such keys and gives them back.

    Args:
        viewer: The napari viewer.
        may_act: Asked at every press; False: the key does what it does in napari.
    """

    def __init__(self, viewer: Any, may_act: Callable[[], bool]) -> None:
        self._viewer = viewer
        self._may_act = may_act
        self._actions: dict[str, Callable[[], object]] = {}
        self._on_viewer: list[_Bound] = []
        self._on_layer: list[_Bound] = []
        viewer.layers.selection.events.active.connect(self._follow)

    def bind(self, key: str, action: Callable[[], object]) -> None:
        """Run the action at this key while ``may_act`` says so."""
        self._actions[key] = action
        self._on_viewer.append(self._bind(self._viewer, key))
        self._follow()

    def unbind(self) -> None:
        """Give all keys back."""
        _give_back(self._on_layer)
        _give_back(self._on_viewer)
        self._actions.clear()

    def close(self) -> None:
        """Give all keys back and look at the viewer no more."""
        self.unbind()
        self._viewer.layers.selection.events.active.disconnect(self._follow)

    def _follow(self, _event: Any = None) -> None:
        """Bind to the layer that is selected now what would hide the viewer's keys."""
        _give_back(self._on_layer)
        layer = self._viewer.layers.selection.active
        if layer is None or isinstance(layer, Shapes):
            return
        for key in self._actions:
            if _hidden(layer, key, layer.keymap.get(coerce_keybinding(key))) is not None:
                self._on_layer.append(self._bind(layer, key))

    def _bind(self, holder: Any, key: str) -> _Bound:
        before = holder.keymap.get(coerce_keybinding(key))
        action, may_act = self._actions[key], self._may_act

        def handler(provider: Any) -> Iterator[None]:
            if may_act():
                action()
                return
            hidden = _hidden(provider, key, before)
            if hidden is None:
                return
            result = hidden(provider)
            if inspect.isgenerator(result):
                yield from result  # on the press until its yield, the rest on the release

        holder.bind_key(key, handler, overwrite=True)
        return _Bound(holder, key, handler, before)


def _hidden(
    provider: Any, key: str, before: Callable[[Any], Any] | None
) -> Callable[[Any], Any] | None:
    """What the key does without us: what was bound to this very layer or viewer, else its kind."""
    if callable(before):
        return before
    wanted = coerce_keybinding(key)
    for kind in type(provider).__mro__:
        found: Callable[[Any], Any] | None = getattr(kind, "class_keymap", {}).get(wanted)
        if callable(found):
            return found
    return None


def _give_back(bound: list[_Bound]) -> None:
    """Unbind what is still ours, and bind again what was there before."""
    while bound:
        holder, key, handler, before = bound.pop()
        if holder.keymap.get(coerce_keybinding(key)) is handler:
            holder.bind_key(key, before, overwrite=True)
