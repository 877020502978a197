"""Overviews that we build: GDAL's averages, missing values, cancelling, and going stale."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import Cancelled, RasterError
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.pyramid import needs_overviews, overview_places
from napari_edgeflow.raster.pyramid_build import build_overviews, halve


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_EDGEFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _image(*shape: int, dtype: Any = np.uint16) -> AnyArray:
    return np.random.default_rng(5).integers(0, 60_000, shape).astype(dtype)


def _file(path: Path, image: AnyArray) -> Path:
    planes = "contig" if image.ndim == 3 else None
    tifffile.imwrite(path, image, tile=(256, 256), photometric="minisblack", planarconfig=planes)
    return path


def _level(raster: Any, number: int) -> AnyArray:
    pixels: AnyArray = raster.read(Window(0, 0, *raster.levels[number].shape), number)
    return pixels


def _slow_mean(pixels: AnyArray, valid: AnyArray, nodata: float | None) -> AnyArray:
    """The definition, pixel by pixel."""
    rows, columns = -(-pixels.shape[0] // 2), -(-pixels.shape[1] // 2)
    out = np.zeros((rows, columns, pixels.shape[2]), pixels.dtype)
    for y, x, band in np.ndindex(*out.shape):
        four = np.s_[2 * y : 2 * y + 2, 2 * x : 2 * x + 2, band]
        values = pixels[four][valid[four]].tolist()
        if values:
            mean = sum(values) / len(values)
            out[y, x, band] = mean if pixels.dtype.kind == "f" else np.floor(mean + 0.5)
        else:
            out[y, x, band] = pixels[2 * y, 2 * x, band] if nodata is None else nodata
    return out


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int32]),
        st.tuples(st.integers(1, 7), st.integers(1, 7), st.integers(1, 2)),
    ),
    st.integers(0, 2**32),
    st.sampled_from([None, 3.0]),
)
@settings(deadline=None, max_examples=60)
def test_halving_by_its_definition(pixels: AnyArray, seed: int, nodata: float | None) -> None:
    valid = np.random.default_rng(seed).random(pixels.shape) < 0.6
    np.testing.assert_array_equal(halve(pixels, valid, nodata), _slow_mean(pixels, valid, nodata))


def test_halving_floats_keeps_nan_out() -> None:
    pixels = np.array([[1, np.nan, np.nan], [3, 5, np.nan]], np.float32)[:, :, None]
    halved = halve(pixels, np.isfinite(pixels))
    np.testing.assert_array_equal(halved[:, :, 0], [[3, np.nan]])


@pytest.mark.parametrize(
    "shape", [(1500, 1301), (1025, 2047), (1300, 1100, 3)], ids=["odd", "wide", "bands"]
)
def test_levels_are_found_and_equal_gdals_averages(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = _file(tmp_path / "a.tif", _image(*shape))
    shares: list[float] = []
    assert build_overviews(path, progress=shares.append) == tmp_path / "a.tif.overviews.tif"
    assert shares == sorted(shares)
    assert 0.9 < shares[-1] <= 1
    with open_raster(path) as raster:
        assert [level.scale_yx for level in raster.levels][:2] == [(1, 1), (2, 2)]
        assert max(raster.levels[-1].shape) <= 512
        assert not needs_overviews(raster)  # type: ignore[arg-type]
        np.testing.assert_array_equal(_level(raster, 0), _image(*shape).reshape(*shape[:2], -1))
        rows, columns = (side // 2 * 2 for side in shape[:2])
        with pytest.warns(NotGeoreferencedWarning), rasterio.open(path) as judge:
            expected = judge.read(
                out_shape=(judge.count, rows // 2, columns // 2),
                window=((0, rows), (0, columns)), resampling=Resampling.average,
            )  # fmt: skip
        level = _level(raster, 1)[: rows // 2, : columns // 2]
        difference = level.astype(int) - np.moveaxis(expected, 0, -1)
        assert np.abs(difference).max() <= 1  # halves round either way


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    image = np.full((1, 1200, 1200), 100, np.int16)
    image[:, :501] = -999
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=1200, width=1200, dtype="int16", nodata=-999,
        crs="EPSG:3857", transform=rasterio.Affine(1, 0, 5, 0, -1, 5),
    ) as dataset:  # fmt: skip
        dataset.write(image)
    build_overviews(path)
    with open_raster(path) as raster:
        for number in range(1, len(raster.levels)):
            level = _level(raster, number)[:, :, 0]
            assert set(np.unique(level)) == {-999, 100}
            assert (level[: 500 >> number] == -999).all()


def test_zarr_and_planes_of_a_stack(tmp_path: Path) -> None:
    stack = _image(2, 1100, 300)
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=stack)
    for index in ((0,), (1,)):
        build_overviews(path, index=index)
        with open_raster(path, index=index) as raster:
            expected = halve(stack[index][:, :, None], np.ones((1100, 300, 1), bool))
            np.testing.assert_array_equal(_level(raster, 1), expected)


def test_nothing_to_do(tmp_path: Path) -> None:
    assert build_overviews(_file(tmp_path / "a.tif", _image(300, 400))) is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif"]


def test_another_raster_of_that_name_makes_them_void(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.tif", _image(1100, 1100))
    build_overviews(path)
    with open_raster(path) as raster:
        assert len(raster.levels) > 1
    state = path.stat()
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with open_raster(path) as raster:
        assert len(raster.levels) == 1
    build_overviews(path)
    with open_raster(path) as raster:
        assert len(raster.levels) > 1


@pytest.mark.parametrize("after", [0, 2, 4])
def test_cancelling_leaves_nothing_behind(tmp_path: Path, after: int) -> None:
    path = _file(tmp_path / "a.tif", _image(1500, 1500))
    asked = iter(range(1000))
    with pytest.raises(Cancelled):
        build_overviews(path, should_stop=lambda: next(asked) >= after)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_damaged_overviews_are_ignored(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.tif", _image(1100, 1100))
    place = build_overviews(path)
    assert place is not None
    place.write_bytes(place.read_bytes()[:100])
    with open_raster(path) as raster:
        assert len(raster.levels) == 1


def test_the_cache_where_the_folder_cannot_be_written_to(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path / "a.tif", _image(1100, 1100))
    beside, cached = overview_places(path)
    opened = Path.open

    def refuse(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if self.parent == beside.parent and "x" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert build_overviews(path) == cached
    assert cached.is_relative_to(cache)
    with open_raster(path) as raster:
        assert len(raster.levels) > 1


def test_no_place_to_write_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path / "a.tif", _image(1100, 1100))
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NAPARI_EDGEFLOW_CACHE", str(tmp_path / "file"))
    (tmp_path / "a.tif.overviews.tif").mkdir()  # a file cannot take its place
    with pytest.raises(RasterError, match="refused both"):
        build_overviews(path)


def test_gdals_own_sidecar_is_used(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.tif", _image(1100, 1300, dtype=np.uint8))
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.Env(TIFF_USE_OVR="YES"),
        rasterio.open(path, "r+") as dataset,
    ):
        dataset.build_overviews([2, 4], Resampling.nearest)
    assert (tmp_path / "a.tif.ovr").exists()
    with pytest.warns(NotGeoreferencedWarning):
        judge = rasterio.open(path, overview_level=1)
    with open_raster(path) as raster, judge:
        assert [level.scale_yx for level in raster.levels] == [(1, 1), (2, 2), (4, 4)]
        np.testing.assert_array_equal(_level(raster, 2)[:, :, 0], judge.read(1))
