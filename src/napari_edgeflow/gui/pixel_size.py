"""What a pixel of an image layer measures in the world, for areas in the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_edgeflow._types import BoolArray
from napari_edgeflow.annotation.objects import PlaneIndex
from napari_edgeflow.gui.planes import Matrix, data_to_world_matrix

_LENGTH = {"[length]": 1.0}


@dataclass(frozen=True, slots=True, eq=False)
class PixelSize:
    """Steps of one pixel along each axis of a layer.

    Attributes:
        steps: ``(n, n) float64``: column k is the way in the world of one pixel along axis k,
            in ``unit`` along those axes of the world that are lengths.
        is_length: ``(n,) bool``: which axes of the world are.
        unit: Short: ``"µm"``; empty when no axis is a length.
    """

    steps: Matrix
    is_length: BoolArray
    unit: str

    @classmethod
    def of_layer(cls, layer: Any) -> PixelSize:
        """The pixel size of an Image layer: scale, shear and affine, in the layer's units.

        Axes in different units of length are brought to the unit of the last of them.
        """
        steps = data_to_world_matrix(layer)[:-1, :-1].copy()
        units = tuple(getattr(layer, "units", ()))
        is_length = np.zeros(len(steps), dtype=bool)
        is_length[: len(units)] = [dict(unit.dimensionality) == _LENGTH for unit in units]
        if not is_length.any():
            return cls(steps, is_length, "")
        base = units[int(np.flatnonzero(is_length)[-1])]
        for axis in np.flatnonzero(is_length):
            steps[axis] *= float((1.0 * units[int(axis)]).to(base).magnitude)
        return cls(steps, is_length, f"{base:~P}")

    def area(self, plane: PlaneIndex = ()) -> float | None:
        """Area of a pixel of this plane in square ``unit``; None when it is not known.

        Args:
            plane: Which plane of a stack; () for a plain image.
        """
        axes = [axis for axis, at in enumerate(plane) if at is None] or [-2, -1]
        sides = self.steps[:, axes]
        if not self.unit or np.any(np.abs(sides[~self.is_length]) > 1e-9):
            return None
        lengths = sides[self.is_length]
        area = float(np.sqrt(max(np.linalg.det(lengths.T @ lengths), 0.0)))
        return area if area > 0 else None
