"""Fresh views, drawn by threads while the network computes, always in the same order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from napari_edgeflow.training.pack import Pack
from napari_edgeflow.training.sampling import ViewSampler, group_weights
from napari_edgeflow.training.settings import Phase, TrainConfig
from napari_edgeflow.training.view import View

AHEAD = 32


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a phase asks of a view."""

    side: int
    clicks: str
    zoom: tuple[float, float]


def open_feed(pack: Pack, config: TrainConfig, *, prior: str, rank: int, used: int) -> Feed:
    """The feed of one process of a run.

    Args:
        pack: The images.
        config: Of the run.
        prior: What the network gets back.
        rank: Of the process.
        used: Views that it was handed before.

    Raises:
        ValueError: The shares do not fit the data sets.
    """
    sizes: dict[str, int] = {}
    for image in pack.images:
        sizes[image.dataset] = sizes.get(image.dataset, 0) + 1
    sampler = ViewSampler(
        pack,
        group_weights(sorted(sizes), config.shares, sizes),
        start_masks=config.start_masks,
        merge=config.merge,
        prior=prior,
    )
    return Feed(sampler, [config.seed, rank], used, config.loaders)


class Feed:
    """View number n of a run is the same whoever draws it, and whenever.

    Each view has a generator of its own, seeded by the run's seed and the view's number, so
    threads may draw ahead and a resumed run goes on with the very next view.

    Args:
        sampler: Draws the views.
        seed: Of the run and the process.
        used: Views that were handed out before.
        threads: How many draw.
    """

    def __init__(
        self, sampler: ViewSampler, seed: Sequence[int], used: int = 0, threads: int = 1
    ) -> None:
        self.used = used
        self._sampler, self._seed, self._count = sampler, tuple(seed), threads
        self._changed = threading.Condition()
        self._wanted: _Wanted | None = None
        self._next = used
        self._ready: dict[int, View | Exception] = {}
        self._is_closed = False
        self._threads: list[threading.Thread] = []

    def next(self, phase: Phase) -> View:
        """The next view, as ``phase`` wants it.

        Raises:
            Exception: What went wrong while it was drawn.
        """
        wanted = _Wanted(phase.side, phase.clicks, phase.zoom)
        with self._changed:
            if wanted != self._wanted:
                self._wanted, self._next = wanted, self.used
                self._ready.clear()
                self._changed.notify_all()
            self._start()
            self._changed.wait_for(lambda: self.used in self._ready)
            view = self._ready.pop(self.used)
            self.used += 1
            self._changed.notify_all()
        if isinstance(view, Exception):
            raise view
        return view

    def _start(self) -> None:
        if self._threads:
            return
        cv2.setNumThreads(1)
        for _ in range(self._count):
            thread = threading.Thread(target=self._fill, name="views", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _fill(self) -> None:
        """Draws one view after the other until the feed is closed; runs in a thread."""
        while (order := self._take()) is not None:
            number, wanted = order
            view = self._draw(number, wanted)
            with self._changed:
                if wanted == self._wanted and number >= self.used:
                    self._ready[number] = view
                    self._changed.notify_all()

    def _take(self) -> tuple[int, _Wanted] | None:
        """The next number to draw and what is wanted; waits while enough are ready."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._next < self.used + AHEAD)
            if self._is_closed or self._wanted is None:
                return None
            self._next += 1
            return self._next - 1, self._wanted

    def _draw(self, number: int, wanted: _Wanted) -> View | Exception:
        rng = np.random.default_rng([*self._seed, number])
        try:
            return self._sampler.draw(wanted.side, rng, clicks=wanted.clicks, zoom=wanted.zoom)
        except Exception as error:  # handed to the caller of next()
            return error

    def close(self) -> None:
        """Ends the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=5)
