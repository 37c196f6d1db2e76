"""Compacted or not: whatever is asked, now or of an old snapshot, the answer is the same."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.errors import LakeFormatError, SnapshotError
from auditlake.store.deltalog import commit_metadata
from auditlake.store.file_types import with_types
from tests.store.lakes import NOW, START, check, copied, data_files, expected, ids, made, opened, write_events
from tests.templates import copy_of
from tests.verify.lakes import commit, write_day

Step = tuple[str, Any]
INGESTS = st.tuples(st.just("ingest"), st.lists(st.integers(0, 20), min_size=1, max_size=8))
COMPACTIONS = st.tuples(st.just("compact"), st.sampled_from([0.0, 86_400.0]))
STEPS = st.lists(INGESTS | INGESTS | COMPACTIONS, min_size=3, max_size=8)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """An empty lake to copy: copies have one id."""
    with tempfile.TemporaryDirectory() as folder:
        yield made(Path(folder) / "lake").layout.root


def rows(lake: AuditLake, snapshot: int | None = None) -> list[tuple[Any, ...]]:
    return sorted(lake.sql("select * from events", snapshot=snapshot).fetchall(), key=str)


def reports(lake: AuditLake, snapshot: int | None = None) -> list[dict[str, Any]]:
    """Two reports but for what compaction may change."""
    made = lake.reports(
        "authentication_monitoring", "data_access_tracking", snapshot=snapshot,
        as_of=START + timedelta(days=6), since=START - timedelta(days=1),
    )  # fmt: skip
    said = [json.loads(each.json()) for each in made]
    for each in said:
        for key in ("files", "inputs_digest", "snapshot"):
            del each["evidence"][key]
    return said


def same_answers(steps: Sequence[Step], template: Path) -> None:
    """Do the ingests in one lake, and all steps in another: each snapshot of the one is a snapshot of the other."""
    with tempfile.TemporaryDirectory() as folder:
        plain = opened(copied(template, Path(folder) / "plain"))
        compacted = opened(copied(template, Path(folder) / "compacted"))
        versions = {0: 0}
        landed: dict[int, set[str]] = {0: set()}
        for kind, value in steps:
            if kind == "compact":
                compacted.compact(grace_seconds=value)
                continue
            file = write_events(Path(folder) / "events.jsonl", value)
            one, other = plain.ingest(file), compacted.ingest(file)
            assert (one.landed, one.duplicates, one.batch) == (other.landed, other.duplicates, other.batch)
            versions[one.snapshot] = compacted.snapshot().version
            landed[one.snapshot] = {*landed[max(landed)], *expected(value)}
        assert check(plain) == check(compacted)
        for version, its in versions.items():
            assert rows(plain, version) == rows(compacted, its)
            assert ids(compacted, its) == sorted(landed[version])
        assert reports(plain) == reports(compacted)
        middle = sorted(versions)[len(versions) // 2]
        assert reports(plain, middle) == reports(compacted, versions[middle])


@given(steps=STEPS)
@settings(max_examples=2, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_answer_changes(steps: list[Step], template: Path) -> None:
    """Ingests with compactions between them give the events, reports and old snapshots that they give without."""
    same_answers(steps, template)


@pytest.mark.soak
@given(steps=STEPS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_answer_changes_often(steps: list[Step], template: Path) -> None:
    """The same for many more sequences."""
    same_answers(steps, template)


def three_ingests(folder: Path) -> None:
    """Make a lake of three ingests that share days."""
    lake = made(folder / "lake")
    for n in range(3):
        lake.ingest(write_events(folder / f"{n}.jsonl", range(n, 12, 3)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of three ingests."""
    return opened(copy_of(three_ingests, tmp_path) / "lake")


def places(lake: AuditLake) -> list[tuple[date, str]]:
    """The day and the class of each file, which has events of one class alone."""
    found = []
    for file in with_types(lake.layout, lake.snapshot()).files:
        (name,) = {lake._context.classes()[each] for each, _ in file.types or ()}
        found.append((file.day, name))
    return found


def test_one_file_of_each_class_a_day(lake: AuditLake) -> None:
    """After a compaction each day has one file of each class, and the commit says that no data changed."""
    before = places(lake)
    crowded = [place for place in before if before.count(place) > 1]
    summary = lake.compact(grace_seconds=0)

    after = lake.snapshot().files
    assert (summary.files_before, summary.files_after) == (len(before), 7)
    assert (summary.days, summary.unlinked) == (len({day for day, _ in crowded}), len(crowded))
    assert sorted(places(lake)) == sorted(set(before))
    assert data_files(lake) == {file.path for file in after}
    actions = [json.loads(line) for line in lake.layout.commit(4).read_bytes().splitlines()]
    assert {action[kind]["dataChange"] for action in actions for kind in ("add", "remove") if kind in action} == {False}
    assert commit_metadata(lake.layout, 4) == {
        "kind": "compact", "at": NOW.isoformat(), "days": summary.days, "replaced": len(crowded),
    }  # fmt: skip


def test_beside_a_file_without_rows(tmp_path: Path) -> None:
    """What is compacted from a file and an empty one has the name of the first: the other goes, and it stays."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    files, before = lake.snapshot().files, rows(lake)
    empty = write_day(lake, files[0].day, [])
    commit(lake, (empty,), (), metadata={"kind": "ingest", "at": NOW.isoformat()})

    summary = lake.compact(grace_seconds=0)

    assert summary.unlinked == 1
    assert [each.path for each in lake.snapshot().files] == [file.path for file in files]
    assert rows(lake) == before
    assert lake.ledger.verify().ok


def test_replaced_files_stay_for_the_grace(lake: AuditLake) -> None:
    """Replaced files stay for readers under way, and go with the first compaction after the grace."""
    reader = lake.events()
    before = data_files(lake)

    assert lake.compact().unlinked == 0
    assert before < data_files(lake)
    assert len(reader.fetchall()) == 12

    assert lake.compact().unlinked == 0
    assert lake.compact(grace_seconds=0).unlinked == len(before - {file.path for file in lake.snapshot().files})
    assert check(lake) == expected(range(12))


def test_nothing_to_do(lake: AuditLake) -> None:
    """A compaction of a compacted lake commits nothing."""
    lake.compact()

    assert lake.compact().days == 0
    assert lake.snapshot().version == 4
    assert made(lake.layout.root.parent / "empty").compact().snapshot == 0


def test_foreign_files_are_left_alone(lake: AuditLake) -> None:
    """A file that is not named as auditlake names them is never removed, however old it is."""
    day = lake.layout.events / lake.snapshot().files[0].path
    strangers = [day.with_name("notes.txt"), day.with_name("part-00000-c000.parquet"), lake.layout.events / "x.parquet"]
    for stranger in strangers:
        stranger.write_text("x")
        os.utime(stranger, (0, 0))

    lake.compact(grace_seconds=0)

    assert all(stranger.exists() for stranger in strangers)


def test_drafts_of_the_dead_go(lake: AuditLake) -> None:
    """Drafts that a killed writer left go with a compaction once they are an hour old, younger ones stay."""
    old = [lake.layout.root / ".batch.0.draft", lake.layout.policies / ".x.yaml.0.draft",
           lake.layout.log / f"{9:020d}.json#1"]  # fmt: skip
    young = lake.layout.root / ".batch.1.draft"
    for path in [*old, young]:
        path.write_text("x")
    for path in old:
        os.utime(path, (time.time() - 7200,) * 2)

    lake.compact()

    assert not any(path.exists() for path in old)
    assert young.exists()


def test_a_day_that_would_change_is_not_rewritten(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewritten day that does not hold the same rows is refused, and nothing changes."""
    from auditlake.store import compact

    def write_less(connection: Any, query: str, *more: Any) -> Any:
        return real(connection, f"{query} limit 1", *more)

    real = compact.write_day
    monkeypatch.setattr(compact, "write_day", write_less)
    before = data_files(lake)

    with pytest.raises(LakeFormatError, match="would change its rows"):
        lake.compact(grace_seconds=0)
    assert (lake.snapshot().version, data_files(lake)) == (3, before)
    assert check(lake) == expected(range(12))


def test_old_snapshot_whose_files_are_lost(lake: AuditLake) -> None:
    """An old snapshot is read from the newest files only while those are whole."""
    lake.compact(grace_seconds=0)
    assert ids(lake, 1) == expected(range(0, 12, 3))
    shutil.rmtree(lake.layout.events / Path(lake.snapshot().files[0].path).parent)

    with pytest.raises(SnapshotError, match="lost a file of version 4: event_date="):
        ids(lake, 1)
