"""What ``napari-edgeflow info`` finds out about an image file."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.bands import available_presets
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.raster.pyramid import needs_overviews
from napari_edgeflow.raster.stretch import default_bands, estimate_stretch

_MAX_PLANE_PX = 4096**2  # above it, labels go to disk
_COCO_PX = 2**32
_MOST_STACK_AXES = 4
_COARSE_TILE_PX = 2**22


def describe(path: Path, index: tuple[int, ...] | None = None) -> dict[str, Any]:
    """What there is to know, as JSON values.

    No more is read than an overview of the image, for its stretch.

    Args:
        path: The file or folder.
        index: The plane of a stack; None: the first.

    Raises:
        RasterError: It is no image that can be used.
    """
    raster, stack = _open(path, index)
    with raster:
        bands = default_bands(raster.n_bands)
        stretch = estimate_stretch(raster, bands)
        place, why = _place(raster)
        return {
            "path": str(path),
            "kind": _kind(path),
            "rows": raster.shape[0],
            "columns": raster.shape[1],
            "axes": raster.axes,
            "plane": None if raster.index is None else list(raster.index),
            "dtype": raster.dtype.name,
            "levels": _levels(raster),
            "bands": _bands(raster),
            "nodata": _json_number(raster.details.nodata),
            "pixel_size": _pixel_size(raster),
            "place": _describe_place(place),
            "stretch": {"bands": list(bands), "low": list(stretch.low), "high": list(stretch.high)},
            "presets": list(available_presets(raster)),
            "advice": [*stack, *([why] if why else []), *_advice(raster, place)],
        }


def in_words(found: dict[str, Any]) -> str:
    """The same for people, a fact a line."""
    return "\n".join(_lines(found))


def _open(path: Path, index: tuple[int, ...] | None) -> tuple[ArrayRaster, list[str]]:
    """The raster, of a stack its first plane, and what to say of the stack."""
    try:
        raster: Any = open_raster(path, index=index)
    except RasterError as error:
        if index is not None or "one plane of an image" not in str(error):
            raise
        raster = _first_plane(path, error)
        sizes = str(error).partition("its stack axes are ")[2].partition(", got")[0]
        return raster, [f"a stack ({sizes}): this is its first plane; choose another with --index"]
    return raster, []


def _first_plane(path: Path, error: RasterError) -> Any:
    for n_axes in range(1, _MOST_STACK_AXES + 1):
        try:
            return open_raster(path, index=(0,) * n_axes)
        except RasterError:
            continue
    raise error


def _kind(path: Path) -> str:
    """What is in the file, which decides how it is opened."""
    if path.is_dir():
        return "zarr, chunk by chunk"
    with path.open("rb") as file:
        head = file.read(132)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF, tile by tile"
    if head[128:132] == b"DICM":
        return "DICOM, whole"
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "a picture, whole"
    return "a file of GDAL's, window by window"


def _place(raster: ArrayRaster) -> tuple[MapPlace | None, str]:
    try:
        return raster.place, ""
    except ModuleNotFoundError as error:
        return None, f"the place on the map is not known: {error}"
    except RasterError:  # GDAL does not read every file that others do
        return None, ""


def _levels(raster: ArrayRaster) -> list[dict[str, Any]]:
    return [
        {
            "rows": level.shape[0],
            "columns": level.shape[1],
            "scale": list(level.scale_yx),
            "chunk": list(level.chunk),
        }
        for level in raster.levels
    ]


def _bands(raster: ArrayRaster) -> list[dict[str, Any]]:
    known = raster.details.bands
    return [
        {
            "number": number,
            "name": known[number].name if known else "",
            "colour": known[number].colour if known else "",
            "wavelength_nm": known[number].wavelength_nm if known else None,
        }
        for number in range(raster.n_bands)
    ]


def _pixel_size(raster: ArrayRaster) -> dict[str, Any] | None:
    size = raster.details.pixel_size
    return None if size is None else {"y": size.y, "x": size.x, "unit": size.unit}


def _describe_place(place: MapPlace | None) -> dict[str, Any] | None:
    if place is None:
        return None
    found: dict[str, Any] = {
        "affine": list(place.affine),
        "crs_wkt": place.crs_wkt,
        "crs": None,
        "is_rotated": place.is_rotated,
    }
    if place.crs_wkt is not None:
        import rasterio

        crs = rasterio.CRS.from_wkt(place.crs_wkt)
        code = crs.to_authority()
        found["crs"] = ":".join(code) if code else place.crs_wkt.split('"')[1]
        found["unit"] = crs.units_factor[0]
    return found


def _advice(raster: ArrayRaster, place: MapPlace | None) -> Iterator[str]:
    rows, columns = raster.shape
    if needs_overviews(raster):
        yield (
            "no overviews: clicking works, but looking at all of it is slow; build them in the "
            "widget, or with gdaladdo -r average"
        )
    largest = max(math.prod(level.chunk) for level in raster.levels[:1])
    if largest > _COARSE_TILE_PX:
        yield (
            f"pieces of {raster.levels[0].chunk[0]} × {raster.levels[0].chunk[1]} px are read "
            "whole: a tiled copy is faster (gdal_translate -of COG, or OME-Zarr)"
        )
    if rows * columns > _MAX_PLANE_PX:
        yield "labels go to disk as a pyramid, as the image has more than 4096² px"
    if rows * columns >= _COCO_PX:
        yield "COCO is exported in parts, as the image has 2³² px or more"
    if place is not None and place.crs_wkt is None:
        yield "an affine without a CRS: GeoPackage and Shapefile work, GeoJSON does not"
    if raster.n_bands > 3 and len(available_presets(raster)) == 1:
        yield "the file does not say what its bands show: choose three by number"


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"{found['path']}: {found['rows']} × {found['columns']} px, {found['dtype']}"
    yield f"opened as: {found['kind']}"
    shapes = [f"{level['rows']}×{level['columns']}" for level in found["levels"]]
    chunk = found["levels"][0]["chunk"]
    yield f"levels: {len(shapes)} ({', '.join(shapes)}), read in {chunk[0]} × {chunk[1]} px"
    names = [_band_in_words(band) for band in found["bands"]]
    yield f"bands: {len(names)} ({', '.join(names)})"
    if found["plane"] is not None:
        yield f"plane: {', '.join(map(str, found['plane']))}"
    if found["nodata"] is not None:
        yield f"missing value: {found['nodata']}"
    size = found["pixel_size"]
    if size is not None:
        yield f"pixel: {size['y']:g} × {size['x']:g} {size['unit']}".rstrip()
    yield from _place_in_words(found["place"])
    stretch = found["stretch"]
    ranges = [f"{a:g}…{b:g}" for a, b in zip(stretch["low"], stretch["high"], strict=True)]
    yield f"shown: bands {', '.join(map(str, stretch['bands']))} from {', '.join(ranges)}"
    yield f"presets: {', '.join(found['presets'])}"
    yield from (f"advice: {line}" for line in found["advice"])


def _band_in_words(band: dict[str, Any]) -> str:
    words = [str(band["number"]), band["name"] or band["colour"]]
    if band["wavelength_nm"] is not None:
        words.append(f"{band['wavelength_nm']:g} nm")
    return " ".join(word for word in words if word)


def _place_in_words(place: dict[str, Any] | None) -> Iterator[str]:
    if place is None:
        yield "map: no place on it"
        return
    a, b, c, d, e, f = place["affine"]
    turned = ", rotated" if place["is_rotated"] else ""
    yield f"map: {place['crs'] or 'no CRS'}{turned}"
    yield f"affine: x = {a!r}·column + {b!r}·row + {c!r}"
    yield f"        y = {d!r}·column + {e!r}·row + {f!r}"


def _json_number(value: float | None) -> float | str | None:
    """JSON has no NaN."""
    return str(value) if value is not None and not math.isfinite(value) else value
