"""The place of a raster on the map, kept as the raw tags of its TIFF file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

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
