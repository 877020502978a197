"""The file of a journal: its layout, and what is done when its end is damaged.

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
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from napari_edgeflow.annotation.records import Record
from napari_edgeflow.errors import JournalError

MAGIC = b"EFJRNL1\n"
_MARK = b"EFR1"
_PREFIX = struct.Struct("<4sB3xIII")
_COUNTED = struct.Struct("<B3xII")


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


class plain_errors:  # noqa: N801 - reads as a statement
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


def encode(record: Record) -> bytes:
    """The record's bytes in the file.

    Raises:
        ValueError: Header or payload are too long.
    """
    header = json.dumps(record.header, ensure_ascii=False, separators=(",", ":")).encode()
    limit = 2**32 - 1
    if max(len(header), len(record.payload)) > limit:
        raise ValueError(f"expected a record of at most {limit} bytes; split it")
    counted = _COUNTED.pack(record.kind, len(header), len(record.payload))
    crc = zlib.crc32(record.payload, zlib.crc32(header, zlib.crc32(counted)))
    prefix = _PREFIX.pack(_MARK, record.kind, len(header), len(record.payload), crc)
    return prefix + header + record.payload


def read_at(file: BinaryIO, place: int) -> tuple[Record, int] | None:
    """The record that begins there and where it ends; None when it is not whole."""
    size = file.seek(0, os.SEEK_END)
    if place + _PREFIX.size > size:
        return None
    mark, kind, n_header, n_payload, crc = _PREFIX.unpack(read_all(file, place, _PREFIX.size))
    end = place + _PREFIX.size + n_header + n_payload
    if mark != _MARK or end > size:
        return None
    body = read_all(file, place + _PREFIX.size, n_header + n_payload)
    if zlib.crc32(body, zlib.crc32(_COUNTED.pack(kind, n_header, n_payload))) != crc:
        return None
    try:
        header = json.loads(body[:n_header])
    except ValueError:
        return None
    return Record(kind, header, body[n_header:]), end


def read_all(file: BinaryIO, place: int, count: int) -> bytes:
    """The ``count`` bytes from a place on; fewer where the file ends."""
    file.seek(place)
    parts = []
    while count and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write_all(file: BinaryIO, data: bytes) -> None:
    """Write all bytes at the file's position, in as many calls as the system needs."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


def recover(path: Path, file: BinaryIO) -> tuple[list[int], Recovery]:
    """Where the whole records begin; afterwards the file ends with the last of them.

    Raises:
        JournalError: The file is no journal.
        OSError: It cannot be read or written.
    """
    head = read_all(file, 0, len(MAGIC))
    if not MAGIC.startswith(head):
        raise JournalError(
            f"expected a journal of napari-edgeflow, got {path}, which is another kind of file; "
            "choose another name"
        )
    is_begun = head == MAGIC
    places, end = [], len(MAGIC) if is_begun else 0
    while is_begun and (found := read_at(file, end)) is not None:
        places.append(end)
        end = found[1]
    lost = read_all(file, end, file.seek(0, os.SEEK_END) - end)
    copy = _keep_tail(path, lost) if lost else None
    if lost:
        file.truncate(end)
    if not is_begun:
        file.seek(0)
        write_all(file, MAGIC)
    os.fsync(file.fileno())
    sync_folder(path.parent)
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


def sync_folder(folder: Path) -> None:
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


def find_records(path: Path, file: BinaryIO) -> list[int]:
    """Where the whole records of a journal begin; nothing is changed.

    Raises:
        JournalError: The file is no journal.
    """
    head = read_all(file, 0, len(MAGIC))
    if not MAGIC.startswith(head):
        raise JournalError(f"expected a journal of napari-edgeflow, got {path}")
    places, end = [], len(MAGIC)
    while (found := read_at(file, end)) is not None:
        places.append(end)
        end = found[1]
    return places


def scan(path: Path) -> Iterator[Record]:
    """The whole records of a journal, for a look at it; nothing is locked or changed.

    Raises:
        JournalError: It is no journal, or cannot be read.
    """
    with plain_errors(path):
        file = path.open("rb")
    with file:
        with plain_errors(path):
            head = read_all(file, 0, len(MAGIC))
        if not MAGIC.startswith(head):
            raise JournalError(f"expected a journal of napari-edgeflow, got {path}")
        end = len(MAGIC)
        while (found := read_at(file, end)) is not None:
            record, end = found
            yield record
