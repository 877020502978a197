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
    """

    name: str
    image: AnyArray
    labels: npt.NDArray[np.int32]
    ignore: BoolArray

    def __post_init__(self) -> None:
        if self.image.ndim not in (2, 3) or (self.image.ndim == 3 and self.image.shape[2] != 3):
            raise DatasetError(
                f"{self.name}: an image must be (H, W) or (H, W, 3), got {self.image.shape}"
            )
        if not self.image.shape[:2] == self.labels.shape == self.ignore.shape:
            raise DatasetError(
                f"{self.name}: the image is {_size(self.image)} but its mask is "
                f"{_size(self.labels)} (height x width); scale one of them to the other"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        height, width = self.labels.shape
        return height, width

    def areas(self) -> dict[int, int]:
        """Pixels of every object, by id in ascending order."""
        counts = np.bincount(self.labels.ravel())
        return {int(i): int(counts[i]) for i in np.flatnonzero(counts) if i != 0}


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
