"""Where outlines are on the screen, their layer, and marks on the corners that are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Points, Shapes

from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.outlines.hits import ScreenFrame
from napari_edgeflow.gui.planes import Plane, data_to_world_matrix

_OUTLINE_KEY = "napari-edgeflow outline"
PLACEMENT = ("scale", "translate", "rotate", "shear", "affine")
"""What says where a layer is; napari's reach for corners goes by the layer's scale."""
_SIZE_PX = 9


def new_outline_layer(ndim: int, image: Any) -> Shapes:
    """An empty layer for outlines of an image with this many axes."""
    return Shapes(
        ndim=ndim,
        name="Outline being edited",
        face_color="transparent",
        metadata={_OUTLINE_KEY: True},
        **like(image),
    )


def is_outline_layer(layer: Any) -> bool:
    """True for a layer that was made for outlines, now or by a widget before."""
    return isinstance(layer, Shapes) and bool(layer.metadata.get(_OUTLINE_KEY))


def place_like(layer: Any, image: Any) -> None:
    """Put a layer where the image is."""
    for name in PLACEMENT:
        setattr(layer, name, getattr(image, name))


def screen_frame(
    image: Any, plane: Plane, zoom: float, displayed: Sequence[int], n_dims: int
) -> ScreenFrame:
    """From rows and columns of the plane to the displayed world, in pixels of the screen.

    Args:
        image: The Image layer.
        plane: Of the image.
        zoom: Pixels of the screen to one unit of the world.
        displayed: Axes of the viewer on the screen.
        n_dims: Axes of the viewer.
    """
    axes = [axis - (n_dims - len(plane.index)) for axis in displayed]
    matrix = data_to_world_matrix(image)
    origin = (matrix @ [*plane.position(0, 0), 1.0])[axes]
    return ScreenFrame(matrix[np.ix_(axes, list(plane.axes))] * zoom, origin * zoom)


class CornerMarks:
    """A Points layer, made when corners are chosen for the first time, and kept."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Points | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def show(self, image: Any, positions: npt.NDArray[np.float64], ndim: int) -> None:
        """Mark these places, ``(N, ndim)`` in pixels of the image; those before are gone."""
        layer = self.layer
        if layer is not None and layer.ndim != ndim:
            self._viewer.layers.remove(layer)
            layer = None
        if layer is None:
            if not len(positions):
                return
            layer = self._new(image, ndim)
        layer.data = positions
        layer.selected_data = set()

    def follow(self, image: Any) -> None:
        """Stay with the image, which moved."""
        if self.layer is not None and self.layer.ndim == len(image.scale):
            place_like(self.layer, image)

    def close_down(self) -> None:
        """Let go of the viewer; the layer goes."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _new(self, image: Any, ndim: int) -> Points:
        active = self._viewer.layers.selection.active
        self.layer = Points(
            ndim=ndim,
            name="Chosen corners",
            size=1,
            canvas_size_limits=(_SIZE_PX, _SIZE_PX),
            face_color="#d55e00",
            border_width=0,
            **like(image),
        )
        place_like(self.layer, image)
        self._viewer.layers.append(self.layer)
        self._viewer.layers.selection.active = active
        return self.layer

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.layer = None
