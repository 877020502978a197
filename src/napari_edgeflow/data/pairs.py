"""Benchmarks of one object an image: a folder of images beside a folder of masks.

GrabCut, Berkeley, DAVIS and COCO_MVal share this form and differ in names and in what the
values of a mask mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from napari_edgeflow._types import AnyArray, BoolArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.folder import IMAGE_SUFFIXES, MASK_SUFFIXES, read_image
from napari_edgeflow.data.origin import Origin, find_folder, join_problems, name_some
from napari_edgeflow.errors import DatasetError

ReadMask = Callable[[AnyArray], tuple[BoolArray, BoolArray]]
"""From the pixels of a mask file to ``(H, W) bool`` object and ``(H, W) bool`` ignore."""

_MASK_SUFFIXES = MASK_SUFFIXES | {".bmp", ".jpg"}


class PairDataset:
    """Images and masks of the same stem, with one object an image.

    Args:
        path: Folder of the data set.
        name: For reports.
        origin: Where to get it.
        folders: Names of the folders of images and of masks.
        read_mask: What a mask's values mean.
        below: Sub-folders of ``path`` to look in as well.

    Raises:
        DatasetError: Folders or files are missing; the message names all of them.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        origin: Origin,
        folders: tuple[str, str],
        read_mask: ReadMask,
        below: tuple[str, ...] = (),
    ) -> None:
        found = find_folder(path, folders, below)
        if found is None:
            lacking = [f"{f}/" for f in folders if not (path / f).is_dir()]
            raise origin.missing(path, lacking)
        self.path, self.name, self._read_mask = found, name, read_mask
        images = _by_stem(found / folders[0], IMAGE_SUFFIXES)
        masks = _by_stem(found / folders[1], _MASK_SUFFIXES)
        _check_pairs(found, folders, images, masks)
        self._pairs = [(stem, images[stem], masks[stem]) for stem in sorted(images)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._pairs)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index`` with its one object, whose id is 1.

        Raises:
            DatasetError: A file cannot be read, sizes differ, or the mask is empty.
        """
        stem, image_path, mask_path = self._pairs[index]
        pixels = read_image(mask_path)
        grey = pixels if pixels.ndim == 2 else pixels.max(axis=2)
        truth, ignore = self._read_mask(grey)
        if not truth.any():
            raise DatasetError(
                f"{mask_path}: expected a mask with one object, got none (values "
                f"{name_some([str(v) for v in np.unique(grey)])}); replace the file"
            )
        try:
            return Sample(stem, read_image(image_path), truth.astype(np.int32), ignore)
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}") from error

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def object_above_128(values: AnyArray) -> tuple[BoolArray, BoolArray]:
    """GrabCut's and Berkeley's masks: above 128 is the object, 128 itself belongs to nobody."""
    return np.asarray(values > 128), np.asarray(values == 128)


def object_above_0(values: AnyArray) -> tuple[BoolArray, BoolArray]:
    """DAVIS' and COCO_MVal's masks: every value but 0 is the object, all instances as one."""
    truth = np.asarray(values > 0)
    return truth, np.zeros_like(truth)


def _by_stem(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    paths = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    return {path.stem: path for path in paths if path.suffix.lower() in suffixes}


def _check_pairs(
    path: Path, folders: tuple[str, str], images: dict[str, Path], masks: dict[str, Path]
) -> None:
    """Raise one DatasetError of all that is missing."""
    problems = []
    if not images:
        problems.append(f"{folders[0]}/ holds no image")
    for lacking, where in (
        (sorted(set(images) - set(masks)), f"{folders[1]}/ has no mask of"),
        (sorted(set(masks) - set(images)), f"{folders[0]}/ has no image of"),
    ):
        if lacking:
            problems.append(f"{where} {name_some(lacking)}")
    if problems:
        raise join_problems(f"{path} is incomplete", problems)
