"""The index of ids: what it names is enough, whatever became of it, and no more is read than it names."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import UTC, date, datetime
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect
from auditlake.errors import LakeError
from auditlake.store import id_segments
from auditlake.store.files import Files
from auditlake.store.id_index import IdIndex
from auditlake.store.id_segments import FILE_BITS, PATH_BYTES, DamagedSegmentError, read_segment, write_segment
from auditlake.store.model import DataFile
from auditlake.testing import set_policies
from tests.retention.lakes import policy_text
from tests.soak import mostly
from tests.store.lakes import check, commits, expected, ids, made, opened, write_events
from tests.templates import copy_of
from tests.verify.lakes import commit, rows_in, write_day

HASHES = st.integers(0, (1 << 48) - 1) | st.integers(0, 40)
"""Many alike, so that blocks begin and end in the middle of one hash."""
ENTRIES = st.lists(st.tuples(HASHES, st.integers(0, 299)), max_size=60)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """Two ingests on the same days, one event a day and file at most."""
    return opened(copy_of(two_ingests, tmp_path) / "lake")


def two_ingests(folder: Path) -> None:
    lake = made(folder / "lake")
    for numbers in (range(0, 24, 4), range(2, 26, 4)):
        lake.ingest(write_events(folder / "events.jsonl", numbers))


def segments(lake: AuditLake) -> list[Path]:
    """The files of the index."""
    return sorted(lake.layout.ids.glob("*.ids"))


def indexed(lake: AuditLake) -> set[str]:
    """The data files that the index names."""
    found = [read_segment(path, lake.layout.root, None) for path in segments(lake)]
    return {path.decode() for segment in found for path in segment.files.tolist()}


def live(lake: AuditLake) -> set[str]:
    """The data files of the lake."""
    return {file.path for file in lake.snapshot().files}


def segment_of(entries: list[tuple[int, int]], folder: Path) -> Path:
    """A segment of 300 files with these entries."""
    layout = Layout(folder)
    layout.ids.mkdir()
    files = np.array([f"{number:099d}".encode() for number in range(300)], f"S{PATH_BYTES}")
    keys = np.sort(np.array([hash_ << FILE_BITS | file for hash_, file in entries], np.uint64))
    return write_segment(layout, 7, "2026-03", files, np.zeros(300, np.uint32), keys)


@settings(max_examples=60)
@given(ENTRIES, st.lists(HASHES, max_size=20))
def test_a_segment_finds_what_is_in_it(entries: list[tuple[int, int]], others: list[int]) -> None:
    """Each hash gives exactly the files that have it; all entries come back as they were."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(id_segments, "_BLOCK", 4)
        segment = read_segment(segment_of(entries, Path(folder)), Path(folder), 7)
        for wanted in ({hash_ for hash_, _ in entries[::2]} | {*others}, {*others}):
            found = segment.find(np.array(sorted(wanted), np.uint64)) if wanted else []
            assert set(found) == {file for hash_, file in entries if hash_ in wanted}
        assert segment.keys().tolist() == sorted(hash_ << FILE_BITS | file for hash_, file in entries)


@settings(max_examples=60)
@given(ENTRIES.filter(bool), st.data())
def test_a_damaged_segment_is_not_believed(entries: list[tuple[int, int]], data: st.DataObject) -> None:
    """Whichever byte is another one, or where the file ends early, no hash is looked for in it."""
    with tempfile.TemporaryDirectory() as folder:
        path = segment_of(entries, Path(folder))
        whole = path.read_bytes()
        at = data.draw(st.integers(0, len(whole) - 1))
        for spoilt in (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :], whole[:at]):
            path.write_bytes(spoilt)
            with pytest.raises((ValueError, KeyError, TypeError, DamagedSegmentError)):
                read_segment(path, Path(folder), 7).find(np.array(sorted({each for each, _ in entries}), np.uint64))


def test_an_index_takes_few_bytes(tmp_path: Path) -> None:
    """An event takes less than eight bytes, the paths of its files among them."""
    hashes = np.random.default_rng(1).integers(0, 1 << 48, 50_000).tolist()
    entries = [(hash_, number % 300) for number, hash_ in enumerate(hashes)]

    assert segment_of(entries, tmp_path).stat().st_size < 8 * len(entries)


def test_every_commit_keeps_it(lake: AuditLake, tmp_path: Path) -> None:
    """After each commit the index names every file, and one of another DuckDB or version is made again."""
    assert indexed(lake) >= live(lake)
    lake.compact()
    assert indexed(lake) >= live(lake)
    for path in segments(lake):
        head, _, rest = path.read_bytes().partition(b"\n")
        path.write_bytes(head.replace(b'"hashing": ', b'"hashing": 1') + b"\n" + rest)
    lake.ingest(write_events(tmp_path / "more.jsonl", [25]))
    assert indexed(lake) >= live(lake)


LOST = ("one", "all", "damaged", "a folder in its place")


@pytest.mark.parametrize("lost", mostly(LOST, always=LOST[1:]))
def test_an_index_that_is_lost(lake: AuditLake, tmp_path: Path, lost: str) -> None:
    """Without it, known events are duplicates, others with their ids conflicts, and it is whole again afterwards."""
    for path in segments(lake)[: None if lost in {"all", "damaged"} else 1]:
        if lost == "damaged":
            path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
        else:
            path.unlink()
        if lost == "a folder in its place":
            path.mkdir()
    again = write_events(tmp_path / "again.jsonl", range(30))
    other = tmp_path / "other.jsonl"
    other.write_text(again.read_text().replace('"user 1"', '"mallory"'))

    assert opened(lake.layout.root).ingest(again, dry_run=True).duplicates == 12
    assert (done := opened(lake.layout.root).ingest(again)).duplicates == 12
    assert done.landed == 18
    assert opened(lake.layout.root).ingest(other).reasons == {"id_conflict": 15}
    assert indexed(lake) >= live(lake)
    assert check(lake) == expected(range(30))


def test_files_that_are_not_named_are_not_read(lake: AuditLake, tmp_path: Path) -> None:
    """An ingest opens the files that may have what comes in: it does not see that all others are gone."""
    number, day = 8, "2026-03-03"
    others = [lake.layout.events / path for path in live(lake) if day not in path]
    assert len(others) > 4
    for path in others:
        path.rename(path.with_suffix(".away"))

    done = lake.ingest(write_events(tmp_path / "again.jsonl", [number]))

    assert (done.landed, done.duplicates) == (0, 1)


def test_what_another_program_adds_is_searched(lake: AuditLake, tmp_path: Path) -> None:
    """A file whose name is not made of its digest is in no index, and its events are known all the same."""
    file = next(file for file in lake.snapshot().files if file.day.day == 2)
    (row,) = rows_in(lake, file)
    foreign = write_day(lake, file.day, [{**row, "event_id": "theirs", "seq": 99}])
    renamed = replace(foreign, path=foreign.path.rpartition("/")[0] + "/theirs.parquet")
    (lake.layout.events / foreign.path).rename(lake.layout.events / renamed.path)
    commit(lake, [renamed], [], metadata={"kind": "hold"})
    again = tmp_path / "again.jsonl"
    again.write_text(write_events(again, [4]).read_text().replace("e4", "theirs"))

    assert lake.ingest(again).landed == 0
    assert renamed.path not in indexed(lake)


def bring_one(lake: AuditLake, number: int) -> int:
    """Ingest one more event of the first day, and return how many landed."""
    file = write_events(lake.layout.root.parent / "event.jsonl", [0])
    file.write_text(file.read_text().replace("e0", f"e{number}"))
    return lake.ingest(file).landed


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four small files are put together."""
    monkeypatch.setattr("auditlake.store.compact._TOGETHER", 4)


@pytest.mark.usefixtures("four")
def test_many_small_commits(tmp_path: Path) -> None:
    """Small commits leave few data files and few segments; every snapshot, and the ledger, is as it was."""
    lake = made(tmp_path / "lake")
    counts = []
    for number in range(14):
        assert bring_one(lake, number) == 1
        counts.append(len(live(lake)))
    kinds = [own.get("kind") for own in commits(lake).values() if own]

    assert max(counts) < 4
    assert (kinds.count("ingest"), kinds.count("compact")) == (14, 4)
    assert len(segments(lake)) <= 4
    assert indexed(lake) >= live(lake)
    brought = [version for version, own in commits(lake).items() if own and own.get("kind") == "ingest"]
    for batch in (3, 4, 5, 14):
        assert ids(lake, brought[batch - 1]) == expected(range(batch))
    assert bring_one(lake, 13) == 0
    assert check(lake) == expected(range(14))


@pytest.mark.usefixtures("four")
def test_a_merge_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where small files cannot be put together, the ingest is done all the same, and the next one tries again."""
    lake = made(tmp_path / "lake")
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.store.compact._rewrite", lambda *_: (_ for _ in ()).throw(OSError("no space")))
        assert [bring_one(lake, number) for number in range(5)] == [1] * 5
        assert len(live(lake)) == 5
    bring_one(lake, 5)
    assert len(live(lake)) == 1
    assert check(lake) == expected(range(6))


def test_an_index_of_a_snapshot(lake: AuditLake) -> None:
    """For another snapshot the index names the files of that, and the others are missing."""
    old = opened(lake.layout.root)
    before = lake.snapshot()
    lake.compact()
    with connect() as connection:
        index = IdIndex(old.layout, before, connection)
        assert not index.missing
        hashes = connection.sql("select hash('auditlake', 'e4') >> 16 as hash").fetchnumpy()["hash"]
        assert [file.day.isoformat() for file in index.may_hold(hashes)] == ["2026-03-02"]


def hash_of(event_id: str) -> int:
    """How the index has an id."""
    with connect() as connection:
        ((found,),) = connection.execute("select hash('auditlake', ?) >> 16", [event_id]).fetchall()
    return int(found)


def hashes(lake: AuditLake) -> set[int]:
    """Every hash that a segment of the lake has."""
    found = [read_segment(path, lake.layout.root, None).keys() for path in segments(lake)]
    return {key >> FILE_BITS for keys in found for key in keys.tolist()}


def test_the_hash_of_what_was_deleted_goes(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the certificate lies there, no segment has the id of a deleted event; a writer that dies leaves none."""
    set_policies(lake, {"short": policy_text(["login", "auth_failure", "data_access"], "30d")})
    gone = [name for name, day in lake.sql("select event_id, event_date from events") if day < date(2026, 3, 2)]
    assert gone
    assert {hash_of(name) for name in gone} <= hashes(lake)
    with monkeypatch.context() as patch, pytest.raises(LakeError):
        patch.setattr("auditlake.retention.cleanup.forget_ids", lambda *_: (_ for _ in ()).throw(OSError("no")))
        opened(lake.layout.root).retention.apply(accept_weaker="test")
    assert not list(lake.layout.certificates.iterdir())

    opened(lake.layout.root).retention.apply()

    assert list(lake.layout.certificates.iterdir())
    assert not {hash_of(name) for name in gone} & hashes(lake)
    assert {hash_of(name) for name in ids(lake)} <= hashes(lake)


def test_a_backup_has_none(lake: AuditLake, tmp_path: Path) -> None:
    """A copy is without the index, and knows its events all the same."""
    lake.backup(tmp_path / "copy")

    assert not Layout(tmp_path / "copy").ids.exists()
    copy = opened(tmp_path / "copy")
    assert copy.ingest(write_events(tmp_path / "again.jsonl", range(26))).duplicates == 12
    assert indexed(copy) >= live(copy)


@given(st.lists(st.integers(0, 99), unique=True), st.lists(st.integers(0, 99)), st.sets(st.integers(1, 9)))
def test_a_table_of_files_is_a_list_of_files(numbers: list[int], others: list[int], days: set[int]) -> None:
    """Files as columns say what a list of the same files says."""
    listed = sorted(map(file_of, numbers), key=attrgetter("path"))
    files, paths = Files.of(map(file_of, numbers)), [file_of(number).path for number in others]
    chosen = {date(2026, 3, day) for day in days}

    assert list(files) == listed
    assert files.paths == [file.path for file in listed]
    assert files.rows == sum(file.rows for file in listed)
    assert list(files.named(paths)) == [file for file in listed if file.path in paths]
    assert list(files.without(paths)) == [file for file in listed if file.path not in paths]
    assert list(files.of_days(chosen)) == [file for file in listed if file.day in chosen]
    assert list(files.small(5, 60)) == [file for file in listed if file.rows < 5 and file.size < 60]
    assert list(files.without(paths).and_also(files.named(paths))) == listed


def file_of(number: int) -> DataFile:
    """A data file of a number."""
    at = datetime(2026, 3, 1 + number % 9, 12, tzinfo=UTC) if number % 4 else None
    types = None if number % 3 else (("login", 1), ("logout", number))
    return DataFile(f"{number:02d}", date(2026, 3, 1 + number % 9), number, number % 10, at, at, types)
