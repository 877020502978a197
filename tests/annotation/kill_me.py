"""Finishes objects one after another until it is killed; says each step after it is safe.

python kill_me.py JOURNAL
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_clicks
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store import ArrayStore

SIDE = 6


def place(step: int) -> Window:
    """Where the object of a step goes."""
    return Window(0, step * SIDE, SIDE, step * SIDE + SIDE)


def main(path: Path) -> None:
    image = ImageInfo("a.tif", (SIDE, SIDE * 10_000))
    store = ArrayStore.empty(image.shape)
    history = History.begin(Journal.open(path), image, store, State(ClassList().add("cell")))
    for step in range(10_000):
        history.do(set_clicks(history.state, [Click(1.0, float(step))]))
        mask = np.ones((SIDE, SIDE), dtype=bool)
        about = NewObject(class_id=1)
        history.do(commit_object(history.state, store, place(step), mask, about))
        print(step, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
