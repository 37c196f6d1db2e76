"""Desks to ask at: a real one, in a process of its own, and counters in threads whose sessions are made up."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

import auditlake
from auditlake.confined.frames import HEAD, SAID, packed
from auditlake.desk import counter
from auditlake.desk.messages import VERSION
from auditlake.errors import StoppedError
from auditlake.machine import login_name
from auditlake.sandbox.answer import Answer
from auditlake.sandbox.model import Interrupted, Outcome
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
OPEN = packed({"open": {"protocol": VERSION}})
EVERYTHING = f"principals:\n  {login_name()}: everything\n"


def asks(text: str, **values: object) -> bytes:
    return packed({"ask": {"text": text, "values": values}})


def set_desk(lake: auditlake.AuditLake, **settings: object) -> None:
    """Write the section [desk] of lake.toml, which comes last."""
    before = lake.layout.config.read_text().partition("\n[desk]\n")[0]
    lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
    lake.layout.config.write_text(f"{before}\n[desk]\n{lines}")


class Listening:
    """A desk that ``auditlake desk listen --json`` has opened."""

    def __init__(self, process: subprocess.Popen[str], path: Path) -> None:
        self.process, self.path = process, path
        assert process.stdout is not None
        assert self.next("listening")

    def next(self, event: str) -> dict[str, Any]:
        """Return the next thing of a kind that it tells."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if (told := json.loads(line))["event"] == event:
                return told
        raise AssertionError(f"it told of no {event}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(HANG_SECONDS)


@contextmanager
def listening(lake: auditlake.AuditLake, path: Path, *options: str) -> Iterator[Listening]:
    """Open a desk at a socket."""
    words = [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "desk", "listen", "--json"]
    words += ["--socket", str(path), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            yield Listening(process, path)
        finally:
            process.kill()


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """Connect without a client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(HANG_SECONDS)
        connection.connect(str(path))
        yield connection


def received(connection: socket.socket) -> bytes:
    """Return all that comes until the other end closes."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def message(connection: socket.socket) -> dict[str, Any]:
    """Return the next JSON object; rows before it are passed over."""
    while True:
        kind, length = HEAD.unpack(_exactly(connection, HEAD.size))
        data = _exactly(connection, length)
        if kind == SAID:
            return json.loads(data)


def _exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        assert part, "the other end has closed"
        data += part
    return data


def told(data: bytes) -> list[dict[str, Any]]:
    """Return the JSON objects of frames."""
    found = []
    while data:
        kind, length = HEAD.unpack(data[: HEAD.size])
        payload, data = data[HEAD.size : HEAD.size + length], data[HEAD.size + length :]
        found += [json.loads(payload)] if kind == SAID else []
    return found


class MadeUp:
    """A session without a sandbox, whose questions say how they end."""

    principal, id, snapshot, as_of = "someone", "session-1", 7, None
    size = 1

    def __init__(self) -> None:
        self.asked: list[tuple[Any, Any]] = []
        self.ended: list[str] = []
        self.is_closed = threading.Event()
        self.is_at_work = threading.Event()
        self.is_enough = threading.Event()
        self.errors: dict[str, Exception] = {}
        self.look = lambda: None

    def sql(self, text: Any, values: Any = None) -> Answer:
        self.asked.append((text, values))
        if text in self.errors:
            raise self.errors[text]
        if text == "endless":
            self._work()
        return Answer(pa.table({"n": [b"x" * self.size]}), Outcome("success", rows=1), self.snapshot, "event-1")

    def _work(self) -> None:
        try:
            while not self.is_enough.is_set():
                self.is_at_work.set()
                self.look()
                time.sleep(0.002)
        except Interrupted as stop:
            self.ended.append(str(stop))
            raise StoppedError(f"stopped: {stop}") from None

    def close(self) -> None:
        self.is_closed.set()


class Hall:
    """Counters in threads behind a socket, all with the same made-up session."""

    def __init__(self, lake: auditlake.AuditLake, path: Path, session: MadeUp) -> None:
        self.lake, self.path, self.session = lake, path, session
        self.counters: list[counter.Counter] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.counters.append(counter.Counter(connection, self.lake.layout, self.lake._context.clock))
            thread = threading.Thread(target=self._serve, args=(self.counters[-1], connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, one: counter.Counter, connection: socket.socket) -> None:
        one.serve()
        connection.close()

    def close(self) -> None:
        """Let nobody in, and wait for all who are."""
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self.counters:
            each.close_soon()
        for thread in self._threads:
            thread.join(HANG_SECONDS)
            assert not thread.is_alive()


def become(uid: int, gid: int, groups: Sequence[int] = ()) -> None:
    """Be another account from here on."""
    os.setgroups(list(groups))
    os.setgid(gid)
    os.setuid(uid)
