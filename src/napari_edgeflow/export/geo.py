"""Objects on the map: GeoPackage, GeoJSON (RFC 7946) and Shapefile with their attributes.

Outlines run along pixel edges; common edges of neighbours stay common when made simpler.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, ObjectRecord
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.geo_measure import MapRuler
from napari_edgeflow.export.geo_style import qgis_style
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.vector.coverage import label_polygons, simplify_coverage
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
    path: Path, annotations: AnnotationSet, place: MapPlace | None, *, tolerance: float = 0.0
) -> tuple[str, ...]:
    """Notes for the user on what the file cannot hold; the file is there when this returns.

    Beside a GeoPackage and a Shapefile lies a style of the same name for QGIS (``.qml``), which
    colours the classes.

    Args:
        path: ``.gpkg``, ``.geojson`` or ``.shp``; the suffix chooses the format.
        annotations: Objects and their labels; hidden ones are written too.
        place: Where the image lies on the map; see ``ArrayRaster.place``.
        tolerance: How far outlines may move, in units of the CRS; 0 keeps the pixel edges.

    Raises:
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
    objects = map_objects(annotations, known, tolerance=tolerance)
    _write(path, driver, objects, known)
    if driver != "GeoJSON":
        _write_style(path.with_suffix(".qml"), annotations)
    return _notes(driver, known)


def map_objects(
    annotations: AnnotationSet, place: MapPlace, *, tolerance: float = 0.0
) -> list[MapObject]:
    """The objects as shapes in the CRS, in the order of the records; empty ones are left out."""
    found = [(record, object_shape(annotations, record, place)) for record in annotations.objects]
    found = [(record, shape) for record, shape in found if not shape.is_empty]
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
    rows, columns = annotations.image.shape
    box = record.box
    window = Window(
        max(box.y0 - 1, 0), max(box.x0 - 1, 0), min(box.y1 + 1, rows), min(box.x1 + 1, columns)
    )
    polygons = label_polygons(annotations.labels.read(window), record.id, window)
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
    with _written_whole(path) as temporary, warnings.catch_warnings():
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
        except pyogrio.errors.DataSourceError as error:
            raise _refused(path, error) from error


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


@contextmanager
def _written_whole(path: Path) -> Iterator[Path]:
    """A path of the same name in a folder beside the target; its files then become the target's.

    Raises:
        ExportError: They cannot be written; what was there before still is.
    """
    folder: Path | None = None
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        yield folder / path.name
        made = {file.suffix: file for file in folder.iterdir()}
        for suffix in (*_SHAPEFILE_SUFFIXES, path.suffix):  # the file that is opened comes last
            if suffix in made:
                made.pop(suffix).replace(path.with_suffix(suffix))
    except OSError as error:
        raise _refused(path, error.strerror or error) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _write_style(path: Path, annotations: AnnotationSet) -> None:
    colours = {entry.name: entry.color for entry in annotations.classes.classes}
    with _written_whole(path) as temporary:
        temporary.write_bytes(qgis_style(colours))


def _refused(path: Path, reason: object) -> ExportError:
    return ExportError(
        f"expected to write {path}, but the system refused ({reason}); "
        "free some space, or choose a folder that can be written to"
    )
