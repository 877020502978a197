"""Reading a whole data set once, to say everything that is wrong with it in one message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from napari_edgeflow.data.base import Dataset, Sample
from napari_edgeflow.data.origin import join_problems
from napari_edgeflow.errors import DatasetError


class CheckedReader:
    """Reads samples and collects what is wrong instead of stopping at the first bad file."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read(self, dataset: Dataset) -> Iterator[tuple[int, Sample]]:
        """(index, sample) of all that can be read."""
        for index in range(len(dataset)):
            try:
                sample = dataset[index]
            except DatasetError as error:
                self.problems.append(str(error))
                continue
            yield index, sample

    def finish(self) -> None:
        """Nothing, when all was well.

        Raises:
            DatasetError: Names all problems.
        """
        if self.problems:
            raise join_problems("the data sets have faults", self.problems)


def open_all(openers: Sequence[Callable[[], Dataset]]) -> list[Dataset]:
    """The data sets that ``openers`` open.

    Raises:
        DatasetError: Names every one that cannot be opened.
    """
    opened, problems = [], []
    for opener in openers:
        try:
            opened.append(opener())
        except DatasetError as error:
            problems.append(str(error))
    if problems:
        raise join_problems("data sets cannot be opened", problems)
    return opened
