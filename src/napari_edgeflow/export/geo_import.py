"""Points and polygons from GeoPackage, GeoJSON and Shapefile: prompts, or objects to correct."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from napari_edgeflow._lazy import import_optional
from napari_edgeflow._types import Click, Window
from napari_edgeflow.errors import ExportError
from napari_edgeflow.raster.place import MapPlace
from napari_edgeflow.vector.polygons import Polygon, polygons_from_shapely
from napari_edgeflow.vector.rasterize import polygons_to_mask, polygons_window

_NO = frozenset({"0", "-", "no", "false", "negative", "neg", "background", "-1"})
_SIGN_FIELDS = ("is_positive", "positive", "sign")
_GROUP_FIELDS = ("group", "object", "id")


@dataclass(frozen=True, slots=True, eq=False)
class MapFeature:
    """A feature of the file in pixels of the raster.

    Attributes:
        number: Its place in the file, from 0.
        attributes: Its columns; missing values are None.
        clicks: Of a point or multipoint, those inside the raster.
        polygons: Of a polygon or multipolygon, cut to the raster.
    """

    number: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    clicks: tuple[Click, ...] = ()
    polygons: tuple[Polygon, ...] = ()

    @property
    def group(self) -> str:
        """What tells one object's features from another's: ``group``, ``object`` or ``id``."""
        for name in _GROUP_FIELDS:
            if self.attributes.get(name) is not None:
                return str(self.attributes[name])
        return str(self.number)

    def prompt(self) -> tuple[Click, ...]:
        """Clicks that ask for this object: its points, or one deep inside its largest polygon."""
        if self.clicks or not self.polygons:
            return self.clicks
        largest = max(self.polygons, key=lambda polygon: polygon.area)
        inside = shapely.maximum_inscribed_circle(largest.to_shapely()).coords[0]
        return (Click(inside[1], inside[0]),)

    def mask(self) -> tuple[Window, Any] | None:
        """Its window and ``(h, w) bool`` by pixel centres; None when it covers no centre."""
        window = polygons_window(self.polygons)
        if window is None:
            return None
        mask = polygons_to_mask(self.polygons, window)
        return (window, mask) if mask.any() else None


@dataclass(frozen=True, slots=True, eq=False)
class ImportedFeatures:
    """What a file gave.

    Attributes:
        features: Those that lie on the raster.
        notes: What was left out, for the user.
    """

    features: tuple[MapFeature, ...]
    notes: tuple[str, ...]


def read_map_features(
    path: Path, place: MapPlace | None, shape: tuple[int, int], *, layer: str | None = None
) -> ImportedFeatures:
    """The features of a file that lie on the raster, in its pixels (centres whole).

    Coordinates in another CRS are brought into the raster's. Points are positive unless a column
    ``is_positive``, ``positive`` or ``sign`` says 0, no, false, negative or -.

    Args:
        path: Anything that GDAL reads as vectors.
        place: Of the raster.
        shape: (rows, columns) of the raster.
        layer: Of a file of many; None: the first.

    Raises:
        ExportError: The raster has no place, or a CRS is missing on one side alone, or the file
            cannot be read.
        ModuleNotFoundError: pyogrio or pyproj is not installed; the message says how to.
    """
    if place is None:
        raise ExportError(
            f"expected an image with a place on the map to put {path.name} on, but it has none; "
            "open the georeferenced original"
        )
    pyogrio = import_optional("pyogrio", extra="geo", needed_for=f"read {path.name}")
    try:
        meta, _, geometry, columns = pyogrio.raw.read(path, layer=layer, force_2d=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
        raise ExportError(
            f"expected points or polygons, but {path} cannot be read ({error}); "
            "save it as GeoPackage or GeoJSON"
        ) from error
    shapes = shapely.from_wkb(geometry)
    shapes = shapely.transform(shapes, _converter(meta["crs"], place, path), interleaved=False)
    frame = shapely.box(-0.5, -0.5, shape[1] - 0.5, shape[0] - 0.5)
    names = [str(name) for name in meta["fields"]]
    features, left_out = [], 0
    for number, part in enumerate(shapes):
        attributes = {n: _plain(c[number]) for n, c in zip(names, columns, strict=True)}
        feature = _feature(number, attributes, part, frame)
        left_out += feature is None
        features += [] if feature is None else [feature]
    notes = (f"{left_out} features outside the image, or without points or polygons",)
    return ImportedFeatures(tuple(features), notes if left_out else ())


def _converter(file_crs: str | None, place: MapPlace, path: Path) -> Callable[[Any, Any], Any]:
    """From coordinates of the file to (x, y) in pixels, centres whole."""
    if (file_crs is None) != (place.crs_wkt is None):
        raise ExportError(
            f"expected a CRS in both, but {'the file ' + path.name if file_crs is None else ''}"
            f"{'the image' if place.crs_wkt is None else ''} has none; give it one first"
        )
    to_crs = None
    if file_crs is not None:
        pyproj = import_optional("pyproj", extra="geo", needed_for=f"read {path.name}")
        own, wanted = pyproj.CRS.from_user_input(file_crs), pyproj.CRS.from_wkt(place.crs_wkt)
        if not own.equals(wanted, ignore_axis_order=True):
            to_crs = pyproj.Transformer.from_crs(own, wanted, always_xy=True).transform

    def convert(x: Any, y: Any) -> Any:
        if to_crs is not None:
            x, y = to_crs(x, y)
        yx = place.to_pixels(np.stack([x, y], axis=1))
        return yx[:, 1], yx[:, 0]

    return convert


def _plain(value: Any) -> Any:
    """A JSON value; None for missing numbers."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain


def _feature(number: int, attributes: dict[str, Any], shape: Any, frame: Any) -> MapFeature | None:
    if shape is None or shape.is_empty:
        return None
    if shape.geom_type in ("Point", "MultiPoint"):
        is_positive = _is_positive(attributes)
        clicks = tuple(
            Click(point.y, point.x, is_positive)
            for point in shapely.get_parts(shape)
            if _is_on(point, frame)
        )
        return MapFeature(number, attributes, clicks=clicks) if clicks else None
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        return None
    whole = shape if shape.is_valid else shapely.make_valid(shape, method="structure")
    inside = whole if frame.contains(whole) else shapely.intersection(whole, frame)
    polygons = polygons_from_shapely(inside)
    return MapFeature(number, attributes, polygons=polygons) if polygons else None


def _is_on(point: Any, frame: Any) -> bool:
    """True when the pixel that holds the point is one of the raster's: half-open."""
    x0, y0, x1, y1 = frame.bounds
    return bool(x0 <= point.x < x1 and y0 <= point.y < y1)


def _is_positive(attributes: Mapping[str, Any]) -> bool:
    for name in _SIGN_FIELDS:
        value = attributes.get(name)
        if value is not None:
            return str(value).strip().lower().removesuffix(".0") not in _NO
    return True
