"""The annotations of one image in the window: each step goes to disk, then to the screen.

Steps are worked out, journaled and applied one after the other in a thread of their own, which
alone touches history and store. The Qt thread keeps a snapshot and redraws what a step changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels as LabelsLayer
from napari.utils.notifications import show_error
from psygnal import Signal

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex
from napari_edgeflow.annotation.store import LabelStore, MarkedStore
from napari_edgeflow.errors import JournalError
from napari_edgeflow.gui.label_view import LabelView
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.worker import Worker

Make = Callable[[State, LabelStore], Change | None]


@dataclass(frozen=True, slots=True)
class Opened:
    """A history that is ready, and what the user should know of it.

    Attributes:
        history: With its log and store.
        place: The journal; None when steps are kept in memory alone.
        notes: In words, shown once.
    """

    history: History
    place: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the Qt thread knows of the history.

    Attributes:
        state: Classes, objects, drafts.
        next_id: The id that a new object would get.
        undo_title: Of the step that undo takes back; empty when there is none.
        redo_title: Of the step that redo does again; likewise.
    """

    state: State = field(default_factory=State)
    next_id: int = 1
    undo_title: str = ""
    redo_title: str = ""

    @classmethod
    def of(cls, history: History) -> Snapshot:
        """As the history is now."""
        next_id = max(history.store.next_id, history.state.next_id)
        return cls(history.state, next_id, history.next_undo(), history.next_redo())


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    change: Change | None
    is_forward: bool
    after: Snapshot


class Project:
    """The objects, classes and steps of one image.

    Args:
        image: The napari Image layer.
        view: Shows the labels.
        open_history: Makes the history; runs in the worker.
        worker: Of the steps; not that of the network.
        messages: Where to say what happened.
        shown_plane: The plane on the screen.
    """

    changed = Signal(object)
    """The ``Change`` that was just done or taken back; None: everything is new."""
    status_changed = Signal()
    """``saved_line`` or ``is_busy`` may be other."""

    def __init__(
        self,
        image: Any,
        view: LabelView,
        open_history: Callable[[], Opened],
        *,
        worker: Worker,
        messages: Messages,
        shown_plane: Callable[[], PlaneIndex],
    ) -> None:
        self.image = image
        self.view = view
        self.place: Path | None = None
        self.is_open = False
        self._worker = worker
        self._messages = messages
        self._shown_plane = shown_plane
        self._opened: Opened | None = None
        self._snapshot = Snapshot()
        self._n_jobs = self._n_waiting = self._n_asked = 0
        self._saved_at: datetime | None = None
        self._problem = ""
        self._is_closed = False
        self._submit(partial(self._open, open_history), self._on_open)

    # --- what is known on the Qt thread ------------------------------------------------------

    @property
    def state(self) -> State:
        """Classes, objects and drafts after the last step that came through."""
        return self._snapshot.state

    @property
    def next_id(self) -> int:
        """The id that a new object would get."""
        return self._snapshot.next_id

    @property
    def layer(self) -> LabelsLayer | None:
        """The Labels layer that shows the objects; None while there is none."""
        return self.view.layer

    @property
    def plane(self) -> PlaneIndex:
        """The plane on the screen."""
        return self._shown_plane()

    @property
    def can_undo(self) -> bool:
        """True when there is a step to take back."""
        return bool(self._snapshot.undo_title)

    @property
    def can_redo(self) -> bool:
        """True when there is a step to do again."""
        return bool(self._snapshot.redo_title)

    @property
    def undo_title(self) -> str:
        """What ``undo`` takes back, in words; empty when there is nothing."""
        return self._snapshot.undo_title

    @property
    def redo_title(self) -> str:
        """What ``redo`` does again, in words; empty when there is nothing."""
        return self._snapshot.redo_title

    @property
    def is_busy(self) -> bool:
        """True while steps are on their way."""
        return self._n_waiting > 0

    @property
    def is_untouched(self) -> bool:
        """True while nothing was done, now or before."""
        return self._n_asked == 0 and not (self.can_undo or self.can_redo)

    @property
    def saved_line(self) -> str:
        """Where the steps are saved and since when, in words."""
        if self._problem:
            return f"Not saved: {self._problem}"
        if self.is_open and self.place is None:
            return "Kept in memory only; export before closing."
        if self.is_busy:
            return "Saving…"
        if self._saved_at is None or self.place is None:
            return ""
        return f"Saved at {self._saved_at:%H:%M:%S} in {self.place.name}"

    # --- steps -------------------------------------------------------------------------------

    def do(
        self,
        make: Make,
        on_done: Callable[[Change], None] | None = None,
        on_failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Do a step: journaled, applied, shown, in this order; returns at once.

        Args:
            make: The change, worked out of the present state; runs in the worker. None or an
                empty change: nothing to do.
            on_done: Called on the Qt thread after it is shown.
            on_failed: Called instead when nothing was changed; None: the user is told why.
        """
        self._n_asked += 1
        self._submit(
            partial(self._do, make), partial(self._on_step, on_done=on_done), on_failed=on_failed
        )

    def undo(self) -> None:
        """Take the last step back."""
        self._submit(self._undo, self._on_step)

    def redo(self) -> None:
        """Do the step that was taken back last again."""
        self._submit(self._redo, self._on_step)

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids as committed, a copy; zeros before the project is open."""
        if self._opened is None:
            raise ValueError("expected an open project, but it is still being opened; wait for it")
        return self._opened.history.store.read(window, plane)

    def mask_of(self, record: ObjectRecord) -> tuple[BoolArray, Window]:
        """``(h, w) bool`` of an object, and its box."""
        mask: BoolArray = self.read(record.box, record.plane) == record.id
        return mask, record.box

    def id_at(self, y: float, x: float, plane: PlaneIndex = ()) -> int:
        """Id of the object at a place inside the image, level-0 pixels; 0 for none."""
        row, column = math.floor(y + 0.5), math.floor(x + 0.5)
        return int(self.read(Window(row, column, row + 1, column + 1), plane)[0, 0])

    def run(
        self,
        job: Callable[[History], Any],
        on_done: Callable[[Any], None],
        on_failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Something else than a step with the history, in the worker, after the steps so far."""
        self._submit(
            lambda: job(self._history()), lambda result: on_done(result), on_failed=on_failed
        )

    def close(self) -> None:
        """Let go of layer and journal, after the steps that are on their way."""
        if self._is_closed:
            return
        self._is_closed = True
        self.view.close()
        self._n_jobs += 1
        key = ("project", id(self), self._n_jobs)
        self._worker.submit(
            key, lambda _stop: self._close(), lambda _none: None, lambda error: None
        )

    # --- in the worker -----------------------------------------------------------------------

    def _history(self) -> History:
        if self._opened is None:
            raise JournalError("expected an open project, but it could not be opened; see above")
        return self._opened.history

    def _open(self, open_history: Callable[[], Opened]) -> tuple[Opened, Snapshot]:
        self._opened = open_history()
        return self._opened, Snapshot.of(self._opened.history)

    def _do(self, make: Make) -> _Step:
        history = self._history()
        change = make(history.state, history.store)
        if change is not None and not change.is_empty:
            history.do(change)
        return _Step(change, True, Snapshot.of(history))

    def _undo(self) -> _Step:
        history = self._history()
        return _Step(history.undo(), False, Snapshot.of(history))

    def _redo(self) -> _Step:
        history = self._history()
        return _Step(history.redo(), True, Snapshot.of(history))

    def _close(self) -> None:
        if self._opened is None:
            return
        store, log = self._opened.history.store, self._opened.history.log
        try:
            if isinstance(store, MarkedStore):
                store.flush()
        finally:
            if hasattr(log, "close"):
                log.close()

    # --- back on the Qt thread ---------------------------------------------------------------

    def _submit(
        self,
        run: Callable[[], Any],
        done: Callable[[Any], None],
        on_failed: Callable[[Exception], None] | None = None,
    ) -> None:
        if self._is_closed:
            return
        self._n_jobs += 1
        self._n_waiting += 1
        self._worker.submit(
            ("project", id(self), self._n_jobs),
            lambda _stop: run(),
            partial(self._deliver, done),
            partial(self._on_failed, on_failed),
        )
        self.status_changed.emit()

    def _deliver(self, done: Callable[[Any], None], result: Any) -> None:
        self._n_waiting -= 1
        if not self._is_closed:
            self._problem = ""
            done(result)
            self.status_changed.emit()

    def _on_open(self, result: tuple[Opened, Snapshot]) -> None:
        opened, self._snapshot = result
        self.place, self.is_open = opened.place, True
        for note in opened.notes:
            self._messages.say(note, show_error)
        self.view.fill(opened.history.store)
        self.changed.emit(None)

    def _on_step(self, step: _Step, on_done: Callable[[Change], None] | None = None) -> None:
        self._snapshot = step.after
        self._saved_at = datetime.now()
        if step.change is None or step.change.is_empty:
            return
        self.view.show(step.change, step.is_forward)
        self.changed.emit(step.change)
        if on_done is not None:
            on_done(step.change)

    def _on_failed(self, on_failed: Callable[[Exception], None] | None, error: Exception) -> None:
        self._n_waiting -= 1
        if self._is_closed:
            return
        if isinstance(error, JournalError):
            self._problem = str(error)
        if on_failed is not None:
            on_failed(error)
        else:
            self._messages.say(in_words(error), show_error)
        self.status_changed.emit()
