"""The annotations of one image in the window: each step goes to disk, then to the screen.

Steps are worked out, journaled and applied one after the other in a thread of their own, which
alone touches history and store. The Qt thread keeps a snapshot and redraws what a step changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Labels as LabelsLayer
from napari.utils.notifications import show_error, show_warning
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.autosave import Found
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import Labels, ObjectRecord, PlaneIndex
from napari_edgeflow.errors import JournalError
from napari_edgeflow.gui.labels.label_view import LabelView
from napari_edgeflow.gui.messages import Messages, in_words
from napari_edgeflow.gui.projects.files import Opened, ProjectFile
from napari_edgeflow.gui.projects.steps import Snapshot, Step
from napari_edgeflow.gui.projects.work import Make, ProjectWork
from napari_edgeflow.gui.worker import Worker

RETRY_MS = 5000
OFFER_FIRST = (
    "There are objects of this image from before: choose “Resume” or “Start anew” at the top of "
    "the panel first."
)


class Project:
    """The objects, classes and steps of one image.

    Args:
        image: The napari Image layer.
        view: Shows the labels.
        file: Opens the history, in the worker.
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
        file: ProjectFile,
        *,
        worker: Worker,
        messages: Messages,
        shown_plane: Callable[[], PlaneIndex],
    ) -> None:
        self.image = image
        self.view = view
        self.offer: Found | None = None
        self.is_open = False
        self._worker = worker
        self._messages = messages
        self._shown_plane = shown_plane
        self._work = ProjectWork(file)
        self._snapshot = Snapshot()
        self._n_jobs = self._n_waiting = self._n_asked = self._n_going = 0
        self._saved_at: datetime | None = None
        self._problem = ""
        self._has_edits = self._is_waiting_for_disk = False
        self._is_closed = self._is_looking = False
        self._class_of_paint: Callable[[], int] = lambda: 1
        view.edited.connect(self._on_edited)
        self._submit(self._work.open, self._on_open)

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
    def place(self) -> Path | None:
        """The journal; None before the first step, and when steps are kept in memory alone."""
        return self._snapshot.place

    @property
    def is_on_disk(self) -> bool:
        """True when every step so far is in the journal."""
        return self.place is not None and not self._snapshot.problem

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
    def is_going_back(self) -> bool:
        """True while undo or redo are on their way: what is clicked now must wait for them."""
        return self._n_going > 0

    @property
    def is_untouched(self) -> bool:
        """True while nothing was done, now or before."""
        return self._n_asked == 0 and not (self.can_undo or self.can_redo)

    @property
    def saved_line(self) -> str:
        """Where the steps are saved and since when, in words."""
        if self._problem or self._snapshot.problem:
            return f"Not saved: {self._problem or self._snapshot.problem}"
        if self.is_untouched:
            return ""
        if self.is_busy:
            return "Saving…"
        if self.place is None:
            return "Not on disk: kept in memory only; export before closing."
        when = f"Saved at {self._saved_at:%H:%M:%S}" if self._saved_at else "Saved"
        return f"{when} in {self.place.name}"

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
        if self.offer is not None:
            self._on_failed(on_failed, ValueError(OFFER_FIRST), is_counted=False)
            return
        self.absorb()
        self._n_asked += 1
        self._submit(
            partial(self._work.do, make),
            partial(self._on_step, on_done=on_done),
            on_failed=on_failed,
        )

    def undo(self) -> None:
        """Take the last step back."""
        self._go(self._work.undo)

    def redo(self) -> None:
        """Do the step that was taken back last again."""
        self._go(self._work.redo)

    def _go(self, run: Callable[[], Step]) -> None:
        if self.offer is not None:
            self._messages.say(OFFER_FIRST, show_warning)
            return
        self.absorb()
        self._n_going += 1
        self._submit(run, self._on_gone, self._on_gone)

    def _on_gone(self, result: Step | Exception) -> None:
        self._n_going -= 1
        if isinstance(result, Step):
            self._on_step(result)
        else:
            self._messages.say(in_words(result), show_error)

    def absorb(self) -> None:
        """Make a step of what somebody else wrote to the Labels layer.

        Only while the layer shows all steps so far can that be told from what is on its way;
        otherwise it is done once they are through.
        """
        if not self.is_open or self.offer is not None:
            return
        if self._n_waiting > self._is_looking:
            self._has_edits = True
            return
        self._has_edits = False
        class_id = self._class_of_paint()
        for plane in self.view.take_edited(self.plane):
            painted = self.view.painted(plane)
            if painted is not None:
                job = partial(self._work.absorb, painted, class_id, plane)
                self._submit(job, partial(self._on_absorbed, plane))

    def _on_edited(self) -> None:
        """Absorb what is being written, once it is written: napari often tells of it before."""
        if not self.is_open or self.offer is not None:
            return
        self._has_edits = True
        if not self.is_busy:
            self._is_looking = True
            self._submit(lambda: None, self._on_looking)

    def _on_looking(self, _none: None) -> None:
        self._is_looking = False

    def paint_as(self, class_id: Callable[[], int]) -> None:
        """Which class objects get that are painted in the layer."""
        self._class_of_paint = class_id

    def resume(self) -> None:
        """Go on with the journal that is offered."""
        found = self.offer
        if found is not None:
            self._submit(partial(self._work.resume, found), self._on_open)

    def start_anew(self) -> None:
        """Begin without objects; the journal that is offered is renamed, never deleted."""
        found = self.offer
        if found is not None:
            self._submit(partial(self._work.begin_anew, found), self._on_open)

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids as committed, a copy; zeros before the project is open."""
        store = self._work.store
        if store is None:
            raise ValueError("expected an open project, but it is still being opened; wait for it")
        return store.read(window, plane)

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
            lambda: job(self._work.history), lambda result: on_done(result), on_failed=on_failed
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
            key, lambda _stop: self._work.close(), lambda _none: None, lambda error: None
        )

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
        if self._is_closed:
            return
        self._problem = ""
        done(result)
        self._on_rest()

    def _on_rest(self) -> None:
        if self._has_edits and not self.is_busy:
            self.absorb()
        self.status_changed.emit()

    def _on_open(self, result: tuple[Opened, Snapshot]) -> None:
        opened, self._snapshot = result
        self.offer, self.is_open = opened.offer, True
        self._tell(opened.notes)
        self.view.fill(opened.history.store)
        self.changed.emit(None)

    def _on_step(self, step: Step, on_done: Callable[[Change], None] | None = None) -> None:
        self._snapshot = step.after
        self._saved_at = datetime.now()
        self._tell(step.after.notes)
        self._save_later()
        if step.change is None or step.change.is_empty:
            return
        self.view.show(step.change, step.is_forward)
        self.changed.emit(step.change)
        if on_done is not None:
            on_done(step.change)

    def _save_later(self) -> None:
        """Try again in a while when the disk did not take the last steps."""
        if self._snapshot.problem and not self._is_waiting_for_disk:
            self._is_waiting_for_disk = True
            QTimer.singleShot(RETRY_MS, self.save_again)

    def save_again(self) -> None:
        """Try to save what is in memory only because the disk did not take it."""
        self._is_waiting_for_disk = False
        if self._snapshot.problem:
            self._submit(self._work.save, self._on_saved)

    def _on_saved(self, after: Snapshot) -> None:
        self._snapshot = after
        self._tell(after.notes)
        self._save_later()

    def _on_absorbed(self, plane: PlaneIndex, result: tuple[Step, tuple[Window, ...]]) -> None:
        step, redraw = result
        self._on_step(step)
        for window in redraw:
            self.view.redraw(window, plane)

    def _tell(self, notes: Iterable[str]) -> None:
        for note in notes:
            self._messages.say(note[:1].upper() + note[1:], show_warning)

    def _on_failed(
        self,
        on_failed: Callable[[Exception], None] | None,
        error: Exception,
        *,
        is_counted: bool = True,
    ) -> None:
        self._n_waiting -= is_counted
        if self._is_closed:
            return
        if isinstance(error, JournalError):
            self._problem = str(error)
        if on_failed is not None:
            on_failed(error)
        else:
            self._messages.say(in_words(error), show_error)
        self._on_rest()
