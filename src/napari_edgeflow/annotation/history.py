"""Undo and redo over everything, on disk before it is applied, and still there after a restart."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import Change, State, change_from_record, change_to_record
from napari_edgeflow.annotation.classes import classes_from_json, classes_to_json
from napari_edgeflow.annotation.journal import Journal, Record, RecordKind, RecordLog, iterate
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, PixelReader, PlaneIndex
from napari_edgeflow.annotation.objects import tiles as tiles_of
from napari_edgeflow.annotation.serialize import (
    image_from_json,
    image_to_json,
    record_from_json,
    record_to_json,
    window_from_json,
    window_to_json,
)
from napari_edgeflow.annotation.store import ArrayStore, LabelStore, StoredPlane
from napari_edgeflow.errors import JournalError

VERSION = 1
_BASE_TILE = 512


class History:
    """The annotations of one image, with every step that led to them.

    Steps are numbers of records in the log; the log is read again when a step is undone, so that
    memory does not grow with them. Not thread-safe.

    Args:
        log: An empty log, or one just begun by ``begin``; use ``begin`` or ``resume``.
        image: What is annotated.
        state: At the start.
        store: Labels at the start.
    """

    def __init__(self, log: RecordLog, image: ImageInfo, state: State, store: LabelStore) -> None:
        self.log = log
        self.image = image
        self.store = store
        self._state = state
        self._done: list[int] = []
        self._undone: list[int] = []

    @classmethod
    def begin(
        cls,
        log: RecordLog,
        image: ImageInfo,
        store: LabelStore,
        state: State | None = None,
        planes: tuple[PlaneIndex, ...] = ((),),
    ) -> History:
        """A history that begins with this state and these labels, which go into the log.

        Labels of a store that keeps them itself are not copied.

        Raises:
            JournalError: The log cannot be written.
        """
        history = cls(log, image, state or State(), store)
        log.append(Record(RecordKind.BEGIN, _begin_header(image, history.state)))
        for plane in () if store.is_persistent else planes:
            for window in tiles_of(store.shape, _BASE_TILE):
                labels = store.read(window, plane)
                if labels.any():
                    header = {"window": window_to_json(window), "plane": list(plane)}
                    payload = zlib.compress(labels.astype("<u4").tobytes(), 1)
                    log.append(Record(RecordKind.LABELS, header, payload))
        log.commit()
        return history

    @classmethod
    def resume(cls, journal: Journal, store: LabelStore | None = None) -> History:
        """The history that the journal holds, at the step where it ended.

        Args:
            journal: With at least its first record.
            store: Where its labels go; None: a new array of the image's shape.

        Raises:
            JournalError: The journal is empty, or of a version that is not known here.
        """
        records = iterate(journal, len(journal))
        _, first = next(records, (0, Record(0, {})))
        if first.kind != RecordKind.BEGIN:
            raise JournalError(f"{journal.path} holds no annotations yet; begin with it")
        if first.header.get("version") != VERSION:
            raise JournalError(
                f"{journal.path}: expected version {VERSION}, got {first.header.get('version')}; "
                "open it with the version of napari-edgeflow that wrote it"
            )
        number = 0
        try:
            image, state = _read_begin(first.header)
            history = cls(journal, image, state, store or ArrayStore.empty(image.shape))
            waiting: Record | None = None
            for following, record in records:
                if waiting is not None and record.kind != RecordKind.CANCEL:
                    history._replay(number, waiting)
                number, waiting = following, None if record.kind == RecordKind.CANCEL else record
            if waiting is not None:
                history._replay(number, waiting)
        except (KeyError, TypeError, ValueError, IndexError, zlib.error) as error:
            raise JournalError(
                f"{journal.path}, record {number}: {type(error).__name__}: {error}; open it with "
                "the version of napari-edgeflow that wrote it"
            ) from error
        return history

    @property
    def state(self) -> State:
        """Classes, objects and draft as they are now."""
        return self._state

    @property
    def n_undo(self) -> int:
        """Steps that can be taken back."""
        return len(self._done)

    @property
    def n_redo(self) -> int:
        """Steps that can be done again."""
        return len(self._undone)

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
        number = self.log.append(change_to_record(change))
        self.log.commit()
        try:
            self._state = change.apply(self._state, self.store)
        except BaseException:
            change.revert(self._state, self.store)
            self._log(RecordKind.CANCEL)
            raise
        self._done.append(number)
        self._undone.clear()
        return change

    def undo(self) -> Change | None:
        """The change that was taken back; None when there was none.

        Raises:
            JournalError: The log cannot be read or written; nothing was changed.
        """
        if not self._done:
            return None
        change = change_from_record(self.log.read(self._done[-1]))
        self._log(RecordKind.UNDO)
        try:
            self._go_back(change)
        except BaseException:
            change.apply(self._state, self.store)
            self._log(RecordKind.REDO)
            raise
        return change

    def redo(self) -> Change | None:
        """The change that was done again; None when there was none.

        Raises:
            JournalError: The log cannot be read or written; nothing was changed.
        """
        if not self._undone:
            return None
        change = change_from_record(self.log.read(self._undone[-1]))
        self._log(RecordKind.REDO)
        try:
            self._go_on(change)
        except BaseException:
            change.revert(self._state, self.store)
            self._log(RecordKind.UNDO)
            raise
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

    def _log(self, kind: RecordKind) -> None:
        self.log.append(Record(kind, {}))
        self.log.commit()

    def _title(self, steps: list[int]) -> str:
        return str(self.log.read(steps[-1]).header["title"]) if steps else ""

    def _replay(self, number: int, record: Record) -> None:
        """Brings state and store up to one more record."""
        if record.kind == RecordKind.LABELS:
            self._put_base(record)
        elif record.kind == RecordKind.CHANGE:
            self._state = change_from_record(record).apply(self._state, self.store)
            self._done.append(number)
            self._undone.clear()
        elif record.kind == RecordKind.UNDO:
            self._go_back(change_from_record(self.log.read(self._done[-1])))
        elif record.kind == RecordKind.REDO:
            self._go_on(change_from_record(self.log.read(self._undone[-1])))
        else:
            raise ValueError(f"expected a kind of record, got {record.kind}")

    def _put_base(self, record: Record) -> None:
        window: Window = window_from_json(record.header["window"])
        labels = np.frombuffer(zlib.decompress(record.payload), "<u4").reshape(window.shape)
        self.store.write(window, labels.astype(np.uint32), tuple(record.header["plane"]))


def _begin_header(image: ImageInfo, state: State) -> dict[str, Any]:
    return {
        "version": VERSION,
        "image": image_to_json(image),
        "classes": classes_to_json(state.classes),
        "objects": [record_to_json(record) for record in state.objects.values()],
    }


def _read_begin(header: Any) -> tuple[ImageInfo, State]:
    records = [record_from_json(item) for item in header["objects"]]
    state = State(classes_from_json(header["classes"]), {record.id: record for record in records})
    return image_from_json(header["image"]), state
