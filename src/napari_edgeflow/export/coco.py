"""COCO JSON: many images in one file, polygons, and run lengths where there are holes.

COCO's own tools count pixels in 32 bits. An image of 2³² px or more is cut into parts, each an
image of its own in the file; an object that lies in several has an annotation in each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_edgeflow._files import write_whole
from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ObjectClass
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord, tiles
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.options import ExportOption
from napari_edgeflow.export.outlines import say_objects, to_xy, trace_exactly
from napari_edgeflow.export.rle import pack_counts, polygons_to_counts
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.vector.polygons import Polygon

MAX_PX = 2**32
"""COCO's own tools count pixels in 32 bits and give wrong areas from here on."""
PART_SIDE = 16_384
_MAX_SIDE = 65_535

PART = ExportOption(
    "part",
    "Cut into parts of",
    f"Side of the parts that images are cut into; 0 cuts only images of 2³² px and more, into "
    f"parts of {PART_SIDE} px",
    0.0,
    unit="px",
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """An image of the file: a whole one, or a part of a larger one."""

    number: int
    window: Window
    file_name: str


def write_coco(
    path: Path, sets: Sequence[AnnotationSet], run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold, in words.

    Category ids are class ids; classes of the same id in several sets must have one name.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: Classes disagree, or the file cannot be written.
        ValueError: The parts asked for are too large for COCO's tools themselves.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    notes: list[str] = []
    categories = [{"id": c.id, "name": c.name} for c in merge_classes(sets)]
    side = _side(run)
    for number, annotated in enumerate(sets):
        share = run.part(number / len(sets), (number + 1) / len(sets))
        pieces = _pieces(annotated, side, len(images) + 1)
        images += [_image(piece, annotated) for piece in pieces]
        for found in _annotations(annotated, pieces, share):
            annotations.append({"id": len(annotations) + 1} | found)
        if len(pieces) > 1:
            notes.append(_say_parts(annotated, pieces))
    content = {
        "info": {"description": "napari-edgeflow"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    run.check()
    write_whole(path, json.dumps(content, ensure_ascii=False).encode())
    n_holed = sum(isinstance(one["segmentation"], dict) for one in annotations)
    if n_holed:
        notes.append(
            f"{say_objects(n_holed)} with holes as run lengths, which polygon editors do not show"
        )
    return tuple(notes)


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


def _side(run: ExportRun) -> int:
    side = int(run.number(PART))
    if side > _MAX_SIDE:
        raise ValueError(
            f"expected parts of at most {_MAX_SIDE} px a side, got {side}: COCO's tools count "
            "wrongly beyond; choose fewer"
        )
    return side


def _pieces(annotated: AnnotationSet, side: int, first: int) -> list[_Piece]:
    """The image, or its parts row by row, numbered from ``first``."""
    image = annotated.image
    rows, columns = image.shape
    if side == 0 and rows * columns < MAX_PX:
        return [_Piece(first, image.whole, image.name)]
    windows = tiles(image.shape, side or PART_SIDE)
    return [_Piece(n, w, _part_name(image.name, w)) for n, w in enumerate(windows, start=first)]


def _part_name(name: str, window: Window) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem}_y{window.y0}_x{window.x0}{path.suffix}"))


def _image(piece: _Piece, annotated: AnnotationSet) -> dict[str, Any]:
    window = piece.window
    entry: dict[str, Any] = {
        "id": piece.number,
        "file_name": piece.file_name,
        "height": window.height,
        "width": window.width,
    }
    if window == annotated.image.whole:
        return entry
    return entry | {"part_of": annotated.image.name, "x_offset": window.x0, "y_offset": window.y0}


def _say_parts(annotated: AnnotationSet, pieces: Sequence[_Piece]) -> str:
    height, width = pieces[0].window.shape
    return (
        f"{annotated.image.name} is {len(pieces)} images of at most {height} × {width} px in the "
        "file, named by their offsets; cut its pixels likewise. Parts of one object share "
        "attributes.object_id"
    )


def _annotations(
    annotated: AnnotationSet, pieces: Sequence[_Piece], run: ExportRun
) -> Iterator[dict[str, Any]]:
    """Every object in every piece that has pixels of it."""
    for number, record in enumerate(annotated.objects):
        run.count(number, len(annotated.objects))
        for piece in pieces:
            window = record.box.intersect(piece.window)
            if window is None:
                continue
            polygons = trace_exactly(annotated, record, run, window)
            if polygons:
                yield _annotation(piece, record, polygons)


def _annotation(
    piece: _Piece, record: ObjectRecord, polygons: tuple[Polygon, ...]
) -> dict[str, Any]:
    """Of the part of an object that lies in the piece; numbers are in the piece's pixels."""
    corners = np.concatenate([polygon.exterior for polygon in polygons])
    origin = (piece.window.y0, piece.window.x0)
    y0, x0 = (corners.min(axis=0) + 0.5 - origin).tolist()
    y1, x1 = (corners.max(axis=0) + 0.5 - origin).tolist()
    return {
        "image_id": piece.number,
        "category_id": record.class_id,
        "segmentation": _segmentation(polygons, piece.window),
        "area": float(sum(polygon.area for polygon in polygons)),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "iscrowd": 0,
        "attributes": {"object_id": record.id, "name": record.name},
    }


def _segmentation(polygons: tuple[Polygon, ...], window: Window) -> Any:
    """In the pixels of an image that is the window."""
    if not any(polygon.holes for polygon in polygons):
        origin_xy = (window.x0, window.y0)
        return [(to_xy(polygon.exterior) - origin_xy).ravel().tolist() for polygon in polygons]
    counts = polygons_to_counts(polygons, window, window.shape)
    return {"size": list(window.shape), "counts": pack_counts(counts)}
