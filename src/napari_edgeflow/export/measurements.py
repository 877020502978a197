"""Measurements as CSV: one row for each object, in pixels and in units of length."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_edgeflow._files import write_whole
from napari_edgeflow.annotation.objects import AnnotationSet, ImageInfo, ObjectRecord
from napari_edgeflow.export.geo_measure import MapRuler
from napari_edgeflow.export.measure import Frame, ObjectSize, band_names, measure_object
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun
from napari_edgeflow.export.stacks import stack_position

_NO_UNITS = ("", "pixel", "pixels", "px")
_UNITS = {"µm": "um", "μm": "um", "micrometer": "um", "micrometre": "um", "micron": "um",
          "microns": "um", "nanometer": "nm", "millimeter": "mm", "meter": "m",
          "metre": "m"}  # fmt: skip

Row = dict[str, object]


def write_measurements(
    path: Path, sets: Sequence[AnnotationSet], run: ExportRun = PLAIN_RUN
) -> tuple[str, ...]:
    """What the file could not hold, in words.

    Columns that only some images have (units, channels, planes) are empty for the others.
    Numbers are written so that they read back the same.

    Raises:
        Cancelled: The run says so; nothing is left behind.
        ExportError: The file cannot be written.
        ModuleNotFoundError: An image lies on the map and pyproj is not installed.
    """
    rows: list[Row] = []
    for number, annotated in enumerate(sets):
        rows += _rows(annotated, run.part(number / len(sets), (number + 1) / len(sets)))
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["image", "id"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode("utf-8-sig"))  # the mark tells spreadsheets UTF-8
    return _notes(sets)


def _notes(sets: Sequence[AnnotationSet]) -> tuple[str, ...]:
    notes = ["outlines are not in a table"]
    if any(one.raster is None for one in sets):
        notes.append("without the image there are no intensities")
    if any(_unit(one.image) is None for one in sets):
        notes.append("without a pixel size there are pixels only")
    return tuple(notes)


def _rows(annotated: AnnotationSet, run: ExportRun) -> list[Row]:
    place = annotated.image.place
    ruler = None if place is None or place.crs_wkt is None else MapRuler(place)
    names = [] if annotated.raster is None else band_names(annotated.raster)
    rows = []
    for number, record in enumerate(annotated.objects):
        run.count(number, len(annotated.objects))
        size = measure_object(annotated, record, annotated.raster)
        row = _describe(annotated, record) | _in_pixels(record, size)
        row |= _on_map(annotated.image, size) | _in_units(annotated.image, size, ruler)
        rows.append(row | _brightness(size, names))
    return rows


def _describe(annotated: AnnotationSet, record: ObjectRecord) -> Row:
    return {
        "image": annotated.image.name,
        **stack_position(record.plane),
        "id": record.id,
        "name": record.name,
        "class_id": record.class_id,
        "class": annotated.class_of(record).name,
    }


def _in_pixels(record: ObjectRecord, size: ObjectSize) -> Row:
    box = record.box
    return {
        "area_px": size.area_px,
        "perimeter_px": size.perimeter(),
        "centroid_y_px": size.y,
        "centroid_x_px": size.x,
        "box_y0_px": box.y0,
        "box_x0_px": box.x0,
        "box_y1_px": box.y1,
        "box_x1_px": box.x1,
    }


def _on_map(image: ImageInfo, size: ObjectSize) -> Row:
    if image.place is None:
        return {}
    ((x, y),) = image.place.to_map(np.array([[size.y, size.x]])).tolist()
    return {"centroid_map_x": x, "centroid_map_y": y}


def _in_units(image: ImageInfo, size: ObjectSize, ruler: MapRuler | None) -> Row:
    """Area and perimeter in metres on the map, else in the unit of the pixel size."""
    frame = None if ruler is None else ruler.frame_at(size.y, size.x)
    if frame is not None:
        return {"area_m2": size.area_px * frame.pixel_area, "perimeter_m": size.perimeter(frame)}
    unit = _unit(image)
    if ruler is not None or unit is None or image.pixel_size_yx is None:
        return {}  # a map without a unit of length has none of the pixel size either
    height, width = image.pixel_size_yx
    frame = Frame((0.0, height), (width, 0.0))
    return {
        f"area_{unit}2": size.area_px * frame.pixel_area,
        f"perimeter_{unit}": size.perimeter(frame),
        f"centroid_y_{unit}": size.y * height,
        f"centroid_x_{unit}": size.x * width,
    }


def _unit(image: ImageInfo) -> str | None:
    """The unit for column names; ``m`` for an image on the map; None when nothing is known."""
    if image.place is not None and image.place.crs_wkt is not None:
        return "m"
    unit = image.unit.strip()
    if image.pixel_size_yx is None or unit.lower() in _NO_UNITS:
        return None
    return _UNITS.get(unit.lower(), unit)


def _brightness(size: ObjectSize, names: Sequence[str | None]) -> Row:
    row: Row = {}
    for name, band in zip(names, size.bands, strict=True):
        if name is not None:
            values = (band.mean, band.low, band.high, band.std)
            for word, value in zip(("mean", "min", "max", "std"), values, strict=True):
                row[f"{name}_{word}"] = value if band.count and math.isfinite(value) else ""
    return row
