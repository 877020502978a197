"""Files for GDAL, TIFF's masks and details: rasterio on one side, windows on the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile
from rasterio.enums import ColorInterp, Resampling

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.gdal_file import open_gdal, wavelength_of
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch

_PLACE = rasterio.Affine(0.5, 0, 733601.25, 0, -0.5, 3725139.75)


def _geotiff(path: Path, image: AnyArray, **options: Any) -> Path:
    count, height, width = image.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=image.dtype,
        crs="EPSG:32616", transform=_PLACE, **options,
    ) as dataset:  # fmt: skip
        dataset.write(image)
    return path


def _pixels(*shape: int, dtype: Any = np.uint16) -> AnyArray:
    return np.random.default_rng(2).integers(1, 120, shape).astype(dtype)


def _open(path: Path) -> ArrayRaster:
    raster = open_raster(path)
    assert isinstance(raster, ArrayRaster)
    return raster


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_windows_of_files_that_gdal_opens(tmp_path: Path, dtype: str, count: int) -> None:
    image = _pixels(count, 131, 177, dtype=dtype)
    rasterio.shutil.copy(
        _geotiff(tmp_path / "a.tif", image, tiled=True, blockxsize=64, blockysize=32),
        tmp_path / "a.vrt", driver="VRT",
    )  # fmt: skip
    with _open(tmp_path / "a.vrt") as raster:
        assert (raster.n_bands, raster.dtype, raster.shape) == (count, np.dtype(dtype), (131, 177))
        for window in (Window(0, 0, 131, 177), Window(60, 31, 70, 66), Window(130, 176, 131, 177)):
            expected = np.moveaxis(image[:, *window.slices], 0, -1)
            np.testing.assert_array_equal(raster.read(window), expected)
            picked = [count - 1, 0]
            np.testing.assert_array_equal(raster.read(window, bands=picked), expected[:, :, picked])
        assert raster.place is not None
        assert raster.place.affine == tuple(_PLACE)[:6]


def test_overviews_are_levels(tmp_path: Path) -> None:
    path = _geotiff(tmp_path / "a.tif", _pixels(2, 301, 207))
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.average)
    with open_gdal(path) as raster:
        assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
        for number in (1, 2):
            with rasterio.open(path, overview_level=number - 1) as judge:
                np.testing.assert_array_equal(
                    raster.read(Window(0, 0, *raster.levels[number].shape), number),
                    np.moveaxis(judge.read(), 0, -1),
                )
    with pytest.raises(RasterError, match="closed"):
        raster.read(Window(0, 0, 1, 1))


def test_bands_of_different_types(tmp_path: Path) -> None:
    for name, dtype in (("a", "uint8"), ("b", "float32")):
        _geotiff(tmp_path / f"{name}.tif", _pixels(1, 8, 9, dtype=dtype))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{number}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{name}.tif</SourceFilename></SimpleSource></VRTRasterBand>'
        for number, (name, kind) in enumerate((("a", "Byte"), ("b", "Float32")), 1)
    )
    path = tmp_path / "both.vrt"
    path.write_text(f'<VRTDataset rasterXSize="9" rasterYSize="8">{bands}</VRTDataset>')
    with pytest.raises(RasterError, match="one type, got uint8, float32"):
        open_raster(path)


@pytest.mark.parametrize("reader", ["tifffile", "gdal"])
def test_nodata_masks_and_transparency(tmp_path: Path, reader: str) -> None:
    image = _pixels(3, 90, 80)
    image[:, :30] = 7  # the missing value in every band
    image[0, 50, 50] = 7  # in one band alone: a real pixel
    nodata = _geotiff(tmp_path / "nodata.tif", image, nodata=7)
    rgba = np.concatenate([image, np.full((1, 90, 80), 255, np.uint16)])
    rgba[3, :30] = 0
    alpha = _geotiff(tmp_path / "alpha.tif", rgba, photometric="rgb", alpha="yes")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        masked = _geotiff(tmp_path / "mask.tif", image, tiled=True, blockxsize=32, blockysize=32)
        with rasterio.open(masked, "r+") as dataset:
            keep = np.ones((90, 80), bool)
            keep[:30] = False
            dataset.write_mask(keep)
    for path in (nodata, alpha, masked):
        with _open(path) if reader == "tifffile" else open_gdal(path) as raster:
            window = Window(25, 40, 55, 60)
            pixels = raster.read(window, bands=(0, 1, 2))
            valid = raster.valid_pixels(pixels, window, bands=(0, 1, 2))
            expected = np.zeros((30, 20, 3), bool)
            expected[5:] = True
            np.testing.assert_array_equal(valid, expected, err_msg=path.name)
            stretch = estimate_stretch(raster)
            low = [np.percentile(band[30:], 0.1) for band in image]
            np.testing.assert_allclose(stretch.low, low, err_msg=path.name)


def test_a_file_without_mask_is_valid_everywhere(tmp_path: Path) -> None:
    with _open(_geotiff(tmp_path / "a.tif", _pixels(1, 20, 30))) as raster:
        window = Window(0, 0, 20, 30)
        assert raster.valid_pixels(raster.read(window), window).all()
        assert raster.details.masks == ()


def test_a_damaged_tile(tmp_path: Path) -> None:
    path = _geotiff(
        tmp_path / "a.tif", _pixels(1, 256, 256), tiled=True, blockxsize=64, blockysize=64,
        compress="deflate",
    )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + 100] = bytes(100)
    path.write_bytes(content)
    with open_gdal(path) as raster:
        with pytest.raises(RasterError, match=r"a\.tif, but it is damaged"):
            raster.read(Window(0, 0, 10, 10))
        raster.read(Window(200, 200, 256, 256))


def test_a_file_of_no_known_kind(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"nothing that anybody knows" * 9)
    with pytest.raises(RasterError, match=r"a\.bin: expected a TIFF, PNG or JPEG"):
        open_raster(path)


@pytest.mark.parametrize(
    ("tags", "nanometres"),
    [
        ({"CENTRAL_WAVELENGTH_UM": "0.665"}, 665),
        ({"wavelength": "842", "wavelength_units": "Nanometers"}, 842),
        ({"wavelength": "0.842", "wavelength_units": "Micrometers"}, 842),
        ({"wavelength": "0.49"}, 490),
        ({"wavelength": "490"}, 490),
        ({"wavelength": "blue"}, None),
        ({}, None),
    ],
)
def test_wavelengths(tags: dict[str, str], nanometres: float | None) -> None:
    assert wavelength_of(tags) == (None if nanometres is None else pytest.approx(nanometres))


def test_details_of_ome_tiff_and_resolution(tmp_path: Path) -> None:
    ome = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        ome, _pixels(2, 30, 40), photometric="minisblack",
        metadata={
            "axes": "CYX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5,
            "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm",
            "Channel": {"Name": ["DAPI", "GFP"]},
        },
    )  # fmt: skip
    with _open(ome) as raster:
        size = raster.details.pixel_size
        assert size is not None
        assert (size.y, size.x, size.unit) == (0.5, 0.25, "µm")
        assert [band.name for band in raster.details.bands] == ["DAPI", "GFP"]
    plain = tmp_path / "b.tif"
    tifffile.imwrite(plain, _pixels(30, 40), resolution=(20_000, 40_000), resolutionunit=3)
    with _open(plain) as raster:
        size = raster.details.pixel_size
        assert size is not None
        assert (size.y, size.x, size.unit) == (0.25, 0.5, "µm")


def test_colours_of_a_file(tmp_path: Path) -> None:
    path = _geotiff(tmp_path / "a.tif", _pixels(4, 9, 9, dtype=np.uint8), photometric="rgb")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.red, ColorInterp.green, ColorInterp.blue,
                               ColorInterp.undefined]  # fmt: skip
    with _open(path) as raster:
        assert [band.colour for band in raster.details.bands] == ["red", "green", "blue", ""]
        assert raster.alpha_band is None


def test_an_infrared_band_is_not_taken_for_transparency(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"  # as GDAL writes a CIR orthophoto that was RGBA once
    items = "".join(
        f'<Item name="COLORINTERP" sample="{number}" role="colorinterp">{name}</Item>'
        for number, name in enumerate(["Gray", "Undefined", "Undefined", "Undefined"])
    )
    metadata = (42112, 2, 0, f"<GDALMetadata>{items}</GDALMetadata>", True)
    tifffile.imwrite(
        path, _pixels(9, 9, 4, dtype=np.uint8), photometric="rgb", extrasamples=[2],
        metadata=None, extratags=[metadata],
    )  # fmt: skip
    with _open(path) as raster:
        assert [band.colour for band in raster.details.bands] == ["gray", "", "", ""]
        assert raster.alpha_band is None
