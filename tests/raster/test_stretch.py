"""The stretch against NumPy's percentiles, and the bounds on what it reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.overview import MAX_PIXELS, read_overview
from napari_edgeflow.raster.stretch import Stretch, estimate_stretch

LARGEST = float(np.finfo(np.float64).max)


class CountingRaster(ArrayRaster):
    """Adds up the pixels that are read, and the chunks decoded for them."""

    pixels_read = 0
    chunks_decoded = 0

    def read(self, window: Window, level: int = 0, bands: Sequence[int] | None = None) -> AnyArray:
        self.pixels_read += window.height * window.width
        rows, columns = self.levels[level].chunk
        self.chunks_decoded += ((window.y1 - 1) // rows - window.y0 // rows + 1) * (
            (window.x1 - 1) // columns - window.x0 // columns + 1
        )
        return super().read(window, level, bands)


class Ramp:
    """A huge array that is computed when it is read: the value is the row."""

    dtype = np.dtype(np.float32)

    def __init__(self, side: int, chunks: tuple[int, int] | None = None) -> None:
        self.shape, self.chunks = (side, side), chunks

    def __getitem__(self, key: Any) -> AnyArray:
        rows, columns = (np.arange(*k.indices(self.shape[0])) for k in key)
        return np.broadcast_to(rows[:, None].astype(np.float32), (rows.size, columns.size))


def test_one_band_by_its_percentiles() -> None:
    image = np.random.default_rng(5).normal(1000, 200, (300, 400)).astype(np.float32)
    stretch = estimate_stretch(open_raster(image))
    np.testing.assert_allclose(
        [stretch.low[0], stretch.high[0]], np.percentile(image, [0.1, 99.9]), rtol=1e-6
    )


def test_bands_of_sixteen_bits_have_a_range_each() -> None:
    image = np.random.default_rng(6).integers(0, 1000, (200, 200, 3)) * [1, 10, 60]
    stretch = estimate_stretch(open_raster(image.astype(np.uint16)))
    low, high = np.percentile(image, [0.1, 99.9], axis=(0, 1))
    np.testing.assert_allclose(stretch.low, low)
    np.testing.assert_allclose(stretch.high, high)


def test_three_bands_of_uint8_share_a_range() -> None:
    image = np.random.default_rng(7).integers([10, 30, 60], [40, 60, 90], (200, 200, 3), np.uint8)
    stretch = estimate_stretch(open_raster(image))
    low, high = np.percentile(image, [0.1, 99.9])
    assert stretch == Stretch((low,) * 3, (high,) * 3)


def test_uint8_of_half_the_range_is_left_as_it_is() -> None:
    image = np.random.default_rng(8).integers(20, 200, (99, 99, 4)).astype(np.uint8)
    assert estimate_stretch(open_raster(image)) == Stretch((0.0,) * 3, (255.0,) * 3)


def test_the_bands_asked_for() -> None:
    image = np.zeros((50, 50, 4), np.uint16)
    image[:25, :, 3] = 700
    assert estimate_stretch(open_raster(image), [3, 0]) == Stretch((0, 0), (700, 1))


def test_nan_and_infinity_do_not_count() -> None:
    image = np.random.default_rng(9).normal(size=(100, 100))
    expected = np.percentile(image[50:], [0.1, 99.9])
    image[:50:2], image[1:50:4], image[3:50:4] = np.nan, np.inf, -np.inf
    stretch = estimate_stretch(open_raster(image))
    np.testing.assert_allclose([stretch.low[0], stretch.high[0]], expected)


@pytest.mark.parametrize("value", [0, 7, -3.5, 1e30, LARGEST, -LARGEST])
def test_a_constant_image_is_black(value: float) -> None:
    image = np.full((20, 20), value)
    stretch = estimate_stretch(open_raster(image))
    assert stretch.low == (value,)
    assert stretch.high[0] >= min(value + 1, LARGEST)
    assert not stretch.apply(image[:, :, None]).any()


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint32, np.float32, np.float64, np.int64]),
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)),
    ),
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
)
@settings(deadline=None)
def test_what_comes_out_is_rgb_between_zero_and_one(
    pixels: AnyArray, low: float, width: float
) -> None:
    bands = pixels.shape[2]
    rgb = Stretch((low,) * bands, (low + width,) * bands).apply(pixels)
    assert rgb.shape == (*pixels.shape[:2], 3)
    assert rgb.dtype == np.float32
    assert ((rgb >= 0) & (rgb <= 1)).all()
    exact = np.clip((pixels.astype(np.longdouble) - low) / width, 0, 1)
    exact[~np.isfinite(pixels.astype(np.longdouble))] = 0
    places = [0, 0, 0] if bands == 1 else list(range(bands))
    np.testing.assert_allclose(rgb[:, :, : len(places)], exact[:, :, places], atol=2e-3)
    assert not rgb[:, :, len(places) :].any()


def test_finite_values_far_beyond_the_stretch_are_white_and_black() -> None:
    pixels = np.array([[[LARGEST], [-LARGEST], [np.inf]]])
    stretched = Stretch((0.0,), (0.5,)).apply(pixels)
    np.testing.assert_array_equal(stretched[0, :, 0], [1, 0, 0])


def test_large_offsets_keep_their_contrast() -> None:
    pixels = (4e9 + np.arange(5)).astype(np.uint32)[None, :, None]
    rgb = Stretch((4e9,), (4e9 + 4,)).apply(pixels)
    np.testing.assert_array_equal(rgb[0, :, 0], [0, 0.25, 0.5, 0.75, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_nan_and_infinity_become_zero(dtype: Any) -> None:
    pixels = np.array([[np.nan, np.inf, -np.inf, 1]], dtype)[:, :, None]
    np.testing.assert_array_equal(Stretch((0,), (2,)).apply(pixels)[0, :, 0], [0, 0, 0, 0.5])


def test_pixels_are_not_changed() -> None:
    pixels = np.full((3, 3, 1), np.nan)
    Stretch((0,), (1,)).apply(pixels)
    assert np.isnan(pixels).all()


@pytest.mark.parametrize(
    ("low", "high"), [((0,), (0,)), ((1,), (0,)), ((0, 0), (1,)), ((), ()), ((0,) * 4, (1,) * 4)]
)
def test_stretches_that_make_no_sense(low: tuple[float, ...], high: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a stretch needs"):
        Stretch(low, high)


def test_other_bands_than_those_of_the_stretch() -> None:
    with pytest.raises(ValueError, match=r"\(h, w, 1\) for this stretch, got \(4, 4, 3\)"):
        Stretch((0,), (1,)).apply(np.zeros((4, 4, 3)))


@pytest.mark.parametrize("chunks", [None, (256, 256), (1, 100_000), (16, 100_000), (100_000, 1)])
def test_a_huge_raster_is_sampled_all_over(chunks: tuple[int, int] | None) -> None:
    raster = CountingRaster([Ramp(100_000, chunks)])
    stretch = estimate_stretch(raster)
    assert raster.pixels_read <= MAX_PIXELS
    assert stretch.low[0] < 2_000
    assert stretch.high[0] > 98_000


@pytest.mark.parametrize(
    ("chunks", "most"),
    [((16, 100_000), 64), ((100_000, 16), 64), ((128, 50_000), 256), ((512, 512), 256)],
)
def test_no_chunk_of_a_huge_raster_is_decoded_again_and_again(
    chunks: tuple[int, int], most: int
) -> None:
    raster = CountingRaster([Ramp(100_000, chunks)])
    read_overview(raster)
    assert raster.chunks_decoded <= most


@pytest.mark.parametrize("shape", [(1025, 1024), (1, 3_000_000), (3_000_000, 1), (1500, 900)])
def test_sizes_just_above_the_bound(shape: tuple[int, int]) -> None:
    raster = CountingRaster([np.zeros(shape, np.uint8)])
    assert read_overview(raster).shape[0] == raster.pixels_read <= MAX_PIXELS
    assert raster.pixels_read > MAX_PIXELS // 4


def test_a_file_of_one_chunk_is_decoded_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = np.random.default_rng(10).integers(0, 9999, (1500, 1400)).astype(np.uint16)
    tifffile.imwrite(path, image, rowsperstrip=1500, compression="zlib")
    with open_raster(path) as raster:
        assert raster.levels[0].chunk == (1500, 1400)
        sample = read_overview(raster)
    np.testing.assert_array_equal(sample[:, 0], image[::2, ::2].ravel())


def test_the_finest_level_that_fits_is_taken() -> None:
    full = np.zeros((4000, 4000), np.uint8)
    levels = [full, full[::2, ::2], full[::4, ::4] + 1, full[::8, ::8] + 2]
    sample = read_overview(ArrayRaster(levels))
    assert sample.shape == (1_000_000, 1)
    assert (sample == 1).all()


def test_gamma_and_missing_values() -> None:
    pixels = np.array([[[0, 0], [50, 7], [7, 7], [100, 100]]], np.uint8)
    rgb = Stretch((0, 0), (100, 100), gamma=0.5, nodata=7).apply(pixels)
    expected = [[0, 0], [0.5**0.5, 0.07**0.5], [0, 0], [1, 1]]
    np.testing.assert_allclose(rgb[0, :, :2], expected, rtol=1e-6)
    with pytest.raises(ValueError, match="gamma above 0"):
        Stretch((0,), (1,), gamma=0)


@given(
    st.lists(
        st.tuples(st.floats(-1e300, 1e300), st.floats(1e-3, 1e300)), min_size=1, max_size=3
    ).filter(lambda pairs: all(low < low + width < np.inf for low, width in pairs)),
    st.floats(0.1, 5),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_json_gives_back_the_same_stretch(
    pairs: list[tuple[float, float]], gamma: float, nodata: float | None
) -> None:
    low, high = tuple(a for a, _ in pairs), tuple(a + width for a, width in pairs)
    stretch = Stretch(low, high, gamma, nodata)
    assert Stretch.from_json(json.loads(json.dumps(stretch.to_json()))) == stretch


def test_json_that_is_no_stretch() -> None:
    for values in ({}, {"low": [0]}, {"low": 1, "high": 2}, None):
        with pytest.raises(ValueError, match="expected a stretch"):
            Stretch.from_json(values)  # type: ignore[arg-type]


def test_other_percentiles() -> None:
    image = np.random.default_rng(5).normal(1000, 200, (300, 400)).astype(np.float32)
    stretch = estimate_stretch(open_raster(image), percentiles=(2, 98), gamma=0.8)
    np.testing.assert_allclose(
        [stretch.low[0], stretch.high[0]], np.percentile(image, [2, 98]), rtol=1e-6
    )
    assert stretch.gamma == 0.8
    with pytest.raises(ValueError, match="two rising percentiles"):
        estimate_stretch(open_raster(image), percentiles=(98, 2))
