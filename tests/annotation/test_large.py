"""Objects that are kept in cells: written tile by tile, the same as at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, MaskPatch, Prediction, Window
from napari_edgeflow.annotation.changes import (
    Change,
    Draft,
    LabelPatch,
    State,
    change_from_record,
    change_to_record,
)
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.commands import NewObject, commit_object
from napari_edgeflow.annotation.large import commit_prediction
from napari_edgeflow.annotation.objects import ObjectRecord, measure_labels
from napari_edgeflow.annotation.store import ArrayStore, OverlapRule, StoredPlane
from napari_edgeflow.annotation.tiling import erase, tiles_of

SHAPE = (60, 70)
ABOUT = NewObject(1, created="now")


def _state(labels: AnyArray, locked: int = 0) -> State:
    """Objects with the boxes and areas of these labels."""
    found = measure_labels(StoredPlane(ArrayStore(labels.copy())))
    objects = {
        label: ObjectRecord(label, 1, box, area, is_locked=label == locked)
        for label, (box, area) in found.items()
    }
    return State(ClassList().add("a"), objects)


def _scene(seed: int) -> AnyArray:
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE, np.uint32)
    for label in (1, 2, 3):
        y, x = rng.integers(0, 40, 2)
        labels[y : y + 15, x : x + 25] = label
    return labels


def _in_cells(mask: AnyArray, window: Window, scale: int) -> Prediction:
    """The mask in cells that say nothing true, under patches of pixels that do."""
    shape = -(-window.height // scale), -(-window.width // scale)
    rng = np.random.default_rng(0)
    patches = tuple(
        MaskPatch(tile, mask[tile.relative_to(window).slices].copy())
        for tile in tiles_of(window, 13)
    )
    cells = rng.random(shape) > 0.5
    return Prediction(window, cells.astype(np.float32), cells, 0.5, scale, 1.0, patches)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["old_protected", "new_on_top"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([0, 3]),
)
def test_tile_by_tile_equals_at_once(
    seed: int, rule: OverlapRule, corrects: int | None, locked: int
) -> None:
    labels, window = _scene(seed), Window(5, 3, 55, 64)
    rng = np.random.default_rng(seed + 1)
    mask = np.zeros(window.shape, bool)
    y, x = rng.integers(0, 25, 2)
    mask[y : y + 25, x : x + 30] = rng.random((25, 30)) > 0.2
    state = _state(labels, locked)
    if corrects is not None and corrects in state.objects:
        state = replace(state, drafts={(): Draft(corrects=corrects)})
    results: list[tuple[AnyArray, Mapping[int, ObjectRecord]] | None] = []
    cells = _in_cells(mask, window, 4)
    for is_tiled in (False, True):
        store = ArrayStore(labels.copy())
        try:
            if is_tiled:
                change = commit_prediction(state, store, cells, ABOUT, rule, 16)
            else:
                change = commit_object(state, store, window, mask, ABOUT, rule)
        except ValueError:
            results.append(None)
            continue
        after = change.apply(state, store)
        written = store.array.copy()
        again = change_from_record(change_to_record(change))
        assert again.revert(after, store).objects == state.objects
        np.testing.assert_array_equal(store.array, labels)
        results.append((written, after.objects))
    if results[0] is None or results[1] is None:
        assert results[0] is results[1]
        return
    np.testing.assert_array_equal(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_prediction_of_pixels_is_committed_as_before() -> None:
    window = Window(5, 5, 15, 25)
    mask = np.ones(window.shape, bool)
    store = ArrayStore.empty(SHAPE)
    change = commit_prediction(
        _state(store.array), store, Prediction(window, mask.astype(np.float32), mask, 1.0), ABOUT
    )
    assert [patch.window for patch in change.patches] == [window]
    plain = change.objects[1][1]
    assert plain is not None
    assert not plain.is_edited
    refined = Prediction(window, mask.astype(np.float32), mask, 1.0, is_refined=True)
    change = commit_prediction(_state(store.array), store, refined, ABOUT)
    edited = change.objects[1][1]
    assert edited is not None
    assert edited.is_edited, "taking it up again starts from its mask"
    with pytest.raises(ValueError, match="empty"):
        commit_prediction(_state(store.array), store, _in_cells(~mask, window, 2), ABOUT)


@pytest.mark.parametrize("is_all", [True, False])
def test_large_patches_of_one_id_take_little_memory_and_come_back(is_all: bool) -> None:
    window = Window(0, 0, 300, 400)
    old, new = np.zeros(window.shape, np.uint32), np.full(window.shape, 7, np.uint32)
    if not is_all:
        new[:100] = 0
    patch = LabelPatch.between(window, old, new)
    held = sum(
        part.nbytes if any(part.strides) else 0 for part in (patch.is_changed, patch.old, patch.new)
    )
    assert held == (0 if is_all else 120_000)
    change = Change("commit", "", patches=(patch, LabelPatch.between(window, new, old)))
    record = change_to_record(change)
    assert len(record.payload) < 1_000
    store = ArrayStore.empty((300, 400))
    again = change_from_record(record)
    again.patches[0].write(store, again.patches[0].new)
    np.testing.assert_array_equal(store.array, new)
    again.patches[1].write(store, again.patches[1].new)
    assert not store.array.any()


def test_tiles_cover_the_window_once() -> None:
    counts = np.zeros((50, 60), int)
    for tile in tiles_of(Window(3, 17, 47, 59), 16):
        counts[tile.slices] += 1
    assert (counts[3:47, 17:59] == 1).all()
    assert counts.sum() == 44 * 42


def test_an_object_is_erased_tile_by_tile() -> None:
    labels = _scene(5)
    store, record = ArrayStore(labels.copy()), _state(labels).objects[3]
    patches = erase(store, record, 16)
    assert len(patches) > 1
    for patch in patches:
        patch.write(store, patch.new)
    np.testing.assert_array_equal(store.array, np.where(labels == 3, 0, labels))
