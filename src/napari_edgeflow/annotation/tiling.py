"""Labels of large objects, looked at tile by tile: memory does not grow with the object."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import LabelPatch
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, tight_box
from napari_edgeflow.annotation.store import LabelStore

TILE_PX = 1024


def left_box(
    store: LabelStore,
    record: ObjectRecord,
    patches: Sequence[LabelPatch],
    tile_px: int = TILE_PX,
) -> Window | None:
    """The box of the object once the patches are written, None when nothing is left of it."""
    left: Window | None = None
    for tile in tiles_of(record.box, tile_px):
        labels = store.read(tile, record.plane)
        for patch in patches:
            _apply(patch, labels, tile)
        box = tight_box(labels == record.id, tile)
        if box is not None:
            left = box if left is None else left.union(box)
    return left


def _apply(patch: LabelPatch, labels: Labels, window: Window) -> None:
    """Puts the part of the patch that lies in the window into its labels."""
    common = patch.window.intersect(window)
    if common is None:
        return
    new = np.zeros(patch.window.shape, np.uint32)
    new[patch.is_changed] = patch.new
    theirs, ours = common.relative_to(patch.window).slices, common.relative_to(window).slices
    labels[ours] = np.where(patch.is_changed[theirs], new[theirs], labels[ours])


def erase(store: LabelStore, record: ObjectRecord, tile_px: int = TILE_PX) -> list[LabelPatch]:
    """The patches that turn the object's pixels into background."""
    patches = []
    for tile in tiles_of(record.box, tile_px):
        old = store.read(tile, record.plane)
        if (old == record.id).any():
            new = np.where(old == record.id, np.uint32(0), old)
            patches.append(LabelPatch.between(tile, old, new, record.plane))
    return patches


def tiles_of(window: Window, side: int = TILE_PX) -> list[Window]:
    """Windows of at most ``side`` squared that cover it, cut along multiples of ``side``."""
    spans = []
    for start, stop in ((window.y0, window.y1), (window.x0, window.x1)):
        cuts = [start, *range((start // side + 1) * side, stop, side), stop]
        spans.append(list(itertools.pairwise(cuts)))
    return [Window(y0, x0, y1, x1) for y0, y1 in spans[0] for x0, x1 in spans[1]]
