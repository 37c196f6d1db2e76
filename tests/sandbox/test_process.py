"""A child that has been taken over gets nothing out of its parent but an error."""

from __future__ import annotations

import pytest

from auditlake.confined.process import ChildGone
from auditlake.errors import SandboxError
from auditlake.sandbox import parent
from auditlake.sandbox.model import MEGABYTE, Opening
from auditlake.sandbox.parent import Child
from auditlake.sandbox.selfcheck import Holds, verdict
from tests.waiting import HANG_SECONDS

OPENING = Opening(
    layers=(), folder="/", files=(), engine_reads=True, views={}, secure=(), open=(), on_demand={}, growing=(),
    seconds=1.0, memory=MEGABYTE, threads=1, rows=1, output=MEGABYTE,
)  # fmt: skip
FAKE = """
import json, os, struct, sys, time
sys.path[:] = sys.argv[1:]
def take():
    kind, length = struct.unpack(">cQ", os.read(0, 9))
    while length:
        length -= len(os.read(0, length))
def frame(kind, data):
    os.write(1, struct.pack(">cQ", kind, len(data)) + data)
def say(**said):
    frame(b"J", json.dumps(said).encode())
take()
{opened}
take()
{asked}
sys.stdin.read()
"""
READY = 'say(ready=["engine", "gate"])'


def faked(monkeypatch: pytest.MonkeyPatch, *, opened: str = READY, asked: str = "") -> Child:
    monkeypatch.setattr(parent, "_CODE", FAKE.format(opened=opened, asked=asked))
    monkeypatch.setattr(parent, "_START_SECONDS", HANG_SECONDS)
    return Child()


@pytest.mark.parametrize(
    "asked",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "os.write(1, b'garbage that is no frame at all')",
        "os.write(1, struct.pack('>cQ', b'J', 1 << 62))",
        "os.write(1, struct.pack('>cQ', b'A', 1 << 62))",
        "os.write(1, struct.pack('>cQ', b'J', 1 << 25))",
        "frame(b'X', b'')",
        "frame(b'J', b'[1]')",
        "frame(b'J', b'{')",
        "frame(b'J', b'[' * 100000)",
        "say(nothing=1)",
        "say(done=7)",
        "[frame(b'A', bytes(1 << 20)) for _ in range(100)]",
        "frame(b'A', b'no Arrow'); say(done=dict(status='success', rows=1))",
        "say(done=dict(status='success', rows='many'))",
        "say(done=dict(status='triumph'))",
        "say(done=dict(status='success', seconds=[]))",
        "say(done=dict(status='success', seconds=float('nan')))",
        "say(done=dict(status='success', seconds=float('inf')))",
    ],
)
def test_answers(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that sends something other than an answer is killed, and its parent says so."""
    child = faked(monkeypatch, asked=asked)
    child.open(OPENING)
    with pytest.raises(ChildGone) as gone:
        child.ask("select 1", {}, HANG_SECONDS, MEGABYTE, lambda _: None)

    assert child._process.returncode is not None
    assert "longer than it may" not in str(gone.value)


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that sends nothing is killed at the deadline."""
    child = faked(monkeypatch)
    child.open(OPENING)
    with pytest.raises(ChildGone, match="longer than it may"):
        child.ask("select 1", {}, 0.0, MEGABYTE, lambda _: None)

    assert child._process.returncode is not None


@pytest.mark.parametrize(
    ("opened", "raised"),
    [
        ("os._exit(3)", ChildGone),
        ("say(unsafe='the engine ran copy')", SandboxError),
        ("say(broken='x')", SandboxError),
        ("say(odd=1)", SandboxError),
        ("frame(b'A', b'rows')", ChildGone),
    ],
)
def test_opening(opened: str, raised: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that does not open as it should is killed."""
    child = faked(monkeypatch, opened=opened)
    with pytest.raises(raised):
        child.open(OPENING)

    assert child._process.returncode is not None


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed once it has sent more than an answer may have, and not when it is done."""
    child = faked(monkeypatch, asked="[frame(b'A', bytes(1 << 20)) for _ in range(64)]")
    child.open(OPENING)
    with pytest.raises(ChildGone, match="more than it may"):
        child.ask("select 1", {}, HANG_SECONDS, MEGABYTE, lambda _: None)


def test_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says about its rows is not believed."""
    asked = """
import pyarrow as pa
sink = pa.BufferOutputStream()
with pa.ipc.new_stream(sink, pa.schema([("a", pa.int64())])) as stream:
    stream.write_table(pa.table({"a": [1, 2]}))
frame(b"A", sink.getvalue())
say(done=dict(status="success", rows=10**9))
"""
    child = faked(monkeypatch, asked=asked)
    child.open(OPENING)
    reply = child.ask("select 1", {}, HANG_SECONDS, MEGABYTE, lambda _: None)
    child.kill()

    assert reply.outcome.rows == 2


def test_doctor(layers: tuple[Holds, ...]) -> None:
    """Doctor tries each layer by itself, and says whether auditors' SQL can be run."""
    assert [each.layer for each in layers] == ["process", "landlock", "calls", "limits", "engine", "gate"]
    assert all(each.holds or each.why for each in layers)
    assert verdict(layers)[0]
    assert not verdict(tuple(each for each in layers if each.layer != "engine"))[0]
    assert "without Landlock" in verdict(tuple(each for each in layers if each.layer != "landlock"))[1]
