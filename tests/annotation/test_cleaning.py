"""Clean-up of finished objects: one step, exact undo, neighbours untouched."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_edgeflow._types import AnyArray, Click, PostProcessing, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.cleaning import clean_objects
from napari_edgeflow.annotation.objects import ObjectRecord, measure_labels
from napari_edgeflow.annotation.store import ArrayStore
from napari_edgeflow.inference.cleaning import smooth_outline

HOLES = PostProcessing(fill_holes=True)


def _scene(labels: AnyArray, **about: object) -> tuple[State, ArrayStore]:
    store = ArrayStore(labels.astype(np.uint32))
    objects = {
        label: ObjectRecord(label, 1, box, area, **about)  # type: ignore[arg-type]
        for label, (box, area) in measure_labels(store).items()
    }
    return State(ClassList().add("cell"), objects), store


def _all(store: ArrayStore) -> AnyArray:
    return store.read(Window(0, 0, *store.shape))


def _rings() -> AnyArray:
    labels = np.zeros((40, 60), np.uint32)
    labels[5:25, 5:25] = 1
    labels[10:14, 10:14] = 0
    labels[18:20, 18:20] = 7
    labels[30:32, 30:32] = 1
    labels[5:25, 30:50] = 2
    labels[10:12, 40:42] = 0
    return labels


def test_holes_and_specks_of_objects_as_scipy_sees_them() -> None:
    labels = _rings()
    state, store = _scene(labels)
    change = clean_objects(state, store, [1, 2], PostProcessing(0.4, True, True, 10))
    assert np.array_equal(_all(store), labels), "a command writes nothing"
    after = change.apply(state, store)
    expected = labels.copy()
    for label in (1, 2):
        own = ndimage.binary_fill_holes(labels == label)
        parts, n = ndimage.label(own)
        sizes = ndimage.sum_labels(own, parts, range(n + 1))
        expected[own & (sizes[parts] >= 10) & (expected == 0)] = label
        expected[own & (sizes[parts] < 10)] = 0
    assert np.array_equal(_all(store), expected)
    assert expected[11, 11] == 1
    assert expected[18, 18] == 7
    assert {k: (r.box, r.area_px) for k, r in after.objects.items()} == measure_labels(store)
    assert after.objects[1].settings == PostProcessing(0.5, True, True, 10)
    assert change.title == "clean up object 1, 2"
    assert change.revert(after, store) == state
    assert np.array_equal(_all(store), labels)


def test_neighbours_that_grow_into_the_same_pixels_share_them_once() -> None:
    labels = np.zeros((40, 40), np.uint32)
    labels[5:35, 5:19] = 1
    labels[5:35, 21:35] = 2
    labels[18:22, 14:19] = labels[18:22, 21:26] = 0
    labels[19, 19] = 1
    labels[20, 20] = 2
    state, store = _scene(labels)
    after = clean_objects(state, store, [1, 2], PostProcessing(smooth_px=6)).apply(state, store)
    assert {k: (r.box, r.area_px) for k, r in after.objects.items()} == measure_labels(store)
    one = smooth_outline(np.pad(labels == 1, 9), 6)[9:-9, 9:-9]
    assert np.array_equal(_all(store) == 1, one & (labels != 2))


def test_clicks_and_locks_are_respected() -> None:
    state, store = _scene(_rings(), clicks=(Click(11, 11, False), Click(30, 30)))
    with pytest.raises(ValueError, match="something to clean up"):
        clean_objects(state, store, [1], PostProcessing(0.5, True, False, 10))
    change = clean_objects(state, store, [1, 2], HOLES)
    after = change.apply(state, store)
    assert list(change.objects) == [2], "the one hole has a click, the other another object"
    assert (_all(store)[10:14, 10:14] == 0).all(), "a negative click keeps its hole"
    assert _all(store)[11, 41] == 2
    locked = replace(after, objects={2: replace(state.objects[2], is_locked=True)})
    change.revert(after, store)
    with pytest.raises(ValueError, match="locked"):
        clean_objects(locked, store, [2], HOLES)
    with pytest.raises(ValueError, match="none of"):
        clean_objects(state, store, [99], HOLES)


def test_what_would_vanish_stays() -> None:
    labels = np.zeros((20, 20), np.uint32)
    labels[10, 2:18] = 3
    state, store = _scene(labels)
    with pytest.raises(ValueError, match="something to clean up"):
        clean_objects(state, store, [3], PostProcessing(smooth_px=4))
