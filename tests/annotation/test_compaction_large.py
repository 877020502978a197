"""Journals of labels on disk written anew: the same labels and steps, wherever a kill comes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation import journal_file
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import (
    NewObject,
    commit_object,
    delete_objects,
    set_clicks,
)
from napari_edgeflow.annotation.compaction import compact
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.import_journal import read_history
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import JournalError

SHAPE = (530, 1040)
WHOLE = Window(0, 0, *SHAPE)
PLANES: tuple[PlaneIndex, ...] = ((0, None, None), (1, None, None))
IMAGE = ImageInfo("a.tif", SHAPE)
NAMES = ["a.journal", "a.zarr"]


class _PowerCut(BaseException):
    """The end, in the middle of something."""


def _work(folder: Path) -> tuple[History, Journal]:
    """Objects on two planes, some deleted, the last two steps undone; half of it on disk."""
    folder.mkdir(exist_ok=True)
    journal = Journal.open(folder / "a.journal")
    store = ZarrStore.create(folder / "a.zarr", (2, *SHAPE))
    history = History.begin(journal, IMAGE, store, State(ClassList().add("cell")), fingerprint="m")
    for step in range(40):
        clicks = [Click(step, column) for column in range(step % 8)]
        history.do(set_clicks(history.state, clicks))
    for step in range(9):
        window = Window(30 * step, 430 + 9 * step, 30 * step + 60, 530 + 9 * step)
        about = NewObject(1, plane=PLANES[step % 2])
        mask = np.ones(window.shape, bool)
        history.do(commit_object(history.state, store, window, mask, about, "new_on_top"))
        if step == 4:
            history.do(delete_objects(history.state, store, [1, 2]))
            store.flush()
    history.undo()
    history.undo()
    return history, journal


def _labels(history: History) -> Any:
    """``(2, H, W)`` ids now."""
    return np.stack([history.store.read(WHOLE, plane) for plane in PLANES])


def _walk(history: History) -> list[Any]:
    """Labels at every step that can be reached, from the last to the first."""
    while history.redo() is not None:
        continue
    found = [_labels(history)]
    while history.undo() is not None:
        found.append(_labels(history))
    return found


def _copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock"))
    return target


def _check(folder: Path, state: State, labels: Any) -> None:
    """Resumed with the store beside it, and from the journal alone, it is what it was."""
    with Journal.open(folder / "a.journal") as journal:
        store = ZarrStore.open(folder / "a.zarr")
        history = History.resume(journal, store)
        assert (history.state, history.fingerprint, history.n_redo) == (state, "m", 2)
        np.testing.assert_array_equal(_labels(history), labels)
        for number, level in enumerate(store.levels):
            expected = labels[:, :: 2**number, :: 2**number]
            np.testing.assert_array_equal(np.asarray(level), expected)
    alone = read_history(folder / "a.journal")
    assert alone.state == state
    np.testing.assert_array_equal(_labels(alone), labels)


def test_the_shorter_journal_holds_the_same_and_the_last_steps(
    quick_disk: None, tmp_path: Path
) -> None:
    whole, other = _work(tmp_path / "whole")
    expected = _walk(whole)
    other.close()
    history, journal = _work(tmp_path / "work")
    state, labels, n_bytes = history.state, _labels(history), journal.n_bytes
    compact(history, journal, (), keep=3)
    assert (history.n_undo, history.n_redo) == (3, 2)
    assert journal.n_bytes < n_bytes
    np.testing.assert_array_equal(_labels(history), labels)
    _check(_copy(tmp_path / "work", tmp_path / "later"), state, labels)
    np.testing.assert_array_equal(_walk(history), expected[:6])
    assert history.n_redo == 5
    journal.close()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == NAMES


def test_what_is_on_disk_is_not_made_anew(quick_disk: None, tmp_path: Path) -> None:
    history, journal = _work(tmp_path)
    compact(history, journal, (), keep=3)
    journal.close()
    store = ZarrStore.open(tmp_path / "a.zarr")
    with Journal.open(tmp_path / "a.journal") as again:
        assert store.saved_mark is not None
        assert store.saved_mark.n_records == len(again)
        History.resume(again, store)
    assert store.n_unflushed == 0


def test_steps_after_it_come_back(quick_disk: None, tmp_path: Path) -> None:
    history, journal = _work(tmp_path / "work")
    for number in range(3):
        compact(history, journal, (), keep=2)
        window = Window(400, 100 * number, 450, 100 * number + 50)
        about = NewObject(1, plane=PLANES[0])
        mask = np.ones(window.shape, bool)
        history.do(commit_object(history.state, history.store, window, mask, about))
    history.undo()
    history.do(delete_objects(history.state, history.store, [3]))
    history.undo()
    journal.close()
    with Journal.open(tmp_path / "work" / "a.journal") as again:
        resumed = History.resume(again, ZarrStore.open(tmp_path / "work" / "a.zarr"))
        assert resumed.state == history.state
        assert (resumed.n_undo, resumed.n_redo) == (history.n_undo, history.n_redo)
        np.testing.assert_array_equal(_labels(resumed), _labels(history))


def _trap(monkeypatch: pytest.MonkeyPatch, at: int) -> list[int]:
    """Cut the power at the n-th time that something comes to disk; how many there were."""
    count: list[int] = []
    real_write, real_replace = journal_file.write_all, Path.replace
    real_own = ZarrStore._save_own

    def is_last() -> bool:
        count.append(1)
        return len(count) == at

    def write(file: Any, data: bytes) -> None:
        if is_last():
            real_write(file, data[: len(data) // 2])
            raise _PowerCut
        real_write(file, data)

    def replace(self: Path, target: Any) -> Path:
        if is_last():
            raise _PowerCut
        moved = real_replace(self, target)
        if is_last():
            raise _PowerCut
        return moved

    def fsync(descriptor: int) -> None:
        if is_last():
            raise _PowerCut

    def own(self: ZarrStore) -> None:
        if is_last():
            raise _PowerCut
        real_own(self)

    monkeypatch.setattr("napari_edgeflow.annotation.journal.write_all", write)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(ZarrStore, "_save_own", own)
    return count


def test_the_power_may_go_at_any_moment(
    quick_disk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, journal = _work(tmp_path / "work")
    state, labels = history.state, _labels(history)
    journal.close()
    at, n_cut = 0, 0
    while True:
        at += 1
        folder = _copy(tmp_path / "work", tmp_path / f"cut-{at}")
        with Journal.open(folder / "a.journal") as again:
            resumed = History.resume(again, ZarrStore.open(folder / "a.zarr"))
            with monkeypatch.context() as patched:
                _trap(patched, at)
                try:
                    compact(resumed, again, (), keep=3)
                except _PowerCut:
                    n_cut += 1
                else:
                    break
        left = _copy(folder, tmp_path / f"left-{at}")
        _check(left, state, labels)
        if at % 6 == 0:  # what is left over goes with the next time
            with Journal.open(left / "a.journal") as last:
                compact(History.resume(last, ZarrStore.open(left / "a.zarr")), last, (), keep=3)
            _check(left, state, labels)
            assert sorted(path.name for path in left.iterdir()) == NAMES
    assert n_cut > 15


def test_a_full_disk_changes_nothing(
    quick_disk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, journal = _work(tmp_path)
    before, labels = (tmp_path / "a.journal").read_bytes(), _labels(history)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(JournalError, match="No space left"):
            compact(history, journal, (), keep=3)
    assert (tmp_path / "a.journal").read_bytes() == before
    np.testing.assert_array_equal(_labels(history), labels)
    history.redo()
    journal.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES


def test_labels_from_before_the_journal_stay(quick_disk: None, tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "a.zarr", SHAPE)
    store.write(Window(520, 1030, 525, 1035), np.full((5, 5), 9))
    store.flush()
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.begin(journal, IMAGE, store, State(ClassList().add("cell")))
        mask = np.ones((9, 9), bool)
        for x in range(0, 90, 10):
            window = Window(0, x, 9, x + 9)
            history.do(commit_object(history.state, store, window, mask, NewObject(1)))
        compact(history, journal, (), keep=2)
    shutil.rmtree(tmp_path / "a.zarr")
    alone = read_history(tmp_path / "a.journal")
    assert (alone.store.read(Window(520, 1030, 525, 1035)) == 9).all()
    np.testing.assert_array_equal(alone.store.read(WHOLE), store.read(WHOLE))


def test_kill_9_while_compacting(tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_me_large.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), "compact"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        for step in range(12):
            assert child.stdout.readline() == f"{step}\n".encode()
        child.send_signal(signal.SIGKILL)
    with Journal.open(tmp_path / "a.journal") as journal:
        store = ZarrStore.open(tmp_path / "a.zarr")
        history = History.resume(journal, store)
        model = read_history(journal.path)
    assert len(history.state.objects) >= 12
    for record in history.state.objects.values():
        assert (store.read(record.box) == record.id).all()
    np.testing.assert_array_equal(store.read(WHOLE), model.store.read(WHOLE))
