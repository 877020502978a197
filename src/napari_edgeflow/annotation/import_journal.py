"""What a journal holds, to read only: no lock, no window, memory for the objects alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.history import History, read_outline
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.journal_file import find_records, plain_errors, read_at, scan
from napari_edgeflow.annotation.objects import ImageInfo, Labels, PlaneIndex
from napari_edgeflow.annotation.records import Record
from napari_edgeflow.annotation.serialize import image_from_json
from napari_edgeflow.annotation.sparse_store import SparseStore
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.annotation.store_layout import store_place
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import JournalError, RasterError


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """A journal without its labels.

    Attributes:
        path: The journal.
        image: What it belongs to.
        state: At its last step.
    """

    path: Path
    image: ImageInfo
    state: State

    @property
    def planes(self) -> tuple[PlaneIndex, ...]:
        """Those that hold objects, in order."""
        found = {record.plane for record in self.state.objects.values()}
        return tuple(sorted(found, key=lambda plane: [-1 if at is None else at for at in plane]))


def outline_of(path: Path) -> Outline:
    """Image, classes and objects of a journal.

    Raises:
        JournalError: It cannot be read, or is of a version that is not known here.
    """
    image, state, _, _ = read_outline(scan(path))
    return Outline(path, image, state)


def read_history(path: Path) -> History:
    """The history of a journal with labels in memory; nothing can be done or taken back in it.

    Raises:
        JournalError: It cannot be read, or is of a version that is not known here.
    """
    with plain_errors(path), path.open("rb") as file:
        records = _Records(path, file, find_records(path, file))
        try:
            shape = image_from_json(records.read(0).header["image"]).shape
        except (IndexError, KeyError, TypeError, ValueError):
            shape = 1, 1  # resuming says what is wrong
        # resuming reads the log and no more
        return History.resume(cast(Journal, records), SparseStore(shape))


def open_history(path: Path, opened: ExitStack) -> History:
    """The history of a journal, to read only: with the labels on disk beside it, if there are.

    Where those are open elsewhere or damaged, labels come from the journal alone.

    Args:
        path: The journal.
        opened: Closes it.

    Raises:
        JournalError: It cannot be read; or it is open elsewhere, and its labels began with some
            that are on disk alone.
    """
    place = store_place(path)
    if not place.exists():
        return read_history(path)
    try:
        journal = opened.enter_context(Journal.open(path))
        return History.resume(journal, cast(LabelStore, ZarrStore.open(place)))
    except (JournalError, RasterError):
        first = next(scan(path), None)
        if first is None or not first.header.get("labels_from_log"):
            raise
        return read_history(path)


class JournalLabels:
    """One plane of a journal's labels, read when they are asked for; a ``LabelReader``.

    Args:
        path: The journal.
        plane: Which plane; () for a plain image.
        shape: (rows, columns).
        shelf: Shared by all that are read together; keeps the last one's labels.
    """

    def __init__(self, path: Path, plane: PlaneIndex, shape: tuple[int, int], shelf: Shelf) -> None:
        self.shape = shape
        self._path, self._plane, self._shelf = path, plane, shelf

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window.

        Raises:
            JournalError: The journal cannot be read any more.
        """
        return self._shelf.store(self._path).read(window, self._plane)


class Shelf:
    """The labels of the journal that was read last: writers go image by image."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._store: SparseStore | None = None

    def store(self, path: Path) -> SparseStore:
        """Labels of a journal, from memory when it was the last one."""
        if self._store is None or path != self._path:
            self._path = self._store = None
            self._store = cast(SparseStore, read_history(path).store)
            self._path = path
        return self._store


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """As much of a journal as resuming reads, each record from the file when it is asked for."""

    path: Path
    file: BinaryIO
    places: Sequence[int]

    def __len__(self) -> int:
        return len(self.places)

    def read(self, number: int) -> Record:
        """One record.

        Raises:
            JournalError: It was changed meanwhile.
        """
        found = read_at(self.file, self.places[number])
        if found is None:
            raise JournalError(f"expected {self.path} to stay as it was while it is read")
        return found[0]
