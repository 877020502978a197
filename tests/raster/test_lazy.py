"""Lazy levels against the arrays they show; rough levels against strided pixels and means."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.later import Later
from napari_edgeflow.raster.lazy import LazyRaster, lazy_levels
from napari_edgeflow.raster.open import open_first_plane, open_raster
from napari_edgeflow.raster.rough import AT_ONCE_BYTES, BUDGET_PIXELS, RoughLevel
from napari_edgeflow.raster.stretch import Stretch
from napari_edgeflow.raster.view import BandView, view_of

PIXELS = np.random.default_rng(1).integers(0, 4000, (2, 3, 40, 50, 4), dtype=np.uint16)
"""(time, z, rows, columns, bands)."""


def _raster(pixels: AnyArray = PIXELS, axes: str = "TZYXS") -> LazyRaster:
    n_stack = pixels.ndim - 3
    return LazyRaster(ArrayRaster([pixels], axes=axes, index=(0,) * n_stack))


_KEYS = st.one_of(
    st.integers(-2, 1),
    st.slices(2),
)


@given(
    st.tuples(_KEYS, st.integers(-3, 2), st.slices(40), st.slices(50)),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_any_index_is_numpys(key: tuple[Any, ...], is_short: bool) -> None:
    (level,) = lazy_levels(_raster(), (2,))
    key = key[:2] if is_short else key
    model = PIXELS[..., 2]
    assert level.shape == model.shape
    np.testing.assert_array_equal(level[key], model[key])


def test_colour_is_what_the_stretch_says() -> None:
    stretch = Stretch((0.0, 100.0, 0.0), (4000.0, 3000.0, 2000.0), 0.5, nodata=7)
    (level,) = lazy_levels(_raster(), (3, 0, 1), stretch)
    assert level.shape == (2, 3, 40, 50, 3)
    assert level.dtype == np.uint8
    shown = level[1, 2, 5:30, 3:40]
    raw = PIXELS[1, 2, 5:30, 3:40][:, :, [3, 0, 1]].astype(float)
    low, high = np.array(stretch.low), np.array(stretch.high)
    expected = np.clip((raw - low) / (high - low), 0, 1) ** 0.5 * 255
    assert np.abs(shown - expected).max() <= 0.51
    np.testing.assert_array_equal(level[1, 2, 5:30, 3:40, 1], shown[:, :, 1])
    np.testing.assert_array_equal(np.asarray(level)[1, 2, 5:30, 3:40], shown)


def test_the_file_closes_with_the_last_level(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(path, PIXELS[0, 0], tile=(16, 16), **options)
    raster = LazyRaster(open_first_plane(path))
    (level,) = lazy_levels(raster, (1,))
    plane = raster.plane()
    del raster
    np.testing.assert_array_equal(level[:], PIXELS[0, 0, :, :, 1])
    del level
    gc.collect()
    with pytest.raises(RasterError):
        plane.read(Window(0, 0, 40, 50))


def test_the_first_plane_of_a_stack_leads_to_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    stack = np.ascontiguousarray(PIXELS[..., 0])
    tifffile.imwrite(path, stack, metadata={"axes": "TZYX"})
    with pytest.raises(RasterError, match="choose the plane"):
        open_raster(path)
    raster = LazyRaster(open_first_plane(path))
    assert raster.stack == (("T", 2), ("Z", 3))
    np.testing.assert_array_equal(
        raster.plane((1, 2)).read(Window(0, 0, 40, 50))[:, :, 0], stack[1, 2]
    )
    (level,) = lazy_levels(raster, (0,))
    np.testing.assert_array_equal(np.asarray(level), stack)
    raster.close()


class _Tiled:
    """``(H, W, 1)`` of value row // 512 * 8 + column // 512 in chunks of 512², counting reads."""

    shape = (12_000, 10_000, 1)
    dtype = np.dtype(np.uint8)
    chunks = (512, 512, 1)
    n_read = 0

    def __getitem__(self, key: tuple[slice, ...]) -> AnyArray:
        rows, columns = np.arange(self.shape[0])[key[0]], np.arange(self.shape[1])[key[1]]
        self.n_read += rows.size * columns.size
        down, along = (rows // 512 * 8).astype(np.uint8), (columns // 512).astype(np.uint8)
        values: AnyArray = down[:, None] + along[None]
        return values[:, :, None]


def test_a_raster_without_levels_gets_rough_ones() -> None:
    tiled = _Tiled()
    raster = LazyRaster(ArrayRaster([tiled], axes="YXS"))
    levels = lazy_levels(raster, (0,))
    assert [level.shape for level in levels] == [
        (12_000, 10_000), (6000, 5000), (3000, 2500), (1500, 1250),
    ]  # fmt: skip
    part = levels[2][10:200, 20:300]  # few pixels: exact
    np.testing.assert_array_equal(part, tiled[40:800, 80:1200, :1][::4, ::4, 0])
    tiled.n_read = 0
    whole = levels[3][:]
    assert tiled.n_read <= BUDGET_PIXELS
    np.testing.assert_array_equal(levels[3][:], whole)
    assert tiled.n_read <= BUDGET_PIXELS  # remembered
    y, x = np.ogrid[:12_000:8, :10_000:8]
    exact = y // 512 * 8 + x // 512
    assert np.abs(whole.astype(int) - exact).mean() < 12  # blocks near their place
    assert whole[0, 0] < 20
    assert whole[-1, -1] > 180


@pytest.mark.parametrize("chunk", [(1, 1), (8, 20_000), (20_000, 16), (256, 256)])
def test_no_view_reads_more_than_the_budget(chunk: tuple[int, int]) -> None:
    side = 20_000
    made = np.lib.stride_tricks.as_strided(np.full(1, 9, np.uint8), (side, side, 1), (0, 0, 0))

    class Counted:
        shape, dtype, chunks, n_read = made.shape, made.dtype, (*chunk, 1), 0

        def __getitem__(self, key: Any) -> AnyArray:
            part: AnyArray = made[key]
            Counted.n_read += part.size
            return part

    raster = ArrayRaster([Counted()], axes="YXS")
    rough = RoughLevel(raster.levels[0], 0, 16, (0,))
    shown = rough.read(raster, Window(0, 0, *rough.shape))
    assert shown.shape == (1250, 1250, 1)
    assert (shown == 9).all()
    assert Counted.n_read <= BUDGET_PIXELS


def test_a_mosaic_shows_what_is_in_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every chunk brightens to the right: so does every piece."""
    monkeypatch.setattr("napari_edgeflow.raster.rough.BUDGET_PIXELS", 4 * 256**2)
    pixels = np.tile(np.arange(256, dtype=np.uint8), (1024, 8))[:, :, None]
    raster = ArrayRaster([_Chunked(pixels)], axes="YXS")
    shown = RoughLevel(raster.levels[0], 0, 2, (0,)).read(raster, Window(0, 0, 512, 1024))[..., 0]
    (ends,) = np.nonzero(np.diff(shown[0].astype(int)) < 0)
    assert ends.tolist() == [340, 681]  # three pieces of the same width
    assert (shown == shown[0]).all()
    assert shown.min() < 2
    assert shown.max() > 253


class _Gate:
    """A raster whose reads wait at a gate in every thread but the test's; counts its bytes."""

    def __init__(self, pixels: AnyArray) -> None:
        self._array, self._home = _Chunked(pixels), threading.get_ident()
        self.shape, self.dtype, self.chunks = pixels.shape, pixels.dtype, _Chunked.chunks
        self.gate, self.n_read = threading.Event(), 0
        self.is_broken = False

    def __getitem__(self, key: Any) -> AnyArray:
        if threading.get_ident() != self._home:
            assert self.gate.wait(20)
            if self.is_broken:
                raise OSError("the disk is gone")
            return self._array[key]
        part = self._array[key]
        self.n_read += part.nbytes
        return part


def _slope(side: int = 4608) -> AnyArray:
    y, x = np.arange(side, dtype=np.int64)[:, None], np.arange(side, dtype=np.int64)[None]
    slope: AnyArray = (y // 37 + x // 37).astype(np.uint8)
    return slope[:, :, None]


def test_a_view_that_takes_long_is_rough_first_and_exact_when_it_was_read() -> None:
    gated, done = _Gate(_slope()), threading.Semaphore(0)
    raster = LazyRaster(ArrayRaster([gated], axes="YXS"))
    exact = lazy_levels(LazyRaster(ArrayRaster([_Chunked(_slope())], axes="YXS")), (0,))
    levels = lazy_levels(raster, (0,))
    assert len(levels) == 3
    raster.later.watch(done.release)
    for level, model, key in (
        (levels[-1], exact[-1], np.s_[:, :]),
        (levels[1], exact[1], np.s_[100:1500, 100:1500]),
    ):
        gated.gate.clear()
        gated.n_read = 0
        first = level[key]
        assert gated.n_read <= AT_ONCE_BYTES
        np.testing.assert_array_equal(level[key], first)  # until there is more
        given = np.asarray(level) if level is levels[-1] else first
        truth = model[key].astype(int)
        assert (first != truth).any()
        if level is levels[1]:  # it is what the whole view has there: each pixel is near its place
            assert np.abs(first - truth).mean() < 8
        gated.gate.set()
        assert done.acquire(timeout=20)
        gated.n_read = 0
        np.testing.assert_array_equal(level[key], truth)
        assert gated.n_read == 0
        if level is levels[-1]:  # as napari keeps it
            np.testing.assert_array_equal(given, first)
            level.renew()
            np.testing.assert_array_equal(given, truth)
    gated.gate.clear()
    beside = levels[1][100:1500, 200:1600]  # moved by 100: what was read is shown as it is
    np.testing.assert_array_equal(beside[:, :1300], exact[1][100:1500, 200:1500])
    gated.gate.set()
    assert done.acquire(timeout=20)


def test_small_views_and_several_planes_are_read_at_once() -> None:
    gated = _Gate(_slope())
    raster = LazyRaster(ArrayRaster([gated], axes="YXS"))
    raster.later.watch(lambda: None)
    part = lazy_levels(raster, (0,))[1][10:400, 10:400]
    np.testing.assert_array_equal(part, _slope()[20:800:2, 20:800:2, 0])
    stack = np.zeros((2, 4608, 4608, 1), np.uint8)
    stack[1] = _slope()
    planes = LazyRaster(ArrayRaster([stack], axes="ZYXS", index=(0,)))
    planes.later.watch(lambda: None)
    both = lazy_levels(planes, (0,))[-1][:, ::8, ::8]
    np.testing.assert_array_equal(both[0], 0)
    assert both[1].any()


def test_a_read_that_fails_later_leaves_the_first_view(caplog: Any) -> None:
    gated, done = _Gate(_slope()), threading.Semaphore(0)
    gated.is_broken = True
    raster = LazyRaster(ArrayRaster([gated], axes="YXS"))
    raster.later.watch(done.release)
    level = lazy_levels(raster, (0,))[-1]
    first = level[:]
    gated.gate.set()
    _wait_for_later()
    assert "could not be read more closely" in caplog.text
    gated.is_broken = False
    np.testing.assert_array_equal(level[:], first)  # and is tried again
    assert done.acquire(timeout=20)
    assert (level[:] != first).any()


def test_only_the_newest_views_are_read_later() -> None:
    later, seen, gate = Later(), list[int](), threading.Event()
    started = threading.Event()

    def first() -> None:
        started.set()
        assert gate.wait(20)

    later.submit("first", first)
    assert started.wait(20)
    for number in range(12):
        later.submit(number, partial(seen.append, number))
    later.submit(11, partial(seen.append, 99))  # in place of the other of that key
    later.submit("first", partial(seen.append, -1))  # which runs
    gate.set()
    _wait_for_later()
    assert seen == [99, *range(10, 3, -1)]


def test_jobs_go_with_what_they_read_from() -> None:
    gated, done = _Gate(_slope()), list[int]()
    raster = LazyRaster(ArrayRaster([gated], axes="YXS"))
    raster.later.watch(lambda: done.append(1))
    later, levels = raster.later, lazy_levels(raster, (0,))
    levels[-1][:]  # waits at the gate and holds the raster
    levels[1][:]
    gone = weakref.ref(raster)
    del raster, levels
    later.submit("no more", lambda: done.append(2))
    gated.gate.set()
    _wait_for_later()
    gc.collect()
    assert gone() is None
    later.submit("too late", lambda: done.append(3))
    _wait_for_later()
    assert 3 not in done


@pytest.mark.parametrize("chunk", [(1, 1), (7, 500), (64, 64), (300, 20)])
@pytest.mark.parametrize("factor", [2, 4, 16])
def test_exact_views_are_every_nth_pixel(
    monkeypatch: pytest.MonkeyPatch, chunk: tuple[int, int], factor: int
) -> None:
    monkeypatch.setattr("napari_edgeflow.raster.rough._STRIP_PIXELS", 20_000)
    array = _Chunked(np.random.default_rng(0).integers(0, 255, (613, 507, 1), dtype=np.uint8))
    monkeypatch.setattr(array, "chunks", (*chunk, 1), raising=False)
    raster = ArrayRaster([array], axes="YXS")
    rough = RoughLevel(raster.levels[0], 0, factor, (0,))
    for window in (Window(0, 0, *rough.shape), Window(5, 3, rough.shape[0], rough.shape[1] - 1)):
        expected = array[:, :, :][::factor, ::factor][window.slices]
        np.testing.assert_array_equal(rough.read(raster, window), expected)


def _wait_for_later() -> None:
    for thread in threading.enumerate():
        if thread.name == "napari-edgeflow-later":
            thread.join(20)


class _Chunked:
    """An array in chunks of 256²."""

    chunks = (256, 256, 1)

    def __init__(self, pixels: AnyArray) -> None:
        self._pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype

    def __getitem__(self, key: Any) -> AnyArray:
        part: AnyArray = self._pixels[key]
        return part


def test_a_view_survives_json() -> None:
    raster = ArrayRaster([PIXELS[0, 0]], axes="YXS")
    view = view_of(raster, (3, 2, 0), "strong", 0.7)
    assert BandView.from_json(view.to_json()) == view
    low, high = np.percentile(PIXELS[0, 0, :, :, 3], (2, 98))
    assert (view.stretch.low[0], view.stretch.high[0]) == pytest.approx((low, high))
    with pytest.raises(ValueError, match="rule of full"):
        view_of(raster, (0,), "loud")
    with pytest.raises(ValueError, match="one band or three"):
        BandView((0, 1), view.stretch)
    with pytest.raises(ValueError, match="bands and their stretch"):
        BandView.from_json({})
