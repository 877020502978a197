"""What ``info`` says of files that GDAL, tifffile and zarr wrote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner, Result

from napari_edgeflow.cli import app
from napari_edgeflow.cli.info import parse_index

UTM = (0.5, 0.0, 733601.25, 0.0, -0.5, 3725139.75)


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["info", *map(str, arguments)])


def _json(*arguments: object) -> dict[str, Any]:
    result = _run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def geotiff(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    pixels = np.random.default_rng(1).integers(100, 4000, (4, 600, 700), np.uint16)
    with rasterio.open(
        path, "w", driver="GTiff", count=4, height=600, width=700, dtype="uint16", nodata=0,
        crs="EPSG:32616", transform=rasterio.Affine(*UTM), tiled=True, blockxsize=256,
        blockysize=128,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        for number, name in enumerate(("red", "green", "blue", "nir"), start=1):
            dataset.set_band_description(number, name)
        dataset.build_overviews([2, 4])
    return path


def test_a_geotiff(geotiff: Path) -> None:
    found = _json(geotiff)
    assert (found["rows"], found["columns"], found["dtype"]) == (600, 700, "uint16")
    assert [(x["rows"], x["columns"]) for x in found["levels"]] == [
        (600, 700), (300, 350), (150, 175)
    ]  # fmt: skip
    assert [x["scale"] for x in found["levels"]] == [[1, 1], [2, 2], [4, 4]]
    assert found["levels"][0]["chunk"] == [128, 256]
    assert [band["name"] for band in found["bands"]] == ["red", "green", "blue", "nir"]
    assert found["nodata"] == 0
    with rasterio.open(geotiff) as judge:
        assert tuple(found["place"]["affine"]) == tuple(judge.transform)[:6]  # to the last bit
        assert rasterio.CRS.from_wkt(found["place"]["crs_wkt"]) == judge.crs
    assert (found["place"]["crs"], found["place"]["unit"]) == ("EPSG:32616", "metre")
    assert found["presets"] == ["true-colour", "false-colour-nir", "first"]
    assert found["kind"].startswith("TIFF")
    assert found["advice"] == []


def test_the_same_in_words(geotiff: Path) -> None:
    result = _run(geotiff)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == f"{geotiff}: 600 × 700 px, uint16"
    assert "levels: 3 (600×700, 300×350, 150×175), read in 128 × 256 px" in lines
    assert "bands: 4 (0 red, 1 green, 2 blue, 3 nir)" in lines
    assert "map: EPSG:32616" in lines
    assert "affine: x = 0.5·column + 0.0·row + 733601.25" in lines
    assert any(line.startswith("shown: bands 0, 1, 2 from 1") for line in lines)


def test_advice_for_large_files(tmp_path: Path) -> None:
    path = tmp_path / "flat.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=70_000, width=66_000, dtype="uint8",
        sparse_ok=True, tiled=True, transform=rasterio.Affine(*UTM),
    ) as dataset:  # fmt: skip
        dataset.write(np.full((1, 256, 256), 9, np.uint8), window=((0, 256), (0, 256)))
    advice = " | ".join(_json(path)["advice"])
    for words in (
        "no overviews",
        "labels go to disk",
        "COCO is exported in parts",
        "without a CRS",
    ):
        assert words in advice
    assert path.stat().st_size < 2**22


def test_pixel_size_and_channels_of_an_ome_zarr(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("0", shape=(2, 64, 80), dtype="uint16", chunks=(1, 32, 32))
    axes = [{"name": "c", "type": "channel"}] + [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "yx"
    ]
    steps = [{"type": "scale", "scale": [1, 0.25, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    multiscale: Any = {"axes": axes, "datasets": datasets}
    omero: Any = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale], "omero": omero}
    found = _json(tmp_path / "a.zarr")
    assert found["pixel_size"] == {"y": 0.25, "x": 0.5, "unit": "µm"}
    assert [band["name"] for band in found["bands"]] == ["DAPI", "GFP"]
    assert (found["kind"], found["place"]) == ("zarr, chunk by chunk", None)
    assert "pixel: 0.25 × 0.5 µm" in _run(tmp_path / "a.zarr").stdout


def test_a_stack_shows_a_plane(tmp_path: Path) -> None:
    stack = np.zeros((3, 5, 40, 50), np.uint16)
    stack[1, 2] = 77
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "TZYX"}, imagej=True)
    found = _json(path)
    assert found["plane"] == [0, 0]
    assert "a stack (T = 3, Z = 5)" in found["advice"][0]
    found = _json(path, "--index", "1,2")
    assert (found["plane"], found["stretch"]["low"]) == ([1, 2], [77])
    result = _run(path, "--index", "9,9")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")


def test_pictures_and_missing_values(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((9, 11, 3), np.uint8)).save(tmp_path / "a.png")
    assert _json(tmp_path / "a.png")["kind"] == "a picture, whole"
    with rasterio.open(
        tmp_path / "nan.tif", "w", driver="GTiff", count=1, height=8, width=8, dtype="float32",
        nodata=float("nan"), crs="EPSG:4326", transform=rasterio.Affine(1, 0.5, 0, 0.5, -1, 0),
    ) as dataset:  # fmt: skip
        dataset.write(np.ones((1, 8, 8), np.float32))
    found = _json(tmp_path / "nan.tif")
    assert found["nodata"] in ("nan", None)
    assert found["place"]["is_rotated"]
    assert "map: EPSG:4326, rotated" in _run(tmp_path / "nan.tif").stdout


@pytest.mark.parametrize("text", ["-1", "1;2", "a", "1,,2", "1.5"])
def test_planes_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="whole numbers separated by commas"):
        parse_index(text)
    assert parse_index(" 1, 22 ") == (1, 22)


def test_what_is_no_image_is_one_plain_line(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0 and nothing more")
    for name in ("a.tif", "missing.tif", "."):
        result = _run(tmp_path / name)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1


def test_neither_torch_nor_qt_is_loaded(geotiff: Path) -> None:
    code = (
        "import sys\n"
        "from napari_edgeflow.cli import app\n"
        f"app(['info', {str(geotiff)!r}], standalone_mode=False)\n"
        "heavy = {'torch', 'napari', 'qtpy', 'PySide6', 'vispy', 'magicgui'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded: []"
