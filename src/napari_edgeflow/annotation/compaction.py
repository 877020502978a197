"""Journals that grew large, written anew: the state some steps ago, then these steps."""

from __future__ import annotations

import secrets

from napari_edgeflow.annotation.changes import change_from_record
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.annotation.records import Record, RecordKind
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.errors import JournalError

KEPT_STEPS = 2000
LARGE_BYTES = 128 * 2**20


def compact(
    history: History, journal: Journal, planes: tuple[PlaneIndex, ...], keep: int = KEPT_STEPS
) -> None:
    """Nothing; the journal begins ``keep`` steps ago, and the history goes on in it.

    The new journal is written beside the old one and takes its place in one step: a kill at any
    moment leaves one of the two, whole.

    Args:
        history: With labels in memory; those on disk are tied to their journal's first record.
        journal: Where its steps are.
        planes: All planes that may hold labels.
        keep: Steps that can still be taken back.

    Raises:
        JournalError: It cannot be written; everything is as before.
        TypeError: The labels are not in memory.
    """
    if not isinstance(history.store, ArrayStore):
        raise TypeError(f"expected labels in memory, got {type(history.store).__name__}")
    done, undone = history.steps
    kept = done[len(done) - min(keep, len(done)) :]
    records = [journal.read(number) for number in (*kept, *reversed(undone))]
    base = ArrayStore(history.store.array.copy())
    state = history.state
    for record in reversed(records[: len(kept)]):
        state = change_from_record(record).revert(state, base)
    path = journal.path.with_name(f"{journal.path.name}.new-{secrets.token_hex(4)}")
    try:
        with Journal.open(path) as new:
            History.begin(new, history.image, base, state, planes, history.fingerprint)
            offset = len(new)
            for record in (*records, *(Record(RecordKind.UNDO, {}) for _ in undone)):
                new.append(record)
            new.commit()
        journal.replace_with(path)
    except (OSError, JournalError):
        path.unlink(missing_ok=True)
        raise
    numbers = list(range(offset, offset + len(records)))
    history.renumber(numbers[: len(kept)], numbers[len(kept) :][::-1], len(journal))
