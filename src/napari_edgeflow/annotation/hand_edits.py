"""Labels that somebody painted, as a step: whatever wrote them, records stay right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex, tight_box
from napari_edgeflow.annotation.store import LabelStore

_Pair = tuple[ObjectRecord | None, ObjectRecord | None]
_BAND = 512


def hand_edits(
    state: State, store: LabelStore, painted: LabelArray, class_id: int, plane: PlaneIndex = ()
) -> tuple[Change | None, tuple[Window, ...]]:
    """The change that brings the store up to a painted plane, and boxes that must be redrawn.

    Objects that gained or lost pixels are measured anew, ids that are new become objects, and
    objects without pixels are gone. Locked objects keep their pixels: where those were painted
    over, the plane is to be redrawn from the store.

    Args:
        state: Now.
        store: Read, not written.
        painted: ``(H, W)`` integers ≥ 0, the whole plane as it is on the screen.
        class_id: Of new objects.
        plane: Which.
    """
    found = _difference(store, painted, plane)
    if found is None:
        return None, ()
    window, old = found
    new = painted[window.slices].astype(np.uint32)
    locked = [r.id for r in state.objects.values() if r.is_locked]
    is_kept = (old != new) & (np.isin(old, locked) | np.isin(new, locked))
    redraw = (window,) if is_kept.any() else ()
    new = np.where(is_kept, old, new).astype(np.uint32)
    if np.array_equal(old, new):
        return None, redraw
    pairs = _measure(state, store, window, old, new, class_id, plane)
    names = ", ".join(str(label) for label in list(pairs)[:3]) + " …" * (len(pairs) > 3)
    title = f"paint object {names}" if pairs else "paint"
    patch = LabelPatch.between(window, old, new, plane)
    return Change("paint", title, objects=pairs, patches=(patch,)), redraw


def _difference(
    store: LabelStore, painted: LabelArray, plane: PlaneIndex
) -> tuple[Window, Labels] | None:
    """The smallest window in which store and plane differ, and its stored labels."""
    box: Window | None = None
    for y in range(0, painted.shape[0], _BAND):
        band = Window(y, 0, min(y + _BAND, painted.shape[0]), painted.shape[1])
        part = tight_box(store.read(band, plane) != painted[band.slices], band)
        if part is not None:
            box = part if box is None else box.union(part)
    return None if box is None else (box, store.read(box, plane))


def _measure(
    state: State,
    store: LabelStore,
    window: Window,
    old: Labels,
    new: Labels,
    class_id: int,
    plane: PlaneIndex,
) -> Mapping[int, _Pair]:
    """Records before and after of every id that gained or lost pixels."""
    is_changed = old != new
    ids = np.union1d(old[is_changed], new[is_changed])
    pairs: dict[int, _Pair] = {}
    for label in (int(i) for i in ids if i):
        record = state.objects.get(label)
        if record is not None and record.plane != plane:
            continue  # a record has one plane; its pixels elsewhere are its own all the same
        box = window if record is None else window.union(record.box)
        labels = store.read(box, plane)
        labels[window.relative_to(box).slices] = new
        own = labels == label
        place = tight_box(own, box)
        after: ObjectRecord | None = None
        if place is not None:
            area = int(own.sum())
            known = record or _new(label, class_id, place, area, plane)
            after = replace(known, box=place, area_px=area, is_edited=True)
        if record is not None or after is not None:
            pairs[label] = record, after
    return pairs


def _new(label: int, class_id: int, box: Window, area: int, plane: PlaneIndex) -> ObjectRecord:
    created = datetime.now(UTC).isoformat(timespec="milliseconds")
    return ObjectRecord(label, class_id, box, area, created=created, plane=plane)
