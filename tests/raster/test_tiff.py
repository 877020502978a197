"""TIFF files of every layout read what other readers read, window by window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.enums
import tifffile
import tifffile.zarr

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.tiff import open_tiff

_WINDOWS = [
    Window(0, 0, 1, 1),
    Window(0, 0, 131, 177),
    Window(130, 176, 131, 177),
    Window(63, 63, 65, 65),
    Window(17, 100, 129, 177),
]


@pytest.fixture
def chunks_read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Keys of the chunks that tifffile decoded."""
    keys: set[str] = set()
    get = tifffile.zarr.ZarrTiffStore.get

    async def record(self: Any, key: str, *args: Any, **options: Any) -> Any:
        if key[-1].isdigit():
            keys.add(key)
        return await get(self, key, *args, **options)

    monkeypatch.setattr(tifffile.zarr.ZarrTiffStore, "get", record)
    return keys


def _pixels(*shape: int, dtype: Any = np.uint8) -> AnyArray:
    return np.random.default_rng(1).integers(0, 250, shape).astype(dtype)


def _open_handles(path: Path) -> int:
    """How often this process holds the file open."""
    return sum(handle.resolve() == path for handle in Path("/proc/self/fd").iterdir())


def _tiled(path: Path, image: AnyArray, **options: Any) -> Path:
    tifffile.imwrite(path, image, tile=(64, 64), compression="zlib", **options)
    return path


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"rowsperstrip": 7},
        {"rowsperstrip": 1000, "compression": "lzw"},
        {"tile": (64, 32), "compression": "zlib", "predictor": True},
        {"tile": (64, 64), "compression": "zstd", "byteorder": ">"},
    ],
)
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_values_equal_the_array_that_was_written(
    tmp_path: Path, dtype: str, options: dict[str, Any], bands: int
) -> None:
    image = _pixels(131, 177, bands, dtype=dtype)
    path = tmp_path / "image.tif"
    photometric = "rgb" if bands == 3 else "minisblack"
    stored = image[:, :, 0] if bands == 1 else image
    tifffile.imwrite(
        path,
        stored,
        photometric=photometric,
        planarconfig=None if bands == 1 else "contig",
        **options,
    )
    with open_tiff(path) as raster:
        assert (raster.name, raster.shape, raster.n_bands) == ("image.tif", (131, 177), bands)
        assert raster.dtype == np.dtype(dtype)
        for window in _WINDOWS:
            np.testing.assert_array_equal(raster.read(window), image[window.slices])
        picked = [bands - 1, 0]
        np.testing.assert_array_equal(
            raster.read(_WINDOWS[4], bands=picked), image[_WINDOWS[4].slices][:, :, picked]
        )


def test_separate_planes(tmp_path: Path) -> None:
    image = _pixels(4, 131, 177, dtype=np.uint16)
    path = _tiled(
        tmp_path / "a.tif", image, photometric="rgb", planarconfig="separate", extrasamples=[0]
    )
    with open_tiff(path) as raster:
        assert raster.n_bands == 4
        for window in _WINDOWS:
            np.testing.assert_array_equal(
                raster.read(window, bands=[3, 1]),
                np.moveaxis(image[[3, 1], *window.slices], 0, -1),
            )


def test_channels_first(tmp_path: Path) -> None:
    image = _pixels(3, 131, 177, dtype=np.uint16)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, image, metadata={"axes": "CYX"}, photometric="minisblack")
    with open_tiff(path) as raster:
        assert (raster.n_bands, raster.shape) == (3, (131, 177))
        np.testing.assert_array_equal(
            raster.read(Window(5, 6, 131, 177)), np.moveaxis(image[:, 5:, 6:], 0, -1)
        )


@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_a_plane_of_a_hyperstack(tmp_path: Path, kind: str) -> None:
    stack = _pixels(2, 3, 4, 31, 45, dtype=np.uint16)
    path = tmp_path / ("a.ome.tif" if kind == "ome" else "a.tif")
    tifffile.imwrite(path, stack, imagej=kind == "imagej", metadata={"axes": "TZCYX"})
    with pytest.raises(RasterError, match=r"a\..*T = 2, Z = 3, got no index.*index=\(t, z\)"):
        open_tiff(path)
    with open_tiff(path, index=(1, 2)) as raster:
        assert raster.n_bands == 4
        np.testing.assert_array_equal(
            raster.read(Window(1, 2, 31, 45)), np.moveaxis(stack[1, 2][:, 1:, 2:], 0, -1)
        )
    with open_tiff(path, axes="TCZYX", index=(0, 3)) as raster:
        np.testing.assert_array_equal(
            raster.read(Window(0, 0, 31, 45)), np.moveaxis(stack[0, :, 3], 0, -1)
        )


def test_pages_without_names_ask_for_a_choice(tmp_path: Path) -> None:
    pages = _pixels(6, 31, 45)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, metadata=None, contiguous=False, compression="zlib")
    with pytest.raises(RasterError, match="= 6, got no index"):
        open_tiff(path)
    with open_tiff(path, index=(4,)) as raster:
        np.testing.assert_array_equal(raster.read(Window(0, 0, 31, 45))[:, :, 0], pages[4])
    with open_tiff(path, axes="CYX") as raster:
        assert raster.n_bands == 6


def test_subifds_are_levels(tmp_path: Path) -> None:
    full = _pixels(1025, 777, 3)
    levels = [full, full[::2, ::2], full[::4, ::4]]
    path = tmp_path / "pyramid.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(full, tile=(256, 256), subifds=2, photometric="rgb", compression="zlib")
        for level in levels[1:]:
            writer.write(level, tile=(256, 256), subfiletype=1, photometric="rgb")
    with open_tiff(path) as raster:
        assert [level.shape for level in raster.levels] == [(1025, 777), (513, 389), (257, 195)]
        assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
        for number, level in enumerate(levels):
            rows, columns = level.shape[:2]
            window = Window(rows - 70, 3, rows, columns)
            np.testing.assert_array_equal(raster.read(window, number), level[window.slices])


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_gdal_overviews_are_levels(tmp_path: Path, driver: str) -> None:
    image = _pixels(3, 1201, 1403)
    path = tmp_path / "a.tif"
    transform = rasterio.Affine(0.5, 0, 100, 0, -0.5, 200)
    profile = {"count": 3, "height": 1201, "width": 1403, "dtype": "uint8", "crs": "EPSG:3857"}
    if driver == "GTiff":
        profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", driver=driver, transform=transform, **profile) as dataset:
        dataset.write(image)
    if driver == "GTiff":
        with rasterio.open(path, "r+") as dataset:
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
    with rasterio.open(path) as judge, open_tiff(path) as raster:
        scales = [1, *judge.overviews(1)]
        assert [level.scale_yx for level in raster.levels] == [(s, s) for s in scales]
        np.testing.assert_array_equal(
            raster.read(Window(7, 8, 1201, 1403)), np.moveaxis(image[:, 7:, 8:], 0, -1)
        )
    for number in range(1, len(scales)):
        with rasterio.open(path, overview_level=number - 1) as judge, open_tiff(path) as raster:
            np.testing.assert_array_equal(
                raster.read(Window(0, 0, *raster.levels[number].shape), number),
                np.moveaxis(judge.read(), 0, -1),
            )


def test_jpeg_ycbcr_comes_out_as_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    share = np.linspace(0, 1, 256)[:, None] * np.linspace(0, 1, 320)
    first, last = np.array([[200, 90, 20], [10, 60, 240]])[:, :, None, None]
    image = (first + share * (last - first)).round().astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=256, width=320, dtype="uint8", tiled=True,
        blockxsize=128, blockysize=128, compress="jpeg", photometric="ycbcr", quality=95,
        crs="EPSG:3857", transform=rasterio.Affine(1, 0, 5, 0, -1, 5),
    ) as dataset:  # fmt: skip
        dataset.write(image)
    with tifffile.TiffFile(path) as file:
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.YCBCR
    with open_tiff(path) as raster, rasterio.open(path) as judge:
        pixels = raster.read(Window(0, 0, 256, 320)).astype(int)
        difference = np.abs(pixels - np.moveaxis(judge.read(), 0, -1))
        assert difference.max() <= 5  # decoders differ in how they enlarge the chroma
        assert difference.mean() < 0.5
        np.testing.assert_allclose(pixels[0, 0], [200, 90, 20], atol=4)
        np.testing.assert_allclose(pixels[255, 319], [10, 60, 240], atol=4)


def test_ycbcr_without_jpeg_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _pixels(16, 16, 3), photometric="ycbcr", subsampling=(1, 1))
    with pytest.raises(RasterError, match="YCbCr without JPEG; convert it"):
        open_tiff(path)


def test_a_palette_becomes_rgb(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    indices = _pixels(70, 90)
    colormap = np.random.default_rng(2).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    pixel_size = (33550, 12, 3, (1.0, 1.0, 0.0), True)
    corner = (33922, 12, 6, (0.0, 0.0, 0.0, 5.0, 5.0, 0.0), True)
    tifffile.imwrite(
        path, indices, photometric="palette", colormap=colormap, extratags=[pixel_size, corner]
    )
    with open_tiff(path) as raster, rasterio.open(path) as judge:
        table = judge.colormap(1)
        expected = np.array([table[i][:3] for i in range(256)], np.uint8)[indices]
        window = Window(3, 4, 70, 90)
        assert raster.n_bands == 3
        assert raster.dtype == np.uint8
        np.testing.assert_array_equal(raster.read(window), expected[window.slices])
        np.testing.assert_array_equal(
            raster.read(window, bands=[2]), expected[window.slices][:, :, 2:]
        )


def test_one_bit_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = _pixels(33, 45) > 100
    tifffile.imwrite(path, image, compression="packbits")
    with open_tiff(path) as raster:
        assert raster.dtype == np.uint8
        np.testing.assert_array_equal(raster.read(Window(0, 0, 33, 45))[:, :, 0], image)


@pytest.mark.parametrize(
    ("window", "tiles"),
    [(Window(0, 0, 64, 64), 1), (Window(60, 60, 70, 70), 4), (Window(960, 0, 1000, 400), 7)],
)
def test_only_the_tiles_of_the_window_are_decoded(
    tmp_path: Path, chunks_read: set[str], window: Window, tiles: int
) -> None:
    image = _pixels(1000, 1200, 3)
    with open_tiff(_tiled(tmp_path / "a.tif", image, photometric="rgb")) as raster:
        assert not chunks_read
        np.testing.assert_array_equal(raster.read(window), image[window.slices])
    assert len(chunks_read) == tiles


def test_only_the_strips_of_the_window_are_decoded(tmp_path: Path, chunks_read: set[str]) -> None:
    image = _pixels(1000, 120)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, rowsperstrip=10, compression="zlib")
    with open_tiff(path) as raster:
        window = Window(495, 3, 505, 9)
        np.testing.assert_array_equal(raster.read(window)[:, :, 0], image[window.slices])
    assert len(chunks_read) == 2


def test_a_plain_file_far_larger_than_memory_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    side = 60_000  # 7.2 GB of holes in one strip
    pixels = tifffile.memmap(path, shape=(side, side), dtype=np.uint16, bigtiff=True)
    pixels[-3:, -4:] = corner = _pixels(3, 4, dtype=np.uint16)
    del pixels
    with open_tiff(path) as raster:
        assert raster.levels[0].chunk == (1, 1)
        window = Window(side - 3, side - 4, side, side)
        np.testing.assert_array_equal(raster.read(window)[:, :, 0], corner)
        assert not raster.read(Window(0, 0, 50, 50)).any()


def test_missing_tiles_are_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=512, width=512, dtype="uint16", tiled=True,
        blockxsize=128, blockysize=128, compress="deflate", sparse_ok=True,
        crs="EPSG:3857", transform=rasterio.Affine(1, 0, 5, 0, -1, 5),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((1, 128, 128), 7, np.uint16), window=((128, 256), (0, 128)))
    expected = np.zeros((512, 512))
    expected[128:256, :128] = 7
    with open_tiff(path) as raster:
        np.testing.assert_array_equal(raster.read(Window(0, 0, 512, 512))[:, :, 0], expected)


@pytest.mark.parametrize("layout", ["tiled", "plain", "strips"])
def test_a_file_cut_anywhere_is_an_error(tmp_path: Path, layout: str) -> None:
    image = _pixels(300, 300)
    options: dict[str, dict[str, Any]] = {
        "tiled": {"tile": (64, 64), "compression": "zlib"},
        "plain": {},
        "strips": {"rowsperstrip": 32, "compression": "lzw"},
    }
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, image, **options[layout])
    content = whole.read_bytes()
    with tifffile.TiffFile(whole) as file:
        page: Any = file.pages.first
        end = max(o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
    for size in [0, 2, 4, 7, 8, 40, 200, len(content) // 2, end - 1]:
        path = tmp_path / "cut.tif"
        path.write_bytes(content[:size])
        with pytest.raises(RasterError, match=r"cut\.tif: expected .*again"):
            open_tiff(path)
        assert _open_handles(path) == 0


def test_damaged_tiles_are_an_error_when_they_are_read(tmp_path: Path) -> None:
    path = _tiled(tmp_path / "a.tif", _pixels(256, 256))
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 200] = bytes(200)
    path.write_bytes(content)
    with open_tiff(path) as raster:
        with pytest.raises(RasterError, match=r"a\.tif, but it is damaged"):
            raster.read(Window(0, 0, 10, 10))
        raster.read(Window(200, 200, 256, 256))


@pytest.mark.parametrize("plain", [True, False])
def test_closing_lets_go_of_the_file(tmp_path: Path, plain: bool) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _pixels(256, 256), compression=None if plain else "zlib")
    with open_tiff(path) as raster:
        raster.read(Window(0, 0, 5, 5))
        assert _open_handles(path) > 0
    assert _open_handles(path) == 0
    with pytest.raises(RasterError, match="closed"):
        raster.read(Window(0, 0, 5, 5))


def test_the_largest_image_of_a_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    image = _pixels(300, 200, 3)
    with tifffile.TiffWriter(path) as writer:
        writer.write(_pixels(30, 20, 3), photometric="rgb", metadata=None)
        writer.write(image, photometric="rgb", metadata=None)
    with open_tiff(path) as raster:
        np.testing.assert_array_equal(raster.read(Window(0, 0, *raster.shape)), image)
