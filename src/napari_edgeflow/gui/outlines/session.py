"""What belongs to one edit of outlines: how it began, its steps, how it becomes a change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.annotation.polygon_commands import (
    Outline,
    Pieces,
    outline_pieces,
    read_outlines,
    reshape_objects,
)
from napari_edgeflow.annotation.store import LabelStore, OverlapRule, find_overlaps
from napari_edgeflow.gui.outlines.edit import (
    RingKey,
    Sketch,
    add_area,
    cut_out,
    open_sketch,
    split_by,
)
from napari_edgeflow.gui.outlines.preview import Owned, PixelChanges
from napari_edgeflow.gui.planes import Plane
from napari_edgeflow.gui.projects.overlap import ChosenRule, OverlapFoundError, question
from napari_edgeflow.vector.polygons import Polygon

Tool = Literal["split", "cut", "add"]
"""What the next shape that is drawn is for."""
_OUTLINE_COLOURS = ("#f0e442", "#56b4e9", "#009e73", "#e69f00", "#0072b2")
_HOLE_COLOUR = "#cc79a7"


class Unchanged(ValueError):
    """Applying would change nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenEdit:
    """What is being edited, as it was at the start.

    Attributes:
        project: The window's project of the objects.
        plane: Where they are.
        records: They.
        before: Their pixels.
    """

    project: Any
    plane: Plane
    records: tuple[ObjectRecord, ...]
    before: tuple[Owned, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        """Of the objects."""
        return tuple(record.id for record in self.records)

    @property
    def name(self) -> str:
        """The objects in words."""
        return f"Object{'s' * (len(self.records) > 1)} {', '.join(map(str, self.ids))}"


class Steps:
    """The states of an edit, to go back and forth between."""

    def __init__(self, first: Sketch) -> None:
        self.now = first
        self._done: list[Sketch] = []
        self._undone: list[Sketch] = []
        self._slides = False

    @property
    def can_undo(self) -> bool:
        """True when there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """True when there is a step to do again."""
        return bool(self._undone)

    def go_on(self, sketch: Sketch, slides: bool = False) -> None:
        """One more step; those of a slider that is being dragged count as one."""
        if not (slides and self._slides):
            self._done.append(self.now)
        self.now, self._undone, self._slides = sketch, [], slides

    def undo(self) -> None:
        """Back to the state before, if there is one."""
        if self._done:
            self._undone.append(self.now)
            self.now, self._slides = self._done.pop(), False

    def redo(self) -> None:
        """On to the state that was left by ``undo``, if there is one."""
        if self._undone:
            self._done.append(self.now)
            self.now, self._slides = self._undone.pop(), False


def choose_records(project: Any, ids: Sequence[int]) -> tuple[ObjectRecord, ...]:
    """The objects with these ids; without ids the one that is picked in the Labels layer.

    Raises:
        ValueError: There are none, one is locked, or they lie on several slices.
    """
    objects = project.state.objects
    if not ids and project.layer is not None:
        ids = (int(project.layer.selected_label),)
    records = tuple(objects[label] for label in dict.fromkeys(ids) if label in objects)
    if not records:
        raise ValueError("Select an object first: in the list, or with a click on it.")
    for record in records:
        if record.is_locked:
            raise ValueError(f"Object {record.id} is locked: unlock it first.")
    if len({record.plane for record in records}) > 1:
        raise ValueError("Select objects on one slice: outlines are edited slice by slice.")
    return records


def open_outlines(
    store: LabelStore, records: Sequence[ObjectRecord], tolerance_px: float
) -> tuple[Sketch, Pieces]:
    """The first state of an edit, and the pixels of the objects; for the worker."""
    outlines, pieces = read_outlines(store, records)
    return open_sketch(outlines, tolerance_px), pieces


def make_change(
    ids: tuple[int, ...],
    outlines: tuple[Outline, ...],
    rule: ChosenRule,
    state: State,
    store: LabelStore,
) -> Change:
    """The change that gives the objects the pixels of their outlines; for the worker.

    Raises:
        Unchanged: They have them already.
        OverlapFoundError: Others have some, and the rule is to ask.
        ValueError: It cannot be done.
    """
    how: OverlapRule = "old_protected" if rule == "ask" else rule
    change = reshape_objects(state, store, outlines, ids, how)
    if rule == "ask":
        _check_overlaps(state, store, outlines, ids)
    has_pixels = any(patch.is_changed.any() for patch in change.patches)
    if not has_pixels and all(old == new for old, new in change.objects.values()):
        raise Unchanged("expected outlines that change something, got the objects as they are")
    return change


def _check_overlaps(
    state: State, store: LabelStore, outlines: Sequence[Outline], ids: Sequence[int]
) -> None:
    found: dict[int, int] = {}
    plane = state.objects[ids[0]].plane
    for outline in outlines:
        for window, mask in outline_pieces(outline, store.shape):
            for label, count in find_overlaps(store.read(window, plane), mask).items():
                record = state.objects.get(label)
                if label not in ids and not (record is not None and record.is_locked):
                    found[label] = found.get(label, 0) + count
    if found:
        raise OverlapFoundError(question(state, found))


def kept_records(change: Change, edited: Sequence[int]) -> list[ObjectRecord]:
    """The objects that were edited, and new ones, as they are after the change."""
    pairs = change.objects.items()
    after = [pair[1] for label, pair in pairs if pair[0] is None or label in edited]
    return [record for record in after if record is not None]


def drawn_edit(
    tool: Tool | None, corners: npt.NDArray[np.float64], is_closed: bool
) -> Callable[[Sketch], Sketch]:
    """What a shape that was drawn does: a line splits, a region is cut out or added."""
    if not is_closed:
        return lambda sketch: split_by(sketch, corners)
    region = Polygon(corners)
    if tool == "cut":
        return lambda sketch: cut_out(sketch, region)
    return lambda sketch: add_area(sketch, region)


def applied_in_words(
    change: Change, kept: Sequence[ObjectRecord], expected: PixelChanges | None
) -> str:
    """What was done, and how many pixels other objects kept."""
    note = f"Done: {change.title}."
    if expected is not None:
        lost = expected.total_px - sum(record.area_px for record in kept)
        note += f" {lost} px stayed with neighbours." * (lost > 0)
    return note


def ring_colour(key: RingKey) -> str:
    """Of the outline for an exterior; of its own for holes. Both are safe for the colour-blind."""
    outline, _, ring = key
    return _HOLE_COLOUR if ring else _OUTLINE_COLOURS[outline % len(_OUTLINE_COLOURS)]


def changes_in_words(changes: PixelChanges) -> str:
    """What applying would change."""
    parts = [f"adds {changes.added} px", f"removes {changes.removed} px"]
    if changes.moved:
        parts.append(f"gives {changes.moved} px to another object")
    return f"{', '.join(parts)}.".capitalize()
