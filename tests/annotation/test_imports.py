"""Masks from files, and their way into a history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.import_mask import read_mask
from napari_edgeflow.annotation.imports import ImportedImage, ImportedObject, add_imported
from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.objects import ImageInfo, measure_labels
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import AnnotationError


def _labels(dtype: Any = np.uint16) -> AnyArray:
    labels = np.zeros((20, 30), dtype)
    labels[2:8, 3:9] = 2
    labels[4:6, 5:7] = 0
    labels[8:12, 9:15] = 2  # touches the first at a corner
    labels[15:, 25:] = 5
    return labels


@pytest.mark.parametrize("name", ["a.png", "a.tif", "p.png"])
def test_a_mask_of_objects(tmp_path: Path, name: str) -> None:
    path, labels = tmp_path / name, _labels()
    if name == "p.png":
        picture = Image.fromarray(labels.astype(np.uint8)).convert("L")
        picture.putpalette([0, 0, 0] + [250, 0, 0] * 10)
        picture.save(path)
    elif name == "a.png":
        Image.fromarray(labels).save(path)
    else:
        tifffile.imwrite(path, labels[None])
    image = read_mask(path)
    assert (image.image.shape, [c.name for c in image.classes]) == ((20, 30), ["object"])
    back = np.zeros((20, 30), int)
    for one, label in zip(image.objects, (2, 5), strict=True):
        back[one.window.slices][one.mask] = label
    np.testing.assert_array_equal(back, labels)


def test_a_mask_of_classes_becomes_an_object_for_each_part(tmp_path: Path) -> None:
    labels = _labels()
    labels[0, 29] = 5
    tifffile.imwrite(tmp_path / "a.tif", labels)
    image = read_mask(tmp_path / "a.tif", "classes", ClassList().add("one").add("two"))
    assert [(c.id, c.name) for c in image.classes] == [(1, "one"), (2, "two"), (5, "class 5")]
    assert [(one.class_id, int(one.mask.sum())) for one in image.objects] == [
        (2, 56), (5, 1), (5, 25)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5, 3), np.uint8), r"one channel of whole numbers, got shape \(4, 5, 3\)"),
        (np.zeros((4, 5), np.float32), "float32; save it as a label image"),
        (np.full((4, 5), -1, np.int16), "ids from 0 to 2³² − 1, got -1 to -1"),
    ],
)
def test_images_that_are_no_masks(tmp_path: Path, array: AnyArray, message: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", array, photometric=None)
    with pytest.raises(AnnotationError, match=message):
        read_mask(tmp_path / "a.tif")


def test_files_that_are_no_images(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(AnnotationError, match="cannot be read as a PNG or TIFF mask"):
            read_mask(tmp_path / name)
        with pytest.raises(AnnotationError, match="cannot be read"):
            read_mask(tmp_path / f"missing-{name}")


def _object(y0: int, x0: int, y1: int, x1: int, class_id: int = 1) -> ImportedObject:
    return ImportedObject(Window(y0, x0, y1, x1), np.ones((y1 - y0, x1 - x0), bool), class_id)


def test_imported_objects_are_one_step_that_can_be_undone(tmp_path: Path) -> None:
    store = ArrayStore(np.zeros((20, 30), np.uint32))
    store.write(Window(0, 0, 4, 4), np.full((4, 4), 7))
    theirs = ClassList().add("b").add("new").add("a")
    objects = (_object(2, 2, 10, 10, 3), _object(5, 5, 8, 8, 2), _object(1, 1, 3, 3))
    imported = ImportedImage(ImageInfo("x", (20, 30)), theirs, objects, ("a note",))
    with Journal.open(tmp_path / "a.journal") as journal:
        image = ImageInfo("x", (20, 30))
        history = History.begin(journal, image, store, State(ClassList().add("a").add("b")))
        before = store.read(image.whole)
        change, notes = add_imported(history.state, store, imported)
        history.do(change)
        expected = before.copy()
        expected[2:10, 2:10] = 8
        expected[5:8, 5:8] = 9
        expected[:4, :4] = 7
        np.testing.assert_array_equal(store.read(image.whole), expected)
        records = history.state.objects
        assert {i: r.class_id for i, r in records.items()} == {8: 1, 9: 3}
        assert history.state.classes.get(3).name == "new"
        measured = measure_labels(StoredPlane(store))
        assert {i: (r.box, r.area_px) for i, r in records.items()} == {
            i: measured[i] for i in (8, 9)
        }
        assert notes == (
            "a note",
            "1 of 3 objects lie wholly under others: left out",
            "objects of the file overlap on 10 px: the smaller one has them",
            "7 px stay with the objects that were there before",
        )
        history.undo()
        np.testing.assert_array_equal(store.read(image.whole), before)
        assert history.state.objects == {}
        assert len(history.state.classes) == 2


def test_imports_that_are_refused() -> None:
    store = ArrayStore(np.ones((20, 30), np.uint32))
    history = History.begin(MemoryLog(), ImageInfo("x", (20, 30)), store)
    classes = ClassList().add("a")
    for image, objects, message in (
        (ImageInfo("y", (30, 20)), (), r"of \(20, 30\) px, got y of \(30, 20\)"),
        (ImageInfo("y", (20, 30)), (), "objects in y, got none"),
        (ImageInfo("y", (20, 30)), (_object(0, 0, 3, 3),), "the labels are taken"),
    ):
        with pytest.raises(ValueError, match=message):
            add_imported(history.state, store, ImportedImage(image, classes, objects))
