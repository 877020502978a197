"""Labels of rasters larger than memory: an OME-Zarr pyramid on disk, changes held until flushed.

Of one plane, or of a stack of them: uint32, chunks of 512² of a plane, levels by taking every
second pixel, empty chunks not written. Changes are seen at once, by ``read`` and by the levels
that napari shows; ``flush`` brings them to disk and is meant for another thread. A mark, written
after the chunks, says which steps of a journal they hold: after a crash the steps after it are
done again.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex
from napari_edgeflow.annotation.store import Mark
from napari_edgeflow.annotation.store_layout import (
    OWN,
    chunks_on_disk,
    create_level,
    folder_of,
    level_shapes,
    mark_from,
    metadata,
    refused,
    window_at,
)
from napari_edgeflow.annotation.store_level import CHUNK, StoreLevel
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.indexing import ReadPlane

_ID_BLOCK = 1024
_CACHED_CHUNKS = 64  # 64 MB: two views
_Stack = tuple[int, ...]  # position of a plane on the axes before rows and columns
_ChunkKey = tuple[int, _Stack, int, int]  # level, plane, chunk row, chunk column


class ZarrStore:
    """A ``LabelStore`` on disk for planes of any size, one or a stack of them.

    Safe to use from several threads.

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
        own = dict(dict(group.attrs).get(OWN, {}))
        self._mark = self._saved_mark = mark_from(own)
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
    def create(cls, path: Path, shape: tuple[int, ...]) -> Self:
        """An empty store; no pixel is written.

        Args:
            path: A folder that is not there yet.
            shape: (stack…, rows, columns).

        Raises:
            RasterError: There is something at the path already, or it cannot be written to.
            ValueError: A side is not positive, or there are fewer than two.
        """
        import zarr

        if len(shape) < 2 or min(shape) < 1:
            raise ValueError(f"expected rows and columns above 0, got {shape}")
        if path.exists():
            raise RasterError(f"expected a new folder, got {path}; open it, or choose another")
        try:
            group = zarr.open_group(str(path), mode="w-", zarr_format=3)
            arrays = tuple(create_level(group, n, s) for n, s in enumerate(level_shapes(shape)))
            group.attrs.update({"ome": metadata(len(arrays), len(shape)), OWN: {"next_id": 1}})
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
        if not is_ours or shapes != level_shapes(shapes[0]):
            raise RasterError(
                f"expected uint32 labels with halved levels, got {shapes} in {path}; it was "
                "made by another program: import it instead"
            )
        return cls(group, arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a plane."""
        rows, columns = self.array_shape[-2:]
        return rows, columns

    @property
    def array_shape(self) -> tuple[int, ...]:
        """(stack…, rows, columns)."""
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
                self._arrays = tuple(create_level(self._group, *n) for n in enumerate(shapes))
            except OSError as error:
                raise refused(error) from error
            self._dirty.clear()
            self._clean.clear()
            self._n_writes += 1

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy.

        Raises:
            ValueError: The window is outside, or there is no such plane.
            RasterError: The disk cannot be read.
        """
        stack = self._stack_of(plane)
        self._check_window(window)
        return self._read_level(0, stack, window)

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window of every level; on disk after ``flush``.

        Raises:
            ValueError: The window is outside, there is no such plane, or the labels are of another
                shape or beyond uint32.
        """
        stack = self._stack_of(plane)
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
                part = window_at(window, number)
                if part is not None:
                    step = 1 << number
                    top, left = part.y0 * step - window.y0, part.x0 * step - window.x0
                    self._write_level(number, stack, part, labels[top::step, left::step])

    def filled(self) -> list[tuple[PlaneIndex, Window]]:
        """Planes and windows of the chunks that may hold labels; all the others hold none.

        Raises:
            RasterError: The store is not in a folder.
        """
        folder = folder_of(self._group)
        if folder is None:
            raise RasterError("expected labels in a folder, got a store without one")
        with self._flushing:  # until it ends, what leaves the dirty chunks is on disk already
            found = set(chunks_on_disk(folder / "0", len(self.array_shape) - 2))
            with self._lock:
                found |= {key[1:] for key in self._dirty if key[0] == 0}
        is_stack = len(self.array_shape) > 2
        return [
            ((*stack, None, None) if is_stack else (), self._chunk_window((0, stack, row, column)))
            for stack, row, column in sorted(found)
        ]

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
                    number, stack, *_ = key
                    self._arrays[number][(*stack, *self._chunk_window(key).slices)] = chunk
                self._sync([key for key, _ in pending])
                if mark != self._saved_mark:
                    self._saved_mark = mark
                    self._save_own()
            except OSError as error:
                raise refused(error) from error
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
        self._group.attrs[OWN] = own

    def _sync(self, keys: list[_ChunkKey]) -> None:
        """Chunks just written are safe from a power cut; elsewhere than in a folder, as they are.

        Chunks without a label have no file.
        """
        base = folder_of(self._group)
        if base is None:
            return
        for number, stack, row, column in keys:
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(
                    base.joinpath(str(number), "c", *map(str, (*stack, row, column))), os.O_RDWR
                )
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def _level_reader(self, number: int) -> ReadPlane:
        return lambda stack, window: self._read_level(number, stack, window)

    def _read_level(self, number: int, stack: _Stack, window: Window) -> Labels:
        keys = list(_chunk_keys(number, stack, window))
        with self._lock:  # before the disk: a chunk leaves the dirty ones only once it is there
            chunks = {key: self._dirty[key] for key in keys if key in self._dirty}
            for key in keys:
                if key not in chunks and key in self._clean:
                    self._clean.move_to_end(key)
                    chunks[key] = self._clean[key]
            n_writes = self._n_writes
        if len(keys) > _CACHED_CHUNKS // 2:
            labels = self._read_disk(number, stack, window)
        else:
            labels = np.empty(window.shape, np.uint32)
            for key in keys:
                if key not in chunks:
                    chunks[key] = self._read_disk(number, stack, self._chunk_window(key))
                    self._remember(key, chunks[key], n_writes)
        for key, chunk in chunks.items():
            own = self._chunk_window(key)
            common = own.intersect(window)
            if common is not None:
                part = chunk[common.relative_to(own).slices]
                labels[common.relative_to(window).slices] = part
        return labels

    def _read_disk(self, number: int, stack: _Stack, window: Window) -> Labels:
        try:
            labels = np.asarray(self._arrays[number][(*stack, *window.slices)])
            return labels.astype(np.uint32, copy=False)
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

    def _write_level(self, number: int, stack: _Stack, window: Window, labels: LabelArray) -> None:
        for key in _chunk_keys(number, stack, window):
            own = self._chunk_window(key)
            common = own.intersect(window)
            if common is None:
                continue
            is_whole = common == own
            chunk = (
                np.empty(own.shape, np.uint32) if is_whole else self._read_level(number, stack, own)
            )
            chunk[common.relative_to(own).slices] = labels[common.relative_to(window).slices]
            self._dirty[key] = chunk
            self._clean.pop(key, None)

    def _chunk_window(self, key: _ChunkKey) -> Window:
        number, _, row, column = key
        rows, columns = self.levels[number].shape[-2:]
        y0, x0 = row * CHUNK, column * CHUNK
        return Window(y0, x0, min(y0 + CHUNK, rows), min(x0 + CHUNK, columns))

    def _stack_of(self, plane: PlaneIndex) -> _Stack:
        """Position of a plane on the axes before rows and columns.

        Raises:
            ValueError: There is no such plane here, or it is made of other axes.
        """
        sides = self.array_shape[:-2]
        stack = tuple(at for at in plane[:-2] if at is not None)
        is_whole = plane == (*stack, None, None) or (plane == () and not sides)
        if not is_whole or len(stack) != len(sides):
            raise ValueError(
                f"expected a plane of the last two of {len(sides) + 2} axes, got {plane}; roll "
                "the axes back (Ctrl+E)"
            )
        if not all(0 <= at < side for at, side in zip(stack, sides, strict=True)):
            raise ValueError(f"expected a plane of a stack of {sides}, got {plane}")
        return stack

    def _check_window(self, window: Window) -> None:
        rows, columns = self.shape
        if min(window.y0, window.x0) < 0 or window.y1 > rows or window.x1 > columns:
            raise ValueError(f"expected a window inside {self.shape} px, got {window}")


def _chunk_keys(number: int, stack: _Stack, window: Window) -> Iterator[_ChunkKey]:
    for row in range(window.y0 // CHUNK, -(-window.y1 // CHUNK)):
        for column in range(window.x0 // CHUNK, -(-window.x1 // CHUNK)):
            yield number, stack, row, column
