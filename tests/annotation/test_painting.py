"""Painted labels against the plain array: pixels, boxes, areas, ids, undo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object, set_locked
from napari_edgeflow.annotation.history import History
from napari_edgeflow.annotation.objects import ImageInfo, measure_labels
from napari_edgeflow.annotation.painting import paint
from napari_edgeflow.annotation.records import MemoryLog
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane

SHAPE = (30, 40)
WINDOW = Window(5, 6, 25, 32)


def _history() -> History:
    """Objects 1 (crosses the window's border), 2 (inside), 3 (outside)."""
    classes = ClassList().add("cell").add("nucleus")
    history = History.begin(
        MemoryLog(), ImageInfo("a", SHAPE), ArrayStore.empty(SHAPE), State(classes)
    )
    for box in (Window(0, 0, 10, 12), Window(12, 12, 18, 20), Window(26, 33, 29, 39)):
        mask = np.ones(box.shape, bool)
        about = NewObject(class_id=1)
        history.do(commit_object(history.state, history.store, box, mask, about))
    return history


def _all(history: History) -> AnyArray:
    return history.store.read(Window(0, 0, *SHAPE))


def _check(history: History) -> None:
    """Records say what the labels hold."""
    found = measure_labels(StoredPlane(history.store))
    records = {r.id: (r.box, r.area_px) for r in history.state.objects.values()}
    assert records == found


def _paint(history: History, after: AnyArray, before: AnyArray | None = None) -> None:
    start = history.store.read(WINDOW) if before is None else before
    change = paint(history.state, history.store, WINDOW, start, after, 2)
    assert change is not None
    history.do(change)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 19), st.integers(0, 25), st.integers(1, 9), st.integers(1, 9),
            st.sampled_from([0, 1, 2, 4]),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_strokes(strokes: list[tuple[int, int, int, int, int]]) -> None:
    history = _history()
    whole, state = _all(history), history.state
    after = whole[WINDOW.slices].copy()
    for y, x, h, w, label in strokes:
        after[y : y + h, x : x + w] = label
    change = paint(history.state, history.store, WINDOW, whole[WINDOW.slices], after, 2)
    if change is None:
        np.testing.assert_array_equal(after, whole[WINDOW.slices])
        return
    history.do(change)
    expected = whole.copy()
    expected[WINDOW.slices] = after
    np.testing.assert_array_equal(_all(history), expected)
    _check(history)
    if 4 in history.state.objects:
        assert history.state.objects[4].class_id == 2
    history.undo()
    np.testing.assert_array_equal(_all(history), whole)
    assert history.state == state


def test_the_id_of_an_object_elsewhere_is_not_taken() -> None:
    """napari's brush proposes the highest id of the window plus one: that of object 3."""
    history = _history()
    after = history.store.read(WINDOW)
    after[0:2, 20:22] = 3
    _paint(history, after)
    assert (_all(history)[5:7, 26:28] == 4).all()
    assert history.state.objects[3].area_px == 18
    _check(history)


def test_steps_done_meanwhile_stay() -> None:
    history = _history()
    before = history.store.read(WINDOW)
    after = before.copy()
    after[19, 25] = 2
    mask = np.ones((3, 3), bool)
    about = NewObject(class_id=1)
    box = Window(20, 7, 23, 10)
    history.do(commit_object(history.state, history.store, box, mask, about))
    _paint(history, after, before)
    assert (_all(history)[20:23, 7:10] == 4).all()
    assert _all(history)[24, 31] == 2
    _check(history)


def test_locked_objects_stay_as_they_are() -> None:
    history = _history()
    history.do(set_locked(history.state, [2], True))
    after = history.store.read(WINDOW)
    after[:] = np.where(after == 2, 0, after)  # erased
    after[0, 25] = 2  # and enlarged
    after[1, 25] = 1
    _paint(history, after)
    assert history.state.objects[2].area_px == 48
    assert _all(history)[5, 31] == 0
    assert _all(history)[6, 31] == 1
    _check(history)


def test_nothing_painted_is_no_step() -> None:
    history = _history()
    labels = history.store.read(WINDOW)
    assert paint(history.state, history.store, WINDOW, labels, labels.copy(), 1) is None
    with pytest.raises(ValueError, match="expected labels of"):
        paint(history.state, history.store, WINDOW, labels[1:], labels, 1)
