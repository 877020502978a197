"""What a data set hands out: an image, its objects and the pixels that nobody judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from napari_edgeflow._types import AnyArray, BoolArray
from napari_edgeflow.errors import DatasetError


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One annotated image.

    Attributes:
        name: Unique in its data set.
        image: ``(H, W)`` or ``(H, W, 3)``, of the file's own dtype and range.
        labels: ``(H, W) int32``: 0 background, 1…N objects; 0 where ``ignore`` is set.
        ignore: ``(H, W) bool``: pixels that belong neither to an object nor to the background.
        above: More label images like ``labels``, of objects that overlap those below; an id
            occurs in one of them only. Most data sets need none.
    """

    name: str
    image: AnyArray
    labels: npt.NDArray[np.int32]
    ignore: BoolArray
    above: tuple[npt.NDArray[np.int32], ...] = ()

    def __post_init__(self) -> None:
        if self.image.ndim not in (2, 3) or (self.image.ndim == 3 and self.image.shape[2] != 3):
            raise DatasetError(
                f"{self.name}: an image must be (H, W) or (H, W, 3), got {self.image.shape}"
            )
        shapes = {labels.shape for labels in self.layers} | {self.ignore.shape}
        if shapes != {self.image.shape[:2]}:
            raise DatasetError(
                f"{self.name}: the image is {_size(self.image)} but its mask is "
                f"{_size(self.labels)} (height x width); scale one of them to the other"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.labels.shape
        return height, width

    @property
    def layers(self) -> tuple[npt.NDArray[np.int32], ...]:
        """``labels`` and what lies above them."""
        return self.labels, *self.above

    def areas(self) -> dict[int, int]:
        """Pixels of every object, by id in ascending order."""
        areas: dict[int, int] = {}
        for labels in self.layers:
            ids, counts = np.unique(labels, return_counts=True)
            pairs = zip(ids.tolist(), counts.tolist(), strict=True)
            areas.update((i, count) for i, count in pairs if i != 0)
        return dict(sorted(areas.items()))

    def mask(self, object_id: int) -> BoolArray:
        """``(H, W) bool``: the whole object, also where others overlap it."""
        for labels in self.layers:
            found = np.asarray(labels == object_id, dtype=bool)
            if object_id != 0 and found.any():
                return found
        return np.zeros(self.shape, dtype=bool)


class Dataset(Protocol):
    """Annotated images in an order that never changes."""

    @property
    def name(self) -> str:
        """Short name, for reports."""
        ...

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """The sample at ``index``.

        Raises:
            DatasetError: Its files cannot be read or do not belong together.
        """
        ...

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        ...


def _size(array: AnyArray) -> str:
    """``height x width`` of an array, for messages."""
    return " x ".join(str(n) for n in array.shape[:2])
