"""Objects too large for one array of pixels become part of the labels tile by tile."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from napari_edgeflow._types import Prediction, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.commands import NewObject, commit_object, commit_record
from napari_edgeflow.annotation.objects import ObjectRecord, tight_box
from napari_edgeflow.annotation.store import LabelStore, OverlapRule, place_mask
from napari_edgeflow.annotation.tiling import TILE_PX, left_box, tiles_of

_Pairs = dict[int, tuple[ObjectRecord | None, ObjectRecord | None]]


def commit_prediction(
    state: State,
    store: LabelStore,
    prediction: Prediction,
    about: NewObject,
    rule: OverlapRule = "old_protected",
    tile_px: int = TILE_PX,
) -> Change:
    """The draft becomes an object, whatever its size; as ``commit_object``.

    Args:
        state: Now.
        store: Read, not written.
        prediction: The object.
        about: Class, model, name.
        rule: Who keeps pixels that both claim; locked objects always do.
        tile_px: Side of the tiles of objects that are not kept pixel by pixel.

    Raises:
        ValueError: The mask is empty or wholly inside objects that are protected, the class does
            not exist, or the object is locked.
    """
    window = prediction.window
    if prediction.is_whole:
        change = commit_object(state, store, window, prediction.mask, about, rule)
    else:
        change = commit_record(
            state,
            store,
            about,
            window,
            lambda record: _put_tiles(state, store, record, prediction, rule, tile_px),
        )
    return _as_edited(change) if prediction.is_refined else change


def _as_edited(change: Change) -> Change:
    """The change with its object marked as one that its clicks alone do not give."""
    label, (before, after) = next(iter(change.objects.items()))
    if after is None:
        return change
    pairs = {**change.objects, label: (before, replace(after, is_edited=True))}
    return replace(change, objects=pairs)


def _put_tiles(
    state: State,
    store: LabelStore,
    record: ObjectRecord,
    prediction: Prediction,
    rule: OverlapRule,
    tile_px: int,
) -> Change:
    """The change that gives the object these pixels, a patch for each tile that it changes."""
    before = state.objects.get(record.id)
    locked = tuple(r.id for r in state.objects.values() if r.is_locked and r.id != record.id)
    window = prediction.window if before is None else prediction.window.union(before.box)
    own: Window | None = None
    area, lost, patches = 0, Counter[int](), []
    for tile in tiles_of(window, tile_px):
        shown = prediction.mask_in(tile)
        if before is None and not shown.any():
            continue
        old = store.read(tile, record.plane)
        new = place_mask(old, shown, record.id, rule, locked)
        is_own = new == record.id
        box = tight_box(is_own, tile)
        if box is not None:
            own = box if own is None else own.union(box)
            area += int(np.count_nonzero(is_own))
        is_changed = old != new
        if is_changed.any():
            patches.append(LabelPatch.between(tile, old, new, record.plane))
            taken = old[is_changed & (old != 0) & (old != record.id)]
            ids, counts = np.unique(taken, return_counts=True)
            lost.update(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    if own is None:
        raise ValueError(
            "expected a mask with free pixels, got one that is empty or lies inside other "
            "objects; click on the object, let new objects go on top, or unlock them"
        )
    pairs: _Pairs = {record.id: (before, replace(record, box=own, area_px=area))}
    for label, count in lost.items():
        neighbour = state.objects.get(label)
        if neighbour is not None:
            left = left_box(store, neighbour, patches, tile_px)
            shrunk = (
                replace(neighbour, box=left, area_px=neighbour.area_px - count) if left else None
            )
            pairs[label] = neighbour, shrunk
    return Change("", "", objects=pairs, patches=tuple(patches))
