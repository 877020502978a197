"""Finished objects go into an in-memory Labels layer, one id each, and can be taken back.

What changes is worked out in the worker (``plan_commit``) and written on the Qt thread through
``Labels.data_setitem``, which redraws the changed box only: 5 ms for a 400 × 400 object in a
4096² layer, where a refresh of the whole layer takes 130 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Labels

from napari_edgeflow._types import AnyArray, Prediction
from napari_edgeflow.gui.planes import Plane, layer_shape
from napari_edgeflow.gui.preview import like

MAX_PLANE_PX = 4096**2
_MAX_ITEMS = 2_000_000
LABELS_NAME = "EdgeFlow labels"


@dataclass(frozen=True, slots=True, eq=False)
class CommitOrder:
    """What to commit.

    Attributes:
        labels: The whole array of the Labels layer; read, not changed.
        plane: Where in it.
        prediction: The object.
        label: The id of the object that is corrected, None for a new id.
        may_overwrite: Take pixels from other objects.
    """

    labels: AnyArray
    plane: Plane
    prediction: Prediction
    label: int | None = None
    may_overwrite: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """Pixels of a Labels layer before and after a commit.

    Attributes:
        label: The object's id.
        pixels: Index arrays into the layer's array, one for each axis.
        old: Values before.
        new: Values after.
        lost_px: Pixels of the mask that stayed with other objects.
    """

    label: int
    pixels: tuple[Any, ...]
    old: AnyArray
    new: AnyArray
    lost_px: int = 0


def plan_commit(order: CommitOrder) -> Change:
    """The change that the commit makes; reads the labels, writes nothing.

    Raises:
        ValueError: The mask is empty or wholly inside other objects, or the id does not fit.
    """
    labels, window, mask = order.labels, order.prediction.window, order.prediction.mask
    label = int(labels.max(initial=0)) + 1 if order.label is None else order.label
    if label > np.iinfo(labels.dtype).max:
        raise ValueError(
            f"expected room for the id {label}, got {labels.dtype} labels that end at "
            f"{np.iinfo(labels.dtype).max}; convert the layer (right click > Convert data type)"
        )
    if not mask.any():
        raise ValueError("expected a mask to commit, got an empty one; click on the object first")
    box = labels[order.plane.slicer][window.slices]
    is_own = box == label
    is_free = (box == 0) | is_own | order.may_overwrite
    target = np.where(mask & is_free, label, np.where(is_own, 0, box)).astype(labels.dtype)
    if not (target == label).any():
        raise ValueError(
            "expected free pixels for the object, got a mask that lies inside other objects; "
            "tick “may overwrite neighbours” or change the clicks"
        )
    rows, columns = np.nonzero(target != box)
    pixels = order.plane.pixels(rows + window.y0, columns + window.x0)
    lost = int((mask & ~is_free).sum())
    return Change(label, pixels, box[rows, columns].copy(), target[rows, columns], lost)


def plan_undo(labels: AnyArray, change: Change) -> Change:
    """The change that takes ``change`` back; pixels painted since then are left alone."""
    is_same = labels[change.pixels] == change.new
    pixels = tuple(axis[is_same] for axis in change.pixels)
    return Change(change.label, pixels, change.new[is_same], change.old[is_same])


def apply_change(layer: Labels, change: Change) -> None:
    """Write the change and redraw what it touches; on the Qt thread."""
    if change.old.size <= _MAX_ITEMS:
        layer.data_setitem(change.pixels, change.new)
        return
    layer.data[change.pixels] = change.new
    layer.refresh(extent=False, thumbnail=False)


def check_target(layer: Any, shape: tuple[int, ...]) -> None:
    """Nothing, when objects of an image of this shape can be written to the layer.

    Raises:
        ValueError: They cannot; the message says why.
    """
    if layer.multiscale or not isinstance(layer.data, np.ndarray):
        raise ValueError(
            f"expected an in-memory Labels layer, got {layer.name}, whose labels are "
            f"{'multiscale' if layer.multiscale else type(layer.data).__name__}; "
            "choose “new layer”"
        )
    if tuple(layer.data.shape) != shape:
        raise ValueError(
            f"expected labels of the image's shape {shape}, got {layer.name} of shape "
            f"{tuple(layer.data.shape)}; choose another layer or “new layer”"
        )
    if not layer.data.flags.writeable:
        raise ValueError(
            f"expected labels that can be written, got {layer.name}, which is read-only; "
            "duplicate the layer first"
        )


def check_size(shape: tuple[int, ...], plane: Plane) -> None:
    """Nothing, when labels of this image fit in memory.

    Raises:
        ValueError: The plane is too large for in-memory labels.
    """
    if plane.shape[0] * plane.shape[1] > MAX_PLANE_PX:
        raise ValueError(
            f"expected an image of at most 4096 × 4096 px for committing, got {plane.shape[0]} × "
            f"{plane.shape[1]} px (array {shape}); the label store for large rasters comes in a "
            "later version. The preview works: crop the image to keep objects"
        )


def new_labels(image: Any, taken: set[str]) -> Labels:
    """An empty Labels layer over ``image``, with the same scale, rotation and the like."""
    name = LABELS_NAME if LABELS_NAME not in taken else f"{LABELS_NAME} · {image.name}"
    return Labels(
        np.zeros(layer_shape(image), np.uint32),
        name=name,
        scale=image.scale,
        translate=image.translate,
        rotate=image.rotate,
        shear=image.shear,
        affine=image.affine,
        **like(image),
    )
