"""The store that takes memory where objects are, against a plain array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_edgeflow._types import Window
from napari_edgeflow.annotation import sparse_store
from napari_edgeflow.annotation.sparse_store import SparseStore
from napari_edgeflow.annotation.store import ArrayStore

SHAPE = (1100, 1300)
PLANES: tuple[Any, ...] = ((0, None, None), (1, None, None))


def _draw(generator: np.random.Generator) -> Window:
    y, x = (int(generator.integers(0, side)) for side in SHAPE)
    h, w = (int(side) for side in generator.integers(1, 600, 2))
    return Window(y, x, min(SHAPE[0], y + h), min(SHAPE[1], x + w))


@pytest.mark.parametrize("n_open", [1, 48])
@pytest.mark.parametrize("has_below", [False, True])
def test_it_is_like_an_array(monkeypatch: pytest.MonkeyPatch, n_open: int, has_below: bool) -> None:
    """Written and read in turns, most of it compressed; what lies below never changes."""
    monkeypatch.setattr(sparse_store, "_MOST_OPEN", n_open)
    generator = np.random.default_rng(3)
    array = ArrayStore(np.zeros((2, *SHAPE), np.uint32))
    below = ArrayStore(generator.integers(0, 9, (2, *SHAPE)).astype(np.uint32))
    if has_below:
        array.array[:] = below.array
    before = below.array.copy()
    sparse = SparseStore(SHAPE, below if has_below else None)
    for step in range(14):
        window, plane = _draw(generator), PLANES[step % 2]
        labels = generator.integers(0, 3, window.shape).astype(np.uint32)
        for store in (sparse, array):
            store.write(window, labels, plane)
        asked = Window(window.y0 // 2, window.x0 // 2, window.y0 + 1, window.x0 + 1)
        np.testing.assert_array_equal(sparse.read(asked, plane), array.read(asked, plane))
    for plane in PLANES:
        whole = Window(0, 0, *SHAPE)
        np.testing.assert_array_equal(sparse.read(whole, plane), array.read(whole, plane))
    np.testing.assert_array_equal(below.array, before)
    assert sparse.next_id == (9 if has_below else 3)


def test_windows_outside_are_refused() -> None:
    for bad in (Window(-1, 0, 5, 5), Window(0, 0, 1101, 5)):
        with pytest.raises(ValueError, match="expected a window inside"):
            SparseStore(SHAPE).read(bad)
    with pytest.raises(ValueError, match="of the window's"):
        SparseStore(SHAPE).write(Window(0, 0, 5, 5), np.zeros((5, 6), np.uint32))


def test_memory_goes_where_objects_are() -> None:
    sparse = SparseStore((10**6, 10**6))
    sparse.write(Window(0, 0, 3000, 3000), np.zeros((3000, 3000), np.uint32))
    assert not sparse.written
    sparse.write(Window(999_990, 999_990, 10**6, 10**6), np.ones((10, 10), np.uint32))
    assert sparse.written == [((), Window(999_936, 999_936, 10**6, 10**6))]
    assert sparse.read(Window(999_000, 999_000, 10**6, 10**6)).sum() == 100


def test_a_large_object_takes_little_memory() -> None:
    sparse = SparseStore((8000, 8000))
    for y in range(0, 8000, 1024):
        window = Window(y, 0, min(y + 1024, 8000), 8000)
        sparse.write(window, np.full(window.shape, 7, np.uint32))
    kept = sum(tile.nbytes for tile in sparse._open.values())
    kept += sum(map(len, sparse._packed.values()))
    assert kept < 55e6  # 256 MB as pixels
    assert (sparse.read(Window(7000, 7900, 7900, 8000)) == 7).all()
