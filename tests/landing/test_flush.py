"""What a flush does with a landing, whatever lies in it."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count, product
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.disk.lock import exclusive
from auditlake.errors import CommitError, LakeBusyError, LakeError, LostKeyError
from auditlake.landing import flush as room
from auditlake.landing.segments import Position, application
from auditlake.store.deltalog import commit_metadata, transaction_version
from auditlake.upkeep.doctor import examine
from auditlake.verify.check import verify
from tests.landing.flushing import held, left, line, once, opened, put, quarantined, seen, stored
from tests.landing.lakes import NOW, event, trail
from tests.soak import mostly
from tests.waiting import until

WHY = {"reason": "Article 17", "ticket": "G-1"}


def position(lake: AuditLake, slot: int = 0) -> Position | None:
    """How far the table has come in a slot."""
    packed = transaction_version(lake.layout, application(slot))
    return None if packed is None else Position.unpack(packed)


def test_logged_events_land(lake: AuditLake) -> None:
    """What was logged is in the table once, in one commit with its position and custody, and its segment is gone."""
    with trail(lake.layout) as log:
        given = [log.log(event(number)) for number in range(3)]
    data = lake.layout.segment(0, 1).read_bytes()

    summary = lake.flush()

    assert (summary.landed, summary.duplicates, summary.quarantined, summary.removed, summary.snapshot) == (
        3,
        0,
        0,
        1,
        1,
    )
    assert stored(lake) == Counter(given)
    assert left(lake.layout) == []
    assert position(lake) == Position(1, len(data))
    own = commit_metadata(lake.layout, 1)
    assert own is not None
    assert own["inputs"] == [{
        "name": "landing/00/0000000001.jsonl", "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        "source": "auditlake", "format": "lines", "read": 3, "landed": 3, "duplicates": 0, "quarantined": 0,
    }]  # fmt: skip
    assert lake.flush() == room.FlushSummary(0, 0, 0, 0, 1)


def test_an_open_segment(lake: AuditLake) -> None:
    """Whole lines of a segment that is being written are flushed and it stays; what is half written waits."""
    path = put(lake.layout, 0, 1, line(0) + line(1) + line(2)[:40])
    with held(lake.layout, 0):
        assert (lake.flush().landed, left(lake.layout)) == (2, ["00/0000000001.jsonl"])
        assert lake.flush().snapshot == 1
        path.write_bytes(line(0) + line(1) + line(2) + b"{\n" + line(3))
        assert (lake.flush().landed, left(lake.layout)) == (2, ["00/0000000001.jsonl"])

    own = commit_metadata(lake.layout, 2)
    assert own is not None
    (given,) = own["inputs"]
    assert (given["offset"], given["size"]) == (len(line(0) * 2), len(line(0) * 2) + 2)
    (entry,) = quarantined(lake)
    assert (entry["line"], entry["offset"], entry["data"]) == (4, 3 * len(line(0)), "{")
    assert lake.flush() == room.FlushSummary(0, 0, 0, 1, 2)
    assert stored(lake) == once(0, 1, 2, 3)


TAILS = {
    "half a line": line(9)[:50],
    "all but the newline": line(9)[:-1],
    "no JSON": b"\xff\xfe!",
    "in the middle of a character": line(9, action="é").partition("é".encode())[0] + b"\xc3",
    "one zero": b"\0",
    "a block of zeros": bytes(4096),
    "a compressed file's beginning": b"\x1f\x8b\x08",
}


@pytest.mark.parametrize(
    ("tail", "before"),
    mostly(product(TAILS, [0, 2]), always=[*product(TAILS, [2]), ("half a line", 0), ("a block of zeros", 0)]),
)
def test_torn_lines(tail: str, before: int, lake: AuditLake) -> None:
    """What a dead writer left behind its last newline is quarantined with its bytes and place, once."""
    check_torn_line(TAILS[tail], b"".join(map(line, range(before))), lake)


def check_torn_line(tail: bytes, whole: bytes, lake: AuditLake) -> None:
    put(lake.layout, 0, 1, whole + tail)
    put(lake.layout, 0, 2, line(2))

    summary = lake.flush()

    landed = whole.count(b"\n") + 1
    assert (summary.landed, summary.quarantined, summary.removed) == (landed, 1, 2)
    (entry,) = quarantined(lake)
    assert (entry["input"], entry["reason"]) == ("landing/00/0000000001.jsonl", "torn line")
    assert (entry["line"], entry["offset"], entry["length"]) == (landed, len(whole), len(tail))
    kept = entry["data"].encode() if entry["encoding"] == "utf-8" else base64.b64decode(entry["data"])
    assert kept == tail
    assert lake.flush() == room.FlushSummary(0, 0, 0, 0, 1)


def test_a_torn_line_longer_than_a_record(lake: AuditLake) -> None:
    """Of a torn line over the limit the beginning is kept, with the length and digest of the whole."""
    tail = bytes(lake.config.max_record + 7)
    put(lake.layout, 0, 1, line(0) + tail)

    assert (lake.flush().landed, seen(lake)) == (1, once(0))
    (entry,) = quarantined(lake)
    assert (entry["length"], entry["sha256"]) == (len(tail), hashlib.sha256(tail).hexdigest())
    assert len(entry["data"]) < 100_000


BAD = {
    b"\0" * 64: "not valid JSON",
    b"\xc3": "not valid JSON",
    b"null": "not a JSON object",
    b'{"event_type":"login","event_type":"login"}': "repeated key",
    b'{"event_type":"no such","timestamp":"2026-01-01"}': "unknown event type",
    b"[" * 600: "not valid JSON",
}


def test_lines_that_are_no_events(lake: AuditLake) -> None:
    """Whole lines that cannot be events are quarantined as those of any input; blank ones are none."""
    put(lake.layout, 0, 1, b"\n" + b"\n".join(BAD) + b"\n \n" + line(0) + b"\r\n")

    assert (lake.flush().landed, seen(lake)) == (1, once(0))
    assert [entry["reason"] for entry in quarantined(lake)] == list(BAD.values())
    assert [entry["line"] for entry in quarantined(lake)] == list(range(2, 2 + len(BAD)))


def test_ids_of_ones_own(lake: AuditLake, tmp_path: Path) -> None:
    """An event with an id that the lake has is a duplicate, another event under that id is quarantined."""
    (tmp_path / "first.jsonl").write_bytes(line(0) + line(1))
    lake.ingest(tmp_path / "first.jsonl")
    put(lake.layout, 0, 1, line(1) + line(0, status="forged") + line(2) + line(2) + line(2, status="late"))

    summary = lake.flush()

    assert (summary.landed, summary.duplicates, summary.quarantined) == (1, 2, 2)
    assert [entry["offset"] for entry in quarantined(lake)] == [
        len(line(1)),
        len(line(1) * 3 + line(0, status="forged")),
    ]
    assert stored(lake) == once(0, 1, 2)


def test_nothing_but_a_position_moves(lake: AuditLake, tmp_path: Path) -> None:
    """Where all that was logged is known, or blank, the position is committed, or the segment could never go."""
    (tmp_path / "first.jsonl").write_bytes(line(0) + line(1))
    lake.ingest(tmp_path / "first.jsonl")
    put(lake.layout, 0, 1, line(1) + line(0))
    put(lake.layout, 1, 1, b"\n\n")

    assert lake.flush() == room.FlushSummary(0, 2, 0, 2, 2)
    assert lake.flush() == room.FlushSummary(0, 0, 0, 0, 2)
    assert stored(lake) == once(0, 1)
    assert lake.compact(grace_seconds=0).snapshot == 2


def test_empty_segments(lake: AuditLake) -> None:
    """Empty segments of the dead go without a commit; the one that is being written stays."""
    for number in (1, 2, 3):
        put(lake.layout, 0, number, b"")
    put(lake.layout, 1, 1, b"")
    with held(lake.layout, 0):
        assert lake.flush() == room.FlushSummary(0, 0, 0, 3, 0)
        assert left(lake.layout) == ["00/0000000003.jsonl"]
    with trail(lake.layout) as log:
        given = log.log(event())
    assert lake.flush().landed == 1
    assert stored(lake) == Counter([given])


@pytest.mark.parametrize("kept", [0, 5, None])
def test_a_position_behind_the_end(kept: int | None, lake: AuditLake) -> None:
    """Where a power cut has taken bytes, or the file, that were flushed already, nothing is lost or skipped."""
    path = put(lake.layout, 0, 4, line(0) + line(1))
    with held(lake.layout, 0):
        lake.flush()
    if kept is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:kept])
    assert seen(lake) == once(0, 1)

    assert lake.flush() == room.FlushSummary(0, 0, 0, kept is not None, 1)
    with trail(lake.layout) as log:
        given = log.log(event())
    assert left(lake.layout) == ["00/0000000005.jsonl"]
    assert seen(lake) == once(0, 1) + Counter([given])
    assert lake.flush().landed == 1
    assert stored(lake) == once(0, 1) + Counter([given])


def test_foreign_files(lake: AuditLake) -> None:
    """What others put into the landing is no event and stays."""
    landing = lake.layout.landing
    put(lake.layout, 0, 1, line(0))
    (landing / "notes.txt").write_text("x")
    (landing / "008").mkdir()
    (landing / "008" / "0000000001.jsonl").write_bytes(line(1))
    (landing / "x").mkdir()
    for name in ("events.jsonl", "1.jsonl", "0000000002.jsonl.gz", ".0000000003.jsonl", "000000000004.jsonl"):
        (landing / "00" / name).write_bytes(line(2))
    before = {path for path in landing.rglob("*") if path.name != "0000000001.jsonl" or path.parent.name == "008"}

    for _ in range(2):
        assert seen(lake) == once(0)
        lake.flush()

    assert stored(lake) == once(0)
    assert {path for path in landing.rglob("*") if path.name != "flush.lock"} == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in ("00/0000000001.jsonl", "00/lock", "07") for kind in ("link", "pipe", "folder or file")],
)
def test_segments_that_are_none(lake: AuditLake, tmp_path: Path, name: str, kind: str) -> None:
    """What has the name of a slot, a segment or a lock and is of another kind is refused by name, never passed over."""
    put(lake.layout, 0, 1, line(0))
    path = lake.layout.landing / name
    path.rename(tmp_path / "own") if path.exists() else (tmp_path / "own").touch()
    if kind == "link":
        path.symlink_to(tmp_path / "own")
    elif kind == "pipe":
        os.mkfifo(path)
    elif name == "07":
        path.touch()
    else:
        path.mkdir()

    for reads in (lake.flush, lambda: seen(lake)):
        with pytest.raises(LakeError, match=rf"landing/{name}: this is a .*, expected a ") as caught:
            reads()
        assert caught.value.hint
    where = [each.where for each in verify(lake.layout, now=NOW).problems]
    assert where == [f"landing/{name}"]
    assert f"landing/{name}" in [each.where for each in examine(lake.layout, now=NOW).problems]


def test_a_lake_without_a_landing(lake: AuditLake) -> None:
    """A lake that was copied without its empty folders can be read, flushed and logged into."""
    shutil.rmtree(lake.layout.landing)

    assert lake.flush() == room.FlushSummary(0, 0, 0, 0, 0)
    assert seen(lake) == Counter()
    with trail(lake.layout) as log:
        given = log.log(event())
    assert seen(lake) == Counter([given])


def test_a_landing_larger_than_a_commit(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large landing becomes several commits of bounded size, with every event once."""
    monkeypatch.setattr(room, "ROUND", 5 * len(line(0)))
    for slot in (0, 1):
        for number in range(1, 5):
            put(lake.layout, slot, number, b"".join(line(100 * slot + 10 * number + n) for n in range(4)))

    assert lake.flush() == room.FlushSummary(32, 0, 0, 8, 4)
    assert stored(lake) == once(
        *(100 * slot + 10 * number + n for slot in (0, 1) for number in range(1, 5) for n in range(4))
    )


def test_a_flush_comes_to_an_end(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged while a flush is at work is for the next one: it ends however busy the writers are."""
    from auditlake.ingest import ingest

    real = ingest.ingest
    with trail(lake.layout, segment_bytes=300) as log:

        def ingest_while_logging(*arguments: Any, **options: Any) -> Any:
            log.log_many([event(), event()])
            return real(*arguments, **options)

        monkeypatch.setattr(ingest, "ingest", ingest_while_logging)
        monkeypatch.setattr(room, "ROUND", 300)
        log.log_many([event()])
        log.log_many([event(), event(), event()])

        assert lake.flush().landed == 4
        assert seen(lake).total() > 4


# --- Several at once, and none ---


def test_one_flush_at_a_time(lake: AuditLake) -> None:
    """A flush waits for the one before it, and then has nothing to do; or says that the lake is busy."""
    put(lake.layout, 0, 1, line(0))
    hasty = AuditLake(lake.layout.root, wait_seconds=0.1)
    with exclusive(lake.layout.landing / "flush.lock", wait_seconds=0), pytest.raises(LakeBusyError, match="flush"):
        hasty.flush()

    done: list[room.FlushSummary] = []
    threads = [Thread(target=lambda: done.append(opened(lake.layout.root).flush())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((each.landed, each.removed, each.snapshot) for each in done) == [(0, 0, 1)] * 3 + [(1, 1, 1)]


@pytest.mark.parametrize("moves", [0, 1])
def test_a_position_that_moved(lake: AuditLake, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """Should somebody flush who knows nothing of the lock, the second commit is refused, and nothing is there twice.

    The flush goes on from where the other has brought it, so many times.
    """
    monkeypatch.setattr(room, "_MOVES", moves)
    put(lake.layout, 0, 1, line(0))
    real, calls = room.transaction_versions, count(1)

    def read_then_lose(*arguments: Any) -> Any:
        reached = real(*arguments)
        if next(calls) == 2:  # the first look is without the lock
            monkeypatch.setattr(room, "exclusive", lambda *_, **__: held(lake.layout, 5))
            assert lake.flush().landed == 1
            put(lake.layout, 0, 1, line(0))
        return reached

    monkeypatch.setattr(room, "transaction_versions", read_then_lose)

    with nullcontext() if moves else pytest.raises(CommitError, match=r"auditlake\.landing\.00 has come to"):
        assert lake.flush().landed == 0
    assert stored(lake) == once(0)


def test_nothing_to_do_is_cheap(lake: AuditLake) -> None:
    """A flush of nothing new imports neither DuckDB nor Delta, and changes nothing on the disk."""
    put(lake.layout, 0, 1, line(0))
    with held(lake.layout, 0):
        lake.flush()
        code = (f"import sys, auditlake; summary = auditlake.open({str(lake.layout.root)!r}).flush();"
                "print(summary.landed, summary.snapshot, *sorted(sys.modules))")  # fmt: skip
        before = sorted((path, path.stat().st_mtime_ns) for path in lake.layout.root.rglob("*"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert sorted((path, path.stat().st_mtime_ns) for path in lake.layout.root.rglob("*")) == before
    landed, snapshot, *modules = done.stdout.split()
    assert (landed, snapshot) == ("0", "1")
    assert {"duckdb", "deltalake", "pyarrow", "numpy"} & set(modules) == set()


def test_trails_flush_by_themselves(lake: AuditLake) -> None:
    """The trail of a lake brings its events into the table while it is open, and goes on where it was."""
    with lake.trail(flush_seconds=0.02) as log:
        given = [log.log(event())]
        until(lambda: lake.snapshot().rows == 1)
        given.append(log.log(event()))
        assert seen(lake) == Counter(given)
        until(lambda: lake.snapshot().rows == 2)
    assert seen(lake) == Counter(given)


# --- Reports, the command line, lakes that cannot be written ---


def test_reports_flush_first(lake: AuditLake) -> None:
    """A report has what was logged; one of an older snapshot has not, and flushes nothing."""
    put(lake.layout, 0, 1, line(0))
    old = lake.report("authentication_monitoring", snapshot=0, as_of=NOW)
    assert old.report.total_events == 0
    assert left(lake.layout) == ["00/0000000001.jsonl"]

    new = lake.report("authentication_monitoring", as_of=NOW)

    assert (new.report.total_events, new.report.evidence.snapshot) == (1, 1)
    assert left(lake.layout) == []


def test_command_line(lake: AuditLake) -> None:
    """``auditlake flush`` says in a line or as JSON what it did."""
    command = [sys.executable, "-m", "auditlake", "--lake", str(lake.layout.root), "flush"]
    put(lake.layout, 0, 1, line(0) + line(0) + b"x")

    done = subprocess.run(command, capture_output=True, text=True, check=True)
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)

    assert done.stdout == "1 event flushed, 1 duplicate, 1 quarantined, 1 segment removed (snapshot 1)\n"
    assert json.loads(again.stdout) == {"landed": 0, "duplicates": 0, "quarantined": 0, "removed": 0, "snapshot": 1}


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Any]:
    """Mounts a folder a second time so that it can only be read there."""
    target = tmp_path / "read only"
    target.mkdir()

    def mounted(folder: Path) -> Path:
        for command in (["mount", "--bind", folder, target], ["mount", "-o", "remount,ro,bind", target]):
            if (
                os.geteuid() != 0
                or subprocess.run(list(map(str, command)), capture_output=True, check=False).returncode
            ):
                pytest.skip("only root may mount a folder read-only, and not everywhere")
        return target

    yield mounted
    subprocess.run(["umount", str(target)], capture_output=True, check=False)


def test_a_lake_that_can_only_be_read(lake: AuditLake, read_only: Any) -> None:
    """It shows what lies in its landing; a report says that this cannot be brought into the table."""
    put(lake.layout, 0, 1, line(0))
    put(lake.layout, 0, 2, line(1) + b"{")
    reader = opened(read_only(lake.layout.root))

    assert seen(reader) == once(0, 1)
    assert reader.statistics().total_events == 2
    for verb in (reader.flush, reader.reports):
        with pytest.raises(
            LakeError, match="the landing holds events that are not in the table, and cannot be written"
        ):
            verb()
    assert reader.report("authentication_monitoring", snapshot=0, as_of=NOW).report.total_events == 0

    lake.flush()
    put(lake.layout, 0, 1, line(0))  # as a flush leaves it that was killed before it removed it

    assert seen(reader) == once(0, 1)
    assert reader.flush() == room.FlushSummary(0, 0, 0, 0, 1)
    assert reader.report("authentication_monitoring", as_of=NOW).report.total_events == 2


@pytest.mark.parametrize("step", ["commit._settle", "bookkeeping.sync_log"])
def test_a_commit_that_fails(step: str, lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the commit fails, before or after it is there, nothing is removed, and the next flush completes it once."""
    put(lake.layout, 0, 1, line(0) + line(1))

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error", "somewhere")

    with monkeypatch.context() as patched, pytest.raises(LakeError, match="the flush failed: Input/output error"):
        patched.setattr(f"auditlake.store.{step}", fail)
        lake.flush()
    assert left(lake.layout) == ["00/0000000001.jsonl"]
    assert seen(lake) == once(0, 1)

    assert lake.flush().removed == 1
    assert stored(lake) == once(0, 1)


def test_what_needs_a_lost_key_waits(lake: AuditLake) -> None:
    """Without the key a record that may be an erased event waits with what lies behind it; all else is flushed."""
    nameless = "a" * 64
    put(lake.layout, 0, 1, line(0) + line(7).replace(b'"e7"', f'"{nameless}"'.encode()))
    lake.flush()
    lake.retention.erase("user 0", **WHY)
    lake.retention.erase("user 7", **WHY)
    away = lake.layout.root.parent / "elsewhere"
    lake.layout.pseudonyms.rename(away)
    put(lake.layout, 0, 2, line(1) + line(2) + line(0) + line(3))
    put(lake.layout, 0, 3, line(4))
    put(lake.layout, 1, 1, line(5) + line(6)[:9])
    put(lake.layout, 2, 1, line(8) + line(9).replace(b'"e9"', f'"{nameless}"'.encode()))
    for version in (4, 4):
        with pytest.raises(LostKeyError, match=r"key .* has gone") as raised:
            lake.flush()
        stop = (
            f"landing/00/0000000002.jsonl from byte {len(line(1) * 2)}, 02/0000000001.jsonl from byte {len(line(8))};"
        )
        assert f"{stop} all else is flushed; restore it from a backup" in raised.value.hint
        assert set(stored(lake)) >= {"e1", "e2", "e5", "e8"}
        assert left(lake.layout) == ["00/0000000002.jsonl", "00/0000000003.jsonl", "02/0000000001.jsonl"]
        assert (lake.snapshot().version, [entry["reason"] for entry in quarantined(lake)]) == (version, ["torn line"])

    away.rename(lake.layout.pseudonyms)
    done = lake.flush()
    assert (done.landed, done.duplicates, dict(Counter(e["reason"] for e in quarantined(lake)))) == (
        2, 1, {"torn line": 1, "id_conflict": 1}
    )  # fmt: skip
    assert left(lake.layout) == []
