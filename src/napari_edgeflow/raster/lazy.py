"""A raster as the levels that napari slices: pixels are read when they come into view.

A level is an array-like of shape ``(stack…, rows, columns)``, or ``(stack…, rows, columns, 3)``
for colour. Three bands that are not red, green and blue in 8 bits are stretched to it as they are
read, by the rule that the network sees too. Where a file has no level small enough to look at
whole, rough ones are sampled from its coarsest level; ``LazyRaster.later`` says how they keep
whoever shows them from waiting.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.raster.indexing import count_planes, take
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.later import Later
from napari_edgeflow.raster.rough import RoughLevel
from napari_edgeflow.raster.stretch import Stretch

LARGEST_COARSE_SIDE = 1536
LARGEST_SINGLE_SIDE = 4096
_KEPT_PLANES = 4


class LazyRaster:
    """A raster and the planes of its stack, open as long as somebody holds it."""

    def __init__(self, raster: ArrayRaster) -> None:
        """Take over the raster; it is closed when this object goes.

        Args:
            raster: As ``open_first_plane`` gives it.
        """
        self._first = raster
        self.name, self.stack, self.n_bands = raster.name, raster.stack, raster.n_bands
        self.shape, self.details = raster.shape, raster.details
        self._planes: OrderedDict[tuple[int, ...], ArrayRaster] = OrderedDict()
        self._lock = threading.Lock()
        self.later = Later(weakref.ref(self))
        """Where rough levels put off what takes long, once somebody watches it."""
        self._close = weakref.finalize(self, raster.close)
        self.levels = self.plane((0,) * len(raster.stack)).levels

    def plane(self, index: tuple[int, ...] = ()) -> ArrayRaster:
        """One plane as a raster that shares the file; it may outlive the layer, not this object.

        Args:
            index: One number for each axis of the stack.
        """
        with self._lock:
            found = self._planes.pop(index, None)
            if found is None:
                found = self._first.on_plane(index, lambda: None)
            self._planes[index] = found
            while len(self._planes) > _KEPT_PLANES:
                self._planes.popitem(last=False)
            return found

    def close(self) -> None:
        """Let go of the file now."""
        self.later.drop()
        self._close()


class LazyLevel:
    """One level as a read-only array; see the module."""

    def __init__(
        self,
        raster: LazyRaster,
        shape: tuple[int, int],
        read: Callable[[ArrayRaster, Window, Later | None], AnyArray],
        *,
        dtype: np.dtype[Any],
        chunk: tuple[int, int] = (1, 1),
        is_rgb: bool = False,
        is_rough: bool = False,
    ) -> None:
        """Describe the level.

        Args:
            raster: Whose.
            shape: (rows, columns).
            read: ``(h, w)`` or ``(h, w, 3)`` pixels of a window of a plane of the level; may put
                what takes long off where it is told to.
            dtype: Of the pixels.
            chunk: (rows, columns) that are read whole.
            is_rgb: Pixels have a last axis of three.
            is_rough: ``read`` may answer better the next time.
        """
        self.raster, self._read = raster, read
        stack = tuple(length for _, length in raster.stack)
        tail = (3,) if is_rgb else ()
        self.shape: tuple[int, ...] = (*stack, *shape, *tail)
        self.chunks = (*(1,) * len(stack), *map(min, chunk, shape), *tail)
        self.dtype = np.dtype(dtype)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        self._n_stack, self._is_rough = len(stack), is_rough
        self._given: list[weakref.ref[AnyArray]] = []

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        """The part that NumPy's basic indexing with integers, slices or ``...`` means."""
        # of several planes at once more would be put off than is remembered
        is_one = count_planes(key, self.shape, self._n_stack) == 1
        later = self.raster.later if is_one else None
        return take(
            key,
            self.shape,
            self.dtype,
            self._n_stack,
            lambda index, window: self._read(self.raster.plane(index), window, later),
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        whole: AnyArray = np.asarray(self[...], dtype=dtype)
        if self._is_rough and self._n_stack == 0 and whole.dtype == self.dtype:
            self._given.append(weakref.ref(whole if whole.base is None else whole.base))
        return whole

    def renew(self) -> None:
        """Fill arrays of the whole level, given away before, with what is known of it now.

        Of a level that may be rough only: napari keeps the array of the coarsest level for good.
        """
        arrays = [array for given in self._given if (array := given()) is not None]
        self._given = [given for given in self._given if given() is not None]
        if arrays:
            now = self[...]
            for array in arrays:
                array[...] = now


def lazy_levels(
    raster: LazyRaster, bands: Sequence[int], stretch: Stretch | None = None
) -> list[LazyLevel]:
    """The levels of these bands, finest first, down to one that is looked at whole.

    Args:
        raster: Of which.
        bands: One: as it is. Three: red, green, blue.
        stretch: For three bands: makes 8-bit colour of them. None: they are 8-bit colour, or one
            band.

    Raises:
        ValueError: Two bands, or more than three.
    """
    if len(bands) not in (1, 3):
        raise ValueError(f"expected one band or three, got {tuple(bands)}")
    chosen = tuple(bands)
    dtype = raster.plane((0,) * len(raster.stack)).dtype
    if len(chosen) == 3:
        dtype = np.dtype(np.uint8)

    def finish(pixels: AnyArray) -> AnyArray:
        if len(chosen) == 1 and stretch is None:
            return pixels[:, :, 0]
        return pixels if stretch is None else to_uint8(stretch, pixels)

    levels = []
    is_rgb = len(chosen) == 3
    for number, level in enumerate(raster.levels):
        read = _reader(number, chosen, finish)
        made = LazyLevel(raster, level.shape, read, dtype=dtype, chunk=level.chunk, is_rgb=is_rgb)
        levels.append(made)
    number, factor = len(raster.levels) - 1, 2
    coarsest = raster.levels[number]
    is_large = max(coarsest.shape) > LARGEST_SINGLE_SIDE
    roughs = []
    while max(coarsest.shape) / factor * 2 > LARGEST_COARSE_SIDE and is_large:
        roughs.append(RoughLevel(coarsest, number, factor, chosen, finish))
        factor *= 2
    for rough in roughs:
        rough.coarsest = roughs[-1]
        levels.append(
            LazyLevel(raster, rough.shape, rough.read, dtype=dtype, is_rgb=is_rgb, is_rough=True)
        )
    return levels


def to_uint8(stretch: Stretch, pixels: AnyArray) -> AnyArray:
    """``(h, w, 3) uint8`` of ``(h, w, B)`` pixels; 8-bit ones that are shown as they are stay."""
    is_plain = stretch.low == (0.0,) * 3 and stretch.high == (255.0,) * 3 and stretch.gamma == 1
    if is_plain and pixels.dtype == np.uint8 and stretch.nodata is None:
        return pixels
    shown: AnyArray = np.round(stretch.apply(pixels) * 255).astype(np.uint8)
    return shown


def _reader(
    number: int, bands: tuple[int, ...], finish: Callable[[AnyArray], AnyArray]
) -> Callable[[ArrayRaster, Window, Later | None], AnyArray]:
    return lambda raster, window, _later: finish(raster.read(window, number, bands))
