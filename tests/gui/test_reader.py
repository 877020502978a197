"""The reader in a viewer: levels, colours, scale, place; and which files it leaves to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import zarr

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.bands import VIEW_KEY, layer_view, open_plane
from napari_edgeflow.gui.files.reader import get_reader, read_image
from napari_edgeflow.gui.planes import plane_image, shown_plane
from napari_edgeflow.raster.bands import preset_bands
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.stretch import estimate_stretch

_PLACE = rasterio.Affine(0.5, 0, 733601.25, 0, -0.5, 3725139.75)


def _random(*shape: int, top: int = 255, dtype: Any = np.uint8) -> AnyArray:
    return np.random.default_rng(5).integers(0, top, shape).astype(dtype)


def _pyramid(path: Path, pixels: AnyArray, **options: Any) -> Path:
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        writer.write(pixels, tile=(64, 64), subifds=1, **options)
        writer.write(pixels[::2, ::2], tile=(64, 64), subfiletype=1, **options)
    return path


def _satellite(path: Path) -> Path:
    """Five bands of uint16 in metres, blue first, a missing value in a corner."""
    pixels = _random(5, 90, 120, top=3000, dtype=np.uint16)
    pixels[:, :20, :20] = 65535
    with rasterio.open(
        path, "w", driver="GTiff", count=5, height=90, width=120, dtype=np.uint16,
        crs="EPSG:32616", transform=_PLACE, nodata=65535,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
        for number, name in enumerate(("blue", "green", "red", "nir", "swir"), start=1):
            dataset.set_band_description(number, name)
    return path


def _ome_zarr(path: Path) -> Path:
    """Two channels of three planes, two levels."""
    group: Any = zarr.open_group(str(path), mode="w", zarr_format=3)
    pixels = _random(2, 3, 80, 100, top=900, dtype=np.uint16)
    for name, level in (("0", pixels), ("1", pixels[..., ::2, ::2])):
        group.create_array(name, data=level, chunks=(1, 1, 32, 32))
    axes = [{"name": "c", "type": "channel"}, {"name": "z", "type": "space"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    datasets: list[Any] = []
    for n in range(2):
        scale = {"type": "scale", "scale": [1, 2, 2**n / 2, 2**n / 2]}
        datasets.append({"path": str(n), "coordinateTransformations": [scale]})
    channels = [{"label": "DAPI"}, {"label": "actin"}]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [{"axes": axes, "datasets": datasets}],
        "omero": {"channels": channels},
    }
    return path


def test_a_pyramid_becomes_a_multiscale_colour_layer(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    pixels = _random(200, 300, 3)
    path = _pyramid(tmp_path / "a.svs", pixels, photometric="rgb")
    viewer = make_napari_viewer()
    (layer,) = viewer.open(path, plugin="napari-edgeflow")
    assert (layer.multiscale, layer.rgb, layer.name) == (True, True, "a")
    assert [level.shape for level in layer.data] == [(200, 300, 3), (100, 150, 3)]
    np.testing.assert_array_equal(np.asarray(layer.data[0]), pixels)
    assert layer.metadata["path"] == str(path)


def test_a_map_becomes_true_colour_in_metres(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    path = _satellite(tmp_path / "a.tif")
    viewer = make_napari_viewer()
    ((data, options, _),) = read_image(path)
    (layer,) = [viewer.add_image(data, **options)]
    assert layer.rgb
    assert layer.scale.tolist() == [0.5, 0.5]
    assert [str(unit) for unit in layer.units] == ["meter", "meter"]
    assert "UTM zone 16N (EPSG:32616)" in layer.metadata["georeference"]
    assert "733601.25" in layer.metadata["georeference"]
    view = layer_view(layer)
    assert view is not None
    assert view.bands == (2, 1, 0)
    with open_raster(path) as raster:
        assert isinstance(raster, ArrayRaster)
        headless = estimate_stretch(raster, preset_bands(raster, "true-colour"))
        expected = headless.apply(raster.read(_whole(raster), bands=(2, 1, 0)))
    assert view.stretch == headless
    assert np.abs(np.asarray(layer.data) / 255 - expected).max() <= 0.5 / 255 + 1e-6
    assert not np.asarray(layer.data)[:20, :20].any()


def _whole(raster: Any) -> Window:
    return Window(0, 0, *raster.shape)


def test_the_network_gets_the_file_not_its_picture(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    path = _satellite(tmp_path / "a.tif")
    viewer = make_napari_viewer()
    ((data, options, _),) = read_image(path)
    (layer,) = [viewer.add_image(data, **options)]
    image = plane_image(layer, shown_plane(layer, viewer.dims))
    raster, view = open_plane(image)
    with open_raster(path) as headless:
        window = _whole(headless)
        np.testing.assert_array_equal(raster.read(window), headless.read(window))
        assert raster.details.nodata == 65535
    assert view is layer.metadata[VIEW_KEY]


def test_channels_become_a_layer_each(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> None:
    path = _ome_zarr(tmp_path / "a.ome.zarr")
    viewer = make_napari_viewer()
    layers = [viewer.add_image(data, **options) for data, options, _ in read_image(path)]
    assert [layer.name for layer in layers] == ["a.ome · DAPI", "a.ome · actin"]
    assert [layer.blending for layer in layers] == ["additive"] * 2
    assert layers[0].colormap.name != layers[1].colormap.name
    first = layers[0]
    assert [level.shape for level in first.data] == [(3, 80, 100), (3, 40, 50)]
    assert first.scale.tolist() == [1, 0.5, 0.5]
    assert [str(unit) for unit in first.units] == ["pixel", "micrometer", "micrometer"]
    assert tuple(first.axis_labels) == ("z", "y", "x")
    group: Any = zarr.open_group(str(path), mode="r")
    stored = group["0"][:]
    np.testing.assert_array_equal(np.asarray(layers[1].data[0]), stored[1])
    viewer.dims.set_point(0, 2)
    image = plane_image(layers[1], shown_plane(layers[1], viewer.dims))
    raster, view = open_plane(image)
    assert view is not None
    assert view.bands == (1,)
    np.testing.assert_array_equal(
        raster.read(_whole(raster), bands=view.bands)[:, :, 0], stored[1, 2]
    )


def test_dicom_comes_with_its_window_and_spacing(tmp_path: Path) -> None:
    from ..raster.test_dicom import _slice

    path = _slice(
        tmp_path / "a.dcm", _random(40, 30, top=2000, dtype=np.int16),
        RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=40, WindowWidth=401,
        PixelSpacing=[0.5, 0.25],
    )  # fmt: skip
    ((_, options, _),) = read_image(path)
    assert options["contrast_limits"] == (-160.5, 239.5)
    assert (options["scale"], options["units"]) == ((0.5, 0.25), ("mm", "mm"))


@pytest.mark.parametrize("suffix", [".svs", ".ndpi", ".btf", ".vrt", ".geotiff", ".cog.tif"])
def test_napari_offers_it_for_large_formats(tmp_path: Path, suffix: str) -> None:
    import npe2

    path = tmp_path / f"a{suffix}"
    found = npe2.PluginManager.instance().iter_compatible_readers(str(path))
    assert "napari-edgeflow" in {reader.plugin_name for reader in found}


@pytest.mark.parametrize("name", ["a.tif", "a.tiff", "a.png", "a.jpg", "a.zarr", "a.npy"])
def test_it_leaves_plain_files_to_others(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    import npe2

    path = tmp_path / name
    found = npe2.PluginManager.instance().iter_compatible_readers(str(path))
    assert "napari-edgeflow" not in {reader.plugin_name for reader in found}
    if name == "a.tif":
        tifffile.imwrite(path, _random(20, 30))
        (layer,) = make_napari_viewer().open(path)  # no question which reader to take
        assert isinstance(layer.data, np.ndarray)


def test_what_it_looks_at(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _random(20, 30))
    (tmp_path / "b.svs").write_bytes(b"no slide")
    (tmp_path / "folder").mkdir()
    assert get_reader(str(tmp_path / "a.tif")) is read_image
    assert get_reader(str(_ome_zarr(tmp_path / "c.zarr"))) is read_image
    assert get_reader([str(tmp_path / "a.tif")]) is None
    for name in ("b.svs", "folder", "missing.svs"):
        assert get_reader(str(tmp_path / name)) is None


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.svs"
    _pyramid(path, _random(200, 300, 3), photometric="rgb")
    path.write_bytes(path.read_bytes()[:4000])
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(RasterError, match=r"a\.svs"):
        reader(str(path))
