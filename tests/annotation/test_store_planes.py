"""Stacks of planes in the store on disk, against a plain array and other readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster

STACK, PLANE = (2, 3), (700, 1100)


def _write(store: ZarrStore, model: AnyArray, n: int = 6) -> None:
    """The same random boxes on random planes of both."""
    draw = np.random.default_rng(0)
    for _ in range(n):
        y, x = draw.integers(0, 600, 2).tolist()
        window = Window(y, x, min(y + 300, PLANE[0]), x + 400)
        at = tuple(int(draw.integers(side)) for side in STACK)
        labels = draw.integers(0, 2**32, window.shape, dtype=np.uint32)
        store.write(window, labels, (*at, None, None))
        model[at][window.slices] = labels


def _check(store: ZarrStore, model: AnyArray) -> None:
    for number, level in enumerate(store.levels):
        np.testing.assert_array_equal(np.asarray(level), model[..., :: 2**number, :: 2**number])


@pytest.mark.parametrize("flushes", [False, True])
def test_every_plane_keeps_its_own_labels(tmp_path: Path, flushes: bool) -> None:
    path = tmp_path / "labels.zarr"
    store, model = ZarrStore.create(path, (*STACK, *PLANE)), np.zeros((*STACK, *PLANE), np.uint32)
    assert (store.shape, store.array_shape) == (PLANE, (*STACK, *PLANE))
    _write(store, model)
    if flushes:
        store.flush()
        assert store.n_unflushed == 0
        store = ZarrStore.open(path)
    _check(store, model)
    whole = Window(0, 0, *PLANE)
    for at in np.ndindex(*STACK):
        np.testing.assert_array_equal(store.read(whole, (*at, None, None)), model[at])


def test_levels_of_a_stack_are_read_like_arrays(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", (*STACK, *PLANE))
    model = np.zeros((*STACK, *PLANE), np.uint32)
    _write(store, model)
    level = store.levels[0]
    for key in (
        np.s_[1], np.s_[1, 2], np.s_[0, -1, 5], np.s_[:, 1, 3:9, 4], np.s_[..., 300:310],
        np.s_[::-1, 2:0:-1, 10:600:7, ::-5], np.s_[1, :, 600:500], np.s_[1, ..., 8],
    ):  # fmt: skip
        np.testing.assert_array_equal(level[key], model[key], err_msg=str(key))
    with pytest.raises(IndexError):
        level[2]
    with pytest.raises(IndexError):
        level[0, 0, 0, 0, 0]


def test_only_chunks_with_labels_take_room(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    store = ZarrStore.create(path, (10_000, 50_000, 50_000))
    window = Window(49_990, 49_980, 50_000, 50_000)
    store.write(window, np.full(window.shape, 7), (9999, None, None))
    store.write(Window(0, 0, 3, 3), np.full((3, 3), 8), (4, None, None))
    store.flush()
    assert len([file for file in (path / "0" / "c").rglob("*") if file.is_file()]) == 2
    store.write(Window(600, 0, 601, 1), np.full((1, 1), 9), (4, None, None))  # not on disk yet
    corner = Window(97 * 512, 97 * 512, 50_000, 50_000)
    assert store.filled() == [
        ((4, None, None), Window(0, 0, 512, 512)),
        ((4, None, None), Window(512, 0, 1024, 512)),
        ((9999, None, None), corner),
    ]
    assert (ZarrStore.open(path).read(window, (9999, None, None)) == 7).all()


def test_chunks_of_a_plain_image_that_hold_labels(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", PLANE)
    assert store.filled() == []
    store.write(Window(0, 0, 2, 2), np.ones((2, 2), int))
    assert store.filled() == [((), Window(0, 0, 512, 512))]
    store.flush()
    assert store.filled() == [((), Window(0, 0, 512, 512))]


@pytest.mark.parametrize(
    ("stack", "axes"),
    [((), ""), ((2,), "z"), ((2, 3), "tz"), ((2, 1, 2), "tcz")],
)
def test_other_readers_find_the_planes(tmp_path: Path, stack: tuple[int, ...], axes: str) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", (*stack, *PLANE))
    at = tuple(side - 1 for side in stack)
    labels = np.random.default_rng(1).integers(0, 99, PLANE, dtype=np.uint32)
    store.write(Window(0, 0, *PLANE), labels, (*at, None, None) if stack else ())
    store.flush()
    judge: Any = zarr.open_group(tmp_path / "labels.zarr", mode="r")
    np.testing.assert_array_equal(judge["1"][at], labels[::2, ::2])
    multiscale = judge.attrs["ome"]["multiscales"][0]
    assert "".join(axis["name"] for axis in multiscale["axes"]) == f"{axes}yx"
    scale = multiscale["datasets"][1]["coordinateTransformations"][0]["scale"]
    assert scale == [*(1.0 for _ in stack), 2.0, 2.0]
    if "c" not in axes:  # channels are bands there, not planes
        raster = open_raster(tmp_path / "labels.zarr", index=at or None)
        assert isinstance(raster, ArrayRaster)
        assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
        np.testing.assert_array_equal(raster.read(Window(0, 0, *PLANE))[:, :, 0], labels)


@pytest.mark.parametrize(
    "plane", [(), (None, None), (0, None, None), (None, 0, None), (0, 5, None), (3, None, None)]
)
def test_planes_that_are_none(tmp_path: Path, plane: Any) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", (3, 40, 50))
    window = Window(0, 0, 1, 1)
    if plane == (0, None, None):
        store.write(window, np.ones((1, 1), int), plane)
        return
    with pytest.raises(ValueError, match="expected a plane"):
        store.write(window, np.ones((1, 1), int), plane)
    with pytest.raises(ValueError, match="expected a plane"):
        store.read(window, plane)


def test_steps_on_planes_come_back_after_the_mark(tmp_path: Path, quick_disk: None) -> None:
    """Flushed, and later steps in the journal alone; every plane as a store in memory has it."""
    image = ImageInfo("a.tif", PLANE)
    store = ZarrStore.create(tmp_path / "a.zarr", (3, *PLANE))
    with Journal.open(tmp_path / "a.journal") as journal:
        history = History.begin(journal, image, store, State(ClassList().add("cell")))
        for number in range(6):
            plane = (number % 3, None, None)
            window = Window(400 + 20 * number, 450, 500 + 20 * number, 560)
            mask = np.ones(window.shape, bool)
            about = NewObject(1, plane=plane)
            history.do(commit_object(history.state, store, window, mask, about, "new_on_top"))
            if number == 3:
                store.flush()
        history.undo()
        again = ZarrStore.open(tmp_path / "a.zarr")
        resumed = History.resume(journal, again)
        assert resumed.state == history.state
        assert resumed.n_redo == 1
        for number, level in enumerate(again.levels):
            np.testing.assert_array_equal(np.asarray(level), np.asarray(store.levels[number]))
        assert np.unique(again.levels[0]).tolist() == [0, 1, 2, 3, 4, 5]
        resumed.redo()
        assert (again.read(Window(500, 450, 501, 451), (2, None, None)) == 6).all()
