"""Where labels are kept, behind one protocol; the in-memory kind; who wins where objects meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray, LabelArray, Window
from napari_edgeflow.annotation.objects import Labels, PlaneIndex

OverlapRule = Literal["new_on_top", "old_protected"]
"""``new_on_top``: the new object takes pixels from others; ``old_protected``: it does not."""


class LabelStore(Protocol):
    """Labels that can be read and written window by window."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a plane."""
        ...

    @property
    def next_id(self) -> int:
        """An id that no pixel has or ever had since the store was opened."""
        ...

    @property
    def is_persistent(self) -> bool:
        """True when it keeps its labels on disk by itself."""
        ...

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy."""
        ...

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window."""
        ...


@dataclass(frozen=True, slots=True)
class Mark:
    """How much of a log is in a store for certain.

    Attributes:
        n_records: The first records of the log.
        crc: Of those records, to tell the log from another one.
    """

    n_records: int
    crc: int


@runtime_checkable
class MarkedStore(LabelStore, Protocol):
    """A store on disk that knows which steps of a log its disk holds."""

    @property
    def saved_mark(self) -> Mark | None:
        """What is on disk; None before the first time."""
        ...

    @property
    def n_unflushed(self) -> int:
        """Pieces that are not on disk yet."""
        ...

    def note(self, mark: Mark) -> None:
        """From now on the store holds these records; saved with the next ``flush``."""
        ...

    def flush(self) -> None:
        """Bring everything to disk, the mark last."""
        ...

    def clear(self) -> None:
        """Forget all labels, on disk too."""
        ...


class ArrayStore:
    """Labels in an array that fits in memory.

    Args:
        array: ``(H, W)``, or more axes of which a plane names two; integers ≥ 0. Written in
            place: the caller's array is the store.
        axes: The two axes that are rows and columns.

    Raises:
        ValueError: It is no array of labels.
    """

    is_persistent = False

    def __init__(self, array: AnyArray, axes: tuple[int, int] = (-2, -1)) -> None:
        if array.ndim < 2 or array.dtype.kind not in "iu":
            raise ValueError(
                "expected labels of at least two axes and an integer type, got shape "
                f"{array.shape} and {array.dtype}"
            )
        if array.size and int(array.min()) < 0:
            raise ValueError(f"expected labels ≥ 0, got {int(array.min())}")
        self.array = array
        self._shape = array.shape[axes[0]], array.shape[axes[1]]
        self._highest = int(array.max(initial=0))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> ArrayStore:
        """A store of ``shape`` without objects."""
        return cls(np.zeros(shape, np.uint32))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a plane."""
        return self._shape

    @property
    def next_id(self) -> int:
        """One above the highest id so far."""
        return self._highest + 1

    def read(self, window: Window, plane: PlaneIndex = ()) -> Labels:
        """``(h, w) uint32`` ids of the window, a copy.

        Raises:
            ValueError: The window or the plane is outside.
        """
        return self._plane(plane, window)[window.slices].astype(np.uint32)

    def write(self, window: Window, labels: LabelArray, plane: PlaneIndex = ()) -> None:
        """Put ``(h, w)`` ids into the window.

        Raises:
            ValueError: The window or the plane is outside, the labels are of another shape, or
                the array's type cannot hold an id.
        """
        target = self._plane(plane, window)
        if labels.shape != window.shape:
            raise ValueError(f"expected labels of the window's {window.shape}, got {labels.shape}")
        highest = int(labels.max(initial=0))
        if highest > np.iinfo(self.array.dtype).max:
            raise ValueError(
                f"expected room for the id {highest}, got {self.array.dtype} labels; convert them "
                "to a wider type"
            )
        target[window.slices] = labels
        self._highest = max(self._highest, highest)

    def _plane(self, plane: PlaneIndex, window: Window) -> AnyArray:
        index: tuple[Any, ...] = tuple(slice(None) if at is None else at for at in plane)
        if plane and (len(plane) != self.array.ndim or plane.count(None) != 2):
            raise ValueError(f"expected a plane of {self.array.ndim} axes, got {plane}")
        if not plane and self.array.ndim != 2:
            raise ValueError(f"expected a plane of labels of shape {self.array.shape}, got none")
        part: AnyArray = self.array[index] if plane else self.array
        if min(window.y0, window.x0) < 0 or window.y1 > part.shape[0] or window.x1 > part.shape[1]:
            raise ValueError(f"expected a window inside {part.shape} px, got {window}")
        return part


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """One plane of a store as a ``LabelReader``."""

    store: LabelStore
    plane: PlaneIndex = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.store.shape

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window."""
        return self.store.read(window, self.plane)


def place_mask(
    labels: Labels, mask: BoolArray, label: int, rule: OverlapRule, protected: tuple[int, ...] = ()
) -> Labels:
    """``(h, w) uint32``: the labels after the object took its place; what it left is background.

    Args:
        labels: ``(h, w) uint32`` before.
        mask: ``(h, w) bool`` of the object; its pixels outside this box stay as they are.
        label: Its id.
        rule: Who keeps a pixel that both claim.
        protected: Ids that keep their pixels under any rule: locked objects.
    """
    is_own = labels == label
    is_free = (labels == 0) | is_own
    if rule == "new_on_top":
        is_free |= ~np.isin(labels, protected)
    placed = np.where(mask & is_free, np.uint32(label), np.where(is_own, np.uint32(0), labels))
    return placed.astype(np.uint32, copy=False)


def find_overlaps(labels: Labels, mask: BoolArray, label: int = 0) -> dict[int, int]:
    """Pixels of the mask on each other object, by id: what the user is asked about."""
    ids, counts = np.unique(labels[mask], return_counts=True)
    found = zip(ids.tolist(), counts.tolist(), strict=True)
    return {i: n for i, n in found if i not in (0, label)}
