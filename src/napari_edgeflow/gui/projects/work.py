"""What of a project runs in the worker: only here are history and store touched."""

from __future__ import annotations

from collections.abc import Callable

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.autosave import AutosaveLog, Found
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.hand_edits import hand_edits
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.errors import JournalError
from napari_edgeflow.gui.projects.files import (
    Opened,
    ProjectFile,
    close_history,
    compact_if_large,
)
from napari_edgeflow.gui.projects.steps import Snapshot, Step

Make = Callable[[State, LabelStore], Change | None]
"""A change, worked out of state and labels; None: nothing to do."""


class ProjectWork:
    """Opens the history of a project and does its steps; each returns what the screen needs.

    Args:
        file: Opens the history.
    """

    def __init__(self, file: ProjectFile) -> None:
        self._file = file
        self._opened: Opened | None = None

    @property
    def store(self) -> LabelStore | None:
        """The labels; None before they are open."""
        return None if self._opened is None else self._opened.history.store

    @property
    def history(self) -> History:
        """The history that is open.

        Raises:
            JournalError: None is.
        """
        if self._opened is None:
            raise JournalError("expected an open project, but it could not be opened; see above")
        return self._opened.history

    def open(self) -> tuple[Opened, Snapshot]:
        """The history, or an offer of one from before."""
        return self._take(self._file.open())

    def resume(self, found: Found) -> tuple[Opened, Snapshot]:
        """The history that was offered."""
        return self._take(self._file.resume(found))

    def begin_anew(self, found: Found) -> tuple[Opened, Snapshot]:
        """An empty history; the one that was offered is renamed."""
        return self._take(self._file.anew(found))

    def do(self, make: Make) -> Step:
        """A step forward."""
        history = self.history
        change = make(history.state, history.store)
        if change is not None and not change.is_empty:
            history.do(change)
            compact_if_large(history, self._file.shape)
        return Step(change, True, Snapshot.of(history))

    def undo(self) -> Step:
        """A step back."""
        history = self.history
        return Step(history.undo(), False, Snapshot.of(history))

    def redo(self) -> Step:
        """The step that was taken back last."""
        history = self.history
        return Step(history.redo(), True, Snapshot.of(history))

    def absorb(
        self, painted: AnyArray, class_id: int, plane: PlaneIndex
    ) -> tuple[Step, tuple[Window, ...]]:
        """The step that makes the labels what was painted, and windows to draw again.

        Args:
            painted: ``(H, W)`` ids in the layer of the plane.
            class_id: Of objects that are new in it.
            plane: Which plane.
        """
        history = self.history
        change, redraw = hand_edits(history.state, history.store, painted, class_id, plane)
        if change is not None:
            history.do(change)
        return Step(change, True, Snapshot.of(history)), redraw

    def save(self) -> Snapshot:
        """Try again to save what is in memory only."""
        history = self.history
        if isinstance(history.log, AutosaveLog):
            history.log.save()
        return Snapshot.of(history)

    def close(self) -> None:
        """Let go of the journal."""
        if self._opened is not None:
            close_history(self._opened.history)

    def _take(self, opened: Opened) -> tuple[Opened, Snapshot]:
        self.close()
        self._opened = opened
        return opened, Snapshot.of(opened.history)
