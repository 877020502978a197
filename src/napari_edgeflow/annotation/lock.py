"""One writer at a time: a lock file that says who it is.

The file lies beside what it protects and names process, host and time. Of a process that is gone
(same host) it is taken over. Of another host one cannot tell: the user decides.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from napari_edgeflow.errors import JournalError, JournalLockedError


@dataclass(frozen=True, slots=True)
class LockOwner:
    """Who holds a lock.

    Attributes:
        pid: Process.
        host: Computer.
        since: ISO 8601, UTC.
        started: When the process began, in the system's own count, to tell it from a later one
            of the same number; empty where the system does not say.
        token: Tells one lock from the next.
    """

    pid: int
    host: str
    since: str
    started: str
    token: str


class Lock:
    """A lock that this process holds until ``release``."""

    def __init__(self, path: Path, owner: LockOwner) -> None:
        self.path = path
        self.owner = owner

    @classmethod
    def acquire(cls, path: Path) -> Lock:
        """The lock; that of a process that is gone is taken over.

        Raises:
            JournalLockedError: Somebody else holds it.
            JournalError: The file cannot be written.
        """
        owner = _me()
        for _ in range(3):
            if _create(path, owner):
                return cls(path, owner)
            _remove_if_stale(path)
        raise _locked(path, _read(path))

    def release(self) -> None:
        """Give it back; a lock that somebody else took meanwhile is left alone."""
        found = _read(self.path)
        if found is not None and found.token == self.owner.token:
            self.path.unlink(missing_ok=True)


def _me() -> LockOwner:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    pid = os.getpid()
    return LockOwner(pid, socket.gethostname(), now, _started(pid), secrets.token_hex(8))


def _create(path: Path, owner: LockOwner) -> bool:
    """True when the file is made, whole; False when there is one."""
    draft = path.with_name(f"{path.name}.{owner.token}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            json.dump(asdict(owner), file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # fails when there is one; the content is there at once
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            return _create_directly(path, owner)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise JournalError(
            f"expected to write {path.name} in {path.parent}, but the system refused "
            f"({error.strerror or error}); choose another folder for autosave, or free some space"
        ) from error
    return True


def _create_directly(path: Path, owner: LockOwner) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            json.dump(asdict(owner), file)
    except FileExistsError:
        return False
    return True


def _remove_if_stale(path: Path) -> None:
    """Takes the file away when its process is gone; raises when it is not.

    Raises:
        JournalLockedError: Somebody holds it.
    """
    found = _read(path)
    if found is None and not path.exists():
        return
    if found is None or not _is_gone(found):
        raise _locked(path, found)
    aside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.rename(aside)
    except FileNotFoundError:  # another process was quicker
        return
    taken = _read(aside)
    if taken is not None and taken.token != found.token:  # it was new: give it back
        aside.rename(path)
        raise _locked(path, taken)
    aside.unlink(missing_ok=True)


def _read(path: Path) -> LockOwner | None:
    """Who the file names; None when it cannot be told."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return LockOwner(
            int(content["pid"]),
            str(content["host"]),
            str(content["since"]),
            str(content["started"]),
            str(content["token"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_gone(owner: LockOwner) -> bool:
    """True when the process that holds the lock surely no longer runs."""
    if owner.host != socket.gethostname():
        return False
    if not _runs(owner.pid):
        return True
    started = _started(owner.pid)
    return bool(started and owner.started and started != owner.started)


def _runs(pid: int) -> bool:
    if sys.platform == "win32":  # os.kill would end the process there
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        ctypes.windll.kernel32.GetExitCodeProcess(handle, ctypes.byref(code))
        ctypes.windll.kernel32.CloseHandle(handle)
        return code.value == 259  # still active
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it runs, and is somebody else's
        return True
    return True


def _started(pid: int) -> str:
    """When the process began, as Linux counts it; empty elsewhere."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return status.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _locked(path: Path, owner: LockOwner | None) -> JournalLockedError:
    if owner is None:
        who = f"{path.name} is there and does not say by whom"
    else:
        who = f"process {owner.pid} on {owner.host} has had it open since {owner.since}"
    return JournalLockedError(
        f"expected to be the only one that writes to {path.with_suffix('')}, but {who}; close it "
        f"there, or delete {path} when nobody uses it any more"
    )
