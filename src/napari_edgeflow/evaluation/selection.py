"""Which objects are clicked on, and how much of the image the user looks at.

Both depend on the data alone, so that every model meets the same objects in the same view.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from napari_edgeflow.data.base import Dataset, Sample
from napari_edgeflow.data.check import CheckedReader

View = Literal["full", "3x"]
"""``full``: the whole image; ``3x``: a square three times the object's longer side."""

VIEWS: tuple[View, ...] = get_args(View)

MIN_AREA_PX = 16
"""Smaller objects are left out unless asked for: nobody can draw them to an IoU of 0.9."""

MIN_VIEW_PX = 64
"""Nobody zooms in further than this."""


@dataclass(frozen=True, slots=True)
class Target:
    """One object to click on.

    Attributes:
        dataset: Name of the data set.
        index: Position of its sample there.
        sample: Name of the sample.
        object_id: Id in the sample's labels.
        area_px: Its pixels.
        field_of_view: Side in pixels of the square that the user looks at first.
    """

    dataset: str
    index: int
    sample: str
    object_id: int
    area_px: int
    field_of_view: float

    @property
    def key(self) -> tuple[str, str, int]:
        """(dataset, sample, object id): unique in an evaluation."""
        return self.dataset, self.sample, self.object_id


def list_targets(
    dataset: Dataset,
    view: View,
    *,
    min_area_px: int = MIN_AREA_PX,
    reader: CheckedReader | None = None,
) -> list[Target]:
    """Every object of at least ``min_area_px`` pixels, in the data set's order.

    Args:
        dataset: Where they are; all of its files are read and so checked.
        view: What the user looks at.
        min_area_px: Smaller objects are left out.
        reader: Collects what is wrong with the files; None stops at the first.

    Raises:
        DatasetError: A file is bad, and there is no ``reader``.
    """
    targets: list[Target] = []
    for index, sample in enumerate(dataset) if reader is None else reader.read(dataset):
        sides = longer_sides(sample)
        targets.extend(
            Target(
                dataset=dataset.name,
                index=index,
                sample=sample.name,
                object_id=object_id,
                area_px=area,
                field_of_view=field_of_view(view, sample.shape, sides[object_id]),
            )
            for object_id, area in sample.areas().items()
            if area >= min_area_px
        )
    return targets


def choose(targets: Sequence[Target], max_objects: int | None, seed: int) -> list[Target]:
    """At most ``max_objects`` of one data set's targets, drawn at random, in their order.

    The draw depends on ``seed``, the data set's name and its objects only, and a smaller
    draw is a part of a larger one.
    """
    if max_objects is None or len(targets) <= max_objects:
        return list(targets)
    name = zlib.crc32(targets[0].dataset.encode())
    order = np.random.default_rng([seed, name]).permutation(len(targets))
    return [targets[position] for position in sorted(order[:max_objects])]


def field_of_view(view: View, shape: tuple[int, int], longer_side: int) -> float:
    """Side in pixels of the square that the user looks at.

    Args:
        view: ``full`` or ``3x``.
        shape: (H, W) of the image.
        longer_side: Longer side in pixels of the object's box.
    """
    whole = max(shape)
    return float(whole if view == "full" else min(whole, max(MIN_VIEW_PX, 3 * longer_side)))


def longer_sides(sample: Sample) -> dict[int, int]:
    """Longer side in pixels of the box of every object, by id."""
    sides: dict[int, int] = {}
    for labels in sample.layers:
        rows, columns = np.nonzero(labels)
        ids, numbers = np.unique(labels[rows, columns], return_inverse=True)
        longest = np.zeros(len(ids), dtype=np.int64)
        for places in (rows, columns):
            low, high = np.full(len(ids), np.iinfo(np.int64).max), np.full(len(ids), -1)
            np.minimum.at(low, numbers, places)
            np.maximum.at(high, numbers, places)
            np.maximum(longest, high - low + 1, out=longest)
        sides.update(zip(ids.tolist(), longest.tolist(), strict=True))
    return sides
