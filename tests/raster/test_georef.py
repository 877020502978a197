"""Georeference: GDAL finds the same place in a mask as in the image it was drawn on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

from napari_edgeflow.export.mask import write_label_image
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.open import open_raster

_NORTH_UP = rasterio.Affine(0.5, 0, 733601.25, 0, -0.5, 3725139.75)
_ROTATED = rasterio.Affine(0.4, 0.3, 500000, 0.3, -0.4, 4600000)
_LAMBERT = (
    "+proj=lcc +lat_0=45.5 +lon_0=3 +lat_1=44 +lat_2=49 +x_0=700000 +y_0=6600000 "
    "+ellps=GRS80 +units=m"
)
_CODES = (33550, 33922, 34264, 34735, 34736, 34737)


def _image(path: Path, crs: str, transform: Any, **options: Any) -> Path:
    profile = {"count": 1, "height": 70, "width": 90, "dtype": "uint16"} | options
    with rasterio.open(
        path, "w", driver="GTiff", crs=crs, transform=transform, **profile
    ) as dataset:
        dataset.write(np.arange(70 * 90).astype(str(profile["dtype"])).reshape(1, 70, 90))
    return path


def _raw_tags(path: Path) -> dict[int, tuple[int, int, bytes]]:
    """Type, count and bytes of every geo tag, in little-endian order."""
    with tifffile.TiffFile(path) as file:
        assert file.byteorder == "<"
        found = {}
        for code in _CODES:
            tag = file.pages.first.tags.get(code)
            if tag is not None:
                file.filehandle.seek(tag.valueoffset)
                size = {2: 1, 3: 2, 12: 8}[int(tag.dtype)] * tag.count
                found[code] = (int(tag.dtype), tag.count, file.filehandle.read(size))
        return found


@pytest.mark.parametrize("transform", [_NORTH_UP, _ROTATED])
@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32616", "EPSG:4326", _LAMBERT])
def test_a_mask_lies_where_its_image_lies(tmp_path: Path, crs: str, transform: Any) -> None:
    image = _image(tmp_path / "image.tif", crs, transform)
    mask = tmp_path / "mask.tif"
    with open_raster(image) as raster:
        assert raster.georeference is not None
        write_label_image(mask, np.eye(70, 90, dtype=int), georeference=raster.georeference)
    with rasterio.open(image) as before, rasterio.open(mask) as after:
        assert after.crs == before.crs
        assert after.transform == before.transform
        np.testing.assert_array_equal(after.read(1), np.eye(70, 90))
    assert _raw_tags(mask) == _raw_tags(image) != {}
    with open_raster(mask) as again:
        assert again.georeference == raster.georeference


def test_pixel_is_point_survives(tmp_path: Path) -> None:
    image = _image(tmp_path / "image.tif", "EPSG:32616", _NORTH_UP)
    with rasterio.open(image, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
    with open_raster(image) as raster:
        write_label_image(
            tmp_path / "m.tif", np.eye(70, 90, dtype=int), georeference=raster.georeference
        )
    with rasterio.open(image) as before, rasterio.open(tmp_path / "m.tif") as after:
        assert after.tags()["AREA_OR_POINT"] == before.tags()["AREA_OR_POINT"] == "Point"
        assert after.transform == before.transform


def test_a_big_endian_image(tmp_path: Path) -> None:
    image = _image(tmp_path / "image.tif", "EPSG:3857", _NORTH_UP, ENDIANNESS="BIG")
    with open_raster(image) as raster:
        write_label_image(
            tmp_path / "m.tif", np.eye(70, 90, dtype=int), georeference=raster.georeference
        )
    with rasterio.open(image) as before, rasterio.open(tmp_path / "m.tif") as after:
        assert (after.crs, after.transform) == (before.crs, before.transform)


def test_the_nodata_of_the_image_does_not_hide_an_object(tmp_path: Path) -> None:
    image = _image(tmp_path / "image.tif", "EPSG:3857", _NORTH_UP, nodata=1)
    with open_raster(image) as raster:
        assert raster.georeference is not None
        assert raster.georeference.nodata == "1"
        write_label_image(
            tmp_path / "m.tif", np.eye(70, 90, dtype=int), georeference=raster.georeference
        )
    with rasterio.open(tmp_path / "m.tif") as after:
        assert after.nodata is None
        assert after.read(1, masked=True).sum() == 70


def test_an_image_that_is_on_no_map(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 5)))
    with open_raster(tmp_path / "a.tif") as raster:
        assert raster.georeference is None
    assert open_raster(np.zeros((5, 5))).georeference is None


def test_the_tags_of_an_empty_reference() -> None:
    assert GeoReference(nodata="0").mask_tags() == []
