"""The affine of the tags, the place of a file, and pixels to the map and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.transform

from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.place import MapPlace, read_place

_NORTH_UP = rasterio.Affine(0.07464553543474244, 0, 3627854.2364710346, 0, -0.0746, 39135.758482)
_DEGREES = rasterio.Affine(1e-5, 0, 30.123456789, 0, -1e-5, 0.987654321)
_ROTATED = rasterio.Affine(0.4, 0.3, 500000.1, 0.3, -0.4, 4600000.7)
_CASES = [("EPSG:32616", _NORTH_UP), ("EPSG:4326", _DEGREES), ("EPSG:3857", _ROTATED)]


def _image(path: Path, crs: str | None, transform: Any, **options: Any) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=7, width=9, dtype="uint8", crs=crs,
        transform=transform, **options,
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 7, 9), np.uint8))
    return path


@pytest.mark.parametrize(("crs", "transform"), _CASES)
@pytest.mark.parametrize("options", [{}, {"AREA_OR_POINT": "Point"}])
def test_place_and_tags_agree_with_gdal(
    tmp_path: Path, crs: str, transform: Any, options: dict[str, str]
) -> None:
    path = _image(tmp_path / "a.tif", crs, transform)
    if options:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(**options)
    with rasterio.open(path) as judge, open_raster(path) as raster:
        assert isinstance(raster, ArrayRaster)
        assert raster.place is not None
        assert raster.place.affine == tuple(judge.transform)[:6]
        assert rasterio.CRS.from_wkt(raster.place.crs_wkt) == judge.crs
        assert raster.georeference is not None
        tags = raster.georeference.affine
        assert tags is not None
        np.testing.assert_allclose(tags, judge.transform[:6], rtol=1e-15)


@pytest.mark.parametrize(("crs", "transform"), _CASES)
def test_pixels_to_the_map_and_back(crs: str, transform: Any) -> None:
    place = MapPlace(tuple(transform)[:6])
    rows, columns = np.array([0, 6, 3.25]), np.array([0, 8, 1.75])
    x, y = rasterio.transform.xy(transform, rows, columns)  # pixel centres
    xy = place.to_map(np.stack([rows, columns], axis=1))
    np.testing.assert_allclose(xy, np.stack([x, y], axis=1), rtol=1e-14)
    back = place.to_pixels(xy)
    np.testing.assert_allclose(back, np.stack([rows, columns], axis=1), atol=1e-6)
    assert place.pixel_area == pytest.approx(abs(transform.determinant), rel=1e-12)
    coarse = place.scaled((4, 2)).affine
    np.testing.assert_allclose(coarse, (transform @ rasterio.Affine.scale(2, 4))[:6])


def test_pixel_size_of_a_turned_raster_is_refused() -> None:
    assert MapPlace(tuple(_NORTH_UP)[:6]).pixel_size_yx == (0.0746, 0.07464553543474244)
    with pytest.raises(RasterError, match="gdalwarp"):
        _ = MapPlace(tuple(_ROTATED)[:6]).pixel_size_yx


@pytest.mark.parametrize("affine", [(1, 0, 0, 0, 0, 0), (np.nan, 0, 0, 0, 1, 0)])
def test_affines_that_make_no_sense(affine: Any) -> None:
    with pytest.raises(ValueError, match="an affine needs"):
        MapPlace(affine)


def test_a_file_without_a_place(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.new("L", (9, 7)).save(path)
    assert read_place(path) is None
    (tmp_path / "a.pgw").write_text("2\n0\n0\n-2\n101\n199\n")  # a world file: centre of pixel 0
    assert read_place(path) == MapPlace((2, 0, 100, 0, -2, 200))
    with open_raster(path) as raster:
        assert isinstance(raster, ArrayRaster)
        assert raster.place == MapPlace((2, 0, 100, 0, -2, 200))


def test_an_affine_without_crs_is_kept(tmp_path: Path) -> None:
    place = read_place(_image(tmp_path / "a.tif", None, _NORTH_UP))
    assert place == MapPlace(tuple(_NORTH_UP)[:6], None)


def test_what_gdal_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(RasterError, match="expected a raster that GDAL reads"):
        read_place(tmp_path / "a.txt")
