"""Journals read without opening them, with labels beside them and without."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
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
    open_history,
    outline_of,
    read_history,
)
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import JournalError, JournalLockedError

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


def _project_with_store(folder: Path, n: int = 3) -> tuple[History, Journal]:
    """A project with labels on disk, the last object not there yet."""
    journal = Journal.open(folder / "a.edgeflow")
    store = ZarrStore.create(folder / "a.edgeflow.zarr", (3, *SHAPE))
    info = ImageInfo("stack.tif", SHAPE)
    history = History.begin(journal, info, store, State(ClassList().add("cell")))
    for number in range(n):
        window = Window(100 * number, 450, 100 * number + 90, 560)
        about = NewObject(1, plane=(number, None, None))
        mask = np.ones(window.shape, bool)
        history.do(commit_object(history.state, store, window, mask, about))
        if number == n - 2:
            store.flush()
    return history, journal


@pytest.mark.parametrize("how", ["as it was left", "open elsewhere", "damaged", "lost"])
def test_labels_on_disk_are_read_whatever_happened_to_them(
    tmp_path: Path, quick_disk: None, how: str
) -> None:
    history, journal = _project_with_store(tmp_path)
    if how != "open elsewhere":
        journal.close()
    if how == "damaged":
        (tmp_path / "a.edgeflow.zarr" / "zarr.json").write_text("{")
    if how == "lost":
        shutil.rmtree(tmp_path / "a.edgeflow.zarr")
    with ExitStack() as opened:
        found = open_history(tmp_path / "a.edgeflow", opened)
        assert found.state == history.state
        assert isinstance(found.store, ZarrStore) == (how == "as it was left")
        for number in range(3):
            plane = (number, None, None)
            whole = Window(0, 0, *SHAPE)
            labels = found.annotations(plane).labels.read(whole)
            np.testing.assert_array_equal(labels, history.store.read(whole, plane))
            assert set(np.unique(labels)) == {0, number + 1}
    journal.close()


def test_labels_that_only_the_disk_has_are_not_left_out(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "a.edgeflow.zarr", SHAPE)
    store.write(Window(0, 0, 5, 5), np.full((5, 5), 9))
    store.flush()
    with Journal.open(tmp_path / "a.edgeflow") as journal:
        History.begin(journal, ImageInfo("a.tif", SHAPE), store, State(ClassList().add("cell")))
        with ExitStack() as opened, pytest.raises(JournalLockedError):
            open_history(journal.path, opened)
    with ExitStack() as opened:
        found = open_history(tmp_path / "a.edgeflow", opened)
        assert (found.store.read(Window(0, 0, 5, 5)) == 9).all()
