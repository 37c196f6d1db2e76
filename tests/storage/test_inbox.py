"""Many hosts that bring events to one bucket: each event once, whoever commits it, and whatever dies meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.storage.test_hosts import host
from tests.storage.test_lake import ids, lines, made, opened, url

__all__ = ["host", "url"]


def test_hosts_that_log(url: str, host: Any, tmp_path: Path) -> None:
    """What hosts have logged is in each one's own landing, and a flush of one says nothing of the others'."""
    lake = made(url, policies="none", unsigned=True)
    host("two")
    other = opened(url)
    lines(tmp_path / "first.jsonl", "first")
    other.ingest(tmp_path / "first.jsonl")  # a host that writes has a number
    mine = [lake.log(event_type="auth_failure", user_id="ada", action="x" * 1000) for _ in range(3)]
    theirs = [other.log(event_type="auth_failure", user_id="bea")]
    host("one")
    lake.flush()
    host("two")
    other.flush()
    theirs += [other.log(event_type="auth_failure")]
    other.flush()
    host("one")
    mine += [lake.log(event_type="auth_failure")]
    lake.flush()

    assert ids(opened(url)) == sorted([*mine, *theirs, "first"])


def test_snapshots_of_before_a_compaction(url: str, host: Any, tmp_path: Path) -> None:
    """A snapshot has the batches that hosts had committed by then, in whichever order these are numbered."""
    lake = made(url, policies="none", unsigned=True)
    host("two")
    other = opened(url)
    snapshots, batches = list[tuple[int, list[str]]](), list[int | None]()
    for number, (name, each) in enumerate([("two", other), ("one", lake), ("two", other), ("one", lake)]):
        host(name)
        done = each.ingest(lines(tmp_path / f"{number}.jsonl", f"{number}"))
        batches.append(done.batch)
        snapshots.append((done.snapshot, [f"{made}" for made in range(number + 1)]))
    lake.compact(grace_seconds=0)

    assert batches == [1 << 40 | 1, 2 << 40 | 1, 1 << 40 | 2, 2 << 40 | 2]
    for version, there in snapshots:
        query = "select event_id from events order by event_id"
        assert [each for (each,) in lake.sql(query, snapshot=version).fetchall()] == there
