"""Areas and perimeters in metres of shapes on the map, by the kind of their CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from napari_edgeflow._lazy import import_optional
from napari_edgeflow.export.measure import Frame
from napari_edgeflow.raster.place import MapPlace

_NEEDED_FOR = "measure in metres"


@dataclass(frozen=True, slots=True)
class MetricSize:
    """Size of a shape; None where the raster has no unit of length.

    Attributes:
        area_m2: Holes left out.
        perimeter_m: Of all rings, holes included.
    """

    area_m2: float | None = None
    perimeter_m: float | None = None


class MapRuler:
    """Measures shapes in one CRS.

    On the ellipsoid (geodesic, Karney 2013, through PROJ) where the CRS is geographic, and where
    it is a Mercator, whose metres stretch with the latitude; in the plane, in metres, elsewhere.
    """

    def __init__(self, place: MapPlace) -> None:
        """Look at the CRS.

        Raises:
            ModuleNotFoundError: pyproj is not installed; the message says how to.
        """
        self._place = place
        self._factor: float | None = None
        self._geod: Any = None
        self._to_degrees: Any = None
        if place.crs_wkt is None:
            return
        pyproj = import_optional("pyproj", extra="geo", needed_for=_NEEDED_FOR)
        crs = pyproj.CRS.from_wkt(place.crs_wkt)
        if crs.is_geographic or _is_mercator(crs):
            self._geod = crs.get_geod()
            to_geographic = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
            self._to_degrees = to_geographic.transform
        elif crs.is_projected:
            self._factor = float(crs.axis_info[0].unit_conversion_factor)

    @property
    def is_geodesic(self) -> bool:
        """True when shapes are measured on the ellipsoid."""
        return self._geod is not None

    def measure(self, shape: Any) -> MetricSize:
        """Size of a shapely polygon or multipolygon in coordinates of the CRS."""
        if self._geod is not None:
            return self._measure_geodesic(shape)
        if self._factor is None:
            return MetricSize()
        return MetricSize(shape.area * self._factor**2, shape.length * self._factor)

    def frame_at(self, y: float, x: float) -> Frame | None:
        """What steps of one pixel are in metres around a place; None without a unit of length.

        Args:
            y: Row, pixel centres on the integers.
            x: Column.
        """
        a, b, _, d, e, _ = self._place.affine
        if self._factor is not None:
            return Frame((b * self._factor, e * self._factor), (a * self._factor, d * self._factor))
        if self._geod is None:
            return None
        spots = np.array([[y - 0.5, x], [y + 0.5, x], [y, x - 0.5], [y, x + 0.5]])
        longitude, latitude = self._to_degrees(*self._place.to_map(spots).T)
        azimuth, _, length = self._geod.inv(
            longitude[::2], latitude[::2], longitude[1::2], latitude[1::2]
        )
        east = length * np.sin(np.radians(azimuth))
        north = length * np.cos(np.radians(azimuth))
        return Frame((float(east[0]), float(north[0])), (float(east[1]), float(north[1])))

    def _measure_geodesic(self, shape: Any) -> MetricSize:
        area = perimeter = 0.0
        for part in shapely.get_parts(shape):
            for number, ring in enumerate([part.exterior, *part.interiors]):
                x, y = ring.xy
                longitude, latitude = self._to_degrees(x, y)
                ring_area, length = self._geod.polygon_area_perimeter(longitude, latitude)
                area += abs(ring_area) if number == 0 else -abs(ring_area)
                perimeter += length
        return MetricSize(area, perimeter)


def _is_mercator(crs: Any) -> bool:
    operation = crs.coordinate_operation
    name = "" if operation is None else str(operation.method_name)
    return "Mercator" in name and "Transverse" not in name and "Oblique" not in name
