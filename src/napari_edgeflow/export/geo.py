"""Objects on the map: GeoPackage, GeoJSON (RFC 7946) and Shapefile with their attributes.

Outlines run along pixel edges; common edges of neighbours stay common when made simpler.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from napari_edgeflow.vector.coverage import groups_that_meet, pixel_boxes, simplify_coverage
from napari_edgeflow.vector.polygons import Polygon

_DRIVERS: Mapping[str, str] = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".shp": "ESRI Shapefile",
}
_SHAPEFILE_NAMES = {"perimeter_m": "perim_m"}  # ten characters at most
_SHAPEFILE_SUFFIXES = (".shx", ".dbf", ".prj", ".cpg", ".shp")
_SHAPEFILE_INDICES = (".qix", ".sbn", ".sbx", ".ind", ".idm", ".qpj")
"""What other programs put beside a Shapefile; beside another of that name it leads astray."""
_BATCH_BYTES = 2**24
_DIGITS = 13  # of degrees in GeoJSON: a hundredth of a micrometre


@dataclass(frozen=True, slots=True, eq=False)
class MapObject:
    """An object on the map.

    Attributes:
        record: What is known of it.
        class_name: Of its class.
        shape: Shapely multipolygon in coordinates of the CRS; None once it is packed.
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
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"expected a tolerance ≥ 0, got {tolerance}")
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
) -> Iterator[MapObject]:
    """The objects as shapes in the CRS, in the order of the records; empty ones are left out.

    What is held at a time are the objects of one group, which are made simpler together: see
    ``groups_that_meet``. Without a tolerance that is one object.
    """
    records, ruler = annotations.objects, MapRuler(place)
    groups = [[number] for number in range(len(records))]
    if tolerance != 0:
        groups = groups_that_meet(pixel_boxes(record.box for record in records))
    ready: dict[int, MapObject | None] = {}
    n_done, turn = 0, 0
    for group in groups:  # in the order of their first members
        traced = []
        for number in group:
            run.count(n_done, len(records))
            n_done += 1
            traced.append(with_meeting_points(annotations, records[number], run))
        shapes = _shapes_on_map(traced, place, tolerance)
        for number, shape in zip(group, shapes, strict=True):
            ready[number] = _measured(annotations, records[number], shape, ruler)
        while turn in ready:
            found = ready.pop(turn)
            turn += 1
            if found is not None:
                yield found


def _shapes_on_map(
    traced: Sequence[tuple[Polygon, ...]], place: MapPlace, tolerance: float
) -> list[Any]:
    """Shapely multipolygons in the CRS; with a tolerance, made simpler together."""
    shapes = [shapely.MultiPolygon([polygon_on_map(p, place) for p in one]) for one in traced]
    if tolerance == 0:
        return shapes
    hulls = [shapely.convex_hull(shapely.MultiPolygon([p.to_shapely() for p in o])) for o in traced]
    for group in groups_that_meet(hulls):
        simple = simplify_coverage([shapes[number] for number in group], tolerance)
        for number, shape in zip(group, simple, strict=True):
            shapes[number] = shape
    return shapes


def _measured(
    annotations: AnnotationSet, record: ObjectRecord, shape: Any, ruler: MapRuler
) -> MapObject | None:
    """None for a shape without ground."""
    if shape.is_empty:
        return None
    size = ruler.measure(shape)
    name = annotations.class_of(record).name
    whole = shapely.multipolygons(shapely.get_parts(shape))
    return MapObject(record, name, whole, size.area_m2, size.perimeter_m)


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


def _write(path: Path, driver: str, objects: Iterable[MapObject], place: MapPlace) -> None:
    """Objects are handed to GDAL in batches: what was written is no longer held."""
    pyogrio = import_optional("pyogrio", extra="geo", needed_for=f"write {path.name}")
    # GDAL would read a GeoJSON file again to add to it
    most = math.inf if driver == "GeoJSON" else _BATCH_BYTES
    _check_unused(path)
    order, old = (
        (_SHAPEFILE_SUFFIXES, _SHAPEFILE_INDICES) if path.suffix.lower() == ".shp" else ((), ())
    )
    with files_written_whole(path, order, old) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")  # a note says so
        try:
            for number, batch in enumerate(_batches(objects, most)):
                _write_batch(pyogrio, temporary, driver, batch, place, is_first=number == 0)
        except _errors_of(pyogrio) as error:
            raise refused(path, error) from error


def _check_unused(path: Path) -> None:
    """Nothing, unless another program has changes to the file that are not in it yet.

    Those would be played back into the new file.
    """
    for suffix in ("-wal", "-journal"):
        pending = path.with_name(path.name + suffix)
        if pending.exists() and pending.stat().st_size:
            raise ExportError(
                f"expected {path.name} not to be in use, but {pending.name} holds changes of "
                "another program to it; close it there, or choose another name"
            )


def _batches(objects: Iterable[MapObject], most: float) -> Iterator[list[tuple[MapObject, bytes]]]:
    """Objects with their shapes as WKB, so many bytes of it at a time; at least one batch."""
    batch: list[tuple[MapObject, bytes]] = []
    size, n_batches = 0, 0
    for one in objects:
        packed = shapely.to_wkb(one.shape)
        size += len(packed)
        batch.append((replace(one, shape=None), packed))
        if size >= most:
            yield batch
            batch, size, n_batches = [], 0, n_batches + 1
    if batch or not n_batches:
        yield batch


def _write_batch(
    pyogrio: Any,
    path: Path,
    driver: str,
    batch: Sequence[tuple[MapObject, bytes]],
    place: MapPlace,
    *,
    is_first: bool,
) -> None:
    columns = _columns([one for one, _ in batch])
    names = [
        _SHAPEFILE_NAMES.get(name, name) if driver == "ESRI Shapefile" else name for name in columns
    ]
    pyogrio.raw.write(
        path,
        geometry=np.array([packed for _, packed in batch], dtype=object),
        field_data=[values for values, _ in columns.values()],
        field_mask=[missing for _, missing in columns.values()],
        fields=names,
        geometry_type="MultiPolygon",
        crs=place.crs_wkt,
        driver=driver,
        layer=_layer_name(path),
        encoding="UTF-8",
        append=not is_first,
        layer_options=_layer_options(driver) if is_first else {},
    )


def _errors_of(pyogrio: Any) -> tuple[type[Exception], ...]:
    kinds = pyogrio.errors
    return kinds.DataSourceError, kinds.DataLayerError, kinds.FeatureError, kinds.FieldError


def _layer_name(path: Path) -> str:
    """The file's stem, without what a GeoPackage refuses in the name of a table."""
    return re.sub(r"[^\w .()+-]", "_", path.stem).lstrip(". ") or "objects"


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
