"""Data sets whose images are listed by name in a text file, one list for each split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_edgeflow._types import LabelArray
from napari_edgeflow.data.base import Sample
from napari_edgeflow.data.folder import read_image
from napari_edgeflow.data.origin import join_problems, name_some
from napari_edgeflow.errors import DatasetError


class ListedDataset:
    """Images with masks of ids, named in a list.

    Args:
        path: Folder of the data set.
        name: For reports.
        stems: Names of the images, without suffixes.
        image_form: Path of an image from ``path``, with ``{}`` for its name.
        mask_form: The same of a mask.
        read_ids: ``(H, W)`` ids of a mask file.
        ignore_id: Id of the pixels that belong to nobody; None: there are none.

    Raises:
        DatasetError: Files are missing; the message says how many and names some.
    """

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        stems: Sequence[str],
        image_form: str,
        mask_form: str,
        read_ids: Callable[[Path], LabelArray],
        ignore_id: int | None,
    ) -> None:
        self.path, self.name = path, name
        self._stems = list(stems)
        self._image_form, self._mask_form = image_form, mask_form
        self._read_ids, self._ignore_id = read_ids, ignore_id
        problems = []
        for form in (image_form, mask_form):
            lacking = [stem for stem in stems if not (path / form.format(stem)).is_file()]
            if lacking:
                folder = Path(form).parent
                problems.append(f"{folder}/ lacks {name_some([form.format(s) for s in lacking])}")
        if problems:
            raise join_problems(f"{path} is incomplete", problems)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._stems)

    def __getitem__(self, index: int) -> Sample:
        """The image at ``index`` with its objects.

        Raises:
            DatasetError: A file cannot be read, or image and mask differ in size.
        """
        stem = self._stems[index]
        ids = self._read_ids(self.path / self._mask_form.format(stem))
        ignore = np.zeros(ids.shape, dtype=bool)
        if self._ignore_id is not None:
            ignore = np.asarray(ids == self._ignore_id, dtype=bool)
        labels = np.where(ignore, 0, ids).astype(np.int32)
        image = read_image(self.path / self._image_form.format(stem))
        try:
            return Sample(stem, image, labels, ignore)
        except DatasetError as error:
            raise DatasetError(f"{self.path}: {error}") from error

    def __iter__(self) -> Iterator[Sample]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))


def read_list(path: Path) -> list[str]:
    """The names in a text file, one a line.

    Raises:
        DatasetError: It cannot be read, is empty, or has a name twice.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        raise DatasetError(
            f"{path}: expected a list of image names ({error}); splits that are there: {known}"
        ) from error
    if not names or len(set(names)) != len(names):
        raise DatasetError(f"{path}: expected image names, each once, one a line")
    return names
