"""COCO JSON: many images in one file, polygons, and run lengths where there are holes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.classes import ObjectClass
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.outlines import Outline, count_holed, find_outlines, say_objects
from napari_edgeflow.export.rle import mask_to_counts, pack_counts

MAX_PX = 2**32
"""COCO's own tools count pixels in 32 bits and give wrong areas from here on."""


def write_coco(path: Path, sets: Sequence[AnnotationSet]) -> tuple[str, ...]:
    """What the file could not hold, in words.

    Category ids are class ids; classes of the same id in several sets must have one name.

    Raises:
        ExportError: An image is too large for the format, classes disagree, or the file cannot
            be written.
    """
    content: dict[str, Any] = {
        "info": {"description": "napari-edgeflow"},
        "licenses": [],
        "images": [],
        "annotations": [],
        "categories": [{"id": c.id, "name": c.name} for c in merge_classes(sets)],
    }
    n_holed = 0
    for image_id, annotated in enumerate(sets, start=1):
        _check_size(annotated)
        height, width = annotated.image.shape
        content["images"].append(
            {"id": image_id, "file_name": annotated.image.name, "height": height, "width": width}
        )
        outlines = find_outlines(annotated)
        n_holed += count_holed(outlines)
        for outline in outlines:
            number = len(content["annotations"]) + 1
            content["annotations"].append(_annotation(number, image_id, outline, annotated))
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())
    if not n_holed:
        return ()
    return (f"{say_objects(n_holed)} with holes as run lengths, which polygon editors do not show",)


def merge_classes(sets: Iterable[AnnotationSet]) -> list[ObjectClass]:
    """The classes of all sets, each once, in the order in which they come.

    Raises:
        ExportError: Two sets have different names for one id.
    """
    found: dict[int, ObjectClass] = {}
    for annotated in sets:
        for one in annotated.classes:
            other = found.setdefault(one.id, one)
            if other.name != one.name:
                raise ExportError(
                    f"expected one name for class {one.id} in all images, got {other.name!r} and "
                    f"{one.name!r}; give all images the same class list"
                )
    return list(found.values())


def _check_size(annotated: AnnotationSet) -> None:
    height, width = annotated.image.shape
    if height * width >= MAX_PX:
        raise ExportError(
            f"expected an image of less than 2³² px for COCO, got {annotated.image.name} of "
            f"{height} × {width}: its tools count wrongly there; export a label TIFF, or crop the "
            "image into parts"
        )


def _annotation(
    number: int, image_id: int, outline: Outline, annotated: AnnotationSet
) -> dict[str, Any]:
    record = outline.record
    box = record.box
    return {
        "id": number,
        "image_id": image_id,
        "category_id": record.class_id,
        "segmentation": _segmentation(outline, annotated),
        "area": float(sum(polygon.area for polygon in outline.polygons)),
        "bbox": [float(box.x0), float(box.y0), float(box.width), float(box.height)],
        "iscrowd": 0,
        "attributes": {"object_id": record.id, "name": record.name},
    }


def _segmentation(outline: Outline, annotated: AnnotationSet) -> Any:
    if not outline.has_holes:
        return [ring.ravel().tolist() for ring in outline.exteriors_xy]
    record, shape = outline.record, annotated.image.shape
    counts = mask_to_counts(annotated.mask_of(record), record.box, shape)
    return {"size": list(shape), "counts": pack_counts(counts)}
