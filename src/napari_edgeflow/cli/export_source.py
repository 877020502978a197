"""Annotations from files, for ``napari-edgeflow export``: label images and projects."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from napari_edgeflow._types import LabelArray, Window
from napari_edgeflow.annotation.classes import ClassList, read_classes
from napari_edgeflow.annotation.import_journal import open_history
from napari_edgeflow.annotation.import_labels import ArrayLabels
from napari_edgeflow.annotation.import_mask import read_mask
from napari_edgeflow.annotation.journal_file import MAGIC
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ImageInfo,
    LabelReader,
    Labels,
    ObjectRecord,
    PlaneIndex,
    measure_labels,
)
from napari_edgeflow.annotation.store import ArrayStore, StoredPlane
from napari_edgeflow.errors import AnnotationError, RasterError
from napari_edgeflow.export.formats import ExportFormat
from napari_edgeflow.export.pictures import StretchedPixels
from napari_edgeflow.raster.details import NO_DETAILS
from napari_edgeflow.raster.inmemory import ArrayRaster
from napari_edgeflow.raster.open import open_raster
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.raster.source import OpenRaster

CLASS_NAME = "object"


def is_project(path: Path) -> bool:
    """True for a journal of annotations, whatever its name.

    Raises:
        AnnotationError: There is nothing at the path.
    """
    if not path.exists():
        raise AnnotationError(f"expected a label image or a project, but {path} is not there")
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


# --- label images -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RasterLabels:
    """The first band of a raster as labels, read window by window; a ``LabelReader``."""

    raster: OpenRaster

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.raster.shape

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` ids of the window.

        Raises:
            AnnotationError: There are values that are no ids.
        """
        values = self.raster.read(window, bands=(0,))[:, :, 0]
        if values.size and (int(values.min()) < 0 or int(values.max()) >= 2**32):
            raise AnnotationError(
                f"{self.raster.name}: expected ids from 0 to 2³² − 1, got {values.min()} to "
                f"{values.max()}; save it as a label image first"
            )
        return values.astype(np.uint32)


def annotated_labels(
    path: Path,
    image: Path | None,
    form: ExportFormat,
    opened: ExitStack,
    *,
    class_list: Path | None = None,
    values: str = "objects",
) -> list[AnnotationSet]:
    """The objects of a label image, one set.

    Args:
        path: The label image.
        image: What it was made of; None: its facts are those of the label image.
        form: What is needed of the image.
        opened: Closes the files.
        class_list: File of classes; objects get the first.
        values: ``"classes"``: values are class ids, connected parts are objects.

    Raises:
        AnnotationError: It is no label image, or the classes cannot be read.
        RasterError: A file cannot be read, or the sizes differ.
        ValueError: ``values`` is neither.
    """
    if values not in ("objects", "classes"):
        raise ValueError(f"expected --values objects or classes, got {values!r}")
    given = ClassList() if class_list is None else read_classes(class_list)
    if values == "classes":
        annotated = _of_class_values(path, given)
    else:
        labels = _open_labels(path, opened)
        classes = given if len(given) else given.add(CLASS_NAME)
        first = classes.classes[0].id
        records = tuple(
            ObjectRecord(label, first, box, area)
            for label, (box, area) in measure_labels(labels).items()
        )
        annotated = AnnotationSet(ImageInfo(path.name, labels.shape), classes, records, labels)
    return [with_facts(annotated, image or path, form, opened, has_pixels=image is not None)]


def _open_labels(path: Path, opened: ExitStack) -> LabelReader:
    if path.suffix.lower() == ".png":  # of a palette, the indices count
        with Image.open(path) as picture:
            return ArrayLabels(_one_band(np.asarray(picture), path), (), path.name)
    raster = opened.enter_context(open_raster(path))
    if raster.dtype.kind not in "iu" or raster.n_bands != 1:
        raise AnnotationError(
            f"{path}: expected one band of whole numbers, got {raster.n_bands} of {raster.dtype}; "
            "save it as a label image first"
        )
    return RasterLabels(raster)


def _one_band(pixels: LabelArray, path: Path) -> LabelArray:
    if pixels.ndim != 2:
        raise AnnotationError(
            f"{path}: expected a PNG of one channel, got shape {pixels.shape}; save it as a label "
            "image first"
        )
    return pixels


def _of_class_values(path: Path, classes: ClassList) -> AnnotationSet:
    found = read_mask(path, "classes", classes)
    store = ArrayStore.empty(found.image.shape)
    records = []
    for number, one in enumerate(found.objects, start=1):
        labels = store.read(one.window)
        labels[one.mask] = number
        store.write(one.window, labels)
        area = int(np.count_nonzero(one.mask))
        records.append(ObjectRecord(number, one.class_id, one.window, area))
    return AnnotationSet(found.image, found.classes, tuple(records), StoredPlane(store))


# --- projects ---------------------------------------------------------------------------------


def annotated_project(
    path: Path, image: Path | None, form: ExportFormat, opened: ExitStack
) -> list[AnnotationSet]:
    """The objects of a project, a set for each plane that has some.

    The project may be open elsewhere: it is read up to its last whole step.

    Raises:
        AnnotationError: It holds no objects.
        JournalError: It is damaged from the start, or of a newer version.
        RasterError: The image cannot be read.
    """
    history = open_history(path, opened)
    file = image or _existing(history.image.path)
    planes = dict.fromkeys(record.plane for record in history.state.objects.values())
    if not planes:
        raise AnnotationError(f"{path} holds no objects to export; finish one in it first")
    return [
        with_facts(
            _named_by_plane(history.annotations(plane), plane),
            file,
            form,
            opened,
            plane=plane,
            has_pixels=file is not None,
        )
        for plane in sorted(planes, key=str)
    ]


def _existing(path: Path | None) -> Path | None:
    return path if path is not None and path.exists() else None


def _named_by_plane(annotated: AnnotationSet, plane: PlaneIndex) -> AnnotationSet:
    """Files of several planes get names of their own."""
    at = "".join(f"_{number:04d}" for number in plane if number is not None)
    if not at:
        return annotated
    own = Path(annotated.image.name)
    return replace(annotated, image=replace(annotated.image, name=f"{own.stem}{at}{own.suffix}"))


# --- what the image says ----------------------------------------------------------------------


def with_facts(
    annotated: AnnotationSet,
    file: Path | None,
    form: ExportFormat,
    opened: ExitStack,
    *,
    plane: PlaneIndex = (),
    has_pixels: bool,
) -> AnnotationSet:
    """The annotations with what the format takes of the image file.

    Args:
        annotated: The objects.
        file: The image, or the label image itself; None: nothing more is known.
        form: What it takes.
        opened: Closes the file.
        plane: Which plane of a stack.
        has_pixels: The file is the image, not the labels.

    Raises:
        ModuleNotFoundError: The format needs the place on the map; the extra ``geo`` is missing.
        RasterError: The image is of another size, or cannot be read.
    """
    if file is None or (not has_pixels and file.suffix.lower() == ".png"):
        return annotated
    index = tuple(at for at in plane if at is not None) or None
    raster = opened.enter_context(open_raster(file, index=index))
    if tuple(raster.shape) != annotated.labels.shape:
        rows, columns = annotated.labels.shape
        raise RasterError(
            f"expected the image of the labels, {rows} × {columns} px, got {file.name} with "
            f"{raster.shape[0]} × {raster.shape[1]} px; give the image that was annotated"
        )
    details = raster.details if isinstance(raster, ArrayRaster) else NO_DETAILS
    info = annotated.image
    if details.pixel_size is not None and (info.pixel_size_yx is None or not _is_known(info.unit)):
        size = details.pixel_size
        info = replace(info, pixel_size_yx=(size.y, size.x), unit=size.unit)
    info = replace(info, georeference=raster.georeference, path=file)
    if has_pixels and not plane:
        info = replace(info, name=file.name)
    if "place" in form.uses:
        info = replace(info, place=_place(raster, form))
    return replace(
        annotated,
        image=info,
        pixels=StretchedPixels.of(raster) if has_pixels and "pixels" in form.uses else None,
        raster=raster if has_pixels and "raster" in form.uses else None,
    )


def _is_known(unit: str) -> bool:
    return unit not in ("", "pixel")


def _place(raster: OpenRaster, form: ExportFormat) -> MapPlace | None:
    try:
        return raster.place if isinstance(raster, ArrayRaster) else None
    except ModuleNotFoundError:
        if "place" in form.needs:
            raise
        return None
