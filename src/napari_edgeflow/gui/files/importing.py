"""Files and layers as objects of the window's image: which reader, which image of many, notes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from napari_edgeflow._types import Click
from napari_edgeflow.annotation.changes import Change, State
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_labels import (
    ArrayLabels,
    add_planes,
    level_0,
    planes_of,
    read_labels,
)
from napari_edgeflow.annotation.imports import ImportedImage, ImportedObject, crop_object
from napari_edgeflow.annotation.objects import ImageInfo, PlaneIndex
from napari_edgeflow.annotation.store import LabelStore
from napari_edgeflow.errors import AnnotationError
from napari_edgeflow.gui.files.image_facts import ImageFacts

Kind = Literal["coco", "labelme", "map", "mask"]
Make = Callable[[State, LabelStore], Change]

MAP_SUFFIXES = (".gpkg", ".geojson", ".shp", ".kml", ".fgb")
MASK_SUFFIXES = (".tif", ".tiff", ".png")
SUFFIXES = (".json", *MAP_SUFFIXES, *MASK_SUFFIXES)
"""Of the files that can be imported."""

_CLASS_FIELDS = ("class", "class_name", "classname", "category", "label", "type")


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """Where imported objects go.

    Attributes:
        facts: Of the image.
        plane: On the screen.
        shape: (rows, columns) of the plane.
    """

    facts: ImageFacts
    plane: PlaneIndex
    shape: tuple[int, int]


@dataclass(slots=True)
class Import:
    """One import: its step for ``Project.do``, and its notes once the step is made.

    Attributes:
        title: What is imported, in words.
        read: Planes and what they get; given the classes that are there. Runs in the worker.
        notes: What was left out, for the user.
    """

    title: str
    read: Callable[[ClassList], Iterable[tuple[PlaneIndex, ImportedImage]]]
    notes: tuple[str, ...] = field(default=())

    def make(self, state: State, store: LabelStore) -> Change:
        """The change that adds the objects.

        Raises:
            AnnotationError, ExportError, RasterError: The file cannot be read.
            ValueError: It is of another image, or nothing of it finds a place.
        """
        change, self.notes = add_planes(state, store, self.read(state.classes))
        return replace(change, title=f"{change.title} from {self.title}")


def import_file(path: Path, wanted: Wanted, *, holds_classes: bool = False) -> Import:
    """The import of a file, by its kind; nothing is opened yet.

    Args:
        path: COCO, LabelMe, GeoJSON, GeoPackage, Shapefile, or a label mask.
        wanted: Where the objects go.
        holds_classes: The values of a mask are classes, not objects.
    """

    def read(classes: ClassList) -> list[tuple[PlaneIndex, ImportedImage]]:
        kind = file_kind(path)
        if kind == "coco":
            from napari_edgeflow.annotation.import_coco import read_coco

            found = pick_image(read_coco(path), wanted.facts, wanted.shape)
        elif kind == "labelme":
            from napari_edgeflow.annotation.import_labelme import read_labelme

            found = read_labelme(path, classes)
        elif kind == "map":
            found = read_map(path, wanted, classes)
        else:
            from napari_edgeflow.annotation.import_mask import read_mask

            found = read_mask(path, "classes" if holds_classes else "objects", classes)
        return [(wanted.plane, _checked(found, wanted))]

    return Import(path.name, read)


def import_layer(layer: Any, wanted: Wanted) -> Import:
    """The import of a Labels layer: every plane of it when it has the image's axes.

    Raises:
        ValueError: It is of another shape.
    """
    data, name = level_0(layer.data, layer.multiscale), str(layer.name)
    shape = tuple(int(side) for side in data.shape)
    if shape not in (wanted.facts.shape, wanted.shape):
        raise ValueError(
            f"expected labels of the image's shape {wanted.facts.shape}, got {name} of shape "
            f"{shape}; choose the layer that belongs to this image"
        )
    is_whole = shape == wanted.facts.shape and len(shape) > 2

    def read(classes: ClassList) -> Iterable[tuple[PlaneIndex, ImportedImage]]:
        for plane in planes_of(shape) if is_whole else [()]:
            labels = ArrayLabels(data, plane, name)
            yield plane if is_whole else wanted.plane, read_labels(labels, classes)

    return Import(name, read)


def file_kind(path: Path) -> Kind:
    """What a file is, by its ending and, of JSON, by its keys.

    Raises:
        AnnotationError: It is nothing that can be imported, or cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in MAP_SUFFIXES:
        return "map"
    if suffix in MASK_SUFFIXES:
        return "mask"
    if suffix != ".json":
        raise AnnotationError(
            f"expected annotations ending in {', '.join(SUFFIXES)}, got {path.name}; save them "
            "as one of these"
        )
    keys = _json_keys(path)
    if {"images", "annotations"} <= keys:
        return "coco"
    if "shapes" in keys:
        return "labelme"
    if "features" in keys:
        return "map"
    raise AnnotationError(
        f"{path.name}: expected JSON of COCO, LabelMe or GeoJSON, got the keys "
        f"{', '.join(sorted(keys)[:8]) or 'of none of them'}"
    )


def pick_image(
    images: Sequence[ImportedImage], facts: ImageFacts, shape: tuple[int, int]
) -> ImportedImage:
    """The image of a file of many that is meant: by its name, else the only one of this size.

    Raises:
        AnnotationError: There is none, or one cannot tell which.
    """
    stems = {Path(facts.name).stem} | ({facts.path.stem} if facts.path else set())
    named = [one for one in images if one.image.stem in stems]
    found = named or [one for one in images if one.image.shape == shape]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.image.name for one in images[:5]) + ("…" if len(images) > 5 else "")
    raise AnnotationError(
        f"expected one image called {facts.name} in the file, got {len(found)} that could be "
        f"it of {len(images)} ({names}); rename the layer as in the file"
    )


def read_map(path: Path, wanted: Wanted, classes: ClassList) -> ImportedImage:
    """The polygons of a file on the map as objects; points are left out, and said so.

    Classes are named by a column: class, class_name, category, label or type.

    Raises:
        ExportError: The image has no place on the map, or the file cannot be read.
    """
    from napari_edgeflow.export.geo_import import read_map_features

    read = read_map_features(path, wanted.facts.of_file("place", wanted.shape), wanted.shape)
    objects: list[ImportedObject] = []
    n_points = n_small = 0
    given = classes
    for feature in read.features:
        n_points += bool(feature.clicks)
        found = feature.mask() if feature.polygons else None
        n_small += bool(feature.polygons) and found is None
        if found is None:
            continue
        given, class_id = _named_class(given, feature.attributes)
        name = str(feature.attributes.get("name") or "")
        one = crop_object(found[1], found[0], class_id, name)
        objects += [] if one is None else [one]
    notes = list(read.notes)
    notes += [f"{n_points} points left out: import them as prompts"] * bool(n_points)
    notes += [f"{n_small} polygons without a pixel left out"] * bool(n_small)
    return ImportedImage(ImageInfo(path.name, wanted.shape), given, tuple(objects), tuple(notes))


def read_prompts(path: Path, wanted: Wanted) -> tuple[tuple[tuple[Click, ...], ...], list[str]]:
    """Clicks for each object of a file on the map, and notes for the user.

    Points with one ``group``, ``object`` or ``id`` are one object's; a polygon gives one click
    deep inside.

    Raises:
        ExportError: The image has no place on the map, or the file cannot be read.
    """
    from napari_edgeflow.export.geo_import import read_map_features

    read = read_map_features(path, wanted.facts.of_file("place", wanted.shape), wanted.shape)
    groups: dict[str, list[Click]] = {}
    for feature in read.features:
        groups.setdefault(feature.group, []).extend(feature.prompt())
    usable = [tuple(group) for group in groups.values() if any(c.is_positive for c in group)]
    n_without = len(groups) - len(usable)
    notes = list(read.notes)
    notes += [f"{n_without} objects without a positive click left out"] * bool(n_without)
    return tuple(usable), notes


def _named_class(classes: ClassList, attributes: Mapping[str, Any]) -> tuple[ClassList, int]:
    lower = {str(name).lower(): value for name, value in attributes.items()}
    found = next((str(lower[f]).strip() for f in _CLASS_FIELDS if lower.get(f) is not None), "")
    name = " ".join(found.split())
    if not name:
        given = classes if classes else classes.add("object")
        return given, given.classes[0].id
    known = classes.named(name)
    if known is None:
        classes = classes.add(name)
        known = classes.classes[-1]
    return classes, known.id


def _checked(found: ImportedImage, wanted: Wanted) -> ImportedImage:
    if found.image.shape == wanted.shape:
        return found
    raise ValueError(
        f"expected annotations of an image of {wanted.shape[0]} × {wanted.shape[1]} px (rows × "
        f"columns), got {found.image.name} of {found.image.shape[0]} × {found.image.shape[1]}; "
        "open the image that they belong to"
    )


def _json_keys(path: Path) -> set[str]:
    """Keys of the file's outermost object."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AnnotationError(f"{path.name} cannot be read as JSON: {error}") from error
    return set(content) if isinstance(content, dict) else set()
