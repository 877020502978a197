"""Labels seen another way: as classes, as numbers without gaps, whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from napari_edgeflow._types import Window
from napari_edgeflow.annotation.objects import AnnotationSet, LabelReader, Labels, tiles
from napari_edgeflow.errors import ExportError

MAX_WHOLE_PX = 2**28
"""Pixels of an image that formats without tiles may hold: 1 GB of labels in memory."""


@dataclass(frozen=True, eq=False)
class MappedLabels:
    """Labels with each id replaced; ids that are not in the table become background.

    Attributes:
        source: Where they are read.
        table: New values by id.
    """

    source: LabelReader
    table: Mapping[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.source.shape

    def read(self, window: Window) -> Labels:
        """``(h, w) uint32`` new values of the window."""
        labels = self.source.read(window)
        known = np.array([0, *sorted(self.table)], dtype=np.uint32)
        values = np.array([0, *(self.table[i] for i in sorted(self.table))], dtype=np.uint32)
        at = np.minimum(np.searchsorted(known, labels), len(known) - 1)
        mapped: Labels = np.where(known[at] == labels, values[at], np.uint32(0))
        return mapped


def objects_only(annotated: AnnotationSet) -> MappedLabels:
    """The labels of the objects, by their ids; labels that belong to none are background."""
    return MappedLabels(annotated.labels, {r.id: r.id for r in annotated.objects})


def class_view(annotated: AnnotationSet) -> MappedLabels:
    """The class id of each pixel."""
    table = {record.id: record.class_id for record in annotated.objects}
    return MappedLabels(annotated.labels, table)


def read_whole(labels: LabelReader, what: str) -> Labels:
    """``(H, W) uint32`` of the whole image.

    Args:
        labels: Read tile by tile.
        what: The format, for the message.

    Raises:
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
        whole[window.slices] = labels.read(window)
    return whole
