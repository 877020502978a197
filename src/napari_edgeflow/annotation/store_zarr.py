"""Labels of rasters larger than memory: an OME-Zarr pyramid on disk, changes held until flushed.

uint32, chunks of 512², levels by taking every second pixel, empty chunks not written. Changes are
seen at once, by ``read`` and by the levels that napari shows; ``flush`` brings them to disk and
is meant for another thread. A mark, written after the chunks, says which steps of a journal they
hold: after a crash the steps after it are done again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex
from napari_edgeflow.annotation.store import Mark
from napari_edgeflow.annotation.store_level import CHUNK, StoreLevel
from napari_edgeflow.errors import RasterError

_ID_BLOCK = 1024
_CACHED_CHUNKS = 64  # 64 MB: two views
_OWN = "napari_edgeflow"
_ChunkKey = tuple[int, int, int]  # level, chunk row, chunk column


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
        own = dict(dict(group.attrs).get(_OWN, {}))
        self._mark = self._saved_mark = _mark_from(own)
        self._dirty: dict[_ChunkKey, Labels] = {}
        self._clean: OrderedDict[_ChunkKey, Labels] = OrderedDict()
        self._n_writes = 0
        self._lock = threading.RLock()
        self._flushing = threading.Lock()
        self._reserved = self._next_id = int(own.get("next_id", 1))
        self.levels: tuple[StoreLevel, ...] = tuple(
            StoreLevel(array.shape, self._level_reader(number))
            for number, array in enumerate(arrays)
        )

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int]) -> Self:
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
    def open(cls, path: Path) -> Self:
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

    @property
    def saved_mark(self) -> Mark | None:
        """Which records of a journal are on disk; None before the first time."""
        return self._saved_mark

    def note(self, mark: Mark) -> None:
        """From now on the store holds these records; saved with the next ``flush``."""
        with self._lock:
            self._mark = mark

    def clear(self) -> None:
        """Forget all labels, on disk too; ids start from 1 again.

        Raises:
            RasterError: The disk refuses.
        """
        with self._flushing, self._lock:
            try:
                self._mark = self._saved_mark = None
                self._reserved = self._next_id = 1
                self._save_own()
                shapes = (level.shape for level in self.levels)
                self._arrays = tuple(_create_level(self._group, *n) for n in enumerate(shapes))
            except OSError as error:
                raise _refused(error) from error
            self._dirty.clear()
            self._clean.clear()
            self._n_writes += 1

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
                mark = self._mark
            try:
                self._reserve(next_id)
                for key, chunk in pending:
                    self._arrays[key[0]][self._chunk_window(key).slices] = chunk
                self._sync([key for key, _ in pending])
                if mark != self._saved_mark:
                    self._saved_mark = mark
                    self._save_own()
            except OSError as error:
                raise _refused(error) from error
            with self._lock:
                for key, chunk in pending:
                    if self._dirty.get(key) is chunk:
                        del self._dirty[key]
                        self._remember(key, chunk, self._n_writes)

    def _reserve(self, next_id: int) -> None:
        """Note ids as used before any pixel has them, many at once."""
        if next_id > self._reserved or self._reserved == 1:
            self._reserved = next_id + _ID_BLOCK
            self._save_own()

    def _save_own(self) -> None:
        mark = self._saved_mark
        own: dict[str, Any] = {"next_id": self._reserved}
        if mark is not None:
            own["journal"] = [mark.n_records, mark.crc]
        self._group.attrs[_OWN] = own

    def _sync(self, keys: list[_ChunkKey]) -> None:
        """Chunks just written are safe from a power cut; elsewhere than in a folder, as they are.

        Chunks without a label have no file.
        """
        root = getattr(self._group.store, "root", None)
        if root is None:
            return
        base = Path(root) / self._group.path
        for number, row, column in keys:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(base / f"{number}/c/{row}/{column}", os.O_RDWR)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

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


def _mark_from(own: dict[str, Any]) -> Mark | None:
    """The mark in the group's own attributes; None where it is missing or damaged."""
    try:
        n_records, crc = own["journal"]
        return Mark(int(n_records), int(crc))
    except (KeyError, TypeError, ValueError):
        return None


def _refused(error: OSError) -> RasterError:
    return RasterError(
        f"expected to save the labels, but the system refused ({error.strerror}); "
        "free some space and save again"
    )


def _create_level(group: Any, number: int, shape: tuple[int, ...]) -> Any:
    """A level without labels, in place of what was there."""
    return group.create_array(
        str(number),
        shape=shape,
        dtype="uint32",
        chunks=tuple(min(CHUNK, side) for side in shape),
        fill_value=0,
        dimension_names=("y", "x"),
        config={"write_empty_chunks": False},
        overwrite=True,
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
