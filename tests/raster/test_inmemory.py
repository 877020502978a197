"""Array rasters read exactly what NumPy slicing reads, lazily, whatever the axes."""

from __future__ import annotations

import importlib
import itertools
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster

dask_array: Any = importlib.import_module("dask.array")  # untyped


class GuardedArray:
    """An array that refuses to give more than ``most`` values at once."""

    def __init__(self, array: AnyArray, most: int) -> None:
        self.array, self.most = array, most
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any) -> AnyArray:
        part: AnyArray = np.asarray(self.array[key])
        if part.size > self.most:
            raise MemoryError(f"{part.size} values at once")
        return part


def _pixels(*shape: int, dtype: Any = np.uint16) -> AnyArray:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@st.composite
def _windows(draw: st.DrawFn, rows: int, columns: int) -> Window:
    y0, x0 = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    return Window(y0, x0, draw(st.integers(y0 + 1, rows)), draw(st.integers(x0 + 1, columns)))


@pytest.mark.parametrize("axes", ["".join(p) for p in itertools.permutations("YXC")])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_reads_equal_slices_in_any_order_of_axes(axes: str, data: st.DataObject) -> None:
    image = _pixels(23, 17, 5)
    raster = ArrayRaster([image.transpose(["YXC".index(a) for a in axes])], axes=axes)
    window = data.draw(_windows(23, 17))
    bands = data.draw(st.none() | st.lists(st.integers(0, 4), min_size=1, max_size=6))
    expected = image[window.slices] if bands is None else image[window.slices][:, :, bands]
    assert (raster.shape, raster.n_bands) == ((23, 17), 5)
    np.testing.assert_array_equal(raster.read(window, 0, bands), expected)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (2, 2), (31, 33), (64, 64)])
def test_a_grey_image_has_one_band(shape: tuple[int, int]) -> None:
    image = _pixels(*shape)
    raster = ArrayRaster([image])
    pixels = raster.read(Window(0, 0, *shape))
    assert pixels.shape == (*shape, 1)
    np.testing.assert_array_equal(pixels[:, :, 0], image)


@pytest.mark.parametrize(
    ("axes", "index", "plane"),
    [
        ("TZYX", (1, 2), np.s_[1, 2]),
        ("ZTYX", (0, 3), np.s_[0, 3]),
        ("YXTZ", (5, 1), np.s_[:, :, 5, 1]),
        ("TYXZ", (2, 6), np.s_[2, :, :, 6]),
    ],
)
def test_a_plane_of_a_stack(axes: str, index: tuple[int, ...], plane: Any) -> None:
    stack = _pixels(*{"TZYX": (3, 4, 9, 11), "ZTYX": (2, 4, 9, 11)}.get(axes, (6, 9, 11, 7)))
    raster = ArrayRaster([stack], axes=axes, index=index)
    expected = stack[plane]
    np.testing.assert_array_equal(raster.read(Window(0, 0, *raster.shape))[:, :, 0], expected)


def test_a_plane_with_bands_of_a_stack() -> None:
    stack = _pixels(3, 1, 5, 20, 30)  # T Z C Y X, Z of length 1
    for index in [(2,), (2, 0)]:
        raster = ArrayRaster([stack], axes="TZCYX", index=index)
        np.testing.assert_array_equal(
            raster.read(Window(3, 4, 20, 30), bands=[4, 1]),
            np.moveaxis(stack[2, 0][[4, 1], 3:, 4:], 0, -1),
        )


def test_columns_before_rows_is_transposed() -> None:
    image = _pixels(7, 12)
    np.testing.assert_array_equal(
        ArrayRaster([image], axes="XY").read(Window(0, 0, 12, 7))[:, :, 0], image.T
    )


def test_levels_read_from_their_own_arrays() -> None:
    full = _pixels(41, 53, 3)
    arrays = [full, full[::2, ::2], full[::4, ::4]]
    raster = ArrayRaster(arrays)
    assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
    for number, array in enumerate(arrays):
        rows, columns = array.shape[:2]
        assert raster.levels[number].shape == (rows, columns)
        window = Window(rows - 3, columns - 4, rows, columns)
        np.testing.assert_array_equal(raster.read(window, number), array[-3:, -4:])


def test_bool_becomes_zero_and_one() -> None:
    image = _pixels(8, 8) > 100
    raster = ArrayRaster([image])
    assert raster.dtype == np.uint8
    pixels = raster.read(Window(0, 0, 8, 8))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[:, :, 0], image.astype(int))


def test_foreign_byte_order_becomes_native() -> None:
    image = _pixels(8, 8, dtype=">u2")
    raster = ArrayRaster([image])
    assert raster.dtype == np.dtype(np.uint16)
    assert raster.read(Window(0, 0, 8, 8)).dtype.isnative
    np.testing.assert_array_equal(raster.read(Window(0, 0, 8, 8))[:, :, 0], image)


def test_what_is_read_is_a_copy() -> None:
    image = _pixels(8, 8)
    before = image.copy()
    ArrayRaster([image]).read(Window(0, 0, 8, 8))[:] = 0
    np.testing.assert_array_equal(image, before)


def test_only_the_window_is_taken_from_the_array() -> None:
    image = _pixels(200, 300, 6)
    raster = ArrayRaster([GuardedArray(image, 10 * 12 * 2)], axes="YXC")
    window = Window(190, 288, 200, 300)
    np.testing.assert_array_equal(raster.read(window, bands=[3, 4]), image[190:, 288:, 3:5])


@pytest.mark.parametrize("kind", ["zarr", "dask"])
def test_lazy_arrays(kind: str) -> None:
    image = _pixels(3, 130, 170)
    if kind == "zarr":
        lazy = zarr.array(image, chunks=(1, 64, 64))
    else:
        lazy = dask_array.from_array(image, chunks=(1, 64, 64))
    raster = ArrayRaster([lazy], axes="CYX")
    assert raster.levels[0].chunk == (64, 64)
    np.testing.assert_array_equal(
        raster.read(Window(60, 1, 130, 170), bands=[2, 0]),
        np.moveaxis(image[[2, 0], 60:, 1:], 0, -1),
    )


def test_dask_computes_only_the_chunks_of_the_window() -> None:
    computed: list[Any] = []

    def make(block_info: Any) -> AnyArray:
        computed.append(block_info[None]["chunk-location"])
        return np.zeros(block_info[None]["chunk-shape"], np.uint8)

    lazy = dask_array.map_blocks(
        make, chunks=((50,) * 20, (50,) * 20), dtype=np.uint8, meta=np.empty((0, 0), np.uint8)
    )
    ArrayRaster([lazy]).read(Window(100, 150, 200, 200))
    assert sorted(computed) == [(2, 3), (3, 3)]


def test_a_failing_store_is_a_raster_error() -> None:
    raster = ArrayRaster([GuardedArray(_pixels(20, 20), 5)], name="cells.zarr")
    with pytest.raises(RasterError, match=r"cells\.zarr.*400 values"):
        raster.read(Window(0, 0, 20, 20))


def test_close_is_told_once_and_ends_reading() -> None:
    closed: list[bool] = []
    with ArrayRaster([_pixels(4, 4)], on_close=lambda: closed.append(True)) as raster:
        raster.read(Window(0, 0, 4, 4))
    raster.close()
    assert closed == [True]
    with pytest.raises(RasterError, match="closed; open it again"):
        raster.read(Window(0, 0, 4, 4))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), r"rows and columns, got an array of shape \(5,\)"),
        (np.zeros(()), "rows and columns"),
        (np.zeros((0, 5)), "0×5 px"),
        (np.zeros((5, 5, 0)), "0 bands"),
        (np.zeros((1, 1)), "1×1 px"),
        (np.zeros((1, 1, 3)), "1×1 px"),
        (np.zeros((4, 4), complex), r"got complex128; give its magnitude"),
        (np.full((4, 4), None), "got object"),
        (np.full((4, 4), "a"), "got <U1"),
        (np.zeros((4, 4), "datetime64[s]"), "got datetime64"),
        (np.zeros((2, 3, 5, 6, 7)), r"stack axes are T = 2, Z = 3, V = 5.*index=\(t, z, v\)"),
        (np.zeros((9, 30, 30)), r"stack axes are Z = 9, got no index.*index=\(z,\)"),
        (np.zeros((2, 2, 2, 2, 2, 2, 2, 2, 9)), "at most 5 stack axes"),
    ],
)
def test_images_that_cannot_be_used(array: AnyArray, message: str) -> None:
    with pytest.raises(RasterError, match=message):
        ArrayRaster([array])


def test_no_levels_at_all() -> None:
    with pytest.raises(RasterError, match="at least one array"):
        ArrayRaster([])


@pytest.mark.parametrize(
    ("axes", "index", "message"),
    [
        ("YX", None, "one axis letter for each of the 3 axes"),
        ("ZYY", None, "exactly one Y and one X"),
        ("CZX", None, "exactly one Y and one X"),
        ("ZYX", None, "stack axes are Z = 5, got no index"),
        ("ZYX", (1, 2), r"got index=\(1, 2\)"),
        ("ZYX", (5,), "index of 0…4 along axis Z"),
        ("ZYX", (-1,), "index of 0…4 along axis Z"),
        ("CYX", (1,), "stack axes are none"),
    ],
)
def test_choices_that_do_not_fit(axes: str, index: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(RasterError, match=message):
        ArrayRaster([np.zeros((5, 20, 20))], axes=axes, index=index)


@pytest.mark.parametrize(
    ("axes", "index", "message"),
    [
        ("ZYX", 2, r"index as a tuple.*got 2; for example index=\(2,\)"),
        ("ZYX", "2", "index as a tuple"),
        ("ZYX", (2.0,), "whole number"),
        (["Z", "Y", "X"], (2,), "axes as text"),
        (3, (2,), "axes as text"),
    ],
)
def test_choices_of_another_type(axes: Any, index: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ArrayRaster([np.zeros((5, 20, 20))], axes=axes, index=index)


def test_an_index_of_numpy_integers() -> None:
    stack = _pixels(5, 6, 7)
    raster = ArrayRaster([stack], axes="ZYX", index=tuple(np.array([3])))
    np.testing.assert_array_equal(raster.read(Window(0, 0, 6, 7))[:, :, 0], stack[3])


def test_the_error_of_a_stack_says_what_to_do_with_and_without_python() -> None:
    with pytest.raises(RasterError, match=r"index=\(t, z\).*save the plane as a file of its own"):
        ArrayRaster([np.zeros((2, 3, 20, 20))], axes="TZYX")


def test_an_index_tells_small_stacks_from_bands() -> None:
    image = _pixels(6, 7, 4)
    as_bands = ArrayRaster([image])
    assert (as_bands.shape, as_bands.n_bands) == ((6, 7), 4)
    as_stack = ArrayRaster([image], index=(5,))
    assert (as_stack.shape, as_stack.n_bands) == ((7, 4), 1)
    np.testing.assert_array_equal(as_stack.read(Window(0, 0, 7, 4))[:, :, 0], image[5])


def test_a_single_sample_leaves_the_channels() -> None:
    image = _pixels(3, 8, 9, 1)
    raster = ArrayRaster([image], axes="CYXS")
    np.testing.assert_array_equal(
        raster.read(Window(0, 0, 8, 9)), np.moveaxis(image[..., 0], 0, -1)
    )


def test_samples_go_before_channels() -> None:
    image = _pixels(1, 8, 9, 3)
    raster = ArrayRaster([image], axes="CYXS")
    assert raster.n_bands == 3
    np.testing.assert_array_equal(raster.read(Window(0, 0, 8, 9)), image[0])
