"""One row of ``objects.csv`` per object: written as they come, read to go on or to report."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_edgeflow._types import Click
from napari_edgeflow.errors import DatasetError
from napari_edgeflow.evaluation.clicker import ClickedObject
from napari_edgeflow.evaluation.selection import Target

COLUMNS = (
    "dataset",
    "sample",
    "object_id",
    "area_px",
    "field_of_view",
    "ious",
    "seconds",
    "clicks_y_x_sign",
    "stabilities",
)


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """All that is kept of one object but its mask.

    Attributes:
        dataset: Name of the data set.
        sample: Name of the sample.
        object_id: Id in the sample's labels.
        area_px: Its pixels.
        field_of_view: Side in pixels of the square that the user looked at first.
        ious: IoU after each click.
        seconds: Duration of each click.
        clicks: In order.
        stabilities: IoU with the mask before, outside of the click's neighbourhood, for each
            click but the first; none in files of earlier releases.
    """

    dataset: str
    sample: str
    object_id: int
    area_px: int
    field_of_view: float
    ious: tuple[float, ...]
    seconds: tuple[float, ...]
    clicks: tuple[Click, ...]
    stabilities: tuple[float, ...] = ()

    @classmethod
    def of(cls, target: Target, clicked: ClickedObject) -> ObjectRecord:
        """The record of what happened on ``target``."""
        return cls(
            dataset=target.dataset,
            sample=target.sample,
            object_id=target.object_id,
            area_px=target.area_px,
            field_of_view=target.field_of_view,
            ious=clicked.ious,
            seconds=clicked.seconds,
            clicks=clicked.clicks,
            stabilities=clicked.stabilities,
        )

    @property
    def key(self) -> tuple[str, str, int]:
        """(dataset, sample, object id): unique in an evaluation."""
        return self.dataset, self.sample, self.object_id


def header_line() -> str:
    """The first line of the file."""
    return _csv_line(COLUMNS)


def record_line(record: ObjectRecord) -> str:
    """The line of one object."""
    return _csv_line(
        (
            record.dataset,
            record.sample,
            record.object_id,
            record.area_px,
            repr(record.field_of_view),
            " ".join(repr(value) for value in record.ious),
            " ".join(repr(value) for value in record.seconds),
            " ".join(_click_text(click) for click in record.clicks),
            " ".join(repr(value) for value in record.stabilities),
        )
    )


def read_records(path: Path) -> list[ObjectRecord]:
    """The whole records of a CSV file; a last line that was cut off is left out.

    Raises:
        DatasetError: The file is not one of ours.
    """
    text = path.read_text(encoding="utf-8")
    rows = list(csv.reader(text.splitlines()[: text.count("\n")]))
    if not rows or tuple(rows[0]) not in (COLUMNS, COLUMNS[:-1]):
        raise DatasetError(f"{path}: expected the columns {', '.join(COLUMNS)}; remove the file")
    try:
        return [_record(row) for row in rows[1:]]
    except (ValueError, IndexError) as error:
        raise DatasetError(f"{path}: a row cannot be read ({error}); remove the file") from error


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _record(row: list[str]) -> ObjectRecord:
    dataset, sample, object_id, area, view, ious, seconds, clicks, *rest = row
    return ObjectRecord(
        dataset=dataset,
        sample=sample,
        object_id=int(object_id),
        area_px=int(area),
        field_of_view=float(view),
        ious=tuple(float(value) for value in ious.split()),
        seconds=tuple(float(value) for value in seconds.split()),
        clicks=tuple(_click(text) for text in clicks.split()),
        stabilities=tuple(float(value) for text in rest for value in text.split()),
    )


def _click_text(click: Click) -> str:
    row, column = click.pixel
    return f"{row},{column},{'+' if click.is_positive else '-'}"


def _click(text: str) -> Click:
    row, column, sign = text.split(",")
    return Click(float(row), float(column), sign == "+")
