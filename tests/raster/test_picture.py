"""PNG and JPEG files in every depth, against the arrays that were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_edgeflow._types import AnyArray
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.picture import read_picture


def _pixels(*shape: int, dtype: Any = np.uint8) -> AnyArray:
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(13, 17), (13, 17, 3), (13, 17, 4)])
def test_png_keeps_its_depth(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    image = _pixels(*shape, dtype=dtype)
    path = tmp_path / "a.png"
    path.write_bytes(imagecodecs.png_encode(image))
    pixels = read_picture(path)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, image)


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    indices = _pixels(9, 9) % 4
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 10], [7, 8, 9]], np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), palette[indices])


def test_grey_with_transparency_is_grey(tmp_path: Path) -> None:
    image = _pixels(9, 11, 2)
    Image.fromarray(image, "LA").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), image[:, :, 0])


def test_one_bit(tmp_path: Path) -> None:
    image = _pixels(9, 11) > 100
    Image.fromarray(image).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), image)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(tmp_path: Path, mode: str) -> None:
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, 24:] = [250, 120, 30]
    picture = Image.fromarray(rgb).convert(mode)
    picture.save(tmp_path / "a.jpg", quality=100, subsampling=0)
    pixels = read_picture(tmp_path / "a.jpg")
    expected = np.asarray(picture if mode == "L" else picture.convert("RGB"))
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).max() <= 4


def test_jpeg_is_not_turned_by_its_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (10, 20, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_cut_file_is_an_error(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    Image.fromarray(_pixels(64, 64, 3)).save(whole)
    content = whole.read_bytes()
    for size in [0, 5, 20, len(content) // 2]:
        path = tmp_path / f"cut.{suffix}"
        path.write_bytes(content[:size])
        with pytest.raises(RasterError, match=rf"cut\.{suffix}: expected a TIFF, PNG or JPEG"):
            read_picture(path)


def test_a_foreign_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    with pytest.raises(RasterError, match="save it as TIFF or PNG"):
        read_picture(path)


def test_a_picture_too_large_to_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(_pixels(64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(RasterError, match="convert it to a tiled TIFF"):
        read_picture(tmp_path / "a.png")
