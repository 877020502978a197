"""Objects that come from files, and their way into a label store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    ImageInfo,
    ObjectRecord,
    PlaneIndex,
    measure_labels,
    tight_box,
)
from napari_edgeflow.annotation.store import ArrayStore, LabelStore, StoredPlane


@dataclass(frozen=True, slots=True, eq=False)
class ImportedObject:
    """One object of a file.

    Attributes:
        window: Where its mask lies, inside the image.
        mask: ``(h, w) bool``, not empty.
        class_id: Of the file's classes.
        name: Given in the file; may be empty.
    """

    window: Window
    mask: BoolArray
    class_id: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """What a file says of one image.

    Attributes:
        image: Name and shape.
        classes: Of the file.
        objects: In the file's order.
        notes: What was left out, in words for the user.
    """

    image: ImageInfo
    classes: ClassList
    objects: tuple[ImportedObject, ...] = ()
    notes: tuple[str, ...] = field(default=())


def crop_object(
    mask: BoolArray, window: Window, class_id: int, name: str = ""
) -> ImportedObject | None:
    """The object in the smallest window; None when its mask is empty."""
    box = tight_box(mask, window)
    if box is None:
        return None
    return ImportedObject(box, mask[box.relative_to(window).slices].copy(), class_id, name)


def add_imported(
    state: State, store: LabelStore, imported: ImportedImage, plane: PlaneIndex = ()
) -> tuple[Change, tuple[str, ...]]:
    """The change that adds a file's objects to what is there, and notes for the user.

    Objects that are there keep their pixels. Where objects of the file overlap, the smaller one
    is on top. Classes are matched by name; those that are new are added.

    Raises:
        ValueError: The file is of an image of another shape, or nothing of it finds a place.
    """
    if imported.image.shape != store.shape:
        raise ValueError(
            f"expected annotations of an image of {store.shape} px, got {imported.image.name} of "
            f"{imported.image.shape}; open the image that they belong to"
        )
    classes, ids = _match_classes(state.classes, imported)
    first = max([store.next_id - 1, *state.objects]) + 1
    box, labels = _paint(imported, first)
    old = store.read(box, plane)
    new = np.where(old == 0, labels, old)
    n_hidden = int(((labels > 0) & (old > 0)).sum())
    records = _records(imported, first, new, box, ids, plane)
    if not records:
        raise ValueError("expected objects that find a place, got none; the labels are taken")
    change = Change(
        "import",
        f"import {len(records)} object{'s' * (len(records) != 1)}",
        classes=None if classes == state.classes else (state.classes, classes),
        objects={record.id: (None, record) for record in records},
        patches=(LabelPatch.between(box, old, new, plane),),
    )
    return change, (*imported.notes, *_losses(imported, records, n_hidden))


def _match_classes(classes: ClassList, imported: ImportedImage) -> tuple[ClassList, dict[int, int]]:
    """The classes with the file's new ones, and our id for each of the file's."""
    ids = {}
    for theirs in imported.classes:
        ours = classes.named(theirs.name)
        if ours is None:
            if theirs.id in classes:
                classes = classes.add(theirs.name, theirs.color)
            else:
                taken = {c.shortcut for c in classes}
                shortcut = None if theirs.shortcut in taken else theirs.shortcut
                classes = ClassList((*classes, replace(theirs, shortcut=shortcut)))
        ids[theirs.id] = next(c.id for c in classes if c.name == theirs.name)
    return classes, ids


def _paint(imported: ImportedImage, first: int) -> tuple[Window, Any]:
    """The objects' common box and their labels in it, numbered from ``first``."""
    if not imported.objects:
        raise ValueError(f"expected objects in {imported.image.name}, got none")
    box = imported.objects[0].window
    for one in imported.objects[1:]:
        box = box.union(one.window)
    labels = np.zeros(box.shape, np.uint32)
    numbered = [(int(one.mask.sum()), index) for index, one in enumerate(imported.objects)]
    for _, index in sorted(numbered, key=lambda pair: (-pair[0], pair[1])):
        one = imported.objects[index]
        labels[one.window.relative_to(box).slices][one.mask] = first + index
    return box, labels


def _records(
    imported: ImportedImage,
    first: int,
    labels: Any,
    box: Window,
    ids: dict[int, int],
    plane: PlaneIndex,
) -> list[ObjectRecord]:
    found = measure_labels(StoredPlane(ArrayStore(labels)))
    records = []
    for index, one in enumerate(imported.objects):
        if first + index in found:
            part, area = found[first + index]
            place = Window(part.y0 + box.y0, part.x0 + box.x0, part.y1 + box.y0, part.x1 + box.x0)
            class_id = ids[one.class_id]
            record = ObjectRecord(first + index, class_id, place, area, one.name, plane=plane)
            records.append(record)
    return records


def _losses(imported: ImportedImage, records: Iterable[ObjectRecord], n_hidden: int) -> list[str]:
    kept = list(records)
    notes = []
    lost = len(imported.objects) - len(kept)
    if lost:
        notes.append(f"{lost} of {len(imported.objects)} objects lie wholly under others: left out")
    n_pixels = sum(int(one.mask.sum()) for one in imported.objects)
    overlap = n_pixels - sum(record.area_px for record in kept) - n_hidden
    if overlap > 0:
        notes.append(f"objects of the file overlap on {overlap} px: the smaller one has them")
    if n_hidden:
        notes.append(f"{n_hidden} px stay with the objects that were there before")
    return notes
