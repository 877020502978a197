"""Far views of a raster without overviews: the window does not wait, and shows more by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_edgeflow.gui.files.reader import read_image
from napari_edgeflow.raster.rough import RoughLevel

SIDE = 6144


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Squares of 768 px, brighter to the lower right, with noise so that reading takes a while."""
    path = tmp_path / "scene.tif"
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 30, (256, 256, 3), dtype=np.uint8)

    def tiles() -> Iterator[Any]:
        for row in range(SIDE // 256):
            for column in range(SIDE // 256):
                yield noise + np.uint8((row // 3 + column // 3) * 14)

    tifffile.imwrite(
        path, tiles(), shape=(SIDE, SIDE, 3), dtype=np.uint8, tile=(256, 256),
        photometric="rgb", compression="zlib", compressionargs={"level": 1},
    )  # fmt: skip
    return path


def test_the_far_view_is_there_at_once_and_gets_sharp(
    make_napari_viewer: Callable[..., Any], scene: Path, qtbot: Any, monkeypatch: Any
) -> None:
    gate, in_window = threading.Event(), list[float]()
    read = RoughLevel._read

    def gated(self: RoughLevel, *arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            assert gate.wait(30)
        return read(self, *arguments)

    def timed(self: RoughLevel, *arguments: Any) -> Any:
        began = time.thread_time()
        try:
            return whole_read(self, *arguments)
        finally:
            in_window.append(time.thread_time() - began)

    whole_read = RoughLevel.read
    monkeypatch.setattr(RoughLevel, "_read", gated)
    monkeypatch.setattr(RoughLevel, "read", timed)
    viewer = make_napari_viewer(show=True)
    ((data, options, _),) = read_image(scene)
    layer = viewer.add_image(data, **options)
    viewer.reset_view()
    qtbot.wait(50)
    first = layer.thumbnail.copy()
    gate.set()
    qtbot.waitUntil(lambda: (layer.thumbnail != first).any(), timeout=8_000)
    shown = layer.thumbnail[..., :3].astype(int)
    # brighter along rows and columns, in all eight steps of the squares
    middle = shown[len(shown) // 2, :, 0]
    assert (np.diff(middle[2::4]) >= -20).all()
    assert len({value // 10 for value in middle.tolist()}) >= 7
    assert in_window
    assert max(in_window) < 0.2  # 50 ms on a quiet machine; all of it at once takes 0.5 s and more
    qtbot.waitUntil(
        lambda: not any(t.name == "napari-edgeflow-later" for t in threading.enumerate()),
        timeout=8_000,
    )
