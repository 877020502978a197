"""The active object's mask: a small Labels layer that is moved to where the object is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_edgeflow._types import BoolArray, Prediction, Window
from napari_edgeflow.gui.clicks.quiet import drawn_once
from napari_edgeflow.gui.clicks.spare import Spare, place_like
from napari_edgeflow.gui.planes import Plane, data_to_world_matrix, layer_shape

HELPER = "napari-edgeflow helper"
"""In the metadata of layers that show masks in the making."""


class Look(NamedTuple):
    """How a mask is shown; ``contour`` is the width of its outline, 0 for a filled mask."""

    name: str = "active object"
    colour: str = "#00c8ff"
    opacity: float = 0.5
    contour: int = 0


ACTIVE = Look()


class Preview:
    """Shows one prediction at a time; its cost follows the object, not the image."""

    def __init__(
        self, viewer: Any, image: Any, look: Look = ACTIVE, spare: Spare | None = None
    ) -> None:
        self._viewer = viewer
        self._image = image
        self._look = look
        self._spare = spare
        self.layer: Labels | None = None

    def show(self, plane: Plane, prediction: Prediction | None) -> None:
        """Put the mask of this prediction on the screen, or nothing for None."""
        found = None if prediction is None else _bounding_box(prediction)
        if found is None:
            self.clear()
            return
        mask, window = found
        scale = 1 if prediction is None else prediction.scale
        layer = self.ensure()
        shape = iter(mask.shape)
        full_shape = tuple(next(shape) if at is None else 1 for at in plane.index)
        middle = (scale - 1) / 2  # of the first cell, from its first pixel
        with drawn_once(layer):
            layer.data = mask.astype(np.uint8).reshape(full_shape)
            layer.scale = tuple(float(scale) if at is None else 1.0 for at in plane.index)
            layer.translate = plane.position(window.y0 + middle, window.x0 + middle)

    def clear(self) -> None:
        """Show nothing; the layer stays."""
        if self.layer is not None and self.layer.data.any():
            with drawn_once(self.layer):
                self.layer.data = np.zeros((1,) * self.layer.ndim, np.uint8)
                self.layer.translate = self.layer.translate  # napari forgets the old extent

    def follow_image(self) -> None:
        """Take over the image layer's scale, rotation and the like."""
        if self.layer is not None:
            self.layer.affine = data_to_world_matrix(self._image)

    def give_up(self, spare: Spare) -> None:
        """Leave the layer, if there is one, to the next image."""
        layer = self.layer
        if layer is not None and layer in self._viewer.layers:
            self.clear()
            spare.keep(self._look.name, layer)
            self.layer = None

    def ensure(self) -> Labels:
        """The layer, made when it is missing: before the first click, as napari takes its time."""
        if self.layer is None or self.layer not in self._viewer.layers:
            n = len(layer_shape(self._image))
            self.layer = None if self._spare is None else self._spare.take(self._look.name, n)
            if self.layer is not None:
                self.layer.name = f"{self._image.name} · {self._look.name}"
                matrix = data_to_world_matrix(self._image)
                place_like(self.layer, affine=matrix, **like(self._image))
                return self.layer
            active = self._viewer.layers.selection.active
            self.layer = Labels(
                np.zeros((1,) * n, np.uint8),
                name=f"{self._image.name} · {self._look.name}",
                colormap=DirectLabelColormap(
                    color_dict={None: "transparent", 0: "transparent", 1: self._look.colour}
                ),
                opacity=self._look.opacity,
                metadata={HELPER: True},
                affine=data_to_world_matrix(self._image),
                **like(self._image),
            )
            self.layer.contour = self._look.contour
            self.layer.editable = False
            position = self._viewer.layers.index(self._image) + 1
            self._viewer.layers.insert(position, self.layer)
            self._viewer.layers.selection.active = active
        return self.layer


def is_helper(layer: Any) -> bool:
    """True for layers that show masks in the making, not objects."""
    return bool(layer.metadata.get(HELPER))


def like(image: Any) -> dict[str, Any]:
    """Units and axis names of a layer, so that napari sees its companions in the same space."""
    return {name: getattr(image, name) for name in ("units", "axis_labels") if hasattr(image, name)}


def _bounding_box(prediction: Prediction) -> tuple[BoolArray, Window] | None:
    mask, window = prediction.mask, prediction.window
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    box = Window(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
    k = prediction.scale
    y0, x0 = window.y0 + box.y0 * k, window.x0 + box.x0 * k
    placed = Window(y0, x0, y0 + box.height * k, x0 + box.width * k)
    return mask[box.slices], placed
