"""Opens the projects of images: a journal that is there, or a new one; runs in the worker."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import LabelArray, PostProcessing
from napari_edgeflow.annotation.autosave import (
    AutosaveLog,
    Found,
    find_journal,
    journal_places,
    open_free,
    set_aside,
    spare_folder,
)
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.compaction import KEPT_STEPS, LARGE_BYTES, compact
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.import_labels import planes_of
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import (
    ImageInfo,
    ObjectRecord,
    measure_labels,
)
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore, LabelStore, MarkedStore, StoredPlane
from napari_edgeflow.annotation.store_layout import store_place
from napari_edgeflow.errors import EdgeFlowError, JournalError, JournalLockedError
from napari_edgeflow.gui.labels.large_labels import open_store
from napari_edgeflow.gui.labels.sizes import needs_store

_LOG = logging.getLogger(__name__)
_SAMPLE, _N_SAMPLES = 48, 12


@dataclass(frozen=True, slots=True)
class Opened:
    """A history that is ready, and what the user should know of it.

    Attributes:
        history: With its log and store.
        notes: In words, shown once.
        offer: A journal that was there before, which the user may resume.
    """

    history: History
    notes: tuple[str, ...] = ()
    offer: Found | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProjectFile:
    """What it takes to open the project of an image.

    Attributes:
        info: Of the image.
        shape: Of its labels, all axes.
        pixels: Its array at full resolution.
        classes: Of a new project.
        settings: Post-processing that a new project begins with.
        part: Which of several images of one file; empty for the only one.
        labels: To begin with, as objects of the first class; None: none.
        folder: Chosen for journals; None: beside the image.
        is_saved: False keeps steps in memory.
        resumes: ``"ask"`` offers a journal that is there, ``"always"`` goes on with it.
    """

    info: ImageInfo
    shape: tuple[int, ...]
    pixels: Any
    classes: ClassList
    settings: PostProcessing = field(default_factory=PostProcessing)
    part: str = ""
    labels: LabelArray | None = None
    folder: Path | None = None
    is_saved: bool = True
    resumes: str = "ask"

    def open(self) -> Opened:
        """A new history, with an offer of what is there; that itself when it is not asked for.

        Raises:
            EdgeFlowError: There is no memory or disk for labels.
        """
        mark = fingerprint(self.pixels)
        found = None
        if self.resumes != "never" and self.labels is None:
            found = find_journal(self._places(mark), self.info, mark)
        if found is not None and found.refusal:
            opened = self.begin(mark)
            note = f"{found.refusal}. It stays as it is; your steps go to a new file"
            return replace(opened, notes=(*opened.notes, note))
        if found is not None and self.resumes == "always":
            try:
                return self.resume(found)
            except JournalError as error:
                opened = self.begin(mark)
                return replace(opened, notes=(*opened.notes, str(error)))
        return replace(self.begin(mark), offer=found)

    def begin(self, mark: str | None = None) -> Opened:
        """A new history; what is there before stays as it is."""
        mark = fingerprint(self.pixels) if mark is None else mark
        places = self._places(mark) if self.is_saved else ()
        if self.labels is not None:
            store: LabelStore = ArrayStore(self.labels.copy())
            state = State(
                self.classes,
                _measure(store, self.shape, self.classes),
                settings=self.settings,
            )
        else:
            state = State(self.classes, settings=self.settings)
            if needs_store(self.shape):
                return self._begin_large(places, state, mark)
            store = ArrayStore(np.zeros(self.shape, np.uint32))
        log = AutosaveLog(places) if places else MemoryLog()
        planes = planes_of(self.shape) if self.labels is not None else ()
        return Opened(History.begin(log, self.info, store, state, planes, mark))

    def anew(self, found: Found) -> Opened:
        """A new history; the journal that was found is renamed, unless somebody has it open.

        Raises:
            JournalError: It cannot be renamed.
        """
        try:
            with Journal.open(found.path):
                pass
            note = f"The steps from before are kept in {set_aside(found.path).name}."
        except JournalLockedError:
            note = f"{found.path.name} is open elsewhere and stays; your steps go to a new file."
        opened = self.begin()
        return replace(opened, notes=(*opened.notes, note))

    def resume(self, found: Found) -> Opened:
        """The history that was found, at the step where it ended.

        Raises:
            JournalError: It cannot be read, or somebody else has it open.
        """
        journal = Journal.open(found.path)
        try:
            notes: tuple[str, ...] = ()
            store: LabelStore
            if needs_store(self.shape):
                store, notes = open_store(found.path, self.shape, is_new=False)
            else:
                store = ArrayStore(np.zeros(self.shape, np.uint32))
            history = History.resume(journal, store)
        except BaseException:
            journal.close()
            raise
        history.log, history.image = AutosaveLog.resumed(journal), self.info
        compact_if_large(history, self.shape)
        recovered = str(journal.recovery)
        return Opened(history, (*notes, recovered) if recovered else notes)

    def _places(self, mark: str) -> tuple[Path, ...]:
        return journal_places(self.info, mark, self.part, self.folder)

    def _begin_large(self, places: Sequence[Path], state: State, mark: str) -> Opened:
        """Labels on disk lie beside their journal, so this one is made at once."""
        problems: list[str] = []
        for place in places:
            try:
                if place.parent == spare_folder():
                    place.parent.mkdir(parents=True, exist_ok=True)
                journal = open_free(place)
                store, notes = open_store(journal.path, self.shape, is_new=True)
                log = AutosaveLog.resumed(journal)
                history = History.begin(log, self.info, store, state, (), mark)
                return Opened(history, (*notes, *problems[:1]))
            except (EdgeFlowError, OSError) as error:
                problems.append(f"{error}. Your steps are saved elsewhere instead.")
        store, notes = open_store(None, self.shape, is_new=True)
        history = History.begin(MemoryLog(), self.info, store, state, (), mark)
        return Opened(history, (*notes, *problems[:1]))


def close_history(history: History) -> None:
    """Bring labels to disk and let go of the files; those without a step are deleted again."""
    store, log = history.store, history.log
    journal = log.journal if isinstance(log, AutosaveLog) else None
    is_untouched = not (history.n_undo or history.n_redo or history.state.objects)
    if isinstance(log, AutosaveLog):
        log.save()
        if log.problem:
            _LOG.error("lost with the window: %s", log.problem)
    try:
        if isinstance(store, MarkedStore) and not is_untouched:
            store.flush()
    finally:
        if journal is not None:
            if is_untouched and isinstance(store, MarkedStore):
                shutil.rmtree(store_place(journal.path), ignore_errors=True)
                journal.path.unlink(missing_ok=True)
            journal.close()


def compact_if_large(history: History, shape: tuple[int, ...]) -> None:
    """Write a journal anew that grew large and holds many more steps than are kept."""
    log = history.log
    journal = log.journal if isinstance(log, AutosaveLog) else None
    is_large = journal is not None and journal.n_bytes > LARGE_BYTES
    if isinstance(log, AutosaveLog) and log.problem:
        return
    if journal is None or not is_large or history.n_undo < 2 * KEPT_STEPS:
        return
    try:
        compact(history, journal, planes_of(shape))
    except (OSError, EdgeFlowError):  # it goes on as it is; the steps are in it
        _LOG.warning("%s could not be written anew", journal.path, exc_info=True)


def fingerprint(pixels: Any) -> str:
    """A mark of an image's shape, type and a few small parts of its pixels."""
    digest = hashlib.sha256(f"{tuple(pixels.shape)} {pixels.dtype}".encode())
    sides = [int(side) for side in pixels.shape]
    for number in range(_N_SAMPLES):
        share = (number * 0.618034) % 1.0
        index = tuple(
            slice(start := int(share * max(side - _SAMPLE, 0)), start + _SAMPLE)
            if axis >= len(sides) - 3 or side <= 4
            else slice(at := int(share * side), at + 1)
            for axis, side in enumerate(sides)
        )
        digest.update(np.ascontiguousarray(np.asarray(pixels[index])).tobytes())
    return digest.hexdigest()


def _measure(
    store: LabelStore, shape: tuple[int, ...], classes: ClassList
) -> dict[int, ObjectRecord]:
    """A record for every id; one on several planes of a stack has its largest plane."""
    class_id = next(iter(classes)).id
    records: dict[int, ObjectRecord] = {}
    for plane in planes_of(shape):
        for label, (box, area) in measure_labels(StoredPlane(store, plane)).items():
            if label not in records or records[label].area_px < area:
                records[label] = ObjectRecord(label, class_id, box, area, plane=plane)
    return dict(sorted(records.items()))
