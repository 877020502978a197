"""Clean-up against scipy and skimage, and against the clicks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import measure, morphology

from napari_edgeflow._types import BoolArray, Click, PostProcessing, Window
from napari_edgeflow.inference.cleaning import (
    clean_cut,
    clean_mask,
    fill_holes,
    keep_parts,
    smooth_outline,
)
from napari_edgeflow.inference.postprocess import probs_to_mask

WINDOW = Window(10, 20, 74, 84)
EIGHT = np.ones((3, 3))
disk: Any = morphology.disk
label: Any = measure.label
regionprops: Any = measure.regionprops


def _blobs(seed: int, sigma: float = 2.0, shape: tuple[int, int] = (64, 64)) -> BoolArray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), sigma)
    mask: BoolArray = noise > np.median(noise)
    return mask


def _at(pixel: tuple[int, int], is_positive: bool = True, is_boundary: bool = False) -> Click:
    return Click(pixel[0] + WINDOW.y0, pixel[1] + WINDOW.x0, is_positive, is_boundary)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("radius", [1, 1.5, 2, 4.3, 7])
def test_smoothing_takes_the_majority_of_the_disk(seed: int, radius: float) -> None:
    mask = _blobs(seed, 1.0)
    reach = int(radius)
    rows, columns = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    footprint = rows**2 + columns**2 <= radius**2
    if radius == reach:
        assert np.array_equal(footprint, disk(reach))
    count = ndimage.convolve(mask.astype(int), footprint.astype(int), mode="nearest")
    assert np.array_equal(smooth_outline(mask, radius), count > footprint.sum() / 2)


def test_smoothing_keeps_straight_edges_and_drops_spikes() -> None:
    mask = np.zeros((60, 60), bool)
    mask[20:, :30] = True
    spiky = mask.copy()
    spiky[5:20, 10:12] = True
    spiky[30:32, 20:30] = False
    smoothed = smooth_outline(spiky, 4)
    assert not smoothed[:18].any(), "the spike is gone, but for the fillet at its foot"
    assert smoothed[28:45, :28].all(), "the notch is filled, but for its mouth"
    assert np.array_equal(smoothed[:, :5], mask[:, :5]), "a straight edge stays, at the border too"
    assert np.array_equal(smooth_outline(mask, 0.9), mask)


def test_smoothing_treats_object_and_background_alike() -> None:
    mask = np.pad(_blobs(3, 1.0, (40, 40)), 12)
    other = ~mask
    assert np.array_equal(smooth_outline(mask, 3), ~smooth_outline(other, 3))


@pytest.mark.parametrize("seed", range(5))
def test_holes_as_scipy_fills_them(seed: int) -> None:
    mask = _blobs(seed, 1.0)
    assert np.array_equal(fill_holes(mask), ndimage.binary_fill_holes(mask))


def test_a_hole_with_a_negative_or_on_a_boundary_click_stays() -> None:
    mask = np.ones((64, 64), bool)
    mask[5:10, 5:10] = mask[20:25, 20:25] = mask[40:45, 40:45] = False
    on = PostProcessing(fill_holes=True)
    expected = mask.copy()
    expected[5:10, 5:10] = True
    clicks = [_at((22, 22), is_positive=False), _at((39, 42), is_boundary=True)]
    assert np.array_equal(clean_mask(mask, WINDOW, clicks, on), expected)
    assert clean_mask(mask, WINDOW, [], on).all()
    assert np.array_equal(clean_mask(mask, WINDOW, [], PostProcessing()), mask)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("area", [2, 9, 40, 100_000])
def test_specks_as_skimage_measures_them(seed: int, area: int) -> None:
    mask = _blobs(seed, 0.8, (70, 90)) & _blobs(seed + 90, 2.0, (70, 90))
    parts = regionprops(label(mask, connectivity=2))
    largest = max(parts, key=lambda part: part.area)
    clicked = parts[len(parts) // 2]
    row, column = map(int, clicked.coords[0])
    expected, with_click = np.zeros_like(mask), np.zeros_like(mask)
    for part in parts:
        rows, columns = part.coords.T
        expected[rows, columns] = part.area >= area or part is largest
        with_click[rows, columns] = part.area >= area or part is clicked
    assert np.array_equal(keep_parts(mask, [], area), expected)
    assert np.array_equal(keep_parts(mask, [(row, column)], area), with_click)


def test_a_click_keeps_what_smoothing_would_take() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:60, 20:60] = True
    mask[5:20, 30] = True
    mask[40, 25:60] = False
    clicks = [_at((30, 40)), _at((8, 30)), _at((40, 50), is_positive=False)]
    smooth = PostProcessing(smooth_px=3)
    assert not smooth_outline(mask, 3)[8, 30]
    cleaned = clean_mask(mask, WINDOW, clicks, smooth)
    assert cleaned[6:11, 30].all()
    assert not cleaned[40, 48:53].any()
    assert not cleaned[14, 30]
    assert cleaned[40, 30]


@settings(deadline=None, max_examples=80)
@given(st.data())
def test_clicks_are_obeyed_after_all_of_it(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 10_000))
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((64, 64)), 1.5)
    probs = ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)
    spot = st.tuples(st.integers(0, 63), st.integers(0, 63))
    pixels = data.draw(st.lists(spot, min_size=1, max_size=6, unique=True))
    signs = data.draw(st.lists(st.booleans(), min_size=len(pixels), max_size=len(pixels)))
    chosen = PostProcessing(
        data.draw(st.sampled_from([0.1, 0.5, 0.9])),
        data.draw(st.booleans()),
        data.draw(st.booleans()),
        data.draw(st.sampled_from([0, 20, 5000])),
        data.draw(st.sampled_from([0.0, 1.0, 3.0, 9.0])),
    )
    clicks = [_at(pixel, sign) for pixel, sign in zip(pixels, signs, strict=True)]
    mask = probs_to_mask(probs, WINDOW, clicks, chosen)
    for pixel, sign in zip(pixels, signs, strict=True):
        assert mask[pixel] == sign


@pytest.mark.parametrize("largest", [True, False])
def test_the_order_is_smooth_parts_holes_specks(largest: bool) -> None:
    """The same result, one step after the other, by scipy and the published order."""
    for seed in range(4):
        noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((64, 64)), 1.2)
        probs = ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)
        mask = probs > 0.55
        count = ndimage.convolve(mask.astype(int), disk(2).astype(int), mode="nearest")
        mask = count > disk(2).sum() / 2
        row, column = (int(axis[0]) for axis in np.nonzero(mask))
        if largest:
            parts, _ = ndimage.label(mask, EIGHT)
            mask = parts == parts[row, column]
        mask = ndimage.binary_fill_holes(mask)
        parts, n = ndimage.label(mask, EIGHT)
        areas = ndimage.sum_labels(mask, parts, np.arange(n + 1))
        keep = (areas >= 30) | (np.arange(n + 1) == parts[row, column])
        keep[0] = False
        chosen = PostProcessing(0.55, largest, True, 30, 2.0)
        found = probs_to_mask(probs, WINDOW, [_at((row, column))], chosen)
        assert np.array_equal(found, keep[parts])


def test_the_cost_follows_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """No step but the box's own search sees more than the object and the smoothing's reach."""
    seen: list[int] = []
    for name in ("filter2D", "floodFill", "connectedComponentsWithStats"):
        run = getattr(cv2, name)

        def note(image: BoolArray, *rest: object, _run: object = run, **more: object) -> object:
            seen.append(image.size)
            return _run(image, *rest, **more)  # type: ignore[operator]

        monkeypatch.setattr(cv2, name, note)
    mask = np.zeros((3000, 3000), bool)
    mask[1000:1040, 2000:2040] = mask[1060:1062, 2060:2062] = True
    mask[1010:1015, 2010:2015] = False
    window = Window(0, 0, 3000, 3000)
    done = clean_mask(mask, window, [], PostProcessing(0.5, True, True, 100, 3.0))
    assert len(seen) >= 3
    assert max(seen) <= 80 * 80
    rows, columns = np.nonzero(done)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1000, 1039, 2000, 2039)
    assert done[1010:1015, 2010:2015].all()


def test_nothing_in_nothing_out() -> None:
    empty = np.zeros((64, 64), bool)
    every = PostProcessing(0.5, True, True, 10, 3.0)
    assert not clean_mask(empty, WINDOW, [], every).any()
    assert not probs_to_mask(empty.astype(np.float32), WINDOW, [], every).any()


def test_settings_are_checked() -> None:
    for bad in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            PostProcessing(threshold=bad)
    with pytest.raises(ValueError, match="radius"):
        PostProcessing(smooth_px=-1)
    with pytest.raises(ValueError, match="radius"):
        PostProcessing(smooth_px=float("inf"))
    with pytest.raises(ValueError, match="at least 0"):
        PostProcessing(min_part_px=-3)


def test_a_cut_mask_is_smoothed_as_in_the_whole_image() -> None:
    mask = np.zeros((60, 60), bool)
    mask[:30, 20:50] = _blobs(5, 2.0, (30, 30))
    rows, columns = np.nonzero(mask)
    box = Window(int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
    assert box.y0 == 0
    whole = Window(0, 0, 60, 60)
    smooth = PostProcessing(smooth_px=4)
    cut = clean_cut(mask[box.slices], box, (), smooth, whole)
    assert np.array_equal(cut, clean_mask(mask, whole, (), smooth)[box.slices])
    assert not np.array_equal(cut, clean_mask(mask[box.slices], box, (), smooth))
