"""Clean-up of finished objects, which have no probabilities: holes, specks, outlines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from napari_edgeflow._types import PostProcessing, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.commands import replace_mask
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.inference.cleaning import clean_cut


def clean_objects(
    state: State, store: LabelStore, ids: Iterable[int], settings: PostProcessing
) -> Change:
    """Objects with smoothed outlines, filled holes and no specks, as one step.

    Pixels of other objects stay theirs, and clicks stay obeyed. What was done is kept in the
    objects' settings. An object of which nothing would be left stays as it is.

    Args:
        state: Now.
        store: Read, not written.
        ids: Of the objects; one after the other, in this order.
        settings: What to do; threshold and clicked parts have no say.

    Raises:
        ValueError: An object does not exist or is locked, or there is nothing to clean up.
    """
    seen = _Patched(store)
    pairs: dict[int, tuple[ObjectRecord | None, ObjectRecord | None]] = {}
    for label in dict.fromkeys(ids):
        change = _clean(state, seen, label, settings)
        if change is not None:
            seen.patches += change.patches
            pairs.update(change.objects)
    if not pairs:
        raise ValueError(
            "expected objects with something to clean up, got none; select objects, and set what "
            "is to be filled, left out or smoothed"
        )
    names = ", ".join(map(str, pairs))
    title = f"clean up object {names}" if len(pairs) < 4 else f"clean up {len(pairs)} objects"
    return Change("clean", title, objects=pairs, patches=seen.patches)


def _clean(state: State, store: LabelStore, label: int, settings: PostProcessing) -> Change | None:
    """The change of one object; None when it is clean already or nothing would be left."""
    record = state.objects.get(label)
    if record is None:
        raise ValueError(f"expected the id of an object, got {label}, which there is none of")
    mask = store.read(record.box, record.plane) == label
    cleaned = clean_cut(mask, record.box, record.clicks, settings, Window(0, 0, *store.shape))
    if not cleaned.any() or (cleaned == mask).all():
        return None
    change = replace_mask(state, store, label, record.box, cleaned)
    if not any(patch.is_changed.any() for patch in change.patches):
        return None
    done = replace(
        record.settings,
        fill_holes=settings.fill_holes,
        min_part_px=settings.min_part_px,
        smooth_px=settings.smooth_px,
    )
    before, after = change.objects[label]
    if after is None:
        return None
    return replace(change, objects={label: (before, replace(after, settings=done))})


class _Patched:
    """A store as it will be after some patches; nothing is written."""

    def __init__(self, store: LabelStore) -> None:
        self._store = store
        self.patches: tuple[LabelPatch, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        return self._store.shape

    @property
    def next_id(self) -> int:
        return self._store.next_id

    @property
    def is_persistent(self) -> bool:
        return self._store.is_persistent

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        labels = self._store.read(window, plane)
        for patch in self.patches:
            common = patch.window.intersect(window) if patch.plane == plane else None
            if common is None:
                continue
            whole = self._store.read(patch.window, plane)
            whole[patch.is_changed] = patch.new
            is_new = patch.is_changed[common.relative_to(patch.window).slices]
            part = labels[common.relative_to(window).slices]
            part[is_new] = whole[common.relative_to(patch.window).slices][is_new]
        return labels

    def write(self, window: Window, labels: object, plane: PlaneIndex = ()) -> None:
        raise NotImplementedError("a command reads labels; the history writes them")
