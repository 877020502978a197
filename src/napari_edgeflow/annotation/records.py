"""Records, what a history is made of, and logs that keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Protocol


class RecordKind(IntEnum):
    """What a record says."""

    BEGIN = 1
    LABELS = 2
    CHANGE = 3
    UNDO = 4
    REDO = 5
    CANCEL = 6


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, a header that JSON can hold, and compressed bytes."""

    kind: int
    header: Mapping[str, Any]
    payload: bytes = b""


class RecordLog(Protocol):
    """Where a history keeps its records."""

    def append(self, record: Record) -> int:
        """The record's number, from 0; it is with the system, not yet surely on disk."""
        ...

    def commit(self) -> None:
        """Nothing; all records are on disk when this returns."""
        ...

    def read(self, number: int) -> Record:
        """A record that was appended."""
        ...


class MemoryLog:
    """Records that end with the process, for folders that cannot be written to."""

    def __init__(self) -> None:
        self._records: list[Record] = []

    def append(self, record: Record) -> int:
        """The record's number."""
        self._records.append(record)
        return len(self._records) - 1

    def commit(self) -> None:
        """Nothing to do."""

    def read(self, number: int) -> Record:
        """A record that was appended."""
        return self._records[number]


def iterate(log: RecordLog, count: int) -> Iterator[tuple[int, Record]]:
    """Numbers and records, the first ``count`` of a log."""
    read: Callable[[int], Record] = log.read
    for number in range(count):
        yield number, read(number)
