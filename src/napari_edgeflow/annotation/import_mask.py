"""Label masks in: PNG and TIFF images of ids, or of classes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tifffile
from PIL import Image

from napari_edgeflow._types import AnyArray, LabelArray
from napari_edgeflow.annotation.classes import PALETTE, ClassList, ObjectClass
from napari_edgeflow.annotation.imports import ImportedImage, ImportedObject
from napari_edgeflow.annotation.objects import ImageInfo, Labels, measure_labels
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import AnnotationError

Meaning = Literal["objects", "classes"]
"""What the values of a mask are: ids of objects, or of classes."""


def read_mask(
    path: str | os.PathLike[str],
    meaning: Meaning = "objects",
    classes: ClassList | None = None,
) -> ImportedImage:
    """The mask's objects; of a mask of classes, each connected part of a class is one.

    Args:
        path: A PNG or TIFF with one channel of whole numbers ≥ 0; 0 is background. Of a PNG with
            a palette, the indices count, not the colours.
        meaning: Of its values. Objects all get the first class.
        classes: None: a class "object", or "class 1"… by their values.

    Raises:
        AnnotationError: The file is no such image.
    """
    file = Path(path)
    labels = _to_labels(_read_pixels(file), file)
    image = ImageInfo(file.name, (labels.shape[0], labels.shape[1]), path=file)
    given = classes or ClassList()
    if meaning == "objects":
        given = given if len(given) else given.add("object")
        objects = cut_objects(labels, given.classes[0].id)
        return ImportedImage(image, given, objects)
    found: list[ImportedObject] = []
    for value in measure_labels(StoredPlane(ArrayStore(labels))):
        if value not in given:
            color = PALETTE[len(given) % len(PALETTE)]
            given = ClassList((*given, ObjectClass(value, f"class {value}", color)))
        _, parts = cv2.connectedComponents((labels == value).astype(np.uint8), connectivity=8)
        found += cut_objects(parts, value)
    return ImportedImage(image, given, tuple(found))


def _read_pixels(path: Path) -> AnyArray:
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.squeeze(tifffile.imread(path))
        with Image.open(path) as picture:
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, tifffile.TiffFileError) as error:
        raise AnnotationError(f"{path} cannot be read as a PNG or TIFF mask: {error}") from error


def _to_labels(pixels: AnyArray, path: Path) -> Labels:
    if pixels.ndim != 2 or pixels.dtype.kind not in "biu" or not pixels.size:
        raise AnnotationError(
            f"{path}: expected a mask with one channel of whole numbers, got shape "
            f"{pixels.shape} and {pixels.dtype}; save it as a label image first"
        )
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise AnnotationError(f"{path}: expected ids from 0 to 2³² − 1, got {low} to {high}")
    return pixels.astype(np.uint32)


def cut_objects(labels: LabelArray, class_id: int) -> tuple[ImportedObject, ...]:
    """Every id of ``(H, W)`` labels with its mask, in the order of the ids."""
    measured = measure_labels(StoredPlane(ArrayStore(labels)))
    return tuple(
        ImportedObject(box, labels[box.slices] == label, class_id)
        for label, (box, _) in measured.items()
    )
