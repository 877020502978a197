"""Helper layers of an image that is left, for the next image of a series.

To add a layer takes napari 0.1 s of the Qt thread and to remove one half of that, so the layers of
clicks, mask and labels go from one image to the next: emptied, renamed and put in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class Spare:
    """Keeps layers while images change, and removes those that nobody took.

    Args:
        viewer: The napari viewer.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._layers: dict[str, Any] = {}
        self.is_kept = False

    @property
    def is_full(self) -> bool:
        """True while there are layers that nobody took."""
        return bool(self._layers)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Layers of images that are left meanwhile are kept for those that come."""
        self.is_kept = True
        try:
            yield
        finally:
            self.is_kept = False
            rest, self._layers = self._layers, {}
            for layer in rest.values():
                if layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)

    def keep(self, use: str, layer: Any) -> None:
        """Take a layer that an image has no use for any more."""
        self._layers[use] = layer

    def take(self, use: str, ndim: int) -> Any:
        """A layer of this use and number of axes, in the viewer; None when there is none."""
        layer = self._layers.get(use)
        if layer is None or layer.ndim != ndim or layer not in self._viewer.layers:
            return None
        del self._layers[use]
        if str(getattr(layer, "mode", "pan_zoom")) != "pan_zoom":
            layer.mode = "pan_zoom"
        return layer


def place_like(layer: Any, **placement: Any) -> None:
    """Set the attributes of a layer that are other than they should be; each costs napari time.

    Args:
        layer: The layer.
        placement: Values by attribute: affine, scale, units and the like.
    """
    for name, value in placement.items():
        old = getattr(layer, name)
        if name in ("units", "axis_labels"):
            is_same = tuple(map(str, old)) == tuple(map(str, value))
        else:
            is_same = np.array_equal(np.asarray(old), np.asarray(value))
        if not is_same:
            setattr(layer, name, value)
