"""Finished objects as a data set: of projects and of layers, stacks, and rasters of any size."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_edgeflow._types import AnyArray, Click, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import set_hidden, set_locked
from napari_edgeflow.annotation.objects import ObjectRecord
from napari_edgeflow.annotation.sparse_store import SparseStore
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.gui import finetune_objects
from napari_edgeflow.gui.controller import Controller
from napari_edgeflow.gui.finetune_objects import (
    Pixels,
    ProjectObjects,
    find_layers,
    write_objects,
)

from .fakes import region, squares


def _never(_layer: Any) -> bool:
    return False


def _labels(shape: tuple[int, ...] = (60, 80)) -> Any:
    labels = np.zeros(shape, np.uint16)
    labels[..., 10:25, 10:30] = 7
    labels[..., 35:50, 40:70] = 90
    return labels


# --- layers without a project --------------------------------------------------------------


def test_labels_belong_to_the_image_below_them() -> None:
    first, second = Image(squares(), name="a"), Image(squares(), name="b")
    other = Image(np.zeros((9, 9)), name="small")
    helper, done, empty = Labels(_labels()), Labels(_labels()), Labels(_labels() * 0)
    layers = [first, Points(), second, other, helper, done, empty]
    found, nothing = find_layers(layers, lambda layer: layer is helper)
    assert (found.pixels.name, found.pixels.is_rgb, found.n_objects) == ("b", False, 2)
    assert found.labels is done.data
    assert nothing.n_objects == 0
    (found,) = find_layers([done, first], _never)
    assert found.pixels.name == "a"
    assert find_layers([done, other], _never) == []


def test_a_plane_comes_back_as_it_was(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60000, (60, 80)).astype(np.uint16)
    assert write_objects(find_layers([Image(image), Labels(_labels())], _never), tmp_path) == 1
    (sample,) = FolderDataset(tmp_path)
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.labels, np.searchsorted([0, 7, 90], _labels()))
    assert sample.image.dtype == np.uint16


def test_stacks_and_colours(tmp_path: Path) -> None:
    """Only planes with objects are written; transparency is dropped."""
    stack = np.random.default_rng(1).random((2, 3, 60, 80)).astype(np.float32)
    labels = _labels((2, 3, 60, 80))
    labels[0] = labels[1, 0] = 0
    found = find_layers([Image(stack), Labels(labels)], _never)
    assert found[0].n_objects == 4
    assert write_objects(found, tmp_path / "s") == 2
    for sample, plane in zip(FolderDataset(tmp_path / "s"), stack[1, 1:], strict=True):
        np.testing.assert_array_equal(sample.image, plane)
    colours = np.random.default_rng(2).integers(0, 255, (60, 80, 4)).astype(np.uint8)
    write_objects(find_layers([Image(colours, rgb=True), Labels(_labels())], _never), tmp_path)
    np.testing.assert_array_equal(FolderDataset(tmp_path)[0].image, colours[..., :3])


def test_a_stop_is_heeded(tmp_path: Path) -> None:
    annotated = find_layers([Image(squares()), Labels(_labels())], _never)
    with pytest.raises(Cancelled):
        write_objects(annotated, tmp_path, lambda: True)
    assert not list(tmp_path.iterdir())


# --- projects ------------------------------------------------------------------------------


def _finish(controller: Any, settle: Callable[[Controller], None], *places: Any) -> None:
    for place in places:
        if len(place) > 2:
            controller.viewer.dims.set_point(0, place[0])
        controller.click(place, "positive")
        settle(controller)
        controller.finish()
        settle(controller)


def _of(controller: Any, settle: Callable[[Controller], None]) -> ProjectObjects:
    """The objects of the controller's project."""
    project = controller.project
    got: list[ProjectObjects] = []
    shape = np.asarray(project.image.data).shape
    job = partial(_snapshot, Pixels.of(project.image), shape)
    project.run(job, got.append)
    settle(controller)
    (found,) = got
    return found


def _snapshot(pixels: Pixels, shape: tuple[int, ...], history: Any) -> ProjectObjects:
    return ProjectObjects(pixels, history.state, history.store, shape)


def test_a_project_s_objects_hidden_and_locked_ones_too(
    make_controller: Any, settle: Callable[[Controller], None], tmp_path: Path
) -> None:
    viewer = ViewerModel()
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(squares()))
    settle(controller)
    _finish(controller, settle, (15, 20), (40, 50), (56, 3))
    project = controller.project
    project.do(lambda state, _: set_hidden(state, [1], True))
    project.do(lambda state, _: set_locked(state, [2], True))
    controller.click((30, 5), "positive")  # not finished: not learned from
    settle(controller)
    found = _of(controller, settle)
    assert found.n_objects == 2, "the speck of 12 px is too small"
    assert write_objects([found], tmp_path) == 1
    (sample,) = FolderDataset(tmp_path)
    expected = np.zeros((60, 80), int)
    for number, place in enumerate(((15, 20), (40, 50), (56, 3)), start=1):
        expected[region(squares(), [Click(*place)])] = number
    np.testing.assert_array_equal(sample.labels, expected)
    np.testing.assert_array_equal(sample.image, squares())


def test_every_plane_of_a_project_on_a_stack(
    make_controller: Any, settle: Callable[[Controller], None], tmp_path: Path
) -> None:
    """Those clicked on one plane, and those that a brush drew through several."""
    stack = np.stack([squares(), squares() + np.uint8(7), squares() + np.uint8(20), squares()])
    viewer = ViewerModel()
    controller = make_controller(viewer)
    controller.bind(viewer.add_image(stack))
    settle(controller)
    _finish(controller, settle, (0, 15, 20), (2, 40, 50))
    layer = controller.target
    layer.n_edit_dimensions, layer.brush_size = 3, 9
    layer.paint((2, 10, 60), 7)
    settle(controller)
    painted = [z for z in range(4) if (layer.data[z] == 7).any()]
    assert 1 in painted, "a plane without a record of its own"
    write_objects([_of(controller, settle)], tmp_path)
    found = {int(sample.image[0, 0]): sample for sample in FolderDataset(tmp_path)}
    assert set(found) == {0, 7, 20}
    np.testing.assert_array_equal(found[7].labels > 0, layer.data[1] == 7)
    np.testing.assert_array_equal(found[20].labels > 0, layer.data[2] > 0)
    assert sorted(found[20].areas()) == [1, 2]


class Raster:
    """A lazy level that counts what is read of it, and never gives much at once."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.ndim = shape, np.dtype(np.uint16), len(shape)
        self.n_read = self.most = 0

    def __getitem__(self, key: tuple[Any, ...]) -> AnyArray:
        plane, rows, columns = key if len(key) == 3 else (0, *key)
        y, x = np.ogrid[rows, columns]
        size = y.size * x.size
        self.n_read += size
        self.most = max(self.most, size)
        values: AnyArray = ((y * 3 + x + 1000 * plane) % 65536).astype(np.uint16)
        return values


SIDE = 30_000


def _large(boxes: dict[int, tuple[Window, Any]]) -> tuple[State, SparseStore]:
    store = SparseStore((SIDE, SIDE))
    objects = {}
    for label, (box, plane) in boxes.items():
        store.write(box, np.full(box.shape, label, np.uint32), plane)
        objects[label] = ObjectRecord(label, 1, box, box.height * box.width, plane=plane)
    return State(ClassList().add("a"), objects), store


@pytest.mark.parametrize("plane", [(), (4, None, None)])
def test_a_raster_is_written_in_windows_around_its_objects(tmp_path: Path, plane: Any) -> None:
    near, also = Window(10, 20, 50, 80), Window(700, 600, 740, 690)
    far, neighbour = Window(29_900, 29_950, 30_000, 30_000), Window(2100, 640, 2160, 700)
    state, store = _large(
        {3: (near, plane), 5: (also, plane), 8: (far, plane), 9: (neighbour, plane)}
    )
    raster = Raster((6, SIDE, SIDE) if plane else (SIDE, SIDE))
    found = ProjectObjects(Pixels("big", raster, False), state, store, raster.shape)
    assert found.n_objects == 4
    assert write_objects([found], tmp_path) == 3
    samples = list(FolderDataset(tmp_path))
    shift = 1000 * 4 if plane else 0
    assert [sorted(sample.areas().values()) for sample in samples] == [
        [40 * 60, 40 * 90],
        [100 * 50],
        [60 * 60],
    ]
    first = samples[0]
    assert first.image.shape == (740 + 256, 690 + 256)
    assert first.image[0, 0] == shift
    assert (first.labels[near.slices] == 1).all()
    assert (first.labels[also.slices] == 2).all()
    last = samples[2]
    assert last.image[0, 0] == ((2100 - 256) * 3 + 640 - 256 + shift) % 65536
    assert not last.ignore.any()
    assert raster.n_read < 3_000_000


def test_what_is_seen_of_others_is_ignored(tmp_path: Path) -> None:
    """Both objects see each other; each is learned once."""
    left, right = Window(100, 1900, 200, 2040), Window(100, 2060, 200, 2200)
    state, store = _large({1: (left, ()), 2: (right, ())})
    raster = Raster((SIDE, SIDE))
    objects = ProjectObjects(Pixels("big", raster, False), state, store, raster.shape)
    assert write_objects([objects], tmp_path) == 2
    for sample, (own, other) in zip(
        FolderDataset(tmp_path), ((left, right), (right, left)), strict=True
    ):
        place = Window(0, own.x0 - 256, 456, own.x1 + 256)
        assert sample.areas() == {1: 100 * 140}
        seen = other.intersect(place)
        assert seen is not None
        assert sample.ignore[seen.relative_to(place).slices].all()
        assert int(sample.ignore.sum()) == seen.height * seen.width


def test_an_object_larger_than_memory_is_thinned_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune_objects, "LARGEST_PX", 500**2)
    monkeypatch.setattr(finetune_objects, "CELL_PX", 200)
    box = Window(1000, 1500, 5000, 2500)
    state, store = _large({1: (box, ()), 2: (Window(4000, 3000, 4020, 3030), ())})
    raster = Raster((SIDE, SIDE))
    objects = ProjectObjects(Pixels("big", raster, False), state, store, raster.shape)
    assert write_objects([objects], tmp_path) == 2
    large, small = FolderDataset(tmp_path)
    window = Window(1000 - 256, 1500 - 256, 5000 + 256, 2500 + 256)
    step = 6  # √(4512 · 1512 / 500²), rounded up
    rows, columns = (np.arange(*place, step) for place in ((744, 5256), (1244, 2756)))
    np.testing.assert_array_equal(large.image, (rows[:, None] * 3 + columns[None]) % 65536)
    np.testing.assert_array_equal(
        large.labels == 1,
        ((rows >= 1000) & (rows < 5000))[:, None] & ((columns >= 1500) & (columns < 2500))[None],
    )
    assert small.image.shape == (20 + 512, 30 + 512)
    assert raster.most <= 2 * 500**2
    assert window.height * window.width > 2 * raster.most


def test_planes_along_other_axes_are_read_along_them(tmp_path: Path) -> None:
    stack = np.random.default_rng(4).integers(0, 255, (40, 30, 50)).astype(np.uint8)
    labels = np.zeros(stack.shape, np.uint32)
    labels[5:25, 7, 10:40] = 1
    plane = (None, 7, None)
    record = ObjectRecord(1, 1, Window(5, 10, 25, 40), 600, plane=plane)
    state = State(ClassList().add("a"), {1: record})
    objects = ProjectObjects(Pixels("s", stack, False), state, ArrayStore(labels), stack.shape)
    assert write_objects([objects], tmp_path) == 1
    (sample,) = FolderDataset(tmp_path)
    np.testing.assert_array_equal(sample.image, stack[:, 7])
    np.testing.assert_array_equal(sample.labels, labels[:, 7])
