"""The annotations of a whole series in one export, from the journals of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_edgeflow.annotation.autosave import find_journal, journal_places
from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_journal import JournalLabels, Outline, Shelf, outline_of
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, ObjectRecord, PlaneIndex
from napari_edgeflow.errors import Cancelled, EdgeFlowError, ExportError, JournalError
from napari_edgeflow.export.formats import FORMATS, ExportFormat, export
from napari_edgeflow.export.options import OptionValue
from napari_edgeflow.gui.files.exporting import with_image
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.series.load import load_image
from napari_edgeflow.gui.series.switch import joined
from napari_edgeflow.raster.open import open_raster

_LOOKING = 0.2
"""Share of the work that is looking for journals."""


@dataclass(frozen=True, slots=True)
class SeriesOrder:
    """What is exported.

    Attributes:
        form: A name of ``FORMATS``.
        path: A file, or a folder where the format has a file for each image or is a folder.
        images: Name in the series, file, and whether it is marked as done, of each.
        done_only: Leave out images that are not marked.
        folder: Chosen for journals; None: beside the images.
        options: Of the format.
    """

    form: str
    path: Path
    images: tuple[tuple[str, Path, bool], ...]
    done_only: bool = False
    folder: Path | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """What came of it.

    Attributes:
        path: The file or folder.
        n_images: Written.
        n_objects: In them.
        notes: What the format could not hold, and images that were left out, for the user.
    """

    path: Path
    n_images: int
    n_objects: int
    notes: tuple[str, ...]


def export_series(
    order: SeriesOrder,
    progress: Callable[[float], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SeriesReport:
    """What was written; journals are only read, those of open images too.

    Images with objects are taken, and those without that are marked as done: they show what is
    no object.

    Args:
        order: What.
        progress: Called with the share done, 0…1.
        should_stop: Asked now and then.

    Raises:
        Cancelled: ``should_stop`` said so.
        ExportError: There is nothing to export, or it cannot be written.
    """
    form = FORMATS[order.form]
    tell = progress or (lambda _share: None)
    found, notes = _gather(order, tell, should_stop)
    if not any(one.objects for one in found):
        raise ExportError(
            "expected finished objects in the series, got none"
            + (f" ({'; '.join(notes)})" if notes else "; finish one first, or mark images as done")
        )
    named = [_named(one, form) for one in _same_classes(found)]
    write = _write_each if form.write_series is None or form.uses else _write_together
    more = write(order, named, lambda share: tell(_LOOKING + (1 - _LOOKING) * share), should_stop)
    n_objects = sum(len(one.objects) for one in found)
    return SeriesReport(order.path, len(found), n_objects, tuple(dict.fromkeys((*notes, *more))))


def journal_of(path: Path, folder: Path | None = None) -> Outline | None:
    """The journal of an image that was written last; None when it has none.

    Raises:
        JournalError: It cannot be read.
    """
    image = ImageInfo(path.name, (1, 1), path=path)
    places = journal_places(image, "", "", folder)
    for place in places:
        if place.is_file():
            image = replace(image, shape=outline_of(place).image.shape)
            break
    found = find_journal(places, image, "")
    if found is None:
        return None
    if found.refusal:
        raise JournalError(found.refusal)
    return outline_of(found.path)


def _gather(
    order: SeriesOrder,
    tell: Callable[[float], None],
    should_stop: Callable[[], bool] | None,
) -> tuple[list[AnnotationSet], list[str]]:
    """The sets of all images that are taken, labels unread, and what was left out."""
    shelf = Shelf()
    sets: list[AnnotationSet] = []
    notes: list[str] = []
    for number, (name, path, is_done) in enumerate(order.images):
        if should_stop is not None and should_stop():
            raise Cancelled("nothing was exported: the export was cancelled")
        tell(_LOOKING * number / len(order.images))
        if order.done_only and not is_done:
            continue
        try:
            outline = journal_of(path, order.folder)
            if outline is not None and outline.state.objects:
                sets += _sets_of(name, path, outline, shelf)
            elif is_done:
                sets.append(_empty_set(name, path, outline))
        except (EdgeFlowError, OSError) as error:
            notes.append(f"{name} was left out: {error}")
    return sets, notes


def _sets_of(name: str, path: Path, outline: Outline, shelf: Shelf) -> list[AnnotationSet]:
    """One for each plane with objects."""
    sets = []
    objects = sorted(outline.state.objects.values(), key=lambda record: record.id)
    for plane in outline.planes:
        info = replace(
            outline.image, name=_plane_name(name, plane), path=path, georeference=_place_of(path)
        )
        chosen = tuple(record for record in objects if record.plane == plane)
        labels = JournalLabels(outline.path, plane, info.shape, shelf)
        sets.append(AnnotationSet(info, outline.state.classes, chosen, labels))
    return sets


def _empty_set(name: str, path: Path, outline: Outline | None) -> AnnotationSet:
    """Of an image that is done and holds no object."""
    from napari_edgeflow.annotation.import_journal import SparseStore
    from napari_edgeflow.annotation.store import StoredPlane

    if outline is not None:
        shape, classes = outline.image.shape, outline.state.classes
    else:
        with open_raster(path) as raster:
            rows, columns = raster.shape
        shape, classes = (int(rows), int(columns)), ClassList()
    info = ImageInfo(name, shape, path=path, georeference=_place_of(path))
    return AnnotationSet(info, classes, (), StoredPlane(SparseStore(shape)))


def _place_of(path: Path) -> Any:
    """The georeference of a TIFF; None when it has none or cannot be opened."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with suppress(EdgeFlowError, OSError), open_raster(path) as raster:
        return raster.georeference
    return None


def _plane_name(name: str, plane: PlaneIndex) -> str:
    at = "".join(f"_{number:04d}" for number in plane if number is not None)
    own = Path(name)
    return own.with_name(f"{own.stem}{at}{own.suffix}").as_posix() if at else name


def _same_classes(sets: Sequence[AnnotationSet]) -> list[AnnotationSet]:
    """The sets with one class list for all, matched by names: images may have numbered anew."""
    classes = ClassList()
    for one in sets:
        classes = joined(classes, one.classes)
    return [_with_classes(one, classes) for one in sets]


def _with_classes(one: AnnotationSet, classes: ClassList) -> AnnotationSet:
    ids = {own.id: theirs.id for own in one.classes if (theirs := classes.named(own.name))}
    records: tuple[ObjectRecord, ...] = tuple(
        replace(record, class_id=ids[record.class_id]) for record in one.objects
    )
    return replace(one, classes=classes, objects=records)


def _named(one: AnnotationSet, form: ExportFormat) -> AnnotationSet:
    """Named for files of its own, where the format has such: folders become part of the name."""
    if form.name == "coco" or "/" not in one.image.name:
        return one
    return replace(one, image=replace(one.image, name=one.image.name.replace("/", "_")))


def _write_together(
    order: SeriesOrder,
    sets: Sequence[AnnotationSet],
    tell: Callable[[float], None],
    should_stop: Callable[[], bool] | None,
) -> tuple[str, ...]:
    return export(
        order.form,
        order.path,
        sets,
        options=order.options,
        progress=tell,
        should_stop=should_stop,
    ).notes


def _write_each(
    order: SeriesOrder,
    sets: Sequence[AnnotationSet],
    tell: Callable[[float], None],
    should_stop: Callable[[], bool] | None,
) -> tuple[str, ...]:
    """One file after the other, so that one image is open at a time."""
    from napari_edgeflow.export.folders import make_folder, unique_stems

    form = FORMATS[order.form]
    stems = unique_stems(sets)
    make_folder(order.path)
    notes: list[str] = []
    for number, (stem, one) in enumerate(zip(stems, sets, strict=True)):
        share = number / len(sets)
        own = export(
            order.form,
            order.path / f"{stem}{form.suffix}",
            [_with_pixels(one, form)],
            options=order.options,
            progress=lambda part, share=share: tell(share + part / len(sets)),  # type: ignore[misc]
            should_stop=should_stop,
        )
        notes += own.notes
    return tuple(notes)


def _with_pixels(one: AnnotationSet, form: ExportFormat) -> AnnotationSet:
    """The annotations with what the format takes of the image's file."""
    path = one.image.path
    if not form.uses or path is None:
        return one
    data, options = load_image(path).layers[0]
    return with_image(one, form, ImageFacts.of_data((data, options, "image")))
