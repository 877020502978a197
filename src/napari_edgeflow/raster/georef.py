"""The place of a raster on the map, kept as the raw tags of its TIFF file."""

from __future__ import annotations

from dataclasses import dataclass

Tag = tuple[int, int, int, object, bool]


@dataclass(frozen=True, slots=True)
class GeoReference:
    """GeoTIFF tags as they stand in the file; None for a tag that it does not have.

    Attributes:
        pixel_scale: ModelPixelScale (33550).
        tiepoint: ModelTiepoint (33922).
        transformation: ModelTransformation (34264), 16 numbers, row by row.
        key_directory: GeoKeyDirectory (34735).
        double_params: GeoDoubleParams (34736).
        ascii_params: GeoAsciiParams (34737).
        nodata: GDAL_NODATA (42113), as text.
    """

    pixel_scale: tuple[float, ...] | None = None
    tiepoint: tuple[float, ...] | None = None
    transformation: tuple[float, ...] | None = None
    key_directory: tuple[int, ...] | None = None
    double_params: tuple[float, ...] | None = None
    ascii_params: str | None = None
    nodata: str | None = None
