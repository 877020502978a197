"""Objects given the pixels of polygons that were drawn for them, several in one step.

Cost follows the objects: labels are read and written in boxes around them, and objects that lie
far apart are not joined by a box around all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.changes import Change, LabelPatch, State
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex, tight_box
from napari_edgeflow.annotation.store import LabelStore, OverlapRule
from napari_edgeflow.vector.coverage import label_polygons
from napari_edgeflow.vector.edit import mend
from napari_edgeflow.vector.polygons import Polygon, mask_to_polygons
from napari_edgeflow.vector.rasterize import polygons_to_mask, polygons_window

MAX_ONE_PX = 8192**2
"""Box of an object whose outline is edited alone; it takes about 1 GB for a moment."""
MAX_SEVERAL_PX = 4096**2
"""Boxes together of objects whose outlines are edited at once."""

Pieces = tuple[tuple[Window, BoolArray], ...]
"""Masks at their places, level-0; together they are one object."""

_Pairs = dict[int, tuple[ObjectRecord | None, ObjectRecord | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What one object will be.

    Attributes:
        label: The object whose class it has, and whose place it takes unless it is new.
        polygons: Its parts; corners (y, x) in level-0 pixels.
        is_new: A part split off, which becomes an object of its own.
    """

    label: int
    polygons: tuple[Polygon, ...]
    is_new: bool = False

    @property
    def area(self) -> float:
        """Square pixels."""
        return sum(polygon.area for polygon in self.polygons)


def outline_pieces(outline: Outline, shape: tuple[int, int]) -> Pieces:
    """Pixels of the outline inside an image of ``shape``; crossing outlines are mended first."""
    whole = Window(0, 0, *shape)
    pieces = []
    for polygon in (valid for one in outline.polygons for valid in mend(one)):
        box = polygons_window([polygon])
        inside = None if box is None else box.intersect(whole)
        if inside is not None:
            pieces.append((inside, polygons_to_mask([polygon], inside)))
    return tuple(pieces)


def read_outlines(
    store: LabelStore, records: Sequence[ObjectRecord]
) -> tuple[tuple[Outline, ...], Pieces]:
    """Outlines of objects along the edges of their pixels, and the pixels themselves.

    Several objects have the same corners along their common edges.

    Raises:
        ValueError: They are too large for that.
    """
    size = sum(record.box.height * record.box.width for record in records)
    most = MAX_ONE_PX if len(records) == 1 else MAX_SEVERAL_PX
    if size > most:
        raise ValueError(
            f"expected objects within {most / 1e6:.0f} megapixels for editing their outlines, got "
            f"{size / 1e6:.0f}; correct them with clicks or the brush"
        )
    outlines, pieces = [], []
    whole = Window(0, 0, *store.shape)
    for record in records:
        box = record.box
        around = Window(box.y0 - 1, box.x0 - 1, box.y1 + 1, box.x1 + 1).intersect(whole) or box
        labels = store.read(around, record.plane)
        mask: BoolArray = labels[box.relative_to(around).slices] == record.id
        if len(records) == 1:
            polygons = mask_to_polygons(mask, box)
        else:
            polygons = label_polygons(labels, record.id, around)
        outlines.append(Outline(record.id, polygons))
        pieces.append((box, mask))
    return tuple(outlines), tuple(pieces)


def reshape_objects(
    state: State,
    store: LabelStore,
    outlines: Sequence[Outline],
    edited: Iterable[int],
    rule: OverlapRule = "old_protected",
) -> Change:
    """The objects that were edited get the pixels of their outlines.

    An object without an outline left is gone (it was merged into another, or cut away); an
    outline that is new becomes an object with the class of the one it was split from.

    Args:
        state: Now.
        store: Read, not written.
        outlines: What the objects will be; where they overlap, the earlier one has the pixel.
        edited: Ids of the objects that were edited, all on one plane.
        rule: Who keeps pixels that other objects have; locked objects always do.

    Raises:
        ValueError: There is no such object, it is locked, the objects lie on several planes, or
            an outline would have no pixel.
    """
    records = {label: _editable(state, label) for label in edited}
    planes = {record.plane for record in records.values()}
    if len(planes) != 1 or not outlines:
        raise ValueError("expected outlines of objects on one plane; edit them one after the other")
    targets = _targets(state, store, records, outlines)
    job = _Job(store, planes.pop(), rule, tuple(records), _locked(state, records))
    boxes = [r.box for r in records.values()] + [w for t in targets for w, _ in t.pieces]
    patches = tuple(_repaint(job, box, targets) for box in join_boxes(boxes))
    pairs: _Pairs = {label: (record, None) for label, record in records.items()}
    for target in targets:
        pairs[target.record.id] = (records.get(target.record.id), target.measured())
    pairs.update(_neighbours(state, job, patches))
    return Change("polygon", _title(targets, pairs), objects=pairs, patches=patches)


def join_boxes(boxes: Iterable[Window]) -> tuple[Window, ...]:
    """Boxes that do not overlap and cover the given ones; overlapping ones are joined."""
    joined: list[Window] = []
    for box in boxes:
        while hit := next((other for other in joined if other.intersect(box)), None):
            joined.remove(hit)
            box = box.union(hit)
        joined.append(box)
    return tuple(joined)


@dataclass(eq=False)
class _Target:
    """An object while it is painted box by box."""

    record: ObjectRecord
    pieces: Pieces
    boxes: list[Window] = field(default_factory=list)
    area_px: int = 0

    def measured(self) -> ObjectRecord:
        """The record with the box and area that it got."""
        if not self.boxes:
            raise ValueError(
                f"expected pixels for object {self.record.id}, but its outline holds none that "
                "are free; let it be larger, or take pixels from others"
            )
        box = self.boxes[0]
        for other in self.boxes[1:]:
            box = box.union(other)
        return replace(self.record, box=box, area_px=self.area_px)


@dataclass(frozen=True, slots=True)
class _Job:
    store: LabelStore
    plane: PlaneIndex
    rule: OverlapRule
    edited: tuple[int, ...]
    locked: tuple[int, ...]


def _targets(
    state: State,
    store: LabelStore,
    records: dict[int, ObjectRecord],
    outlines: Sequence[Outline],
) -> list[_Target]:
    next_id = max([store.next_id - 1, *state.objects]) + 1
    targets = []
    for outline in outlines:
        record = records[outline.label]
        if outline.is_new:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            record = replace(record, id=next_id, name="", clicks=(), created=now)
            next_id += 1
        targets.append(_Target(record, outline_pieces(outline, store.shape)))
    return targets


def _locked(state: State, records: dict[int, ObjectRecord]) -> tuple[int, ...]:
    return tuple(r.id for r in state.objects.values() if r.is_locked and r.id not in records)


def _repaint(job: _Job, box: Window, targets: Sequence[_Target]) -> LabelPatch:
    """The box with the edited objects taken out and painted anew; measures them."""
    old = job.store.read(box, job.plane)
    new: Labels = np.where(np.isin(old, job.edited), np.uint32(0), old).astype(np.uint32)
    is_painted = np.zeros(box.shape, dtype=bool)
    if job.rule == "new_on_top":
        is_taken: npt.NDArray[np.bool_] = np.isin(new, job.locked)
    else:
        is_taken = new != 0
    for target in targets:
        for window, mask in target.pieces:
            if window.intersect(box) is None:
                continue
            at = window.relative_to(box).slices
            is_mine = mask & ~is_taken[at] & (~is_painted[at] | (new[at] == target.record.id))
            new[at][is_mine] = target.record.id
            is_painted[at] |= is_mine
        own = new == target.record.id
        found = tight_box(own, box)
        if found is not None:
            target.boxes.append(found)
            target.area_px += int(own.sum())
    return LabelPatch.between(box, old, new, job.plane)


def _neighbours(state: State, job: _Job, patches: Sequence[LabelPatch]) -> _Pairs:
    """The other objects that lost pixels, with box and area after it; None when all are lost."""
    pairs: _Pairs = {}
    lost = [patch.old[~np.isin(patch.old, (0, *job.edited))] for patch in patches]
    ids, counts = np.unique(np.concatenate(lost), return_counts=True)
    for label, count in zip(ids.tolist(), counts.tolist(), strict=True):
        record = state.objects.get(label)
        if record is None:
            continue
        mask = job.store.read(record.box, job.plane) == label
        for patch in patches:
            common = record.box.intersect(patch.window)
            if common is not None:
                changed = patch.is_changed[common.relative_to(patch.window).slices]
                mask[common.relative_to(record.box).slices] &= ~changed
        left = tight_box(mask, record.box)
        shrunk = replace(record, box=left, area_px=record.area_px - count) if left else None
        pairs[label] = record, shrunk
    return pairs


def _title(targets: Sequence[_Target], pairs: _Pairs) -> str:
    """In the user's words, for the undo menu."""
    made = [target.record.id for target in targets]
    names = ", ".join(map(str, made))
    edited = [label for label, (before, _) in pairs.items() if before is not None]
    gone = [label for label in edited if pairs[label][1] is None]
    if any(pairs[label][0] is None for label in made):
        return f"split into objects {names}"
    if gone:
        return f"merge objects {', '.join(map(str, sorted({*gone, *made})))}"
    return f"reshape object{'s' * (len(made) > 1)} {names}"


def _editable(state: State, label: int) -> ObjectRecord:
    record = state.objects.get(label)
    if record is None:
        raise ValueError(f"expected the id of an object, got {label}, which there is none of")
    if record.is_locked:
        raise ValueError(f"expected an object that may change, but {label} is locked; unlock it")
    return record
