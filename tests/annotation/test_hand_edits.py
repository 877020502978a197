"""Painted labels as steps: records agree with the pixels, whatever was painted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.hand_edits import hand_edits
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import (
    ImageInfo,
    ObjectRecord,
    PlaneIndex,
    measure_labels,
)
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane

SHAPE = (600, 40)


def _history(labels: AnyArray, plane: PlaneIndex = ()) -> History:
    store = ArrayStore(labels)
    measured = measure_labels(StoredPlane(store, plane))
    objects = {i: ObjectRecord(i, 1, box, area, plane=plane) for i, (box, area) in measured.items()}
    state = State(ClassList().add("cell").add("nucleus"), objects)
    return History(MemoryLog(), ImageInfo("a", SHAPE), state, store)


def _two() -> AnyArray:
    labels = np.zeros(SHAPE, np.uint16)
    labels[2:10, 2:10], labels[500:520, 5:30] = 1, 2
    return labels


def test_nothing_painted_is_no_step() -> None:
    history = _history(_two())
    assert hand_edits(history.state, history.store, _two(), 1) == (None, ())


def test_gained_lost_new_and_erased_objects_are_measured() -> None:
    history = _history(_two())
    painted = _two()
    painted[4:14, 8:12] = 1
    painted[500:510] = 0
    painted[300:305, 3:6] = 9
    change, redraw = hand_edits(history.state, history.store, painted, 2)
    assert change is not None
    assert redraw == ()
    history.do(change)
    np.testing.assert_array_equal(history.store.read(Window(0, 0, *SHAPE)), painted)
    records = history.state.objects
    assert (records[1].box, records[1].area_px) == (Window(2, 2, 14, 12), 64 + 28)
    assert (records[2].box, records[2].area_px) == (Window(510, 5, 520, 30), 250)
    assert (records[9].box, records[9].class_id) == (Window(300, 3, 305, 6), 2)
    assert all(record.is_edited for record in records.values())
    assert history.next_undo() == "paint object 1, 2, 9"
    history.undo()
    np.testing.assert_array_equal(history.store.read(Window(0, 0, *SHAPE)), _two())
    assert set(history.state.objects) == {1, 2}


def test_a_locked_object_keeps_its_pixels_and_the_box_is_drawn_again() -> None:
    history = _history(_two())
    locked = replace(history.state.objects[1], is_locked=True)
    state = replace(history.state, objects={**history.state.objects, 1: locked})
    painted = _two()
    painted[0:6, 0:6] = 2
    painted[30, 30] = 1
    change, redraw = hand_edits(state, history.store, painted, 1)
    assert change is not None
    assert redraw == (Window(0, 0, 31, 31),)
    assert 1 not in change.objects
    change.apply(state, history.store)
    expected = _two()
    expected[0:6, 0:6] = np.where(_two()[0:6, 0:6] == 1, 1, 2)
    np.testing.assert_array_equal(history.store.read(Window(0, 0, *SHAPE)), expected)


def test_an_object_that_is_painted_over_is_gone() -> None:
    history = _history(_two())
    painted = np.where(_two() == 1, 2, _two())
    change, _ = hand_edits(history.state, history.store, painted, 1)
    assert change is not None
    history.do(change)
    assert set(history.state.objects) == {2}
    assert history.state.objects[2].area_px == 64 + 500


@given(st.lists(st.tuples(*[st.integers(0, 38)] * 4, st.integers(0, 5)), max_size=8))
@settings(max_examples=30, deadline=None)
def test_records_agree_with_the_pixels_after_any_strokes(
    strokes: list[tuple[int, int, int, int, int]],
) -> None:
    history = _history(_two()[:40].copy())
    painted = _two()[:40].copy()
    for y, x, height, width, label in strokes:
        painted[y : y + height + 1, x : x + width + 1] = label
        change, _ = hand_edits(history.state, history.store, painted, 1)
        if change is not None:
            history.do(change)
    measured = measure_labels(StoredPlane(history.store))
    assert {i: (r.box, r.area_px) for i, r in history.state.objects.items()} == measured


@pytest.mark.parametrize("at", [0, 2])
def test_planes_of_a_stack_are_compared_one_by_one(at: int) -> None:
    stack = np.zeros((3, 20, 30), np.uint32)
    plane = (at, None, None)
    history = _history(stack, plane)
    painted = np.zeros((20, 30), np.uint32)
    painted[3:5, 4:8] = 3
    change, _ = hand_edits(history.state, history.store, painted, 1, plane)
    assert change is not None
    history.do(change)
    assert history.state.objects[3].plane == plane
    assert int((stack == 3).sum()) == int((stack[at] == 3).sum()) == 8
