"""What exports of one image and of a series have in common: bar, Cancel, line, thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QWidget

from napari_edgeflow.errors import Cancelled, ExportError
from napari_edgeflow.gui.panels.export_job import ExportJob

from .fakes import PATIENCE_S


@dataclass(frozen=True)
class Written:
    """A report."""

    notes: tuple[str, ...] = ()


@pytest.fixture
def job(qtbot: Any) -> Iterator[tuple[ExportJob, list[bool]]]:
    parent = QWidget()
    qtbot.addWidget(parent)
    busy: list[bool] = []
    made = ExportJob(
        parent,
        busy.append,
        lambda report: (Path("/x/a.json"), f"Exported, {len(report.notes)} notes"),
        cancel_tip="Stop",
        line_tip="What came of it",
        cancelled="Cancelled.",
    )
    for part in (made.bar, made.cancel, made.line):
        part.setParent(parent)
    yield made, busy
    made.close()
    qtbot.waitUntil(lambda: not made.worker.is_alive, timeout=PATIENCE_S * 1000)


def _wait(qtbot: Any, busy: list[bool], wanted: list[bool]) -> None:
    qtbot.waitUntil(lambda: busy == wanted, timeout=PATIENCE_S * 1000)


def test_an_export_tells_how_far_it_is_and_what_came_of_it(
    job: tuple[ExportJob, list[bool]], qtbot: Any, messages: list[str]
) -> None:
    made, busy = job
    is_free = threading.Event()

    def write(tell: Callable[[float], None], _should_stop: Any) -> Written:
        tell(0.5)
        assert is_free.wait(PATIENCE_S)
        return Written(("holes", "names"))

    made.begin(Path("/x/a.json"))
    assert (made.line.text(), busy) == ("Writing a.json…", [True])
    assert not made.bar.isHidden()
    made.run(write)
    qtbot.waitUntil(lambda: made.bar.value() == 500, timeout=PATIENCE_S * 1000)
    is_free.set()
    _wait(qtbot, busy, [True, False])
    assert made.line.text() == "Exported, 2 notes"
    assert messages == ["a.json does not hold everything: holes; names"]
    assert made.bar.isHidden()
    assert made.cancel.isHidden()


def test_cancel_before_the_thread_begins_is_heeded_and_the_next_export_runs(
    job: tuple[ExportJob, list[bool]], qtbot: Any
) -> None:
    made, busy = job

    def write(_tell: Any, should_stop: Callable[[], bool]) -> Written:
        if should_stop():
            raise Cancelled("stop")
        return Written()

    made.begin(Path("a"))
    assert made.cancel.isEnabled()
    made.cancel.click()
    assert (made.line.text(), made.cancel.isEnabled()) == ("Stopping…", False)
    made.run(write)
    _wait(qtbot, busy, [True, False])
    assert made.line.text() == "Cancelled."
    made.begin(Path("a"))
    made.run(write)
    _wait(qtbot, busy, [True, False, True, False])
    assert made.line.text() == "Exported, 0 notes"


def test_a_failure_is_said(
    job: tuple[ExportJob, list[bool]], qtbot: Any, messages: list[str]
) -> None:
    made, busy = job

    def write(*_: Any) -> Written:
        raise ExportError("the disk is full")

    made.begin(Path("a"))
    made.run(write)
    _wait(qtbot, busy, [True, False])
    assert made.line.text() == "Nothing was exported; see the message."
    assert messages == ["the disk is full"]
