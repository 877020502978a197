"""Objects on the map: GeoPackage, GeoJSON (RFC 7946) and Shapefile with their attributes.

Outlines run along pixel edges; common edges of neighbours stay common when made simpler.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from napari_edgeflow._lazy import import_optional
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.geo_measure import MapRuler
from napari_edgeflow.export.geo_style import qgis_style
from napari_edgeflow.export.outlines import with_meeting_points
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.whole import files_written_whole, refused
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.vector.coverage import simplify_coverage
from napari_edgeflow.vector.polygons import Polygon

_DRIVERS: Mapping[str, str] = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".shp": "ESRI Shapefile",
}
_SHAPEFILE_NAMES = {"perimeter_m": "perim_m"}  # ten characters at most
_SHAPEFILE_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg", ".shp")
_DIGITS = 13  # of degrees in GeoJSON: a hundredth of a micrometre


@dataclass(frozen=True, slots=True, eq=False)
class MapObject:
    """An object on the map.

    Attributes:
        record: What is known of it.
        class_name: Of its class.
        shape: Shapely multipolygon in coordinates of the CRS.
        area_m2: None without a unit of length.
        perimeter_m: None without a unit of length.
    """

    record: ObjectRecord
    class_name: str
    shape: Any
    area_m2: float | None
    perimeter_m: float | None


def write_map_objects(
    path: Path,
    annotations: AnnotationSet,
    place: MapPlace | None,
    *,
    tolerance: float = 0.0,
    run: ExportRun = PLAIN_RUN,
) -> tuple[str, ...]:
    """Notes for the user on what the file cannot hold; the file is there when this returns.

    Beside a GeoPackage and a Shapefile lies a style of the same name for QGIS (``.qml``), which
    colours the classes.

    Args:
        path: ``.gpkg``, ``.geojson`` or ``.shp``; the suffix chooses the format.
        annotations: Objects and their labels; hidden ones are written too.
        place: Where the image lies on the map; see ``ArrayRaster.place``.
        tolerance: How far outlines may move, in units of the CRS; 0 keeps the pixel edges.
        run: Hears how far it is.

    Raises:
        Cancelled: The run says so; what was there before still is.
        ExportError: There is no place on the map, the format needs a CRS and there is none, or
            the file cannot be written.
        ModuleNotFoundError: pyogrio or pyproj is not installed; the message says how to.
        ValueError: The tolerance is negative.
    """
    if path.suffix.lower() not in _DRIVERS:
        raise ExportError(
            f"expected a file ending in {', '.join(_DRIVERS)}, got {path.name!r}; change the name"
        )
    driver = _DRIVERS[path.suffix.lower()]
    known = _check_place(place, driver, annotations.image.name)
    objects = map_objects(annotations, known, tolerance=tolerance, run=run)
    _write(path, driver, objects, known)
    if driver != "GeoJSON":
        _write_style(path.with_suffix(".qml"), annotations)
    return _notes(driver, known)


def map_objects(
    annotations: AnnotationSet,
    place: MapPlace,
    *,
    tolerance: float = 0.0,
    run: ExportRun = PLAIN_RUN,
) -> list[MapObject]:
    """The objects as shapes in the CRS, in the order of the records; empty ones are left out."""
    found = []
    for number, record in enumerate(annotations.objects):
        run.count(number, len(annotations.objects))
        shape = object_shape(annotations, record, place)
        if not shape.is_empty:
            found.append((record, shape))
    shapes = [shape for _, shape in found]
    if tolerance != 0:
        shapes = simplify_coverage(shapes, tolerance)
    ruler = MapRuler(place)
    objects = []
    for (record, _), shape in zip(found, shapes, strict=True):
        size = ruler.measure(shape)
        name = annotations.class_of(record).name
        whole = shapely.multipolygons(shapely.get_parts(shape))
        objects.append(MapObject(record, name, whole, size.area_m2, size.perimeter_m))
    return objects


def object_shape(annotations: AnnotationSet, record: ObjectRecord, place: MapPlace) -> Any:
    """Shapely multipolygon of one object along its pixels' edges, in the CRS."""
    polygons = with_meeting_points(annotations, record)
    return shapely.MultiPolygon([polygon_on_map(polygon, place) for polygon in polygons])


def polygon_on_map(polygon: Polygon, place: MapPlace) -> Any:
    """The polygon (y, x in pixels) as a shapely one in the CRS."""
    exterior, *holes = (place.to_map(ring) for ring in polygon.rings)
    return shapely.Polygon(exterior, holes)


def _check_place(place: MapPlace | None, driver: str, name: str) -> MapPlace:
    if place is None:
        raise ExportError(
            f"expected an image with a place on the map, but {name} has none; open the "
            "georeferenced original, or export COCO, LabelMe or a label image instead"
        )
    if place.crs_wkt is None and driver == "GeoJSON":
        raise ExportError(
            f"expected an image with a CRS, as GeoJSON is in longitude and latitude, but {name} "
            "has an affine alone; export a GeoPackage, or give the image its CRS with gdal_edit.py"
        )
    return place


def _notes(driver: str, place: MapPlace) -> tuple[str, ...]:
    notes = []
    if driver == "ESRI Shapefile":
        renamed = ", ".join(f"{old} is {new}" for old, new in _SHAPEFILE_NAMES.items())
        notes.append(f"Shapefile cuts names at ten characters: {renamed}; GeoPackage keeps them")
        notes.append("Shapefile cuts class names at 254 bytes and holds at most 2 GB")
    if place.crs_wkt is None:
        notes.append("the image has no CRS, so neither has the file, and nothing is in metres")
    if driver == "GeoJSON":
        notes.append("GeoJSON is in longitude and latitude (WGS 84), not in the image's CRS")
    return tuple(notes)


def _write(path: Path, driver: str, objects: Sequence[MapObject], place: MapPlace) -> None:
    pyogrio = import_optional("pyogrio", extra="geo", needed_for=f"write {path.name}")
    columns = _columns(objects)
    names = [
        _SHAPEFILE_NAMES.get(name, name) if driver == "ESRI Shapefile" else name for name in columns
    ]
    with files_written_whole(path, _SHAPEFILE_SUFFIXES) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # a note says so
        try:
            pyogrio.raw.write(
                temporary,
                geometry=shapely.to_wkb(np.array([o.shape for o in objects], dtype=object)),
                field_data=[values for values, _ in columns.values()],
                field_mask=[missing for _, missing in columns.values()],
                fields=names,
                geometry_type="MultiPolygon",
                crs=place.crs_wkt,
                driver=driver,
                layer=path.stem,
                encoding="UTF-8",
                layer_options=_layer_options(driver),
            )
        except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError) as error:
            raise refused(path, error) from error


def _layer_options(driver: str) -> dict[str, str]:
    if driver == "GeoJSON":
        return {"RFC7946": "YES", "COORDINATE_PRECISION": str(_DIGITS), "WRITE_NAME": "NO"}
    return {}


def _columns(objects: Sequence[MapObject]) -> dict[str, tuple[Any, Any]]:
    """(values, which are missing or None) of each attribute."""
    columns: dict[str, tuple[Any, Any]] = {
        "id": (np.array([o.record.id for o in objects], np.int64), None),
        "class": (np.array([o.class_name for o in objects], object), None),
        "area_m2": _numbers([o.area_m2 for o in objects]),
        "perimeter_m": _numbers([o.perimeter_m for o in objects]),
        "n_positive": (np.array([o.record.n_positive for o in objects], np.int32), None),
        "n_negative": (np.array([o.record.n_negative for o in objects], np.int32), None),
        "model": (np.array([o.record.model for o in objects], object), None),
        "timestamp": (np.array([o.record.created for o in objects], object), None),
    }
    return columns


def _numbers(values: Sequence[float | None]) -> tuple[Any, Any]:
    numbers = np.array([math.nan if value is None else value for value in values], np.float64)
    return numbers, np.array([value is None for value in values], bool)


def _write_style(path: Path, annotations: AnnotationSet) -> None:
    colours = {entry.name: entry.color for entry in annotations.classes.classes}
    with files_written_whole(path) as temporary:
        temporary.write_bytes(qgis_style(colours))
