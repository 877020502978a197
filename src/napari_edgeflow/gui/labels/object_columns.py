"""The columns of the object table: what each shows of an object, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from napari_edgeflow.annotation.classes import ClassList
from napari_edgeflow.annotation.objects import ObjectRecord, PlaneIndex
from napari_edgeflow.gui.pixel_size import PixelSize

CLASS, NAME, AREA_UNIT, SLICE = "class", "name", "area", "slice"


class About:
    """What the columns need besides the object.

    Args:
        classes: In the user's order.
        pixel: Size of a pixel; None when there is no image.
    """

    def __init__(self, classes: ClassList, pixel: PixelSize | None = None) -> None:
        self.classes = classes
        self.pixel = pixel
        self.unit = f"{pixel.unit}²" if pixel is not None and pixel.unit else ""
        self._names = {one.id: one.name for one in classes}
        self._pixel_areas: dict[PlaneIndex, float | None] = {}

    def class_name(self, class_id: int) -> str:
        """Its name; its number when the list lacks it."""
        return self._names.get(class_id, str(class_id))

    def area(self, record: ObjectRecord) -> float | None:
        """Of the object, in ``unit``; None when it is not known."""
        if not self.unit or self.pixel is None:
            return None
        if record.plane not in self._pixel_areas:
            self._pixel_areas[record.plane] = self.pixel.area(record.plane)
        pixel = self._pixel_areas[record.plane]
        return None if pixel is None else record.area_px * pixel


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: Names it.
        title: Its heading.
        tooltip: Of the heading.
        text: What a cell shows.
        rank: What rows are sorted by; of one type in a column.
        is_number: Numbers stand on the right.
        example: A text as wide as most.
    """

    key: str
    title: str
    tooltip: str
    text: Callable[[ObjectRecord, About], str]
    rank: Callable[[ObjectRecord, About], Any]
    is_number: bool = False
    example: str = "00000"


def state_words(record: ObjectRecord) -> str:
    """``hidden``, ``locked``, both or nothing."""
    return ", ".join(["hidden"] * record.is_hidden + ["locked"] * record.is_locked)


def clicks_text(record: ObjectRecord) -> str:
    """Clicks on and beside the object, and on its boundary if any; empty without clicks."""
    if not record.clicks:
        return ""
    n_boundary = len(record.clicks) - record.n_positive - record.n_negative
    edge = f" ~{n_boundary}" if n_boundary else ""
    return f"+{record.n_positive} −{record.n_negative}{edge}"


def area_text(area: float | None) -> str:
    """Four digits at least, no exponent for everyday sizes."""
    if area is None:
        return ""
    return f"{area:.0f}" if 1000 <= area < 1e12 else f"{area:.4g}"


def time_text(created: str) -> str:
    """Local time to the minute; as it stands when it is no time."""
    try:
        return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return created


def slice_numbers(record: ObjectRecord) -> tuple[int, ...]:
    """Positions of the object's plane along the other axes of the stack."""
    return tuple(at for at in record.plane if at is not None)


COLUMNS: tuple[Column, ...] = (
    Column(
        "id", "Id", "Number of the object: its value in the labels",
        lambda r, _: str(r.id), lambda r, _: r.id, is_number=True,
    ),
    Column(
        CLASS, "Class", "What the object is, with the class's colour",
        lambda r, a: a.class_name(r.class_id),
        lambda r, a: a.class_name(r.class_id).casefold(), example="building",
    ),
    Column(
        NAME, "Name", "Its name, if you gave it one; F2 to change it",
        lambda r, _: r.name, lambda r, _: r.name.casefold(), example="my object",
    ),
    Column(
        "area_px", "Area (px)", "Pixels",
        lambda r, _: str(r.area_px), lambda r, _: r.area_px, is_number=True, example="Area (px)0",
    ),
    Column(
        AREA_UNIT, "Area", "Area in the image's units: pixels times the size of a pixel",
        lambda r, a: area_text(a.area(r)), lambda r, a: a.area(r) or 0.0,
        is_number=True, example="Area (µm²)",
    ),
    Column(
        "clicks", "Clicks", "+ on the object, − beside it, ~ on its boundary",
        lambda r, _: clicks_text(r), lambda r, _: len(r.clicks), is_number=True, example="+00 −00",
    ),
    Column(
        "state", "State", "Hidden: not shown. Locked: neither overwritten nor changed",
        lambda r, _: state_words(r), lambda r, _: state_words(r), example="hidden",
    ),
    Column(
        "model", "Model", "The network that made it; empty when it came from elsewhere",
        lambda r, _: r.model, lambda r, _: r.model.casefold(), example="edgeflow-18s",
    ),
    Column(
        "time", "Time", "When it was finished, local time",
        lambda r, _: time_text(r.created), lambda r, _: r.created, example="2026-12-31 23:59",
    ),
    Column(
        SLICE, "Slice", "Where in the stack",
        lambda r, _: ", ".join(map(str, slice_numbers(r))), lambda r, _: slice_numbers(r),
        is_number=True,
    ),
)  # fmt: skip


def number_of(key: str) -> int:
    """Position of a column."""
    return next(number for number, column in enumerate(COLUMNS) if column.key == key)


def search_text(record: ObjectRecord, about: About) -> str:
    """What the filter box looks in: id, class, name, state and model, lower case."""
    words = (str(record.id), about.class_name(record.class_id), record.name, state_words(record))
    return "\n".join((*words, record.model)).casefold()
