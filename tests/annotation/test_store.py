"""Label stores, overlap rules and measured objects, against plain NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    ObjectRecord,
    PostProcessing,
    measure_labels,
    tight_box,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane, find_overlaps, place_mask


def test_the_caller_s_array_is_the_store() -> None:
    array = np.zeros((6, 8), np.uint16)
    store = ArrayStore(array)
    assert (store.shape, store.next_id, store.is_persistent) == ((6, 8), 1, False)
    window = Window(1, 2, 3, 5)
    store.write(window, np.full((2, 3), 7))
    assert array[1:3, 2:5].tolist() == [[7] * 3] * 2
    assert array.sum() == 42
    assert store.next_id == 8
    copy = store.read(window)
    assert copy.dtype == np.uint32
    copy[:] = 0
    assert array.sum() == 42
    store.write(window, np.zeros((2, 3), np.uint32))
    assert store.next_id == 8  # ids are not used again


def test_planes_of_a_stack() -> None:
    array = np.zeros((3, 6, 2, 8), np.uint32)
    store = ArrayStore(array, axes=(1, 3))
    assert store.shape == (6, 8)
    plane = (2, None, 1, None)
    store.write(Window(0, 1, 2, 3), np.full((2, 2), 5, np.uint32), plane)
    assert array[2, 0:2, 1, 1:3].tolist() == [[5, 5], [5, 5]]
    assert array.sum() == 20
    assert StoredPlane(store, plane).read(Window(0, 0, 6, 8)).sum() == 20
    with pytest.raises(ValueError, match=r"a plane of labels of shape \(3, 6, 2, 8\), got none"):
        store.read(Window(0, 0, 1, 1))
    with pytest.raises(ValueError, match="plane of 4 axes"):
        store.read(Window(0, 0, 1, 1), (None, None))


def test_what_is_refused() -> None:
    store = ArrayStore(np.zeros((6, 8), np.uint8))
    with pytest.raises(ValueError, match=r"inside \(6, 8\) px"):
        store.read(Window(0, 0, 7, 8))
    with pytest.raises(ValueError, match="room for the id 256, got uint8"):
        store.write(Window(0, 0, 1, 1), np.full((1, 1), 256))
    with pytest.raises(ValueError, match=r"window's \(1, 1\), got \(2, 2\)"):
        store.write(Window(0, 0, 1, 1), np.ones((2, 2), int))
    with pytest.raises(ValueError, match="integer type"):
        ArrayStore(np.zeros((6, 8)))
    with pytest.raises(ValueError, match="≥ 0, got -1"):
        ArrayStore(np.full((6, 8), -1))


small_labels = hnp.arrays(np.uint32, (7, 9), elements=st.integers(0, 4))
small_masks = hnp.arrays(bool, (7, 9))


@given(small_labels, small_masks, st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_who_keeps_which_pixel(labels: AnyArray, mask: AnyArray, label: int) -> None:
    on_top = place_mask(labels, mask, label, "new_on_top", protected=(2,))
    careful = place_mask(labels, mask, label, "old_protected")
    for at in np.ndindex(labels.shape):
        before = int(labels[at])
        left = 0 if before == label else before
        is_locked = before == 2 and label != 2
        assert on_top[at] == (label if mask[at] and not is_locked else left)
        assert careful[at] == (label if mask[at] and before in (0, label) else left)
    found = find_overlaps(labels, mask, label)
    others = {i for i in range(1, 5) if i != label and (labels[mask] == i).any()}
    assert found == {i: int((labels[mask] == i).sum()) for i in others}


@given(hnp.arrays(np.uint32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)))  # fmt: skip  # noqa: E501
@settings(max_examples=60, deadline=None)
def test_boxes_and_areas(labels: AnyArray) -> None:
    found = measure_labels(StoredPlane(ArrayStore(labels)))
    assert list(found) == sorted(set(labels.ravel().tolist()) - {0})
    for label, (box, area) in found.items():
        rows, columns = np.nonzero(labels == label)
        assert area == len(rows)
        assert box == Window(
            int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1
        )


def test_objects_across_tiles_are_measured_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((1030, 2050), np.uint32)
    labels[1000:1030, 1020:2050] = 9
    assert measure_labels(StoredPlane(ArrayStore(labels))) == {
        9: (Window(1000, 1020, 1030, 2050), 30 * 1030)
    }


def test_tight_boxes() -> None:
    mask = np.zeros((5, 5), bool)
    assert tight_box(mask, Window(10, 10, 15, 15)) is None
    mask[2, 1:4] = True
    assert tight_box(mask, Window(10, 20, 15, 25)) == Window(12, 21, 13, 24)


def test_annotations_of_an_image() -> None:
    labels = np.zeros((5, 6), np.uint32)
    labels[1:3, 2:4] = 3
    labels[2, 3] = 0
    record = ObjectRecord(3, 1, Window(1, 2, 3, 4), 3)
    image, reader = ImageInfo("folder/a.b.tif", (5, 6)), StoredPlane(ArrayStore(labels))
    annotations = AnnotationSet(image, ClassList().add("cell"), (record,), reader)
    assert annotations.class_of(record).name == "cell"
    assert annotations.mask_of(record).tolist() == [[True, True], [True, False]]
    assert (image.stem, image.whole) == ("a.b", Window(0, 0, 5, 6))
    with pytest.raises(ValueError, match=r"image's shape \(5, 7\), got \(5, 6\)"):
        AnnotationSet(ImageInfo("a", (5, 7)), ClassList(), (), reader)
    with pytest.raises(ValueError, match="id of a class"):
        AnnotationSet(image, ClassList(), (record,), reader)


@pytest.mark.parametrize(
    "change", [{"threshold": 0.0}, {"threshold": 1.0}, {"min_part_px": -1}, {"smooth_px": -1.0}]
)
def test_settings_that_are_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        PostProcessing(**change)
