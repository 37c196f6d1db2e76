"""Lines that a mapping is for: following them gives what an ingest of the finished files gives."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import LakeBusyError, SourceError
from auditlake.ingest import ingest as ingest_room
from auditlake.store.deltalog import commit_metadata, newest_version
from auditlake.tail import destination
from auditlake.tail.follow import tail
from auditlake.tail.place import Bookmark
from tests.lakes import create
from tests.tail.conftest import Follow, append, quarantined, rotated

FIXTURES = Path(__file__).parents[1] / "sources" / "fixtures"
OWN = b"""\
source: pairs
read: kv
match: [ts, act]
timestamp: ts
action: act
user_id: who
event_type: [login: act = 'in', api_call: true]
skip: {noise: act = 'noise'}
"""


def rows(lake: AuditLake) -> list[tuple[Any, ...]]:
    """Every event with every column but those that say which ingest brought it."""
    columns = "event_id, event_type, timestamp, user_id, action, resource, status, details, metadata, session_id"
    query = f"select {columns}, ip_address, source from events order by all"
    return lake.sql(query).fetchall()


def refused(lake: AuditLake) -> list[tuple[Any, ...]]:
    """Every quarantined record, as often as it is there."""
    keys = ("line", "offset", "length", "reason", "detail", "data", "field", "value")
    return sorted(tuple(str(entry.get(key)) for key in keys) for entry in quarantined(lake))


def ingested(path: Path, source: str, *files: Path, **options: Any) -> AuditLake:
    """Another lake with an ingest of the finished files."""
    other = create(path / "other")
    if source == "pairs":
        (path / "pairs.yaml").write_bytes(OWN)
        other.sources.add(path / "pairs.yaml")
    other.ingest(*files, source=source, **options)
    return other


def inputs(lake: AuditLake) -> list[dict[str, Any]]:
    """The chain of custody of every commit."""
    versions = range(newest_version(lake.layout) + 1)
    kept = (commit_metadata(lake.layout, version) or {} for version in versions)
    return [each for one in kept for each in one.get("inputs", ())]


def lines_of(name: str) -> list[bytes]:
    """Lines of a log: some come again, some are broken."""
    lines = (FIXTURES / name).read_bytes().splitlines(keepends=True)[:12]
    return [*lines, lines[0], b"broken \xff\n", b"\n", lines[1].rstrip() + b"\r\n", lines[0], b"{}\n", *lines[:3]]


@pytest.mark.parametrize("name", ["sshd.log", "k8s_audit.jsonl"])
def test_line_by_line_with_a_rotation(name: str, lake: AuditLake, log: Path, follow: Follow, tmp_path: Path) -> None:
    """A log that grows line by line and is rotated gives the events, the ids and the quarantine of its files."""
    source, lines = name.partition(".")[0], lines_of(name)
    append(log, lines[0])
    followed = follow(source=source).all()
    for line in lines[1:9]:
        append(log, line[:7])
        followed.all()
        append(log, line[7:])
        followed.all()
    followed.follower.settle()
    append(log, lines[0], lines[1], lines[0])  # they come again after a commit
    with rotated(log):
        pass
    append(log, *lines[9:])
    followed.all().close()  # what waits is not lost with the process
    followed = follow().all()
    followed.follower.settle()

    other = ingested(tmp_path, source, log.with_name(f"{log.name}.1"), log)
    assert rows(lake) == rows(other)
    assert refused(lake) == refused(other)
    assert len(rows(lake)) > 3
    again = lake.ingest(log.with_name(f"{log.name}.1"), log, source=source)
    assert again.landed == 0


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 60))]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_anywhere_nothing_is_lost_or_doubled(
    seed: int, lake: AuditLake, log: Path, follow: Follow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through writes, rotations and kills at every step of a commit, each line counts once, in quarantine too."""
    (tmp_path / "pairs.yaml").write_bytes(OWN)
    lake.sources.add(tmp_path / "pairs.yaml")
    chance = random.Random(seed)
    append(log)
    pending, files, ingest, write, put = b"", 1, destination.ingest, Bookmark.write, ingest_room.put

    def killed_before(*_: object, **__: object) -> None:
        raise Killed

    def killed_after(*given: Any, **named: Any) -> None:
        ingest(*given, **named)
        raise Killed

    def killed_marking(mark: Bookmark, known: Any) -> None:
        if known.upcoming is None:
            raise Killed
        write(mark, known)

    def killed_quarantining(*given: Any) -> None:
        put(*given)
        raise Killed

    kills = [
        (ingest_room, "put", killed_quarantining), (destination, "ingest", killed_after),
        (Bookmark, "write", killed_marking), (destination, "ingest", killed_before), (Bookmark, "write", killed_before),
    ]  # fmt: skip
    followed = follow(source="pairs")
    for number in range(24):
        said = ("in", "out", "noise")[chance.randrange(3)]
        pending += b"ts=2026-11-24T09:00:%02d act=%s who=ann\n" % (chance.randrange(9), said.encode())
        pending += b"no pair %d\n" % number if chance.random() < 0.3 else b""
        written, pending = pending[: (at := chance.randrange(len(pending) + 1))], pending[at:]
        append(log, written)
        followed.all()
        if number % 8 == 7:
            with monkeypatch.context() as patched:
                patched.setattr(*kills[(seed + number // 8) % len(kills)])
                with suppress(Killed):  # what has nothing for the quarantine is not killed there
                    followed.follower.settle()
            followed.close()
            if number < 20:
                append(log, pending)
                pending, files = b"", files + 1
                with rotated(log, how=("rename", "copy")[seed % 2]):
                    pass
            followed = follow()
    append(log, pending)
    followed.all()
    followed.follower.settle()

    names = [log, *(log.with_name(f"{log.name}.{n}") for n in range(1, files))]
    other = ingested(tmp_path, "pairs", *names)
    assert rows(lake) == rows(other)
    assert refused(lake) == refused(other)
    brought = inputs(lake)
    assert sum(each["read"] for each in brought) == sum(len(each.read_bytes().splitlines()) for each in names)
    skipped = Counter[str]()
    for each in brought:
        skipped.update(each.get("skipped", {}))
    assert skipped["noise"] == sum(each.read_bytes().count(b"noise") for each in names)


def test_a_zone_and_the_summary(lake: AuditLake, log: Path, tmp_path: Path) -> None:
    """A zone is for times without an offset, as in an ingest; the summary counts what was refused and left out."""
    (tmp_path / "pairs.yaml").write_bytes(OWN)
    lake.sources.add(tmp_path / "pairs.yaml")
    append(log, b"ts=2026-07-24T09:00:00 act=in\n", b"junk\n", b"ts=2026-07-24T09:00:01 act=noise\n")
    with pytest.raises(SourceError, match="no time zone"):
        tail(lake, log, once=True, timezone="Europe/Nowhere")
    summary = tail(lake, log, once=True, timezone="Europe/Berlin")

    assert (summary.records, summary.refused, summary.skipped) == (3, 1, 1)
    assert [each[2].hour for each in rows(lake)] == [7]
    assert tail(lake, log, once=True).records == 0


def test_what_waits_is_committed_in_time(
    lake: AuditLake, log: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines wait at most for a minute, and longer only while the lake is busy."""
    append(log, *lines_of("okta.jsonl")[:3])
    followed = follow().all()
    assert rows(lake) == []
    monkeypatch.setattr(destination, "COMMIT_SECONDS", -1.0)
    append(log, lines_of("okta.jsonl")[3])
    with monkeypatch.context() as patched:
        patched.setattr(destination, "ingest", lambda *_, **__: (_ for _ in ()).throw(LakeBusyError("busy")))
        followed.destination._due = -1.0
        followed.all()
        with pytest.raises(LakeBusyError):
            followed.follower.settle()
    assert rows(lake) == []
    followed.all()
    assert len(rows(lake)) == 4


NO_LINES = {
    "auditd": ("auditd.log", "several lines are one record"),
    "k8s_audit": ("k8s_audit.csv", "without their header"),
    "cloudtrail": ("cloudtrail.json", "whose records are no lines"),
    "otlp_genai": ("otlp_genai.jsonl", "each of many records"),
}


@pytest.mark.parametrize("source", NO_LINES)
def test_records_that_are_no_lines(source: str, lake: AuditLake, log: Path) -> None:
    """They are refused with the reason before anything lands, and an ingest reads them."""
    name, expected = NO_LINES[source]
    log.write_bytes((FIXTURES / name).read_bytes())
    with pytest.raises(SourceError, match=expected) as caught:
        tail(lake, log, once=True, source=source)

    assert "ingest" in (caught.value.hint or "")
    assert rows(lake) == []


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_messages_that_say_how_long_they_are(end: bytes, lake: AuditLake, log: Path) -> None:
    """They need no line ends, so that they cannot be followed line by line; without one they are refused, too."""
    message = b"<38>1 2026-11-20T08:00:00Z h sshd 7 - - Accepted password for ann from 192.0.2.1 port 22 ssh2"
    log.write_bytes(b"%d %s" % (len(message), message) * 2 + end)
    with pytest.raises(SourceError, match="messages that say how long they are"):
        tail(lake, log, once=True, source="sshd")

    assert rows(lake) == []


def test_a_cut_without_a_copy(lake: AuditLake, log: Path, follow: Follow) -> None:
    """What waits for its commit is in the table as soon as it is seen that the file has it no more."""
    append(log, *lines_of("okta.jsonl")[:3])
    followed = follow().all()
    assert rows(lake) == []
    log.write_bytes(lines_of("okta.jsonl")[3])
    followed.all()
    assert len(rows(lake)) == 3


def test_another_source_than_before(lake: AuditLake, log: Path, tmp_path: Path) -> None:
    """Whoever names another source is told so; lines before and after count as in an ingest of that source."""
    (tmp_path / "pairs.yaml").write_bytes(OWN)
    lake.sources.add(tmp_path / "pairs.yaml")
    twice = b'{"a":1}{"b":2} ts=2026-11-24T09:00:01 act=in\n'
    append(log, *lines_of("okta.jsonl")[:1], twice)
    tail(lake, log, once=True)
    append(log, twice)
    told: list[str] = []
    tail(lake, log, once=True, source="pairs", listen=told.append)

    assert any("was followed as okta so far" in each for each in told)
    other = ingested(tmp_path, "pairs", log)
    assert rows(lake)[-1][0] in {each[0] for each in rows(other)}
    assert len(rows(lake)) == 2


def test_an_unknown_source(lake: AuditLake, log: Path) -> None:
    """A source that is not there is refused at once, with those that are."""
    append(log, b"junk\n")
    with pytest.raises(SourceError, match="there is no source 'sshdd'") as caught:
        tail(lake, log, once=True, source="sshdd")
    assert "sshd" in (caught.value.hint or "")


def test_a_commit_names_the_stretch(lake: AuditLake, log: Path) -> None:
    """The commit says which stretch of the file it brought, by which mapping."""
    first = lines_of("okta.jsonl")[0]
    append(log, first)
    tail(lake, log, once=True)
    append(log, lines_of("okta.jsonl")[1])
    tail(lake, log, once=True)

    brought = [(each["name"], each.get("offset", 0), each["mapping"]) for each in inputs(lake)]
    assert [(name, offset, mapping.partition("/")[0]) for name, offset, mapping in brought] == [
        (str(log), 0, "okta"), (str(log), len(first), "okta"),
    ]  # fmt: skip


def test_blank_lines_say_nothing_of_the_source(lake: AuditLake, log: Path) -> None:
    """A log that begins with blank lines is recognised by the first that is none, also by a later process."""
    append(log, b"\n")
    tail(lake, log, once=True)
    append(log, b"\r\n", *lines_of("okta.jsonl")[:2])
    tail(lake, log, once=True)

    assert [each[-1] for each in rows(lake)] == ["okta", "okta"]


def test_a_source_that_was_taken_away(lake: AuditLake, log: Path, tmp_path: Path) -> None:
    """A log is not gone on with where its mapping is no more, and the reason is told; nothing is lost."""
    (tmp_path / "pairs.yaml").write_bytes(OWN)
    lake.sources.add(tmp_path / "pairs.yaml")
    append(log, b"ts=2026-11-24T09:00:01 act=in\n")
    tail(lake, log, once=True)
    lake.sources.remove("pairs")
    append(log, b"ts=2026-11-24T09:00:02 act=in\n")
    with pytest.raises(SourceError, match="there is no source 'pairs'"):
        tail(AuditLake(lake.layout.root), log, once=True)
    lake.sources.add(tmp_path / "pairs.yaml")
    tail(AuditLake(lake.layout.root), log, once=True)

    assert len(rows(lake)) == 2
