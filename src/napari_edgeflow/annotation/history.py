"""Undo and redo over everything, on disk before it is applied, and still there after a restart."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import (
    Change,
    State,
    change_from_record,
    change_to_record,
)
from napari_edgeflow.annotation.history_records import (
    KNOWN_VERSIONS,
    VERSION,
    begin_header,
    chained,
    change_of,
    read_begin,
    with_cancels,
)
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    Labels,
    PixelReader,
    PlaneIndex,
    tight_box,
)
from napari_edgeflow.annotation.objects import tiles as tiles_of
from napari_edgeflow.annotation.records import MemoryLog, Record, RecordKind, RecordLog, iterate
from napari_edgeflow.annotation.serialize import (
    window_from_json,
    window_to_json,
)
from napari_edgeflow.annotation.store import (
    ArrayStore,
    LabelStore,
    Mark,
    MarkedStore,
    StoredPlane,
)
from napari_edgeflow.errors import JournalError

_BASE_TILE = 512
_EFFORT = 6  # twice the time of 1, a third of the bytes
_MOST_UNFLUSHED = 128


class History:
    """The annotations of one image, with every step that led to them.

    Steps are numbers of records in the log; the log is read again when a step is undone, so that
    memory does not grow with them. Not thread-safe.

    Args:
        log: An empty log, or one just begun by ``begin``; use ``begin`` or ``resume``.
        image: What is annotated.
        state: At the start.
        store: Labels at the start.
        fingerprint: Of the image's pixels; empty when not known.
    """

    def __init__(
        self,
        log: RecordLog,
        image: ImageInfo,
        state: State,
        store: LabelStore,
        fingerprint: str = "",
    ) -> None:
        self.log = log
        self.image = image
        self.store = store
        self.fingerprint = fingerprint
        self._state = state
        self._done: list[int] = []
        self._undone: list[int] = []
        self._n_records, self._crc = 0, 0

    @classmethod
    def begin(
        cls,
        log: RecordLog,
        image: ImageInfo,
        store: LabelStore,
        state: State | None = None,
        planes: tuple[PlaneIndex, ...] = ((),),
        fingerprint: str = "",
        *,
        tiles: Iterable[tuple[PlaneIndex, Window]] | None = None,
    ) -> History:
        """A history that begins with this state and these labels, which go into the log.

        Labels of a store that keeps them itself are not copied; such a store should be new, as
        only then can a journal make it anew.

        Args:
            log: Empty.
            image: What is annotated.
            store: Labels now.
            state: Now; None: nothing yet.
            planes: Which may hold labels.
            fingerprint: Of the image's pixels.
            tiles: Planes and windows that hold all the labels; None: the planes are looked through.

        Raises:
            JournalError: The log cannot be written.
        """
        history = cls(log, image, state or State(), store, fingerprint)
        header = begin_header(image, history.state)
        header["fingerprint"] = fingerprint
        header["labels_from_log"] = not store.is_persistent or store.next_id == 1
        history._append(Record(RecordKind.BEGIN, header))
        if tiles is None:
            whole = tuple(tiles_of(store.shape, _BASE_TILE))
            tiles = ((plane, tile) for plane in planes for tile in whole)
        for plane, tile in () if store.is_persistent else tiles:
            history._append_labels(tile, store.read(tile, plane), plane)
        log.commit()
        history._note()
        return history

    @classmethod
    def resume(cls, journal: Journal, store: LabelStore | None = None) -> History:
        """The history that the journal holds, at the step where it ended.

        Args:
            journal: With at least its first record.
            store: Where its labels go; None: a new array of the image's shape. One on disk
                that holds the first steps of this very journal gets the others; one that holds
                something else (the journal was cut, the folder changed) is made anew from it.

        Raises:
            JournalError: The journal is empty, or of a version that is not known here.
        """
        records = iterate(journal, len(journal))
        _, first = next(records, (0, Record(0, {})))
        if first.kind != RecordKind.BEGIN:
            raise JournalError(f"{journal.path} holds no annotations yet; begin with it")
        if first.header.get("version") not in KNOWN_VERSIONS:
            raise JournalError(
                f"{journal.path}: expected version {VERSION}, got {first.header.get('version')}; "
                "open it with the version of napari-edgeflow that wrote it"
            )
        number = 0
        try:
            image, state = read_begin(first.header)
            fingerprint = str(first.header.get("fingerprint", ""))
            labels = store or ArrayStore.empty(image.shape)
            history = cls(journal, image, state, labels, fingerprint)
            history._chain(0, first)
            n_held = history._held_records(first, journal)
            for number, record, is_cancelled in with_cancels(records):
                history._chain(number, record)
                if is_cancelled:
                    history._take_back(record, is_held=number < n_held)
                elif record.kind != RecordKind.CANCEL:
                    history._replay(number, record, is_held=number < n_held)
        except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            raise JournalError(
                f"{journal.path}, record {number}: {type(error).__name__}: {error}; open it with "
                "the version of napari-edgeflow that wrote it"
            ) from error
        history._note()
        return history

    @property
    def state(self) -> State:
        """Classes, objects and drafts as they are now."""
        return self._state

    @property
    def n_undo(self) -> int:
        """Steps that can be taken back."""
        return len(self._done)

    @property
    def n_redo(self) -> int:
        """Steps that can be done again."""
        return len(self._undone)

    @property
    def steps(self) -> tuple[list[int], list[int]]:
        """Numbers of the records that were done, and of those that were undone, in their order."""
        return list(self._done), list(self._undone)

    def go_on_in(self, journal: Journal, done: list[int], undone: list[int]) -> None:
        """Go on after the log was written anew with the same state and labels.

        A store on disk is told which records it holds now.
        """
        self._done, self._undone = done, undone
        self._n_records, self._crc = len(journal), 0
        if isinstance(self.store, MarkedStore):
            for number, record in iterate(journal, len(journal)):
                self._chain(number, record)
            self._note()

    def next_undo(self) -> str:
        """Title of the step that ``undo`` takes back; empty when there is none."""
        return self._title(self._done)

    def next_redo(self) -> str:
        """Title of the step that ``redo`` does again; empty when there is none."""
        return self._title(self._undone)

    def do(self, change: Change) -> Change:
        """The change, after it is safe in the log and applied; undone steps are forgotten.

        Raises:
            JournalError: The log cannot be written; nothing was changed.
        """
        number = self._log(change_to_record(change))
        try:
            self._state = change.apply(self._state, self.store)
        except BaseException:
            change.revert(self._state, self.store)
            self._log(Record(RecordKind.CANCEL, {}))
            self._note()
            raise
        self._done.append(number)
        self._undone.clear()
        self._note()
        return change

    def undo(self) -> Change | None:
        """The change that was taken back; None when there was none.

        Raises:
            JournalError: The log cannot be read or written; nothing was changed.
        """
        if not self._done:
            return None
        change = change_from_record(self.log.read(self._done[-1]))
        self._log(Record(RecordKind.UNDO, {}))
        try:
            self._go_back(change)
        except BaseException:
            change.apply(self._state, self.store)
            self._log(Record(RecordKind.REDO, {}))
            self._note()
            raise
        self._note()
        return change

    def redo(self) -> Change | None:
        """The change that was done again; None when there was none.

        Raises:
            JournalError: The log cannot be read or written; nothing was changed.
        """
        if not self._undone:
            return None
        change = change_from_record(self.log.read(self._undone[-1]))
        self._log(Record(RecordKind.REDO, {}))
        try:
            self._go_on(change)
        except BaseException:
            change.revert(self._state, self.store)
            self._log(Record(RecordKind.UNDO, {}))
            self._note()
            raise
        self._note()
        return change

    def annotations(
        self, plane: PlaneIndex = (), pixels: PixelReader | None = None
    ) -> AnnotationSet:
        """The objects of one plane as exporters take them."""
        objects = sorted(self.state.objects.values(), key=lambda record: record.id)
        chosen = tuple(record for record in objects if record.plane == plane)
        labels = StoredPlane(self.store, plane)
        return AnnotationSet(self.image, self.state.classes, chosen, labels, pixels)

    def _go_back(self, change: Change) -> None:
        self._state = change.revert(self._state, self.store)
        self._undone.append(self._done.pop())

    def _go_on(self, change: Change) -> None:
        self._state = change.apply(self._state, self.store)
        self._done.append(self._undone.pop())

    def _log(self, record: Record) -> int:
        """The record's number, once it is safe."""
        before = self._n_records, self._crc
        try:
            number = self._append(record)
            self.log.commit()
        except BaseException:
            self._n_records, self._crc = before
            raise
        return number

    def _append(self, record: Record) -> int:
        number = self.log.append(record)
        self._chain(number, record)
        return number

    def _append_labels(self, tile: Window, labels: Labels, plane: PlaneIndex) -> None:
        """What there is in a tile at the beginning, if there is anything."""
        window = tight_box(labels != 0, tile)
        if window is not None:
            header = {"window": window_to_json(window), "plane": list(plane)}
            part = labels[window.relative_to(tile).slices].astype("<u4")
            self._append(Record(RecordKind.LABELS, header, zlib.compress(part.tobytes(), _EFFORT)))

    def _chain(self, number: int, record: Record) -> None:
        """Count a record that is in the log."""
        self._n_records, self._crc = number + 1, chained(record, self._crc)

    def _note(self) -> None:
        """Tell a store on disk that it holds all records so far."""
        if isinstance(self.store, MarkedStore):
            self.store.note(Mark(self._n_records, self._crc))

    def _held_records(self, first: Record, journal: Journal) -> int:
        """How many of the first records the store's disk holds; 0 after it was emptied."""
        if not isinstance(self.store, MarkedStore):
            return 0
        mark = self.store.saved_mark
        if mark is not None and 0 < mark.n_records <= len(journal):
            crc = 0
            for _, record in iterate(journal, mark.n_records):
                crc = chained(record, crc)
            if crc == mark.crc:
                return mark.n_records
        if first.header.get("labels_from_log") and self.store.next_id != 1:
            self.store.clear()
        return 0

    def _title(self, steps: list[int]) -> str:
        return str(self.log.read(steps[-1]).header["title"]) if steps else ""

    def _replay(self, number: int, record: Record, *, is_held: bool) -> None:
        """Brings state and store up to one more record; the store only unless it is held."""
        if record.kind == RecordKind.LABELS:
            if not is_held:
                self._put_base(record)
        elif record.kind == RecordKind.CHANGE:
            self._state = change_of(record, is_held).apply(self._state, self.store)
            self._done.append(number)
            self._undone.clear()
        elif record.kind == RecordKind.UNDO:
            self._go_back(change_of(self.log.read(self._done[-1]), is_held))
        elif record.kind == RecordKind.REDO:
            self._go_on(change_of(self.log.read(self._undone[-1]), is_held))
        else:
            raise ValueError(f"expected a kind of record, got {record.kind}")
        self._keep_small()

    def _take_back(self, record: Record, *, is_held: bool) -> None:
        """Undo what a cancelled step may have left on the store's disk."""
        if record.kind == RecordKind.CHANGE and isinstance(self.store, MarkedStore):
            change_of(record, is_held).revert(self._state, self.store)

    def _keep_small(self) -> None:
        if isinstance(self.store, MarkedStore) and self.store.n_unflushed > _MOST_UNFLUSHED:
            self.store.flush()

    def _put_base(self, record: Record) -> None:
        window: Window = window_from_json(record.header["window"])
        labels = np.frombuffer(zlib.decompress(record.payload), "<u4").reshape(window.shape)
        self.store.write(window, labels.astype(np.uint32), tuple(record.header["plane"]))


def read_outline(records: Iterable[Record]) -> tuple[ImageInfo, State, str, int]:
    """Image, state, fingerprint and number of steps of a journal's records, without its labels.

    Raises:
        JournalError: They are of a version that is not known here, or none at all.
    """
    numbered = iter(enumerate(records))
    _, first = next(numbered, (0, Record(0, {})))
    if first.kind != RecordKind.BEGIN or first.header.get("version") not in KNOWN_VERSIONS:
        raise JournalError(
            f"expected a journal of version {VERSION}, got {first.header.get('version')}; open it "
            "with the version of napari-edgeflow that wrote it"
        )
    log = MemoryLog()
    try:
        image, state = read_begin(first.header)
        history = History(log, image, state, ArrayStore.empty((1, 1)))
        log.append(first)
        for number, record, is_cancelled in with_cancels(numbered):
            header = {key: value for key, value in record.header.items() if key != "patches"}
            log.append(Record(record.kind, header))
            is_step = record.kind in (RecordKind.CHANGE, RecordKind.UNDO, RecordKind.REDO)
            if is_step and not is_cancelled:
                history._replay(number, log.read(number), is_held=True)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise JournalError(f"expected a journal, got {type(error).__name__}: {error}") from error
    n_steps = history.n_undo + history.n_redo
    return image, history.state, str(first.header.get("fingerprint", "")), n_steps
