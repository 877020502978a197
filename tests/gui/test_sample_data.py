"""The bundled samples: what they contain, where they lie on the ground, whose they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from npe2 import PluginManifest

import napari_edgeflow
from napari_edgeflow.gui import sample_data

Opener = Callable[[], list[sample_data.LayerTuple]]

SAMPLES: dict[str, tuple[Opener, tuple[int, ...]]] = {
    "nuclei": (sample_data.open_nuclei, (520, 696)),
    "phase_contrast": (sample_data.open_phase_contrast, (1022, 1024)),
    "mushrooms": (sample_data.open_mushrooms, (640, 640, 3)),
    "aerial_buildings": (sample_data.open_aerial_buildings, (1280, 1280, 3)),
}

# The aerial sample is a block of web-map tiles: zoom, first column and row, tiles a side.
ZOOM, TILE_X, TILE_Y, TILES = 21, 1238424 + 29, 1046528 + 2, 5
AERIAL = sample_data.SAMPLE_FOLDER / "aerial_buildings.tif"


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_is_one_image_layer_of_known_size_and_depth(name: str) -> None:
    opener, shape = SAMPLES[name]
    ((pixels, options, layer_type),) = opener()
    assert layer_type == "image"
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8
    assert options["rgb"] is (len(shape) == 3)
    assert options["name"] == name.replace("_", " ")
    assert Path(options["metadata"]["path"]).is_file()


def test_nuclei_are_bright_on_dark_and_mushrooms_white_on_soil() -> None:
    ((nuclei, _, _),) = sample_data.open_nuclei()
    assert np.median(nuclei) < 20 < 120 < nuclei.max()
    ((mushrooms, _, _),) = sample_data.open_mushrooms()
    cap, soil = mushrooms[105:121, 319:335], mushrooms[180:196, 319:335]
    assert cap.mean() > soil.mean() + 80


def test_aerial_pixels_agree_with_gdal() -> None:
    ((pixels, _, _),) = sample_data.open_aerial_buildings()
    with rasterio.open(AERIAL) as raster:
        by_gdal = np.moveaxis(raster.read(), 0, -1)
    difference = np.abs(pixels.astype(int) - by_gdal.astype(int))
    # Two JPEG decoders enlarge the halved colour channels differently, at a few edges only.
    assert difference.mean() < 0.5
    assert np.percentile(difference, 99.9) <= 5


def test_aerial_georeference_is_that_of_its_web_map_tiles() -> None:
    half_world = math.pi * 6378137.0
    tile_m = 2 * half_world / 2**ZOOM
    with rasterio.open(AERIAL) as raster:
        transform, bounds = raster.transform, raster.bounds
        assert raster.crs.to_epsg() == 3857
        assert raster.shape == (TILES * 256, TILES * 256)
    assert (transform.b, transform.d) == (0.0, 0.0)
    assert transform.a == pytest.approx(tile_m / 256, rel=1e-12)
    assert transform.e == -transform.a
    expected = (
        TILE_X * tile_m - half_world,
        half_world - (TILE_Y + TILES) * tile_m,
        (TILE_X + TILES) * tile_m - half_world,
        half_world - TILE_Y * tile_m,
    )
    assert tuple(bounds) == pytest.approx(expected, abs=1e-6)  # a micrometre


def test_aerial_georeference_is_exactly_that_of_the_raster_it_was_cut_from() -> None:
    source = rasterio.Affine(
        0.07464553543474244, 0.0, 3627854.2364710346, 0.0, -0.07464553543474244, 39135.75848200917
    )
    with rasterio.open(AERIAL) as raster:
        assert raster.transform == source @ rasterio.Affine.translation(29 * 256, 2 * 256)


def test_every_bundled_file_has_an_attribution_and_a_licence() -> None:
    text = (sample_data.SAMPLE_FOLDER / "ATTRIBUTION.md").read_text(encoding="utf-8")
    bundled = {path.name for path in sample_data.SAMPLE_FOLDER.iterdir()} - {"ATTRIBUTION.md"}
    assert bundled == {f"{n}.tif" if n == "aerial_buildings" else f"{n}.jpg" for n in SAMPLES}
    for name in bundled:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}`")]
        assert any(licence in row for licence in ("CC0 1.0", "MIT", "CC BY 4.0"))
        assert f"\n## {name}\n" in text


def test_bundled_files_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in sample_data.SAMPLE_FOLDER.iterdir()}
    assert {name: size for name, size in sizes.items() if size > 400_000} == {}


def test_manifest_offers_exactly_these_samples() -> None:
    manifest = PluginManifest.from_file(Path(napari_edgeflow.__file__).with_name("napari.yaml"))
    contributions = manifest.contributions
    targets = {command.id: command.python_name for command in contributions.commands or ()}
    offered = {
        sample.key: targets[sample.model_dump()["command"]]
        for sample in contributions.sample_data or ()
    }
    assert offered == {
        name: f"{opener.__module__}:{opener.__name__}" for name, (opener, _) in SAMPLES.items()
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_napari_opens_the_sample(make_napari_viewer: Callable[[], Any], name: str) -> None:
    opener, shape = SAMPLES[name]
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample("napari-edgeflow", name)
    assert layer.rgb is (len(shape) == 3)
    assert layer in viewer.layers
    np.testing.assert_array_equal(layer.data, opener()[0][0])
    assert Path(layer.metadata["path"]).stem == name
