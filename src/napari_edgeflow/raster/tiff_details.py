"""What a TIFF file says about its pixels: bands, missing values, masks, pixel size."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_edgeflow.raster.details import BandInfo, Details, PixelSize
from napari_edgeflow.raster.gdal_file import wavelength_of

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_MASK_BIT = 4
_COLOURS = {"red", "green", "blue", "gray", "alpha", "nir"}
_ALPHA_SAMPLES = (1, 2)
_CENTIMETRE = 3


def read_details(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, n_bands: int, path: Path
) -> Details:
    """Everything that the tags and the metadata of the image say; nothing is guessed.

    Args:
        file: The open file.
        series: The image in it that is used.
        n_bands: How many bands that image has.
        path: Of the file.
    """
    page = series.keyframe
    return Details(
        bands=_bands(file, page, n_bands),
        nodata=_nodata(page),
        masks=tuple(_masks(file, series)),
        pixel_size=_ome_pixel_size(file) or _slide_pixel_size(series, page),
        path=path,
    )


def _nodata(page: Any) -> float | None:
    tag = page.tags.get(_GDAL_NODATA)
    try:
        return None if tag is None else float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


def _bands(file: tifffile.TiffFile, page: Any, n_bands: int) -> tuple[BandInfo, ...]:
    """Names, colours and wavelengths by GDAL's metadata, OME channels and the TIFF tags."""
    names = _ome_channels(file)
    names = names if len(names) == n_bands else [""] * n_bands
    colours = _tag_colours(page, n_bands)
    tags = _gdal_items(page)
    bands = []
    for number in range(n_bands):
        own = tags.get(number, {})
        # "Undefined" counts too: an infrared band may stand where the tags expect transparency
        colour = own.get("colorinterp", colours[number]).lower()
        bands.append(
            BandInfo(
                own.get("description", "") or names[number],
                colour if colour in _COLOURS else "",
                wavelength_of(own),
            )
        )
    return tuple(bands) if any(band != BandInfo() for band in bands) else ()


def _tag_colours(page: Any, n_bands: int) -> list[str]:
    colours = [""] * n_bands
    is_rgb = page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR)
    if is_rgb and n_bands == page.samplesperpixel >= 3:
        colours[:3] = ["red", "green", "blue"]
    extra = [int(kind) for kind in page.extrasamples or ()]
    if n_bands == page.samplesperpixel and len(extra) < n_bands:
        for number, kind in enumerate(extra, start=n_bands - len(extra)):
            if kind in _ALPHA_SAMPLES:
                colours[number] = "alpha"
    return colours


def _gdal_items(page: Any) -> dict[int, dict[str, str]]:
    """Items of GDAL's metadata tag for each band, names in lower case."""
    tag = page.tags.get(_GDAL_METADATA)
    found: dict[int, dict[str, str]] = {}
    with contextlib.suppress(ElementTree.ParseError, ValueError):
        root = ElementTree.fromstring("" if tag is None else str(tag.value).strip("\0 "))
        for item in root.iter("Item"):
            if "sample" in item.attrib:
                own = found.setdefault(int(item.attrib["sample"]), {})
                for name in filter(None, (item.get("role"), item.get("name"))):
                    own.setdefault(name.lower(), (item.text or "").strip())
    return found


def _ome_root(file: tifffile.TiffFile) -> ElementTree.Element | None:
    if not file.is_ome or not file.ome_metadata:
        return None
    with contextlib.suppress(ElementTree.ParseError):
        return ElementTree.fromstring(file.ome_metadata)
    return None


def _ome_channels(file: tifffile.TiffFile) -> list[str]:
    root = _ome_root(file)
    pixels = None if root is None else root.find(".//{*}Pixels")
    channels = [] if pixels is None else pixels.findall("{*}Channel")
    return [channel.get("Name", "") for channel in channels]


def _ome_pixel_size(file: tifffile.TiffFile) -> PixelSize | None:
    root = _ome_root(file)
    pixels = None if root is None else root.find(".//{*}Pixels")
    if pixels is None:
        return None
    return _size_of(pixels.attrib)


def _size_of(values: Mapping[str, str]) -> PixelSize | None:
    try:
        y, x = float(values["PhysicalSizeY"]), float(values["PhysicalSizeX"])
    except (KeyError, ValueError):
        return None
    return PixelSize(y, x, values.get("PhysicalSizeXUnit", "µm")) if y > 0 and x > 0 else None


def _slide_pixel_size(series: tifffile.TiffPageSeries, page: Any) -> PixelSize | None:
    """Microns by Aperio's "MPP", or by resolution tags in centimetres."""
    if series.kind == "svs":
        match = re.search(r"MPP\s*=\s*([0-9.]+)", page.description or "")
        size = float(match.group(1)) if match else 0.0
        return PixelSize(size, size, "µm") if size > 0 else None
    if page.tags.get("ResolutionUnit") is None or page.resolutionunit != _CENTIMETRE:
        return None
    x, y = page.resolution
    return PixelSize(10_000 / y, 10_000 / x, "µm") if x > 0 and y > 0 else None


def _masks(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> list[Any]:
    """GDAL's mask of each level, as lazy arrays, up to the first level that has none."""
    candidates: dict[tuple[int, int], Any] = {}
    for page in file.pages:
        if int(getattr(page, "subfiletype", 0)) & _MASK_BIT:
            whole: Any = page.aspage()
            candidates.setdefault((whole.imagelength, whole.imagewidth), whole)
    masks: list[Any] = []
    for level in series.levels if candidates else []:
        sizes = dict(zip(level.axes, level.shape, strict=True))
        mask = candidates.get((sizes["Y"], sizes["X"]))
        if mask is None:
            break
        import zarr

        masks.append(zarr.open_array(mask.aszarr(), mode="r"))
    return masks
