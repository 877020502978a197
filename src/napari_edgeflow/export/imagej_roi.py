"""ROIs for ImageJ and Fiji: a zip of ``.roi`` files for the ROI Manager.

The layout of a ``.roi`` file (64 bytes of header, coordinates, a second header, the name) is that
of ImageJ's own reader and writer, version 228. Numbers are big-endian.
"""

from __future__ import annotations

import re
import struct
import zipfile
from pathlib import Path

import numpy as np

from napari_edgeflow._files import written_whole
from napari_edgeflow._types import Window
from napari_edgeflow.annotation.classes import ClassList, ObjectClass
from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.export.outlines import Outline, find_outlines, to_xy
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.stacks import stack_position

_VERSION = 228
_COMPOSITE, _TRACED = 1, 8
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0
_HEADER = struct.Struct(">4sHBxHHHHH16xHiIIHH4xii")
_HEADER_2 = struct.Struct(">4xiiiiiIhBBifii16x")
_HIGHEST = 32_767
_GROUPS = 255
_BLUNT_DATE = (1980, 1, 1, 0, 0, 0)  # the same objects give the same file


def write_imagej_rois(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold, in words.

    One ROI for an object, with its class's colour, group and name. An object with holes or of
    several parts is a composite ROI.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: The file cannot be written.
    """
    outlines = find_outlines(annotated, run)
    digits = len(str(max((o.record.id for o in outlines), default=0)))
    with written_whole(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for outline in outlines:
            run.check()
            name = _name(outline, annotated, digits)
            entry = zipfile.ZipInfo(f"{name}.roi", _BLUNT_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, roi_bytes(outline, annotated.classes, name))
    if len(annotated.classes) > _GROUPS:
        return (f"ImageJ has {_GROUPS} groups: classes after them have none, but their name",)
    return ()


def roi_bytes(outline: Outline, classes: ClassList, name: str) -> bytes:
    """A ``.roi`` file of one object."""
    record = outline.record
    one_class = classes.get(record.class_id)
    plain = _plain_coordinates(outline)
    coordinates = _shape_floats(outline) if plain is None else plain
    position = stack_position(record.plane)
    text, about = name.encode("utf-16-be"), _about(outline, one_class).encode("utf-16-be")
    end = _HEADER.size + len(coordinates)
    head = _HEADER.pack(
        b"Iout",
        _VERSION,
        _COMPOSITE if plain is None else _TRACED,
        *_bounds(record.box),
        0 if plain is None else len(plain) // 4,
        0,  # width of the line
        len(coordinates) // 4 if plain is None else 0,
        _argb(one_class.color),
        0,  # no fill
        0,
        0,
        position["z"] + 1 if len(position) == 1 else 0,
        end,
    )
    name_at = end + _HEADER_2.size
    z, t = (position["z"] + 1, position["t"] + 1) if len(position) == 2 else (0, 0)
    group = [one.id for one in classes].index(one_class.id) + 1
    head_2 = _HEADER_2.pack(
        *(0, z, t),
        *(name_at, len(text) // 2),
        *(0, 0, group if group <= _GROUPS else 0, 0),
        *(0, 0.0),
        *(name_at + len(text), len(about) // 2),
    )
    return head + coordinates + head_2 + text + about


def _plain_coordinates(outline: Outline) -> bytes | None:
    """Corners relative to the box as 16-bit numbers, all x then all y; None for a composite."""
    box = outline.record.box
    if len(outline.polygons) > 1 or outline.has_holes or max(box.x1, box.y1) > _HIGHEST:
        return None
    ring = outline.exteriors_xy[0]
    if len(ring) > 2 * _HIGHEST:
        return None
    return (ring - (box.x0, box.y0)).T.astype(">i2").tobytes()


def _shape_floats(outline: Outline) -> bytes:
    """Ways of all rings as 32-bit numbers, exact up to 2²⁴ px: even-odd decides what is inside."""
    parts = []
    for polygon in outline.polygons:
        for ring in map(to_xy, polygon.rings):
            steps = np.full((len(ring), 3), _LINE)
            steps[0, 0], steps[:, 1:] = _MOVE, ring
            parts += [steps.ravel(), np.array([_CLOSE])]
    return np.concatenate(parts).astype(">f4").tobytes()


def _bounds(box: Window) -> tuple[int, ...]:
    """Top, left, bottom, right; of larger images ImageJ takes them from the way."""
    return tuple(min(side, _HIGHEST) for side in (box.y0, box.x0, box.y1, box.x1))


def _about(outline: Outline, one_class: ObjectClass) -> str:
    return f"class: {one_class.name}\nobject_id: {outline.record.id}\n"


def _name(outline: Outline, annotated: AnnotationSet, digits: int) -> str:
    """Unique by the id, and one that any file system holds."""
    record = outline.record
    words = record.name or annotated.class_of(record).name
    safe = re.sub(r"[^\w .()+-]", "_", words)[:80]
    return f"{record.id:0{digits}d} {safe}".strip()


def _argb(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return 0xFF << 24 | red << 16 | green << 8 | blue
