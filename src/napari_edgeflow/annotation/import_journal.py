"""What a journal holds, to read only: no lock, no window, memory for the objects alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.history import History, read_outline
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.journal_file import scan
from napari_edgeflow.annotation.objects import ImageInfo, Labels, PlaneIndex
from napari_edgeflow.annotation.records import Record

_TILE = 512


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
    """The history of a journal with labels in memory; one more step cannot be done in it.

    Raises:
        JournalError: It cannot be read, or is of a version that is not known here.
    """
    log = _Records(path, tuple(scan(path)))
    image, _, _, _ = read_outline(log.records)
    # resuming reads the log and no more
    return History.resume(cast(Journal, log), SparseStore(image.shape))


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


class SparseStore:
    """A ``LabelStore`` of any size and number of planes; takes memory where objects are."""

    is_persistent = False

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self.next_id = 1
        self._tiles: dict[tuple[PlaneIndex, int, int], Labels] = {}

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy.

        Raises:
            ValueError: The window is outside.
        """
        self._check(window)
        labels = np.zeros(window.shape, np.uint32)
        for row, column, tile in _tiles_of(window):
            kept = self._tiles.get((plane, row, column))
            common = tile.intersect(window)
            if kept is not None and common is not None:
                part = kept[common.relative_to(tile).slices]
                labels[common.relative_to(window).slices] = part
        return labels

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window.

        Raises:
            ValueError: The window is outside, or the labels are of another shape.
        """
        self._check(window)
        if labels.shape != window.shape:
            raise ValueError(f"expected labels of the window's {window.shape}, got {labels.shape}")
        self.next_id = max(self.next_id, int(labels.max(initial=0)) + 1)
        for row, column, tile in _tiles_of(window):
            common = tile.intersect(window)
            if common is None:
                continue
            part = labels[common.relative_to(window).slices]
            kept = self._tiles.get((plane, row, column))
            if kept is None and part.any():
                kept = self._tiles[plane, row, column] = np.zeros(tile.shape, np.uint32)
            if kept is not None:
                kept[common.relative_to(tile).slices] = part

    def _check(self, window: Window) -> None:
        rows, columns = self.shape
        if min(window.y0, window.x0) < 0 or window.y1 > rows or window.x1 > columns:
            raise ValueError(f"expected a window inside {self.shape} px, got {window}")


@dataclass(frozen=True, slots=True, eq=False)
class _Records:
    """As much of a journal as resuming reads."""

    path: Path
    records: Sequence[Record]

    def __len__(self) -> int:
        return len(self.records)

    def read(self, number: int) -> Record:
        """One record."""
        return self.records[number]


def _tiles_of(window: Window) -> list[tuple[int, int, Window]]:
    """Row, column and window of each tile that the window touches."""
    return [
        (row, column, Window(row * _TILE, column * _TILE, (row + 1) * _TILE, (column + 1) * _TILE))
        for row in range(window.y0 // _TILE, -(-window.y1 // _TILE))
        for column in range(window.x0 // _TILE, -(-window.x1 // _TILE))
    ]
