"""The worker alone: one thread, latest wins, nothing after the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from qtpy.QtCore import QThread

from napari_edgeflow.gui.worker import ShouldStop, Worker

from .fakes import PATIENCE_S


@pytest.fixture
def worker(qtbot: Any) -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()
    qtbot.waitUntil(lambda: not made.is_alive, timeout=PATIENCE_S * 1000)


def answer(value: Any) -> Callable[[ShouldStop], Any]:
    return lambda _stop: value


def has(answers: list[Any], n: int) -> bool:
    return len(answers) == n


def unexpected(error: Exception) -> None:
    raise AssertionError(error)


def test_jobs_run_in_one_other_thread_and_answer_on_this_one(worker: Worker, qtbot: Any) -> None:
    ran: list[int] = []
    answered: list[Any] = []

    def run(_stop: ShouldStop) -> int:
        ran.append(threading.get_ident())
        return len(ran)

    for key in ("a", "b", "c"):
        worker.submit(key, run, lambda n: answered.append((n, threading.get_ident())), unexpected)
    qtbot.waitUntil(lambda: not worker.is_busy, timeout=PATIENCE_S * 1000)
    assert answered == [(n, threading.get_ident()) for n in (1, 2, 3)]
    assert len(set(ran)) == 1
    assert ran[0] != threading.get_ident()
    assert QThread.currentThread() is not None


def test_a_later_job_replaces_the_waiting_and_stops_the_running(worker: Worker, qtbot: Any) -> None:
    gate, started = threading.Event(), threading.Event()
    stopped: list[bool] = []
    answers: list[str] = []

    def slow(stop: ShouldStop) -> str:
        started.set()
        gate.wait(2 * PATIENCE_S)
        stopped.append(stop())
        return "first"

    worker.submit("k", slow, answers.append, unexpected)
    assert started.wait(PATIENCE_S)
    worker.submit("other", lambda _stop: "other", answers.append, unexpected)
    for name in ("second", "third"):
        worker.submit("k", answer(name), answers.append, unexpected)
    gate.set()
    qtbot.waitUntil(lambda: not worker.is_busy, timeout=PATIENCE_S * 1000)
    assert stopped == [True]
    assert answers == ["other", "third"]


def test_cancel_drops_and_busy_is_told(worker: Worker, qtbot: Any) -> None:
    gate, started = threading.Event(), threading.Event()
    busy: list[bool] = []
    worker.busy_changed.connect(busy.append)
    answers: list[int] = []

    def slow(_stop: ShouldStop) -> int:
        started.set()
        gate.wait(2 * PATIENCE_S)
        return 1

    worker.submit("a", slow, answers.append, unexpected)
    worker.submit("b", lambda _stop: 2, answers.append, unexpected)
    assert started.wait(PATIENCE_S)
    worker.cancel()
    gate.set()
    qtbot.waitUntil(lambda: not worker.is_busy, timeout=PATIENCE_S * 1000)
    assert answers == []
    assert busy == [True, False]


def test_errors_come_back(worker: Worker, qtbot: Any) -> None:
    errors: list[Exception] = []

    def fail(_stop: ShouldStop) -> None:
        raise ZeroDivisionError("oh")

    worker.submit("a", fail, unexpected, errors.append)
    qtbot.waitUntil(lambda: not worker.is_busy, timeout=PATIENCE_S * 1000)
    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_the_thread_ends_by_itself_and_starts_again(qtbot: Any) -> None:
    worker = Worker(linger_s=0.01)
    answers: list[int] = []
    for n in (1, 2):
        worker.submit("a", answer(n), answers.append, unexpected)
        qtbot.waitUntil(partial(has, answers, n), timeout=PATIENCE_S * 1000)
        qtbot.waitUntil(lambda: not worker.is_alive, timeout=PATIENCE_S * 1000)
    assert answers == [1, 2]
    worker.close()


def test_nothing_is_delivered_after_close(qtbot: Any) -> None:
    worker = Worker()
    gate, started = threading.Event(), threading.Event()
    answers: list[bool] = []

    def slow(stop: ShouldStop) -> bool:
        started.set()
        gate.wait(2 * PATIENCE_S)
        return stop()

    worker.submit("a", slow, answers.append, unexpected)
    assert started.wait(PATIENCE_S)
    worker.close()
    worker.submit("a", slow, answers.append, unexpected)
    gate.set()
    qtbot.waitUntil(lambda: not worker.is_alive, timeout=PATIENCE_S * 1000)
    qtbot.wait(1)
    assert answers == []
