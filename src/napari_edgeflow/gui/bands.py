"""The bands of a layer that the network sees: kept with the layer, found again by the worker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_edgeflow.raster.bands import available_presets, preset_bands
from napari_edgeflow.raster.details import NO_DETAILS, BandInfo, Details
from napari_edgeflow.raster.lazy import LazyLevel, LazyRaster, lazy_levels
from napari_edgeflow.raster.pyramid import needs_overviews
from napari_edgeflow.raster.stretch import default_bands
from napari_edgeflow.raster.view import BandView, view_of

if TYPE_CHECKING:
    from napari_edgeflow.gui.planes import PlaneImage

VIEW_KEY = "napari_edgeflow_view"
"""In an Image layer's metadata: its ``BandView``. Without one, the layer's own pixels are seen."""


def layer_view(layer: Any) -> BandView | None:
    """The bands that were chosen for a layer; None: its own pixels, by the global rule."""
    found = getattr(layer, "metadata", {}).get(VIEW_KEY)
    return found if isinstance(found, BandView) else None


def lazy_raster(data: Any) -> LazyRaster | None:
    """The raster behind a layer that our reader opened; None for any other layer's data."""
    first: Any = data
    if not isinstance(data, LazyLevel):
        with suppress(IndexError, KeyError, TypeError, ValueError):
            is_levels = isinstance(data, Sequence) or not hasattr(data, "__array__")
            first = data[0] if is_levels else None
    return first.raster if isinstance(first, LazyLevel) else None


def open_plane(image: PlaneImage) -> tuple[Any, BandView | None]:
    """The raster of a plane of a layer, and the bands that were chosen for it.

    Of a file that our reader opened it is the file's raster, with all bands, missing values and
    levels; else the layer's pixels.

    Raises:
        RasterError: The image cannot be used.
    """
    from napari_edgeflow.raster.open import open_raster

    index = tuple(at for at in image.plane.index if at is not None)
    raster = lazy_raster(image.data)
    n = len(image.plane.index)
    if raster is not None and image.plane.axes == (n - 2, n - 1):
        return raster.plane(index), image.view
    source, axes, at = image.source()
    opened = open_raster(source, axes=axes, index=at)
    fits = image.view is not None and max(image.view.bands) < opened.n_bands
    return opened, image.view if fits else None


@dataclass(frozen=True, slots=True)
class BandFacts:
    """What a panel needs to know of an image to offer its bands.

    Attributes:
        names: Of the bands, in words.
        presets: With the bands of each.
        view: What the network sees now; None where nobody chose, and it has two bands.
        nodata: The missing value, or None.
        is_whole: It has no level to look at coarsely, and is large: overviews help.
        path: Of the file, where overviews can be built for it; else None.
    """

    names: tuple[str, ...]
    presets: tuple[tuple[str, tuple[int, ...]], ...]
    view: BandView | None
    nodata: float | None = None
    is_whole: bool = False
    path: Path | None = None


def band_facts(image: PlaneImage) -> BandFacts:
    """The facts of a plane of a layer; reads an overview, so not on the Qt thread.

    Raises:
        RasterError: The image cannot be used.
    """
    raster, view = open_plane(image)
    n_bands = raster.n_bands
    details: Details = getattr(raster, "details", NO_DETAILS)
    if view is None and n_bands != 2:
        view = view_of(raster, default_bands(n_bands))
    presets = [(name, preset_bands(raster, name)) for name in available_presets(raster)]
    return BandFacts(
        tuple(_name(number, details.bands) for number in range(n_bands)),
        tuple((name, bands) for name, bands in presets if len(bands) == 3),
        view,
        details.nodata,
        needs_overviews(raster),
        details.path if len(image.plane.index) == 2 else None,
    )


def choose_bands(image: PlaneImage, bands: tuple[int, ...], rule: str, gamma: float) -> BandView:
    """The view of other bands, by one rule for the whole raster; not on the Qt thread.

    Raises:
        RasterError: The image cannot be used.
    """
    raster, _ = open_plane(image)
    return view_of(raster, bands, rule, gamma)


def show_view(layer: Any, view: BandView) -> bool:
    """Keep the view with the layer and show it there; False where the layer cannot show it.

    A colour layer that our reader opened shows any bands, one of them as grey; a grey one any
    single band. Other layers stay as they are.
    """
    layer.metadata = {**layer.metadata, VIEW_KEY: view}
    raster = lazy_raster(layer.data)
    if raster is None or (not layer.rgb and len(view.bands) == 3):
        return False
    layer.data = layer_levels(raster, view, is_rgb=layer.rgb, is_multiscale=layer.multiscale)
    if not layer.rgb:
        low, high = view.stretch.low[0], view.stretch.high[0]
        start, end = layer.contrast_limits_range
        layer.contrast_limits_range = (min(low, start), max(high, end))
        layer.contrast_limits = (low, high)
        layer.gamma = view.stretch.gamma
    return True


def layer_levels(raster: LazyRaster, view: BandView, *, is_rgb: bool, is_multiscale: bool) -> Any:
    """What a layer of this kind takes as data to show a view."""
    levels: list[LazyLevel]
    if not is_rgb:
        levels = lazy_levels(raster, view.bands)
    else:
        n = 3 // len(view.bands)
        stretch = replace(view.stretch, low=view.stretch.low * n, high=view.stretch.high * n)
        levels = lazy_levels(raster, view.bands * n, stretch)
    return levels if is_multiscale else levels[0]


def _name(number: int, bands: tuple[BandInfo, ...]) -> str:
    info = bands[number] if bands else BandInfo()
    words = info.name or info.colour
    wave = f" {info.wavelength_nm:.0f} nm" if info.wavelength_nm else ""
    return f"{number + 1}{': ' if words else ''}{words}{wave}"
