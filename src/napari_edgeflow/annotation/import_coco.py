"""COCO JSON in: polygons and run lengths of many images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_edgeflow._types import BoolArray, Window
from napari_edgeflow.annotation.classes import PALETTE, ClassList, ObjectClass
from napari_edgeflow.annotation.imports import ImportedImage, ImportedObject, crop_object
from napari_edgeflow.annotation.objects import ImageInfo
from napari_edgeflow.data.rle import fill_polygon, unpack_counts
from napari_edgeflow.errors import AnnotationError


def read_coco(path: Path) -> tuple[ImportedImage, ...]:
    """The images of the file in its order, with their objects.

    Crowds are left out, and said so. Category 0 becomes a new class id, for 0 is the background.

    Raises:
        AnnotationError: It cannot be read, or an annotation is not what COCO promises; the
            message names it.
    """
    try:
        content = json.loads(path.read_bytes())
        images = {int(item["id"]): item for item in content["images"]}
        rows = list(content["annotations"])
        classes, ids = _read_categories(content["categories"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError(
            f"{path}: expected COCO's JSON with images, annotations and categories "
            f"({type(error).__name__}: {error})"
        ) from error
    by_image: dict[int, list[Mapping[str, Any]]] = {key: [] for key in images}
    for number, row in enumerate(rows, start=1):
        try:
            by_image[int(row["image_id"])].append(row)
        except (KeyError, TypeError, ValueError) as error:
            raise AnnotationError(
                f"{path}, annotation {number}: expected the id of an image of the file ({error})"
            ) from error
    return tuple(
        _read_image(item, by_image[key], classes, ids, str(path)) for key, item in images.items()
    )


def _read_categories(items: Sequence[Mapping[str, Any]]) -> tuple[ClassList, dict[int, int]]:
    """The classes, and the class id of each category."""
    given = [(int(item["id"]), str(item["name"])) for item in items]
    free = max([0, *(key for key, _ in given)]) + 1
    ids = {}
    found = []
    for index, (key, name) in enumerate(given):
        ids[key] = key if key > 0 else free
        free += key <= 0
        found.append(ObjectClass(ids[key], name, PALETTE[index % len(PALETTE)]))
    return ClassList(tuple(found)), ids


def _read_image(
    item: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    classes: ClassList,
    ids: Mapping[int, int],
    where: str,
) -> ImportedImage:
    try:
        image = ImageInfo(str(item["file_name"]), (int(item["height"]), int(item["width"])))
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(f"{where}: an image lacks or garbles {error}") from error
    objects, n_crowds, n_empty = [], 0, 0
    for row in rows:
        if row.get("iscrowd"):
            n_crowds += 1
            continue
        found = _read_object(row, ids, image, where)
        n_empty += found is None
        objects += [found] if found is not None else []
    notes = [f"{n_crowds} crowd region(s) left out"] * bool(n_crowds)
    notes += [f"{n_empty} annotation(s) without a pixel left out"] * bool(n_empty)
    return ImportedImage(image, classes, tuple(objects), tuple(notes))


def _read_object(
    row: Mapping[str, Any], ids: Mapping[int, int], image: ImageInfo, where: str
) -> ImportedObject | None:
    try:
        class_id = ids[int(row["category_id"])]
        window, mask = decode_in_box(row["segmentation"], image.shape)
        attributes = row.get("attributes")
        name = attributes.get("name", "") if isinstance(attributes, Mapping) else ""
        return None if window is None else crop_object(mask, window, class_id, str(name))
    except (KeyError, TypeError, ValueError) as error:
        raise AnnotationError(
            f"{where}, annotation {row.get('id', '?')} of {image.name}: {type(error).__name__}: "
            f"{error}"
        ) from error


def decode_in_box(segmentation: object, shape: tuple[int, int]) -> tuple[Window | None, BoolArray]:
    """A window and the mask ``(h, w) bool`` in it, without an array of the image's size.

    Args:
        segmentation: Polygons ``[[x, y, …], …]``, or ``{"size", "counts"}`` packed or not.
        shape: (H, W) of the image.

    Raises:
        ValueError: It is neither, or does not fit the image.
        KeyError, TypeError: Likewise.
    """
    nothing = None, np.zeros((0, 0), dtype=bool)
    if isinstance(segmentation, Mapping):
        return _decode_runs(segmentation, shape) or nothing
    if not isinstance(segmentation, Sequence) or isinstance(segmentation, str | bytes):
        raise ValueError(f"expected polygons or run lengths, got {type(segmentation).__name__}")
    flats = [np.asarray(flat, dtype=np.float64) for flat in segmentation]
    if any(flat.ndim != 1 or len(flat) < 6 or not np.isfinite(flat).all() for flat in flats):
        raise ValueError("expected polygons of at least three points and finite numbers")
    if not flats:
        return nothing
    xy = np.concatenate([flat[: len(flat) // 2 * 2].reshape(-1, 2) for flat in flats])
    (x0, y0), (x1, y1) = np.floor(xy.min(axis=0)) - 1, np.ceil(xy.max(axis=0)) + 1
    low = max(int(y0), 0), max(int(x0), 0)
    high = min(int(y1), shape[0]), min(int(x1), shape[1])
    if high[0] <= low[0] or high[1] <= low[1]:
        return nothing
    window = Window(*low, *high)
    mask = np.zeros(window.shape, dtype=bool)
    for flat in flats:
        mask |= fill_polygon(flat - np.resize([low[1], low[0]], len(flat)), window.shape)
    return window, mask


def _decode_runs(
    segmentation: Mapping[str, Any], shape: tuple[int, int]
) -> tuple[Window, BoolArray] | None:
    counts = segmentation["counts"]
    if isinstance(counts, str | bytes):
        counts = unpack_counts(counts)
    runs = np.asarray(counts, dtype=np.int64)
    if tuple(segmentation["size"]) != shape or runs.ndim != 1 or (runs < 0).any():
        raise ValueError(
            f"expected run lengths of size {list(shape)}, got size {segmentation['size']}"
        )
    if runs.sum() != shape[0] * shape[1]:
        raise ValueError(f"expected run lengths of {shape[0] * shape[1]} px, got {runs.sum()}")
    ends = np.cumsum(runs)
    starts, stops = (ends - runs)[1::2], ends[1::2]
    starts, stops = starts[stops > starts], stops[stops > starts]
    if not len(starts):
        return None
    first, last = int(starts[0]) // shape[0], (int(stops[-1]) - 1) // shape[0]
    flat = np.zeros((last - first + 1) * shape[0] + 1, dtype=np.int8)
    np.add.at(flat, starts - first * shape[0], 1)
    np.add.at(flat, stops - first * shape[0], -1)
    mask: BoolArray = np.cumsum(flat[:-1]).reshape(-1, shape[0]).T > 0
    return Window(0, first, shape[0], last + 1), mask
