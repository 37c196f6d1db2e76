"""What lies on the disk: exactly the files that the layout promises, readable by other programs as they are."""

from __future__ import annotations

import hashlib
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from pyarrow.parquet import ParquetFile

import auditlake
import auditlake.upkeep.create
from auditlake import AuditEvent, AuditLake, EventType
from auditlake.errors import LakeError, LakeExistsError, LakeFormatError, LakeNotFoundError
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.ledger.book import checkpoint_path
from auditlake.store.deltalog import commit_metadata
from auditlake.store.snapshot import view_snapshot
from tests.soak import mostly
from tests.store.lakes import NOW, START, check, cli, data_files, expected, ids, made, opened, write_events
from tests.templates import copy_of
from tests.waiting import HANG_SECONDS


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of two ingests, the second with a bad line and half duplicates."""
    return opened(copy_of(two_ingests, tmp_path) / "lake")


def two_ingests(folder: Path) -> None:
    lake = made(folder / "lake")
    lake.ingest(write_events(folder / "first.jsonl", range(8)))
    lake.ingest(write_events(folder / "second.jsonl", range(4, 12), bad=2))


def contents(lake: AuditLake) -> list[dict[str, Any]]:
    """All rows with all columns, in the order of their ids."""
    from auditlake.engine.duck import connect

    with connect() as connection:
        view_snapshot(connection, lake.layout, lake.snapshot())
        table = connection.sql("from events").to_arrow_table()
    return sorted(table.to_pylist(), key=lambda row: row["event_id"])


# --- After an ingest ---


def test_files_are_named_by_their_content(lake: AuditLake) -> None:
    """Each data file's name is the SHA-256 of its bytes, its folder the day of its rows, and no file is unnamed."""
    for file in lake.snapshot().files:
        path = lake.layout.events / file.path
        assert path.name == f"part-{hashlib.sha256(path.read_bytes()).hexdigest()}.parquet"
        assert path.parent.name == f"event_date={file.day}"
        table = ParquetFile(path).read()
        assert table.column_names == list(FILE_COLUMNS)
        times = table["timestamp"].to_pylist()
        assert {time.date() for time in times} == {file.day}
        assert times == sorted(times)
        assert len(times) == file.rows
        assert file.first <= min(times)
        assert max(times) <= file.last
    assert data_files(lake) == {file.path for file in lake.snapshot().files}


def test_delta_readers(lake: AuditLake) -> None:
    """Plain deltalake and Polars read the same rows as auditlake, with protocol reader 1 and writer 2, no features."""
    table = DeltaTable(str(lake.layout.events))
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)
    assert not protocol.reader_features
    assert not protocol.writer_features

    frame = pl.scan_delta(str(lake.layout.events)).sort("event_id").collect()
    ours = pl.DataFrame(contents(lake), schema=frame.schema)
    assert frame.columns == list(COLUMNS)
    assert frame.height == 12
    assert frame.equals(ours)
    assert sorted(table.to_pyarrow_table()["event_id"].to_pylist()) == expected(range(12))


def test_permissions(lake: AuditLake) -> None:
    """Everything in a lake is its owner's alone: folders 0700, files 0600."""
    lake.compact()
    lake.report("failed_logins").write(lake.layout.reports)

    for path in [lake.layout.root, *lake.layout.root.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_no_leftovers(lake: AuditLake) -> None:
    """An ingest leaves nothing in .staging and no draft anywhere, also where it was of events made in Python."""
    lake.ingest([AuditEvent(EventType.LOGIN, START)])

    check(lake)
    assert [path for path in lake.layout.root.rglob("*") if "draft" in path.name or "#" in path.name] == []


def test_chain_of_custody(lake: AuditLake, tmp_path: Path) -> None:
    """The commit records each input's name, size, SHA-256 and counts, and the quarantine file."""
    own = commit_metadata(lake.layout, 2)
    assert own is not None
    data = (tmp_path / "second.jsonl").read_bytes()
    (kept,) = lake.layout.quarantine.iterdir()

    assert own | {"inputs": None} == {
        "kind": "ingest", "batch": 2, "rows": 4, "at": NOW.isoformat(), "quarantine": kept.name, "inputs": None,
    }  # fmt: skip
    (given,) = own["inputs"]
    assert (given["size"], given["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert given["name"].endswith("second.jsonl")
    assert [given[key] for key in ("read", "landed", "duplicates", "quarantined")] == [10, 4, 4, 2]
    assert kept.name == f"records-{hashlib.sha256(kept.read_bytes()).hexdigest()}.jsonl"
    assert DeltaTable(str(lake.layout.events)).history(1)[0]["auditlake"] == own


def test_again_changes_nothing(tmp_path: Path) -> None:
    """The same ingest again leaves every file of the lake as it is."""
    two_ingests(tmp_path)
    lake = opened(tmp_path / "lake")
    before = {path: path.read_bytes() for path in lake.layout.root.rglob("*") if path.is_file()}

    lake.ingest(tmp_path / "second.jsonl")

    assert {path: path.read_bytes() for path in lake.layout.root.rglob("*") if path.is_file()} == before


def test_quarantine_without_a_commit(tmp_path: Path) -> None:
    """Where a killed ingest left its quarantine file without a commit, the same ingest again records it."""
    lake = made(tmp_path / "lake")
    checkpoint = checkpoint_path(lake.layout)
    before = checkpoint.read_bytes()
    lake.ingest(write_events(tmp_path / "bad.jsonl", [], bad=1))
    lake.layout.commit(1).unlink()
    checkpoint.write_bytes(before)

    assert lake.ingest(tmp_path / "bad.jsonl").snapshot == 1
    assert commit_metadata(lake.layout, 1)["quarantine"] is not None
    assert lake.ingest(tmp_path / "bad.jsonl").batch is None


# --- Where a lake may lie ---


def a_lake(folder: Path) -> None:
    """Make a lake of three events."""
    made(folder / "lake").ingest(write_events(folder / "first.jsonl", range(3)))


NAMES = (
    "a [b] * ?", "[!a]*", "'quoted' \"twice\"/ünïcödé ☃/100% or %zz/#/a;b&c/{a}/-x/~/C:",
    "source=web/event_date=2020-01-01/batch=7/filename=x", "x" * 250,
)  # fmt: skip
ALL_NAMES = "/".join(reversed(NAMES))


@pytest.mark.parametrize("name", mostly([*NAMES, ALL_NAMES], always=[ALL_NAMES]))
def test_paths(name: str, tmp_path: Path) -> None:
    """A lake works whatever its folder is called, and whatever its neighbours would match."""
    (tmp_path / "a b * c").mkdir()
    copy_of(a_lake, tmp_path / "neighbour")
    write_events(tmp_path / "first.jsonl", range(3))
    root = tmp_path / name
    lake = made(root)
    lake.ingest(tmp_path / "first.jsonl")
    lake.ingest(write_events(tmp_path / "second.jsonl", range(6)))
    old = contents(lake)

    lake.compact(grace_seconds=0)

    assert check(lake) == ids(lake) == ids(opened(root)) == expected(range(6))
    assert contents(lake) == old
    assert {row["source"] for row in old} == {"auditlake"}
    assert all(row["event_date"] == row["timestamp"].date() for row in old)
    assert ids(lake, 1) == expected(range(3))
    assert lake.report("authentication_monitoring", as_of=START + timedelta(days=3)).report.total_events == 4


def test_pattern_neighbours(tmp_path: Path) -> None:
    """A lake whose name is a pattern that matches other lakes reads its own files only."""
    for name in ("[ab]", "a", "b", "?", "*"):
        made(tmp_path / name)
    for name in ("a", "b"):
        opened(tmp_path / name).ingest(write_events(tmp_path / "others.jsonl", [7]))
    for name in ("[ab]", "?", "*"):
        opened(tmp_path / name).ingest(write_events(tmp_path / "events.jsonl", range(3)))

    for name in ("[ab]", "?", "*"):
        assert ids(opened(tmp_path / name)) == expected(range(3))


# --- Making a lake ---


def test_create_in_an_empty_folder(tmp_path: Path) -> None:
    """An empty folder becomes a lake; folders on the way are made."""
    (tmp_path / "empty").mkdir()

    assert made(tmp_path / "empty").snapshot().version == 0
    assert made(tmp_path / "far" / "away" / "lake").snapshot().rows == 0


@pytest.mark.parametrize("occupy", [
    lambda path: path.write_text("x"),
    lambda path: (path.mkdir(), (path / "file").write_text("x")),
    made,
    lambda path: path.symlink_to(path.parent),
    lambda path: path.symlink_to(path.parent / "nowhere"),
])  # fmt: skip
def test_create_where_something_is(occupy: Callable[[Path], object], tmp_path: Path) -> None:
    """What is at the path already is left alone."""
    occupy(tmp_path / "lake")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(LakeExistsError, match="already"):
        auditlake.create(tmp_path / "lake")

    assert sorted(tmp_path.rglob("*")) == before


CREATE = """
import sys, auditlake
from auditlake.errors import LakeExistsError
print(flush=True)  # what is slow is done
sys.stdin.readline()
for number in range(4):
    try:
        auditlake.create(f"{sys.argv[1]}/lake{number}")
        print("made")
    except LakeExistsError as error:
        print(error)
"""


def test_create_by_several_at_once(tmp_path: Path) -> None:
    """Of processes that make the same lake at once, one does, and the others are told that there is one; all of it."""
    command = [sys.executable, "-c", CREATE, str(tmp_path)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=HANG_SECONDS) for process in processes]

    assert {errors for _, errors in told} == {""}
    for number, said in enumerate(zip(*(output.splitlines() for output, _ in told), strict=True)):
        path = tmp_path / f"lake{number}"
        assert sorted(said) == ["made", f"there is a lake at {path} already"]
        assert auditlake.open(path).statistics().total_events == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(f"lake{number}" for number in range(4))


def test_create_below_a_file(tmp_path: Path) -> None:
    """A lake below a file is refused in a sentence."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(LakeError, match="cannot be made"):
        auditlake.create(tmp_path / "file" / "lake")
    with pytest.raises(LakeError, match="cannot be made"):
        auditlake.create(tmp_path / ("x" * 300))


def test_a_failed_create_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a lake cannot be made to the end, its draft is removed."""

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("auditlake.store.commit.sync_folder", fail)

    with pytest.raises(LakeError, match="No space left"):
        auditlake.create(tmp_path / "lake")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [{"event_types": ["Not A Name"]}, {"default_retention": "soon"}, {"default_retention": ""}]
)
def test_create_with_wrong_settings(options: dict[str, Any], tmp_path: Path) -> None:
    """A setting that is not well formed is told, and nothing is made."""
    with pytest.raises(LakeError, match="cannot be made"):
        auditlake.create(tmp_path / "lake", **options)

    assert list(tmp_path.iterdir()) == []


def test_a_killed_create_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed create left beside the lake goes when one is made there; what a living one makes there stays."""
    code = (
        "import os, sys, auditlake, auditlake.upkeep.create as create;"
        "create.create_table = lambda *_: os.kill(os.getpid(), 9);"
        "auditlake.create(sys.argv[1])"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "lake"], check=False).returncode == -9
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "other"], check=False).returncode == -9
    _, others = sorted(tmp_path.iterdir(), key=lambda path: path.stat().st_ctime)
    made(tmp_path / "lake")
    assert sorted(tmp_path.iterdir()) == sorted([others, tmp_path / "lake"])
    assert list(others.iterdir()) != []

    real = auditlake.upkeep.create.create_table

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr("auditlake.upkeep.create.create_table", real)
        with pytest.raises(LakeError):
            auditlake.create(tmp_path / "third", default_retention="soon")
        made(tmp_path / "third")
        real(*arguments)

    monkeypatch.setattr("auditlake.upkeep.create.create_table", meanwhile)
    with pytest.raises(LakeError, match="there is a lake at"):
        auditlake.create(tmp_path / "third")
    assert sorted(tmp_path.iterdir()) == sorted([others, tmp_path / "lake", tmp_path / "third"])
    assert check(opened(tmp_path / "third")) == []


@pytest.mark.parametrize("call", ["os.link", "fcntl.flock"])
def test_create_where_the_file_system_will_not_do(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without flock or hard links, as on some network drives, no lake is made, and it is said why."""

    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(call, refuse)
    what = {"os.link": "hard links", "fcntl.flock": "flock"}[call]
    with pytest.raises(LakeError, match=f"has no {what} ") as caught:
        auditlake.create(tmp_path / "lake")

    assert str(tmp_path / "lake") in str(caught.value)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


# --- Opening a lake ---


def test_open_what_is_no_lake(tmp_path: Path) -> None:
    """A missing path, a file and an empty folder are no lakes."""
    (tmp_path / "file").write_text("x")

    for path in (tmp_path / "missing", tmp_path, tmp_path / "file", Path("~nobody-of-that-name/lake")):
        with pytest.raises(LakeNotFoundError, match="no lake at"):
            auditlake.open(path)


IDENTIFIED = "format_version = 1\nid = '00000000-0000-4000-8000-000000000000'\n"
HEAD = f"{IDENTIFIED}created = '2026-01-01T00:00:00Z'\n"
BROKEN = {
    "": "format_version: expected 1 or 2, got nothing",
    "format_version = 0": "format_version: expected 1 or 2, got 0",
    "format_version = true": "format_version: expected 1 or 2, got True",
    "format_version = 1.0": "format_version: expected 1 or 2, got 1.0",
    "format_version = '1'": "format_version: expected 1 or 2, got '1'",
    "format_version = 3": "has format version 3, this auditlake knows up to 2",
    "format_version = 1": "id: expected a UUID, got nothing",
    "format_version = 1\nid = 'x'": "id: expected a UUID, got 'x'",
    "format_version = 1\nid = 5": "id: expected a UUID, got 5",
    IDENTIFIED: "created: expected a time such as .*, got nothing",
    f"{IDENTIFIED}created = 'soon'": "created: expected a time such as .*, got 'soon'",
    f"{IDENTIFIED}created = 2026-01-01": "created: expected a time such as .*, got datetime",
    f"{HEAD}max_recrod = 5": "unknown key 'max_recrod'; expected some of id, created, event_types, ",
    f"{HEAD}max_record = 0": "max_record: expected a whole number of bytes from 1 to 1073741824, got 0",
    f"{HEAD}max_record = true": "max_record: expected .*, got True",
    f"{HEAD}max_record = 1_073_741_825": "max_record: expected .*, got 1073741825",
    f"{HEAD}max_record = {'9' * 5000}": "cannot be understood: ",
    f"{HEAD}max_record = inf": "max_record: expected .*, got inf",
    f"{HEAD}event_types = 'login'": "event_types: expected a list of names .*, got 'login'",
    f"{HEAD}event_types = ['No Name']": r"event_types: expected a list of names .*, got \['No Name'\]",
    f"{HEAD}event_types = [1]": r"event_types: expected a list of names .*, got \[1\]",
    f"{HEAD}[event_types]": "event_types: expected a list of names .*, got {}",
    f"{HEAD}default_retention = 'soon'": "default_retention: expected a length of time such as '365d', got 'soon'",
    f"{HEAD}default_retention = 5": "default_retention: expected .*, got 5",
    f"{HEAD}default_retention = ''": "default_retention: expected .*, got ''",
    f"{HEAD}default_retention = [1]": r"default_retention: expected .*, got \[1\]",
    f"{HEAD}default_retention = 2026-01-01": "default_retention: expected .*, got datetime",
    f"{HEAD}default_retention = '300y'": "default_retention: expected .*, got '300y'",
    "format_version = 1\nformat_version = 1": "cannot be understood",
    "format_version": "cannot be understood",
    f"x = {'[' * 9999}": "cannot be understood",
    "x = '\udcff'": "cannot be understood",
}


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[-40:])
def test_broken_settings(text: str, tmp_path: Path) -> None:
    """Each mistake in lake.toml is told in one line that names the file or the lake."""
    root = made(tmp_path / "lake").layout.root
    (root / "lake.toml").write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(LakeFormatError, match=BROKEN[text]) as caught:
        auditlake.open(root)

    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)
    done = cli(root, "stats") if text == "" else None
    assert done is None or (done.returncode == 3 and "Traceback" not in done.stderr)


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    """A lake.toml that is a folder is told."""
    root = made(tmp_path / "lake").layout.root
    (root / "lake.toml").unlink()
    (root / "lake.toml").mkdir()

    with pytest.raises(LakeError, match="cannot be read"):
        auditlake.open(root)


def test_empty_folders_may_be_lost(lake: AuditLake, tmp_path: Path) -> None:
    """A lake works after a copy that left out its empty folders."""
    for folder in sorted(lake.layout.root.rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    assert opened(lake.layout.root).ingest(write_events(tmp_path / "more.jsonl", range(15), bad=1)).landed == 3
    lake.report("failed_logins").write(lake.layout.reports)
    assert check(lake) == expected(range(15))


def test_the_log_tells_of_each_file_once(lake: AuditLake) -> None:
    """The log adds each file once, with the day it lies in and its size."""
    added = [
        action["add"]
        for version in range(lake.snapshot().version + 1)
        for action in map(json.loads, lake.layout.commit(version).read_bytes().splitlines())
        if "add" in action
    ]

    assert sorted(each["path"] for each in added) == sorted(data_files(lake))
    for each in added:
        assert each["size"] == (lake.layout.events / each["path"]).stat().st_size
        assert each["path"].startswith(f"event_date={each['partitionValues']['event_date']}/")
