"""One thread for everything slow, with latest-wins; results come back on the Qt thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal  # type: ignore[attr-defined]

from napari_edgeflow.errors import Cancelled

_LOG = logging.getLogger(__name__)
_LINGER_S = 5.0

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    key: Hashable
    generation: int
    run: Callable[[ShouldStop], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]
    is_idle_work: bool = False


class Worker(QObject):  # type: ignore[misc, unused-ignore]
    """Runs jobs one after the other in a thread of its own.

    A job replaces the one that waits under the same key, and asks the one that runs to stop;
    what comes back from a job that was replaced is dropped. The thread starts with the first
    job and ends by itself some seconds after the last, so none is left behind by a window
    that goes away without a word; it is not a daemon, so none is killed inside a network.

    Idle work runs when nothing else waits, is asked to stop as soon as something does, and does
    not count as being busy.
    """

    busy_changed = Signal(bool)
    _finished = Signal(object, object, object)

    def __init__(self, linger_s: float = _LINGER_S) -> None:
        super().__init__()
        self._linger_s = linger_s
        self._wake = threading.Condition()
        self._waiting: list[_Job] = []
        self._latest: dict[Hashable, int] = {}
        self._generation = 0
        self._outstanding = 0
        self._thread: threading.Thread | None = None
        self._is_closed = self._is_finishing = False
        self._finished.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def is_busy(self) -> bool:
        """True while a job runs or waits."""
        return self._outstanding > 0

    @property
    def is_alive(self) -> bool:
        """True while the thread exists."""
        with self._wake:
            return self._thread is not None and self._thread.is_alive()

    def submit(
        self,
        key: Hashable,
        run: Callable[[ShouldStop], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Run ``run(should_stop)`` in the thread, then ``done`` or ``failed`` on this one."""
        self._submit(key, run, done, failed)

    def submit_idle(
        self,
        key: Hashable,
        run: Callable[[ShouldStop], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Run it when there is nothing else to do, and only if nothing else comes meanwhile."""
        self._submit(key, run, done, failed, is_idle_work=True)

    def _submit(
        self,
        key: Hashable,
        run: Callable[[ShouldStop], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
        *,
        is_idle_work: bool = False,
    ) -> None:
        if self._is_closed:
            return
        with self._wake:
            self._generation += 1
            job = _Job(key, self._generation, run, done, failed, is_idle_work)
            self._drop_waiting(lambda other: other.key == key)
            self._latest[key] = job.generation
            self._waiting.append(job)
            self._count(+1 - is_idle_work)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="napari-edgeflow")
                self._thread.start()
            self._wake.notify()

    def cancel(self, key: Hashable = None) -> None:
        """Drop the jobs of this key, or all of them; a running one is asked to stop."""
        if self._is_closed:
            return
        with self._wake:
            self._drop_waiting(lambda job: key is None or job.key == key)
            if key is None:
                self._latest.clear()
            else:
                self._latest.pop(key, None)

    def close(self) -> None:
        """Drop everything and let the thread end; returns at once, delivers nothing more.

        The Qt side is deleted here, on its own thread: were it left to Python's garbage
        collection, it could end in the worker's thread.
        """
        with self._wake:
            if self._is_closed:
                return
            self._is_closed = True
            self._waiting.clear()
            self._latest.clear()
            self._wake.notify()
        with suppress(RuntimeError):  # Qt may have ended first
            self.deleteLater()

    def finish(self) -> None:
        """Take no more jobs; those that wait still run, and the thread ends after them.

        Returns at once and delivers nothing more.
        """
        with self._wake:
            if self._is_closed:
                return
            self._is_closed = self._is_finishing = True
            self._wake.notify()
        with suppress(RuntimeError):  # Qt may have ended first
            self.deleteLater()

    def _drop_waiting(self, is_dropped: Callable[[_Job], bool]) -> None:
        kept = [job for job in self._waiting if not is_dropped(job)]
        gone = [job for job in self._waiting if job not in kept and not job.is_idle_work]
        self._count(-len(gone))
        self._waiting = kept

    def _count(self, change: int) -> None:
        was_busy = self.is_busy
        self._outstanding += change
        if self.is_busy != was_busy and not self._is_closed:
            self.busy_changed.emit(self.is_busy)

    def _is_stale(self, job: _Job) -> bool:
        if job.is_idle_work and any(not other.is_idle_work for other in list(self._waiting)):
            return True
        return self._is_closed or self._latest.get(job.key) != job.generation

    def _next(self) -> _Job | None:
        """The next job, or None when the thread must end; called in the thread."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._is_closed, self._linger_s)
            if self._waiting and (self._is_finishing or not self._is_closed):
                at = next((i for i, job in enumerate(self._waiting) if not job.is_idle_work), 0)
                return self._waiting.pop(at)
            self._thread = None
            return None

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            result: Any = None
            error: Exception | None = None
            try:
                result = job.run(lambda job=job: self._is_stale(job))  # type: ignore[misc]
            except Cancelled as cancelled:
                error = cancelled
            except Exception as problem:
                _LOG.debug("job %r failed", job.key, exc_info=True)
                error = problem
            with self._wake:
                if not self._is_closed:
                    self._finished.emit(job, result, error)
            del job, result, error

    def _deliver(self, job: _Job, result: Any, error: Exception | None) -> None:
        """On the Qt thread."""
        if self._is_closed:
            return
        is_stale = self._is_stale(job)
        if not is_stale:
            self._latest.pop(job.key)
        self._count(-1 + job.is_idle_work)
        if is_stale or isinstance(error, Cancelled):
            return
        if error is None:
            job.done(result)
        else:
            job.failed(error)
