"""What the Qt thread gets to know of a history, after each step."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_edgeflow.annotation.autosave import AutosaveLog
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.history import History


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the Qt thread knows of the history.

    Attributes:
        state: Classes, objects, drafts.
        next_id: The id that a new object would get.
        undo_title: Of the step that undo takes back; empty when there is none.
        redo_title: Of the step that redo does again; likewise.
        place: The journal; None while there is none, or steps are kept in memory alone.
        notes: What the user should know, in words.
        problem: What is not saved though it should be, and why; empty when all is.
    """

    state: State = field(default_factory=State)
    next_id: int = 1
    undo_title: str = ""
    redo_title: str = ""
    place: Path | None = None
    notes: tuple[str, ...] = ()
    problem: str = ""

    @classmethod
    def of(cls, history: History) -> Snapshot:
        """As the history is now."""
        next_id = max(history.store.next_id, history.state.next_id)
        log = history.log
        place: Path | None = None
        notes: tuple[str, ...] = ()
        problem = ""
        if isinstance(log, AutosaveLog):
            place, notes = log.place, tuple(log.notes)
            log.notes.clear()
            problem = log.problem
        titles = history.next_undo(), history.next_redo()
        return cls(history.state, next_id, *titles, place, notes, problem)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A step that was done or taken back, and the history after it."""

    change: Change | None
    is_forward: bool
    after: Snapshot
