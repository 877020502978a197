"""Band presets by what real kinds of files say of their bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.bands import available_presets, preset_bands
from napari_edgeflow.raster.details import BandInfo, Details
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.tiff import open_tiff


def _raster(*bands: BandInfo) -> ArrayRaster:
    image = np.zeros((4, 5, len(bands)), np.uint16)
    return ArrayRaster([image], axes="YXC", details=Details(bands=bands))


def _named(*names: str) -> ArrayRaster:
    return _raster(*(BandInfo(name) for name in names))


@pytest.mark.parametrize(
    ("names", "true_colour", "false_colour"),
    [
        (("B01", "B02", "B03", "B04", "B08", "B8A"), (3, 2, 1), (4, 3, 2)),  # Sentinel-2
        (("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5"), (3, 2, 1), (4, 3, 2)),  # Landsat 8
        (("Blue", "Green", "Red", "Near Infrared"), (2, 1, 0), (3, 2, 1)),
        (("B4 (red)", "B3 (green)", "B2 (blue)", "NIR1"), (0, 1, 2), (3, 0, 1)),
    ],
)
def test_names_of_satellites(
    names: tuple[str, ...], true_colour: tuple[int, ...], false_colour: tuple[int, ...]
) -> None:
    raster = _named(*names)
    assert preset_bands(raster, "true-colour") == true_colour
    assert preset_bands(raster, "false-colour-nir") == false_colour


def test_wavelengths_before_names_and_colours() -> None:
    nanometres = (443, 492.4, 559.8, 664.6, 704, 832.8, 1613)
    raster = _raster(*(BandInfo(wavelength_nm=value) for value in nanometres))
    assert preset_bands(raster, "true-colour") == (3, 2, 1)
    assert preset_bands(raster, "false-colour-nir") == (5, 3, 2)
    shown = _raster(
        BandInfo("red", "red", 842.0), BandInfo("g", "green", 665.0), BandInfo("b", "blue", 560.0)
    )
    assert preset_bands(shown, "false-colour-nir") == (0, 1, 2)


def test_without_any_word_the_first_bands_are_shown_and_no_infrared() -> None:
    raster = ArrayRaster([np.zeros((4, 5, 6))], axes="YXC", name="a.tif")
    assert preset_bands(raster, "true-colour") == (0, 1, 2)
    assert available_presets(raster) == ("true-colour", "first")
    with pytest.raises(RasterError, match=r"a\.tif: .*nir, red, green.*6 bands without"):
        preset_bands(raster, "false-colour-nir")


def test_microscopy_channels_are_no_colours() -> None:
    raster = _named("DAPI", "GFP", "Redox", "Cy5")
    assert available_presets(raster) == ("true-colour", "first")
    assert preset_bands(raster, "true-colour") == (0, 1, 2)


def test_bands_known_in_part_are_not_guessed() -> None:
    with pytest.raises(RasterError, match=r"known as green, blue.*0: red, 1: no description"):
        preset_bands(_raster(BandInfo("red", "red"), BandInfo()), "true-colour")


def test_there_is_no_such_preset() -> None:
    with pytest.raises(ValueError, match="expected a preset of true-colour"):
        preset_bands(_named("a"), "sepia")  # type: ignore[arg-type]


def test_a_file_by_gdal(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=5, height=4, width=5, dtype="uint16", crs="EPSG:32631",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as dataset:  # fmt: skip
        dataset.write(np.zeros((5, 4, 5), np.uint16))
        dataset.descriptions = ("B02", "B03", "B04", "B05", "")
        dataset.update_tags(5, ns="IMAGERY", CENTRAL_WAVELENGTH_UM="0.842")
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red] + [
            ColorInterp.undefined
        ] * 2
    with open_tiff(path) as raster:
        assert [band.name for band in raster.details.bands] == ["B02", "B03", "B04", "B05", ""]
        assert [band.colour for band in raster.details.bands][:3] == ["blue", "green", "red"]
        assert preset_bands(raster, "true-colour") == (2, 1, 0)
        assert preset_bands(raster, "false-colour-nir") == (4, 2, 1)


def test_infrared_stored_as_red_green_blue_is_no_true_colour() -> None:
    """As exported for looking at: the tags say RGB, the descriptions near infrared, red, green."""
    names = (("B08 (NIR)", "red"), ("B04 (red)", "green"), ("B03 (green)", "blue"))
    raster = _raster(*(BandInfo(name, colour) for name, colour in names))
    assert available_presets(raster) == ("false-colour-nir", "first")
    assert preset_bands(raster, "false-colour-nir") == (0, 1, 2)
    with pytest.raises(RasterError, match="bands known as blue"):
        preset_bands(raster, "true-colour")
