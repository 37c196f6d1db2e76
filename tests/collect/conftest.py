"""A server of S3 on loopback, and what stands between it and a lake."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

import auditlake
from auditlake.storage import client
from tests.lakes import create


def event(name: str, **more: Any) -> bytes:
    """A line with an event of this id."""
    record = {"event_id": name, "event_type": "login", "timestamp": "2026-11-20T10:00:00Z", "user_id": "alice"}
    return json.dumps({**record, **more}).encode() + b"\n"


@dataclass
class Bucket:
    """A bucket of the server; objects are put without a request, which is quicker."""

    name: str
    url: str
    """The server's."""

    @property
    def _server(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"]

    def put(self, key: str, data: bytes) -> None:
        self._server.put_object(self.name, key, data)

    def delete(self, key: str) -> None:
        self._server.delete_object(self.name, key)


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of a server of S3 in this process."""
    server_module = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Credentials of the environment, and clients that give up soon; the server's URL."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3, "AWS_ACCESS_KEY_ID": "AKIATHEKEYID", "AWS_SECRET_ACCESS_KEY": "the-secret-key",
        "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(client.RETRIES, "max_retries", 2)
    return s3


@pytest.fixture
def bucket(environment: str, request: pytest.FixtureRequest) -> Bucket:
    """An empty bucket of this test's own."""
    made = Bucket(f"logs-{abs(hash(request.node.nodeid))}", environment)
    made._server.create_bucket(made.name, "us-east-1")
    return made


Collecting = Callable[..., auditlake.AuditLake]


@pytest.fixture
def collecting(tmp_path: Path) -> Collecting:
    """A lake that collects from these places, opened anew; more of lake.toml may follow."""

    def make(*places: str, more: str = "", each: str = "") -> auditlake.AuditLake:
        root = tmp_path / "lake"
        if not root.exists():
            create(root)
            (root / "made").write_bytes((root / "lake.toml").read_bytes())
        tables = "".join(f"\n[[collect]]\npath = {json.dumps(place)}\n{each}\n" for place in places)
        (root / "lake.toml").write_text((root / "made").read_text() + tables + more)
        return auditlake.open(root)

    return make


def ids(lake: auditlake.AuditLake) -> list[str]:
    """The ids of all events, sorted."""
    return sorted(row[0] for row in lake.sql("select event_id from events").fetchall())


@dataclass
class Between:
    """A server between a client and another, which fails, waits or answers something else where a test asks for it."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    """The method and path of each request."""
    spoil: Callable[[str], int | None] = lambda _: None
    """The status to answer a request with instead; 0 to answer nothing until the test ends."""
    over: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def between(environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Between]:
    """Such a server before that of S3, with the environment leading to it."""
    state = Between()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(line := f"{self.command} {self.path}")
            status = state.spoil(line)
            if status == 0:
                state.over.wait()
                return
            if status is None:
                status, headers, body = self.passed_on()
            else:
                headers, body = {}, b""
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in {"content-length", "connection", "transfer-encoding"} or self.command == "HEAD":
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def passed_on(self) -> tuple[int, Any, bytes]:
            kept = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            request = urllib.request.Request(environment + self.path, headers=kept, method=self.command)
            try:
                with urllib.request.urlopen(request) as answer:
                    return answer.status, answer.headers, answer.read()
            except HTTPError as error:
                with error:
                    return error.code, error.headers, error.read()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", state.url)
    yield state
    state.over.set()
    server.shutdown()
    server.server_close()
    thread.join()
