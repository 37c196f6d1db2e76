"""Servers of object stores, and one of the tests' own before them that loses, spoils and delays."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

import pytest

from auditlake.storage.objects import ObjectStore, Patience, open_objects
from tests.soak import mostly
from tests.storage.servers import BUCKET, OWNER, SERVERS, Forward

TRIES = 3
FAULTS = ("unsent", "lost", "reset", "late", "500 before", "500 after", "503 before", "429 before", "409 before",
          "truncated")  # fmt: skip
"""What becomes of a request: it never arrives, its answer is lost, also by a reset, it is answered by a status and
carried out only before the next one, a status stands in place of both or of the answer, or the answer ends early."""


@dataclass
class Proxy:
    """What the server before that of a store does, and what it saw."""

    scheme: str
    """That of the store's addresses."""
    secrets: tuple[str, ...]
    """What no message may tell."""
    pass_on: Forward
    """Asks the store."""
    faults: list[str] = field(default_factory=list)
    """What becomes of the next requests, in order."""
    requests: list[str] = field(default_factory=list)
    """The method and path of each request."""
    meanwhile: Callable[[str], None] = lambda _: None
    """Is told of each request before it is passed on."""
    late: list[Callable[[], object]] = field(default_factory=list)
    """Requests that were answered and are not carried out yet."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, line: str) -> str:
        with self.lock:
            self.requests.append(line)
            return self.faults.pop(0) if self.faults else ""

    def address(self, name: str) -> str:
        """Where a lake of this name lies."""
        return f"{self.scheme}://{BUCKET}/{name}"

    def settle(self) -> None:
        """Carry out what was answered and is not carried out yet."""
        while self.late:
            self.late.pop()()

    def objects(self, url: str) -> dict[str, bytes]:
        """Return what a folder of the bucket has, as the server of S3 keeps it, by name."""
        from moto.s3.models import s3_backends

        folder = url.removeprefix(f"s3://{BUCKET}/") + "/"
        keys = s3_backends[OWNER]["aws"].buckets[BUCKET].keys
        return {name.removeprefix(folder): key.value for name, key in [*keys.items()] if name.startswith(folder)}

    @contextmanager
    def server(self, *, daemon_threads: bool = False) -> Iterator[str]:
        """Listen within this, at the address that is given. After it no request is under way, whoever made it.

        Args:
            daemon_threads: Whether connections may outlast it.
        """
        server = Listening(("127.0.0.1", 0), type("Spoilt", (Handler,), {"proxy": self}))
        server.daemon_threads = daemon_threads
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class Listening(ThreadingHTTPServer):
    """A server that says nothing of clients that died."""

    def handle_error(self, *_: Any) -> None:
        pass


class Handler(BaseHTTPRequestHandler):
    """One request, spoilt as the proxy says."""

    proxy: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body of an answer would wait for the client to acknowledge its headers

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.proxy.next_fault(f"{self.command} {self.path}")
        self.proxy.meanwhile(f"{self.command} {self.path}")
        if fault == "unsent":
            self.close_connection = True
            return
        status, _, when = fault.partition(" ")
        if when == "before":
            self.answer(int(status), [], b"")
            return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        if fault == "late":
            self.proxy.late.append(partial(self.proxy.pass_on, self.command, self.path, headers, body))
            self.answer(503, [], b"")
            return
        with self.proxy.lock:
            self.proxy.settle()
        answer = self.proxy.pass_on(self.command, self.path, headers, body)
        if fault in {"lost", "reset"}:
            self.close_connection = True
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif when == "after":
            self.answer(int(status), [], b"")
        else:
            self.answer(*answer, truncated=fault == "truncated")

    do_PUT = do_POST = do_HEAD = do_DELETE = do_GET

    def answer(self, status: int, headers: list[Any], body: bytes, *, truncated: bool = False) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length", "date", "server"}:
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), len(body))
        self.send_header("Content-Length", str(length if self.command == "HEAD" else len(body)))
        self.end_headers()
        if truncated:
            body, self.close_connection = body[: len(body) // 2], True
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module", params=mostly(SERVERS, always=["s3"]))
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """A server before one of a store that has a bucket, with the environment leading to it."""
    with SERVERS[request.param]() as store, pytest.MonkeyPatch.context() as patch:
        state = Proxy(store.scheme, store.secrets, store.forward)
        with state.server(daemon_threads=True) as address:
            for name, value in store.environment(address).items():
                patch.setenv(name, value)
            yield state


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: datetime = datetime(2026, 12, 1, tzinfo=UTC)
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)


_FOLDERS = count()


def object_store(time: Time, where: Proxy | str, *, patience: Patience | None = None) -> ObjectStore:
    """An empty folder of the bucket, or the one at a URL, whose clock is that of the test."""
    url = where if isinstance(where, str) else where.address(f"lake-{next(_FOLDERS)}")
    store = open_objects(url)._store
    return ObjectStore(store, url, clock=time, sleep=time.sleep, patience=patience or Patience(tries=TRIES))
