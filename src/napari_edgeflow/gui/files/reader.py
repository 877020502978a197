"""Opens rasters of any size as napari layers whose pixels are read when they come into view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from napari_edgeflow.gui.bands import VIEW_KEY
from napari_edgeflow.gui.files.sharpening import sharpen_when_read
from napari_edgeflow.raster.bands import preset_bands
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.lazy import LazyLevel, LazyRaster, lazy_levels
from napari_edgeflow.raster.open import open_first_plane
from napari_edgeflow.raster.view import BandView, view_of

LayerTuple = tuple[Any, dict[str, Any], Literal["image"]]
CHANNEL_COLOURS = ("cyan", "magenta", "yellow", "gray", "bop orange", "bop blue")
_LENGTHS = {"um": "µm", "metre": "m", "meter": "m", "metres": "m"}
_KNOWN_LENGTHS = ("nm", "µm", "mm", "cm", "m")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"\0\0\0\x0cjP  ")
_ZARR_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_GDAL_SUFFIXES = (".vrt", ".img")


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerTuple]] | None:
    """``read_image`` for a file that it can open; None for lists of files and anything else.

    Looks at the first bytes, or at the names in a folder, and opens nothing.
    """
    if not isinstance(path, str):
        return None
    return read_image if _is_ours(Path(path)) else None


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).exists() for name in _ZARR_FILES)
    if path.suffix.lower() in _GDAL_SUFFIXES:
        return path.is_file()
    with suppress(OSError), path.open("rb") as file:
        head = file.read(132)
        return head.startswith(_MAGIC) or head[128:132] == b"DICM"
    return False


def read_image(path: str | Path) -> list[LayerTuple]:
    """Napari layers of a raster; nothing is read but an overview, for one stretch of the whole.

    Colour, and bands of a map, become one RGB layer: true colour where the file says which bands
    these are, else the first three. Microscopy channels become a layer each. Axes, pixel size,
    and the place on the map in words go along; ``metadata["path"]`` leads back to the file.

    Raises:
        RasterError: It is no image that can be used; the message says what to do.
        ModuleNotFoundError: The file needs an optional package; the message names it.
    """
    source = Path(path)
    first = open_first_plane(source)
    raster = LazyRaster(first)
    sharpen_when_read(raster)
    plane = raster.plane((0,) * len(raster.stack))
    common = _common(plane, raster, source)
    chosen = _layers_of(first)
    return [_layer(raster, plane, bands, common, len(chosen)) for bands in chosen]


def _layers_of(raster: ArrayRaster) -> list[tuple[int, ...]]:
    """The bands of each layer."""
    n_bands = raster.n_bands
    if n_bands < 3 or _are_channels(raster):
        shown = [band for band in range(n_bands) if band != raster.alpha_band]
        return [(band,) for band in shown or range(n_bands)]
    bands = preset_bands(raster, "true-colour") if _has_true_colour(raster) else (0, 1, 2)
    return [bands] if len(bands) == 3 else [(bands[0],)]


def _has_true_colour(raster: ArrayRaster) -> bool:
    from napari_edgeflow.raster.bands import available_presets

    return "true-colour" in available_presets(raster)


def _are_channels(raster: ArrayRaster) -> bool:
    """True for microscopy channels: an axis C, without a map or colours."""
    has_colours = any(band.colour not in ("", "gray") for band in raster.details.bands)
    has_colours |= any(band.wavelength_nm is not None for band in raster.details.bands)
    is_map = raster.georeference is not None or raster.details.place is not None
    return "C" in (raster.axes or "") and not has_colours and not is_map


def _layer(
    raster: LazyRaster,
    plane: ArrayRaster,
    bands: tuple[int, ...],
    common: dict[str, Any],
    n_layers: int,
) -> LayerTuple:
    view = view_of(plane, bands)
    levels = view_levels(raster, view)
    options = dict(common, rgb=len(bands) == 3, multiscale=len(levels) > 1)
    options["metadata"] = dict(common["metadata"], **{VIEW_KEY: view})
    if len(bands) == 1:
        options["contrast_limits"] = (view.stretch.low[0], view.stretch.high[0])
    if n_layers > 1:
        details = raster.details.bands
        name = details[bands[0]].name if details else ""
        options["name"] = f"{common['name']} · {name or f'channel {bands[0] + 1}'}"
        options["colormap"] = CHANNEL_COLOURS[bands[0] % len(CHANNEL_COLOURS)]
        options["blending"] = "additive"
    return (levels if len(levels) > 1 else levels[0]), options, "image"


def view_levels(raster: LazyRaster, view: BandView) -> list[LazyLevel]:
    """The levels that show a view: 8-bit colour of three bands, one band as it is."""
    return lazy_levels(raster, view.bands, view.stretch if len(view.bands) == 3 else None)


def _common(plane: ArrayRaster, raster: LazyRaster, path: Path) -> dict[str, Any]:
    """Name, scale, units, axis labels and metadata, the same for all layers of a file."""
    n_stack = len(raster.stack)
    (y, x), unit, place = _size(plane)
    metadata: dict[str, Any] = {"path": str(path)}
    if place:
        metadata["georeference"] = place
    names = [band.name or band.colour for band in raster.details.bands]
    if any(names):
        metadata["bands"] = names
    labels = (*(letter.lower() for letter, _ in raster.stack), "y", "x")
    return {
        "name": path.stem,
        "scale": (*(1.0,) * n_stack, y, x),
        "units": (*("pixel",) * n_stack, unit, unit),
        "axis_labels": labels if len(set(labels)) == len(labels) else None,
        "metadata": metadata,
    }


def _size(plane: ArrayRaster) -> tuple[tuple[float, float], str, str]:
    """((height, width) of a pixel, their unit, the place on the map in words).

    A unit of angle or one that is not known counts as none: pixels.
    """
    size, place = plane.details.pixel_size, None
    with suppress(ModuleNotFoundError):
        place = plane.place
    words = ""
    if place is not None:
        name, unit = _crs_words(place.crs_wkt)
        words = f"{name}; affine {place.affine}"
        if unit == "m" and not place.is_rotated:
            return place.pixel_size_yx, unit, words
    if size is not None:
        unit = _LENGTHS.get(size.unit, size.unit)
        if unit in _KNOWN_LENGTHS:
            return (size.y, size.x), unit, words
    return (1.0, 1.0), "pixel", words


def _crs_words(wkt: str | None) -> tuple[str, str]:
    """(name, unit of length) of a CRS; the unit is empty where it is none."""
    if not wkt:
        return "no CRS", ""
    from rasterio.crs import CRS

    crs = CRS.from_wkt(wkt)
    unit = str(crs.linear_units) if crs.is_projected else ""
    epsg = crs.to_epsg()
    name = wkt.split('"')[1] if '"' in wkt else "CRS"
    return f"{name} (EPSG:{epsg})" if epsg else name, _LENGTHS.get(unit, unit)
