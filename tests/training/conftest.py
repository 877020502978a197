"""Synthetic data sets: one white object on black an image, with the truth known exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

Picture = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]
MakeDataset = Callable[..., Path]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def picture(shape: tuple[int, int], rng: np.random.Generator, *, with_ignore: bool) -> Picture:
    """White ellipse or box of id 7 on black, (H, W, 3), and a stripe to ignore at its foot."""
    height, width = shape
    radius_y, radius_x = (int(rng.integers(size // 6, size // 3)) for size in shape)
    centre_y = int(rng.integers(radius_y, height - radius_y))
    centre_x = int(rng.integers(radius_x, width - radius_x))
    y, x = np.mgrid[:height, :width]
    if rng.random() < 0.5:
        inside = ((y - centre_y) / radius_y) ** 2 + ((x - centre_x) / radius_x) ** 2 <= 1
    else:
        inside = (abs(y - centre_y) <= radius_y) & (abs(x - centre_x) <= radius_x)
    labels = np.where(inside, 7, 0).astype(np.uint16)
    grey = np.where(inside, 255, 0).astype(np.uint8)
    if with_ignore:
        labels[centre_y + radius_y // 2 : centre_y + radius_y] = 65535
    return np.repeat(grey[..., None], 3, axis=2), labels


def write_dataset(folder: Path, pictures: list[Picture]) -> Path:
    """A folder with ``images/`` and ``masks/`` of these pictures."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, (image, labels) in enumerate(pictures):
        cv2.imwrite(str(folder / "images" / f"{number:03}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "masks" / f"{number:03}.png"), labels)
    return folder


@pytest.fixture
def make_dataset(tmp_path: Path) -> MakeDataset:
    """Writes a data set of random objects called ``name``."""

    def make(
        name: str,
        shapes: list[tuple[int, int]],
        *,
        with_ignore: bool = False,
        seed: int = 0,
    ) -> Path:
        rng = np.random.default_rng(seed)
        pictures = [picture(shape, rng, with_ignore=with_ignore) for shape in shapes]
        return write_dataset(tmp_path / "data" / name, pictures)

    return make
