"""Which objects are chosen, and what the user looks at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.folder import FolderDataset
from napari_edgeflow.evaluation.selection import (
    Target,
    choose,
    field_of_view,
    list_targets,
    longer_sides,
)

from .fakes import write_sample


def some_targets(count: int, dataset: str = "d") -> list[Target]:
    return [Target(dataset, i // 3, f"s{i // 3}", i % 3 + 1, 20 + i, 64.0) for i in range(count)]


def test_objects_of_fewer_than_16_pixels_are_left_out(tmp_path: Path) -> None:
    ids = np.zeros((100, 200), np.uint8)
    ids[10:14, 10:14] = 4  # 16 pixels
    ids[20:25, 10:13] = 2  # 15 pixels
    ids[40:80, 100:110] = 9
    for stem in ("b", "a"):
        write_sample(tmp_path / "cells", stem, np.zeros_like(ids), ids)

    targets = list_targets(FolderDataset(tmp_path / "cells"), "3x")

    assert targets == [
        Target("cells", 0, "a", 4, 16, 64.0),
        Target("cells", 0, "a", 9, 400, 120.0),
        Target("cells", 1, "b", 4, 16, 64.0),
        Target("cells", 1, "b", 9, 400, 120.0),
    ]


@pytest.mark.parametrize(
    ("view", "shape", "longer_side", "expected"),
    [
        ("full", (100, 300), 10, 300),
        ("3x", (100, 300), 10, 64),
        ("3x", (100, 300), 40, 120),
        ("3x", (100, 300), 250, 300),  # nobody looks at more than there is
        ("3x", (40, 50), 10, 50),
    ],
)
def test_field_of_view(view: str, shape: tuple[int, int], longer_side: int, expected: int) -> None:
    assert field_of_view(view, shape, longer_side) == expected  # type: ignore[arg-type]


def test_longer_sides_equal_those_of_the_pixels() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (12, 17)).astype(np.int32)
    labels[labels == 3] = 0
    labels[11, 16] = 40
    sample = Sample("s", labels.astype(np.uint8), labels, np.zeros(labels.shape, dtype=bool))

    expected = {}
    for i in (1, 2, 4, 40):
        points = np.argwhere(labels == i)
        expected[i] = int((points.max(axis=0) - points.min(axis=0) + 1).max())
    assert longer_sides(sample) == expected


def test_longer_sides_of_nothing() -> None:
    nothing = np.zeros((4, 4), np.int32)
    sample = Sample("s", nothing.astype(np.uint8), nothing, nothing.astype(bool))
    assert longer_sides(sample) == {}


def test_the_choice_is_the_same_for_the_same_seed_only() -> None:
    targets = some_targets(60)
    first, again, other = (choose(targets, 20, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len(set(first)) == 20
    assert first == sorted(first, key=targets.index)


def test_the_choice_stays_the_same_from_release_to_release() -> None:
    # Figures of two releases compare only while this holds.
    chosen = [target.area_px - 20 for target in choose(some_targets(60), 5, 0)]
    assert chosen == [1, 2, 22, 33, 38]


def test_a_smaller_choice_is_part_of_a_larger_one() -> None:
    targets = some_targets(60)
    assert set(choose(targets, 10, 3)) < set(choose(targets, 25, 3))


def test_data_sets_are_drawn_independently() -> None:
    first, second = choose(some_targets(60, "a"), 20, 0), choose(some_targets(60, "b"), 20, 0)
    assert [(t.sample, t.object_id) for t in first] != [(t.sample, t.object_id) for t in second]


@pytest.mark.parametrize("most", [None, 7, 8])
def test_all_are_taken_where_there_are_no_more(most: int | None) -> None:
    assert choose(some_targets(7), most, 0) == some_targets(7)


def test_every_object_can_be_drawn() -> None:
    targets = some_targets(9)
    assert {target for seed in range(60) for target in choose(targets, 2, seed)} == set(targets)
