"""Journal and labels on disk agree after every kind of end: kills, cut journals, lost folders."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, delete_objects
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import MarkedStore
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import RasterError

SHAPE = (530, 1040)
WHOLE = Window(0, 0, *SHAPE)
IMAGE = ImageInfo("a.tif", SHAPE)
CLASSES = ClassList().add("cell")
Begin = Callable[[Path], History]


class _PowerCut(BaseException):
    """The end, in the middle of something."""


class _CountingStore(ZarrStore):
    n_written = 0

    def write(self, window: Window, labels: LabelArray, plane: Any = ()) -> None:
        self.n_written += 1
        super().write(window, labels, plane)


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Histories whose journals are closed at the end."""
    journals: list[Journal] = []

    def make(folder: Path) -> History:
        store = ZarrStore.create(folder / "a.zarr", SHAPE)
        journals.append(Journal.open(folder / "a.journal"))
        return History.begin(journals[-1], IMAGE, store, State(CLASSES))

    yield make
    for journal in journals:
        journal.close()


def _commit(history: History, y: int, x: int, h: int = 40, w: int = 60) -> None:
    window = Window(y, x, min(y + h, SHAPE[0]), min(x + w, SHAPE[1]))
    mask = np.ones(window.shape, dtype=bool)
    mask[::7] = False
    about = NewObject(class_id=1)
    history.do(commit_object(history.state, history.store, window, mask, about, "new_on_top"))


def _delete(history: History) -> None:
    first = min(history.state.objects)
    history.do(delete_objects(history.state, history.store, [first]))


def _flush(history: History) -> None:
    assert isinstance(history.store, MarkedStore)
    history.store.flush()


def _flush_and_lose_the_mark(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks come to disk, then the power goes."""

    def cut(*_: Any) -> None:
        raise _PowerCut

    with monkeypatch.context() as patched:
        patched.setattr(ZarrStore, "_sync", cut)
        with pytest.raises(_PowerCut):
            _flush(history)


def _flush_one_chunk(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """The power goes after the first chunk."""
    real, n_chunks = ZarrStore._chunk_window, 0

    def window(self: ZarrStore, key: Any) -> Window:
        nonlocal n_chunks
        n_chunks += 1
        if n_chunks > 1:
            raise _PowerCut
        return real(self, key)

    with monkeypatch.context() as patched, contextlib.suppress(_PowerCut):
        patched.setattr(ZarrStore, "_chunk_window", window)
        _flush(history)


def _copy(source: Path, target: Path) -> Path:
    """What is on disk now, without the lock of the process that still runs."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock"))
    return target


def _check_resumed(folder: Path) -> tuple[History, _CountingStore]:
    """Resume with the store on disk; it must be what the journal alone gives in memory."""
    with Journal.open(folder / "a.journal") as journal:
        store = _CountingStore.open(folder / "a.zarr")
        history = History.resume(journal, store)
        model = History.resume(journal)
    expected = model.store.read(WHOLE)
    np.testing.assert_array_equal(store.read(WHOLE), expected)
    for number, level in enumerate(store.levels):
        np.testing.assert_array_equal(np.asarray(level), expected[:: 2**number, :: 2**number])
    assert history.state == model.state
    assert (history.n_undo, history.n_redo) == (model.n_undo, model.n_redo)
    assert store.next_id >= model.store.next_id
    return history, store


_STEPS: list[Callable[[History], object]] = [
    lambda h: _commit(h, 10, 10),
    lambda h: _commit(h, 490, 480, 40, 100),  # across four chunks
    _flush,
    lambda h: _commit(h, 20, 40),
    lambda h: h.undo(),
    lambda h: h.undo(),
    _flush,
    lambda h: h.redo(),
    lambda h: _commit(h, 500, 500, 20, 30),
    _delete,
    _flush,
    lambda h: h.undo(),
    lambda h: h.undo(),
]


def test_it_agrees_wherever_it_ends(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch, quick_disk: None
) -> None:
    (tmp_path / "work").mkdir()
    history = begin(tmp_path / "work")
    for number, step in enumerate(_STEPS):
        step(history)
        _check_resumed(_copy(tmp_path / "work", tmp_path / f"after-{number}"))
        _flush_one_chunk(history, monkeypatch)
        _check_resumed(_copy(tmp_path / "work", tmp_path / f"begun-{number}"))
        _flush_and_lose_the_mark(history, monkeypatch)
        _check_resumed(_copy(tmp_path / "work", tmp_path / f"cut-{number}"))


def test_what_is_on_disk_is_not_written_again(tmp_path: Path, begin: Begin) -> None:
    history = begin(tmp_path)
    _commit(history, 10, 10)
    _commit(history, 100, 100)
    _flush(history)
    _commit(history, 200, 200)
    _, store = _check_resumed(_copy(tmp_path, tmp_path / "later"))
    assert store.n_written == 1


def test_undo_goes_behind_what_was_on_disk(tmp_path: Path, begin: Begin) -> None:
    history = begin(tmp_path)
    _commit(history, 10, 10)
    _commit(history, 20, 20)
    _flush(history)
    copy = _copy(tmp_path, tmp_path / "later")
    with Journal.open(copy / "a.journal") as journal:
        resumed = History.resume(journal, ZarrStore.open(copy / "a.zarr"))
        assert resumed.store.read(WHOLE).any()
        while resumed.n_undo:
            resumed.undo()
        assert not resumed.store.read(WHOLE).any()
        _flush(resumed)
    _check_resumed(copy)


@pytest.mark.parametrize("n_lost", [1, 3])
def test_a_cut_journal_makes_the_labels_anew(tmp_path: Path, begin: Begin, n_lost: int) -> None:
    history = begin(tmp_path)
    ends = []
    for number in range(4):
        _commit(history, 10 + 30 * number, 10, 20)
        ends.append((tmp_path / "a.journal").stat().st_size)
    _flush(history)
    copy = _copy(tmp_path, tmp_path / "later")
    with (copy / "a.journal").open("r+b") as file:
        file.truncate(ends[3 - n_lost] + 3)
    resumed, store = _check_resumed(copy)
    assert sorted(resumed.state.objects) == list(range(1, 5 - n_lost))
    _flush(resumed)
    again = ZarrStore.open(copy / "a.zarr")
    np.testing.assert_array_equal(again.read(WHOLE), store.read(WHOLE))


def test_another_journal_does_not_trust_the_labels(tmp_path: Path, begin: Begin) -> None:
    history = begin(tmp_path)
    for number in range(3):
        _commit(history, 30 * number, 10, 20)
    _flush(history)
    (tmp_path / "other").mkdir()
    other = begin(tmp_path / "other")
    for number in range(3):
        _commit(other, 30 * number, 500, 20)
    copy = _copy(tmp_path, tmp_path / "later")
    shutil.copy(tmp_path / "other" / "a.journal", copy / "a.journal")
    _check_resumed(copy)


def test_a_lost_folder_comes_back_from_the_journal(tmp_path: Path, begin: Begin) -> None:
    history = begin(tmp_path)
    _commit(history, 500, 500)
    _flush(history)
    copy = _copy(tmp_path, tmp_path / "later")
    shutil.rmtree(copy / "a.zarr")
    ZarrStore.create(copy / "a.zarr", SHAPE)
    _check_resumed(copy)


def test_a_step_that_failed_leaves_nothing_behind(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels came to disk before it was taken back; then the power went."""
    history = begin(tmp_path)
    _commit(history, 10, 10)
    _commit(history, 30, 100)
    change = delete_objects(history.state, history.store, [1, 2])
    real, n_written = ZarrStore.write, 0

    def write(self: ZarrStore, window: Window, labels: LabelArray, plane: Any = ()) -> None:
        nonlocal n_written
        n_written += 1
        if n_written == 2:
            self.flush()
            raise RasterError("out of reach")
        real(self, window, labels, plane)

    with monkeypatch.context() as patched:
        patched.setattr(ZarrStore, "write", write)
        with pytest.raises(RasterError, match="out of reach"):
            history.do(change)
    copy = _copy(tmp_path, tmp_path / "later")
    assert not ZarrStore.open(copy / "a.zarr").read(Window(10, 10, 50, 70)).any()
    resumed, _ = _check_resumed(copy)
    assert sorted(resumed.state.objects) == [1, 2]


def test_resuming_many_steps_holds_few_chunks(
    tmp_path: Path, begin: Begin, monkeypatch: pytest.MonkeyPatch, quick_disk: None
) -> None:
    history = begin(tmp_path)
    for number in range(6):
        _commit(history, 0, 150 * number, 20, 20)
    copy = _copy(tmp_path, tmp_path / "later")
    monkeypatch.setattr("napari_edgeflow.annotation.history._MOST_UNFLUSHED", 2)
    _, store = _check_resumed(copy)
    assert store.n_unflushed <= 2 + len(store.levels)


def test_labels_that_were_there_first_are_never_cleared(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "a.zarr", SHAPE)
    store.write(Window(0, 0, 5, 5), np.full((5, 5), 9))
    store.flush()
    with Journal.open(tmp_path / "a.journal") as journal:
        _commit(History.begin(journal, IMAGE, store, State(CLASSES)), 100, 100)
        again = ZarrStore.open(tmp_path / "a.zarr")
        History.resume(journal, again)
    assert again.read(Window(0, 0, 5, 5)).tolist() == [[9] * 5] * 5
    assert again.read(Window(101, 100, 102, 101)).tolist() == [[10]]


def test_kill_9_while_saving(tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_me_large.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        for step in range(25):
            assert child.stdout.readline() == f"{step}\n".encode()
        child.send_signal(signal.SIGKILL)
    resumed, store = _check_resumed(tmp_path)
    assert len(resumed.state.objects) >= 25
    assert store.saved_mark is not None
