from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import Click, Window
from napari_edgeflow.inference.zoom import (
    MIN_WINDOW_PX,
    View,
    adaptive_expansion,
    choose_view,
    first_window,
    keeps_window,
    move_plane,
    object_window,
    resample,
    touched_window,
    window_at_level,
)
from napari_edgeflow.raster.source import Level


def test_first_window_is_the_whole_small_image_and_a_view_of_a_large_one() -> None:
    assert first_window(Click(3, 3), (100, 300), None) == Window(0, 0, 100, 300)
    assert first_window(Click(2000, 3000), (5000, 6000), None).shape == (1024, 1024)
    assert first_window(Click(2000, 3000), (5000, 6000), 256) == Window(1872, 2872, 2128, 3128)


@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(1, 900),
)
def test_first_window_holds_the_click_and_lies_inside(
    height: int, width: int, v: float, u: float, field_of_view: float
) -> None:
    click = Click(math.floor(v * (height - 1)), math.floor(u * (width - 1)))
    window = first_window(click, (height, width), field_of_view)
    assert window.contains(click)
    assert window.intersect(Window(0, 0, height, width)) == window
    side = round(max(field_of_view, MIN_WINDOW_PX))
    assert window.shape == (min(side, height), min(side, width))


def test_object_window_expands_the_box_and_takes_in_every_click() -> None:
    window = object_window(Window(400, 400, 500, 500), [], (1000, 1000))
    assert window == Window(380, 380, 520, 520)
    far = Click(700, 410, is_positive=False)
    window = object_window(Window(400, 400, 500, 500), [far], (1000, 1000))
    assert window.contains(far)
    assert window.height == math.ceil(301 * 1.4)
    assert window.width == math.ceil(301 * 1.4 / 2)


@pytest.mark.parametrize("corner", [(0, 0), (0, 999), (999, 0), (999, 999)])
def test_object_window_at_a_corner_moves_inside(corner: tuple[int, int]) -> None:
    row, column = corner
    window = object_window(Window(row, column, row + 1, column + 1), [], (1000, 1000))
    assert window.contains(Click(row, column))
    assert window.shape == (MIN_WINDOW_PX, MIN_WINDOW_PX)
    assert window.intersect(Window(0, 0, 1000, 1000)) == window


def test_window_is_kept_until_it_fits_badly_or_a_click_falls_outside() -> None:
    old = Window(0, 0, 100, 100)
    assert keeps_window(old, Window(0, 0, 80, 80), [Click(50, 50)])
    assert not keeps_window(old, Window(0, 0, 70, 70), [Click(50, 50)])
    assert not keeps_window(old, Window(0, 0, 80, 80), [Click(100, 50)])
    assert not keeps_window(old, Window(200, 200, 300, 300), [])


def test_window_grows_where_the_mask_meets_its_border() -> None:
    window = Window(100, 100, 200, 200)
    mask = np.zeros((64, 64), bool)
    mask[30, 30] = True
    assert touched_window(mask, window, (1000, 1000)) is None
    mask[0, 30] = True
    assert touched_window(mask, window, (1000, 1000)) == Window(50, 100, 200, 200)
    mask[30, -1] = True
    assert touched_window(mask, window, (1000, 210)) == Window(50, 100, 200, 210)


def test_raster_border_does_not_count_as_touched() -> None:
    mask = np.ones((64, 64), bool)
    assert touched_window(mask, Window(0, 0, 64, 64), (64, 64)) is None


@settings(deadline=None)
@given(st.data())
def test_view_covers_the_window_on_whole_pixels_of_its_level(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(40, 3000)), data.draw(st.integers(40, 3000)))
    levels: list[Level] = []
    current, scale = shape, 1.0
    while min(current) >= 1 and len(levels) < 5:
        levels.append(Level(current, (scale, scale)))
        current, scale = (math.ceil(current[0] / 2), math.ceil(current[1] / 2)), scale * 2
    click = Click(data.draw(st.integers(0, shape[0] - 1)), data.draw(st.integers(0, shape[1] - 1)))
    window = first_window(click, shape, data.draw(st.integers(1, 3000)))
    view = choose_view(window, levels, shape, (64, 64))
    assert window.intersect(view.window) == window
    assert view.window.intersect(Window(0, 0, *shape)) == view.window
    at_level = window_at_level(view, levels)
    assert at_level.intersect(Window(0, 0, *levels[view.level].shape)) == at_level
    size = levels[view.level].scale_yx[0]
    assert at_level.y0 * size == view.window.y0
    assert at_level.x0 * size == view.window.x0
    assert min(at_level.y1 * size, shape[0]) == view.window.y1
    assert min(at_level.x1 * size, shape[1]) == view.window.x1
    assert size <= max(min(window.height, window.width) / 64, 1)


def test_level_is_the_coarsest_that_holds_the_detail() -> None:
    levels = [Level((4096 >> i, 4096 >> i), (2.0**i, 2.0**i)) for i in range(5)]
    chosen = [
        choose_view(Window(0, 0, side, side), levels, (4096, 4096), (256, 256)).level
        for side in (100, 256, 511, 512, 1024, 4096)
    ]
    assert chosen == [0, 0, 0, 1, 2, 4]


def test_clicks_map_to_the_pixel_that_shows_their_place() -> None:
    view = View(Window(10, 20, 110, 220), 0, (50, 400))
    for row, column in [(10, 20), (109, 219), (57, 123)]:
        mapped = view.to_input(Click(row, column))
        assert mapped.y == pytest.approx((row - 10 + 0.5) / 2 - 0.5)
        assert mapped.x == pytest.approx((column - 20 + 0.5) * 2 - 0.5)


@pytest.mark.parametrize("shape", [(16, 16), (33, 80), (7, 100)])
def test_resample_keeps_a_linear_ramp_in_place(shape: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0:40, 0:50]
    plane = ((rows + 0.5) / 40 + 2 * (columns + 0.5) / 50).astype(np.float32)
    out = resample(plane, shape)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    expected = (rows + 0.5) / shape[0] + 2 * (columns + 0.5) / shape[1]
    inner = np.s_[2:-2, 4:-4]
    assert np.abs(out - expected)[inner].max() < 0.05


def test_prior_stays_in_register_when_the_window_moves() -> None:
    """A blob at one place of the raster is found at that place in either view."""
    old = View(Window(100, 100, 200, 200), 0, (64, 64))
    new = View(Window(60, 120, 260, 320), 0, (128, 128))
    plane = np.zeros(old.shape, np.float32)
    centre = old.to_input(Click(150, 160)).pixel
    plane[centre[0] - 3 : centre[0] + 4, centre[1] - 3 : centre[1] + 4] = 1
    moved = move_plane(plane, old, new)
    rows, columns = np.nonzero(moved > 0.5)
    expected = new.to_input(Click(150, 160))
    assert rows.mean() == pytest.approx(expected.y, abs=0.75)
    assert columns.mean() == pytest.approx(expected.x, abs=0.75)
    assert moved[new.to_input(Click(90, 150)).pixel] == 0


def test_prior_of_the_same_view_is_untouched() -> None:
    view = View(Window(0, 0, 10, 10), 0, (16, 16))
    plane = np.arange(256, dtype=np.float32).reshape(16, 16)
    assert move_plane(plane, view, view) is plane


def test_prior_is_moved_to_a_fraction_of_a_pixel() -> None:
    """A ramp that holds its own place in the raster still does so in the new view."""
    old = View(Window(100, 100, 200, 200), 0, (80, 80))
    new = View(Window(120, 110, 190, 180), 0, (96, 96))
    centres = (np.arange(80) + 0.5) / 0.8 + 100
    plane = np.broadcast_to(centres[:, None] + 3 * centres[None, :], (80, 80)).astype(np.float32)
    moved = move_plane(np.ascontiguousarray(plane), old, new)
    places = (np.arange(96) + 0.5) * 70 / 96
    expected = (120 + places)[:, None] + 3 * (110 + places)[None, :]
    assert np.abs(moved - expected).max() < 0.2


@pytest.mark.parametrize(
    ("side", "expected"), [(10, 2.1), (20, 1.7), (27, 1.42), (28, 1.4), (100, 1.4), (0.1, 2.496)]
)
def test_small_objects_get_wide_windows(side: float, expected: float) -> None:
    """max(2.5 − 4·√(box / view), 1.4) of a square in a view of 100 px, or of 1000 · 100."""
    scale = 1000 if side < 1 else 1
    box = Window(5, 7, 5 + round(side * scale), 7 + round(side * scale))
    found = adaptive_expansion(box, Window(0, 0, 100 * scale, 100 * scale))
    assert found == pytest.approx(expected)


def test_the_window_is_as_wide_as_asked() -> None:
    box, shape = Window(400, 400, 500, 500), (1000, 1000)
    assert object_window(box, (), shape).shape == (140, 140)
    assert object_window(box, (), shape, 2.1).shape == (210, 210)
