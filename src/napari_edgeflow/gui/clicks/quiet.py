"""Changes of the helper layers that cost napari no more than they must.

napari works out the extent of all layers, and what follows from it, whenever a layer's data or
place changes: 2.5 ms of the Qt thread each time, and up to twelve times for an object. Clicks and
masks lie on their image, so the extent stays what it is, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers.base import ActionType

Positions = npt.NDArray[np.float64]


@contextmanager
def unheard(layer: Any, *names: str) -> Iterator[None]:
    """Nobody is told of these events of a layer while the context lasts."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(getattr(layer.events, name).blocker())
        yield


@contextmanager
def drawn_once(layer: Any) -> Iterator[None]:
    """A layer whose data, scale and translation change is cut and drawn once, at the end.

    While a layer is hidden napari puts that off. Data, placement and thumbnail are changed without
    a word to others; what is on the screen is right, as drawing reads all of them.
    """
    is_shown = layer.visible
    quiet = ("data", "features", "scale", "translate", "thumbnail", "visible")
    with unheard(layer, *quiet):
        if is_shown:
            layer.visible = False
        try:
            yield
        finally:
            if is_shown:
                layer.visible = True


def set_points(layer: Any, data: Positions) -> None:
    """Give a Points layer these points; others hear of it once, when it is done.

    Args:
        layer: The napari Points layer.
        data: ``(N, n)`` positions.
    """
    n_before, n = len(layer.data), len(data)
    if layer.selected_data:
        layer.selected_data = set()
    with unheard(layer, "data", "features", "thumbnail"):
        layer.data = data
    action = ActionType.CHANGED
    if not n:
        action = ActionType.REMOVED
    elif not n_before:
        action = ActionType.ADDED
    rows = tuple(range(n_before if action is ActionType.REMOVED else n))
    layer.events.data(value=layer.data, action=action, data_indices=rows, vertex_indices=((),))
