"""Which bands to show: presets by what the file says of its bands, never by a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, get_args

from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.details import BandInfo
from napari_edgeflow.raster.inmemory import ArrayRaster

Preset = Literal["true-colour", "false-colour-nir", "first"]
Colour = Literal["red", "green", "blue", "nir"]

_ORDER: Mapping[Preset, tuple[Colour, ...]] = {
    "true-colour": ("red", "green", "blue"),
    "false-colour-nir": ("nir", "red", "green"),
}
# (lowest, best, highest) centre wavelength in nanometres: Sentinel-2, Landsat and Planet lie inside
_RANGES: Mapping[Colour, tuple[float, float, float]] = {
    "blue": (440, 490, 520),
    "green": (520, 560, 600),
    "red": (620, 665, 690),
    "nir": (760, 840, 900),
}
# The first that fits counts: B8 is near infrared in Sentinel-2, SR_B5 in Landsat 8 and 9.
_NAMES: Mapping[Colour, tuple[str, ...]] = {
    "blue": (r"blue", r"b0?2"),
    "green": (r"green", r"b0?3"),
    "red": (r"red", r"b0?4"),
    "nir": (r"nir1?|near[ _-]?infra[ _-]?red", r"sr_b5", r"b0?8", r"b8a"),
}


def preset_bands(raster: ArrayRaster, preset: Preset) -> tuple[int, ...]:
    """The bands of a preset, one to three of them, in the order red, green, blue of the screen.

    Colours are found by the colour interpretation, the description (Sentinel-2's and Landsat's
    band names too) or the wavelength of the bands. ``true-colour`` takes the first three where
    the file says nothing at all; ``first`` always does.

    Args:
        raster: Any raster.
        preset: Its name.

    Raises:
        RasterError: The file does not say which bands these are.
        ValueError: There is no such preset.
    """
    if preset not in get_args(Preset):
        raise ValueError(f"expected a preset of {', '.join(get_args(Preset))}, got {preset!r}")
    bands = raster.details.bands
    first = tuple(range(min(raster.n_bands, 3)))
    if preset == "first":
        return first
    found = {colour: find_band(bands, colour) for colour in _ORDER[preset]}
    missing = [colour for colour, band in found.items() if band is None]
    says_nothing = len(missing) == 3 and not any(_says_something(band) for band in bands)
    if preset == "true-colour" and says_nothing:
        return first
    if missing:
        raise RasterError(
            f"{raster.name}: expected bands known as {', '.join(missing)} for {preset}, but the "
            f"file does not say which they are ({_list(bands, raster.n_bands)}); choose the "
            "bands by number"
        )
    return tuple(band for band in found.values() if band is not None)


def available_presets(raster: ArrayRaster) -> tuple[Preset, ...]:
    """The presets that ``preset_bands`` has bands for."""
    presets = []
    for preset in get_args(Preset):
        try:
            preset_bands(raster, preset)
        except RasterError:
            continue
        presets.append(preset)
    return tuple(presets)


def find_band(bands: tuple[BandInfo, ...], colour: Colour) -> int | None:
    """The number of the band of that colour; None where the file does not say."""
    for rule in (_by_wavelength, _by_name, _by_colour):
        number = rule(bands, colour)
        if number is not None:
            return number
    return None


def _by_wavelength(bands: tuple[BandInfo, ...], colour: Colour) -> int | None:
    low, best, high = _RANGES[colour]
    distances = {
        number: abs(band.wavelength_nm - best)
        for number, band in enumerate(bands)
        if band.wavelength_nm is not None and low <= band.wavelength_nm <= high
    }
    return min(distances, key=lambda number: distances[number]) if distances else None


def _by_name(bands: tuple[BandInfo, ...], colour: Colour) -> int | None:
    for pattern in _NAMES[colour]:
        for number, band in enumerate(bands):
            if _is_named(band, pattern):
                return number
    return None


def _by_colour(bands: tuple[BandInfo, ...], colour: Colour) -> int | None:
    """By the file's colour tags, unless the band's own description says it is another colour."""
    others = [other for other in _RANGES if other != colour]
    taken = {rule(bands, other) for rule in (_by_wavelength, _by_name) for other in others}
    numbers = [n for n, band in enumerate(bands) if band.colour == colour and n not in taken]
    return numbers[0] if numbers else None


def _is_named(band: BandInfo, pattern: str) -> bool:
    """True when the description is one of the names, or begins with one: ``B04 (red)``."""
    return re.match(rf"(sr_)?({pattern})(\W|$)", band.name.strip().lower()) is not None


def _says_something(band: BandInfo) -> bool:
    return band.colour not in ("", "gray", "alpha") or band.wavelength_nm is not None


def _list(bands: tuple[BandInfo, ...], n_bands: int) -> str:
    if not bands:
        return f"{n_bands} bands without a description"
    words = [band.name or band.colour or "no description" for band in bands]
    return ", ".join(f"{number}: {word}" for number, word in enumerate(words))
