"""Geometry between the viewer and the pixels of one plane of an Image layer.

Layers, dims and viewers are used through their public attributes only; nothing here needs Qt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_edgeflow.errors import RasterError
from napari_edgeflow.gui.bands import layer_view
from napari_edgeflow.gui.labels.sizes import needs_store
from napari_edgeflow.raster.view import BandView

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Plane:
    """Two axes of a layer at one position of its other axes.

    Attributes:
        index: One entry for each axis of the layer: the position, or None for the two axes
            of the plane (rows first).
        shape: (rows, columns) of the plane in level-0 pixels.
    """

    index: tuple[int | None, ...]
    shape: tuple[int, int]

    @property
    def axes(self) -> tuple[int, int]:
        """The layer's axes that are the rows and the columns."""
        rows, columns = (axis for axis, at in enumerate(self.index) if at is None)
        return rows, columns

    @property
    def slicer(self) -> tuple[int | slice, ...]:
        """Index that cuts this plane out of the layer's array."""
        return tuple(slice(None) if at is None else at for at in self.index)

    @property
    def name(self) -> str:
        """The slice in words: ``slice 3`` or ``slice 3, 7``; ``the image`` without a stack."""
        numbers = [str(at) for at in self.index if at is not None]
        return f"slice {', '.join(numbers)}" if numbers else "the image"

    def position(self, y: float, x: float) -> tuple[float, ...]:
        """Position in the layer's data coordinates of a place on this plane."""
        yx = iter((y, x))
        return tuple(next(yx) if at is None else float(at) for at in self.index)

    def yx(self, position: Sequence[float]) -> tuple[float, float]:
        """Row and column of a position in the layer's data coordinates."""
        rows, columns = self.axes
        return float(position[rows]), float(position[columns])

    def contains(self, y: float, x: float) -> bool:
        """True when the pixel that holds this place lies on the plane."""
        if not (math.isfinite(y) and math.isfinite(x)):
            return False
        row, column = math.floor(y + 0.5), math.floor(x + 0.5)
        return 0 <= row < self.shape[0] and 0 <= column < self.shape[1]

    def check_contains(self, y: float, x: float, name: str) -> None:
        """Nothing, when the place is on the plane.

        Raises:
            RasterError: It is not; ``name`` is the image's.
        """
        if not self.contains(y, x):
            raise RasterError(
                f"expected a click on the image {name}, {self.shape[0]} × {self.shape[1]} px, "
                f"got row {y:.1f}, column {x:.1f}; click inside it"
            )

    def pixels(self, rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> tuple[Any, ...]:
        """Index arrays of these pixels of the plane in the layer's array."""
        yx = iter((rows, columns))
        return tuple(next(yx) if at is None else np.full_like(rows, at) for at in self.index)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneImage:
    """The pixels of one plane, not read yet; opened in the worker.

    Attributes:
        name: The layer's name.
        data: The layer's array, or its levels.
        is_rgb: The last axis holds red, green and blue.
        is_multiscale: ``data`` is a list of levels.
        plane: Which plane.
        view: The bands that were chosen for it; None: its own pixels.
    """

    name: str
    data: Any
    is_rgb: bool
    is_multiscale: bool
    plane: Plane
    view: BandView | None = None

    @property
    def _shape(self) -> tuple[int, ...]:
        """As ``layer_shape``."""
        layer = SimpleNamespace(data=self.data, rgb=self.is_rgb, multiscale=self.is_multiscale)
        return layer_shape(layer)

    def source(self) -> tuple[Any, str | None, tuple[int, ...] | None]:
        """(image, axes, index) for ``raster.open.open_raster``; reads no more than the plane."""
        stack = tuple(at for at in self.plane.index if at is not None)
        last_two = self.plane.axes == (len(self.plane.index) - 2, len(self.plane.index) - 1)
        if self.is_multiscale and not last_two:
            raise RasterError(
                f"{self.name}: expected the last two axes of a multiscale image on the screen, "
                "got others; roll the axes back"
            )
        is_large = last_two and needs_store(self._shape)  # its planes are not read whole
        if self.is_multiscale or not stack or is_large:
            layer = SimpleNamespace(
                name=self.name, data=self.data, rgb=self.is_rgb, multiscale=self.is_multiscale
            )
            return layer, None, stack or None
        return self.data[self.plane.slicer], "YXS" if self.is_rgb else "YX", None


def layer_shape(layer: Any) -> tuple[int, ...]:
    """Level-0 shape of a layer without the axis of red, green and blue."""
    data = layer.data[0] if layer.multiscale else layer.data
    shape = tuple(int(side) for side in data.shape)
    return shape[:-1] if getattr(layer, "rgb", False) else shape


def shown_plane(layer: Any, dims: Any) -> Plane:
    """The plane of ``layer`` that the viewer shows now.

    Raises:
        RasterError: The view is 3-D, or shows an axis that the image does not have, or one
            that labels on disk are not cut along.
    """
    if dims.ndisplay != 2:
        raise RasterError(
            "expected the 2-D view for clicking, got the 3-D view; switch back (Ctrl+Y)"
        )
    shape = layer_shape(layer)
    axes = sorted(axis - (dims.ndim - len(shape)) for axis in dims.displayed)
    if axes[0] < 0:
        raise RasterError(
            f"{layer.name}: expected two axes of the image on the screen, got an axis that it "
            "does not have; roll the axes back (Ctrl+E)"
        )
    if axes != [len(shape) - 2, len(shape) - 1] and needs_store(shape):
        raise RasterError(
            f"{layer.name}: expected the last two axes on the screen, as labels of {shape} are "
            "on disk plane by plane, got others; roll the axes back (Ctrl+E)"
        )
    at = layer.world_to_data(dims.point)
    index = tuple(
        None if axis in axes else min(max(round(float(at[axis])), 0), side - 1)
        for axis, side in enumerate(shape)
    )
    return Plane(index, (shape[axes[0]], shape[axes[1]]))


def show_plane(viewer: Any, layer: Any, plane: Plane) -> None:
    """Move the viewer's sliders to a plane of ``layer``, unless other axes are on the screen."""
    first = viewer.dims.ndim - len(plane.index)
    shown = sorted(axis - first for axis in viewer.dims.displayed)
    stack = [axis for axis, at in enumerate(plane.index) if at is not None]
    if not stack or tuple(shown) != plane.axes:
        return
    world = layer.data_to_world(plane.position(0, 0))
    viewer.dims.set_point([axis + first for axis in stack], [float(world[a]) for a in stack])


def plane_image(layer: Any, plane: Plane) -> PlaneImage:
    """Snapshot of what the worker needs of an Image layer; reads no pixels."""
    return PlaneImage(
        name=str(layer.name),
        data=layer.data,
        is_rgb=bool(getattr(layer, "rgb", False)),
        is_multiscale=bool(layer.multiscale),
        plane=plane,
        view=layer_view(layer),
    )


def data_to_world_matrix(layer: Any) -> Matrix:
    """``(n + 1, n + 1)`` affine from level-0 pixels of ``layer`` to the world."""
    n = len(layer_shape(layer)) if hasattr(layer, "multiscale") else layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(n)), dtype=float)
    matrix = np.eye(n + 1)
    matrix[:n, n] = origin
    for axis, unit in enumerate(np.eye(n)):
        matrix[:n, axis] = np.asarray(layer.data_to_world(unit), dtype=float) - origin
    return matrix


def visible_side(viewer: Any, layer: Any, plane: Plane) -> float:
    """Side in level-0 pixels of what the user sees: the shorter one, no longer than the image.

    The canvas and the zoom decide, not what part of the image happens to be panned into view,
    so that the same zoom gives the same mask wherever the object is.
    """
    camera = (viewer.scene if hasattr(viewer, "scene") else viewer).camera
    canvas = viewer.canvas.size if hasattr(viewer, "canvas") else (800, 600)
    inverse = np.linalg.inv(data_to_world_matrix(layer))[:-1, :-1]
    first = viewer.dims.ndim - len(plane.index)
    sides = []
    for axis, length in zip(viewer.dims.displayed[-2:], canvas, strict=True):
        step = inverse[:, axis - first] * (length / max(float(camera.zoom), 1e-12))
        sides.append(float(np.linalg.norm(step[list(plane.axes)])))
    return max(1.0, min(*sides, *map(float, plane.shape)))
