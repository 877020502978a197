"""Data sets on disk and segmenters with known answers, for the tests of the evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from napari_edgeflow._types import AnyArray, BoolArray, Click
from napari_edgeflow.evaluation.segmenters import Segmenter


def write_sample(folder: Path, stem: str, image: AnyArray, ids: AnyArray) -> None:
    """An image and its mask in the folder form."""
    for name, pixels in (("images", image), ("masks", ids)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name / f"{stem}.png")


def write_discs(folder: Path, *, images: int = 2, size: int = 96) -> Path:
    """Images of three bright discs each, whose grey value is 60 × their id."""
    rows, columns = np.mgrid[:size, :size]
    for number in range(images):
        ids = np.zeros((size, size), np.uint8)
        discs = ((22, 24, 9), (60, 30 + number, 13), (40, 74, 11))
        for i, (row, column, radius) in enumerate(discs, start=1):
            ids[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = i
        write_sample(folder, f"image{number}", np.asarray(60 * ids, dtype=np.uint8), ids)
    return folder


class Oracle:
    """Knows the object under the first click: all pixels of its grey value."""

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        self._image, self._value = image, -1

    def click(self, click: Click) -> BoolArray:
        if self._value < 0:
            self._value = int(self._image[click.pixel])
        return np.asarray(self._image == self._value, dtype=bool)


class Constant:
    """Says the same for every pixel, whatever is clicked."""

    def __init__(self, value: bool) -> None:
        self._value = value

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        self._shape = image.shape[:2]

    def click(self, click: Click) -> BoolArray:
        return np.full(self._shape, self._value)


class Scripted:
    """Gives the masks of a list, one for each click, and keeps what it was asked."""

    def __init__(self, masks: list[BoolArray]) -> None:
        self._masks = list(masks)
        self.clicks: list[Click] = []
        self.field_of_view = 0.0

    def begin(self, image: AnyArray, field_of_view: float) -> None:
        self.field_of_view = field_of_view

    def click(self, click: Click) -> BoolArray:
        self.clicks.append(click)
        return self._masks[len(self.clicks) - 1]


class Interrupted(Oracle):
    """An oracle whose user presses Ctrl+C after some clicks."""

    def __init__(self, clicks: int) -> None:
        self._left = clicks

    def click(self, click: Click) -> BoolArray:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return super().click(click)


@dataclass(frozen=True)
class FakeSource:
    """Builds the segmenter called ``kind``."""

    kind: str
    stop_after: int = 0

    def build(self) -> Segmenter:
        kinds: dict[str, Callable[[], Segmenter]] = {
            "oracle": Oracle,
            "empty": lambda: Constant(False),
            "full": lambda: Constant(True),
            "interrupted": lambda: Interrupted(self.stop_after),
        }
        return kinds[self.kind]()

    def identify(self) -> tuple[str, str | None]:
        return "fake", "ab" * 32

    def find_device(self) -> str:
        return "cpu"

    def options(self) -> dict[str, object]:
        return {"zoom": "none"}
