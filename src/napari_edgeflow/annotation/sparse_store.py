"""Labels in memory, compressed: room for the objects alone, whatever the size of the image."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex
from napari_edgeflow.annotation.store import LabelStore

_SIDE = 512
_MOST_OPEN = 48  # 48 MB
_Key = tuple[PlaneIndex, int, int]


class SparseStore:
    """A ``LabelStore`` of any size and number of planes.

    Tiles that were written are kept compressed, but for those used last. Not thread-safe.

    Args:
        shape: (rows, columns) of a plane.
        below: A store of the same shape that shows where nothing was written here; it is only
            read. None: there is background.
    """

    is_persistent = False

    def __init__(self, shape: tuple[int, int], below: LabelStore | None = None) -> None:
        self.shape = shape
        self.next_id = 1 if below is None else below.next_id
        self._below = below
        self._open: OrderedDict[_Key, Labels] = OrderedDict()
        self._packed: dict[_Key, bytes] = {}

    @property
    def written(self) -> list[tuple[PlaneIndex, Window]]:
        """Planes and windows of the tiles that were written, in order."""
        keys = sorted({*self._open, *self._packed}, key=lambda key: (str(key[0]), *key[1:]))
        return [(plane, self._window(row, column)) for plane, row, column in keys]

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy.

        Raises:
            ValueError: The window is outside.
        """
        self._check(window)
        if self._below is None:
            labels = np.zeros(window.shape, np.uint32)
        else:
            labels = self._below.read(window, plane)
        for row, column, tile in self._tiles(window):
            kept = self._tile((plane, row, column))
            common = tile.intersect(window)
            if kept is not None and common is not None:
                part = kept[common.relative_to(tile).slices]
                labels[common.relative_to(window).slices] = part
        return labels

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window.

        Raises:
            ValueError: The window is outside, or the labels are of another shape.
        """
        self._check(window)
        if labels.shape != window.shape:
            raise ValueError(f"expected labels of the window's {window.shape}, got {labels.shape}")
        self.next_id = max(self.next_id, int(labels.max(initial=0)) + 1)
        for row, column, tile in self._tiles(window):
            common = tile.intersect(window)
            if common is None:
                continue
            part = labels[common.relative_to(window).slices]
            key = plane, row, column
            kept = self._tile(key)
            if kept is None and (self._below is not None or part.any()):
                kept = self._begin(key, tile)
            if kept is not None:
                kept[common.relative_to(tile).slices] = part

    def _begin(self, key: _Key, tile: Window) -> Labels:
        """A tile that was not written before, as it is until then."""
        if self._below is None:
            return self._keep(key, np.zeros(tile.shape, np.uint32))
        return self._keep(key, self._below.read(tile, key[0]))

    def _tile(self, key: _Key) -> Labels | None:
        """The tile, to be read or written before the next is asked for; None if not written."""
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key]
        packed = self._packed.get(key)
        if packed is None:
            return None
        shape = self._window(*key[1:]).shape
        labels = np.frombuffer(zlib.decompress(packed), np.uint32).reshape(shape)
        return self._keep(key, labels.copy())

    def _keep(self, key: _Key, labels: Labels) -> Labels:
        self._open[key] = labels
        while len(self._open) > _MOST_OPEN:
            oldest, tile = self._open.popitem(last=False)
            self._packed[oldest] = zlib.compress(tile.tobytes(), 1)
        return labels

    def _window(self, row: int, column: int) -> Window:
        rows, columns = self.shape
        y0, x0 = row * _SIDE, column * _SIDE
        return Window(y0, x0, min(y0 + _SIDE, rows), min(x0 + _SIDE, columns))

    def _tiles(self, window: Window) -> Iterator[tuple[int, int, Window]]:
        """Row, column and window of each tile that the window touches."""
        for row in range(window.y0 // _SIDE, -(-window.y1 // _SIDE)):
            for column in range(window.x0 // _SIDE, -(-window.x1 // _SIDE)):
                yield row, column, self._window(row, column)

    def _check(self, window: Window) -> None:
        rows, columns = self.shape
        if min(window.y0, window.x0) < 0 or window.y1 > rows or window.x1 > columns:
            raise ValueError(f"expected a window inside {self.shape} px, got {window}")
