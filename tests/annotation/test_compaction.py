"""Journals written anew: same state, same labels, the last steps still undone one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_clicks
from napari_edgeflow.annotation.compaction import compact
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.errors import JournalError

IMAGE = ImageInfo("a.tif", (60, 60))


def _work(path: Path, n: int = 10) -> tuple[History, Journal]:
    journal = Journal.open(path)
    state = State(ClassList().add("cell"))
    history = History.begin(journal, IMAGE, ArrayStore.empty(IMAGE.shape), state, fingerprint="m")
    for step in range(n):
        history.do(set_clicks(history.state, [Click(step, step)]))
        window = Window(5 * step, 0, 5 * step + 7, 9)
        mask = np.ones(window.shape, bool)
        change = commit_object(
            history.state, history.store, window, mask, NewObject(1), "new_on_top"
        )
        history.do(change)
    return history, journal


def _all_labels(history: History) -> list[Any]:
    """Labels at every step that can be reached, from the last to the first."""
    while history.redo() is not None:
        continue
    found = [history.store.read(IMAGE.whole)]
    while history.undo() is not None:
        found.append(history.store.read(IMAGE.whole))
    return found


@pytest.mark.parametrize("n_undone", [0, 3])
def test_a_shorter_journal_holds_the_same_and_the_last_steps(
    quick_disk: None, tmp_path: Path, n_undone: int
) -> None:
    history, journal = _work(tmp_path / "a.edgeflow")
    for _ in range(n_undone):
        history.undo()
    state, labels, before = history.state, history.store.read(IMAGE.whole), journal.n_bytes
    compact(history, journal, ((),), keep=6)
    assert (history.n_undo, history.n_redo) == (6, n_undone)
    assert journal.n_bytes < before
    assert history.state == state
    journal.close()
    with Journal.open(tmp_path / "a.edgeflow") as again:
        resumed = History.resume(again)
        assert resumed.state == state
        assert resumed.fingerprint == "m"
        np.testing.assert_array_equal(resumed.store.read(IMAGE.whole), labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.edgeflow"]


def test_every_kept_step_is_the_step_it_was(quick_disk: None, tmp_path: Path) -> None:
    whole, other = _work(tmp_path / "b.edgeflow")
    expected = _all_labels(whole)
    other.close()
    history, journal = _work(tmp_path / "a.edgeflow")
    history.undo()
    history.undo()
    compact(history, journal, ((),), keep=6)
    here = _all_labels(history)
    assert len(here) == 9
    np.testing.assert_array_equal(here, expected[:9])
    history.redo()
    window = Window(50, 50, 55, 55)
    mask = np.ones(window.shape, bool)
    history.do(commit_object(history.state, history.store, window, mask, NewObject(1)))
    now = history.state
    journal.close()
    with Journal.open(tmp_path / "a.edgeflow") as again:
        resumed = History.resume(again)
        assert resumed.state == now
        assert (resumed.n_undo, resumed.n_redo) == (2, 0)


def test_a_compaction_that_fails_changes_nothing(
    quick_disk: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, journal = _work(tmp_path / "a.edgeflow")
    bytes_before = (tmp_path / "a.edgeflow").read_bytes()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(JournalError, match="No space left"):
        compact(history, journal, ((),), keep=6)
    assert (tmp_path / "a.edgeflow").read_bytes() == bytes_before
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".edgeflow", ".lock"]
    history.undo()
    assert history.n_redo == 1
    journal.close()
