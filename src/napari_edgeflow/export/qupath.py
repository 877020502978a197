"""GeoJSON as QuPath (0.3 and later) imports it: outlines in pixels of the full resolution."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.export.options import TOLERANCE_PX, ExportOption
from napari_edgeflow.export.outlines import Outline, XyRing, find_outlines, to_xy
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.stacks import stack_position

OBJECT_TYPE = ExportOption(
    "object-type",
    "QuPath object",
    "What objects become in QuPath: annotations can be edited, detections are faster by the "
    "thousand",
    "annotation",
    ("annotation", "detection"),
)


def write_qupath(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold: nothing.

    Coordinates are (x, y) with pixel edges on the integers. Classes keep their colours. An object
    has the same id (UUID) in every export of the image of that name.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: The file cannot be written.
    """
    outlines = find_outlines(annotated, run, tolerance_px=run.number(TOLERANCE_PX))
    kind = run.text(OBJECT_TYPE)
    features = [_feature(outline, annotated, kind) for outline in outlines]
    content = {"type": "FeatureCollection", "features": features}
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())
    return ()


def _feature(outline: Outline, annotated: AnnotationSet, kind: str) -> dict[str, Any]:
    record = outline.record
    one_class = annotated.class_of(record)
    properties: dict[str, Any] = {
        "objectType": kind,
        "classification": {"name": one_class.name, "color": list(one_class.color)},
        "isLocked": record.is_locked,
        "metadata": {"object_id": str(record.id), "model": record.model},
    }
    if record.name:
        properties["name"] = record.name
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{annotated.image.name}#{record.id}")),
        "geometry": _geometry(outline),
        "properties": properties,
    }


def _geometry(outline: Outline) -> dict[str, Any]:
    parts = [[_closed(to_xy(ring)) for ring in polygon.rings] for polygon in outline.polygons]
    is_one = len(parts) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if is_one else "MultiPolygon",
        "coordinates": parts[0] if is_one else parts,
    }
    position = stack_position(outline.record.plane)
    if position:
        plane = {"c": -1, "z": position.get("z", 0), "t": position.get("t", 0)}
        geometry["plane"] = plane
    return geometry


def _closed(ring: XyRing) -> list[list[float]]:
    """The ring with its first corner again at the end; whole numbers without a fraction."""
    is_whole = bool((ring == ring.round()).all())
    corners: list[list[float]] = (ring.astype(int) if is_whole else ring).tolist()
    return [*corners, corners[0]]
