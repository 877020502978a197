"""Clicks through data sets, in this process or in several, and keeps what is done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.evaluation.clicker import click_on_object
from napari_edgeflow.evaluation.records import ObjectRecord
from napari_edgeflow.evaluation.results import ResultFolder
from napari_edgeflow.evaluation.segmenters import Segmenter
from napari_edgeflow.evaluation.selection import Target, View, choose, list_targets

OnProgress = Callable[[str, int, int], object]
"""Called with what is being done, the number done and the number in all."""


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
    """One object to click on, with all that a process needs to know for it."""

    source: SegmenterSource
    folder: Path
    target: Target
    max_clicks: int


class Clicker:
    """Works on one job after the other with one segmenter; keeps the last image open."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._datasets: dict[Path, FolderDataset] = {}
        self._last: tuple[Path, int, Sample] | None = None

    def run(self, job: Job) -> tuple[ObjectRecord, BoolArray]:
        """The record of ``job`` and the ``(H, W) bool`` mask after its last click."""
        clicked = click_on_object(
            self._segmenter,
            self._sample(job.folder, job.target.index),
            job.target.object_id,
            field_of_view=job.target.field_of_view,
            max_clicks=job.max_clicks,
        )
        return ObjectRecord.of(job.target, clicked), clicked.mask

    def _sample(self, folder: Path, index: int) -> Sample:
        if self._last is None or self._last[:2] != (folder, index):
            if folder not in self._datasets:
                self._datasets[folder] = FolderDataset(folder)
            self._last = folder, index, self._datasets[folder][index]
        return self._last[2]


def open_datasets(folders: Sequence[Path]) -> list[FolderDataset]:
    """The data sets of ``folders``; where two have the same name, both get their parent's too.

    Raises:
        DatasetError: A folder is no data set, or given twice.
    """
    names = [folder.resolve().name for folder in folders]
    datasets = []
    for folder, name in zip(folders, names, strict=True):
        parent = folder.resolve().parent.name
        datasets.append(
            FolderDataset(folder, name if names.count(name) == 1 else f"{parent}_{name}")
        )
    taken = [dataset.name for dataset in datasets]
    for name in taken:
        if taken.count(name) > 1:
            raise DatasetError(f"two data sets would both be called {name}; evaluate them apart")
    return datasets


def choose_targets(
    datasets: Sequence[FolderDataset],
    view: View,
    *,
    max_objects: int | None,
    seed: int,
    on_progress: OnProgress,
) -> dict[str, list[Target]]:
    """The objects to click on, by data set; all files are read and checked on the way.

    Raises:
        DatasetError: A file is bad, or a data set has no object of 16 pixels.
    """
    total, done = sum(len(dataset) for dataset in datasets), 0
    chosen: dict[str, list[Target]] = {}
    for dataset in datasets:
        targets = list_targets(dataset, view)
        if not targets:
            raise DatasetError(
                f"{dataset.path}: expected an object of 16 pixels or more to click on, and no mask "
                "has one; check the masks, or leave the data set out"
            )
        chosen[dataset.name] = choose(targets, max_objects, seed)
        done += len(dataset)
        on_progress("Reading masks", done, total)
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
        for future in as_completed([pool.submit(_run_in_worker, job) for job in jobs]):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _be_a_worker() -> None:
    """One thread for each process, and Ctrl+C is the parent's business."""
    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"


def _run_in_worker(job: Job) -> tuple[ObjectRecord, BoolArray]:
    return _worker(job.source).run(job)


@lru_cache(maxsize=1)
def _worker(source: SegmenterSource) -> Clicker:
    """The clicker of this process."""
    return Clicker(source.build())
