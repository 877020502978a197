"""Rasters over array-likes: NumPy in memory, and zarr, dask or h5py read lazily."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, Window
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.axes import Layout, PlaneNeededError, resolve_layout
from napari_edgeflow.raster.details import NO_DETAILS, Details, is_nodata
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.place import MapPlace, read_place
from napari_edgeflow.raster.source import Level, check_request, describe_levels


class ArrayLike(Protocol):
    """What an array must have to be read lazily; NumPy, zarr, dask and h5py all do."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """Type of the values."""
        ...

    def __getitem__(self, key: Any, /) -> Any: ...


class ArrayRaster:
    """A raster over one array for each level; nothing is read before ``read``."""

    def __init__(
        self,
        arrays: Sequence[ArrayLike],
        *,
        name: str = "image",
        axes: str | None = None,
        index: Sequence[int] | None = None,
        georeference: GeoReference | None = None,
        on_close: Callable[[], None] | None = None,
        overviews: Sequence[ArrayLike] = (),
        details: Details = NO_DETAILS,
    ) -> None:
        """Describe the arrays.

        Args:
            arrays: One for each level, finest first, all with the same axes.
            name: What to call it.
            axes: A letter for each axis; see ``resolve_layout``.
            index: The plane of a stack.
            georeference: Its place on the map.
            on_close: Called once by ``close``.
            overviews: Coarser levels that were made of this very plane, ``(h, w, B)`` each.
            details: What else is known of it.

        Raises:
            RasterError: The arrays are not an image that can be used.
        """
        if not arrays:
            raise RasterError("expected at least one array, got none; give one for each level")
        self._arrays: tuple[ArrayLike, ...] = (*arrays, *overviews)
        self._layouts = tuple(_resolve(array, name, axes, index) for array in arrays) + tuple(
            _resolve(array, name, "YXS", None) for array in overviews
        )
        self._n_own = len(arrays)
        self._on_close = on_close
        self.name = name
        self.georeference = georeference
        self.details = details
        self.axes, self.index = axes, None if index is None else tuple(index)
        self.dtype = _pixel_type(arrays[0].dtype, name)
        self.n_bands = _count_bands(arrays[0], self._layouts[0])
        self.levels: tuple[Level, ...] = describe_levels(
            _planes([array.shape for array in self._arrays], self._layouts),
            _planes([_chunk_shape(array) for array in self._arrays], self._layouts),
            details.scales,
        )
        self.shape = self.levels[0].shape
        _check_size(self.shape, self.n_bands, name)

    def read(self, window: Window, level: int = 0, bands: Sequence[int] | None = None) -> AnyArray:
        """``(h, w, B)`` pixels of the window; see ``RasterSource.read``."""
        check_request(self.levels, self.n_bands, window, level, bands)
        if not self._arrays:
            raise RasterError(f"{self.name} has been closed; open it again to read it")
        layout = self._layouts[level]
        if bands is not None and self._has_bands_apart(level, bands):
            parts = [self.read(window, level, (band,)) for band in bands]
            return np.concatenate(parts, axis=2)
        first, last = (0, self.n_bands) if bands is None else (min(bands), max(bands) + 1)
        key = _key(layout, window, slice(first, last), len(self._arrays[level].shape))
        plane = self._fetch(level, key)
        pixels = _bands_last(plane, layout)
        if bands is not None:
            pixels = pixels[:, :, [band - first for band in bands]]
        return np.array(pixels, dtype=self.dtype, order="C")

    def _has_bands_apart(self, level: int, bands: Sequence[int]) -> bool:
        """True when the bands asked for are far apart and stored one by one."""
        axis = self._layouts[level].band
        if axis is None or len(bands) == 1 or max(bands) - min(bands) < 2 * len(bands):
            return False
        return _chunk_shape(self._arrays[level])[axis] < self.n_bands

    def valid_pixels(
        self, pixels: AnyArray, window: Window, level: int = 0, bands: Sequence[int] | None = None
    ) -> BoolArray:
        """``(h, w, B) bool``: which of the ``(h, w, B)`` pixels just read show something.

        Not NaN nor infinite; not the missing value in all bands read; not masked; not transparent.

        Args:
            pixels: What ``read`` gave for the other arguments.
            window: Of that read.
            level: Of that read.
            bands: Of that read.
        """
        valid: BoolArray = np.isfinite(pixels)
        valid &= ~is_nodata(pixels, self.details.nodata)[:, :, None]
        if level < len(self.details.masks):
            valid &= (np.asarray(self.details.masks[level][window.slices]) != 0)[:, :, None]
        alpha = self.alpha_band
        if alpha is not None and (bands is None or alpha not in bands):
            valid &= self.read(window, level, (alpha,)) != 0
        elif alpha is not None:
            column = alpha if bands is None else list(bands).index(alpha)
            valid &= pixels[:, :, column, None] != 0
        return valid

    @property
    def alpha_band(self) -> int | None:
        """The band that holds the transparency, or None."""
        colours = [band.colour for band in self.details.bands]
        return colours.index("alpha") if "alpha" in colours else None

    @property
    def place(self) -> MapPlace | None:
        """Where it lies on the map; None when it lies nowhere.

        Raises:
            ModuleNotFoundError: It is a file with a place, and rasterio is not installed.
        """
        if self.details.place is not None or self.details.path is None:
            return self.details.place
        return read_place(self.details.path)

    def _fetch(self, level: int, key: tuple[int | slice, ...]) -> AnyArray:
        try:
            return np.asarray(self._arrays[level][key])
        except Exception as error:  # every store and codec raises its own kinds
            raise RasterError(
                f"expected to read {self.name}, but it is damaged or out of reach ({error}); "
                "check the file, or make it anew"
            ) from error

    @property
    def stack(self) -> tuple[tuple[str, int], ...]:
        """Letter and length of each axis of the stack, but those of length 1."""
        shape = self._arrays[0].shape if self._arrays else ()
        letters = self.axes or "Z" * len(shape)
        fixed = self._layouts[0].fixed
        return tuple((letters[axis], shape[axis]) for axis, _ in fixed if shape[axis] > 1)

    def on_plane(self, index: Sequence[int], on_close: Callable[[], None]) -> ArrayRaster:
        """Another plane of the stack over the same arrays, without overviews of this one's own.

        Args:
            index: One number for each axis of ``stack``.
            on_close: Called once by its ``close``; this raster stays open.
        """
        n_kept = len(self._arrays) if not self.stack else self._n_own
        return ArrayRaster(
            self._arrays[: self._n_own],
            name=self.name,
            axes=self.axes,
            index=tuple(index) or self.index,
            georeference=self.georeference,
            on_close=on_close,
            overviews=self._arrays[self._n_own : n_kept],
            details=self.details,
        )

    def with_overviews(
        self, overviews: Sequence[ArrayLike], on_close: Callable[[], None]
    ) -> ArrayRaster:
        """This raster with coarser levels; it takes over the file, so close only the new one.

        Args:
            overviews: ``(h, w, B)`` each, finest first.
            on_close: Called once by ``close``, after this raster's own.
        """

        def close_both() -> None:
            self.close()
            on_close()

        return ArrayRaster(
            self._arrays,
            name=self.name,
            axes=self.axes,
            index=self.index,
            georeference=self.georeference,
            on_close=close_both,
            overviews=overviews,
            details=self.details,
        )

    def close(self) -> None:
        """Let go of the arrays and their file; reading afterwards raises ``RasterError``."""
        self._arrays = ()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _resolve(array: ArrayLike, name: str, axes: str | None, index: Sequence[int] | None) -> Layout:
    try:
        return resolve_layout(array.shape, axes, index)
    except PlaneNeededError as error:
        raise PlaneNeededError(f"{name}: {error}", error.n_axes) from None
    except RasterError as error:
        raise RasterError(f"{name}: {error}") from None


def _pixel_type(dtype: Any, name: str) -> np.dtype[Any]:
    """The type that ``read`` returns: native byte order, uint8 for bool."""
    try:
        kind: np.dtype[Any] = np.dtype(dtype)
    except TypeError:  # a tensor of another library
        raise RasterError(
            f"{name}: expected an array with a NumPy type, got {dtype}; convert it with "
            "numpy.asarray first"
        ) from None
    if kind.kind == "b":
        return np.dtype(np.uint8)
    if kind.kind not in "uif":
        remedy = "give its magnitude, np.abs(image)" if kind.kind == "c" else "convert it first"
        raise RasterError(
            f"{name}: expected pixels of integers, floats or bool, got {kind}; {remedy}"
        )
    return kind.newbyteorder("=")


def _count_bands(array: ArrayLike, layout: Layout) -> int:
    return 1 if layout.band is None else int(array.shape[layout.band])


def _planes(shapes: Sequence[tuple[int, ...]], layouts: Sequence[Layout]) -> list[tuple[int, int]]:
    """(rows, columns) of each shape."""
    pairs = zip(shapes, layouts, strict=True)
    return [(int(shape[layout.y]), int(shape[layout.x])) for shape, layout in pairs]


def _chunk_shape(array: ArrayLike) -> tuple[int, ...]:
    """What the array reads whole: ``chunksize`` of dask, ``chunks`` of zarr and h5py."""
    chunk = getattr(array, "chunksize", None) or getattr(array, "chunks", None)
    return tuple(chunk) if chunk else (1,) * len(array.shape)


def _check_size(shape: tuple[int, int], n_bands: int, name: str) -> None:
    if shape[0] * shape[1] * n_bands == 0:
        raise RasterError(
            f"{name}: expected an image with pixels, got {shape[0]}×{shape[1]} px and "
            f"{n_bands} bands; check how it was cut or loaded"
        )
    if shape == (1, 1):
        raise RasterError(
            f"{name}: expected an image of more than one pixel, got 1×1 px; there is nothing "
            "to segment in it: check how it was cut or loaded"
        )


def _key(layout: Layout, window: Window, bands: slice, n_axes: int) -> tuple[int | slice, ...]:
    """The basic index that cuts the window out; integers drop the axes of a stack."""
    key: list[int | slice] = [slice(None)] * n_axes
    key[layout.y], key[layout.x] = window.slices
    if layout.band is not None:
        key[layout.band] = bands
    for axis, position in layout.fixed:
        key[axis] = position
    return tuple(key)


def _bands_last(plane: AnyArray, layout: Layout) -> AnyArray:
    """``(h, w, B)`` view of what the index left."""
    if layout.band is None:
        return (plane if layout.y < layout.x else plane.T)[:, :, None]
    kept = sorted((layout.y, layout.x, layout.band))
    order = [kept.index(axis) for axis in (layout.y, layout.x, layout.band)]
    return plane.transpose(order)
