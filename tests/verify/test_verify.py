"""What a verification says of lakes to which nothing bad was done, and of what was rightly taken from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.disk.layout import Layout
from auditlake.ledger.book import checkpoint_path
from auditlake.ledger.held import commit_entry
from auditlake.verify.checkpoints import read_checkpoint
from auditlake.verify.deltalog import DeltaLog
from auditlake.verify.model import VerifyReport
from auditlake.verify.tree import days_added, read_tree
from tests.lakes import create, of_format_1
from tests.ledger.lakes import make_old
from tests.store.lakes import NOW, made, opened, write_events
from tests.verify.lakes import DELETED, ERASED, change_day, checked


def verdicts(report: VerifyReport) -> Counter[str]:
    return Counter(part.verdict for batch in report.batches for part in batch.parts)


@pytest.mark.parametrize("full", [True, False])
def test_nothing_is_wrong(full: bool, lake: AuditLake) -> None:
    """A lake of ingests, a compaction, a deletion and an erasure verifies, and what was taken is told."""
    report = checked(lake, full=full)

    assert report.ok, (report.problems, report.batches)
    assert (report.problems, report.notices) == ((), ())
    assert (report.full, report.size, report.version) == (full, report.version + 1, lake.snapshot().version)
    assert report.signed_by.startswith(report.origin)
    told = {(part.day, part.verdict, part.detail) for batch in report.batches for part in batch.parts if part.detail}
    assert {(day, verdict) for day, verdict, _ in told} == {(DELETED, "deleted"), (ERASED, "erased")}
    assert all("on 2026-04-01" in detail and "(certificate " in detail for _, _, detail in told)
    assert "deleted under policy failed_logins on" in min(detail for _, _, detail in told)


def test_from_which_entry_on_days_are_read(lake: AuditLake) -> None:
    """A number that the ledger does not reach, which only a false journal has, lets all days be read."""
    newest = read_checkpoint(checkpoint_path(lake.layout).read_bytes())
    entries = read_tree(lake.layout, newest, DeltaLog()).entries
    whole = days_added(entries, 0)

    assert whole > days_added(entries, len(entries)) == frozenset()
    for false in (-1, len(entries) + 1, True, 2.0):
        assert days_added(entries, false) == whole  # type: ignore[arg-type]


def test_an_empty_lake(tmp_path: Path) -> None:
    """A new lake verifies."""
    report = checked(made(tmp_path / "lake"))

    assert report.ok
    assert (report.size, report.rows, report.notices) == (1, 0, ())


def test_rows_that_went_and_rows_that_were_changed_twice(lake: AuditLake) -> None:
    """Where a row of a part was changed, changed again, and then went, the rest of the part still verifies."""
    change_day(lake, ERASED, lambda row: {**row, "user_id": f"{row['user_id']}!"})
    assert checked(lake).ok
    seq = None

    def without_one(row: dict[str, object]) -> dict[str, object] | None:
        nonlocal seq
        seq = row["seq"] if seq is None else seq
        return None if row["seq"] == seq else row

    change_day(lake, ERASED, without_one, "delete")
    report = checked(lake)
    assert report.ok, report.batches
    details = {part.verdict: part.detail for batch in report.batches for part in batch.parts if part.day == ERASED}
    assert "; deleted on 2026-04-01" in details["deleted"]
    assert {"deleted", "erased"} == set(details)


def test_an_unsigned_lake(tmp_path: Path) -> None:
    """An unsigned lake verifies, and it is said that nobody signed it."""
    lake = create(tmp_path / "lake", unsigned=True, clock=lambda: NOW)
    lake.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    report = checked(lake)

    assert report.ok
    assert ["unsigned" in notice.what for notice in report.notices] == [True]
    assert report.signed_by == ""


@of_format_1
def test_an_old_lake(tmp_path: Path) -> None:
    """A lake that had no ledger has one to verify from its next commit on, with the rows that it had."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(3)))
    make_old(lake)
    assert not checked(lake).ok
    lake.ingest(write_events(tmp_path / "b.jsonl", range(3, 6)))
    report = checked(lake)

    assert report.ok, report.problems
    assert report.rows == 6


@of_format_1
def test_a_lake_without_a_ledger(tmp_path: Path, run: Callable[..., Any]) -> None:
    """A lake that was made before there were ledgers can be read; its verification says that it has none."""
    lake = made(tmp_path / "lake")
    lake.ingest(write_events(tmp_path / "a.jsonl", range(6)))
    make_old(lake)
    lake = opened(lake.layout.root)

    assert lake.sql("select count(*) from events").fetchall() == [(6,)]
    (problem,) = checked(lake).problems
    assert "there is none: the lake is older than ledgers" in problem.what
    done = run("--lake", lake.layout.root, "verify")
    assert (done.code, done.out.count("WRONG")) == (4, 2)
    lake.compact(grace_seconds=0)
    lake.ingest(write_events(tmp_path / "b.jsonl", range(6, 9)))
    assert checked(lake).ok
    assert lake.ledger.checkpoint()


def test_a_kept_checkpoint(lake: AuditLake, tmp_path: Path) -> None:
    """A lake extends every checkpoint that it ever had, and it is said since when nobody else vouches for it."""
    before = checkpoint_path(lake.layout).read_bytes()
    report = checked(lake, checkpoint=before)
    assert (report.ok, report.anchored, report.unanchored_since) == (True, report.size, "")

    lake.ingest(write_events(tmp_path / "b.jsonl", range(50, 53)))
    report = checked(lake, checkpoint=before, public_key=report.signed_by)
    assert report.ok, report.problems
    assert report.anchored == report.size - 1
    assert report.unanchored_since == NOW.isoformat()


def test_replaced_files_that_still_lie_there(lake: AuditLake, tmp_path: Path) -> None:
    """Files that a compaction replaced may lie there: they are told, and nothing is wrong."""
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    lake.ingest(write_events(tmp_path / "c.jsonl", range(63, 66)))
    lake.compact()
    report = checked(lake)

    assert report.ok, report.problems
    assert report.notices
    assert all("was replaced by entry" in notice.what for notice in report.notices)


def test_a_changed_policy_is_told(lake: AuditLake) -> None:
    """A policy that was changed after the last entry is worth a notice."""
    path = lake.layout.policy("failed_logins")
    path.write_text(path.read_text() + "# less\n")
    report = checked(lake)

    assert report.ok
    assert [str(notice) for notice in report.notices] == [
        "policies/failed_logins.yaml: was changed after the last entry"
    ]


def test_changed_holds_are_told(lake: AuditLake, tmp_path: Path) -> None:
    """A hold that came, changed or went by hand is worth a notice until the next entry; its list must then be there."""
    said = "holds: are not those of the last entry: one was added, changed or removed by hand"
    hold = lake.layout.hold("mine")
    hold.write_text("reason: r\nowner: o\nticket: t\ncreated: 2026-01-01T00:00:00Z\n")
    assert [str(notice) for notice in checked(lake).notices] == [said]
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    assert checked(lake).notices == ()
    hold.unlink()
    report = checked(lake)
    assert (report.ok, [str(notice) for notice in report.notices]) == (True, [said])

    (listed,) = (lake.layout.ledger / "holds").iterdir()
    listed.write_bytes(b"")
    (problem,) = checked(lake).problems
    assert str(problem).startswith(f"ledger/holds/{listed.name}: is missing or was changed")


def test_writers_at_work(lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit or a compaction in the middle of a verification is no alarm: it looks again."""
    from auditlake.verify import check

    work = [
        lambda: lake.compact(grace_seconds=0),
        lambda: lake.ingest(write_events(tmp_path / "c.jsonl", range(70, 75))),
    ]
    original = check.read_log

    def interrupted(layout: Layout) -> DeltaLog:
        log = original(layout)
        if work:
            work.pop()()
        return log

    lake.ingest(write_events(tmp_path / "b.jsonl", range(66, 72)))
    monkeypatch.setattr(check, "read_log", interrupted)

    assert checked(lake).ok
    assert work == []


def test_what_a_dead_writer_left(lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that its writer did not live to sign is told as such, until the next one has signed it.

    It is wrong where the ledger's entry lies beside the log, and else a notice.
    """
    inside = commit_entry(lake.layout, lake.snapshot().version) is not None

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"auditlake.store.commit.{'integrate' if inside else 'complete'}", die)
        with pytest.raises(KeyboardInterrupt):
            lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))
    report = checked(lake)
    assert report.ok is inside
    assert any("is not signed yet" in problem.what for problem in report.problems) is not inside
    assert any("is not in the ledger's tree yet" in notice.what for notice in report.notices) is inside

    lake.ingest(write_events(tmp_path / "c.jsonl", range(63, 66)))
    assert checked(lake).ok
