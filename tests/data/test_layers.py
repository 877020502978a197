"""Overlapping objects: none loses a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.layers import one_layer_each, stack_masks
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.training.pack import write_pack

from .published import write_coco

SHAPE = (9, 11)


def random_masks(seed: int, count: int) -> dict[int, np.ndarray]:
    """Boxes anywhere, some of them empty."""
    rng = np.random.default_rng(seed)
    masks = {}
    for i in range(1, count + 1):
        (y0, y1), (x0, x1) = (np.sort(rng.integers(0, n + 1, 2)) for n in SHAPE)
        masks[i] = np.zeros(SHAPE, dtype=bool)
        masks[i][y0:y1, x0:x1] = True
    return masks


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9))
def test_every_mask_is_whole_in_one_layer(seed: int, count: int) -> None:
    masks = random_masks(seed, count)
    labels, *above = stack_masks(masks, SHAPE)
    sample = Sample("s", np.zeros(SHAPE, np.uint8), labels, labels < 0, tuple(above))
    assert sample.areas() == {i: int(m.sum()) for i, m in masks.items() if m.any()}
    for i, mask in masks.items():
        np.testing.assert_array_equal(sample.mask(i), mask)
    # no layer without an object of its own, unless there is none at all
    assert all(layer.any() for layer in above)


def test_objects_that_do_not_overlap_share_a_layer() -> None:
    masks = {i: np.zeros(SHAPE, dtype=bool) for i in (1, 2, 3)}
    for i, mask in masks.items():
        mask[2 * i] = True
    assert len(stack_masks(masks, SHAPE)) == 1


def test_layers_become_samples_of_their_own() -> None:
    below, top = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    below[:5], top[4:6, :3] = 1, 2
    samples = [
        Sample("one", np.zeros(SHAPE, np.uint8), below, below < 0, (top,)),
        Sample("two", np.zeros(SHAPE, np.uint8), below, below < 0),
    ]
    parts = list(one_layer_each(samples))
    assert [part.name for part in parts] == ["one", "one+1", "two"]
    assert [part.areas() for part in parts] == [{1: 55}, {2: 6}, {1: 55}]
    assert not any(part.above for part in parts)


def test_a_layer_of_another_size_is_refused() -> None:
    labels = np.zeros(SHAPE, np.int32)
    with pytest.raises(DatasetError, match="scale one of them"):
        Sample("s", labels.astype(np.uint8), labels, labels < 0, (labels[1:],))


def test_the_background_is_no_object() -> None:
    labels = np.zeros(SHAPE, np.int32)
    sample = Sample("s", labels.astype(np.uint8), labels, labels < 0)
    assert not sample.mask(0).any()
    assert sample.areas() == {}


def test_training_gets_every_overlapping_object_whole(tmp_path: Path) -> None:
    dataset = write_coco(tmp_path / "coco", "train")
    pack = write_pack([f"coco:{dataset}"], tmp_path / "pack")
    # 36 pixels, and 18, which is too small to learn from but is there
    assert [item.box for item in pack.objects] == [(2, 2, 8, 8)]
    first, second = (pack.labels(i) for i in range(2))
    assert [(first == 1).sum(), (second == 2).sum()] == [36, 18]
    np.testing.assert_array_equal(pack.image(0), pack.image(1))
