"""Same clicks, same pixels, same mask: in a crop, and in a raster of 100 000² around it."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tests.inference.fakes import ColourPredictor
from tests.raster.virtual import VirtualArray, background, virtual_levels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.inference.session import Session
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import Stretch, estimate_stretch

SIDE = 100_000
FULL = Stretch((0.0,) * 3, (255.0,) * 3)


def _expected(window: Window, level: int, crop: AnyArray, at: tuple[int, int]) -> AnyArray:
    """Pixel by pixel, by the definition."""
    pixels = np.zeros((*window.shape, 3), crop.dtype)
    for y, x, band in np.ndindex(*pixels.shape):
        row, column = (window.y0 + y) << level, (window.x0 + x) << level
        pixels[y, x, band] = 30 + ((row * 2654435761 + column * 40503 + band * 97) >> 7) % 32
        if 0 <= row - at[0] < crop.shape[0] and 0 <= column - at[1] < crop.shape[1]:
            pixels[y, x, band] = crop[row - at[0], column - at[1], band]
    return pixels


@pytest.mark.parametrize(("side", "dtype"), [(99_999, np.uint8), (100_000, np.float32)])
def test_reads_at_every_corner_and_border_of_every_level(side: int, dtype: Any) -> None:
    crop = np.full((40, 60, 3), 200, dtype)
    at = (side - 40, side - 60)
    raster = open_raster(virtual_levels(crop, at, side))
    assert [level.scale_yx for level in raster.levels] == [(2.0**k, 2.0**k) for k in range(8)]
    for number, level in enumerate(raster.levels):
        rows, columns = level.shape
        windows = [Window(y, x, y + 7, x + 9) for y in (0, rows - 7) for x in (0, columns - 9)] + [
            Window(rows - 1, 3, rows, 8),  # last row
            Window(3, columns - 1, 8, columns),  # last column
            Window(510, 509, 515, 516),  # across a tile's corner
        ]
        for window in windows:
            np.testing.assert_array_equal(
                raster.read(window, number), _expected(window, number, crop, at)
            )


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_tiles_put_together_equal_the_whole(dtype: Any) -> None:
    crop = np.random.default_rng(3).integers(0, 99, (333, 257, 3)).astype(dtype)
    at = (50_003, 70_001)
    raster = open_raster(virtual_levels(crop, at))
    for level in (0, 1, 3):
        outer = Window(*((place >> level) - 11 for place in at), *((p >> level) + 371 for p in at))
        whole = raster.read(outer, level)
        tiles = np.zeros_like(whole)
        for y0, x0 in itertools.product(range(0, 382, 97), range(0, 382, 61)):
            part = Window(
                outer.y0 + y0, outer.x0 + x0,
                min(outer.y0 + y0 + 97, outer.y1), min(outer.x0 + x0 + 61, outer.x1),
            )  # fmt: skip
            tiles[part.relative_to(outer).slices] = raster.read(part, level)
        np.testing.assert_array_equal(tiles, whole)


def test_no_read_is_ever_larger_than_64_megapixels() -> None:
    array = VirtualArray(np.zeros((4, 4, 3), np.uint16), (0, 0))
    with pytest.raises(MemoryError):
        VirtualArray(array.crop, (0, 0))[:, :, :]
    raster = open_raster(array, axes="YXS")  # no pyramid at all
    stretch = estimate_stretch(raster)
    raster.read(Window(SIDE - 900, SIDE - 900, SIDE, SIDE))
    assert stretch.low[0] >= 0
    assert array.pixels_read < 2**22


def test_a_single_huge_chunk_is_not_read_whole() -> None:
    array = VirtualArray(np.zeros((4, 4, 3), np.uint16), (0, 0), chunks=(SIDE, SIDE, 3))
    estimate_stretch(open_raster(array, axes="YXS"))
    assert array.pixels_read < 2**22


def _crop() -> AnyArray:
    """2048² of the same background with one square and one large bar, far from its borders."""
    crop = background(np.arange(2048) + 10_240, np.arange(2048) + 81_920, np.arange(3), np.uint8)
    crop[900:1000, 900:1010] = (220, 0, 0)
    crop[500:1500, 1200:1330] = (0, 220, 0)
    return crop


_CLICKS = [
    [(950.0, 955.0, True), (902.0, 1008.0, True), (880.0, 950.0, False)],
    [(1000.0, 1260.0, True), (540.0, 1225.0, True), (1460.0, 1300.0, True)],
    [(900.0, 900.0, True), (999.0, 1009.0, True)],
]


@pytest.mark.parametrize("clicks", _CLICKS)
@pytest.mark.parametrize("field_of_view", [150.0, 512.0])
def test_the_mask_is_that_of_the_crop(
    clicks: list[tuple[float, float, bool]], field_of_view: float
) -> None:
    crop, at = _crop(), (10_240, 81_920)
    small = open_raster([crop[:: 2**k, :: 2**k] for k in range(4)])
    large = open_raster(virtual_levels(crop, at, n_levels=4))
    masks = []
    for raster, (dy, dx) in [(small, (0, 0)), (large, at)]:
        session = Session(raster, ColourPredictor(192), field_of_view, stretch=FULL)
        for y, x, is_positive in clicks:
            prediction = session.add_click(y + dy, x + dx, is_positive)
        rows, columns = np.nonzero(prediction.mask)
        masks.append((rows + prediction.window.y0 - dy, columns + prediction.window.x0 - dx))
    assert masks[0][0].size > 1000
    np.testing.assert_array_equal(masks[0], masks[1])
