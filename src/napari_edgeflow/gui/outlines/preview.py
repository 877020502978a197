"""What applying the outlines would change, pixel by pixel, and the layer that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.objects import tight_box
from napari_edgeflow.annotation.polygon_commands import Outline, join_boxes, outline_pieces
from napari_edgeflow.gui.clicks.preview import HELPER, like
from napari_edgeflow.gui.planes import Plane, data_to_world_matrix, layer_shape

NAME = "Outline · what changes"
ADDED, REMOVED, MOVED = 1, 2, 3
_COLOURS: dict[int | None, str] = {
    None: "transparent",
    0: "transparent",
    ADDED: "#56b4e9",
    REMOVED: "#d55e00",
    MOVED: "#f0e442",
}
_MAX_PICTURE_PX = 4096**2

Owned = tuple[int, Window, BoolArray]
"""An object's id, or a negative number for a new one, and pixels of it at their place."""


@dataclass(frozen=True, slots=True, eq=False)
class PixelChanges:
    """Pixels that applying would change.

    Attributes:
        added: How many the objects gain from the background or from neighbours.
        removed: How many they give up.
        moved: How many pass from one edited object to another, or to a new one.
        total_px: How many the objects would have.
        window: Where the picture is; None when nothing changes, or too much to show.
        picture: ``(h, w) uint8`` of the window: 0 or one of the codes above.
    """

    added: int = 0
    removed: int = 0
    moved: int = 0
    total_px: int = 0
    window: Window | None = None
    picture: npt.NDArray[np.uint8] | None = None


def find_changes(
    before: Sequence[Owned], outlines: Sequence[Outline], shape: tuple[int, int]
) -> PixelChanges:
    """What would change if the outlines were applied; neighbours are not looked at.

    Args:
        before: Pixels of the objects that are edited.
        outlines: What they would be.
        shape: (rows, columns) of the image.
    """
    after: list[Owned] = []
    for number, outline in enumerate(outlines, start=1):
        owner = -number if outline.is_new else outline.label
        after += [(owner, window, mask) for window, mask in outline_pieces(outline, shape)]
    boxes = join_boxes([window for _, window, _ in (*before, *after)])
    parts, counts = [], np.zeros(4, dtype=np.int64)
    total = 0
    for box in boxes:
        old, new = _paint(before, box), _paint(after, box)
        codes = np.zeros(box.shape, dtype=np.uint8)
        codes[(old == 0) & (new != 0)] = ADDED
        codes[(old != 0) & (new == 0)] = REMOVED
        codes[(old != 0) & (new != 0) & (old != new)] = MOVED
        counts += np.bincount(codes.ravel(), minlength=4)
        total += int((new != 0).sum())
        tight = tight_box(codes != 0, box)
        if tight is not None:
            parts.append((tight, codes[tight.relative_to(box).slices]))
    added, removed, moved = counts[1:].tolist()
    window, picture = _assemble(parts)
    return PixelChanges(added, removed, moved, total, window, picture)


def _paint(owned: Sequence[Owned], box: Window) -> npt.NDArray[np.int64]:
    """``(h, w) int64`` owner of each pixel of the box, 0 for none; the earlier one has it."""
    painted = np.zeros(box.shape, dtype=np.int64)
    for owner, window, mask in owned:
        if window.intersect(box) is not None:
            part = painted[window.relative_to(box).slices]
            part[mask & (part == 0)] = owner
    return painted


def _assemble(
    parts: Sequence[tuple[Window, npt.NDArray[np.uint8]]],
) -> tuple[Window | None, npt.NDArray[np.uint8] | None]:
    if not parts:
        return None, None
    window = parts[0][0]
    for other, _ in parts[1:]:
        window = window.union(other)
    if window.height * window.width > _MAX_PICTURE_PX:
        return None, None
    picture = np.zeros(window.shape, dtype=np.uint8)
    for box, codes in parts:
        picture[box.relative_to(window).slices] = codes
    return window, picture


class ChangeLayer:
    """A small Labels layer that is moved to where pixels change; kept, empty between edits."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    def show(self, image: Any, plane: Plane, changes: PixelChanges) -> None:
        """Show the changes on this plane of the image."""
        if changes.picture is None or changes.window is None:
            self.clear()
            return
        layer = self._ensure(image)
        sides = iter(changes.picture.shape)
        layer.data = changes.picture.reshape(
            tuple(next(sides) if at is None else 1 for at in plane.index)
        )
        layer.affine = data_to_world_matrix(image)
        layer.translate = plane.position(changes.window.y0, changes.window.x0)

    def clear(self) -> None:
        """Show nothing; the layer stays."""
        if self.layer is not None and self.layer.data.any():
            self.layer.data = np.zeros((1,) * self.layer.ndim, np.uint8)

    def close_down(self) -> None:
        """Let go of the viewer; the layer goes."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self.layer is not None and self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)
        self.layer = None

    def _ensure(self, image: Any) -> Labels:
        n = len(layer_shape(image))
        if self.layer is not None and self.layer.ndim != n:
            self._viewer.layers.remove(self.layer)
        if self.layer is None:
            active = self._viewer.layers.selection.active
            self.layer = Labels(
                np.zeros((1,) * n, np.uint8),
                name=NAME,
                colormap=DirectLabelColormap(color_dict=_COLOURS),
                opacity=0.7,
                metadata={HELPER: True},
                **like(image),
            )
            self.layer.editable = False
            below = [i for i, one in enumerate(self._viewer.layers) if one is active]
            self._viewer.layers.insert(below[0] if below else len(self._viewer.layers), self.layer)
            self._viewer.layers.selection.active = active
        return self.layer

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self.layer = None
