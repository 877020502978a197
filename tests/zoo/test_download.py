"""Downloads against a server on this machine: resumed, cut, refused, stopped."""

from __future__ import annotations

import errno
import os
import random
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_edgeflow.errors import Cancelled, WeightsError
from napari_edgeflow.zoo.download import Fetch, fetch

from .web import Behaviour, serving

CONTENT = random.Random(4).randbytes(500_000)
CUT = 200_000
OVERLAP = 2**16


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[tuple[Behaviour, str]]:
    behaviour = Behaviour(CONTENT)
    with serving(behaviour) as address:
        yield behaviour, f"{address}/file.pth"


def _job(url: str, target: Path, **changes: object) -> Fetch:
    return Fetch(url, target, **{"wait": lambda _s: None, **changes})  # type: ignore[arg-type]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_with_progress(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    target = tmp_path / "new" / "file.pth"
    fetch(_job(server[1], target, progress=lambda *done: told.append(done)))
    assert target.read_bytes() == CONTENT
    assert _names(target.parent) == ["file.pth"]
    done = [there for there, _ in told]
    assert done == sorted(done)
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_connection_that_breaks_goes_on(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    behaviour, url = server
    behaviour.cuts = [CUT, OVERLAP + 1000, 100]
    waits: list[float] = []
    fetch(_job(url, tmp_path / "file.pth", wait=waits.append))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert behaviour.asked == [
        "",
        f"bytes={CUT - OVERLAP}-",
        f"bytes={CUT + 1000 - OVERLAP}-",
        f"bytes={CUT + 1000 - OVERLAP}-",
    ]
    assert waits == sorted(waits)
    assert len(waits) == 3
    assert behaviour.sent < len(CONTENT) + 3 * OVERLAP + 1000


def test_a_later_call_goes_on_where_an_earlier_gave_up(
    server: tuple[Behaviour, str], tmp_path: Path
) -> None:
    behaviour, url = server
    behaviour.cuts = [CUT, 10, 10, 10]
    with pytest.raises(WeightsError, match=r"the connection ended at once\. Try again later"):
        fetch(_job(url, tmp_path / "file.pth"))
    assert _names(tmp_path) == ["file.pth.part"]
    assert (tmp_path / "file.pth.part").read_bytes() == CONTENT[:CUT]
    fetch(_job(url, tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert behaviour.asked[-1] == f"bytes={CUT - OVERLAP}-"


def test_a_server_that_ignores_ranges(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    behaviour, url = server
    behaviour.ignores_range = True
    (tmp_path / "file.pth.part").write_bytes(CONTENT[:CUT])
    fetch(_job(url, tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert behaviour.asked == [f"bytes={CUT - OVERLAP}-"]


@pytest.mark.parametrize(
    "part", [bytes(CUT), CONTENT[: CUT - 1] + b"?", CONTENT + b"more", bytes(600_000)]
)
def test_a_part_of_another_file_is_fetched_anew(
    server: tuple[Behaviour, str], tmp_path: Path, part: bytes
) -> None:
    (tmp_path / "file.pth.part").write_bytes(part)
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert _names(tmp_path) == ["file.pth"]


def test_a_whole_part_only_lacks_its_name(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    (tmp_path / "file.pth.part").write_bytes(CONTENT)
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert server[0].sent == OVERLAP


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_passing_trouble_is_waited_out(
    server: tuple[Behaviour, str], tmp_path: Path, status: int
) -> None:
    server[0].statuses = [status] * 3
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_not_repeated(
    server: tuple[Behaviour, str], tmp_path: Path, status: int
) -> None:
    server[0].statuses = [status]
    with pytest.raises(WeightsError, match=f"the server answers {status}") as caught:
        fetch(_job(server[1], tmp_path / "file.pth"))
    assert server[1] in str(caught.value)
    assert "models import FILE" in str(caught.value)
    assert len(server[0].asked) == 1
    assert _names(tmp_path) == []


@pytest.mark.parametrize("size", [400_000, 600_000])
def test_another_size_than_documented(
    server: tuple[Behaviour, str], tmp_path: Path, size: int
) -> None:
    with pytest.raises(WeightsError, match=rf"gives 500000 bytes where about {size}"):
        fetch(_job(server[1], tmp_path / "file.pth", about_bytes=size))
    assert _names(tmp_path) == []
    fetch(_job(server[1], tmp_path / "file.pth", about_bytes=495_000))


def test_another_size_is_seen_without_a_length(
    server: tuple[Behaviour, str], tmp_path: Path
) -> None:
    server[0].says_length = False
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    with pytest.raises(WeightsError, match="gives 500000 bytes where about 100000"):
        fetch(_job(server[1], tmp_path / "other.pth", about_bytes=100_000))
    assert _names(tmp_path) == ["file.pth"]


def test_nobody_answers(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file.pth"
    target = tmp_path / "file.pth"
    with pytest.raises(WeightsError, match="refused") as caught:
        fetch(_job(url, target))
    for hint in (url, str(target), "HTTPS_PROXY", "another computer"):
        assert hint in str(caught.value)
    assert _names(tmp_path) == []


def test_the_proxy_of_the_environment_is_used(
    server: tuple[Behaviour, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server[1].removesuffix("/file.pth"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    fetch(_job("http://nowhere.invalid/file.pth", tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


def test_stopped_and_continued(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    there = [0]
    stopping = _job(
        server[1],
        tmp_path / "file.pth",
        progress=lambda done, _total: there.append(done),
        should_stop=lambda: there[-1] > CUT,
    )
    with pytest.raises(Cancelled, match="goes on from there"):
        fetch(stopping)
    assert _names(tmp_path) == ["file.pth.part"]
    assert CUT < (tmp_path / "file.pth.part").stat().st_size < len(CONTENT)
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT
    assert server[0].asked[1].startswith("bytes=")


def test_stopped_between_two_attempts(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    server[0].statuses = [503]
    with pytest.raises(Cancelled):
        fetch(_job(server[1], tmp_path / "file.pth", should_stop=lambda: True))
    assert len(server[0].asked) == 1


def test_a_full_disk(
    server: tuple[Behaviour, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WeightsError, match=r"No space left on device; free some space"):
            fetch(_job(server[1], tmp_path / "file.pth"))
    assert _names(tmp_path) == ["file.pth.part"]
    assert len(server[0].asked) == 1, "a full disk does not pass by itself"
    fetch(_job(server[1], tmp_path / "file.pth"))
    assert (tmp_path / "file.pth").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made(server: tuple[Behaviour, str], tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file is here")
    with pytest.raises(WeightsError, match=r"cannot be used: .*NAPARI_EDGEFLOW_MODELS"):
        fetch(_job(server[1], tmp_path / "folder" / "file.pth"))
    assert server[0].asked == []


def test_an_address_without_encryption_is_not_followed(
    server: tuple[Behaviour, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = urllib.request.build_opener()

    class Redirected:
        """Opens whatever is asked for at the server's address."""

        def open(self, _request: object, timeout: float) -> object:
            return real.open(server[1], timeout=timeout)

    monkeypatch.setattr(urllib.request, "build_opener", Redirected)
    with pytest.raises(WeightsError, match="without encryption"):
        fetch(_job("https://example.invalid/file.pth", tmp_path / "file.pth"))
    assert _names(tmp_path) == []
