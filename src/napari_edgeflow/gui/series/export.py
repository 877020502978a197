"""The annotations of a whole series in one export, from the journals of its images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_journal import JournalLabels, Shelf
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, ObjectRecord, PlaneIndex
from napari_edgeflow.annotation.sparse_store import SparseStore
from napari_edgeflow.annotation.store import StoredPlane
from napari_edgeflow.errors import Cancelled, EdgeFlowError, ExportError
from napari_edgeflow.export.formats import FORMATS, ExportFormat, export
from napari_edgeflow.export.options import OptionValue
from napari_edgeflow.gui.files.exporting import with_image
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.series.journals import FileJournal, journals_of, part_name
from napari_edgeflow.gui.series.load import load_image
from napari_edgeflow.gui.series.switch import joined
from napari_edgeflow.raster.axes import PlaneNeededError
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
    found, parts, notes = _gather(order, tell, should_stop)
    if not any(one.objects for one in found):
        raise ExportError(
            "expected finished objects in the series, got none"
            + (f" ({'; '.join(notes)})" if notes else "; finish one first, or mark images as done")
        )
    named = [_named(one, form) for one in _same_classes(found)]
    write = (
        partial(_write_each, parts) if form.write_series is None or form.uses else _write_together
    )
    more = write(order, named, lambda share: tell(_LOOKING + (1 - _LOOKING) * share), should_stop)
    n_objects = sum(len(one.objects) for one in found)
    return SeriesReport(order.path, len(found), n_objects, tuple(dict.fromkeys((*notes, *more))))


def _gather(
    order: SeriesOrder,
    tell: Callable[[float], None],
    should_stop: Callable[[], bool] | None,
) -> tuple[list[AnnotationSet], list[str], list[str]]:
    """The sets of all that is taken, labels unread; the layer of each; what was left out."""
    shelf = Shelf()
    sets: list[AnnotationSet] = []
    parts: list[str] = []
    notes: list[str] = []
    for number, (name, path, is_done) in enumerate(order.images):
        if should_stop is not None and should_stop():
            raise Cancelled("nothing was exported: the export was cancelled")
        tell(_LOOKING * number / len(order.images))
        if order.done_only and not is_done:
            continue
        try:
            journals = journals_of(path, order.folder)
            filled = [one for one in journals if one.outline.state.objects]
            if filled:
                for one in filled:
                    sets += _sets_of(name, path, one, shelf, is_one=len(filled) == 1)
                    parts += [one.part] * (len(sets) - len(parts))
            elif is_done:
                sets.append(_empty_set(name, path, journals))
                parts.append("")
        except (EdgeFlowError, OSError) as error:
            notes.append(f"{name} was left out: {error}")
    return sets, parts, notes + _say_planes(sets)


def _say_planes(sets: Sequence[AnnotationSet]) -> list[str]:
    """That names in the export are not always those of files."""
    made = [one.image.name for one in sets if _stem_of(one) != Path(one.image.name).stem]
    if not made:
        return []
    return [f"planes of stacks and layers of files have names of their own, such as {made[0]}"]


def _stem_of(one: AnnotationSet) -> str:
    return one.image.stem if one.image.path is None else one.image.path.stem


def _sets_of(
    name: str, path: Path, journal: FileJournal, shelf: Shelf, *, is_one: bool
) -> list[AnnotationSet]:
    """One for each plane with objects."""
    outline, sets = journal.outline, []
    objects = sorted(outline.state.objects.values(), key=lambda record: record.id)
    part = "" if is_one else journal.part
    for plane in outline.planes:
        own = _plane_name(name, plane, part)
        info = replace(outline.image, name=own, path=path, georeference=_place_of(path))
        chosen = tuple(record for record in objects if record.plane == plane)
        labels = JournalLabels(outline.path, plane, info.shape, shelf)
        sets.append(AnnotationSet(info, outline.state.classes, chosen, labels))
    return sets


def _empty_set(name: str, path: Path, journals: Sequence[FileJournal]) -> AnnotationSet:
    """Of an image that is done and holds no object.

    Raises:
        EdgeFlowError: It is a stack, or cannot be opened.
    """
    outline = journals[0].outline if journals else None
    try:
        with open_raster(path) as raster:
            rows, columns = raster.shape
            shape = int(rows), int(columns)
    except PlaneNeededError as error:
        raise ExportError(
            "it is a stack without objects, and nothing says which of its planes were looked at"
        ) from error
    except EdgeFlowError:
        if outline is None:
            raise
        shape = outline.image.shape
    info = ImageInfo(name, shape, path=path, georeference=_place_of(path))
    classes = ClassList() if outline is None else outline.state.classes
    return AnnotationSet(info, classes, (), StoredPlane(SparseStore(shape)))


def _place_of(path: Path) -> Any:
    """The georeference of a TIFF; None when it has none or cannot be opened."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with suppress(EdgeFlowError, OSError), open_raster(path) as raster:
        return raster.georeference
    return None


def _plane_name(name: str, plane: PlaneIndex, part: str = "") -> str:
    """The image's name with its layer, where it has several with objects, and its plane."""
    at = f"_{part}" if part else ""
    at += "".join(f"_{number:04d}" for number in plane if number is not None)
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
    parts: Sequence[str],
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
    for number, (stem, one, part) in enumerate(zip(stems, sets, parts, strict=True)):
        share = number / len(sets)
        own = export(
            order.form,
            order.path / f"{stem}{form.suffix}",
            [_with_pixels(one, form, part)],
            options=order.options,
            progress=lambda done, share=share: tell(share + done / len(sets)),  # type: ignore[misc]
            should_stop=should_stop,
        )
        notes += own.notes
    return tuple(notes)


def _with_pixels(one: AnnotationSet, form: ExportFormat, part: str) -> AnnotationSet:
    """The annotations with what the format takes of the image's file, of the layer they are of."""
    path = one.image.path
    if not form.uses or path is None:
        return one
    layers = load_image(path).layers
    own = [(data, options) for data, options in layers if part_name(str(options["name"])) == part]
    data, options = (own or layers)[0]
    return with_image(one, form, ImageFacts.of_data((data, options, "image")))
