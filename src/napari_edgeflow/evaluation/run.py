"""Clicks through data sets, in this process or in several, and keeps what is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.base import Dataset, Sample
from napari_edgeflow.data.check import CheckedReader, open_all
from napari_edgeflow.data.open import dataset_name, open_dataset, parse_spec
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.results import ResultFolder
from napari_edgeflow.evaluation.segmenters import Segmenter
from napari_edgeflow.evaluation.selection import Target, View, choose, list_targets

OnProgress = Callable[[str, int, int], object]
"""Called with what is being done, the number done and the number in all."""


_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class SegmenterSource(Protocol):
    """Builds a segmenter, in whichever process needs one; hashable, and picklable for several."""

    def build(self) -> Segmenter:
        """A new segmenter."""
        ...

    def __hash__(self) -> int:
        """Equal sources build equal segmenters."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One object to click on, with all that a process needs to know for it.

    Attributes:
        source: Of the segmenter.
        dataset: What ``open_dataset`` takes.
        target: The object.
        max_clicks: Clicks before giving up.
        stop_iou: IoU at which the user is content.
    """

    source: SegmenterSource
    dataset: str
    target: Target
    max_clicks: int
    stop_iou: float


class Clicker:
    """Works on one job after the other with one segmenter; keeps the last image open."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._datasets: dict[str, Dataset] = {}
        self._last: tuple[str, int, Sample] | None = None

    def run(self, job: Job) -> tuple[ObjectRecord, BoolArray]:
        """The record of ``job`` and the ``(H, W) bool`` mask after its last click."""
        clicked = click_on_object(
            self._segmenter,
            self._sample(job.dataset, job.target.index),
            job.target.object_id,
            field_of_view=job.target.field_of_view,
            max_clicks=job.max_clicks,
            stop_iou=job.stop_iou,
        )
        return ObjectRecord.of(job.target, clicked), clicked.mask

    def _sample(self, spec: str, index: int) -> Sample:
        if self._last is None or self._last[:2] != (spec, index):
            if spec not in self._datasets:
                self._datasets[spec] = open_dataset(spec)
            self._last = spec, index, self._datasets[spec][index]
        return self._last[2]


def open_datasets(specs: Sequence[str | Path]) -> list[Dataset]:
    """The data sets of ``specs``; where two have the same name, both get their parent's too.

    Raises:
        DatasetError: Some are no data sets, or given twice; the message names all of them.
    """
    # what cannot be named cannot be opened either, and then says why
    names = [_name_or_none(spec) for spec in specs]
    openers = []
    for spec, name in zip(specs, names, strict=True):
        if name is not None and names.count(name) > 1:
            name = f"{parse_spec(spec).path.resolve().parent.name}_{name}"
        openers.append(partial(open_dataset, spec, name=name))
    datasets = open_all(openers)
    taken = [dataset.name for dataset in datasets]
    for name in taken:
        if taken.count(name) > 1:
            raise DatasetError(f"two data sets would both be called {name}; evaluate them apart")
    return datasets


def _name_or_none(spec: str | Path) -> str | None:
    try:
        return dataset_name(spec)
    except DatasetError:
        return None


def choose_targets(
    datasets: Sequence[Dataset],
    view: View,
    *,
    max_objects: int | None,
    seed: int,
    min_area_px: int,
    on_progress: OnProgress,
) -> dict[str, list[Target]]:
    """The objects to click on, by data set; all files are read and checked on the way.

    Raises:
        DatasetError: Files are bad, or data sets have no object of ``min_area_px``; the message
            names all of them.
    """
    total, done = sum(len(dataset) for dataset in datasets), 0
    chosen: dict[str, list[Target]] = {}
    reader = CheckedReader()
    for dataset in datasets:
        faults = len(reader.problems)
        targets = list_targets(dataset, view, min_area_px=min_area_px, reader=reader)
        if not targets and len(reader.problems) == faults:
            reader.problems.append(
                f"{dataset.name}: expected an object of {min_area_px} pixels or more to click on, "
                "and no mask has one; check the masks, or leave the data set out"
            )
        chosen[dataset.name] = choose(targets, max_objects, seed) if targets else []
        done += len(dataset)
        on_progress("Reading masks", done, total)
    reader.finish()
    return chosen


def click_on_all(
    jobs: Sequence[Job], results: ResultFolder, *, workers: int, on_progress: OnProgress
) -> None:
    """Work on the jobs that ``results`` does not hold yet and add each to it when it is done."""
    left = [job for job in jobs if job.target.key not in results.records]
    on_progress("Clicking", len(jobs) - len(left), len(jobs))
    outcomes = _in_processes(left, workers) if workers > 1 else _in_this_process(left)
    for done, (record, mask) in enumerate(outcomes, start=len(jobs) - len(left) + 1):
        results.add(record, mask)
        on_progress("Clicking", done, len(jobs))


def _in_this_process(jobs: Sequence[Job]) -> Iterator[tuple[ObjectRecord, BoolArray]]:
    if jobs:
        clicker = Clicker(jobs[0].source.build())
        yield from map(clicker.run, jobs)


def _in_processes(jobs: Iterable[Job], workers: int) -> Iterator[tuple[ObjectRecord, BoolArray]]:
    """Outcomes of the jobs in the order in which they are done."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_be_a_worker)
    try:
        with _one_thread_for_children():  # they all start with the first job
            futures = [pool.submit(_run_in_worker, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _be_a_worker() -> None:
    """One thread for each process, and Ctrl+C is the parent's business."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


@contextmanager
def _one_thread_for_children() -> Iterator[None]:
    """Processes started meanwhile use one thread each: the libraries read this at their import."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _run_in_worker(job: Job) -> tuple[ObjectRecord, BoolArray]:
    return _worker(job.source).run(job)


@lru_cache(maxsize=1)
def _worker(source: SegmenterSource) -> Clicker:
    """The clicker of this process."""
    return Clicker(source.build())
