"""Labels layers in napari's own Save dialog, in every format that objects can be exported to.

napari calls a writer on its own thread and waits for the paths: that is its contract. Large images
are better exported from the panel, which writes in the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.import_labels import ArrayLabels, level_0, planes_of
from napari_edgeflow.annotation.objects import (
    AnnotationSet,
    ObjectRecord,
    PlaneIndex,
    measure_labels,
)
from napari_edgeflow.errors import ExportError
from napari_edgeflow.gui.files.exporting import CLASS_NAME, with_image
from napari_edgeflow.gui.files.image_facts import ImageFacts
from napari_edgeflow.gui.projects.labels import project_of, project_set

LayerData = tuple[Any, Mapping[str, Any], str]
"""Data, attributes and type of a layer, as napari hands them to a writer."""

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "label_tiff": (".tif", ".tiff"),
    "label_png": (".png",),
    "class_tiff": (".classes.tif", ".tif", ".tiff"),
    "class_png": (".classes.png", ".png"),
    "pseudocolor": (".colors.png", ".png"),
    "cutout": (".cutout.png", ".png"),
    "coco": (".json", ".coco.json"),
    "labelme": (".labelme.json", ".json"),
    "voc": (".voc",),
    "yolo": (".yolo",),
    "ome_zarr": (".ome.zarr", ".zarr"),
    "ome_tiff": (".ome.tif", ".ome.tiff"),
    "imagej_roi": (".zip",),
    "qupath": (".qupath.geojson", ".geojson"),
    "measurements": (".csv",),
    "geopackage": (".gpkg",),
    "geojson": (".geojson",),
    "shapefile": (".shp",),
    "label_cog": (".cog.tif", ".tif"),
}
"""Endings that choose a format; of several formats with one ending, the longest counts."""


def save(form: str, path: str, layers: Sequence[LayerData]) -> list[str]:
    """The paths that were written.

    Args:
        form: A name of ``export.formats.FORMATS``.
        path: From the dialog; an ending of the format is added when it has none of its own.
        layers: One Labels layer, and perhaps the Image layer that it belongs to.

    Raises:
        ExportError: The format cannot hold it, or it cannot be written.
        AnnotationError: The labels are no ids.
    """
    from napari_edgeflow.export.formats import FORMATS, export

    target = _with_suffix(Path(path), SUFFIXES[form])
    sets, facts = annotated_planes(layers)
    chosen = sets if FORMATS[form].write_series is not None else [_only(sets, form)]
    report = export(form, target, [with_image(one, FORMATS[form], facts) for one in chosen])
    written, notes = report.paths, report.notes
    if notes:
        show_info(f"{target.name} does not hold everything: {'; '.join(notes)}")
    return [str(one) for one in written]


def annotated_planes(layers: Sequence[LayerData]) -> tuple[list[AnnotationSet], ImageFacts]:
    """The objects of a Labels layer, a set for each plane that has some, and its image's facts.

    The objects and classes of a project when the layer shows one; else each id is an object of
    the class "object".

    Raises:
        ExportError: There is not one Labels layer, or no object in it.
        AnnotationError: The labels are no ids.
    """
    labels = [layer for layer in layers if layer[2] == "labels"]
    images = [layer for layer in layers if layer[2] == "image"]
    if len(labels) != 1 or len(images) > 1:
        raise ExportError(
            f"expected one Labels layer, and perhaps its image, got {len(layers)} layers; select "
            "the layer to save"
        )
    data, attributes, _ = labels[0]
    project = project_of(attributes.get("metadata", {}))
    if project is not None:
        facts = ImageFacts.of_layer(project.image)
        planes = tuple(dict.fromkeys(r.plane for r in project.state.objects.values()))
        sets = [project_set(project, plane, facts) for plane in planes]
    else:
        facts = ImageFacts.of_data(images[0] if images else labels[0])
        whole = level_0(data, bool(attributes.get("multiscale", False)))
        sets = [_plain_set(whole, plane, facts) for plane in planes_of(whole.shape)]
    sets = [one for one in sets if one.objects]
    if not sets:
        raise ExportError(f"{attributes.get('name', 'the layer')} holds no object to save")
    return sets, facts


def _plain_set(whole: Any, plane: PlaneIndex, facts: ImageFacts) -> AnnotationSet:
    labels = ArrayLabels(whole, plane, facts.name)
    records = tuple(
        ObjectRecord(label, 1, box, area, plane=plane)
        for label, (box, area) in measure_labels(labels).items()
    )
    info = facts.info(plane, labels.shape)
    return AnnotationSet(info, ClassList().add(CLASS_NAME), records, labels)


def _with_suffix(path: Path, endings: Sequence[str]) -> Path:
    if path.name.lower().endswith(tuple(endings)):
        return path
    return path if path.suffix else path.with_name(path.name + endings[0])


def _only(sets: Sequence[AnnotationSet], form: str) -> AnnotationSet:
    if len(sets) == 1:
        return sets[0]
    raise ExportError(
        f"expected objects in one plane for {form}, got {len(sets)} planes; save as COCO, which "
        "holds many images, or export the plane on the screen from the panel"
    )


save_label_tiff = partial(save, "label_tiff")
save_label_png = partial(save, "label_png")
save_class_tiff = partial(save, "class_tiff")
save_class_png = partial(save, "class_png")
save_pseudocolor = partial(save, "pseudocolor")
save_cutout = partial(save, "cutout")
save_coco = partial(save, "coco")
save_labelme = partial(save, "labelme")
save_voc = partial(save, "voc")
save_yolo = partial(save, "yolo")
save_ome_zarr = partial(save, "ome_zarr")
save_ome_tiff = partial(save, "ome_tiff")
save_imagej_roi = partial(save, "imagej_roi")
save_qupath = partial(save, "qupath")
save_measurements = partial(save, "measurements")
save_geopackage = partial(save, "geopackage")
save_geojson = partial(save, "geojson")
save_shapefile = partial(save, "shapefile")
save_label_cog = partial(save, "label_cog")

__all__ = [  # the manifest names them
    "save_class_png",
    "save_class_tiff",
    "save_coco",
    "save_cutout",
    "save_geojson",
    "save_geopackage",
    "save_imagej_roi",
    "save_label_cog",
    "save_label_png",
    "save_label_tiff",
    "save_labelme",
    "save_measurements",
    "save_ome_tiff",
    "save_ome_zarr",
    "save_pseudocolor",
    "save_qupath",
    "save_shapefile",
    "save_voc",
    "save_yolo",
]
