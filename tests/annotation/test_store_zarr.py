"""The store on disk against a plain array: windows, levels, restarts, ids and threads."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.store import LabelStore, StoredPlane
from napari_edgeflow.annotation.store_level import CHUNK
from napari_edgeflow.annotation.store_zarr import ZarrStore
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster

SHAPE = (1301, 2047)


def _labels(*shape: int, seed: int = 0) -> AnyArray:
    return np.random.default_rng(seed).integers(0, 2**32, shape, dtype=np.uint32)


def _check_levels(levels: Any, model: AnyArray) -> None:
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(np.asarray(level), model[:: 2**number, :: 2**number])


@given(
    st.lists(
        st.tuples(
            st.integers(0, SHAPE[0] - 1), st.integers(0, SHAPE[1] - 1),
            st.integers(1, 700), st.integers(1, 700), st.booleans(),
        ),
        min_size=1, max_size=5,
    ),
)  # fmt: skip
@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_level_follows_every_write(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int, int, int, bool]]
) -> None:
    path = tmp_path_factory.mktemp("store") / "labels.zarr"
    store, model = ZarrStore.create(path, SHAPE), np.zeros(SHAPE, np.uint32)
    for seed, (y, x, h, w, flushes) in enumerate(writes):
        window = Window(y, x, min(y + h, SHAPE[0]), min(x + w, SHAPE[1]))
        model[window.slices] = labels = _labels(*window.shape, seed=seed)
        store.write(window, labels)
        if flushes:
            store.flush()
    _check_levels(store.levels, model)
    np.testing.assert_array_equal(store.read(Window(0, 0, *SHAPE)), model)
    store.flush()
    assert store.n_unflushed == 0
    _check_levels(ZarrStore.open(path).levels, model)


def test_another_reader_finds_an_ome_zarr(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", SHAPE)
    labels = _labels(300, 400)
    store.write(Window(500, 500, 800, 900), labels)
    store.flush()
    raster = open_raster(tmp_path / "labels.zarr")
    assert isinstance(raster, ArrayRaster)
    assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
    np.testing.assert_array_equal(raster.read(Window(500, 500, 800, 900))[:, :, 0], labels)
    judge: Any = zarr.open_group(tmp_path / "labels.zarr", mode="r")
    np.testing.assert_array_equal(judge["1"][250:400, 250:450], labels[::2, ::2])
    assert judge["0"].chunks == (CHUNK, CHUNK)


def test_ids_above_two_to_the_24_and_empty_chunks(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    store = ZarrStore.create(path, (50_000, 50_000))
    corner = Window(49_990, 49_980, 50_000, 50_000)
    ids = np.full(corner.shape, 2**24 + 1, np.uint32)
    ids[0] = 2**32 - 1
    store.write(corner, ids)
    store.flush()
    np.testing.assert_array_equal(ZarrStore.open(path).read(corner), ids)
    assert len(list((path / "0").rglob("c/*/*"))) == 1  # one chunk of 9604
    store.write(corner, np.zeros_like(ids))
    store.flush()
    assert not list((path / "0").rglob("c/*/*"))


def test_levels_are_read_like_arrays(tmp_path: Path) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", SHAPE)
    store.write(Window(3, 4, 900, 1200), _labels(897, 1196))
    model = store.read(Window(0, 0, *SHAPE))
    level = store.levels[0]
    for key in (
        np.s_[5], np.s_[-1], np.s_[5, 6], np.s_[:, 7], np.s_[600:500], np.s_[10:700:3, ::-5],
        np.s_[..., 8], np.s_[...], np.s_[:, -3:], np.s_[np.int64(4), 1:5],
    ):  # fmt: skip
        np.testing.assert_array_equal(level[key], model[key], err_msg=str(key))
    assert (level.shape, level.ndim, len(level)) == (SHAPE, 2, SHAPE[0])
    with pytest.raises(IndexError):
        level[SHAPE[0]]
    with pytest.raises(IndexError):
        level[0, 0, 0]


def test_napari_shows_the_levels(tmp_path: Path) -> None:
    from napari.layers import Labels

    store = ZarrStore.create(tmp_path / "labels.zarr", SHAPE)
    layer = Labels(list(store.levels), multiscale=True)
    assert not layer.editable
    store.write(Window(0, 0, *SHAPE), np.full(SHAPE, 9, np.uint32))
    np.testing.assert_array_equal(np.asarray(layer.data[-1]), 9)


def test_the_next_id_is_never_one_that_was_used(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    store = ZarrStore.create(path, (600, 600))
    assert store.next_id == 1
    window = Window(0, 0, 1, 1)
    used = set()
    for _ in range(5):
        label = store.next_id
        assert label not in used
        used.add(label)
        store.write(window, np.full((1, 1), label))
        store.write(window, np.zeros((1, 1), int))  # deleted again
        store.flush()
        store = ZarrStore.open(path)


def test_it_is_a_label_store(tmp_path: Path) -> None:
    store: LabelStore = ZarrStore.create(tmp_path / "labels.zarr", (40, 50))
    assert (store.shape, store.is_persistent) == ((40, 50), True)
    store.write(Window(0, 0, 2, 2), np.array([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(
        StoredPlane(store).read(Window(0, 0, 2, 3)), [[1, 2, 0], [3, 4, 0]]
    )
    store.read(Window(0, 0, 2, 2))[:] = 7  # a copy
    assert store.read(Window(0, 0, 2, 2)).max() == 4


def test_writing_goes_on_while_a_thread_flushes(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    store = ZarrStore.create(path, (1100, 1100))
    model = np.zeros((1100, 1100), np.uint32)
    done = threading.Event()

    def keep_flushing() -> None:
        while not done.is_set():
            store.flush()

    thread = threading.Thread(target=keep_flushing)
    thread.start()
    try:
        for seed in range(12):
            y, x = np.random.default_rng(seed).integers(0, 900, 2).tolist()
            window = Window(y, x, y + 200, x + 200)
            model[window.slices] = labels = _labels(200, 200, seed=seed)
            store.write(window, labels)
            np.testing.assert_array_equal(store.read(window), labels)
    finally:
        done.set()
        thread.join()
    store.flush()
    _check_levels(ZarrStore.open(path).levels, model)


@pytest.mark.parametrize(
    ("window", "labels", "message"),
    [
        (Window(0, 0, 2, 61), np.zeros((2, 61), int), "window inside"),
        (Window(0, 0, 2, 2), np.zeros((2, 3), int), "the window's"),
        (Window(0, 0, 2, 2), np.zeros((2, 2)), "integer labels"),
        (Window(0, 0, 1, 1), np.array([[-1]]), "ids of 0"),
        (Window(0, 0, 1, 1), np.array([[2**32]]), "ids of 0"),
    ],
)
def test_writes_that_make_no_sense(
    tmp_path: Path, window: Window, labels: AnyArray, message: str
) -> None:
    store = ZarrStore.create(tmp_path / "labels.zarr", (50, 60))
    with pytest.raises(ValueError, match=message):
        store.write(window, labels)
    assert store.n_unflushed == 0
    with pytest.raises(ValueError, match="last two of 2 axes"):
        store.read(Window(0, 0, 1, 1), (0, None, None))


def test_stores_that_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "labels.zarr"
    ZarrStore.create(path, (50, 60))
    with pytest.raises(RasterError, match="expected a new folder"):
        ZarrStore.create(path, (50, 60))
    with pytest.raises(RasterError, match=r"cannot be read.*check the path"):
        ZarrStore.open(tmp_path / "other.zarr")
    document = json.loads((path / "0" / "zarr.json").read_text())
    document["data_type"] = "int16"
    (path / "0" / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(RasterError, match="made by another program"):
        ZarrStore.open(path)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.zarr"
    store = ZarrStore.create(path, (600, 700))
    labels = _labels(600, 700)
    store.write(Window(0, 0, 600, 700), labels)

    def refuse(self: Any, key: Any, value: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__setitem__", refuse)
        with pytest.raises(RasterError, match="No space left"):
            store.flush()
    assert store.n_unflushed > 0
    store.flush()
    np.testing.assert_array_equal(ZarrStore.open(path).read(Window(0, 0, 600, 700)), labels)
