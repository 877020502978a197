"""LabelMe JSON: one file for an image, polygons, and masks for objects with holes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.export.options import ExportOption
from napari_edgeflow.export.outlines import (
    Outline,
    count_holed,
    find_outlines,
    label_strips,
    say_objects,
)
from napari_edgeflow.export.palette import bit_png
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun

VERSION = ExportOption(
    "version",
    "LabelMe version",
    "5.3 and later read objects with holes, as masks; for older ones holes are filled",
    "5.3",
    ("5.3", "5.0"),
)


def write_labelme(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold, in words.

    Parts of one object share its id as ``group_id``. Objects with holes are LabelMe's masks
    (version 5.3 and later), or filled. The image's pixels are not put into the file.

    Raises:
        ExportError: The file cannot be written.
    """
    height, width = annotated.image.shape
    outlines = find_outlines(annotated, run)
    has_masks = run.text(VERSION) == "5.3"
    shapes = [_shapes(outline, annotated, has_masks) for outline in outlines]
    content: dict[str, Any] = {
        "version": f"{run.text(VERSION)}.0",
        "flags": {},
        "shapes": [shape for parts in shapes for shape in parts],
        "imagePath": annotated.image.name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    write_whole(path, json.dumps(content, ensure_ascii=False, indent=1).encode())
    n_holed = count_holed(outlines)
    if not n_holed:
        return ()
    if not has_masks:
        return (f"holes of {say_objects(n_holed)} are filled; LabelMe 5.3 can have them",)
    return (f"{say_objects(n_holed)} with holes as masks: LabelMe 5.3 or later reads them",)


def _shapes(outline: Outline, annotated: AnnotationSet, has_masks: bool) -> list[dict[str, Any]]:
    record = outline.record
    common = {
        "label": annotated.class_of(record).name,
        "group_id": record.id,
        "description": record.name,
        "flags": {},
    }
    if not (outline.has_holes and has_masks):
        empty = {"mask": None} if has_masks else {}  # older versions refuse the key
        return [
            common | {"shape_type": "polygon", "points": ring.tolist()} | empty
            for ring in outline.exteriors_xy
        ]
    box = record.box
    corners = [[box.x0, box.y0], [box.x1 - 1, box.y1 - 1]]  # both inside
    strips = (part == record.id for part in label_strips(annotated.labels, box))
    packed = base64.b64encode(bit_png(strips, box.shape)).decode("ascii")
    return [common | {"shape_type": "mask", "points": corners, "mask": packed}]
