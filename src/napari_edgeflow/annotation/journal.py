"""The journal: records added at the end of one file, safe on disk before anything is applied.

Layout: eight bytes of magic, then records of ``mark (4 bytes), kind (uint8), three zero bytes,
header length, payload length, CRC-32 (uint32 each, little endian)``, the header as JSON, the
payload. The CRC covers all of the record but the mark and itself. Reading stops at the first
record that is not whole: what follows is copied aside and cut off, and the journal says so.
"""

from __future__ import annotations

import json
import os
import secrets
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from napari_edgeflow.annotation.lock import Lock
from napari_edgeflow.errors import JournalError

MAGIC = b"EFJRNL1\n"
_MARK = b"EFR1"
_PREFIX = struct.Struct("<4sB3xIII")
_COUNTED = struct.Struct("<B3xII")


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


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found when a journal was opened.

    Attributes:
        n_records: Whole records.
        lost_bytes: Bytes after them that were damaged; 0 for a sound journal.
        copy: Where those bytes were put; None for a sound journal.
    """

    n_records: int
    lost_bytes: int = 0
    copy: Path | None = None

    def __str__(self) -> str:
        """One sentence for the user; empty when nothing was lost."""
        if not self.lost_bytes:
            return ""
        return (
            f"the journal was cut off or damaged: {self.n_records} steps are back, its last "
            f"{self.lost_bytes} bytes could not be read and are kept in {self.copy}"
        )


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
            with _plain_errors(target):
                file = target.open("r+b" if target.exists() else "x+b", buffering=0)
                places, recovery = _recover(target, file)
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
        data = _encode(record)
        with _plain_errors(self.path):
            try:
                self._file.seek(self._end)
                _write_all(self._file, data)
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
        with _plain_errors(self.path):
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
        with _plain_errors(self.path):
            found = _read_at(self._file, self._places[number])
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
        with _plain_errors(self.path):
            file: BinaryIO = other.open("r+b", buffering=0)
            try:
                places, _ = _recover(other, file)
                if sys.platform == "win32":  # an open file cannot be replaced there
                    self._file.close()
                    file.close()
                other.replace(self.path)
                if sys.platform == "win32":
                    file = self.path.open("r+b", buffering=0)
                _sync_folder(self.path.parent)
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


class _plain_errors:  # noqa: N801 - reads as a statement
    """Turns the system's errors into ``JournalError`` with what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise JournalError(
                f"expected to read and write {self._path}, but the system refused "
                f"({error.strerror or error}); free some space, or choose another folder for "
                "autosave. Nothing was half-written"
            ) from error


def _encode(record: Record) -> bytes:
    header = json.dumps(record.header, ensure_ascii=False, separators=(",", ":")).encode()
    limit = 2**32 - 1
    if max(len(header), len(record.payload)) > limit:
        raise ValueError(f"expected a record of at most {limit} bytes; split it")
    counted = _COUNTED.pack(record.kind, len(header), len(record.payload))
    crc = zlib.crc32(record.payload, zlib.crc32(header, zlib.crc32(counted)))
    prefix = _PREFIX.pack(_MARK, record.kind, len(header), len(record.payload), crc)
    return prefix + header + record.payload


def _read_at(file: BinaryIO, place: int) -> tuple[Record, int] | None:
    """The record that begins there and where it ends; None when it is not whole."""
    size = file.seek(0, os.SEEK_END)
    if place + _PREFIX.size > size:
        return None
    mark, kind, n_header, n_payload, crc = _PREFIX.unpack(_read_all(file, place, _PREFIX.size))
    end = place + _PREFIX.size + n_header + n_payload
    if mark != _MARK or end > size:
        return None
    body = _read_all(file, place + _PREFIX.size, n_header + n_payload)
    if zlib.crc32(body, zlib.crc32(_COUNTED.pack(kind, n_header, n_payload))) != crc:
        return None
    try:
        header = json.loads(body[:n_header])
    except ValueError:
        return None
    return Record(kind, header, body[n_header:]), end


def _read_all(file: BinaryIO, place: int, count: int) -> bytes:
    file.seek(place)
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write_all(file: BinaryIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def _recover(path: Path, file: BinaryIO) -> tuple[list[int], Recovery]:
    """Where the whole records begin; afterwards the file ends with the last of them."""
    head = _read_all(file, 0, len(MAGIC))
    if not MAGIC.startswith(head):
        raise JournalError(
            f"expected a journal of napari-edgeflow, got {path}, which is another kind of file; "
            "choose another name"
        )
    is_begun = head == MAGIC
    places, end = [], len(MAGIC) if is_begun else 0
    while is_begun and (found := _read_at(file, end)) is not None:
        places.append(end)
        end = found[1]
    lost = _read_all(file, end, file.seek(0, os.SEEK_END) - end)
    copy = _keep_tail(path, lost) if lost else None
    if lost:
        file.truncate(end)
    if not is_begun:
        file.seek(0)
        _write_all(file, MAGIC)
    os.fsync(file.fileno())
    _sync_folder(path.parent)
    return places, Recovery(len(places), len(lost), copy)


def _keep_tail(path: Path, lost: bytes) -> Path:
    """A copy of the damaged bytes, on disk."""
    copy = path.with_name(f"{path.name}.damaged-{secrets.token_hex(4)}")
    try:
        with copy.open("xb") as file:
            file.write(lost)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        copy.unlink(missing_ok=True)
        raise
    return copy


def _sync_folder(folder: Path) -> None:
    """Makes the folder's entry for a new file safe, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)


def iterate(log: RecordLog, count: int) -> Iterator[tuple[int, Record]]:
    """Numbers and records, the first ``count`` of a log."""
    read: Callable[[int], Record] = log.read
    for number in range(count):
        yield number, read(number)


def scan(path: Path) -> Iterator[Record]:
    """The whole records of a journal, for a look at it; nothing is locked or changed.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    with _plain_errors(path):
        file = path.open("rb")
    with file:
        with _plain_errors(path):
            head = _read_all(file, 0, len(MAGIC))
        if not MAGIC.startswith(head):
            raise JournalError(f"expected a journal of napari-edgeflow, got {path}")
        end = len(MAGIC)
        while (found := _read_at(file, end)) is not None:
            record, end = found
            yield record
