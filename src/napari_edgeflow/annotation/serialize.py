"""The annotation's values as JSON and back, field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_edgeflow._types import Click, Window
from napari_edgeflow.annotation.objects import ImageInfo, ObjectRecord, PostProcessing
from napari_edgeflow.raster.georef import GeoReference
from napari_edgeflow.raster.place import MapPlace


def click_to_json(click: Click) -> list[Any]:
    """``[y, x, kind]``."""
    return [click.y, click.x, click.kind]


def click_from_json(item: Sequence[Any]) -> Click:
    """The click of ``[y, x, kind]``."""
    y, x, kind = item
    if kind not in ("positive", "negative", "boundary"):
        raise ValueError(f"expected a kind of click, got {kind!r}")
    return Click.of_kind(float(y), float(x), kind)


def window_to_json(window: Window) -> list[int]:
    """``[y0, x0, y1, x1]``."""
    return [window.y0, window.x0, window.y1, window.x1]


def window_from_json(item: Sequence[Any]) -> Window:
    """The window of ``[y0, x0, y1, x1]``."""
    y0, x0, y1, x1 = map(int, item)
    return Window(y0, x0, y1, x1)


def settings_to_json(settings: PostProcessing) -> dict[str, Any]:
    """A mapping of its fields."""
    return asdict(settings)


def settings_from_json(item: Mapping[str, Any]) -> PostProcessing:
    """The settings of such a mapping."""
    return PostProcessing(
        float(item["threshold"]),
        bool(item["largest_component"]),
        bool(item["fill_holes"]),
        int(item["min_part_px"]),
        float(item["smooth_px"]),
    )


def record_to_json(record: ObjectRecord) -> dict[str, Any]:
    """A mapping of its fields."""
    return {
        "id": record.id,
        "class_id": record.class_id,
        "box": window_to_json(record.box),
        "area_px": record.area_px,
        "name": record.name,
        "clicks": [click_to_json(click) for click in record.clicks],
        "model": record.model,
        "model_sha256": record.model_sha256,
        "created": record.created,
        "is_hidden": record.is_hidden,
        "is_locked": record.is_locked,
        "settings": settings_to_json(record.settings),
        "field_of_view": record.field_of_view,
        "plane": list(record.plane),
        "is_edited": record.is_edited,
    }


def record_from_json(item: Mapping[str, Any]) -> ObjectRecord:
    """The object of such a mapping."""
    view = item["field_of_view"]
    return ObjectRecord(
        id=int(item["id"]),
        class_id=int(item["class_id"]),
        box=window_from_json(item["box"]),
        area_px=int(item["area_px"]),
        name=str(item["name"]),
        clicks=tuple(click_from_json(click) for click in item["clicks"]),
        model=str(item["model"]),
        model_sha256=str(item["model_sha256"]),
        created=str(item["created"]),
        is_hidden=bool(item["is_hidden"]),
        is_locked=bool(item["is_locked"]),
        settings=settings_from_json(item["settings"]),
        field_of_view=None if view is None else float(view),
        plane=tuple(item["plane"]),
        is_edited=bool(item.get("is_edited", False)),  # version 1 of the journal has none
    )


def image_to_json(image: ImageInfo) -> dict[str, Any]:
    """A mapping of its fields."""
    return {
        "name": image.name,
        "shape": list(image.shape),
        "pixel_size_yx": image.pixel_size_yx,
        "unit": image.unit,
        "georeference": None if image.georeference is None else asdict(image.georeference),
        "path": None if image.path is None else str(image.path),
        "place": None if image.place is None else asdict(image.place),
    }


def image_from_json(item: Mapping[str, Any]) -> ImageInfo:
    """The image of such a mapping."""
    rows, columns = map(int, item["shape"])
    size, place, path = item["pixel_size_yx"], item["georeference"], item["path"]
    return ImageInfo(
        str(item["name"]),
        (rows, columns),
        None if size is None else (float(size[0]), float(size[1])),
        str(item["unit"]),
        None if place is None else _georeference(place),
        None if path is None else Path(path),
        _place(item.get("place")),
    )


def _place(item: Mapping[str, Any] | None) -> MapPlace | None:
    """The place on the map; None where there is none, and in files from before it was kept."""
    if item is None:
        return None
    a, b, c, d, e, f = map(float, item["affine"])
    return MapPlace((a, b, c, d, e, f), item["crs_wkt"])


def _georeference(item: Mapping[str, Any]) -> GeoReference:
    tags: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in item.items()
    }
    return GeoReference(**tags)
