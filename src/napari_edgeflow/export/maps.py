"""Map formats as ``formats`` lists them: the place is the image's, the tolerance an option."""

from __future__ import annotations

from pathlib import Path

from napari_edgeflow.annotation.objects import AnnotationSet
from napari_edgeflow.export.geo import write_map_objects
from napari_edgeflow.export.geo_raster import write_label_cog
from napari_edgeflow.export.options import TOLERANCE_MAP
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.views import objects_only

_READING = 0.8
"""Share of a COG's work that is reading labels; the rest is GDAL's, which says nothing of it."""


def write_on_map(
    path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold; GeoPackage, GeoJSON or Shapefile by its suffix.

    Raises:
        Cancelled, ExportError, ModuleNotFoundError: As ``write_map_objects``.
    """
    tolerance = run.number(TOLERANCE_MAP)
    return write_map_objects(path, annotated, annotated.image.place, tolerance=tolerance, run=run)


def write_cog(path: Path, annotated: AnnotationSet, run: ExportRun = PLAIN_RUN) -> tuple[str, ...]:
    """What the file could not hold.

    Raises:
        Cancelled, ExportError, ModuleNotFoundError: As ``write_label_cog``.
    """
    labels, place = objects_only(annotated), annotated.image.place
    write_label_cog(
        path,
        labels,
        place,
        highest_id=labels.highest,
        progress=run.part(0.0, _READING).progress,
        should_stop=run.should_stop,
    )
    notes = ["classes and names are not in a label image"] if annotated.objects else []
    if place is None:
        notes.append("the image has no place on the map, so neither has the file")
    return tuple(notes)
