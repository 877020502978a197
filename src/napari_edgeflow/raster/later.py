"""Slow reads put off: done in a thread of their own, one after the other, the newest first."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

_LOG = logging.getLogger(__name__)
_MOST_WAITING = 8


class Later:
    """Jobs for later, for whoever shows a first answer at once and a better one when it is there.

    As long as nobody watches, ``is_watched`` is False and nothing should be put off. The thread
    starts with a job and ends with the last one. It is not a daemon, so none is killed inside a
    codec.
    """

    def __init__(self, owner: Callable[[], object] = lambda: True) -> None:
        """Nothing waits yet.

        Args:
            owner: Gives what the jobs read from, which is held while one runs; None once it is
                gone, with which the jobs go too.
        """
        self._owner = owner
        self._lock = threading.Lock()
        self._waiting: OrderedDict[Hashable, Callable[[], None]] = OrderedDict()
        self._running: Hashable = None
        self._thread: threading.Thread | None = None
        self._on_done: Callable[[], None] | None = None

    @property
    def is_watched(self) -> bool:
        """True when somebody wants to know that a job was done."""
        return self._on_done is not None

    def watch(self, on_done: Callable[[], None] | None) -> None:
        """Say who is called, in the thread, after a job that went well; None: nobody."""
        self._on_done = on_done

    def submit(self, key: Hashable, job: Callable[[], None]) -> None:
        """Do a job once; one of the same key that waits or runs makes it needless.

        Of many that wait, those that have waited longest are dropped.
        """
        with self._lock:
            if key == self._running:
                return
            self._waiting[key] = job
            self._waiting.move_to_end(key)
            while len(self._waiting) > _MOST_WAITING:
                self._waiting.popitem(last=False)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="napari-edgeflow-later")
                self._thread.start()

    def drop(self) -> None:
        """Forget the jobs that wait."""
        with self._lock:
            self._waiting.clear()

    def _next(self) -> Callable[[], None] | None:
        with self._lock:
            if not self._waiting:
                self._running = self._thread = None
                return None
            self._running, job = self._waiting.popitem(last=True)
            return job

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            owner = self._owner()
            try:
                if owner is None:
                    continue
                job()
            except Exception:  # the first answer stays; a read that is not put off will say why
                _LOG.warning("a view could not be read more closely", exc_info=True)
                continue
            finally:
                del job, owner
            on_done = self._on_done
            if on_done is not None:
                on_done()
