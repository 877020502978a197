"""The bands of a layer that the network sees: kept with the layer, found again by the worker."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.lazy import LazyLevel, LazyRaster
from napari_edgeflow.raster.view import BandView

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


def raster_of_layer(layer: Any, index: tuple[int, ...]) -> ArrayRaster:
    """The raster that bands of a layer are chosen from.

    Args:
        layer: A napari Image layer.
        index: The plane of a stack.

    Raises:
        RasterError: The image cannot be used.
    """
    from napari_edgeflow.raster.open import open_raster

    raster = lazy_raster(layer.data)
    if raster is not None:
        return raster.plane(index)
    shown = SimpleNamespace(
        name=layer.name, data=layer.data, rgb=layer.rgb, multiscale=layer.multiscale
    )
    opened: Any = open_raster(shown, index=index or None)
    made: ArrayRaster = opened
    return made
