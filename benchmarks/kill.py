"""Kills a project at many moments and counts the finished objects that are lost: none may be.

    python benchmarks/kill.py --points 200 [--large]

Each point is a process of its own that clicks and finishes objects through the window's project,
as the widget does, and reports an object once the project says that it is done. The process ends
in the middle: half of a record written, between write and fsync, after fsync before the labels
change, or by SIGKILL from outside at any time. Then the journal is opened again. With ``--large``
labels are on disk, as those of large rasters, and the journal is written anew every few steps.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation import changes, journal, journal_file
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_clicks
from napari_edgeflow.annotation.compaction import compact
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.annotation.store_layout import store_place
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.gui.labels import sizes
from napari_edgeflow.gui.messages import Messages
from napari_edgeflow.gui.projects import files
from napari_edgeflow.gui.projects.files import ProjectFile
from napari_edgeflow.gui.projects.project import Project
from napari_edgeflow.gui.worker import Worker

SIDE, N_OBJECTS = 8, 40
SHAPE = (SIDE, SIDE * N_OBJECTS)
MODES = ("half a record", "before fsync", "after fsync", "SIGKILL")


class NoView:
    """A view without a layer: nothing is shown."""

    layer = None
    is_own = True
    edited = SimpleNamespace(connect=lambda _slot: None)

    def fill(self, _store: object) -> None:
        """Show nothing."""

    def show(self, _change: object, _is_forward: bool) -> None:
        """Show nothing."""

    def take_edited(self, _shown: object) -> tuple[()]:
        """Nobody paints."""
        return ()

    def close(self) -> None:
        """Nothing to let go of."""


def place(number: int) -> Window:
    """Where the object of this number is."""
    return Window(0, SIDE * number, SIDE - number % 3, SIDE * (number + 1))


def act_large() -> None:
    """Keep labels of any image on disk, and write the journal anew every few steps."""
    settings: Any = sizes
    settings.MAX_PLANE_PX = 0
    opening: Any = files
    opening.LARGE_BYTES, opening.KEPT_STEPS = 0, 4
    opening.compact = partial(compact, keep=4)


def work(folder: Path, report: int) -> None:
    """Clicks and finishes objects, and writes the number of each to ``report`` when it is done."""
    from qtpy.QtCore import QCoreApplication

    app = QCoreApplication([])
    info = ImageInfo("image.tif", SHAPE, path=folder / "image.tif")
    file = ProjectFile(info, SHAPE, np.zeros(SHAPE, np.uint8), ClassList().add("cell"))
    project = Project(
        SimpleNamespace(name="image"),
        cast("Any", NoView()),
        file,
        worker=Worker(),
        messages=Messages(lambda: None),
        shown_plane=lambda: (),
    )

    def commit(number: int, state: Any, store: Any) -> Any:
        mask = np.ones(place(number).shape, bool)
        return commit_object(state, store, place(number), mask, NewObject(1))

    def click(clicks: list[Click], state: Any, _store: Any) -> Any:
        return set_clicks(state, clicks)

    def done(number: int, _change: Any) -> None:
        os.write(report, f"{number}\n".encode())

    for number in range(N_OBJECTS):
        clicks = [Click(2.0, number * SIDE + 2.0)]
        project.do(partial(click, clicks))
        project.do(partial(commit, number), partial(done, number))
    while True:
        app.processEvents()


def set_trap(mode: str, at: int, share: float) -> None:
    """End this process at the record of this number."""
    count = iter(range(10**9))
    write, fsync, apply = journal_file.write_all, os.fsync, changes.Change.apply

    def trapped_write(file: Any, data: bytes) -> None:
        if mode == "half a record" and next(count) == at:
            write(file, data[: int(share * len(data))])
            os._exit(9)
        write(file, data)

    def trapped_fsync(descriptor: int) -> None:
        if mode == "before fsync" and next(count) == at:
            os._exit(9)
        fsync(descriptor)

    def trapped_apply(self: Any, *rest: Any) -> Any:
        if mode == "after fsync" and next(count) == at:
            os._exit(9)
        return apply(self, *rest)

    appends: Any = journal
    appends.write_all = journal_file.write_all = trapped_write
    system: Any = os
    system.fsync = trapped_fsync
    change: Any = changes.Change
    change.apply = trapped_apply


def run_point(
    folder: Path, mode: str, rng: random.Random, is_large: bool = False
) -> tuple[int, int, int]:
    """(objects that were reported, that were lost, with wrong pixels) of one killed process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        if is_large:
            act_large()
        if mode != "SIGKILL":
            last = 160 if is_large and mode != "after fsync" else 70
            set_trap(mode, rng.randrange(4, last), rng.random())
        work(folder, writer)
        os._exit(1)
    os.close(writer)
    if mode == "SIGKILL":
        time.sleep(rng.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader) as told:
        reported = [int(line) for line in told]
    os.waitpid(child, 0)
    return (len(reported), *judge(folder, reported))


def judge(folder: Path, reported: list[int]) -> tuple[int, int]:
    """(lost, wrong) objects of those that were reported as done."""
    path = folder / "image.tif.edgeflow"
    if not path.exists():
        return len(reported), 0
    with journal.Journal.open(path) as opened:
        if not len(opened):
            return len(reported), 0
        beside = store_place(path)
        store = ZarrStore.open(beside) if beside.exists() else None
        history = History.resume(opened, cast("LabelStore | None", store))
    boxes = {record.box: label for label, record in history.state.objects.items()}
    lost = [number for number in reported if place(number) not in boxes]
    wrong = sum(
        not (history.store.read(box) == label).all()
        or record_area(history, label) != box.height * box.width
        for box, label in boxes.items()
    )
    return len(lost), wrong


def record_area(history: History, label: int) -> int:
    """Pixels of an object as its record has them."""
    return history.state.objects[label].area_px


def main() -> int:
    """Kill at every point and print the count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--large", action="store_true", help="labels on disk")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    total = dict.fromkeys(("points", "reported", "lost", "wrong"), 0)
    with tempfile.TemporaryDirectory() as place_for_all:
        os.environ["NAPARI_EDGEFLOW_PROJECTS"] = place_for_all
        for point in range(options.points):
            folder = Path(place_for_all) / str(point)
            folder.mkdir()
            counts = run_point(folder, MODES[point % len(MODES)], rng, options.large)
            total["points"] += 1
            for name, count in zip(("reported", "lost", "wrong"), counts, strict=True):
                total[name] += count
    print(json.dumps(total))
    return int(total["lost"] + total["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
