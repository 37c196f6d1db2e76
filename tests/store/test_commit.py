"""The one way to change the table: what it refuses, and whose versions the table has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from auditlake import AuditLake
from auditlake.disk.layout import part_path
from auditlake.errors import CommitError, LakeFormatError, SnapshotError
from auditlake.store import commit as commit_module
from auditlake.store.batches import allocate_batch
from auditlake.store.deltalog import commit_metadata
from auditlake.store.model import Change, DataFile
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.store.lakes import NOW, check, commit, expected, ids, made, opened, write_events
from tests.templates import copy_of

META = {"kind": "ingest", "batch": 99, "rows": 1}


def one_ingest(folder: Path) -> None:
    """Make a lake of one ingest of two days."""
    made(folder / "lake").ingest(write_events(folder / "first.jsonl", range(6)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of one ingest."""
    return opened(copy_of(one_ingest, tmp_path) / "lake")


def write_foreign(lake: AuditLake, number: int = 0) -> None:
    """One event appended by another program, which knows nothing of our lock."""
    frame = pl.DataFrame({
        "event_id": [f"foreign{number}"], "event_type": ["login"], "timestamp": [NOW], "event_date": [NOW.date()],
    }, schema_overrides={"timestamp": pl.Datetime("us", "UTC")})  # fmt: skip
    write_deltalake(str(lake.layout.events), frame.to_arrow(), mode="append", schema_mode="merge")


def new_file(lake: AuditLake) -> DataFile:
    """A file of one row in its place, not committed."""
    origin = lake.snapshot().files[0]
    file = replace(origin, path=part_path(date(2026, 5, 1), "0" * 64), day=date(2026, 5, 1))
    target = lake.layout.events / file.path
    target.parent.mkdir()
    target.write_bytes((lake.layout.events / origin.path).read_bytes())
    return file


def add_entry(lake: AuditLake, *actions: dict[str, Any]) -> None:
    """A log entry as another program may write it."""
    entry = lake.layout.commit(lake.snapshot().version + 1)
    entry.write_text("\n".join(json.dumps(action) for action in actions))


# --- Refusals ---


def test_refuses_a_stale_snapshot(lake: AuditLake) -> None:
    """What was planned on an older version is not committed."""
    old = lake.snapshot(0)

    with pytest.raises(CommitError, match="moved from version 0 to 1"):
        commit(lake, Change((new_file(lake),), (), META), old)

    assert lake.snapshot().version == 1


def test_refuses_to_remove_what_is_not_live(lake: AuditLake) -> None:
    """A file that is not part of the snapshot cannot be removed from it."""
    with pytest.raises(CommitError, match="not part of version 1"):
        commit(lake, Change((), (new_file(lake),), META))

    assert lake.snapshot().version == 1


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"short")])
def test_refuses_a_file_that_is_not_whole(spoil: Callable[[Path], object], lake: AuditLake) -> None:
    """A file that is missing or has another size cannot be added."""
    file = new_file(lake)
    spoil(lake.layout.events / file.path)

    with pytest.raises(CommitError, match=f"expected {file.size} bytes"):
        commit(lake, Change((file,), (), META))

    assert lake.snapshot().version == 1


def test_refuses_after_a_foreign_commit(lake: AuditLake) -> None:
    """A commit by another program between plan and commit makes the plan stale."""
    seen = lake.snapshot()
    write_foreign(lake)

    with pytest.raises(CommitError, match="moved from version 1 to 2"):
        commit(lake, Change((new_file(lake),), (), META), seen)

    assert lake.snapshot().rows == 7


def test_refuses_a_taken_version(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit by another program in the last moment takes the version, and ours is not made under the next."""
    checked = commit_module._check

    def check_then_lose(*arguments: Any) -> None:
        checked(*arguments)
        write_foreign(lake)

    monkeypatch.setattr(commit_module, "_check", check_then_lose)

    with pytest.raises(CommitError, match="refused"):
        commit(lake, Change((new_file(lake),), (), META))

    assert lake.snapshot().version == 2
    assert commit_metadata(lake.layout, 2) is None


def test_refuses_a_newer_writer_protocol(lake: AuditLake, tmp_path: Path) -> None:
    """A table that asks its writers for more than auditlake does is read, but not changed."""
    add_entry(lake, {"commitInfo": {}}, {"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}})

    with pytest.raises(CommitError, match="writer version 4"):
        lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))

    assert ids(lake) == expected(range(6))


def test_a_commit_that_is_there_despite_an_error_counts(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where something fails after the entry has its name, the commit is made durable and reported as done."""
    real = os.link

    def fail_late(origin: Path, target: Path) -> None:
        real(origin, target)
        raise OSError("the copy cannot be removed")

    monkeypatch.setattr(os, "link", fail_late)

    assert commit(lake, Change((new_file(lake),), (), META)) == 2


# --- What others did ---


def test_foreign_versions_are_named(lake: AuditLake, tmp_path: Path, run: Run) -> None:  # noqa: F811
    """Versions that another program committed are named in the statistics, for people and for machines."""
    assert lake.statistics().foreign_versions == ()
    write_foreign(lake, 1)
    lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))
    write_foreign(lake, 2)

    assert lake.statistics().foreign_versions == (2, 4)
    stats = ("--lake", lake.layout.root, "stats")
    assert "another program committed, of which auditlake cannot vouch: 2, 4" in run(*stats).out
    assert run(*stats, "--json").json["foreign_versions"] == [2, 4]
    assert lake.snapshot().rows == 11


def test_old_snapshots_beside_foreign_commits(lake: AuditLake, tmp_path: Path) -> None:
    """Once its files are gone, a snapshot is refused rather than guessed where another program changed the table."""
    write_foreign(lake)
    lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))
    assert len(ids(lake, 2)) == 7

    lake.compact(grace_seconds=0)

    assert len(ids(lake)) == 10
    with pytest.raises(SnapshotError, match="snapshot 2 cannot be read exactly: version 2"):
        ids(lake, 2)


@pytest.mark.parametrize(
    "protocol",
    [
        {"minReaderVersion": 2, "minWriterVersion": 5},
        {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
         "writerFeatures": ["deletionVectors"]},
        {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["notYetInvented"],
         "writerFeatures": ["notYetInvented"]},
    ],
)  # fmt: skip
def test_refuses_features(protocol: dict[str, Any], lake: AuditLake, tmp_path: Path) -> None:
    """A table with deletion vectors, column mapping or anything newer is refused in a sentence."""
    add_entry(lake, {"commitInfo": {}}, {"protocol": protocol})

    for verb in (lake.snapshot, lake.events, lake.reports, lake.compact):
        with pytest.raises(LakeFormatError, match=r"reader version|cannot be read"):
            verb()
    with pytest.raises(LakeFormatError):
        lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 500, b"[]", b'{"commitInfo"', b"\xff\xfe"])
def test_refuses_a_torn_log_entry(content: bytes, lake: AuditLake, tmp_path: Path) -> None:
    """A newest log entry that is empty or torn is told, never taken for no change; older snapshots stay readable."""
    lake.layout.commit(2).write_bytes(content)

    with pytest.raises(LakeFormatError, match=r"is empty|cannot be read"):
        lake.snapshot()
    with pytest.raises(LakeFormatError):
        lake.ingest(write_events(tmp_path / "more.jsonl", range(9)))
    assert ids(lake, 1) == expected(range(6))


def test_no_log(lake: AuditLake) -> None:
    """A lake without its log is told in a sentence."""
    for entry in lake.layout.log.iterdir():
        entry.unlink()

    with pytest.raises(LakeFormatError, match="cannot be read"):
        lake.events()


@pytest.mark.parametrize("version", [-1, 2, 10**30])
def test_no_such_snapshot(version: int, lake: AuditLake) -> None:
    """A snapshot that does not exist is told."""
    with pytest.raises(SnapshotError, match=f"no snapshot {version}"):
        lake.events(snapshot=version)
    with pytest.raises(SnapshotError):
        lake.reports(snapshot=version)


def test_odd_names_in_the_log(lake: AuditLake, tmp_path: Path) -> None:
    """An input whose name has Unicode line separators is recorded under that name, and the commit is known as ours."""
    name = "a\u2028b\u0085c\u2029.jsonl"

    lake.ingest(write_events(tmp_path / name, range(9)))

    own = commit_metadata(lake.layout, 2)
    assert own is not None
    assert own["inputs"][0]["name"].endswith(name)
    lake.compact(grace_seconds=0)
    assert check(lake) == expected(range(9))


# --- Batch numbers ---


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("?"),
                                   lambda path: path.write_text("1\n")])  # fmt: skip
def test_batch_numbers_never_return(spoil: Callable[[Path], object], lake: AuditLake, tmp_path: Path) -> None:
    """Where the record of batch numbers is lost, damaged or old, they go on after the last that was committed."""
    lake.ingest(write_events(tmp_path / "second.jsonl", range(9)))
    spoil(lake.layout.batch)

    assert lake.ingest(write_events(tmp_path / "third.jsonl", range(12))).batch == 3
    assert check(lake) == expected(range(12))


def test_batch_numbers_have_gaps_not_repetitions(lake: AuditLake) -> None:
    """A number that was given out is not given out again, whatever became of its batch."""
    assert [allocate_batch(lake.layout, 1) for _ in range(3)] == [2, 3, 4]


def test_a_stale_lake_object_sees_new_commits(lake: AuditLake, tmp_path: Path) -> None:
    """A lake that was opened before another process committed reads what is there now."""
    other = opened(lake.layout.root)
    other.ingest(write_events(tmp_path / "second.jsonl", range(9)))

    assert ids(lake) == expected(range(9))
    assert lake.ingest(write_events(tmp_path / "third.jsonl", range(12))).landed == 3


def test_a_lake_that_moved(lake: AuditLake, tmp_path: Path) -> None:
    """A lake that was moved to a path that delta-rs reads as another one is read, also through a link to it."""
    before = ids(lake)
    moved = lake.layout.root.rename(tmp_path / "50%25")
    (tmp_path / "link").symlink_to(moved)

    assert ids(opened(moved)) == ids(opened(tmp_path / "link")) == before
