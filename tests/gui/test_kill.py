"""Nothing that was called done is lost, wherever a process ends or a journal is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.autosave import AutosaveLog
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_clicks
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import ArrayStore

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kill.py"
IMAGE = ImageInfo("a.tif", (20, 40))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the script forks")
def test_killed_processes_lose_no_finished_object() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--points", "8", "--seed", "5"],
        capture_output=True,
        text=True,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted = json.loads(done.stdout)
    assert counted["points"] == 8
    assert counted["reported"] > 20
    assert counted["lost"] == counted["wrong"] == 0


def test_a_journal_cut_at_any_byte_of_its_last_steps_has_all_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    path = tmp_path / "a.tif.edgeflow"
    log = AutosaveLog((path,))
    state = State(ClassList().add("cell"))
    history = History.begin(log, IMAGE, ArrayStore.empty(IMAGE.shape), state)
    ends = []
    for number in range(4):
        history.do(set_clicks(history.state, [Click(1.0, 10.0 * number)]))
        window = Window(0, 10 * number, 5, 10 * number + 8)
        mask = np.ones(window.shape, bool)
        about = NewObject(1, created="now")
        history.do(commit_object(history.state, history.store, window, mask, about))
        ends.append(path.stat().st_size)
    log.close()
    whole = path.read_bytes()
    for cut in range(ends[2], ends[3], 3):
        other = tmp_path / f"{cut}.edgeflow"
        other.write_bytes(whole[:cut])
        with Journal.open(other) as journal:
            again = History.resume(journal)
        assert set(again.state.objects) == {1, 2, 3}
        assert int((again.store.read(IMAGE.whole) > 0).sum()) == 120
