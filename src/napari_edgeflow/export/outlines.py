"""Outlines of objects in the (x, y) that exchange formats use: pixel edges on the integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.vector.coverage import label_polygons, simplify_coverage
from napari_edgeflow.vector.polygons import (
    Polygon,
    Ring,
    mask_to_polygons,
    polygons_from_shapely,
)

XyRing = npt.NDArray[np.float64]
"""``(N, 2) float64``: corners (x, y); the first pixel's outer corner is (0, 0)."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """The parts of one object.

    Attributes:
        record: The object.
        polygons: Along its pixels' edges, exact unless simplified; (y, x), pixel centres on the
            integers.
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


def find_outlines(
    annotated: AnnotationSet, run: ExportRun = PLAIN_RUN, *, tolerance_px: float = 0.0
) -> list[Outline]:
    """The outlines of all objects that have pixels, in the set's order.

    Args:
        annotated: The objects.
        run: Hears how far it is.
        tolerance_px: How far outlines may move; what neighbours share stays shared.

    Raises:
        Cancelled: The run says so.
    """
    found = []
    for number, record in enumerate(annotated.objects):
        run.count(number, len(annotated.objects))
        if tolerance_px == 0:
            polygons = mask_to_polygons(annotated.mask_of(record), record.box)
        else:
            polygons = with_meeting_points(annotated, record)
        if polygons:
            found.append(Outline(record, polygons))
    return _simplify(found, tolerance_px) if tolerance_px else found


def with_meeting_points(annotated: AnnotationSet, record: ObjectRecord) -> tuple[Polygon, ...]:
    """Polygons of one object with a corner wherever three objects meet."""
    rows, columns = annotated.image.shape
    box = record.box
    window = Window(
        max(box.y0 - 1, 0), max(box.x0 - 1, 0), min(box.y1 + 1, rows), min(box.x1 + 1, columns)
    )
    return label_polygons(annotated.labels.read(window), record.id, window)


def _simplify(outlines: list[Outline], tolerance_px: float) -> list[Outline]:
    """All together; one that would vanish keeps its corners."""
    shapes = [shapely.MultiPolygon([p.to_shapely() for p in o.polygons]) for o in outlines]
    simple = simplify_coverage(shapes, tolerance_px)
    return [
        Outline(outline.record, polygons_from_shapely(shape) or outline.polygons)
        for outline, shape in zip(outlines, simple, strict=True)
    ]


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
