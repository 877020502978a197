"""The journal: records added at the end of one file, safe on disk before anything is applied."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from napari_edgeflow.annotation.journal_file import (
    Recovery,
    encode,
    plain_errors,
    read_at,
    recover,
    sync_folder,
    write_all,
)
from napari_edgeflow.annotation.lock import Lock
from napari_edgeflow.annotation.records import Record
from napari_edgeflow.errors import JournalError


class Journal:
    """A journal file, open for this process alone; use ``Journal.open``, then ``close``.

    Attributes:
        path: The file.
        recovery: What was found in it.
        n_saved: Records that are surely on disk.
    """

    def __init__(
        self, path: Path, lock: Lock, file: BinaryIO, places: list[int], recovery: Recovery
    ) -> None:
        self.path = path
        self.recovery = recovery
        self.n_saved = len(places)
        self._lock = lock
        self._file = file
        self._places = places
        self._end = file.seek(0, os.SEEK_END)
        self._is_broken = False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Journal:
        """The journal in this file, a new one where there is none.

        A damaged end is copied to ``NAME.damaged-…`` beside it before it is cut off.

        Raises:
            JournalLockedError: Somebody else has it open.
            JournalError: It is no journal, or the folder cannot be written to.
        """
        target = Path(path)
        lock = Lock.acquire(target.with_name(f"{target.name}.lock"))
        file: BinaryIO | None = None
        try:
            with plain_errors(target):
                file = target.open("r+b" if target.exists() else "x+b", buffering=0)
                places, recovery = recover(target, file)
            return cls(target, lock, file, places, recovery)
        except BaseException:
            if file is not None:
                file.close()
            lock.release()
            raise

    def __len__(self) -> int:
        return len(self._places)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def append(self, record: Record) -> int:
        """The record's number, from 0; it survives this process, though not yet the computer.

        Raises:
            JournalError: It cannot be written; the journal is as it was before.
        """
        self._check_usable()
        data = encode(record)
        with plain_errors(self.path):
            try:
                self._file.seek(self._end)
                write_all(self._file, data)
            except BaseException:
                self._take_back()
                raise
        self._places.append(self._end)
        self._end += len(data)
        return len(self._places) - 1

    def commit(self) -> None:
        """Nothing; all records are on disk when this returns.

        Raises:
            JournalError: The system cannot promise that; records since the last commit are
                taken back.
        """
        self._check_usable()
        with plain_errors(self.path):
            try:
                os.fsync(self._file.fileno())
            except BaseException:
                if self.n_saved < len(self._places):
                    self._end = self._places[self.n_saved]
                    del self._places[self.n_saved :]
                self._take_back()
                raise
        self.n_saved = len(self._places)

    def read(self, number: int) -> Record:
        """A record by its number.

        Raises:
            JournalError: It cannot be read any more.
        """
        with plain_errors(self.path):
            found = read_at(self._file, self._places[number])
        if found is None:
            raise JournalError(
                f"expected record {number} of {self.path} to be whole, but the file was changed "
                "from outside; restore it from a backup"
            )
        return found[0]

    @property
    def n_bytes(self) -> int:
        """Length of the file."""
        return self._end

    def replace_with(self, other: Path) -> None:
        """Become the journal in this file of the same folder, in one step; its name stays.

        Raises:
            JournalError: It cannot be; the journal is as it was before.
        """
        self._check_usable()
        with plain_errors(self.path):
            file: BinaryIO = other.open("r+b", buffering=0)
            try:
                places, _ = recover(other, file)
                if sys.platform == "win32":  # an open file cannot be replaced there
                    self._file.close()
                    file.close()
                other.replace(self.path)
                if sys.platform == "win32":
                    file = self.path.open("r+b", buffering=0)
                sync_folder(self.path.parent)
            except BaseException:
                file.close()
                raise
        self._file.close()
        self._file, self._places = file, places
        self._end = file.seek(0, os.SEEK_END)
        self.n_saved = len(places)

    def close(self) -> None:
        """Let go of file and lock."""
        self._file.close()
        self._lock.release()

    def _check_usable(self) -> None:
        if self._is_broken or self._file.closed:
            raise JournalError(
                f"expected a journal that can be written, but {self.path} "
                f"{'failed before' if self._is_broken else 'is closed'}; open it again"
            )

    def _take_back(self) -> None:
        """Cuts off what was half-written."""
        try:
            self._file.truncate(self._end)
        except OSError:  # opening it again will cut it off
            self._is_broken = True
