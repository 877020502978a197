"""The formats by name: what each is for, what it cannot hold, and its writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.coco import write_coco
from napari_edgeflow.export.folders import make_folder, unique_stems
from napari_edgeflow.export.labelme import write_labelme
from napari_edgeflow.export.pictures import (
    write_class_mask,
    write_cutout,
    write_object_mask,
    write_pseudocolor,
)
from napari_edgeflow.export.voc import write_voc
from napari_edgeflow.export.yolo import write_yolo

ImageWriter = Callable[[Path, AnnotationSet], tuple[str, ...]]
SeriesWriter = Callable[[Path, Sequence[AnnotationSet]], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format.

    Attributes:
        name: As in ``export``.
        title: For menus.
        suffix: Of its files; empty for a folder of files.
        cannot_hold: What is lost in it, in words.
        write_series: Writes many images to one file or folder; None where each has its own file.
        write_image: Writes one image to one file; None where ``write_series`` does.
    """

    name: str
    title: str
    suffix: str
    cannot_hold: str
    write_series: SeriesWriter | None = None
    write_image: ImageWriter | None = None


_IDS = "classes, names; PNG: ids above 65 535, the place on the map"
_FORMATS = (
    ExportFormat("label_tiff", "Label mask (TIFF)", ".tif", "classes, names",
                 write_image=write_object_mask),
    ExportFormat("label_png", "Label mask (PNG)", ".png", _IDS, write_image=write_object_mask),
    ExportFormat("class_tiff", "Class mask (TIFF)", ".tif", "objects that touch",
                 write_image=write_class_mask),
    ExportFormat("class_png", "Class mask (PNG)", ".png", "objects that touch; class ids above "
                 "65 535; the place on the map", write_image=write_class_mask),
    ExportFormat("pseudocolor", "Pseudo-colour (PNG)", ".png", "objects that touch; the place on "
                 "the map", write_image=write_pseudocolor),
    ExportFormat("cutout", "Cut-out (RGBA PNG)", ".png", "objects, classes",
                 write_image=write_cutout),
    ExportFormat("coco", "COCO (JSON)", ".json", "images of 2³² px and more; the place on the map",
                 write_series=write_coco),
    ExportFormat("voc", "PASCAL VOC (folder)", "", "more than 254 classes, or objects in an image; "
                 "ids", write_series=write_voc),
    ExportFormat("labelme", "LabelMe (JSON)", ".json", "holes, before LabelMe 5.3",
                 write_image=write_labelme),
    ExportFormat("yolo", "YOLO segmentation (folder)", "", "holes, ids, names of objects",
                 write_series=write_yolo),
)  # fmt: skip

FORMATS = MappingProxyType({one.name: one for one in _FORMATS})
"""Formats by name, in the order for menus."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What came of an export.

    Attributes:
        paths: The file or folder, or the file of each image.
        notes: What the format could not hold of these annotations, in words for the user.
    """

    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def export(name: str, path: Path, sets: Sequence[AnnotationSet]) -> ExportReport:
    """What was written and what it could not hold.

    Args:
        name: Of ``FORMATS``.
        path: A file with the format's suffix, or a folder: where the format is one, or where
            each of many images gets a file by its own name.
        sets: Annotations, one for each image.

    Raises:
        ValueError: There is no such format.
        ExportError: The format cannot hold them at all, or something cannot be written. Files
            are whole or not there.
    """
    if name not in FORMATS:
        raise ValueError(f"expected a format ({', '.join(FORMATS)}), got {name!r}")
    chosen = FORMATS[name]
    if not sets:
        raise ExportError("expected annotations to export, got none; finish an object first")
    if chosen.write_series is not None:
        _check_path(chosen, path)
        return ExportReport((path,), chosen.write_series(path, sets))
    paths = _paths(chosen, path, sets)
    notes: list[str] = []
    for target, annotated in zip(paths, sets, strict=True):
        if chosen.write_image is not None:
            notes += chosen.write_image(target, annotated)
    return ExportReport(tuple(paths), tuple(dict.fromkeys(notes)))


def _paths(chosen: ExportFormat, path: Path, sets: Sequence[AnnotationSet]) -> list[Path]:
    """The file of each image; folders are made."""
    if path.suffix.lower() in _suffixes(chosen) and not path.is_dir():
        if len(sets) > 1:
            raise ExportError(
                f"expected a folder for {len(sets)} images, got the file {path.name}; "
                f"{chosen.title} holds one image a file"
            )
        _check_path(chosen, path)
        return [path]
    stems = unique_stems(sets)
    make_folder(path)
    return [path / f"{stem}{chosen.suffix}" for stem in stems]


def _check_path(chosen: ExportFormat, path: Path) -> None:
    if not chosen.suffix:
        if path.exists() and not path.is_dir():
            raise ExportError(f"expected a folder for {chosen.title}, got the file {path}")
        return
    if path.suffix.lower() not in _suffixes(chosen):
        raise ExportError(f"expected a file ending in {chosen.suffix}, got {path.name!r}")
    if not path.parent.is_dir():
        raise ExportError(
            f"expected a folder to write {path.name} to, but {path.parent} is none; make it first"
        )


def _suffixes(chosen: ExportFormat) -> tuple[str, ...]:
    return (".tif", ".tiff") if chosen.suffix == ".tif" else (chosen.suffix,)
