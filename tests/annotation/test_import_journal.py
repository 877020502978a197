"""Journals read without opening them; the store that takes memory where objects are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, delete_objects
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.import_journal import (
    JournalLabels,
    Shelf,
    SparseStore,
    outline_of,
    read_history,
)
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.errors import JournalError

SHAPE = (700, 900)
PLANES: tuple[PlaneIndex, ...] = ((0, None, None), (2, None, None))


def _write(path: Path, open_journal: list[Journal]) -> History:
    """A stack with an object on each of two planes, one deleted and one taken back."""
    journal = Journal.open(path)
    open_journal.append(journal)
    store = ArrayStore(np.zeros((3, *SHAPE), np.uint32))
    info = ImageInfo("stack.tif", SHAPE)
    history = History.begin(journal, info, store, State(ClassList().add("cell")), ())
    for number, window in enumerate([Window(500, 500, 540, 530), Window(0, 0, 9, 9)] * 2):
        about = NewObject(1, plane=PLANES[number // 2], name=f"n{number}")
        mask = np.ones(window.shape, bool)
        history.do(commit_object(history.state, store, window, mask, about))
    history.do(delete_objects(history.state, store, [2]))
    history.undo()
    history.undo()
    return history


def test_a_journal_that_is_open_elsewhere_is_read_as_it_is(tmp_path: Path) -> None:
    open_journal: list[Journal] = []
    history = _write(tmp_path / "a.edgeflow", open_journal)
    outline = outline_of(tmp_path / "a.edgeflow")
    assert outline.state == history.state
    assert outline.planes == PLANES
    assert outline.image.name == "stack.tif"
    shelf = Shelf()
    for plane in PLANES:
        labels = JournalLabels(outline.path, plane, SHAPE, shelf)
        whole = Window(0, 0, *SHAPE)
        np.testing.assert_array_equal(labels.read(whole), history.store.read(whole, plane))
    assert read_history(outline.path).state == history.state
    (journal,) = open_journal
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.edgeflow"]


def test_what_is_no_journal_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"something else")
    for read in (outline_of, read_history):
        with pytest.raises(JournalError, match="expected a journal"):
            read(tmp_path / "a")
        with pytest.raises(JournalError):
            read(tmp_path / "none")


def test_a_sparse_store_is_like_an_array() -> None:
    generator = np.random.default_rng(3)
    sparse, array = SparseStore((1100, 1300)), ArrayStore.empty((1100, 1300))
    for _ in range(30):
        y, x = generator.integers(0, 1100), generator.integers(0, 1300)
        h, w = generator.integers(1, 600, 2)
        window = Window(int(y), int(x), int(min(1100, y + h)), int(min(1300, x + w)))
        labels = generator.integers(0, 3, window.shape).astype(np.uint32)
        for store in (sparse, array):
            store.write(window, labels)
        asked = Window(int(y) // 2, int(x) // 2, int(y) + 1, int(x) + 1)
        np.testing.assert_array_equal(sparse.read(asked), array.read(asked))
    assert sparse.next_id == array.next_id
    for bad in (Window(-1, 0, 5, 5), Window(0, 0, 1101, 5)):
        with pytest.raises(ValueError, match="expected a window inside"):
            sparse.read(bad)


def test_a_sparse_store_takes_memory_where_objects_are() -> None:
    sparse = SparseStore((10**6, 10**6))
    sparse.write(Window(0, 0, 3000, 3000), np.zeros((3000, 3000), np.uint32))
    assert not sparse._tiles
    sparse.write(Window(999_990, 999_990, 10**6, 10**6), np.ones((10, 10), np.uint32))
    assert len(sparse._tiles) == 1
    assert sparse.read(Window(999_000, 999_000, 10**6, 10**6)).sum() == 100
