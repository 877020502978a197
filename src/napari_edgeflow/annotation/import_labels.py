"""Labels in memory, or lazy: a layer of the viewer, an array, the first level of a pyramid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_mask import cut_objects
from napari_edgeflow.annotation.imports import ImportedImage, add_imported
from napari_edgeflow.annotation.objects import ImageInfo, Labels, PlaneIndex
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.errors import AnnotationError

_MAX_ID = np.iinfo(np.uint32).max
_MAX_PX = 2**28


@dataclass(frozen=True, eq=False)
class ArrayLabels:
    """One plane of any array of labels, read window by window; a ``LabelReader``.

    Attributes:
        array: ``(…, H, W)`` integers or bool; NumPy, dask, zarr, or another that can be sliced.
        plane: Which plane; () for an array of two axes.
        name: For messages.
    """

    array: Any
    plane: PlaneIndex = ()
    name: str = "the labels"

    def __post_init__(self) -> None:
        n_axes, kind = len(self.array.shape), np.dtype(self.array.dtype).kind
        if kind not in "biu":
            raise AnnotationError(
                f"{self.name}: expected whole numbers as labels, got {self.array.dtype}; convert "
                "the layer to labels first"
            )
        n_named = len(self.plane) or 2
        if n_named != n_axes or (self.plane and self.plane.count(None) != 2):
            raise AnnotationError(
                f"{self.name}: expected a plane of labels with {n_axes} axes, got {self.plane}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        axes = [axis for axis, at in enumerate(self.plane or (None, None)) if at is None]
        rows, columns = (int(self.array.shape[axis]) for axis in axes)
        return rows, columns

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window.

        Raises:
            AnnotationError: There are values that cannot be ids.
        """
        at: Any = iter(window.slices)
        index = tuple(next(at) if one is None else one for one in self.plane or (None, None))
        part: AnyArray = np.asarray(self.array[index])
        low, high = int(part.min(initial=0)), int(part.max(initial=0))
        if low < 0 or high > _MAX_ID:
            raise AnnotationError(
                f"{self.name}: expected ids from 0 to 2³² − 1, got {low} to {high}; number the "
                "labels anew"
            )
        return part.astype(np.uint32)


def level_0(data: Any, is_multiscale: bool) -> Any:
    """The full-resolution array of a layer's data."""
    return data[0] if is_multiscale else data


def read_labels(labels: ArrayLabels, classes: ClassList | None = None) -> ImportedImage:
    """The objects of a plane, one for each id; all get the first class.

    Args:
        labels: The plane.
        classes: None, or empty: a class "object".

    Raises:
        AnnotationError: The values are no ids, or the plane is too large to be taken in whole.
    """
    rows, columns = labels.shape
    if rows * columns > _MAX_PX:
        raise AnnotationError(
            f"{labels.name}: expected labels of at most {_MAX_PX} px, got {rows} × {columns}; "
            "crop them, or save them as GeoPackage and import that"
        )
    given = classes if classes else ClassList().add("object")
    whole = labels.read(Window(0, 0, rows, columns))
    info = ImageInfo(labels.name, labels.shape)
    return ImportedImage(info, given, cut_objects(whole, given.classes[0].id))


def planes_of(shape: Sequence[int]) -> tuple[PlaneIndex, ...]:
    """The planes of an array of this shape whose last two axes are rows and columns."""
    if len(shape) == 2:
        return ((),)
    return tuple((*at, None, None) for at in np.ndindex(*shape[:-2]))


def add_planes(
    state: State, store: LabelStore, found: Iterable[tuple[PlaneIndex, ImportedImage]]
) -> tuple[Change, tuple[str, ...]]:
    """One change that adds the objects of many planes, and notes for the user.

    Planes without objects are passed over.

    Raises:
        ValueError: Nothing of it finds a place, or a plane is of another shape.
    """
    changes: list[Change] = []
    notes: list[str] = []
    after = state
    for plane, imported in found:
        if not imported.objects:
            continue
        change, own = add_imported(after, store, imported, plane)
        classes = change.classes[1] if change.classes is not None else after.classes
        new = {label: pair[1] for label, pair in change.objects.items() if pair[1] is not None}
        after = replace(after, classes=classes, objects={**after.objects, **new})
        changes.append(change)
        notes += own
    if not changes:
        raise ValueError("expected objects to import, got none")
    objects = {label: pair for change in changes for label, pair in change.objects.items()}
    whole = Change(
        "import",
        f"import {len(objects)} object{'s' * (len(objects) != 1)}",
        classes=None if after.classes == state.classes else (state.classes, after.classes),
        objects=objects,
        patches=tuple(patch for change in changes for patch in change.patches),
    )
    return whole, tuple(dict.fromkeys(notes))
