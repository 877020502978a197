"""Objects and clicks that span tens of thousands of pixels; no read may exceed 64 Mpx."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from tests.inference.fakes import ColourPredictor

from napari_edgeflow._types import AnyArray, Click, MaskPatch, Prediction, Window
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.inference.grid import Grid
from napari_edgeflow.inference.session import Session
from napari_edgeflow.raster.decimate import read_for_size
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import Stretch

SIDE = 100_000
FULL = Stretch((0.0,) * 3, (255.0,) * 3)


class DrawnArray:
    """One level of a grey raster with a red box, computed when it is read."""

    def __init__(self, box: Window, level: int = 0, side: int = SIDE, chunk: int = 512) -> None:
        self.box, self.level = box, level
        self.shape = (-(-side // 2**level),) * 2 + (3,)
        self.chunks = (chunk, chunk, 3)
        self.dtype = np.dtype(np.uint8)
        self.pixels_read = 0

    def __getitem__(self, key: Any) -> AnyArray:
        rows, columns, bands = (
            np.arange(*part.indices(n)) for part, n in zip(key, self.shape, strict=True)
        )
        assert rows.size * columns.size <= 2**26, "a read above 64 Mpx"
        self.pixels_read += rows.size * columns.size
        pixels = np.full((rows.size, columns.size, 3), 90, np.uint8)
        rows, columns = rows << self.level, columns << self.level
        is_in = ((rows >= self.box.y0) & (rows < self.box.y1))[:, None] & (
            (columns >= self.box.x0) & (columns < self.box.x1)
        )
        pixels[is_in] = (220, 0, 0)
        return pixels[:, :, bands]


def _session(box: Window, field_of_view: float, n_levels: int = 8, chunk: int = 512) -> Session:
    raster = open_raster([DrawnArray(box, level, SIDE, chunk) for level in range(n_levels)])
    return Session(raster, ColourPredictor(64), field_of_view, stretch=FULL)


def _iou(prediction: Prediction, box: Window) -> float:
    """Of the mask and the box, by cells of 64 px."""
    whole = prediction.window.union(box)
    mask = prediction.mask_in(whole, 64)
    truth = np.zeros_like(mask)
    MaskPatch(box, np.ones((1, 1), bool), max(box.shape)).paste(truth, whole, 64)
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    ("box", "field_of_view"),
    [
        (Window(40_000, 50_000, 40_010, 50_010), 64.0),
        (Window(40_000, 50_000, 41_000, 50_700), 2_000.0),
        (Window(10_000, 20_000, 33_000, 41_500), 45_000.0),
        (Window(0, 0, 24_000, 30_000), 60_000.0),
        (Window(70_001, 60_003, SIDE, SIDE), 90_000.0),
    ],
    ids=["10 px", "1 000 px", "23 000 px", "first corner", "last corner"],
)
def test_objects_of_any_size_are_found(box: Window, field_of_view: float) -> None:
    session = _session(box, field_of_view)
    y, x = (box.y0 + box.y1) // 2, (box.x0 + box.x1) // 2
    prediction = session.add_click(y, x)
    assert prediction.mask.size <= 4096**2
    assert _iou(prediction, box) > 0.9 if max(box.shape) > 64 else prediction.area_px == 100
    assert prediction.mask_in(Window(y, x, y + 1, x + 1)).all()
    assert prediction.grain_px >= max(box.shape) / 64


def test_reading_costs_the_networks_input_not_the_window() -> None:
    arrays = [DrawnArray(Window(10_000, 20_000, 33_000, 41_500), level) for level in range(8)]
    session = Session(open_raster(arrays), ColourPredictor(64), 45_000.0, stretch=FULL)
    session.add_click(20_000, 30_000)
    assert sum(array.pixels_read for array in arrays) < 2**18


@pytest.mark.parametrize("far", [(0, 40_511), (99_999, 99_999)])
@pytest.mark.parametrize("is_positive", [True, False])
def test_clicks_far_apart_all_count(far: tuple[int, int], is_positive: bool) -> None:
    session = _session(Window(0, 0, 600, 600), 1024.0)
    session.add_click(10, 10)
    prediction = session.add_click(*far, is_positive)
    for (row, column), expected in [((10, 10), True), (far, is_positive)]:
        pixel = prediction.mask_in(Window(row, column, row + 1, column + 1))
        assert prediction.window.contains(Click(row, column))
        assert bool(pixel[0, 0]) == expected
    assert prediction.mask.size <= 4096**2
    back = session.undo()
    assert back is not None
    assert back.is_whole


def test_two_clicks_in_one_cell_are_both_obeyed() -> None:
    session = _session(Window(10_000, 20_000, 33_000, 41_500), 45_000.0)
    session.add_click(20_000, 30_000)
    session.add_click(20_001, 30_001, is_positive=False)
    prediction = session.add_click(20_001, 30_002)
    assert prediction.scale >= 4
    block = prediction.mask_in(Window(20_000, 30_000, 20_002, 30_003))
    assert block[0, 0]
    assert not block[1, 1]
    assert block[1, 2]


def test_a_raster_without_levels_is_read_in_pieces() -> None:
    array = DrawnArray(Window(10_000, 20_000, 33_000, 41_500), chunk=1)
    session = Session(open_raster(array, axes="YXS"), ColourPredictor(16), 45_000.0, stretch=FULL)
    assert _iou(session.add_click(20_000, 30_000), array.box) > 0.85
    assert array.pixels_read < 2**25


@pytest.mark.parametrize("chunk", [1, 256, 3_000])
def test_the_pixels_kept_do_not_depend_on_how_they_are_stored(chunk: int) -> None:
    raster = open_raster(
        DrawnArray(Window(91_000, 92_000, 94_000, 97_777), chunk=chunk), axes="YXS"
    )
    window = Window(90_001, 90_003, 94_500, 94_100)
    kept = read_for_size(raster, window, 0, (2, 0), (30, 20))
    rows, columns = 4_499 // (4_499 // 120), 4_097 // (4_097 // 80)
    assert kept.shape == (rows, columns, 2)
    ys = window.y0 + (2 * np.arange(rows) + 1) * 4_499 // (2 * rows)
    xs = window.x0 + (2 * np.arange(columns) + 1) * 4_097 // (2 * columns)
    is_in = ((ys >= 91_000) & (ys < 94_000))[:, None] & (xs >= 92_000)
    np.testing.assert_array_equal(kept[:, :, 1], np.where(is_in, 220, 90))
    np.testing.assert_array_equal(kept[:, :, 0], np.where(is_in, 0, 90))


def test_reading_stops_when_asked() -> None:
    raster = open_raster(DrawnArray(Window(0, 0, 9, 9), chunk=1), axes="YXS")
    with pytest.raises(Cancelled):
        read_for_size(raster, Window(0, 0, 9_000, 9_000), 0, (0,), (9, 9), should_stop=lambda: True)


def test_same_clicks_same_mask_whatever_lies_around() -> None:
    """A raster of 30 000² cut out of one of 100 000² gives the same mask, moved."""
    corner = 40_960
    box = Window(11_000, 9_000, 23_000, 18_500)
    moved = Window(*(side + corner for side in (box.y0, box.x0, box.y1, box.x1)))
    small = [DrawnArray(box, level, 30_720) for level in range(8)]
    large = [DrawnArray(moved, level) for level in range(8)]
    clicks = [(15_000, 12_000, True), (22_000, 17_500, True), (10_000, 10_000, False)]
    predictions = []
    for arrays, shift in ((small, 0), (large, corner)):
        session = Session(open_raster(arrays), ColourPredictor(64), 9_000.0, stretch=FULL)
        for y, x, is_positive in clicks:
            prediction = session.add_click(y + shift, x + shift, is_positive)
        predictions.append(prediction)
    here, there = predictions
    outer = Window(corner, corner, corner + 30_720, corner + 30_720)
    assert here.scale > 1
    assert there.window.relative_to(outer) == here.window
    np.testing.assert_array_equal(there.mask, here.mask)


def test_a_mask_to_start_from_may_be_large_and_stays_exact() -> None:
    """Before the first click the mask is as given; then it guides the network."""
    session = _session(Window(2_000, 2_000, 6_500, 6_500), 1_000.0)
    mask = np.zeros((4_300, 4_300), bool)
    mask[101:4_299, 103:4_277] = True
    window = Window(2_000, 2_000, 6_300, 6_300)
    start = session.start_from(mask, window)
    assert start.scale == 2
    np.testing.assert_array_equal(start.mask_in(window), mask)
    session.threshold = 0.3
    assert session.prediction is not None
    np.testing.assert_array_equal(session.prediction.mask_in(window), mask)
    clicked = session.add_click(3_000, 6_290)
    assert _iou(clicked, Window(2_000, 2_000, 6_500, 6_500)) > 0.9
    assert session.undo() is not None


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_cells_and_pixels_agree_by_brute_force(scale: int) -> None:
    window, rng = Window(13, 29, 13 + 45, 29 + 50), np.random.default_rng(scale)
    grid = Grid(window, scale)
    patch = MaskPatch(window, rng.random(grid.shape) > 0.5, scale)
    asked = Window(5, 20, 70, 90)
    out = np.zeros(asked.shape, bool)
    patch.paste(out, asked)
    for row, column in itertools.product(range(asked.height), range(asked.width)):
        y, x = row + asked.y0, column + asked.x0
        expected = window.contains(Click(y, x)) and bool(
            patch.mask[(y - window.y0) // scale, (x - window.x0) // scale]
        )
        assert out[row, column] == expected
    click = Click(57, 78)
    cells = grid.to_cells([click])[0]
    assert patch.mask[cells.pixel if scale > 1 else (57 - 13, 78 - 29)] == out[57 - 5, 78 - 20]
    again = np.zeros(grid.shape, bool)
    patch.paste(again, window, scale)
    np.testing.assert_array_equal(again, patch.mask)


@pytest.mark.parametrize("scale", [2, 4, 16])
def test_planes_are_spread_to_where_the_cells_are(scale: int) -> None:
    """A plane that holds each place's row plus thrice its column does so in cells."""
    window = Window(100, 200, 100 + 333, 200 + 517)
    rows, columns = (np.arange(size) + 0.5 for size in (40, 60))
    plane = rows[:, None] * 333 / 40 + 3 * columns * 517 / 60
    spread = Grid(window, scale).spread(plane.astype(np.float32))
    at_y, at_x = ((np.arange(size) + 0.5) * scale for size in spread.shape)
    error = np.abs(spread - (at_y[:, None] + 3 * at_x))
    margin = 20 // scale + 1
    assert error[margin:-margin, margin:-margin].max() < 2
