"""One door: arrays, paths, layers; what is refused says what to do."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.open import open_raster

dask_array: Any = importlib.import_module("dask.array")  # untyped


@dataclass
class Layer:
    """What is used of a napari Image layer."""

    data: Any
    rgb: bool = False
    multiscale: bool = False
    name: str = "cells"


def _pixels(*shape: int) -> AnyArray:
    return np.random.default_rng(4).integers(0, 60_000, shape).astype(np.uint16)


def _everything(raster: Any, level: int = 0) -> AnyArray:
    pixels: AnyArray = raster.read(Window(0, 0, *raster.levels[level].shape), level)
    return pixels


def test_arrays() -> None:
    for shape in [(9, 12), (9, 12, 1), (9, 12, 2), (9, 12, 3), (9, 12, 4)]:
        image = _pixels(*shape)
        np.testing.assert_array_equal(_everything(open_raster(image)), image.reshape(9, 12, -1))


def test_a_raster_is_returned_as_it_is() -> None:
    raster = open_raster(_pixels(5, 6))
    assert open_raster(raster) is raster


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("suffix", [".tif", ".png", ".dat"])
def test_paths_by_content_not_by_name(tmp_path: Path, suffix: str, as_text: bool) -> None:
    image = _pixels(9, 12)
    path = tmp_path / f"a{suffix}"
    if suffix == ".png":
        Image.fromarray(image).save(path)
    else:
        tifffile.imwrite(path, image)
    with open_raster(str(path) if as_text else path) as raster:
        assert raster.name == path.name
        np.testing.assert_array_equal(_everything(raster)[:, :, 0], image)


def test_layers_grey_rgb_and_multiscale() -> None:
    image = _pixels(64, 50, 3)
    raster = open_raster(Layer(image, rgb=True))
    assert (raster.name, raster.n_bands) == ("cells", 3)
    np.testing.assert_array_equal(_everything(raster), image)

    levels = [image, image[::2, ::2], image[::4, ::4]]
    raster = open_raster(Layer(levels, rgb=True, multiscale=True))
    for number, level in enumerate(levels):
        np.testing.assert_array_equal(_everything(raster, number), level)

    grey = open_raster(Layer(image[:, :, 0]))
    np.testing.assert_array_equal(_everything(grey)[:, :, 0], image[:, :, 0])


def test_the_slice_of_a_stack_layer() -> None:
    stack = _pixels(3, 5, 20, 30)
    raster = open_raster(Layer(dask_array.from_array(stack)), index=(2, 4))
    np.testing.assert_array_equal(_everything(raster)[:, :, 0], stack[2, 4])
    with pytest.raises(RasterError, match=r"cells: .*T = 3, Z = 5, got no index"):
        open_raster(Layer(stack))


def test_the_slice_of_an_rgb_stack_layer() -> None:
    stack = _pixels(5, 20, 30, 4)
    raster = open_raster(Layer(stack, rgb=True), index=(1,))
    np.testing.assert_array_equal(_everything(raster), stack[1])


def test_a_narrow_stack_layer_is_not_taken_for_bands() -> None:
    stack = _pixels(5, 20, 3)
    raster = open_raster(Layer(stack), index=(4,))
    np.testing.assert_array_equal(_everything(raster)[:, :, 0], stack[4])


def test_axes_of_a_layer_that_shows_other_ones() -> None:
    stack = _pixels(5, 20, 30)
    raster = open_raster(Layer(stack), axes="YZX", index=(7,))
    np.testing.assert_array_equal(_everything(raster)[:, :, 0], stack[:, 7])


def test_a_layer_of_napari_itself() -> None:
    from napari.layers import Image as ImageLayer

    image = _pixels(70, 90)
    layer = ImageLayer([image, image[::2, ::2]], multiscale=True, name="pyramid")
    raster = open_raster(layer)
    assert (raster.name, len(raster.levels)) == ("pyramid", 2)
    np.testing.assert_array_equal(_everything(raster, 1)[:, :, 0], image[::2, ::2])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nothing_finite_is_refused(value: float) -> None:
    with pytest.raises(RasterError, match="finite pixels"):
        open_raster(np.full((20, 30), value))
    with pytest.raises(RasterError, match="finite pixels"):
        open_raster(Layer(np.full((2, 20, 30), value)), index=(1,))


def test_a_single_finite_pixel_is_enough() -> None:
    for shape, place in [((20, 30), (3, 4)), ((2000, 2000), (1001, 601))]:
        image = np.full(shape, np.nan, np.float32)
        image[place] = 5
        pixels = _everything(open_raster(image))
        assert pixels[place] == 5
        assert np.isnan(pixels).sum() == image.size - 1


def test_only_the_chosen_plane_must_be_finite() -> None:
    stack = np.zeros((2, 20, 30))
    stack[0] = np.nan
    open_raster(stack, index=(1,))
    with pytest.raises(RasterError, match="finite pixels"):
        open_raster(stack, index=(0,))


@pytest.mark.parametrize("image", [None, 5, [[1, 2], [3, 4]], {"a": 1}, b"II*"])
def test_things_that_are_no_image(image: Any) -> None:
    with pytest.raises(RasterError, match=f"got {type(image).__name__}; convert it"):
        open_raster(image)


class Tensor:
    """An array of a library whose types NumPy does not know."""

    shape = (20, 30)
    dtype = object()

    def __getitem__(self, key: Any) -> Any:
        raise AssertionError("never read")


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        (np.zeros((20, 30), "datetime64[s]"), "convert it first"),
        (np.zeros((20, 30), object), "convert it first"),
        (Tensor(), "numpy.asarray"),
    ],
)
def test_arrays_of_other_types_of_pixels(image: Any, remedy: str) -> None:
    with pytest.raises(RasterError, match=remedy):
        open_raster(image)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.tif", "No such file"), (".", "Is a directory"), ("a.tif/b.tif", "Not a directory")],
)
def test_paths_that_cannot_be_opened(tmp_path: Path, path: str, reason: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _pixels(4, 4))
    with pytest.raises(RasterError, match=f"{reason}.*check the path"):
        open_raster(tmp_path / path)


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    cases: list[tuple[AnyArray, str]] = [
        (np.full((20, 30), np.nan, np.float32), "finite pixels"),
        (np.zeros((7, 20, 30), np.uint8), "got no index"),
        (np.zeros((20, 30), np.complex64), "complex64"),
    ]
    for image, message in cases:
        tifffile.imwrite(path, image, compression="zlib", metadata=None)
        with pytest.raises(RasterError, match=message):
            open_raster(path)
        assert not any(handle.resolve() == path for handle in Path("/proc/self/fd").iterdir())


def test_opening_imports_neither_torch_nor_napari() -> None:
    code = (
        "import sys, numpy, napari_edgeflow.raster.open as o, napari_edgeflow.raster.tiff, "
        "napari_edgeflow.export.mask; o.open_raster(numpy.zeros((4, 4))); "
        "print({'torch', 'napari', 'qtpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
