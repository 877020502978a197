"""Fetches a file over HTTP: goes on where it stopped, and is whole when it has its name."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from napari_edgeflow.errors import Cancelled, WeightsError
from napari_edgeflow.zoo import store

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes expected (0: unknown)."""

_CHUNK = 2**18
_OVERLAP = 2**16
_TIMEOUT_S = 15.0
_WAITS_S = (1.0, 3.0, 8.0)
_TOLERANCE = 0.05  # documented sizes are rounded
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_BROKEN_OFF = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Fetch:
    """What to get, and whom to tell.

    Attributes:
        url: Address of the file.
        target: Path of the whole file; while it grows it is called ``….part``.
        about_bytes: Size that is documented, rounded; 0: not documented.
        progress: Told after every chunk.
        should_stop: Asked after every chunk.
        wait: Waits that many seconds between two attempts; tests do not.
    """

    url: str
    target: Path
    about_bytes: int = 0
    progress: Progress = lambda _done, _total: None
    should_stop: Callable[[], bool] = lambda: False
    wait: Callable[[float], object] = time.sleep

    @property
    def part(self) -> Path:
        """The file while it is not whole."""
        return self.target.with_name(self.target.name + ".part")


class _NotWholeError(Exception):
    """The connection ended before the file did."""


class _StartOverError(Exception):
    """What is there already is not the start of the file on the server."""


def fetch(job: Fetch) -> None:
    """Gets the file; afterwards ``job.target`` is there and whole.

    Proxies are taken from the environment (``HTTPS_PROXY``, ``NO_PROXY``), as urllib does.
    After a failure or a stop only the ``.part`` is left, and the next call goes on with it.

    Raises:
        WeightsError: The server cannot be reached or refuses, the file has another size than
            documented, or it cannot be written.
        Cancelled: ``job.should_stop`` said so.
    """
    store.make_folder(job.target.parent)
    for wait_s in (*_WAITS_S, None):
        try:
            _attempt(job)
        except _StartOverError:
            with _written(job):
                job.part.unlink(missing_ok=True)
            continue
        except urllib.error.HTTPError as error:
            error.close()
            if wait_s is None or error.code not in _PASSING:
                raise _unreachable(
                    job, f"the server answers {error.code} {error.reason}"
                ) from error
        except (*_BROKEN_OFF, _NotWholeError) as error:
            if wait_s is None:
                raise _unreachable(job, _reason(error)) from error
        else:
            return
        _stop_if_asked(job)
        job.wait(wait_s)
    raise _unreachable(job, "the file changes while it is fetched")


def _attempt(job: Fetch) -> None:
    """One connection: everything that is missing, then the final name."""
    with _written(job):
        there = job.part.stat().st_size if job.part.exists() else 0
    begin = max(0, there - _OVERLAP)
    request = urllib.request.Request(job.url, headers={"User-Agent": "napari-edgeflow"})
    if begin:
        request.add_header("Range", f"bytes={begin}-")
    try:
        # urlopen would keep the proxies of its first use
        answer = urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            error.close()
            raise _StartOverError from error
        raise
    with answer:
        if job.url.startswith("https:") and not answer.geturl().startswith("https:"):
            raise _unreachable(job, "the server sends us to an address without encryption")
        if answer.status != 206:
            begin = 0
        total = _total(answer, begin)
        if begin and there > total:
            raise _StartOverError
        _check_size(job, total)
        _receive(job, answer, begin, total)
    _finish(job, total)


def _total(answer: Any, begin: int) -> int:
    """Bytes of the whole file by the server's word; 0: it does not say."""
    if answer.status == 206:
        span, _, size = str(answer.headers.get("Content-Range", "")).rpartition("/")
        if not span.startswith(f"bytes {begin}-") or not size.isdecimal():
            raise _StartOverError
        return int(size)
    length = str(answer.headers.get("Content-Length", ""))
    return int(length) if length.isdecimal() else 0


def _receive(job: Fetch, answer: Any, begin: int, total: int) -> None:
    """Writes what comes to the part; the overlap must be what is there already."""
    with _written(job), job.part.open("r+b" if begin else "wb") as file:
        if begin:
            _check_overlap(file, answer, begin)
        done = file.tell()
        job.progress(done, total)
        while chunk := _read(answer, _CHUNK):
            _stop_if_asked(job)
            file.write(chunk)
            done += len(chunk)
            job.progress(done, total)
        file.flush()
        os.fsync(file.fileno())


def _read(answer: Any, most: int) -> bytes:
    """What has come, at most that much; empty at the end.

    Raises:
        _NotWholeError: The connection broke. (A full disk raises the same kinds of errors:
            here they are told apart.)
    """
    try:
        return bytes(answer.read1(most))
    except (OSError, http.client.HTTPException) as error:
        raise _NotWholeError(_reason(error)) from error


def _check_overlap(file: IO[bytes], answer: Any, begin: int) -> None:
    """Compares the last bytes on disk with the server's; leaves the file at its end."""
    file.seek(begin)
    known = file.read()
    seen = b""
    while len(seen) < len(known) and (chunk := _read(answer, len(known) - len(seen))):
        seen += chunk
    if not known.startswith(seen):
        raise _StartOverError
    if len(seen) < len(known):
        raise _NotWholeError("the connection ended at once")


def _finish(job: Fetch, total: int) -> None:
    with _written(job):
        there = job.part.stat().st_size
        if total and there < total:
            raise _NotWholeError(f"{there} of {total} bytes came")
        if total and there > total:
            raise _StartOverError
        try:
            _check_size(job, there)
        except WeightsError:
            job.part.unlink()
            raise
        job.part.replace(job.target)


def _check_size(job: Fetch, size: int) -> None:
    """Refuses what cannot be the file, before it is fetched: a login page, another release.

    Raises:
        WeightsError: The size is not the documented one.
    """
    if size and job.about_bytes and abs(size / job.about_bytes - 1) > _TOLERANCE:
        raise WeightsError(
            f"{job.url} gives {size} bytes where about {job.about_bytes} are documented: that is "
            "another file, perhaps a proxy's page. Open the address in a browser, and import what "
            "you get with 'napari-edgeflow models import FILE' if you trust it"
        )


@contextmanager
def _written(job: Fetch) -> Iterator[None]:
    """Turns trouble with the disk into an error that names the folder.

    Raises:
        WeightsError: See above.
    """
    try:
        yield
    except OSError as error:
        raise store.write_error(job.part, error) from error


def _stop_if_asked(job: Fetch) -> None:
    if job.should_stop():
        raise Cancelled(f"the download of {job.url} was stopped; the next one goes on from there")


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", error)
    return str(inner) or type(inner).__name__


def _unreachable(job: Fetch, reason: str) -> WeightsError:
    return WeightsError(
        f"{job.url} cannot be downloaded: {reason}. Try again later, or set HTTPS_PROXY if this "
        "network needs a proxy. Without a network: fetch the address on another computer, put the "
        f"file at {job.target} and download again here, or use 'napari-edgeflow models import FILE'"
    )
