"""Masks of COCO's JSON against the reference implementation and against hand-drawn ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.rle import decode_segmentation, fill_polygon, unpack_counts

NUMBERS = st.one_of(st.integers(-6, 30).map(float), st.floats(-6, 30, width=32))


def reference() -> Any:
    """pycocotools' mask module."""
    return pytest.importorskip("pycocotools.mask")


def counts_of(mask: BoolArray) -> list[int]:
    """Run lengths down the columns, counted one pixel after the other."""
    counts, value = [0], False
    for pixel in mask.T.ravel().tolist():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return counts


# pycocotools 2.0 says this of itself under NumPy 2
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=7),
    shape=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_polygons_are_filled_as_coco_fills_them(
    points: list[tuple[float, float]], shape: tuple[int, int]
) -> None:
    coco = reference()
    flat = [value for point in points for value in point]
    expected = coco.decode(coco.frPyObjects([flat], *shape))[..., 0] > 0
    np.testing.assert_array_equal(fill_polygon(flat, shape), expected)


def test_a_rectangle_on_pixel_edges_is_its_pixels() -> None:
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:7] = True
    np.testing.assert_array_equal(fill_polygon([2, 1, 7, 1, 7, 4, 2, 4], (6, 8)), expected)


def test_polygons_of_one_object_are_united() -> None:
    first, second = [0, 0, 3, 0, 3, 3, 0, 3], [2, 2, 5, 2, 5, 5, 2, 5]
    expected = np.zeros((5, 5), dtype=bool)
    expected[0:3, 0:3] = expected[2:5, 2:5] = True
    np.testing.assert_array_equal(decode_segmentation([first, second], (5, 5)), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_packed_and_plain_run_lengths_give_the_mask_back(seed: int, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    # long runs and short ones: differences of both signs and of several groups of bits
    mask = rng.random(shape) < rng.choice([0.02, 0.5, 0.98])
    plain = {"size": list(shape), "counts": counts_of(mask)}
    np.testing.assert_array_equal(decode_segmentation(plain, shape), mask)

    coco = reference()
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    for counts in (packed, packed.decode()):
        found = decode_segmentation({"size": list(shape), "counts": counts}, shape)
        np.testing.assert_array_equal(found, mask)


def test_a_packed_text_by_hand() -> None:
    # 40 is 8 + 32 · 1: 'X' (8, going on) and '1'; 3 and 38 are told as 3 − 1 and 38 − 40
    assert unpack_counts("61X12N") == [6, 1, 40, 3, 38]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ("abc", "list of polygons or a run-length"),
        (None, "got NoneType"),
        ([[1, 2, 3, 4]], "at least three points, got 4 numbers"),
        ([[1, 2, 3, 4, 5, 6, 7]], "got 7 numbers"),
        ([[1, 2, 3, 4, 5, float("nan")]], "finite"),
        ([["a", "b", "c", "d", "e", "f"]], "polygon of numbers"),
        ([5.0], "got 1 numbers"),
        ({"size": [5, 4], "counts": [20]}, r"of size \[4, 5\], got size \[5, 4\]"),
        ({"counts": [20]}, "got size None"),
        ({"size": [4, 5], "counts": [10, 5]}, r"add up to 4 × 5 pixels, got 15"),
        ({"size": [4, 5], "counts": [25, -5]}, "whole numbers"),
        ({"size": [4, 5], "counts": "X"}, "cut off"),
        ({"size": [4, 5], "counts": "!"}, "character '!'"),
        ({"size": [4, 5]}, "whole numbers"),
    ],
)
def test_what_is_no_mask(segmentation: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_segmentation(segmentation, (4, 5))
