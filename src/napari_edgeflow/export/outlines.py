"""Outlines of objects in the (x, y) that exchange formats use: pixel edges on the integers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, LabelReader, Labels, ObjectRecord
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.vector.coverage import label_strips_to_polygons, simplify_coverage
from napari_edgeflow.vector.polygons import (
    Polygon,
    Ring,
    polygons_from_shapely,
    strips_to_polygons,
)

_CHUNK = 512
_AT_ONCE_PX, _READ_PX = 2**20, 2**23

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
        trace = trace_exactly if tolerance_px == 0 else with_meeting_points
        polygons = trace(annotated, record, run)
        if polygons:
            found.append(Outline(record, polygons))
    return _simplify(found, tolerance_px) if tolerance_px else found


def trace_exactly(
    annotated: AnnotationSet,
    record: ObjectRecord,
    run: ExportRun = PLAIN_RUN,
    window: Window | None = None,
) -> tuple[Polygon, ...]:
    """Polygons of one object along its pixels' edges; memory follows the outline, not the area.

    Args:
        annotated: Its labels.
        record: The object.
        run: Asked between strips whether to stop.
        window: What lies outside is cut off; None: the object's box.
    """
    at = window or record.box
    return strips_to_polygons(
        (labels == record.id for labels in label_strips(annotated.labels, at, run)), at
    )


def with_meeting_points(
    annotated: AnnotationSet, record: ObjectRecord, run: ExportRun = PLAIN_RUN
) -> tuple[Polygon, ...]:
    """As ``trace_exactly``, with a corner wherever three objects meet."""
    rows, columns = annotated.image.shape
    box = record.box
    window = Window(
        max(box.y0 - 1, 0), max(box.x0 - 1, 0), min(box.y1 + 1, rows), min(box.x1 + 1, columns)
    )
    strips = label_strips(annotated.labels, window, run)
    return label_strips_to_polygons(strips, record.id, window)


def label_strips(
    labels: LabelReader, window: Window, run: ExportRun = PLAIN_RUN
) -> Iterator[Labels]:
    """``(h, w) uint32`` runs of rows of the window, from the top; small windows in one.

    Strips begin and end with the chunks of label stores where their size allows it, so that no
    chunk is read twice.

    Raises:
        Cancelled: The run says so.
    """
    rows = min(_CHUNK, max(1, _READ_PX // window.width))
    rows = 1 << (rows.bit_length() - 1)
    if window.height * window.width <= _AT_ONCE_PX:
        rows = max(window.y1, 1)
    top = window.y0
    while top < window.y1:
        run.check()
        bottom = min((top // rows + 1) * rows, window.y1)
        yield labels.read(Window(top, window.x0, bottom, window.x1))
        top = bottom


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
