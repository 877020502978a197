"""A web server on this machine that behaves well or badly, as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Behaviour:
    """What the server has, and how it fails.

    Attributes:
        content: The file.
        ignores_range: Answers 200 with the whole file whatever was asked for.
        cuts: Bytes after which each of the next answers breaks off.
        statuses: Status of each of the next answers, instead of the file.
        says_length: Sends Content-Length.
        location: Sent with a status.
        asked: Range headers of all requests, "" for none.
    """

    content: bytes
    ignores_range: bool = False
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    says_length: bool = True
    location: str = ""
    asked: list[str] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        told = self.behaviour
        wanted = self.headers.get("Range", "")
        told.asked.append(wanted)
        if told.statuses:
            self.send_response(told.statuses.pop(0))
            self.send_header("Location", told.location)
            self.end_headers()
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if told.ignores_range:
            begin = 0
        if begin >= len(told.content) > 0:
            self.send_response(416)
            self.end_headers()
            return
        self._send(told, begin, is_part=bool(wanted) and not told.ignores_range)

    def _send(self, told: Behaviour, begin: int, *, is_part: bool) -> None:
        total = len(told.content)
        self.send_response(206 if is_part else 200)
        if is_part:
            self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        if told.says_length:
            self.send_header("Content-Length", str(total - begin))
        self.end_headers()
        end = min(total, begin + told.cuts.pop(0)) if told.cuts else total
        self.wfile.write(told.content[begin:end])
        told.sent += end - begin
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Address of a folder on a server that runs meanwhile."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
