"""Where a raster lies on the map: its coordinate reference system and its affine."""

from __future__ import annotations

import io
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from napari_edgeflow._lazy import import_optional
from napari_edgeflow.errors import RasterError
from napari_edgeflow.raster.georef import GeoReference, read_georeference

FloatCoordinates = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MapPlace:
    """A coordinate reference system and the affine from pixels to it.

    Attributes:
        affine: ``(a, b, c, d, e, f)`` with ``x = a·column + b·row + c`` and
            ``y = d·column + e·row + f``, where column and row count from the outer corner of the
            first pixel (GDAL's and rasterio's order).
        crs_wkt: The CRS as WKT; None when the raster has an affine alone.
    """

    affine: tuple[float, float, float, float, float, float]
    crs_wkt: str | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.affine):
            raise ValueError(f"an affine needs six finite numbers, got {self.affine}")
        if self.pixel_area == 0:
            raise ValueError(f"an affine needs pixels with an area, got {self.affine}")

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in squared units of the CRS."""
        a, b, _, d, e, _ = self.affine
        return abs(a * e - b * d)

    @property
    def is_rotated(self) -> bool:
        """True when rows do not run along the map's x axis."""
        return self.affine[1] != 0 or self.affine[3] != 0

    @property
    def pixel_size_yx(self) -> tuple[float, float]:
        """(height, width) of a pixel in units of the CRS, for a raster that is not rotated.

        Raises:
            RasterError: It is rotated, and two numbers cannot say how.
        """
        if self.is_rotated:
            raise RasterError(
                f"expected a raster whose rows run along the map's axes, got the affine "
                f"{self.affine}; use the affine itself, or turn the raster north with gdalwarp"
            )
        return abs(self.affine[4]), abs(self.affine[0])

    def to_map(self, yx: npt.ArrayLike) -> FloatCoordinates:
        """``(N, 2) float64`` of map (x, y) from ``(N, 2)`` pixel centres (row, column)."""
        row, column = np.asarray(yx, dtype=np.float64).reshape(-1, 2).T + 0.5
        a, b, c, d, e, f = self.affine
        return np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)

    def to_pixels(self, xy: npt.ArrayLike) -> FloatCoordinates:
        """``(N, 2) float64`` of (row, column), pixel centres whole, from map ``(N, 2)`` (x, y)."""
        a, b, c, d, e, f = self.affine
        x, y = np.asarray(xy, dtype=np.float64).reshape(-1, 2).T - np.array([[c], [f]])
        determinant = a * e - b * d
        column, row = (e * x - b * y) / determinant, (a * y - d * x) / determinant
        return np.stack([row, column], axis=1) - 0.5

    def scaled(self, scale_yx: tuple[float, float]) -> MapPlace:
        """The place of a level whose pixels are ``scale_yx`` level-0 pixels high and wide."""
        (a, b, c, d, e, f), (y, x) = self.affine, scale_yx
        return MapPlace((a * x, b * y, c, d * x, e * y, f), self.crs_wkt)


def read_place(path: str | os.PathLike[str]) -> MapPlace | None:
    """The place of a raster file, as GDAL finds it; None when it has none.

    World files and sidecars count too.

    Raises:
        ModuleNotFoundError: rasterio is not installed; the message says how to.
        RasterError: GDAL cannot read the file.
    """
    rasterio = import_optional("rasterio", extra="geo", needed_for="find a raster on the map")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(Path(path)) as dataset:
                return place_of_dataset(dataset)
        except rasterio.errors.RasterioIOError as error:
            raise RasterError(
                f"expected a raster that GDAL reads, but {path} is none ({error}); "
                "save it as GeoTIFF first"
            ) from error


def reference_of(place: MapPlace) -> GeoReference | None:
    """The GeoTIFF tags that say the same, as GDAL writes them; None when there are none.

    Raises:
        ModuleNotFoundError: rasterio is not installed; the message says how to.
    """
    rasterio = import_optional("rasterio", extra="geo", needed_for="put a mask on the map")
    one: dict[str, Any] = {"height": 1, "width": 1, "count": 1, "dtype": "uint8"}
    transform = rasterio.Affine(*place.affine)
    with rasterio.MemoryFile() as memory:
        memory.open(driver="GTiff", crs=place.crs_wkt, transform=transform, **one).close()
        with tifffile.TiffFile(io.BytesIO(memory.read())) as file:
            return read_georeference(file.pages[0])


def place_of_dataset(dataset: Any) -> MapPlace | None:
    """The place of an open ``rasterio`` dataset; None without CRS and affine."""
    affine = tuple(float(value) for value in tuple(dataset.transform)[:6])
    crs = dataset.crs
    if not crs and affine == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0):
        return None
    if not math.isfinite(sum(affine)) or affine[0] * affine[4] == affine[1] * affine[3]:
        return None
    a, b, c, d, e, f = affine
    return MapPlace((a, b, c, d, e, f), crs.to_wkt() if crs else None)
