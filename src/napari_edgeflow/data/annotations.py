"""JSON files in COCO's form: images, and for each its annotated objects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_edgeflow._types import BoolArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.folder import read_image
from napari_edgeflow.data.layers import stack_masks
from napari_edgeflow.data.origin import join_problems, name_some
from napari_edgeflow.data.rle import decode_segmentation
from napari_edgeflow.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated object.

    Attributes:
        key: Its id in the file.
        segmentation: Polygons or run lengths, as they are in the file.
        is_crowd: A region of objects that nobody told apart.
    """

    key: int
    segmentation: object
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """One image of a file.

    Attributes:
        key: Its id in the file.
        name: Unique in the file: the image file's stem where that is enough.
        places: Paths it may have, each from a folder of images.
        shape: (H, W) as the file says.
        annotations: In the file's order.
    """

    key: int
    name: str
    places: tuple[PurePosixPath, ...]
    shape: tuple[int, int]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """Masks ``(H, W) bool`` by id 1…N in the file's order, and the crowds' pixels."""

    masks: dict[int, BoolArray]
    crowd: BoolArray


def read_annotations(path: Path) -> list[AnnotatedImage]:
    """The images of a JSON file in its order, also those without objects.

    Raises:
        DatasetError: It cannot be read or is not in COCO's form; the message names all that is
            wrong.
    """
    try:
        content = json.loads(path.read_bytes())
        items, rows = list(content["images"]), list(content["annotations"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{path}: expected a JSON file with 'images' and 'annotations' "
            f"({type(error).__name__}: {error})"
        ) from error
    problems: list[str] = []
    by_image: dict[int, list[Annotation]] = {}
    for number, row in enumerate(rows):
        try:
            annotation = Annotation(
                int(row["id"]), row["segmentation"], bool(row.get("iscrowd", 0))
            )
            by_image.setdefault(int(row["image_id"]), []).append(annotation)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"annotation {number} lacks or garbles {error}")
    images = list(_images(items, by_image, problems))
    if by_image:
        problems.append(f"annotations of images that are not there: {name_some(_text(by_image))}")
    if not images and not problems:
        problems.append("it lists no image")
    if problems:
        raise join_problems(f"{path} is not in COCO's form", problems)
    return _with_unique_names(images)


def find_files(
    images: Sequence[AnnotatedImage], folders: Sequence[Path], where: str
) -> dict[int, Path]:
    """The image files by the images' ids.

    Raises:
        DatasetError: Some are in none of ``folders``.
    """
    # one listing of each folder, for a look at each of 100 000 names costs more
    known: dict[Path, frozenset[str]] = {}
    found: dict[int, Path] = {}
    for image in images:
        for path in (folder / place for place in image.places for folder in folders):
            if path.parent not in known:
                inside = path.parent.iterdir() if path.parent.is_dir() else ()
                known[path.parent] = frozenset(p.name for p in inside)
            if path.name in known[path.parent]:
                found[image.key] = path
                break
    lacking = [str(image.places[0]) for image in images if image.key not in found]
    if lacking:
        looked = ", ".join(str(folder) for folder in dict.fromkeys(folders))
        raise DatasetError(
            f"{where}: expected its images in one of {looked}, and {len(lacking)} of {len(images)} "
            f"are in none: {name_some(lacking)}"
        )
    return found


def decode_objects(image: AnnotatedImage, where: str) -> Objects:
    """The masks of an image's annotations; crowds and objects without a pixel have no id of use.

    Raises:
        DatasetError: Annotations that cannot be decoded; the message names all of them.
    """
    masks: dict[int, BoolArray] = {}
    crowd = np.zeros(image.shape, dtype=bool)
    problems = []
    for number, annotation in enumerate(image.annotations, start=1):
        try:
            mask = decode_segmentation(annotation.segmentation, image.shape)
        except ValueError as error:
            problems.append(f"annotation {annotation.key}: {error}")
            continue
        if annotation.is_crowd:
            crowd |= mask
        else:
            masks[number] = mask
    if problems:
        raise join_problems(f"{where}, image {image.name}", problems)
    return Objects(masks, crowd)


def to_sample(image: AnnotatedImage, file: Path, objects: Objects) -> Sample:
    """The sample of an image; crowds are ignored where no object lies on them.

    Raises:
        DatasetError: The file cannot be read or is of another size.
    """
    pixels = read_image(file)
    if pixels.shape[:2] != image.shape:
        raise DatasetError(
            f"{file}: expected {image.shape[0]} x {image.shape[1]} pixels (height x width) as the "
            f"annotations say, got {pixels.shape[0]} x {pixels.shape[1]}"
        )
    labels, *above = stack_masks(objects.masks, image.shape)
    ignore = objects.crowd & (labels == 0)
    for layer in above:
        ignore &= layer == 0
    return Sample(image.name, pixels, labels, ignore, tuple(above))


def _images(
    items: Sequence[Any], by_image: dict[int, list[Annotation]], problems: list[str]
) -> Iterator[AnnotatedImage]:
    """The images, each with its annotations, which leave ``by_image``."""
    seen: set[int] = set()
    for number, item in enumerate(items):
        try:
            key, shape = int(item["id"]), (int(item["height"]), int(item["width"]))
            places = _places(item)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problems.append(f"image {number} lacks or garbles {error}")
            continue
        if key in seen:
            problems.append(f"image id {key} is there twice")
        seen.add(key)
        name = places[0].stem
        yield AnnotatedImage(key, name, places, shape, tuple(by_image.pop(key, ())))


def _with_unique_names(images: list[AnnotatedImage]) -> list[AnnotatedImage]:
    """The images; all named by their whole paths where the stems are not unique."""
    if len({image.name for image in images}) == len(images):
        return images
    names = ["_".join(image.places[0].with_suffix("").parts) for image in images]
    if len(set(names)) < len(names):
        names = [f"{name}_{image.key}" for name, image in zip(names, images, strict=True)]
    return [replace(image, name=name) for name, image in zip(names, images, strict=True)]


def _places(item: Mapping[str, Any]) -> tuple[PurePosixPath, ...]:
    """Where the image may lie: by ``file_name``, and by the end of ``coco_url`` (LVIS)."""
    places = []
    if "file_name" in item:
        places.append(PurePosixPath(item["file_name"]))
    if "coco_url" in item:
        url = PurePosixPath(item["coco_url"])
        places += [PurePosixPath(url.parent.name, url.name), PurePosixPath(url.name)]
    if not places:
        raise KeyError("file_name")
    return tuple(dict.fromkeys(places))


def _text(keys: Mapping[int, object]) -> list[str]:
    return [str(key) for key in sorted(keys)]
