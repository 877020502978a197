"""The finished objects of the open images as a data set to learn from.

Each plane with objects becomes an image; one that is larger than 4096² px is cut into windows
around its objects, so that neither time nor memory follow the raster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels

from napari_edgeflow._types import AnyArray, Window
from napari_edgeflow.annotation.changes import State
from napari_edgeflow.annotation.objects import LabelReader, PlaneIndex, measure_labels
from napari_edgeflow.annotation.objects import Labels as Ids
from napari_edgeflow.annotation.store import ArrayStore, LabelStore, StoredPlane
from napari_edgeflow.data.folder import IGNORE_ID
from napari_edgeflow.errors import Cancelled
from napari_edgeflow.gui.planes import layer_shape
from napari_edgeflow.training.pack import MIN_AREA_PX

LARGEST_PX = 4096**2
"""Planes up to this size are written whole, and no picture is much larger."""
CELL_PX = 2048
"""Objects of a larger plane whose centres lie in one square of this side share a window."""
MARGIN_PX = 256

ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An image that is not read yet.

    Attributes:
        name: Of its layer.
        data: The layer's array at full resolution.
        is_rgb: ``data`` has a last axis of colours.
    """

    name: str
    data: Any
    is_rgb: bool

    @classmethod
    def of(cls, layer: Any) -> Pixels:
        """Those of an Image layer."""
        data = layer.data[0] if layer.multiscale else layer.data
        return cls(str(layer.name), data, bool(layer.rgb))

    def read(self, plane: PlaneIndex, window: Window) -> AnyArray:
        """``(h, w)`` or ``(h, w, 3)`` pixels of a window of a plane; transparency is dropped."""
        sides = iter(window.slices)
        index = tuple(next(sides) if at is None else at for at in plane or (None, None))
        if self.is_rgb:
            return np.asarray(self.data[(*index, slice(None))])[..., :3]
        return np.asarray(self.data[index])


@dataclass(frozen=True, slots=True, eq=False)
class AnnotatedPlane:
    """A plane with objects.

    Attributes:
        pixels: Of its image.
        plane: Which of its planes; () for a plain image.
        labels: Whose pixel is whose.
        objects: Box and area in pixels of those to learn from, by id; other ids are left out.
    """

    pixels: Pixels
    plane: PlaneIndex
    labels: LabelReader
    objects: Mapping[int, tuple[Window, int]]


@dataclass(frozen=True, slots=True, eq=False)
class _PlaneLabels:
    """One plane of a store, along whichever axes; a ``LabelReader``."""

    store: LabelStore
    plane: PlaneIndex
    shape: tuple[int, int]

    def read(self, window: Window) -> Ids:
        """``(h, w) uint32`` ids of the window."""
        return self.store.read(window, self.plane)


@dataclass(frozen=True, slots=True, eq=False)
class ProjectObjects:
    """The objects of a project, at one of its steps.

    Attributes:
        pixels: Of its image.
        state: Which objects there are.
        store: Their pixels; read later, as they are then.
        shape: Of the image, without colours.
    """

    pixels: Pixels
    state: State
    store: LabelStore
    shape: tuple[int, ...]

    @property
    def n_objects(self) -> int:
        """How many are large enough to learn from."""
        return count_of(self.state)

    def planes(self) -> Iterator[AnnotatedPlane]:
        """The planes with objects, shown or not, locked or not, whatever their class."""
        of_plane: dict[PlaneIndex, dict[int, tuple[Window, int]]] = {}
        for record in self.state.objects.values():
            own = of_plane.setdefault(record.plane, {})
            own[record.id] = record.box, record.area_px
        if isinstance(self.store, ArrayStore) and len(self.shape) > 2:
            of_plane = {
                plane: found for plane, found in of_plane.items() if not _is_along_last(plane)
            }
            yield from self._planes_through(self.store)
        for plane, found in of_plane.items():
            axes = [axis for axis, at in enumerate(plane or (None, None)) if at is None]
            rows, columns = (self.shape[axis] for axis in axes)
            labels = _PlaneLabels(self.store, plane, (rows, columns))
            yield AnnotatedPlane(self.pixels, plane, labels, found)

    def _planes_through(self, store: ArrayStore) -> Iterator[AnnotatedPlane]:
        """Planes of the last two axes: an object may go through several, its record has one."""
        for plane, reader in _planes_of(store.array, store):
            found = {
                label: measured
                for label, measured in measure_labels(reader).items()
                if (record := self.state.objects.get(label)) is not None
                and _is_along_last(record.plane)
            }
            if found:
                yield AnnotatedPlane(self.pixels, plane, reader, found)


@dataclass(frozen=True, slots=True, eq=False)
class LayerObjects:
    """The objects of a Labels layer that belongs to no project.

    Attributes:
        pixels: Of the image it was drawn on.
        labels: ``(stack…, rows, columns)`` ids.
    """

    pixels: Pixels
    labels: AnyArray

    @property
    def n_objects(self) -> int:
        """How many are large enough to learn from; reads all of the layer."""
        return sum(_n_large(plane.objects) for plane in self.planes())

    def planes(self) -> Iterator[AnnotatedPlane]:
        """The planes with objects."""
        for plane, reader in _planes_of(self.labels, ArrayStore(self.labels)):
            yield AnnotatedPlane(self.pixels, plane, reader, measure_labels(reader))


Annotated = ProjectObjects | LayerObjects


def find_layers(layers: Iterable[Any], is_left_out: Callable[[Any], bool]) -> list[LayerObjects]:
    """Every Labels layer of the shape of an image, empty ones too.

    It belongs to the image below it; where there is none below, to the first one of its shape.

    Args:
        layers: Of the viewer, from the bottom up.
        is_left_out: True for layers that show unfinished objects, or those of a project.
    """
    found: list[LayerObjects] = []
    shown = list(layers)
    for at, layer in enumerate(shown):
        is_kept = isinstance(layer, Labels) and not is_left_out(layer) and not layer.multiscale
        if not is_kept or not isinstance(layer.data, np.ndarray):
            continue
        shape = tuple(layer.data.shape)
        below = [one for one in reversed(shown[:at]) if _is_image_of(one, shape)]
        images = below or [one for one in shown[at:] if _is_image_of(one, shape)]
        if images:
            found.append(LayerObjects(Pixels.of(images[0]), layer.data))
    return found


def count_of(state: State) -> int:
    """How many finished objects are large enough to learn from."""
    return sum(record.area_px >= MIN_AREA_PX for record in state.objects.values())


def write_objects(
    annotated: Sequence[Annotated], out: Path, should_stop: ShouldStop = lambda: False
) -> int:
    """Writes a data set for ``FolderDataset``; returns the number of its images.

    Of a plane larger than 4096² px, the windows around its objects are written, each object in
    one of them; what is seen of others there is marked as neither object nor background. A
    window of an object larger than that is thinned out to this size.

    Args:
        annotated: What to write.
        out: Folder for ``images/`` and ``masks/``.
        should_stop: Asked before every picture, and between parts of large ones.

    Raises:
        Cancelled: ``should_stop`` said so.
        OSError: A file cannot be written.
    """
    import tifffile

    number = 0
    for one in annotated:
        for plane in one.planes():
            for window, ids in _windows(plane):
                pixels, mask = _read(plane, window, ids, should_stop)
                for part, values in (("images", pixels), ("masks", mask)):
                    path = out / part / f"{number:05}.tif"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    kind = "rgb" if values.ndim == 3 else "minisblack"
                    tifffile.imwrite(path, np.ascontiguousarray(values), photometric=kind)
                number += 1
    return number


def _windows(plane: AnnotatedPlane) -> Iterator[tuple[Window, list[int]]]:
    """What is written of a plane, and the objects that each window is for."""
    rows, columns = plane.labels.shape
    if rows * columns <= LARGEST_PX:
        yield Window(0, 0, rows, columns), list(plane.objects)
        return
    cells: dict[tuple[int, ...], list[int]] = {}
    for label, (box, _) in plane.objects.items():
        place = (box.y0 + box.y1) // (2 * CELL_PX), (box.x0 + box.x1) // (2 * CELL_PX)
        is_large = max(box.height, box.width) > CELL_PX
        cells.setdefault((*place, label) if is_large else place, []).append(label)
    for ids in cells.values():
        boxes = [plane.objects[label][0] for label in ids]
        yield (
            Window(
                max(min(box.y0 for box in boxes) - MARGIN_PX, 0),
                max(min(box.x0 for box in boxes) - MARGIN_PX, 0),
                min(max(box.y1 for box in boxes) + MARGIN_PX, rows),
                min(max(box.x1 for box in boxes) + MARGIN_PX, columns),
            ),
            ids,
        )


def _read(
    plane: AnnotatedPlane, window: Window, ids: Sequence[int], should_stop: ShouldStop
) -> tuple[AnyArray, AnyArray]:
    """Pixels and ``uint16`` ids from 1 of a window, read in strips of whole steps."""
    n_px = window.height * window.width
    step = math.ceil(math.sqrt(n_px / LARGEST_PX)) if n_px > 2 * LARGEST_PX else 1
    height = max(LARGEST_PX // window.width // step, 1) * step
    pixels, masks = [], []
    for y in range(window.y0, window.y1, height):
        if should_stop():
            raise Cancelled("nothing was learned: the objects were not all written")
        strip = Window(y, window.x0, min(y + height, window.y1), window.x1)
        pixels.append(plane.pixels.read(plane.plane, strip)[::step, ::step])
        masks.append(_counted(plane.labels.read(strip)[::step, ::step], ids))
    return np.concatenate(pixels), np.concatenate(masks)


def _counted(labels: Ids, ids: Sequence[int]) -> AnyArray:
    """``(h, w) uint16``: the objects ``ids`` counted from 1 on; others are to be ignored."""
    values, inverse = np.unique(labels, return_inverse=True)
    numbers = {0: 0} | {label: n for n, label in enumerate(ids[: IGNORE_ID - 1], start=1)}
    table = np.array([numbers.get(value, IGNORE_ID) for value in values.tolist()], np.uint16)
    counted: AnyArray = table[inverse.reshape(labels.shape)]
    return counted


def _planes_of(array: AnyArray, store: LabelStore) -> Iterator[tuple[PlaneIndex, StoredPlane]]:
    """The planes of the last two axes that hold anything."""
    for leading in np.ndindex(*array.shape[:-2]):
        if array[leading].any():
            plane: PlaneIndex = (*leading, None, None) if leading else ()
            yield plane, StoredPlane(store, plane)


def _is_along_last(plane: PlaneIndex) -> bool:
    return plane[-2:] in ((), (None, None))


def _n_large(objects: Mapping[int, tuple[Window, int]]) -> int:
    return sum(area >= MIN_AREA_PX for _, area in objects.values())


def _is_image_of(layer: Any, shape: tuple[int, ...]) -> bool:
    return isinstance(layer, Image) and layer_shape(layer) == shape
