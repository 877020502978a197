"""The place of a raster on the map, kept as the raw tags of its TIFF file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

_RASTER_TYPE_KEY, _PIXEL_IS_POINT = 1025, 2
_DOUBLE, _SHORT, _ASCII = 12, 3, 2
_TAGS = {
    "pixel_scale": (33550, _DOUBLE),
    "tiepoint": (33922, _DOUBLE),
    "transformation": (34264, _DOUBLE),
    "key_directory": (34735, _SHORT),
    "double_params": (34736, _DOUBLE),
    "ascii_params": (34737, _ASCII),
    "nodata": (42113, _ASCII),
}

TiffTag = tuple[int, int, int, Any, bool]


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
        nodata: GDAL_NODATA (42113), as text: a value of the image, not of a mask of it.
    """

    pixel_scale: tuple[float, ...] | None = None
    tiepoint: tuple[float, ...] | None = None
    transformation: tuple[float, ...] | None = None
    key_directory: tuple[int, ...] | None = None
    double_params: tuple[float, ...] | None = None
    ascii_params: str | None = None
    nodata: str | None = None

    @property
    def affine(self) -> tuple[float, float, float, float, float, float] | None:
        """``(a, b, c, d, e, f)`` of ``MapPlace``, by GDAL's rules; None if the tags give none."""
        if self.transformation is not None and len(self.transformation) == 16:
            m = self.transformation
            corner = (m[0], m[1], m[3], m[4], m[5], m[7])
        elif self.pixel_scale is not None and len(self.tiepoint or ()) == 6:
            column, row, _, x, y, _ = self.tiepoint or ()
            width, height = self.pixel_scale[:2]
            corner = (width, 0.0, x - column * width, 0.0, -height, y + row * height)
        else:
            return None
        a, b, c, d, e, f = corner
        if self._counts_from_centres:
            return a, b, c - (a * 0.5 + b * 0.5), d, e, f - (d * 0.5 + e * 0.5)
        return corner

    @property
    def _counts_from_centres(self) -> bool:
        """True for GTRasterTypeGeoKey = RasterPixelIsPoint."""
        keys = self.key_directory or ()
        entries = [keys[at : at + 4] for at in range(4, len(keys) - 3, 4)]
        return (_RASTER_TYPE_KEY, 0, 1, _PIXEL_IS_POINT) in [tuple(entry) for entry in entries]

    def mask_tags(self) -> list[TiffTag]:
        """``extratags`` of tifffile that put a mask of the raster at its place.

        ``nodata`` is left out: the image's value for "nothing here" may be an object's id.
        """
        tags: list[TiffTag] = []
        for name, (code, kind) in _TAGS.items():
            value = getattr(self, name)
            if value is None or name == "nodata":
                continue
            count = len(value) + 1 if kind == _ASCII else len(value)
            tags.append((code, kind, count, value, True))
        return tags


def read_georeference(page: Any) -> GeoReference | None:
    """The georeference of a ``tifffile.TiffPage``; None when it is not on a map."""
    found = {name: _value(page, code, kind) for name, (code, kind) in _TAGS.items()}
    reference = GeoReference(**found)
    placed = [f.name for f in fields(reference) if f.name != "nodata"]
    return reference if any(found[name] is not None for name in placed) else None


def _value(page: Any, code: int, kind: int) -> Any:
    tag = page.tags.get(code)
    if tag is None:
        return None
    if kind == _ASCII:
        return tag.value if isinstance(tag.value, str) else None
    value = tag.value if isinstance(tag.value, tuple | list) else (tag.value,)
    return tuple(value)
