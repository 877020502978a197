"""The formats by name: what each is for, what it cannot hold, its options and its writer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export import coco, labelme, qupath
from napari_edgeflow.export.folders import make_folder, unique_stems
from napari_edgeflow.export.imagej_roi import write_imagej_rois
from napari_edgeflow.export.maps import write_cog, write_on_map
from napari_edgeflow.export.measurements import write_measurements
from napari_edgeflow.export.ome_tiff import write_ome_tiff
from napari_edgeflow.export.ome_zarr import write_ome_zarr
from napari_edgeflow.export.options import (
    TOLERANCE_MAP,
    TOLERANCE_PX,
    ExportOption,
    OptionValue,
    read_options,
)
from napari_edgeflow.export.pictures import (
    write_class_mask,
    write_cutout,
    write_object_mask,
    write_pseudocolor,
)
from napari_edgeflow.export.run import ExportRun, Progress, ShouldStop
from napari_edgeflow.export.voc import write_voc
from napari_edgeflow.export.whole import folder_filled_whole
from napari_edgeflow.export.yolo import write_yolo

ImageWriter = Callable[[Path, AnnotationSet, ExportRun], tuple[str, ...]]
SeriesWriter = Callable[[Path, Sequence[AnnotationSet], ExportRun], tuple[str, ...]]
Group = Literal["Masks and pictures", "Machine learning", "Microscopy", "On the map"]
Need = Literal["pixels", "raster", "place"]


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format.

    Attributes:
        name: As in ``export``.
        title: For menus.
        suffix: Of its files; empty for a folder of files.
        cannot_hold: What is lost in it, in words.
        group: Whose format it is, for menus.
        write_series: Writes many images to one file or folder; None where each has its own file.
        write_image: Writes one image to one file; None where ``write_series`` does.
        options: What can be chosen.
        uses: What it takes of ``AnnotationSet`` and ``ImageInfo`` beside the objects: the image
            as it is shown, its values, its place on the map.
        needs: Those of them that it cannot do without.
    """

    name: str
    title: str
    suffix: str
    cannot_hold: str
    group: Group
    write_series: SeriesWriter | None = None
    write_image: ImageWriter | None = None
    options: tuple[ExportOption, ...] = ()
    uses: tuple[Need, ...] = ()
    needs: tuple[Need, ...] = ()

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All that its files may end in; empty for a folder of files."""
        return _SUFFIXES.get(self.suffix, (self.suffix,)) if self.suffix else ()

    def fits(self, path: Path) -> bool:
        """True when the path ends as the format's files do."""
        return path.name.lower().endswith(self.suffixes) if self.suffixes else False


_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    ".tif": (".tif", ".tiff"),
    ".ome.tif": (".ome.tif", ".ome.tiff"),
    ".ome.zarr": (".zarr",),
}
_IDS = "classes, names; PNG: ids above 65 535, the place on the map"
_FORMATS = (
    ExportFormat("label_tiff", "Label mask (TIFF)", ".tif", "classes, names",
                 "Masks and pictures", write_image=write_object_mask),
    ExportFormat("label_png", "Label mask (PNG)", ".png", _IDS,
                 "Masks and pictures", write_image=write_object_mask),
    ExportFormat("class_tiff", "Class mask (TIFF)", ".tif", "objects that touch",
                 "Masks and pictures", write_image=write_class_mask),
    ExportFormat("class_png", "Class mask (PNG)", ".png", "objects that touch; class ids above "
                 "65 535; the place on the map",
                 "Masks and pictures", write_image=write_class_mask),
    ExportFormat("pseudocolor", "Pseudo-colour (PNG)", ".png", "objects that touch; the place on "
                 "the map", "Masks and pictures", write_image=write_pseudocolor),
    ExportFormat("cutout", "Cut-out (RGBA PNG)", ".png", "objects, classes",
                 "Masks and pictures", write_image=write_cutout, uses=("pixels",),
                 needs=("pixels",)),
    ExportFormat("coco", "COCO (JSON)", ".json", "the place on the map; images of 2³² px and more "
                 "in one piece", "Machine learning", write_series=coco.write_coco,
                 options=(coco.PART,)),
    ExportFormat("voc", "PASCAL VOC (folder)", "", "more than 254 classes, or objects in an image; "
                 "ids", "Machine learning", write_series=write_voc),
    ExportFormat("labelme", "LabelMe (JSON)", ".json", "holes, before LabelMe 5.3",
                 "Machine learning", write_image=labelme.write_labelme,
                 options=(labelme.VERSION,)),
    ExportFormat("yolo", "YOLO segmentation (folder)", "", "holes, ids, names of objects",
                 "Machine learning", write_series=write_yolo),
    ExportFormat("ome_zarr", "OME-Zarr labels", ".ome.zarr", "the place on the map",
                 "Microscopy", write_image=write_ome_zarr),
    ExportFormat("ome_tiff", "OME-TIFF labels", ".ome.tif", "classes, names, the place on the map",
                 "Microscopy", write_image=write_ome_tiff),
    ExportFormat("imagej_roi", "ImageJ ROIs (zip)", ".zip", "groups of classes after the 255th; "
                 "the place on the map", "Microscopy", write_image=write_imagej_rois),
    ExportFormat("qupath", "QuPath objects (GeoJSON)", ".geojson", "the place on the map",
                 "Microscopy", write_image=qupath.write_qupath,
                 options=(qupath.OBJECT_TYPE, TOLERANCE_PX)),
    ExportFormat("measurements", "Measurements (CSV)", ".csv", "outlines",
                 "Microscopy", write_series=write_measurements, uses=("raster", "place")),
    ExportFormat("geopackage", "GeoPackage (on the map)", ".gpkg", "names of objects",
                 "On the map", write_image=write_on_map, options=(TOLERANCE_MAP,),
                 uses=("place",), needs=("place",)),
    ExportFormat("geojson", "GeoJSON (on the map)", ".geojson", "the image's CRS (it is in "
                 "longitude and latitude); names of objects",
                 "On the map", write_image=write_on_map, options=(TOLERANCE_MAP,),
                 uses=("place",), needs=("place",)),
    ExportFormat("shapefile", "Shapefile (on the map)", ".shp", "names of objects; column names "
                 "above ten characters; more than 2 GB",
                 "On the map", write_image=write_on_map, options=(TOLERANCE_MAP,),
                 uses=("place",), needs=("place",)),
    ExportFormat("label_cog", "Label COG (on the map)", ".tif", "classes, names",
                 "On the map", write_image=write_cog, uses=("place",)),
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


def export(
    name: str,
    path: Path,
    sets: Sequence[AnnotationSet],
    *,
    options: Mapping[str, OptionValue] = MappingProxyType({}),
    progress: Progress | None = None,
    should_stop: ShouldStop | None = None,
) -> ExportReport:
    """What was written and what it could not hold.

    Args:
        name: Of ``FORMATS``.
        path: A file with the format's suffix, or a folder: where the format is one, or where
            each of many images gets a file by its own name.
        sets: Annotations, one for each image.
        options: By name; see the format's ``options``. Those that are left out have their
            defaults.
        progress: Called with the share done, 0…1, from the thread that exports.
        should_stop: Asked between pieces of work; True stops it.

    Raises:
        Cancelled: ``should_stop`` said so. Of the file in work nothing is left; files of other
            images, finished before, stay.
        ExportError: The format cannot hold them at all, or something cannot be written. Files
            are whole or not there.
        ModuleNotFoundError: The format needs an optional package; the message names it.
        ValueError: There is no such format or option.
    """
    if name not in FORMATS:
        raise ValueError(f"expected a format ({', '.join(FORMATS)}), got {name!r}")
    chosen = FORMATS[name]
    run = ExportRun(read_options(chosen.options, options, chosen.title), progress, should_stop)
    _check_name(path)
    if not sets:
        raise ExportError("expected annotations to export, got none; finish an object first")
    if chosen.write_series is not None:
        report = _export_series(chosen, chosen.write_series, path, sets, run)
    else:
        report = _export_images(chosen, path, sets, run)
    if progress is not None:
        progress(1.0)
    return report


def _export_series(
    chosen: ExportFormat,
    write: SeriesWriter,
    path: Path,
    sets: Sequence[AnnotationSet],
    run: ExportRun,
) -> ExportReport:
    _check_path(chosen, path)
    place: AbstractContextManager[Path] = nullcontext(path)
    if not chosen.suffix:
        place = folder_filled_whole(path)
    with place as target:
        notes = write(target, sets, run)
    return ExportReport((path,), notes)


def _export_images(
    chosen: ExportFormat, path: Path, sets: Sequence[AnnotationSet], run: ExportRun
) -> ExportReport:
    paths = _paths(chosen, path, sets)
    notes: list[str] = []
    for number, (target, annotated) in enumerate(zip(paths, sets, strict=True)):
        part = run.part(number / len(sets), (number + 1) / len(sets))
        if chosen.write_image is not None:
            notes += chosen.write_image(target, annotated, part)
    return ExportReport(tuple(paths), tuple(dict.fromkeys(notes)))


def _paths(chosen: ExportFormat, path: Path, sets: Sequence[AnnotationSet]) -> list[Path]:
    """The file of each image; folders are made."""
    if _is_one(chosen, path):
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


def _is_one(chosen: ExportFormat, path: Path) -> bool:
    """True when the path is that of one export, not of a folder for many."""
    if chosen.suffix == ".ome.zarr":  # such an export is a folder itself
        return chosen.fits(path) or path.parent.name == "labels"
    return chosen.fits(path) and not path.is_dir()


def _check_name(path: Path) -> None:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what is wrong with those is said where it is written
    except (OSError, ValueError) as error:  # too long, or with a character that is none
        raise ExportError(
            f"expected a name that files can have here, got {str(path)[:200]!r} ({error}); "
            "choose a shorter or plainer one"
        ) from error


def _check_path(chosen: ExportFormat, path: Path) -> None:
    if not chosen.suffix:
        if path.exists() and not path.is_dir():
            raise ExportError(f"expected a folder for {chosen.title}, got the file {path}")
        return
    if not _is_one(chosen, path):
        raise ExportError(f"expected a file ending in {chosen.suffix}, got {path.name!r}")
    if path.parent.name == "labels" and chosen.suffix == ".ome.zarr":
        return
    if not path.parent.is_dir():
        raise ExportError(
            f"expected a folder to write {path.name} to, but {path.parent} is none; make it first"
        )
