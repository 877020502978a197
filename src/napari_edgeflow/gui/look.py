"""Bring an object into view."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.gui.planes import layer_shape

_MARGIN = 2.0
"""How many times larger than the object the view is."""


def zoom_to(viewer: Any, image: Any, box: Window, plane: PlaneIndex = ()) -> None:
    """Show this box of the image, with as much again around it.

    Args:
        viewer: The napari viewer.
        image: The Image layer.
        box: Level-0 pixels.
        plane: Which plane of a stack; () for a plain image. The other axes go there, and its
            axes are put on the screen.
    """
    index = plane or (None,) * len(layer_shape(image))
    corners = _corners(image, box, index)
    first = viewer.dims.ndim - len(index)
    shown = [first + axis for axis, at in enumerate(index) if at is None]
    viewer.dims.ndisplay = 2
    if set(viewer.dims.displayed) != set(shown):
        others = [axis for axis in range(viewer.dims.ndim) if axis not in shown]
        viewer.dims.order = (*others, *shown)
    for axis, at in enumerate(index):
        if at is not None:
            viewer.dims.set_point(first + axis, float(corners[:, axis].mean()))
    displayed = [axis - first for axis in viewer.dims.displayed]
    sides = np.ptp(corners, axis=0)[displayed]
    center = corners.mean(axis=0)[displayed]
    camera = (viewer.scene if hasattr(viewer, "scene") else viewer).camera
    canvas = viewer.canvas.size if hasattr(viewer, "canvas") else (800, 600)
    camera.center = (0.0, float(center[0]), float(center[1]))
    camera.zoom = float(min(np.asarray(canvas, dtype=float) / np.maximum(sides, 1e-12))) / _MARGIN


def _corners(image: Any, box: Window, index: PlaneIndex) -> Any:
    """``(4, n) float64``: the box's corners in the world."""
    found = []
    for y in (box.y0 - 0.5, box.y1 - 0.5):
        for x in (box.x0 - 0.5, box.x1 - 0.5):
            yx = iter((y, x))
            at = [next(yx) if place is None else float(place) for place in index]
            found.append(image.data_to_world(at))
    return np.asarray(found, dtype=float)
