"""The page over HTTP, on loopback only, for whoever sits at this machine (or comes through ``ssh -L``).

| GET | |
| --- | --- |
| ``/`` | the page |
| ``/state?seen=N`` | everything but the samples; 204 where nothing changed since N |
| ``/samples?run=0&split=train&step=12`` | the samples of a step, as :func:`passk.watch.columns.columns` |
| ``/answer?run=0&split=train&step=12&sample=5`` | one response as it was written, as text |

A request that names another host than this machine is refused, so that no page of the web can read the samples through a name of
its own that leads here. Deliberately left out: anything that writes, and access from elsewhere.
"""

import errno
import socketserver
import threading
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from passk.pages import json_in_html
from passk.watch.columns import columns
from passk.watch.document import document
from passk.watch.folder import Run
from passk.watch.state import state
from rlvr.records import DataError
from rlvr.sample_files import Sample

ADDRESS = "127.0.0.1"
HOSTS = ("127.0.0.1", "localhost")
PORTS_TRIED = 50


class Followed:
    """The runs, and what the page was last told of them. Thread-safe."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._lock = threading.Lock()
        self._number = 0
        self._state: dict[str, Any] = {}

    def state(self) -> dict[str, Any]:
        """As of now; ``number`` goes up with every change."""
        with self._lock:
            changed = [run.refresh() for run in self.runs]
            if any(changed) or not self._state:
                self._number += 1
                self._state = state(self.runs) | {"number": self._number}
            return self._state

    def samples(self, run: int, split: str, step: int) -> list[Sample]:
        """
        Raises:
            DataError: if there are none, or they cannot be read.
        """
        with self._lock:
            found = self.runs[run].files.get((split, step)) if 0 <= run < len(self.runs) else None
        if found is None:
            raise DataError(f"there are no {split} samples of step {step}")
        return found[0].read()


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """
    Raises:
        OSError: if the port is taken.
    """

    allow_reuse_address = True  # of connections that are over
    daemon_threads = True

    def __init__(self, followed: Followed, port: int) -> None:
        self.followed = followed
        super().__init__((ADDRESS, port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


def serve_at(followed: Followed, port: int) -> Server:
    """A server on ``port``, or on the next that is free.

    Raises:
        OSError: if none of the next is free either.
    """
    for candidate in range(port, port + PORTS_TRIED):
        try:
            return Server(followed, candidate)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == port + PORTS_TRIED - 1:
                raise
    raise AssertionError("a port was tried")


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in HOSTS:
            self._send(HTTPStatus.FORBIDDEN, b"this page is for the machine it runs on", "text/plain")
            return
        address = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            self._answer(address.path, asked)
        except (DataError, OSError) as error:  # a file that is gone or damaged: the page shows the line
            self._send(HTTPStatus.NOT_FOUND, str(error).encode(), "text/plain")
        except (KeyError, ValueError, IndexError):
            self._send(HTTPStatus.BAD_REQUEST, b"this address lacks a number", "text/plain")

    def _answer(self, path: str, asked: dict[str, str]) -> None:
        followed = self.server.followed
        if path == "/":
            self._send(HTTPStatus.OK, document(followed.state(), live=True), "text/html")
        elif path == "/state":
            found = followed.state()
            if str(found["number"]) == asked.get("seen"):
                self._send(HTTPStatus.NO_CONTENT, b"", "text/plain")
            else:
                self._send(HTTPStatus.OK, json_in_html(found).encode(), "application/json")
        elif path in ("/samples", "/answer"):
            samples = followed.samples(int(asked["run"]), asked["split"], int(asked["step"]))
            if path == "/samples":
                self._send(HTTPStatus.OK, json_in_html(columns(samples)).encode(), "application/json")
            else:
                self._send(HTTPStatus.OK, samples[int(asked["sample"])].answer.encode(), "text/plain")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"there is no such page", "text/plain")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cross-Origin-Resource-Policy", "same-origin")
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # the page was closed meanwhile
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the page asks every few seconds."""
