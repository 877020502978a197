"""Journals that grew large, written anew: the state some steps ago, then these steps.

A store on disk is tied to its journal by a mark, the number and the common CRC of the records it
holds. So the new journal begins with all labels as they were then, and can make the store anew by
itself. Whatever moment a kill comes at, there is one whole journal: the old one, whose mark is
still in the store; or the new one, to which that mark is strange, so that the store is emptied
and made anew. The new mark follows at once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from glob import escape

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import State, change_from_record
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import PlaneIndex, tiles
from napari_edgeflow.annotation.records import Record, RecordKind
from napari_edgeflow.annotation.sparse_store import SparseStore
from napari_edgeflow.annotation.store import ArrayStore, LabelStore, MarkedStore
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import JournalError, RasterError

KEPT_STEPS = 2000
LARGE_BYTES = 128 * 2**20
_TILE = 512


def compact(
    history: History, journal: Journal, planes: tuple[PlaneIndex, ...], keep: int = KEPT_STEPS
) -> None:
    """Nothing; the journal begins ``keep`` steps ago, and the history goes on in it.

    The new journal is written beside the old one and takes its place in one step: a kill at any
    moment leaves one of the two, whole. Memory goes to one step at a time, and to the labels that
    the steps kept have changed, compressed.

    Args:
        history: With labels in memory, or in a store on disk.
        journal: Where its steps are.
        planes: All planes that may hold labels; a store on disk knows them itself.
        keep: Steps that can still be taken back.

    Raises:
        JournalError: It cannot be written; everything is as before.
        TypeError: The labels are elsewhere.
    """
    done, undone = history.steps
    kept = done[len(done) - min(keep, len(done)) :]
    _remove_unfinished(journal)
    state, base = _back(history, journal, kept)
    found = _tiles(history.store, planes, base)
    path = journal.path.with_name(f"{journal.path.name}.new-{secrets.token_hex(4)}")
    try:
        with Journal.open(path) as new:
            mark = history.fingerprint
            History.begin(new, history.image, base, state, fingerprint=mark, tiles=found)
            offset = len(new)
            for record in _records(journal, kept, undone):
                new.append(record)
            new.commit()
        journal.replace_with(path)
    except (OSError, JournalError):
        path.unlink(missing_ok=True)
        raise
    numbers = list(range(offset, offset + len(kept) + len(undone)))
    history.go_on_in(journal, numbers[: len(kept)], numbers[len(kept) :][::-1])
    if isinstance(history.store, MarkedStore):
        with suppress(RasterError):  # the mark comes with a later flush, which says what is wrong
            history.store.flush()


def _back(history: History, journal: Journal, kept: Sequence[int]) -> tuple[State, SparseStore]:
    """State and labels before these steps; those of the history stay as they are."""
    base, state = SparseStore(history.store.shape, below=history.store), history.state
    for number in reversed(kept):
        state = change_from_record(journal.read(number)).revert(state, base)
    return state, base


def _tiles(
    store: LabelStore, planes: tuple[PlaneIndex, ...], base: SparseStore
) -> Iterable[tuple[PlaneIndex, Window]]:
    """Where there may be labels, now or some steps ago."""
    if isinstance(store, ZarrStore):
        return dict.fromkeys([*store.filled(), *base.written])
    if isinstance(store, ArrayStore):
        return [(plane, tile) for plane in planes for tile in tiles(store.shape, _TILE)]
    raise TypeError(f"expected labels in memory or on disk, got {type(store).__name__}")


def _records(journal: Journal, kept: Sequence[int], undone: Sequence[int]) -> Iterator[Record]:
    """The steps kept, then those undone: each done, and taken back again."""
    for number in (*kept, *reversed(undone)):
        yield journal.read(number)
    for _ in undone:
        yield Record(RecordKind.UNDO, {})


def _remove_unfinished(journal: Journal) -> None:
    """Delete what a compaction left that was killed; none is under way while we hold the lock."""
    for left in journal.path.parent.glob(f"{escape(journal.path.name)}.new-*"):
        left.unlink(missing_ok=True)
