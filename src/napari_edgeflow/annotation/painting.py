"""What a brush did to a part of the labels, as one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex, tight_box
from napari_edgeflow.annotation.store import LabelStore

_Pairs = dict[int, tuple[ObjectRecord | None, ObjectRecord | None]]


def paint(
    state: State,
    store: LabelStore,
    window: Window,
    before: LabelArray,
    after: LabelArray,
    class_id: int,
    plane: PlaneIndex = (),
) -> Change | None:
    """The change that brings what was painted into the labels; None when nothing was.

    Only pixels that the brush changed are written, so that steps done meanwhile stay. Ids that
    were not in the window become new objects: a brush that counts on in the window alone may
    have met the id of an object elsewhere. Locked objects neither gain nor lose pixels.

    Args:
        state: Now.
        store: Read, not written.
        window: Where, level-0.
        before: ``(h, w)`` ids of the window when painting began.
        after: ``(h, w)`` ids now.
        class_id: Of new objects.
        plane: Which plane.

    Raises:
        ValueError: The class does not exist, or the arrays are not of the window's shape.
    """
    if before.shape != window.shape or after.shape != window.shape:
        raise ValueError(f"expected labels of {window.shape}, got {before.shape}, {after.shape}")
    own_class = state.classes.get(class_id).id
    now = store.read(window, plane)
    is_painted = before != after
    painted = _with_new_ids(state, store, np.where(is_painted, after, 0), before)
    locked = [record.id for record in state.objects.values() if record.is_locked]
    is_painted &= ~np.isin(now, locked) & ~np.isin(painted, locked)
    new = np.where(is_painted, painted, now).astype(np.uint32)
    box = tight_box(now != new, window)
    if box is None:
        return None
    part = box.relative_to(window).slices
    patch = LabelPatch.between(box, now[part], new[part], plane)
    pairs = _objects(state, store, window, now, new, own_class, plane)
    names = ", ".join(map(str, list(pairs)[:5])) + ("…" if len(pairs) > 5 else "")
    return Change("paint", f"paint object {names}", objects=pairs, patches=(patch,))


def _with_new_ids(
    state: State, store: LabelStore, painted: LabelArray, before: LabelArray
) -> Labels:
    """What was painted, with new ids for those that were not in the window."""
    known = np.unique(before)
    strange = np.setdiff1d(np.unique(painted), np.append(known, 0))
    first = max(store.next_id, state.next_id)
    renamed = painted.astype(np.uint32)
    for number, label in enumerate(strange.tolist()):
        renamed[painted == label] = first + number
    return renamed


def _objects(
    state: State,
    store: LabelStore,
    window: Window,
    now: Labels,
    new: Labels,
    class_id: int,
    plane: PlaneIndex,
) -> _Pairs:
    """Records before and after of all that gained or lost pixels."""
    is_other = now != new
    gained, lost = _counts(new[is_other]), _counts(now[is_other])
    pairs: _Pairs = {}
    for label in sorted({*gained, *lost} - {0}):
        old = state.objects.get(label)
        if old is None:
            box = tight_box(new == label, window)
            if box is not None and gained.get(label):
                area = int((new == label).sum())
                created = datetime.now(UTC).isoformat(timespec="milliseconds")
                made = ObjectRecord(label, class_id, box, area, created=created, plane=plane)
                pairs[label] = None, made
            continue
        area = old.area_px + gained.get(label, 0) - lost.get(label, 0)
        box = _box(store, old, window, new, has_lost=label in lost)
        pairs[label] = old, None if box is None else replace(old, box=box, area_px=area)
    return pairs


def _box(
    store: LabelStore, record: ObjectRecord, window: Window, new: Labels, *, has_lost: bool
) -> Window | None:
    """The object's box afterwards; None when it has no pixel left."""
    inside = tight_box(new == record.id, window)
    if not has_lost:
        return record.box if inside is None else record.box.union(inside)
    labels = store.read(record.box, record.plane)
    common = record.box.intersect(window)
    if common is not None:
        labels[common.relative_to(record.box).slices] = 0
    outside = tight_box(labels == record.id, record.box)
    if inside is None or outside is None:
        return inside or outside
    return inside.union(outside)


def _counts(ids: Labels) -> Mapping[int, int]:
    found, counts = np.unique(ids, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
