"""The journal: cut anywhere, damaged anywhere, locked, on full and forbidden disks."""

from __future__ import annotations

import json
import os
import resource
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_edgeflow.annotation.journal import Journal
from napari_edgeflow.annotation.journal_file import MAGIC
from napari_edgeflow.annotation.lock import Lock, _started
from napari_edgeflow.annotation.records import MemoryLog, Record
from napari_edgeflow.errors import JournalError, JournalLockedError

RECORDS = [
    Record(1, {"name": "première"}),
    Record(3, {"n": 2}, b"\x00\x01" * 20),
    Record(4, {}, b""),
    Record(3, {"n": 4}, b"EFR1 inside a payload"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.journal"
    with Journal.open(path) as journal:
        for record in RECORDS:
            journal.append(record)
        journal.commit()
    return path


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process can grow past 20 000 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _read(path: Path) -> list[Record]:
    with Journal.open(path) as journal:
        return [journal.read(number) for number in range(len(journal))]


def _ends(data: bytes) -> list[int]:
    """Where each record ends, by an independent reading of the layout."""
    ends, place = [len(MAGIC)], len(MAGIC)
    while place < len(data):
        mark, kind, n_header, n_payload, crc = struct.unpack_from("<4sB3xIII", data, place)
        assert mark == b"EFR1"
        body = data[place + 20 : place + 20 + n_header + n_payload]
        assert crc == zlib.crc32(struct.pack("<B3xII", kind, n_header, n_payload) + body)
        json.loads(body[:n_header])
        place += 20 + n_header + n_payload
        ends.append(place)
    return ends


def test_records_come_back(path: Path) -> None:
    assert _read(path) == RECORDS
    assert len(_ends(path.read_bytes())) == 5
    assert [p.name for p in path.parent.iterdir()] == ["a.journal"]  # the lock is gone


def test_more_records_go_at_the_end(path: Path) -> None:
    with Journal.open(path) as journal:
        assert journal.append(Record(5, {"x": 1})) == 4
        journal.commit()
        assert journal.read(4) == Record(5, {"x": 1})
        assert journal.read(0) == RECORDS[0]
        journal.append(RECORDS[1])
        assert (len(journal), journal.n_saved) == (6, 5)
    assert _read(path) == [*RECORDS, Record(5, {"x": 1}), RECORDS[1]]


def test_cut_at_any_byte(path: Path, quick_disk: None) -> None:
    data = path.read_bytes()
    ends = _ends(data)
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        n_whole = sum(end <= cut for end in ends[1:])
        with Journal.open(path) as journal:
            assert [journal.read(i) for i in range(len(journal))] == RECORDS[:n_whole]
            recovery = journal.recovery
            journal.append(Record(9, {}))
        lost = cut - max([end for end in ends if end <= cut], default=0)
        assert recovery.lost_bytes == lost
        if lost:
            assert recovery.copy is not None
            assert recovery.copy.read_bytes() == data[cut - lost : cut]
            assert f"{n_whole} steps are back" in str(recovery)
            recovery.copy.unlink()
        else:
            assert (recovery.copy, str(recovery)) == (None, "")
        assert _read(path) == [*RECORDS[:n_whole], Record(9, {})]


def test_any_damaged_byte_is_noticed(path: Path, quick_disk: None) -> None:
    data = path.read_bytes()
    ends = _ends(data)
    for place in range(len(MAGIC), len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        n_whole = sum(end <= place for end in ends[1:])
        if _is_padding(place, ends):
            n_whole = len(RECORDS)
        with Journal.open(path) as journal:
            assert [journal.read(i) for i in range(len(journal))] == RECORDS[:n_whole]
            if journal.recovery.copy is not None:
                assert data[place + 1 :] in journal.recovery.copy.read_bytes()
                journal.recovery.copy.unlink()


def _is_padding(place: int, ends: list[int]) -> bool:
    return any(end + 5 <= place < end + 8 for end in ends)


def test_another_kind_of_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes")
    with pytest.raises(JournalError, match=r"another kind of file; choose another name"):
        Journal.open(path)
    assert path.read_text() == "my notes"
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_a_second_writer_is_told_who_is_first(path: Path) -> None:
    with (
        Journal.open(path),
        pytest.raises(
            JournalLockedError, match=rf"process {os.getpid()} on .* has had it open since"
        ),
    ):
        Journal.open(path)
    _read(path)


def test_a_second_process_is_told_who_is_first(path: Path) -> None:
    code = (
        "import sys\nfrom napari_edgeflow.annotation.journal import Journal\n"
        "Journal.open(sys.argv[1])"
    )
    with Journal.open(path):
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
        )
    assert "JournalLockedError" in done.stderr
    assert f"process {os.getpid()}" in done.stderr


def _forge_lock(path: Path, **changes: Any) -> Path:
    lock = path.with_name("a.journal.lock")
    owner = {
        "pid": os.getpid(), "host": socket.gethostname(), "since": "2026-01-01T00:00:00+00:00",
        "started": _started(os.getpid()), "token": "t",
    }  # fmt: skip
    lock.write_text(json.dumps(owner | changes))
    return lock


def _gone_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_of_a_process_that_is_gone_is_taken_over(path: Path) -> None:
    _forge_lock(path, pid=_gone_pid())
    assert _read(path) == RECORDS


@pytest.mark.skipif(not _started(os.getpid()), reason="the system does not say when")
def test_a_later_process_of_the_same_number_is_another(path: Path) -> None:
    _forge_lock(path, started="12")
    assert _read(path) == RECORDS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": "elsewhere", "pid": 1}, r"process 1 on elsewhere .*delete .*a\.journal\.lock"),
        ({"pid": "x"}, "does not say by whom"),
    ],
)
def test_a_lock_that_may_be_held_is_respected(
    path: Path, changes: dict[str, Any], message: str
) -> None:
    lock = _forge_lock(path, **changes)
    with pytest.raises(JournalLockedError, match=message):
        Journal.open(path)
    assert lock.exists()


def test_only_one_s_own_lock_is_given_back(tmp_path: Path) -> None:
    lock = Lock.acquire(tmp_path / "a.journal.lock")
    _forge_lock(tmp_path / "a.journal", token="somebody else's")
    lock.release()
    assert lock.path.exists()


def test_a_full_disk_leaves_whole_records(path: Path, small_disk: None) -> None:
    with Journal.open(path) as journal:
        size = path.stat().st_size
        with pytest.raises(JournalError, match=r"refused .*free some space.*half-written"):
            journal.append(Record(3, {}, bytes(30_000)))
        assert path.stat().st_size == size
        assert journal.append(Record(3, {"small": 1})) == 4
        journal.commit()
    assert _read(path) == [*RECORDS, Record(3, {"small": 1})]


def test_records_that_could_not_be_saved_are_taken_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with Journal.open(path) as journal:
        journal.append(Record(3, {"saved": 1}))
        journal.commit()
        journal.append(Record(3, {"lost": 1}))
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse)
            with pytest.raises(JournalError, match="Input/output error"):
                journal.commit()
        assert len(journal) == 5
        journal.append(Record(3, {"later": 1}))
        journal.commit()
    assert _read(path)[4:] == [Record(3, {"saved": 1}), Record(3, {"later": 1})]


@pytest.mark.parametrize("kind", [PermissionError(13, "Permission denied"),
                                  OSError(30, "Read-only file system")])  # fmt: skip
def test_a_folder_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: OSError
) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise kind

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(JournalError, match=r"refused .*choose another folder for autosave"):
        Journal.open(tmp_path / "a.journal")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file"):
        Journal.open(tmp_path / "missing" / "a.journal")


def test_a_damaged_end_that_cannot_be_kept_is_not_cut_off(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = path.read_bytes()[:-3]
    path.write_bytes(data)
    whole_open = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if ".damaged-" in self.name:
            raise OSError(28, "No space left on device")
        return whole_open(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(JournalError, match="No space left"):
        Journal.open(path)
    assert path.read_bytes() == data
    assert [p.name for p in path.parent.iterdir()] == ["a.journal"]


def test_a_closed_journal_takes_nothing(path: Path) -> None:
    journal = Journal.open(path)
    journal.close()
    with pytest.raises(JournalError, match="is closed; open it again"):
        journal.append(RECORDS[0])


def test_a_record_changed_from_outside(path: Path) -> None:
    with Journal.open(path) as journal:
        path.write_bytes(path.read_bytes()[:-3])
        with pytest.raises(JournalError, match=r"record 3 .*changed from outside"):
            journal.read(3)


def test_the_log_in_memory() -> None:
    log = MemoryLog()
    assert [log.append(record) for record in RECORDS] == [0, 1, 2, 3]
    log.commit()
    assert [log.read(i) for i in range(4)] == RECORDS
