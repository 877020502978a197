"""Finishes objects while another thread saves the labels, until it is killed.

python kill_me_large.py FOLDER [compact]   (writes the journal anew after every object)
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.compaction import compact
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store_zarr import ZarrStore

SHAPE = (530, 1040)


def main(folder: Path, is_compacting: bool) -> None:
    store = ZarrStore.create(folder / "a.zarr", SHAPE)
    image, classes = ImageInfo("a.tif", SHAPE), ClassList().add("cell")
    journal = Journal.open(folder / "a.journal")
    history = History.begin(journal, image, store, State(classes))

    def save() -> None:
        while True:
            store.flush()

    threading.Thread(target=save, daemon=True).start()
    for step in range(2000):
        y, x = step // 100 * 26, step % 100 * 10
        mask = np.ones((24, 8), dtype=bool)
        window = Window(y, x, y + 24, x + 8)
        history.do(commit_object(history.state, store, window, mask, NewObject(class_id=1)))
        print(step, flush=True)  # noqa: T201
        if is_compacting:
            compact(history, journal, (), keep=3)


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_compacting="compact" in sys.argv[2:])
