"""Labels seen another way: as classes, as numbers without gaps, whole."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, LabelReader, Labels, tiles
from napari_edgeflow.errors import ExportError
from napari_edgeflow.export.run import PLAIN_RUN, ExportRun

MAX_WHOLE_PX = 2**28
"""Pixels of an image that formats without tiles may hold: 1 GB of labels in memory."""


class MappedLabels:
    """Labels with each id replaced; ids that are not in the table become background."""

    def __init__(self, source: LabelReader, table: Mapping[int, int]) -> None:
        """Prepare the table.

        Args:
            source: Where they are read.
            table: New values by id.
        """
        self._source = source
        self._known = np.array([0, *sorted(table)], dtype=np.uint32)
        self._values = np.array([0, *(table[i] for i in sorted(table))], dtype=np.uint32)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._source.shape

    @property
    def highest(self) -> int:
        """No new value is above it."""
        return int(self._values.max())

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` new values of the window."""
        labels = self._source.read(window)
        if not labels.any():
            return labels
        at = np.minimum(np.searchsorted(self._known, labels), len(self._known) - 1)
        mapped: Labels = np.where(self._known[at] == labels, self._values[at], np.uint32(0))
        return mapped


def objects_only(annotated: AnnotationSet) -> MappedLabels:
    """The labels of the objects, by their ids; labels that belong to none are background."""
    return MappedLabels(annotated.labels, {r.id: r.id for r in annotated.objects})


def class_view(annotated: AnnotationSet) -> MappedLabels:
    """The class id of each pixel."""
    table = {record.id: record.class_id for record in annotated.objects}
    return MappedLabels(annotated.labels, table)


def read_whole(labels: LabelReader, what: str, run: ExportRun = PLAIN_RUN) -> Labels:
    """``(H, W) uint32`` of the whole image.

    Args:
        labels: Read tile by tile.
        what: The format, for the message.
        run: Hears how far it is.

    Raises:
        Cancelled: The run says so.
        ExportError: The image is too large for a format that needs it whole.
    """
    height, width = labels.shape
    if height * width > MAX_WHOLE_PX:
        raise ExportError(
            f"expected an image of at most {MAX_WHOLE_PX} px for {what}, got {height} × {width}; "
            "export a label TIFF, which is written tile by tile"
        )
    whole = np.empty(labels.shape, np.uint32)
    for window in tiles(labels.shape):
        run.count(window.y0, height)
        whole[window.slices] = labels.read(window)
    return whole
