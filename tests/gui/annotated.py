"""A project and a controller without threads: steps happen at once, on a real history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from psygnal import Signal

from napari_edgeflow._types import AnyArray, Click, Window
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import ImageInfo, ObjectRecord, PlaneIndex
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.errors import EdgeFlowError

CLASSES = ClassList(
    (
        ObjectClass(1, "cell", (230, 159, 0), 1),
        ObjectClass(2, "nucleus", (86, 180, 233), 2),
        ObjectClass(3, "debris", (0, 158, 115), 3),
    )
)


def grid_of_objects(
    n: int, side: int = 8, per_row: int = 10, plane: PlaneIndex = ()
) -> tuple[AnyArray, dict[int, ObjectRecord]]:
    """Labels and records of n squares with a gap of one pixel around, ids from 1.

    Classes go round; object k has k % 4 positive clicks and is finished k minutes after the first.
    """
    rows = -(-n // per_row)
    labels = np.zeros((rows * side, per_row * side), np.uint32)
    records = {}
    for k in range(n):
        row, column = divmod(k, per_row)
        box = Window(row * side + 1, column * side + 1, (row + 1) * side, (column + 1) * side)
        labels[box.slices] = k + 1
        clicks = tuple(Click(box.y0 + i, box.x0) for i in range(k % 4))
        created = f"2026-03-0{1 + k // 1440}T{k // 60 % 24:02d}:{k % 60:02d}:00.000+00:00"
        records[k + 1] = ObjectRecord(
            k + 1, 1 + k % 3, box, (side - 1) ** 2, clicks=clicks, model="fake", created=created,
            plane=plane,
        )  # fmt: skip
    return labels, records


class InstantProject:
    """The window's project, but for disk and threads."""

    changed = Signal(object)

    def __init__(self, image: Any, history: History, layer: Any = None) -> None:
        self.image = image
        self.layer = layer
        self.history = history
        self.refusals: list[str] = []
        self.plane: PlaneIndex = ()
        self.saved_line = ""

    @classmethod
    def of(
        cls, image: Any, labels: AnyArray, records: dict[int, ObjectRecord], layer: Any = None
    ) -> InstantProject:
        info = ImageInfo("image", (labels.shape[-2], labels.shape[-1]))
        state = State(CLASSES, records)
        history = History.begin(MemoryLog(), info, ArrayStore(labels.copy()), state, ())
        return cls(image, history, layer)

    @property
    def state(self) -> State:
        return self.history.state

    def do(
        self, make: Callable[..., Change], on_done: Callable[[Change], None] | None = None
    ) -> None:
        try:
            change = self.history.do(make(self.history.state, self.history.store))
        except (ValueError, EdgeFlowError) as error:
            self.refusals.append(str(error))
            return
        self._show(change)
        if on_done is not None:
            on_done(change)

    def run(self, job: Callable[[History], Any], on_done: Callable[[Any], None]) -> None:
        on_done(job(self.history))

    def undo(self) -> None:
        change = self.history.undo()
        if change is not None:
            self._show(change)

    def _show(self, change: Change) -> None:
        if self.layer is not None and change.patches:
            store = self.history.store
            self.layer.data[...] = store.read(Window(0, 0, *store.shape))
            self.layer.refresh()
        self.changed.emit(change)


class InstantController:
    """What panels need of the controller."""

    changed = Signal()
    selection_changed = Signal()

    def __init__(self, project: InstantProject | None = None) -> None:
        self.project: Any = project
        self.class_id = 1
        self.taken_up: list[int] = []
        self._selected: tuple[int, ...] = ()

    @property
    def selected_ids(self) -> tuple[int, ...]:
        return self._selected

    @selected_ids.setter
    def selected_ids(self, ids: tuple[int, ...]) -> None:
        if ids != self._selected:
            self._selected = ids
            self.selection_changed.emit()

    def show(self, project: InstantProject | None) -> None:
        self.project = project
        self.changed.emit()

    def take_up(self, label: int) -> None:
        self.taken_up.append(label)
