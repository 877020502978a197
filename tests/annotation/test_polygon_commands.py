"""Objects reshaped, split and merged by their outlines, against masks worked out pixel by pixel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import Change, State, change_from_record, change_to_record
from napari_edgeflow.annotation.objects import ObjectRecord, measure_labels
from napari_edgeflow.annotation.polygon_commands import (
    Outline,
    join_boxes,
    outline_pieces,
    read_outlines,
    reshape_objects,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.vector.edit import split
from napari_edgeflow.vector.polygons import Polygon


def _box(y0: float, x0: float, y1: float, x1: float) -> Polygon:
    return Polygon(np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]], dtype=float) - 0.5)


def _start(labels: AnyArray) -> tuple[State, ArrayStore]:
    store = ArrayStore(labels.astype(np.uint32))
    found = measure_labels(StoredPlane(store))
    return State(objects={i: ObjectRecord(i, 1, *found[i]) for i in found}), store


def _squares() -> AnyArray:
    labels = np.zeros((60, 90), int)
    labels[5:25, 5:25] = 1
    labels[10:15, 10:15] = 0  # a hole
    labels[5:25, 25:40] = 2  # beside it
    labels[40:55, 60:85] = 7  # far away
    return labels


def _check_measures(state: State, store: ArrayStore) -> None:
    found = measure_labels(StoredPlane(store))
    assert {r.id: (r.box, r.area_px) for r in state.objects.values()} == found


def _apply_and_back(change: Change, state: State, store: ArrayStore) -> tuple[State, AnyArray]:
    """State and labels after the change as it comes back from disk; undoing it is checked."""
    before = store.array.copy()
    change = change_from_record(change_to_record(change))
    after = change.apply(state, store)
    _check_measures(after, store)
    labels = store.array.copy()
    back = change.revert(after, store)
    np.testing.assert_array_equal(store.array, before)
    assert back.objects == state.objects
    change.apply(state, store)
    return after, labels


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 0.8))
@settings(max_examples=25, deadline=None)
def test_outlines_that_were_not_touched_change_nothing(seed: int, fill: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((17, 23)) < fill, rng.integers(1, 4, (17, 23)), 0)
    state, store = _start(labels)
    outlines, pieces = read_outlines(store, tuple(state.objects.values()))
    for (window, mask), record in zip(pieces, state.objects.values(), strict=True):
        np.testing.assert_array_equal(mask, labels[window.slices] == record.id)
    change = reshape_objects(state, store, outlines, state.objects)
    assert not any(patch.is_changed.any() for patch in change.patches)
    assert all(before == after for before, after in change.objects.values())


def test_one_object_grows_up_to_its_neighbour_or_over_it() -> None:
    state, store = _start(_squares())
    wide = Outline(1, (_box(5, 5, 25, 30),))  # the hole is filled, and 5 columns of object 2
    _, labels = _apply_and_back(reshape_objects(state, store, [wide], [1]), state, store)
    expected = _squares()
    expected[5:25, 5:25] = 1
    np.testing.assert_array_equal(labels, expected)

    state, store = _start(_squares())
    change = reshape_objects(state, store, [wide], [1], "new_on_top")
    after, labels = _apply_and_back(change, state, store)
    expected[5:25, 25:30] = 1
    np.testing.assert_array_equal(labels, expected)
    assert after.objects[2].box == Window(5, 30, 25, 40)
    assert change.title == "reshape object 1"
    swallow = reshape_objects(state, store, [Outline(1, (_box(0, 0, 60, 50),))], [1], "new_on_top")
    assert swallow.objects[2][1] is None


def test_locked_objects_keep_their_pixels_and_are_not_edited() -> None:
    state, store = _start(_squares())
    state = State(objects={**state.objects, 2: replace(state.objects[2], is_locked=True)})
    wide = Outline(1, (_box(5, 5, 25, 30),))
    change = reshape_objects(state, store, [wide], [1], "new_on_top")
    assert 2 not in change.objects
    with pytest.raises(ValueError, match="2 is locked"):
        reshape_objects(state, store, [wide], [1, 2])


def test_an_object_is_split_in_two() -> None:
    state, store = _start(_squares())
    (outline,), _ = read_outlines(store, [state.objects[1]])
    left, right = split(outline.polygons[0], np.array([[0.0, 19.5], [30.0, 19.5]]))
    parts = [Outline(1, (left,)), Outline(1, (right,), is_new=True)]
    change = reshape_objects(state, store, parts, [1])
    after, labels = _apply_and_back(change, state, store)
    expected = _squares()
    expected[5:25, 20:25] = 8
    np.testing.assert_array_equal(labels, expected)
    assert after.objects[8].class_id == 1
    assert after.objects[8].clicks == ()
    assert change.title == "split into objects 1, 8"


def test_objects_far_apart_are_merged_without_a_box_around_both() -> None:
    state, store = _start(_squares())
    outlines, _ = read_outlines(store, [state.objects[2], state.objects[7]])
    merged = Outline(2, outlines[0].polygons + outlines[1].polygons)
    change = reshape_objects(state, store, [merged], [2, 7])
    assert {patch.window for patch in change.patches} == {
        state.objects[2].box,
        state.objects[7].box,
    }
    after, labels = _apply_and_back(change, state, store)
    np.testing.assert_array_equal(labels, np.where(_squares() == 7, 2, _squares()))
    assert 7 not in after.objects
    assert change.title == "merge objects 2, 7"


def test_the_plane_of_the_objects_is_written() -> None:
    array = np.zeros((3, 20, 20), np.uint32)
    array[1, 5:10, 5:10] = 4
    array[2, 5:10, 5:10] = 4
    store = ArrayStore(array)
    record = ObjectRecord(4, 1, Window(5, 5, 10, 10), 25, plane=(1, None, None))
    state = State(objects={4: record})
    reshape_objects(state, store, [Outline(4, (_box(5, 5, 10, 15),))], [4]).apply(state, store)
    assert [(plane == 4).sum() for plane in array] == [0, 50, 25]
    other = replace(record, id=5, plane=(2, None, None))
    with pytest.raises(ValueError, match="one plane"):
        reshape_objects(State(objects={4: record, 5: other}), store, [Outline(4, ())], [4, 5])


def test_what_cannot_be_done_is_said() -> None:
    state, store = _start(_squares())
    with pytest.raises(ValueError, match="none that are free"):
        reshape_objects(state, store, [Outline(1, (_box(5, 26, 25, 40),))], [1])
    with pytest.raises(ValueError, match="which there is none of"):
        reshape_objects(state, store, [Outline(9, ())], [9])


def test_objects_too_large_for_outlines_are_refused_unread() -> None:
    state, store = _start(_squares())
    huge = replace(state.objects[1], box=Window(0, 0, 10_000, 10_000))
    store.read = None  # type: ignore[method-assign, assignment]
    with pytest.raises(ValueError, match=r"within 67 megapixels .* got 100; correct them"):
        read_outlines(store, [huge])
    half = replace(huge, box=Window(0, 0, 3000, 3000))
    with pytest.raises(ValueError, match=r"within 17 megapixels .* got 18"):
        read_outlines(store, [half, replace(half, id=2)])


def test_an_outline_outside_the_image_is_cut_off_and_a_crossing_one_mended() -> None:
    pieces = outline_pieces(Outline(1, (_box(-5, -5, 4, 3), _box(-9, -9, -2, -2))), (60, 90))
    assert [(window, bool(mask.all())) for window, mask in pieces] == [(Window(0, 0, 4, 3), True)]
    bow_tie = Polygon(np.array([[0.0, 0], [10, 10], [0, 10], [10, 0]]))
    pixels = np.zeros((60, 90), int)
    for window, mask in outline_pieces(Outline(1, (bow_tie,)), (60, 90)):
        pixels[window.slices] += mask
    y, x = np.mgrid[:60, :90]
    inside = (np.abs(y - 5) < np.abs(x - 5)) & (x < 10)
    assert (pixels[inside] == 1).all()
    assert abs(int(pixels.sum()) - int(inside.sum())) <= 20  # pixels on the edge itself


@given(st.lists(st.tuples(*[st.integers(0, 30)] * 4), max_size=12))
def test_joined_boxes_cover_and_do_not_overlap(corners: list[tuple[int, int, int, int]]) -> None:
    boxes = [Window(y, x, y + h + 1, x + w + 1) for y, x, h, w in corners]
    joined = join_boxes(boxes)
    count = np.zeros((70, 70), int)
    for box in joined:
        count[box.slices] += 1
    assert count.max(initial=0) <= 1
    assert all(count[box.slices].all() for box in boxes)
