"""Labels of rasters larger than memory: an OME-Zarr pyramid on disk, changes held until flushed.

uint32, chunks of 512², levels by taking every second pixel, empty chunks not written. Changes are
seen at once, by ``read`` and by the levels that napari shows; ``flush`` brings them to disk and
is meant for another thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex
from napari_edgeflow.errors import RasterError

CHUNK = 512
_ID_BLOCK = 1024
_CACHED_CHUNKS = 32  # 32 MB
_OWN = "napari_edgeflow"
_ChunkKey = tuple[int, int, int]  # level, chunk row, chunk column


class StoreLevel:
    """One level of a store as a lazy, read-only array of what is on disk and what is not yet."""

    ndim = 2

    def __init__(self, shape: tuple[int, int], read: Callable[[Window], Labels]) -> None:
        """Describe the level.

        Args:
            shape: (rows, columns).
            read: Labels of a window in pixels of the level.
        """
        self.shape, self._read = shape, read
        self.dtype = np.dtype(np.uint32)
        self.chunks = (min(CHUNK, shape[0]), min(CHUNK, shape[1]))
        self.size = shape[0] * shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> AnyArray:
        """The part that NumPy's basic indexing with integers, slices or ``...`` means."""
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (3 - len(parts))
        parts += [slice(None)] * (2 - len(parts))
        if len(parts) > 2:
            raise IndexError(f"expected at most two indices, got {key!r}")
        ranges = [_range(part, size) for part, size in zip(parts, self.shape, strict=True)]
        shape = [len(r) for r, part in zip(ranges, parts, strict=True) if isinstance(part, slice)]
        if not all(ranges):
            return np.zeros(shape, self.dtype)
        rows, columns = ranges
        window = Window(min(rows), min(columns), max(rows) + 1, max(columns) + 1)
        whole = self._read(window)
        picked = whole[np.ix_(np.array(rows) - window.y0, np.array(columns) - window.x0)]
        part: AnyArray = picked.reshape(shape)
        return part

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        whole: AnyArray = np.asarray(self[:, :], dtype=dtype)
        return whole


class ZarrStore:
    """A ``LabelStore`` on disk for planes of any size. Safe to use from several threads.

    Make one with ``create`` or ``open``.
    """

    is_persistent = True

    def __init__(self, group: Any, arrays: tuple[Any, ...]) -> None:
        """Take over an open group; see ``create`` and ``open``.

        Args:
            group: The zarr group, whose attributes keep the next id.
            arrays: Its levels, finest first.
        """
        self._group, self._arrays = group, arrays
        self._dirty: dict[_ChunkKey, Labels] = {}
        self._clean: OrderedDict[_ChunkKey, Labels] = OrderedDict()
        self._n_writes = 0
        self._lock = threading.RLock()
        self._flushing = threading.Lock()
        self._reserved = self._next_id = int(dict(group.attrs).get(_OWN, {}).get("next_id", 1))
        self.levels: tuple[StoreLevel, ...] = tuple(
            StoreLevel(array.shape, self._level_reader(number))
            for number, array in enumerate(arrays)
        )

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int]) -> ZarrStore:
        """An empty store of that many (rows, columns); no pixel is written.

        Raises:
            RasterError: There is something at the path already, or it cannot be written to.
            ValueError: A side is not positive.
        """
        import zarr

        if min(shape) < 1:
            raise ValueError(f"expected rows and columns above 0, got {shape}")
        if path.exists():
            raise RasterError(f"expected a new folder, got {path}; open it, or choose another")
        try:
            group = zarr.open_group(str(path), mode="w-", zarr_format=3)
            arrays = tuple(_create_level(group, n, s) for n, s in enumerate(_level_shapes(shape)))
            group.attrs.update({"ome": _metadata(len(arrays)), _OWN: {"next_id": 1}})
        except OSError as error:
            raise RasterError(
                f"expected to make {path}, but the system refused ({error.strerror}); free some "
                "space, or choose a folder that can be written to"
            ) from error
        return cls(group, arrays)

    @classmethod
    def open(cls, path: Path) -> ZarrStore:
        """The store at the path, to go on with.

        Raises:
            RasterError: There is none, or its levels are not those that ``create`` makes.
        """
        import zarr

        try:
            group: Any = zarr.open_group(str(path), mode="r+")
            datasets = group.attrs["ome"]["multiscales"][0]["datasets"]
            arrays = tuple(group[entry["path"]] for entry in datasets)
            shapes = [tuple(array.shape) for array in arrays]
            is_ours = all(array.dtype == np.uint32 for array in arrays)
        except Exception as error:  # every store and damaged document raises its own kinds
            raise RasterError(
                f"expected a label store, but {path} cannot be read ({error}); check the path"
            ) from error
        if not is_ours or shapes != _level_shapes(shapes[0]):
            raise RasterError(
                f"expected uint32 labels with halved levels, got {shapes} in {path}; it was "
                "made by another program: import it instead"
            )
        return cls(group, arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.levels[0].shape

    @property
    def next_id(self) -> int:
        """One above the highest id so far; after a restart it may have skipped up to 1024."""
        return self._next_id

    @property
    def n_unflushed(self) -> int:
        """Chunks that are not on disk yet."""
        return len(self._dirty)

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy.

        Raises:
            ValueError: The window is outside, or a plane of a stack was asked for.
            RasterError: The disk cannot be read.
        """
        _check_plane(plane)
        self._check_window(window)
        return self._read_level(0, window)

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window of every level; on disk after ``flush``.

        Raises:
            ValueError: The window is outside, the labels are of another shape or beyond uint32.
        """
        _check_plane(plane)
        self._check_window(window)
        if labels.shape != window.shape or labels.dtype.kind not in "iu":
            raise ValueError(
                f"expected integer labels of the window's {window.shape}, got {labels.shape} "
                f"{labels.dtype}"
            )
        lowest, highest = int(labels.min()), int(labels.max())
        if lowest < 0 or highest > np.iinfo(np.uint32).max:
            raise ValueError(f"expected ids of 0…2³² − 1, got {lowest}…{highest}")
        with self._lock:
            self._next_id = max(self._next_id, highest + 1)
            self._n_writes += 1
            for number in range(len(self.levels)):
                part = _window_at(window, number)
                if part is not None:
                    step = 1 << number
                    top, left = part.y0 * step - window.y0, part.x0 * step - window.x0
                    self._write_level(number, part, labels[top::step, left::step])

    def flush(self) -> None:
        """Bring all changes so far to disk; what is written meanwhile waits for the next time.

        Raises:
            RasterError: The disk refuses; the changes are kept, to try again.
        """
        with self._flushing:
            with self._lock:
                pending, next_id = list(self._dirty.items()), self._next_id
            try:
                self._reserve(next_id)
                for key, chunk in pending:
                    window = self._chunk_window(key)
                    self._arrays[key[0]][window.slices] = chunk
                    with self._lock:
                        if self._dirty.get(key) is chunk:
                            del self._dirty[key]
                            self._remember(key, chunk, self._n_writes)
            except OSError as error:
                raise RasterError(
                    f"expected to save the labels, but the system refused ({error.strerror}); "
                    "free some space and save again"
                ) from error

    def _reserve(self, next_id: int) -> None:
        """Note ids as used before any pixel has them, many at once."""
        if next_id > self._reserved or self._reserved == 1:
            self._reserved = next_id + _ID_BLOCK
            self._group.attrs[_OWN] = {"next_id": self._reserved}

    def _level_reader(self, number: int) -> Callable[[Window], Labels]:
        return lambda window: self._read_level(number, window)

    def _read_level(self, number: int, window: Window) -> Labels:
        keys = list(_chunk_keys(number, window))
        with self._lock:  # before the disk: a chunk leaves the dirty ones only once it is there
            chunks = {key: self._dirty[key] for key in keys if key in self._dirty}
            for key in keys:
                if key not in chunks and key in self._clean:
                    self._clean.move_to_end(key)
                    chunks[key] = self._clean[key]
            n_writes = self._n_writes
        if len(keys) > _CACHED_CHUNKS // 2:
            labels = self._read_disk(number, window)
        else:
            labels = np.empty(window.shape, np.uint32)
            for key in keys:
                if key not in chunks:
                    chunks[key] = self._read_disk(number, self._chunk_window(key))
                    self._remember(key, chunks[key], n_writes)
        for key, chunk in chunks.items():
            own = self._chunk_window(key)
            common = own.intersect(window)
            if common is not None:
                part = chunk[common.relative_to(own).slices]
                labels[common.relative_to(window).slices] = part
        return labels

    def _read_disk(self, number: int, window: Window) -> Labels:
        try:
            return np.asarray(self._arrays[number][window.slices]).astype(np.uint32, copy=False)
        except Exception as error:  # every store and codec raises its own kinds
            raise RasterError(
                f"expected to read labels, but they are damaged or out of reach ({error}); "
                "restore the folder from a copy"
            ) from error

    def _remember(self, key: _ChunkKey, chunk: Labels, n_writes: int) -> None:
        """Keep a chunk that is as on disk, unless something was written since it was looked at."""
        with self._lock:
            if n_writes != self._n_writes:
                return
            self._clean[key] = chunk
            self._clean.move_to_end(key)
            while len(self._clean) > _CACHED_CHUNKS:
                self._clean.popitem(last=False)

    def _write_level(self, number: int, window: Window, labels: LabelArray) -> None:
        for key in _chunk_keys(number, window):
            own = self._chunk_window(key)
            common = own.intersect(window)
            if common is None:
                continue
            is_whole = common == own
            chunk = np.empty(own.shape, np.uint32) if is_whole else self._read_level(number, own)
            chunk[common.relative_to(own).slices] = labels[common.relative_to(window).slices]
            self._dirty[key] = chunk
            self._clean.pop(key, None)

    def _chunk_window(self, key: _ChunkKey) -> Window:
        number, row, column = key
        rows, columns = self.levels[number].shape
        y0, x0 = row * CHUNK, column * CHUNK
        return Window(y0, x0, min(y0 + CHUNK, rows), min(x0 + CHUNK, columns))

    def _check_window(self, window: Window) -> None:
        rows, columns = self.shape
        if min(window.y0, window.x0) < 0 or window.y1 > rows or window.x1 > columns:
            raise ValueError(f"expected a window inside {self.shape} px, got {window}")


def _check_plane(plane: PlaneIndex) -> None:
    if plane not in ((), (None, None)):
        raise ValueError(f"expected labels of a plain image, got the plane {plane}")


def _level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Halved, rounded up, until a level is one chunk."""
    shapes = [shape]
    while max(shapes[-1]) > CHUNK:
        shapes.append(tuple(-(-side // 2) for side in shapes[-1]))
    return shapes


def _create_level(group: Any, number: int, shape: tuple[int, ...]) -> Any:
    return group.create_array(
        str(number),
        shape=shape,
        dtype="uint32",
        chunks=tuple(min(CHUNK, side) for side in shape),
        fill_value=0,
        dimension_names=("y", "x"),
        config={"write_empty_chunks": False},
    )


def _metadata(n_levels: int) -> dict[str, Any]:
    """OME-Zarr 0.5; level k keeps every 2ᵏ-th pixel, so its pixels' centres lie on level 0's."""
    datasets = [
        {
            "path": str(number),
            "coordinateTransformations": [{"type": "scale", "scale": [2.0**number] * 2}],
        }
        for number in range(n_levels)
    ]
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    multiscale = {"name": "labels", "axes": axes, "datasets": datasets, "type": "nearest"}
    return {"version": "0.5", "multiscales": [multiscale], "image-label": {"version": "0.5"}}


def _window_at(window: Window, number: int) -> Window | None:
    """The pixels of a level that level-0 pixels of the window are kept in; None if none is."""
    step = 1 << number
    y0, x0, y1, x1 = (-(-side // step) for side in (window.y0, window.x0, window.y1, window.x1))
    return Window(y0, x0, y1, x1) if y1 > y0 and x1 > x0 else None


def _chunk_keys(number: int, window: Window) -> Iterator[_ChunkKey]:
    for row in range(window.y0 // CHUNK, -(-window.y1 // CHUNK)):
        for column in range(window.x0 // CHUNK, -(-window.x1 // CHUNK)):
            yield number, row, column


def _range(part: Any, size: int) -> range:
    if isinstance(part, slice):
        return range(size)[part]
    position = int(part)
    if not -size <= position < size:
        raise IndexError(f"expected an index within {size}, got {position}")
    return range(position % size, position % size + 1)
