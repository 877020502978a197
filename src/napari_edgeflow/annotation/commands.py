"""What the user can do, each as a ``Change`` of the present state; nothing is written here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from napari_edgeflow._types import BoolArray, Click, Window
from napari_edgeflow.annotation.changes import Change, Draft, LabelPatch, State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    ObjectRecord,
    PlaneIndex,
    PostProcessing,
    tight_box,
)
from napari_edgeflow.annotation.store import LabelStore, OverlapRule, place_mask
from napari_edgeflow.annotation.tiling import erase, left_box

_MOST_NAMED = 3
_Pairs = dict[int, tuple[ObjectRecord | None, ObjectRecord | None]]


@dataclass(frozen=True, slots=True)
class NewObject:
    """What the caller knows of an object that is being committed.

    Attributes:
        class_id: Its class.
        model: Name of the network.
        model_sha256: Of its weights.
        name: Given by the user.
        created: ISO 8601, UTC; empty: now.
        clicks: None: those of the draft.
        settings: None: those of the draft.
        plane: Where the draft is.
    """

    class_id: int
    model: str = ""
    model_sha256: str = ""
    name: str = ""
    created: str = ""
    clicks: tuple[Click, ...] | None = None
    settings: PostProcessing | None = field(default=None)
    plane: PlaneIndex = ()


def set_clicks(
    state: State,
    clicks: Iterable[Click],
    plane: PlaneIndex = (),
    field_of_view: float | None = None,
) -> Change:
    """Other clicks for the draft of a plane; the field of view of a new one, when given."""
    old = state.draft_on(plane)
    view = old.field_of_view if field_of_view is None else field_of_view
    draft = replace(old, clicks=tuple(clicks), field_of_view=view)
    n = len(draft.clicks)
    return Change("clicks", f"{n} click{'s' * (n != 1)}", draft=(old, draft))


def set_draft(state: State, draft: Draft, title: str = "object taken up") -> Change:
    """Another draft on its plane: a new object begun, or one taken up again."""
    return Change("draft", title, draft=(state.draft_on(draft.plane), draft))


def take_up(state: State, label: int) -> Change:
    """The object as the draft of its plane, with its clicks; from its mask where they do not tell.

    Raises:
        ValueError: There is no such object, or it is locked.
    """
    record = _editable(state, label)
    is_from_mask = record.is_edited or not any(click.is_positive for click in record.clicks)
    draft = Draft(
        clicks=() if is_from_mask else record.clicks,
        settings=record.settings,
        plane=record.plane,
        corrects=label,
        field_of_view=record.field_of_view,
        is_from_mask=is_from_mask,
    )
    return set_draft(state, draft, f"take up object {label}")


def set_postprocessing(state: State, settings: PostProcessing, plane: PlaneIndex = ()) -> Change:
    """Another threshold or clean-up for the draft of a plane, and for the objects after it.

    When the draft corrects an object, for that object alone.
    """
    old = state.draft_on(plane)
    is_correction = old.corrects is not None
    return Change(
        "settings",
        "post-processing",
        draft=(old, replace(old, settings=settings)),
        settings=None if is_correction else (state.settings, settings),
    )


def commit_object(
    state: State,
    store: LabelStore,
    window: Window,
    mask: BoolArray,
    about: NewObject,
    rule: OverlapRule = "old_protected",
) -> Change:
    """The draft's mask becomes an object, or replaces the object that the draft corrects.

    Args:
        state: Now.
        store: Read, not written.
        window: Where the mask lies, level-0, inside the image.
        mask: ``(h, w) bool``.
        about: Class, model, name.
        rule: Who keeps pixels that both claim; locked objects always do.

    Raises:
        ValueError: The mask is empty or wholly inside objects that are protected, the class does
            not exist, or the object is locked.
    """
    return commit_record(
        state,
        store,
        about,
        window,
        lambda record: _put_mask(state, store, record, window, mask, rule),
    )


def commit_record(
    state: State,
    store: LabelStore,
    about: NewObject,
    window: Window,
    put: Callable[[ObjectRecord], Change],
) -> Change:
    """The draft as an object whose pixels ``put`` writes; see ``commit_object``.

    Args:
        state: Now.
        store: For the next id.
        about: Class, model, name.
        window: Where the object is.
        put: The change of the labels that gives the object its pixels.
    """
    draft = state.draft_on(about.plane)
    old = None if draft.corrects is None else _editable(state, draft.corrects)
    label = old.id if old is not None else max([store.next_id - 1, *state.objects]) + 1
    record = ObjectRecord(
        id=label,
        class_id=state.classes.get(about.class_id).id,
        box=window,
        area_px=0,
        name=about.name or (old.name if old is not None else ""),
        clicks=draft.clicks if about.clicks is None else about.clicks,
        model=about.model,
        model_sha256=about.model_sha256,
        created=about.created or datetime.now(UTC).isoformat(timespec="milliseconds"),
        settings=about.settings or draft.settings,
        field_of_view=draft.field_of_view,
        plane=draft.plane,
        is_hidden=old is not None and old.is_hidden,
        is_edited=draft.is_from_mask,
    )
    return replace(
        put(record),
        kind="commit",
        title=f"{'correct' if old else 'finish'} object {label}",
        draft=(draft, Draft(settings=state.settings, plane=draft.plane)),
    )


def replace_mask(
    state: State,
    store: LabelStore,
    label: int,
    window: Window,
    mask: BoolArray,
    rule: OverlapRule = "old_protected",
    kind: str = "polygon",
) -> Change:
    """Other pixels for an object, after its polygon was edited or it was post-processed.

    Raises:
        ValueError: There is no such object, it is locked, or it would have no pixel.
    """
    record = replace(_editable(state, label), is_edited=True)
    change = _put_mask(state, store, record, window, mask, rule)
    return replace(change, kind=kind, title=f"reshape object {label}")


def delete_objects(state: State, store: LabelStore, ids: Iterable[int]) -> Change:
    """Objects gone, their pixels background.

    Raises:
        ValueError: There is no such object, or it is locked.
    """
    records = [_editable(state, label) for label in dict.fromkeys(ids)]
    pairs: _Pairs = {record.id: (record, None) for record in records}
    patches = tuple(patch for record in records for patch in erase(store, record))
    return Change(
        "delete",
        f"delete {_say_ids(record.id for record in records)}",
        objects=pairs,
        patches=patches,
    )


def reclassify(state: State, ids: Iterable[int], class_id: int) -> Change:
    """Another class for these objects.

    Raises:
        ValueError: There is no such class or object, or it is locked.
    """
    name = state.classes.get(class_id).name
    return _edit_each(state, ids, f"class {name}", lambda r: replace(r, class_id=class_id))


def rename_object(state: State, label: int, name: str) -> Change:
    """Another name for an object."""
    return _edit_each(state, [label], "rename", lambda r: replace(r, name=name))


def set_hidden(state: State, ids: Iterable[int], is_hidden: bool) -> Change:
    """Objects shown or not."""
    title = "hide" if is_hidden else "show"
    return _edit_each(state, ids, title, lambda r: replace(r, is_hidden=is_hidden), locked_too=True)


def set_locked(state: State, ids: Iterable[int], is_locked: bool) -> Change:
    """Objects locked or not."""
    title = "lock" if is_locked else "unlock"
    return _edit_each(state, ids, title, lambda r: replace(r, is_locked=is_locked), locked_too=True)


def edit_classes(state: State, classes: ClassList) -> Change:
    """Another class list: classes added, renamed, recoloured, reordered.

    Raises:
        ValueError: A class that objects have is missing; ``remove_class`` says what becomes of
            them.
    """
    used = {record.class_id for record in state.objects.values()}
    lost = sorted(used - {c.id for c in classes})
    if lost:
        raise ValueError(
            f"expected the classes that objects have, but {lost} are missing; remove a class "
            "together with its objects, or give them another first"
        )
    return Change("classes", "edit classes", classes=(state.classes, classes))


def remove_class(state: State, class_id: int, move_to: int) -> Change:
    """The class gone; its objects get another.

    Raises:
        ValueError: One of the classes does not exist, or both are the same.
    """
    if move_to == class_id:
        raise ValueError(f"expected another class for the objects, got {class_id} itself")
    state.classes.get(move_to)
    of_class = [r for r in state.objects.values() if r.class_id == class_id]
    pairs: _Pairs = {r.id: (r, replace(r, class_id=move_to)) for r in of_class}
    return _without_class(state, class_id, pairs, ())


def remove_class_and_objects(state: State, store: LabelStore, class_id: int) -> Change:
    """The class gone, and its objects with it.

    Raises:
        ValueError: The class does not exist, or one of its objects is locked.
    """
    ids = [r.id for r in state.objects.values() if r.class_id == class_id]
    gone = delete_objects(state, store, ids)
    return _without_class(state, class_id, dict(gone.objects), gone.patches)


def _without_class(
    state: State, class_id: int, pairs: _Pairs, patches: tuple[LabelPatch, ...]
) -> Change:
    name = state.classes.get(class_id).name
    classes = state.classes, state.classes.without(class_id)
    return Change(
        "classes", f"remove class {name}", classes=classes, objects=pairs, patches=patches
    )


def _put_mask(
    state: State,
    store: LabelStore,
    record: ObjectRecord,
    window: Window,
    mask: BoolArray,
    rule: OverlapRule,
) -> Change:
    """The change that gives the object exactly these pixels, as far as others let it."""
    if mask.shape != window.shape or mask.dtype != np.bool_:
        raise ValueError(f"expected a {window.shape} bool mask, got {mask.shape} and {mask.dtype}")
    before = state.objects.get(record.id)
    box = tight_box(mask, window)
    if box is None:
        raise ValueError("expected a mask with pixels, got an empty one; click on the object first")
    if before is not None:
        box = box.union(before.box)
    shown = np.zeros(box.shape, dtype=bool)
    part = box.intersect(window)
    if part is not None:
        shown[part.relative_to(box).slices] = mask[part.relative_to(window).slices]
    old = store.read(box, record.plane)
    locked = tuple(r.id for r in state.objects.values() if r.is_locked and r.id != record.id)
    new = place_mask(old, shown, record.id, rule, locked)
    own = tight_box(new == record.id, box)
    if own is None:
        raise ValueError(
            "expected free pixels for the object, got a mask that lies inside other objects; "
            "let new objects go on top, unlock them, or change the clicks"
        )
    after = replace(record, box=own, area_px=int((new == record.id).sum()))
    pairs: _Pairs = {record.id: (before, after)}
    patch = LabelPatch.between(box, old, new, record.plane)
    pairs.update(_neighbours(state, store, record.id, patch))
    return Change("", "", objects=pairs, patches=(patch,))


def _neighbours(state: State, store: LabelStore, label: int, patch: LabelPatch) -> _Pairs:
    """The objects that lost pixels, with box and area after it; None for those that lost all."""
    pairs: _Pairs = {}
    lost_ids, lost_counts = np.unique(patch.old[patch.old != label], return_counts=True)
    for lost_id, count in zip(lost_ids.tolist(), lost_counts.tolist(), strict=True):
        record = state.objects.get(lost_id)
        if record is None:
            continue
        left = left_box(store, record, [patch])
        shrunk = replace(record, box=left, area_px=record.area_px - count) if left else None
        pairs[lost_id] = record, shrunk
    return pairs


def _editable(state: State, label: int) -> ObjectRecord:
    record = state.objects.get(label)
    if record is None:
        raise ValueError(f"expected the id of an object, got {label}, which there is none of")
    if record.is_locked:
        raise ValueError(f"expected an object that may change, but {label} is locked; unlock it")
    return record


def _edit_each(
    state: State,
    ids: Iterable[int],
    title: str,
    edit: Callable[[ObjectRecord], ObjectRecord],
    *,
    locked_too: bool = False,
) -> Change:
    pairs: _Pairs = {}
    for label in ids:
        is_known = label in state.objects
        record = state.objects[label] if locked_too and is_known else _editable(state, label)
        pairs[label] = record, edit(record)
    return Change("objects", f"{title}: {_say_ids(pairs)}", objects=pairs)


def _say_ids(ids: Iterable[int]) -> str:
    """``object 3``, ``objects 3, 5``, or how many there are when they are more than three."""
    names = [str(label) for label in ids]
    if len(names) > _MOST_NAMED:
        return f"{len(names)} objects"
    return f"object{'s' * (len(names) != 1)} {', '.join(names)}"
