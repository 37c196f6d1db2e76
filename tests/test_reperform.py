"""A report done again says that nothing has changed, or what has."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.errors import ReportError
from auditlake.reports.reperform import NOTHING, _differences
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def three_ingests(folder: Path) -> None:
    """Make a lake with seven failures on each of three days."""
    lake = create(folder / "lake", clock=lambda: NOON)
    for day in range(3):
        at = NOON - timedelta(days=day)
        lake.ingest([AuditEvent("auth_failure", at - timedelta(seconds=i), user_id="ann") for i in range(7)])


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of three ingests."""
    return auditlake.open(copy_of(three_ingests, tmp_path) / "lake", clock=lambda: NOON)


@pytest.fixture
def report(lake: AuditLake, tmp_path: Path) -> Path:
    """The report of a policy, as a file."""
    return lake.report("failed_logins").write(tmp_path / "reports", ["json"])[0]


def test_nothing_has_changed(lake: AuditLake, report: Path) -> None:
    """A report of an untouched snapshot is identical, whatever came later: events, decisions, other policies."""
    lake.ingest([AuditEvent("auth_failure", NOON, user_id="ann", event_id=f"{i}") for i in range(9)])
    first = lake.findings.list("failed_logins")[0].finding.id
    lake.findings.accept(first, reason="known", owner="ops", until=NOON + timedelta(days=9))
    done = lake.reperform(report)
    assert (done.identical, done.differences, done.reasons) == (True, (), ())
    assert lake.reperform(lake.report("failed_logins").write(report.parent, ["json"])[0]).identical


def test_compaction_changes_nothing(lake: AuditLake, report: Path) -> None:
    """Where the snapshot's own files are gone, the same rows are read from others."""
    lake.ingest(AuditEvent("auth_failure", NOON - timedelta(days=1), user_id="ann", event_id="one more"))
    before = set(lake.layout.events.rglob("*.parquet"))
    for hours in (1, 2):
        AuditLake(lake.layout.root, clock=lambda: NOON + timedelta(hours=hours)).compact(grace_seconds=0)  # noqa: B023
    assert before - set(lake.layout.events.rglob("*.parquet"))
    assert lake.reperform(report).identical


def change(report: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(report.read_bytes())
    edit(document)
    report.write_text(json.dumps(document))


def test_a_changed_number_is_named(lake: AuditLake, report: Path) -> None:
    """A number that was changed in the report is told with what it would be."""
    change(report, lambda said: said.update(total_events=3))
    done = lake.reperform(report)
    assert [(each.where, each.then, each.now) for each in done.differences] == [("total_events", 3, 21)]
    assert not done.identical
    assert "changed in the report or in the data" in done.reasons[-1]


def test_a_finding_that_was_taken_out_is_named(lake: AuditLake, report: Path) -> None:
    """Findings are compared by their ids."""
    gone = json.loads(report.read_bytes())["violations"][0]
    change(report, lambda said: said["violations"].pop(0))
    (difference,) = lake.reperform(report).differences
    assert (difference.where, difference.then, difference.now) == (f"violations[{gone['id']}]", NOTHING, gone)


WRONG: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "order": ("violations, in this order", lambda said: said["violations"].reverse()),
    "true": (
        "threshold.daily_peaks[2026-11-24].peak",
        lambda said: said["threshold"]["daily_peaks"][-1].update(peak=True),
    ),
    "text": ("period.nothing", lambda said: said["period"].update(nothing="nothing")),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_the_same_in_json_is_named(name: str) -> None:
    """Another order, a truth value for a number, and the very word for what is not there are differences."""
    where, edit = WRONG[name]
    then = {
        "violations": [{"id": "a"}, {"id": "b"}],
        "threshold": {"daily_peaks": [{"date": "2026-11-24", "peak": 1}]},
        "period": {},
    }
    now = json.loads(json.dumps(then))
    assert list(_differences(then, now)) == []
    edit(then)
    assert [each.where for each in _differences(then, now)] == [where]
    assert list(_differences({"a": [1]}, {"a": [1.0]})) == []


def test_a_key_that_is_said_twice_is_told(lake: AuditLake, report: Path) -> None:
    """Of a report that says two things in one place none is believed."""
    text = report.read_text()
    report.write_text(text.replace('"total_events"', '"total_events": 3, "total_events"', 1))
    with pytest.raises(ReportError, match="twice"):
        lake.reperform(report)


def test_a_deletion_is_named_with_its_certificate(lake: AuditLake, report: Path) -> None:
    """Once its events are gone a report cannot be done again, and the reason names the certificate."""
    later = auditlake.open(lake.layout.root, clock=lambda: NOON + timedelta(days=60))
    applied = later.retention.apply()
    assert lake.reperform(report).identical  # the files are there for the grace
    auditlake.open(lake.layout.root, clock=lambda: NOON + timedelta(days=90)).compact(grace_seconds=0)
    done = lake.reperform(report)
    assert not done.identical
    assert applied.certificate in done.reasons[0]


def test_a_changed_policy_is_named(lake: AuditLake, report: Path, tmp_path: Path) -> None:
    """The digests of then and now are told; by the policies of then the report is identical."""
    kept = tmp_path / "then"
    kept.mkdir()
    for file in lake.layout.policies.glob("*.yaml"):
        (kept / file.name).write_bytes(file.read_bytes())
    file = lake.layout.policy("failed_logins")
    file.write_text(file.read_text() + "# another day\n")
    done = lake.reperform(report)
    assert [each.where for each in done.differences] == ["evidence.policy_digest"]
    assert "the policy has changed" in done.reasons[0]
    assert lake.reperform(report, policies=kept).identical


def test_a_policy_that_is_gone_is_told(lake: AuditLake, report: Path) -> None:
    """Without its policy a report cannot be done again."""
    lake.policies.remove("failed_logins")
    done = lake.reperform(report)
    assert not done.identical
    assert "no policy 'failed_logins'" in done.reasons[0]


def test_a_decision_that_was_changed_is_told(lake: AuditLake, tmp_path: Path) -> None:
    """A report names the journal's digest, so that whoever rewrites a decision is found out."""
    first = lake.findings.list("failed_logins")[0].finding.id
    lake.findings.accept(first, reason="known", owner="ops", until=NOON + timedelta(days=9))
    report = lake.report("failed_logins").write(tmp_path / "reports", ["json"])[0]
    journal = lake.layout.journal
    journal.write_bytes(journal.read_bytes().replace(b"known", b"happy"))
    done = lake.reperform(report)
    assert not done.identical
    assert "the journal of findings has changed before the entry that the report names" in done.reasons


def test_a_lost_file_is_told(lake: AuditLake, report: Path) -> None:
    """Data that is not there gives no numbers."""
    next(lake.layout.events.rglob("*.parquet")).unlink()
    done = lake.reperform(report)
    assert not done.identical
    assert "lost a file" in done.reasons[0]


NO_REPORTS = {
    "nothing": None, "no JSON": b"{", "no report": b"{}", "no text": b"\xff\xfe", "deep": b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("name", NO_REPORTS)
def test_what_is_no_report_is_told(lake: AuditLake, tmp_path: Path, name: str) -> None:
    """A file that is not there or none of ours is one of auditlake's errors."""
    data = NO_REPORTS[name]
    if data is not None:
        (tmp_path / "report.json").write_bytes(data)
    with pytest.raises(ReportError):
        lake.reperform(tmp_path / "report.json")


def test_a_report_of_another_lake_is_refused(report: Path, tmp_path: Path) -> None:
    """The report's lake is named."""
    other = create(tmp_path / "other")
    with pytest.raises(ReportError, match="is a report of lake"):
        other.reperform(report)
