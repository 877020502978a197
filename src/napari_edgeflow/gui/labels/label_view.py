"""How the labels of a project are shown: as an ordinary Labels layer with an array of its own.

The layer's array is a copy of the store, so that painting on the Qt thread and steps in the
worker never write to the same pixels at once.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from napari.layers import Labels
from psygnal import Signal, SignalInstance

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch
from napari_edgeflow.annotation.import_labels import planes_of
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.store import ArrayStore, LabelStore
from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.clicks.quiet import drawn_once
from napari_edgeflow.gui.clicks.spare import Spare, place_like
from napari_edgeflow.gui.labels.commit import labels_name, new_labels
from napari_edgeflow.gui.planes import Plane, layer_shape

_MAX_ITEMS = 2_000_000
_USE = "labels"
_PLACEMENT = ("scale", "translate", "rotate", "shear", "affine")


class LabelView(Protocol):
    """Shows a store in a napari layer; used on the Qt thread."""

    layer: Labels | None
    edited: SignalInstance
    """Somebody wrote to the layer."""
    is_own: bool
    """The layer was made here; False for one of the user's."""

    def fill(self, store: LabelStore) -> None:
        """Show all of a store; the layer is made now if it holds anything."""

    def ensure(self) -> Labels:
        """The layer, made if it is missing."""

    def show(self, change: Change, is_forward: bool) -> None:
        """Show a step that was done, or taken back."""

    def take_edited(self, shown: PlaneIndex) -> tuple[PlaneIndex, ...]:
        """Planes that may have been written to since the last time; the shown one always."""

    def painted(self, plane: PlaneIndex) -> AnyArray | None:
        """``(H, W)`` integers of a plane as the layer has it; None when nobody can write to it."""

    def redraw(self, window: Window, plane: PlaneIndex) -> None:
        """Show a box of a plane as it is in the store, whatever was painted."""

    def close(self) -> None:
        """Let go of the layer; one that nothing was written to is removed."""


class ArrayView:
    """An in-memory Labels layer over an image.

    Args:
        viewer: The napari viewer.
        image: The Image layer.
        layer: A layer of the user's to show the objects in; None: one is made.
        spare: Has the layer of an image before, while images change.
    """

    edited = Signal()

    def __init__(
        self, viewer: Any, image: Any, layer: Labels | None = None, spare: Spare | None = None
    ) -> None:
        self._spare = spare
        self._viewer = viewer
        self._image = image
        self._store: ArrayStore | None = None
        self.is_own = layer is None
        self._is_writing = self._is_edited_all_over = False
        self._layer: Labels | None = None
        self.layer = layer

    @property
    def layer(self) -> Labels | None:
        """The layer; None while there is none."""
        return self._layer

    @layer.setter
    def layer(self, layer: Labels | None) -> None:
        if self._layer is not None:
            self._layer.events.paint.disconnect(self._on_edit)
            self._layer.events.data.disconnect(self._on_edit)
        self._layer = layer
        if layer is not None:
            layer.events.paint.connect(self._on_edit)
            layer.events.data.connect(self._on_edit)

    def _on_edit(self, event: Any) -> None:
        if self._is_writing or self._layer is None:
            return
        self._is_edited_all_over |= event.type == "data" or self._layer.n_edit_dimensions > 2
        self.edited.emit()

    def take_edited(self, shown: PlaneIndex) -> tuple[PlaneIndex, ...]:
        """Planes that may have been written to.

        All of them after a brush in three dimensions, and while other axes are on the screen.
        """
        is_all = self._is_edited_all_over or (bool(shown) and shown[-2:] != (None, None))
        self._is_edited_all_over = False
        return planes_of(layer_shape(self._image)) if is_all else (shown,)

    def painted(self, plane: PlaneIndex) -> AnyArray | None:
        """``(H, W)`` integers of a plane as the layer has it; None without such labels."""
        layer, store = self.layer, self._store
        if layer is None or store is None or layer.data.shape != store.array.shape:
            return None
        if len(plane or (None, None)) != layer.ndim:  # the 3-D view shows no plane
            return None
        if (
            plane
            and [axis for axis, at in enumerate(plane) if at is None]
            != sorted(range(layer.ndim))[-2:]
        ):
            return None
        part: AnyArray = np.asarray(layer.data)[plane_of(plane, self._image).slicer]
        return part

    def redraw(self, window: Window, plane: PlaneIndex) -> None:
        """Show a box of a plane as it is in the store, whatever was painted."""
        layer, store = self.layer, self._store
        if layer is None or store is None:
            return
        part = layer.data[plane_of(plane, self._image).slicer][window.slices]
        new = store.read(window, plane)
        rows, columns = np.nonzero(part != new)
        pixels = plane_of(plane, self._image).pixels(rows + window.y0, columns + window.x0)
        self._put(layer, pixels, new[rows, columns])

    def fill(self, store: LabelStore) -> None:
        """Show all of a store; the layer is made now if the store holds anything."""
        if not isinstance(store, ArrayStore):  # too large: there are no labels to show
            return
        is_first, self._store = self._store is None, store
        if self.layer is not None:
            if self.is_own or not is_first:  # the user's own layer is where the store is from
                self._copy(self.layer)
        elif store.next_id > 1:
            self.ensure()

    def ensure(self) -> Labels:
        """The layer, made over the image if it is missing.

        Raises:
            ValueError: There is no memory for it.
        """
        if self.layer is not None:
            return self.layer
        spare = self._from_spare()
        if spare is not None:
            return spare
        selected = self._viewer.layers.selection.active
        try:
            self.layer = new_labels(self._image, {layer.name for layer in self._viewer.layers})
        except MemoryError as error:
            shape = layer_shape(self._image)
            raise ValueError(
                f"expected memory for labels of shape {shape}, got none; crop the image"
            ) from error
        self._copy(self.layer)
        self._viewer.layers.insert(self._viewer.layers.index(self._image) + 1, self.layer)
        self._viewer.layers.selection.active = selected
        return self.layer

    def show(self, change: Change, is_forward: bool) -> None:
        """Write the changed pixels to the layer and redraw them."""
        if change.patches and self.layer is None:
            self.ensure()
            return
        for patch in change.patches if is_forward else reversed(change.patches):
            if patch.is_changed.any():
                self._write(patch, is_forward)

    def give_up(self, spare: Spare) -> None:
        """Leave the layer to the next image; what it shows stays until that one is there."""
        layer = self.layer
        if layer is not None and layer in self._viewer.layers:
            self.layer = None
            layer.metadata = {}
            spare.keep(_USE, layer)

    def _from_spare(self) -> Labels | None:
        shape = layer_shape(self._image)
        layer: Labels | None = None if self._spare is None else self._spare.take(_USE, len(shape))
        if layer is None:
            return None
        others = {one.name for one in self._viewer.layers if one is not layer}
        layer.name = labels_name(self._image, others)
        with drawn_once(layer):
            layer.data = np.zeros(shape, np.uint32)
            if self._store is not None:
                np.copyto(layer.data, self._store.array, casting="unsafe")
        placement = {name: getattr(self._image, name) for name in _PLACEMENT}
        place_like(layer, **placement, **like(self._image))
        layer.editable = False  # napari forgets the strokes on the image before
        layer.editable = True
        self.layer = layer
        return layer

    def close(self) -> None:
        """Let go of the layer; one that we made and that holds nothing is removed."""
        layer, self.layer = self.layer, None
        is_empty = layer is not None and self.is_own and not layer.data.any()
        if is_empty and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _copy(self, layer: Labels) -> None:
        if self._store is not None and (self._store.next_id > 1 or layer.data.any()):
            np.copyto(layer.data, self._store.array, casting="unsafe")
            layer.refresh(extent=False)

    def _write(self, patch: LabelPatch, is_forward: bool) -> None:
        """Write one patch; pixels that somebody painted meanwhile stay as they are."""
        layer = self.layer
        if layer is None:
            return
        before, values = (patch.old, patch.new) if is_forward else (patch.new, patch.old)
        rows, columns = np.nonzero(patch.is_changed)
        plane = plane_of(patch.plane, self._image)
        pixels = plane.pixels(rows + patch.window.y0, columns + patch.window.x0)
        is_known = layer.data[pixels] == before
        if not is_known.all():
            pixels, values = tuple(axis[is_known] for axis in pixels), values[is_known]
        self._put(layer, pixels, values)

    def _put(self, layer: Labels, pixels: tuple[Any, ...], values: AnyArray) -> None:
        self._is_writing = True
        try:
            if values.size <= _MAX_ITEMS:
                layer.data_setitem(pixels, values.astype(layer.data.dtype))
            else:
                layer.data[pixels] = values
                layer.refresh(extent=False, thumbnail=False)
        finally:
            self._is_writing = False


def plane_index(plane: Plane) -> PlaneIndex:
    """The plane as annotations name it: () for an image without a stack."""
    return () if all(at is None for at in plane.index) else plane.index


def plane_of(index: PlaneIndex, image: Any) -> Plane:
    """The window's plane of an annotation's plane."""
    shape = layer_shape(image)
    full = index or (None,) * len(shape)
    rows, columns = (axis for axis, at in enumerate(full) if at is None)
    return Plane(full, (shape[rows], shape[columns]))
