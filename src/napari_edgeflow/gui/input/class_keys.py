"""Digits that choose a class, and give it to the selected objects.

napari's layers use 1…7 themselves, and 1 deletes selected points; so a plain digit chooses a class
while the click tool is on and the selected layer is in its pan/zoom mode. Alt and the digit do so
at all times. Ctrl and the digit give the class to the selected objects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.utils.key_bindings import coerce_keybinding

from napari_edgeflow.gui.input.shared_keys import SharedKeys
from napari_edgeflow.gui.input.shortcuts import in_pan_zoom

DIGITS = range(10)


class ClassKeys:
    """Binds the digits while a window is open.

    Args:
        viewer: The napari viewer.
        choose: Called with the digit of the class to choose.
        give: Called with the digit of the class for the selected objects.
        is_clicking: True while the click tool is on.
    """

    def __init__(
        self,
        viewer: Any,
        choose: Callable[[int], object],
        give: Callable[[int], object],
        is_clicking: Callable[[], bool],
    ) -> None:
        self._viewer = viewer
        self._shared = SharedKeys(viewer, lambda: is_clicking() and in_pan_zoom(viewer))
        self._bound: list[str] = []
        for digit in DIGITS:
            self._shared.bind(str(digit), partial(choose, digit))
            self._bind(f"Alt-{digit}", partial(choose, digit))
            self._bind(f"Control-{digit}", partial(give, digit))

    def _bind(self, key: str, action: Callable[[], object]) -> None:
        """Bind a key unless someone has it."""
        if coerce_keybinding(key) in (self._viewer.keymap | self._viewer.class_keymap):
            return

        def run(_viewer: Any) -> None:  # napari asks for its __name__, which a partial has not
            action()

        self._viewer.bind_key(key, run)
        self._bound.append(key)

    def close(self) -> None:
        """Give all keys back."""
        self._shared.close()
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound = []
