"""The Labels layer that finished objects go to, and the stack of commits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_edgeflow.gui.click_log import Clicks
from napari_edgeflow.gui.commit import (
    MAX_PLANE_PX,
    Change,
    apply_change,
    check_size,
    check_target,
    new_labels,
    plan_undo,
)
from napari_edgeflow.gui.objects import ActiveObject
from napari_edgeflow.gui.planes import Plane, layer_shape


@dataclass(frozen=True, eq=False)
class Commit:
    """A commit that can be taken back, with what it takes to go on clicking."""

    layer: Labels
    change: Change
    clicks: Clicks
    active: ActiveObject


class LabelTarget:
    """Where objects go; makes a layer when there is none."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._commits: list[Commit] = []
        self._prepared: Labels | None = None
        self.layer: Labels | None = None
        self.next_label = 1

    @property
    def can_undo(self) -> bool:
        """True when there is a commit to take back."""
        return bool(self._commits)

    def choose(self, layer: Labels | None) -> None:
        """Write to this layer from now on; None: to a new one."""
        self.layer = layer
        self.next_label = 1

    def prepare(self, image: Image, plane: Plane) -> None:
        """Make a small layer before the first commit needs it, as napari takes its time.

        What is too large for that is left to ``ensure``, which says so.
        """
        shape = layer_shape(image)
        layer = self.layer
        if layer is not None and tuple(layer.data.shape) != shape and layer is self._prepared:
            self.drop_prepared()
        if self.layer is None and math.prod(shape) <= MAX_PLANE_PX:
            self._prepared = self.ensure(image, plane)

    def drop_prepared(self) -> None:
        """Remove the layer that ``prepare`` made, unless something was written to it."""
        layer, self._prepared = self._prepared, None
        if layer is None or layer not in self._viewer.layers:
            return
        if not layer.data.any() and not any(commit.layer is layer for commit in self._commits):
            if layer is self.layer:
                self.layer = None
            self._viewer.layers.remove(layer)

    def ensure(self, image: Image, plane: Plane) -> Labels:
        """The layer, made over ``image`` if there was none.

        Raises:
            ValueError: Objects of this image cannot be written to it.
        """
        shape = layer_shape(image)
        if self.layer is not None:
            check_target(self.layer, shape)
            return self.layer
        check_size(shape, plane)
        selected = self._viewer.layers.selection.active
        try:
            self.layer = new_labels(image, {layer.name for layer in self._viewer.layers})
        except MemoryError as error:
            raise ValueError(
                f"expected memory for labels of shape {shape}, got none; crop the image"
            ) from error
        self._viewer.layers.insert(self._viewer.layers.index(image) + 1, self.layer)
        self._viewer.layers.selection.active = selected
        return self.layer

    def write(self, layer: Labels, change: Change, clicks: Clicks, active: ActiveObject) -> None:
        """Apply the change and remember it."""
        apply_change(layer, change)
        self._commits.append(Commit(layer, change, clicks, active))
        if layer is self.layer:
            self.next_label = max(self.next_label, change.label + 1)

    def undo(self) -> Commit | None:
        """The commit that was taken back; None when its layer is gone."""
        commit = self._commits.pop()
        if commit.layer not in self._viewer.layers:
            return None
        apply_change(commit.layer, plan_undo(np.asarray(commit.layer.data), commit.change))
        if commit.layer is self.layer and commit.active.to_correct is None:
            self.next_label = commit.change.label
        return commit
