"""The Labels layer that finished objects are shown in: which one can be, and a new one."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels

from napari_edgeflow.gui.clicks.preview import like
from napari_edgeflow.gui.labels.label_colors import new_colormap
from napari_edgeflow.gui.planes import layer_shape

LABELS_NAME = "EdgeFlow labels"


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


def labels_name(image: Any, taken: set[str]) -> str:
    """What the layer of an image's objects is called."""
    return LABELS_NAME if LABELS_NAME not in taken else f"{LABELS_NAME} · {image.name}"


def new_labels(image: Any, taken: set[str]) -> Labels:
    """An empty Labels layer over ``image``, with the same scale, rotation and the like."""
    return Labels(
        np.zeros(layer_shape(image), np.uint32),
        name=labels_name(image, taken),
        scale=image.scale,
        translate=image.translate,
        rotate=image.rotate,
        shear=image.shear,
        affine=image.affine,
        colormap=new_colormap(),
        **like(image),
    )
