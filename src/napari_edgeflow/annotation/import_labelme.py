"""LabelMe JSON in: polygons, rectangles, circles and masks of one image."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.imports import ImportedImage, ImportedObject, crop_object
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.errors import AnnotationError
from napari_edgeflow.vector.polygons import Polygon
from napari_edgeflow.vector.rasterize import polygons_to_mask, polygons_window

_Part = tuple[Window, BoolArray]


def read_labelme(path: Path, classes: ClassList | None = None) -> ImportedImage:
    """The image with its objects; shapes of one label and ``group_id`` are one object.

    A pixel is in a polygon when its centre is. Points and lines have no area: they are left out,
    and said so.

    Args:
        path: The file.
        classes: Matched by name; labels that are not there become new classes.

    Raises:
        AnnotationError: It cannot be read, or a shape is not what LabelMe promises; the message
            names it.
    """
    try:
        content = json.loads(path.read_bytes())
        shape = int(content["imageHeight"]), int(content["imageWidth"])
        image = ImageInfo(str(content["imagePath"]), shape)
        items = list(content["shapes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: expected LabelMe's JSON with imagePath, imageHeight, imageWidth and shapes "
            f"({type(error).__name__}: {error})"
        ) from error
    classes = classes or ClassList()
    groups: dict[object, tuple[int, str, list[_Part]]] = {}
    left_out: dict[str, int] = {}
    for number, item in enumerate(items, start=1):
        try:
            label, kind = str(item["label"]), str(item.get("shape_type") or "polygon")
            part = _read_shape(item, kind, shape)
            classes, class_id = _class_id(classes, label)
            name, group = str(item.get("description") or ""), item.get("group_id")
            key = (number,) if group is None else (label, group)
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnnotationError(
                f"{path}, shape {number}: {type(error).__name__}: {error}"
            ) from error
        if part is None:
            left_out[kind] = left_out.get(kind, 0) + 1
        else:
            groups.setdefault(key, (class_id, name, []))[2].append(part)
    objects = [_join(*group) for group in groups.values()]
    notes = [f"{count} {kind}(s) left out: no pixels" for kind, count in left_out.items()]
    found = tuple(one for one in objects if one is not None)
    return ImportedImage(image, classes, found, tuple(notes))


def _class_id(classes: ClassList, label: str) -> tuple[ClassList, int]:
    known = classes.named(label)
    if known is not None:
        return classes, known.id
    classes = classes.add(label)
    return classes, classes.classes[-1].id


def _read_shape(item: Mapping[str, Any], kind: str, shape: tuple[int, int]) -> _Part | None:
    """The pixels of one shape; None when it has none."""
    points = np.asarray(item["points"], dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError("expected points as pairs of finite x and y")
    if kind == "mask":
        return _read_mask(item["mask"], points, shape)
    ring = _ring(kind, points)
    if ring is None:
        return None
    polygon = Polygon(ring[:, ::-1] - 0.5)
    box = polygons_window([polygon])
    inside = box.intersect(Window(0, 0, *shape)) if box is not None else None
    return None if inside is None else (inside, polygons_to_mask([polygon], inside))


def _ring(kind: str, points: Any) -> Any:
    """The shape as an outline (x, y); None for what has no area."""
    if kind == "polygon":
        if len(points) < 3:
            raise ValueError(f"expected a polygon of at least three points, got {len(points)}")
        return points
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points[0], points[-1] if len(points) == 2 else points[2]
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    if kind == "circle":
        centre, radius = points[0], math.dist(points[0], points[1])
        angles = np.linspace(0, 2 * np.pi, max(32, math.ceil(8 * radius)), endpoint=False)
        return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return None


def _read_mask(packed: str, points: Any, shape: tuple[int, int]) -> _Part | None:
    """A mask packed as PNG; its corners are both inside."""
    with Image.open(io.BytesIO(base64.b64decode(packed))) as picture:
        mask: BoolArray = np.asarray(picture.convert("L")) > 0
    x0, y0 = (math.floor(value) for value in points[0])
    box = Window(y0, x0, y0 + mask.shape[0], x0 + mask.shape[1])
    inside = box.intersect(Window(0, 0, *shape))
    return None if inside is None else (inside, mask[inside.relative_to(box).slices])


def _join(class_id: int, name: str, parts: Sequence[_Part]) -> ImportedObject | None:
    box = parts[0][0]
    for window, _ in parts[1:]:
        box = box.union(window)
    mask = np.zeros(box.shape, dtype=bool)
    for window, part in parts:
        mask[window.relative_to(box).slices] |= part
    return crop_object(mask, box, class_id, name)
