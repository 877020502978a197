"""Outlines of objects in the (x, y) that exchange formats use: pixel edges on the integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.vector.polygons import Polygon, Ring, mask_to_polygons

XyRing = npt.NDArray[np.float64]
"""``(N, 2) float64``: corners (x, y); the first pixel's outer corner is (0, 0)."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The parts of one object.

    Attributes:
        record: The object.
        polygons: Along its pixels' edges, exact; (y, x), pixel centres on the integers.
    """

    record: ObjectRecord
    polygons: tuple[Polygon, ...]

    @property
    def exteriors_xy(self) -> list[XyRing]:
        """The outline of each part."""
        return [to_xy(polygon.exterior) for polygon in self.polygons]

    @property
    def has_holes(self) -> bool:
        """True when a part has a hole."""
        return any(polygon.holes for polygon in self.polygons)


def find_outlines(annotated: AnnotationSet) -> list[Outline]:
    """The outlines of all objects that have pixels, in the set's order."""
    found = []
    for record in annotated.objects:
        polygons = mask_to_polygons(annotated.mask_of(record), record.box)
        if polygons:
            found.append(Outline(record, polygons))
    return found


def to_xy(ring: Ring) -> XyRing:
    """The ring as (x, y) with pixel edges on the integers."""
    return ring[:, ::-1] + 0.5


def count_holed(outlines: list[Outline]) -> int:
    """Objects that have a hole."""
    return sum(outline.has_holes for outline in outlines)


def count_parted(outlines: list[Outline]) -> int:
    """Objects of more than one part."""
    return sum(len(outline.polygons) > 1 for outline in outlines)


def say_objects(count: int) -> str:
    """``"1 object"``, ``"3 objects"``."""
    return f"{count} object{'s' * (count != 1)}"
