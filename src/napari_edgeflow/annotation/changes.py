"""One step of the user's work: what it was before and is after, in a form that goes on disk.

Every command (clicks, commit, delete, class edit…) becomes a ``Change``, and going back is going
from "after" to "before". Labels are kept as the pixels that differ, with both values.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Click, Window
from napari_edgeflow.annotation.classes import ClassList, classes_from_json, classes_to_json
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex, PostProcessing
from napari_edgeflow.annotation.records import Record, RecordKind
from napari_edgeflow.annotation.serialize import (
    click_from_json,
    click_to_json,
    record_from_json,
    record_to_json,
    settings_from_json,
    settings_to_json,
    window_from_json,
    window_to_json,
)
from napari_edgeflow.annotation.store import LabelStore

_MANY = 2**16


@dataclass(frozen=True, slots=True)
class Draft:
    """The object being clicked, before it is committed.

    Attributes:
        clicks: In their order.
        settings: Post-processing.
        plane: Where.
        corrects: Id of the object that is taken up again; None for a new one.
        field_of_view: Side in level-0 pixels of what the user saw at the first click.
        is_from_mask: The clicks start from the mask of the object that is taken up, as no
            clicks alone give it.
    """

    clicks: tuple[Click, ...] = ()
    settings: PostProcessing = field(default_factory=PostProcessing)
    plane: PlaneIndex = ()
    corrects: int | None = None
    field_of_view: float | None = None
    is_from_mask: bool = False

    @property
    def is_blank(self) -> bool:
        """True while nothing was begun."""
        return not self.clicks and self.corrects is None


@dataclass(frozen=True, slots=True)
class State:
    """All that can be undone but the labels.

    Attributes:
        classes: In the user's order.
        objects: By id; not to be changed in place.
        drafts: Objects being clicked, at most one on each plane.
        settings: Post-processing of the objects that are begun next.
    """

    classes: ClassList = field(default_factory=ClassList)
    objects: Mapping[int, ObjectRecord] = field(default_factory=dict)
    drafts: Mapping[PlaneIndex, Draft] = field(default_factory=dict)
    settings: PostProcessing = field(default_factory=PostProcessing)

    def draft_on(self, plane: PlaneIndex = ()) -> Draft:
        """The object being clicked on a plane; a blank one where there is none."""
        return self.drafts.get(plane) or Draft(settings=self.settings, plane=plane)

    @property
    def next_id(self) -> int:
        """One above the highest id of an object."""
        return max(self.objects, default=0) + 1


@dataclass(frozen=True, slots=True, eq=False)
class LabelPatch:
    """Labels of a box before and after.

    Attributes:
        window: The box, level-0.
        is_changed: ``(h, w) bool``: pixels that differ.
        old: ``(n,) uint32``: their ids before, row by row.
        new: ``(n,) uint32``: their ids after.
        plane: Which plane of a stack.
    """

    window: Window
    is_changed: BoolArray
    old: Labels
    new: Labels
    plane: PlaneIndex = ()

    @classmethod
    def between(
        cls, window: Window, old: Labels, new: Labels, plane: PlaneIndex = ()
    ) -> LabelPatch:
        """The patch that turns the window's ``old`` labels into ``new`` ones."""
        is_changed: BoolArray = old != new
        before, after = _compact(old[is_changed]), _compact(new[is_changed])
        return cls(window, _compact(is_changed), before, after, plane)

    def write(self, store: LabelStore, values: Labels) -> None:
        """Put ``old`` or ``new`` into the store."""
        if not self.is_changed.any():
            return
        labels = store.read(self.window, self.plane)
        labels[self.is_changed] = values
        store.write(self.window, labels, self.plane)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """One step.

    Attributes:
        kind: Its command, a word of the journal: ``"commit"``, ``"clicks"``…
        title: In the user's words, for the undo menu.
        classes: Before and after; None when they stay.
        objects: Before and after by id, None where there is no such object.
        draft: Before and after, both of one plane; None when it stays.
        settings: Of the objects begun next, before and after; None when they stay.
        patches: Labels.
    """

    kind: str
    title: str
    classes: tuple[ClassList, ClassList] | None = None
    objects: Mapping[int, tuple[ObjectRecord | None, ObjectRecord | None]] = field(
        default_factory=dict
    )
    draft: tuple[Draft, Draft] | None = None
    settings: tuple[PostProcessing, PostProcessing] | None = None
    patches: tuple[LabelPatch, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when nothing is other after it."""
        pairs = (self.classes, self.draft, self.settings, *self.objects.values())
        has_pixels = any(patch.is_changed.any() for patch in self.patches)
        return not has_pixels and all(pair is None or pair[0] == pair[1] for pair in pairs)

    @property
    def windows(self) -> tuple[tuple[PlaneIndex, Window], ...]:
        """Planes and boxes whose labels it touches, for redrawing."""
        return tuple((patch.plane, patch.window) for patch in self.patches)

    def apply(self, state: State, store: LabelStore) -> State:
        """The state after the step; the store is written."""
        return self._go(state, store, 1)

    def revert(self, state: State, store: LabelStore) -> State:
        """The state before the step; the store is written."""
        return self._go(state, store, 0)

    def _go(self, state: State, store: LabelStore, to: int) -> State:
        for patch in self.patches if to else reversed(self.patches):
            patch.write(store, patch.new if to else patch.old)
        if self.objects:
            objects = dict(state.objects)
            for label, pair in self.objects.items():
                record = pair[to]
                if record is None:
                    objects.pop(label, None)
                else:
                    objects[label] = record
            state = replace(state, objects=objects)
        if self.classes is not None:
            state = replace(state, classes=self.classes[to])
        if self.settings is not None:
            state = replace(state, settings=self.settings[to])
        if self.draft is not None:
            draft = self.draft[to]
            drafts = {at: one for at, one in state.drafts.items() if at != draft.plane}
            if not draft.is_blank:
                drafts[draft.plane] = draft
            state = replace(state, drafts=drafts)
        return state


def change_to_record(change: Change) -> Record:
    """The change as a record of the journal."""
    header: dict[str, Any] = {"kind": change.kind, "title": change.title}
    if change.classes is not None:
        header["classes"] = [classes_to_json(classes) for classes in change.classes]
    if change.objects:
        header["objects"] = [
            [label, *(None if one is None else record_to_json(one) for one in pair)]
            for label, pair in change.objects.items()
        ]
    if change.draft is not None:
        header["draft"] = [draft_to_json(draft) for draft in change.draft]
    if change.settings is not None:
        header["settings"] = [settings_to_json(settings) for settings in change.settings]
    if change.patches:
        header["patches"] = [_patch_header(patch) for patch in change.patches]
    payload = _compressed(change.patches) if change.patches else b""
    return Record(RecordKind.CHANGE, header, payload)


def change_from_record(record: Record) -> Change:
    """The change of such a record.

    Raises:
        KeyError, TypeError, ValueError: It is none; a newer version may have written it.
    """
    header = record.header
    before_after = [classes_from_json(one) for one in header.get("classes", ())]
    drafts = [draft_from_json(one) for one in header.get("draft", ())]
    settings = [settings_from_json(one) for one in header.get("settings", ())]
    objects = {
        int(label): (_record(old), _record(new)) for label, old, new in header.get("objects", ())
    }
    return Change(
        str(header["kind"]),
        str(header["title"]),
        (before_after[0], before_after[1]) if before_after else None,
        objects,
        (drafts[0], drafts[1]) if drafts else None,
        (settings[0], settings[1]) if settings else None,
        _patches(header.get("patches", ()), record.payload),
    )


def draft_to_json(draft: Draft) -> dict[str, Any]:
    """What ``draft_from_json`` takes."""
    return {
        "clicks": [click_to_json(click) for click in draft.clicks],
        "settings": settings_to_json(draft.settings),
        "plane": list(draft.plane),
        "corrects": draft.corrects,
        "field_of_view": draft.field_of_view,
        "is_from_mask": draft.is_from_mask,
    }


def draft_from_json(item: Mapping[str, Any]) -> Draft:
    """The draft of parsed JSON."""
    return Draft(
        tuple(click_from_json(click) for click in item["clicks"]),
        settings_from_json(item["settings"]),
        tuple(item["plane"]),
        item["corrects"],
        item["field_of_view"],
        bool(item.get("is_from_mask", False)),  # version 1 has none
    )


def _record(item: Mapping[str, Any] | None) -> ObjectRecord | None:
    return None if item is None else record_from_json(item)


def _compact(values: AnyArray) -> AnyArray:
    """The values, as a view of one of them where all are the same: a large object is one id."""
    if values.size and (values == values.flat[0]).all():
        return np.broadcast_to(values.flat[0], values.shape)
    return values


def _constant(values: AnyArray) -> int | None:
    """The value of a compact array of many, None of others, which are written one by one."""
    is_one = values.size > _MANY and not any(values.strides)
    return int(values.flat[0]) if is_one else None


def _patch_header(patch: LabelPatch) -> list[Any]:
    header = [window_to_json(patch.window), list(patch.plane), int(patch.old.size)]
    constants = [_constant(part) for part in (patch.is_changed, patch.old, patch.new)]
    return [*header, constants] if any(value is not None for value in constants) else header


def _patch_bytes(patch: LabelPatch) -> bytes:
    bits, old, new = (
        part if _constant(part) is None else part[:0]
        for part in (patch.is_changed, patch.old, patch.new)
    )
    return (
        np.packbits(bits, axis=None).tobytes()
        + old.astype("<u4").tobytes()
        + new.astype("<u4").tobytes()
    )


def _compressed(patches: tuple[LabelPatch, ...]) -> bytes:
    """The patches' bytes, never all of them at once in memory."""
    packer = zlib.compressobj(1)
    parts = [packer.compress(_patch_bytes(patch)) for patch in patches]
    return b"".join([*parts, packer.flush()])


def _patches(headers: Any, payload: bytes) -> tuple[LabelPatch, ...]:
    data = np.frombuffer(zlib.decompress(payload) if payload else b"", np.uint8)
    found = []
    for box, plane, count, *rest in headers:
        window = window_from_json(box)
        changed, *values = rest[0] if rest else (None, None, None)
        size = window.height * window.width
        n_bits = 0 if changed is not None else (size + 7) // 8
        bits, data = data[:n_bits], data[n_bits:]
        if changed is None:
            is_changed = np.unpackbits(bits, count=size).astype(bool).reshape(window.shape)
        else:
            is_changed = np.broadcast_to(np.bool_(changed), window.shape)
        if int(is_changed.sum()) != count:
            raise ValueError("expected as many labels as changed pixels")
        both = []
        for value in values:
            n_bytes = 0 if value is not None else 4 * count
            if len(data) < n_bytes:
                raise ValueError("expected as many labels as changed pixels")
            ids = _ids(data[:n_bytes]) if value is None else _same(value, count)
            both.append(ids)
            data = data[n_bytes:]
        found.append(LabelPatch(window, is_changed, both[0], both[1], tuple(plane)))
    return tuple(found)


def _same(value: int, count: int) -> Labels:
    """One id, ``count`` times."""
    return np.broadcast_to(np.uint32(value), (count,))


def _ids(data: AnyArray) -> Labels:
    return np.frombuffer(data.tobytes(), "<u4").astype(np.uint32)
