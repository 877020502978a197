"""Levels: scales that rounding cannot spoil, and requests that do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import Window
from napari_edgeflow.raster.source import check_request, describe_levels

_LEVELS = describe_levels([(100, 80), (50, 40)], [(1, 1), (1, 1)])


def _scales(*shapes: tuple[int, int]) -> list[tuple[float, float]]:
    return [level.scale_yx for level in describe_levels(shapes, [(1, 1)] * len(shapes))]


def test_the_first_level_has_scale_one() -> None:
    assert _scales((7, 5)) == [(1.0, 1.0)]


@given(
    st.integers(33, 200_000),
    st.integers(33, 200_000),
    st.booleans(),
    st.integers(1, 5),
)
@settings(deadline=None)
def test_repeated_halving_gives_powers_of_two(
    rows: int, columns: int, rounds_up: bool, depth: int
) -> None:
    shapes = [(rows, columns)]
    for _ in range(depth):
        y, x = shapes[-1]
        shapes.append(((y + rounds_up) // 2, (x + rounds_up) // 2))
    # one pixel of rounding must not make 2 look like 3: sizes above 32 px leave no doubt
    clear = [s for s in shapes if min(s) > 16]
    assert _scales(*clear) == [(2.0**k, 2.0**k) for k in range(len(clear))]


@pytest.mark.parametrize("factor", [3, 5, 10])
@pytest.mark.parametrize("size", [(1000, 1000), (997, 1201), (4096, 333)])
def test_other_whole_factors(factor: int, size: tuple[int, int]) -> None:
    small = (-(-size[0] // factor), size[1] // factor)
    assert _scales(size, small)[1] == (factor, factor)


@pytest.mark.parametrize(
    ("full", "small", "factor"),
    [((5, 700), (1, 175), 4), ((3, 3), (1, 1), 2), ((7, 9), (2, 3), 4), ((700, 5), (88, 1), 8)],
)
def test_few_pixels_leave_a_choice_that_the_other_axis_or_halving_settles(
    full: tuple[int, int], small: tuple[int, int], factor: int
) -> None:
    assert _scales(full, small)[1] == (factor, factor)


def test_a_fraction_stays_a_fraction() -> None:
    assert _scales((100, 100), (64, 40))[1] == (1.5625, 2.5)


def test_axes_may_shrink_apart() -> None:
    assert _scales((1000, 1001), (1000, 501))[1] == (1.0, 2.0)


def test_a_request_inside_passes() -> None:
    check_request(_LEVELS, 3, Window(0, 0, 50, 40), 1, [2, 0, 2])


@pytest.mark.parametrize(
    ("window", "level", "bands", "message"),
    [
        (Window(0, 0, 51, 40), 1, None, "inside level 1 of 50×40"),
        (Window(-1, 0, 5, 5), 0, None, "inside level 0 of 100×80"),
        (Window(0, 70, 5, 81), 0, None, "inside level 0"),
        (Window(0, 0, 5, 5), 2, None, "level must be 0…1, got 2"),
        (Window(0, 0, 5, 5), -1, None, "level must be 0…1"),
        (Window(0, 0, 5, 5), 0, [3], r"bands must be 0…2, got \[3\]"),
        (Window(0, 0, 5, 5), 0, [-1], "bands must be 0…2"),
        (Window(0, 0, 5, 5), 0, [], "at least one band"),
    ],
)
def test_a_request_outside_is_refused(
    window: Window, level: int, bands: list[int] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_request(_LEVELS, 3, window, level, bands)


def test_numpy_band_numbers_are_fine() -> None:
    check_request(_LEVELS, 3, Window(0, 0, 1, 1), 0, list(np.array([0, 2])))
