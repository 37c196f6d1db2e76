"""The views: all of the lake, described column by column, on one snapshot."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake.confined.kernel import landlock_version
from auditlake.errors import QueryError, SandboxError, SnapshotError, SourceError, StoppedError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.policies.evaluate import evaluate
from auditlake.sandbox.parent import Child
from auditlake.sandbox.session import VIEWS, AuditSession
from auditlake.sandbox.views import TooMuch, _stopped
from tests.lakes import create
from tests.sandbox.lakes import NOW, make_lake, session
from tests.sandbox.test_process import OPENING


def test_dictionary(desk: AuditSession) -> None:
    """Every column of every view is described, with its type and in its order."""
    described = desk.sql("select view_name, column_name, column_type from dictionary").fetchall()
    found = []
    for view in VIEWS:
        columns = desk.sql(f"describe {view}").fetchall()
        found += [(view, name, kind.lower()) for name, kind, *_ in columns]

    short = {"timestamp with time zone": "timestamptz"}
    assert sorted(described) == sorted((view, name, short.get(kind, kind)) for view, name, kind in found)
    assert desk.sql("select count(*) from dictionary where length(comment) < 3").fetchall() == [(0,)]


def test_events(desk: AuditSession, lake: auditlake.AuditLake) -> None:
    """The view events has what the library's own readers see, without the internal columns."""
    answer = desk.sql("select * from events order by timestamp, source, event_id")

    assert tuple(answer.columns) == PUBLIC_COLUMNS
    assert answer.fetchall() == lake.events(source="auditlake").fetchall()


def test_findings(desk: AuditSession, lake: auditlake.AuditLake) -> None:
    """Findings and retention are those of the reports."""
    reports = lake.reports(as_of=NOW, snapshot=1)
    found = desk.sql("select policy_id, finding_id, message from findings").fetchall()
    status = desk.sql("select policy_id, status, due, total_events from retention_status").fetchall()

    assert sorted(found) == sorted(
        (each.report.policy_id, one.id, one.message) for each in reports for one in each.report.violations
    )
    assert sorted(status) == sorted(
        (each.report.policy_id, each.status, each.report.retention.due, each.report.total_events) for each in reports
    )


def test_accepted(tmp_path: Path) -> None:
    """A finding that somebody answers for says so, and the status of its policy is that of the report."""
    lake = make_lake(tmp_path / "lake")
    listed = lake.findings.list()
    first = {each.seen.subject: each.finding.id for each in reversed(listed) if each.policy_id == listed[0].policy_id}
    for each in first.values():  # which covers the later ones
        lake.findings.accept(each, reason="known", owner="ops", until=NOW + timedelta(days=9), by="me")
    with session(lake) as opened:
        found = opened.sql(
            "select distinct policy_id, accepted_by, accepted_until, reason from findings where accepted"
        ).fetchall()
        status = dict(opened.sql("select policy_id, status from retention_status").fetchall())
        assert opened.sql("select count(*) > 0 from findings where not accepted").fetchall() == [(True,)]

    assert found == [(listed[0].policy_id, "ops", NOW + timedelta(days=9), "known")]
    assert status == {each.policy_id: each.status for each in lake.reports()}
    assert status[listed[0].policy_id] == "compliant"


def test_tables_have_limits(tmp_path: Path) -> None:
    """What the parent makes has the question's time and memory, and no more: then the question is stopped."""
    lake = make_lake(tmp_path / "lake")
    file = tmp_path / "in.jsonl"
    file.write_text("x" * 3000 + "\n" + ("y" * 3000 + "\n") * 2000)
    lake.ingest(file, source="auditlake")
    with session(lake, memory_mb=6) as opened:
        opened._opening = replace(opened._opening, memory=500_000_000)
        with pytest.raises(StoppedError, match="memory"):
            opened.sql("select count(*) from quarantine")
        with pytest.raises(StoppedError, match="memory"):
            opened.sql("select count(*) from findings")
    with session(lake) as opened:
        opened.limits = replace(opened.limits, seconds=0.01)
        for _ in range(2):
            with pytest.raises(StoppedError, match="longer than it may"):
                opened.sql("select count(*) from findings")
        outcomes = [json.loads(line)["status"] for line in opened._log.lines]
    assert outcomes == ["stopped", "stopped"]


def test_counts_of_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the rows that the principal sees: kept ones answer who sees them all, up to any instant."""
    monkeypatch.setattr("auditlake.sandbox.session.FEWEST", 0)
    lake = make_lake(tmp_path / "lake")
    principals = "principals: {erika: everything, fewer: {rows: user_id <> 'alice'}}"
    (lake.layout.root / "auditor.yaml").write_text(principals)
    by_rows = """select event_date, event_type, source, count(*), min("timestamp"), max("timestamp")
                 from events group by all order by all"""
    for principal, is_kept in (("fewer", False), ("erika", True)):
        with session(lake, principal=principal, as_of=NOW - timedelta(days=3)) as opened:
            counted = opened.sql("from daily_counts order by all").fetchall()
            assert counted == opened.sql(by_rows).fetchall() != []
        assert lake.layout.summaries.exists() is is_kept


def test_what_is_judged_is_stopped() -> None:
    """A statement in the parent's own engine is stopped at the deadline."""
    import duckdb

    soon = time.monotonic() + 0.1
    with duckdb.connect() as connection, pytest.raises(TooMuch, match="longer"), _stopped(connection, soon):
        connection.sql("from range(1000000000000000) select max(hash(range))").fetchall()


def test_ingests_and_quarantine(tmp_path: Path) -> None:
    """What came in, and what could not become an event, up to the session's snapshot."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    file = tmp_path / "in.jsonl"
    good = {"event_id": "a", "event_type": "login", "timestamp": "2026-11-20T00:00:00Z"}
    file.write_text(
        json.dumps(good) + "\nnot json\n" + json.dumps(good | {"event_id": "b", "event_type": "odd"}) + "\n"
    )
    assert lake.ingest(file, history="from the old system").history == "from the old system"
    with session(lake) as opened:
        (row,) = opened.sql("select snapshot, input, read, landed, quarantined, history from ingests").fetchall()
        kept = opened.sql("select line, reason, data from quarantine order by line").fetchall()
    with session(lake, snapshot=0) as opened:
        assert opened.sql("select count(*) from ingests, quarantine").fetchall() == [(0,)]

    assert row == (1, str(file), 3, 1, 2, "from the old system")
    assert lake.ledger.verify(full=False).ok
    with pytest.raises(SourceError, match="history: expected 1 to 4,000 characters, got nothing"):
        lake.ingest(file, history=" ")
    assert [line for line, _, _ in kept] == [2, 3]
    assert kept[0][2] == "not json"


def test_ledger(desk: AuditSession) -> None:
    """The view ledger has the entries of the ledger up to the session's snapshot."""
    found = desk.sql("select number, kind, snapshot, files_added from ledger order by number").fetchall()

    assert [(kind, version) for _, kind, version, _ in found if version is not None][-1] == ("append", 1)
    assert [number for number, *_ in found] == list(range(len(found)))


def test_ledger_is_cut(tmp_path: Path) -> None:
    """What the ledger says beside snapshots is there as of the session's instant, and before the next snapshot."""
    lake = make_lake(tmp_path / "lake")
    kinds = "select kind from ledger order by number desc limit 1"
    lake.policies.remove(lake.policies.all()[0].id)
    later = auditlake.open(lake.layout.root, clock=lambda: NOW + timedelta(hours=1))
    with session(lake) as opened, session(lake, as_of=NOW - timedelta(days=1)) as earlier:
        later.policies.remove(lake.policies.all()[0].id)
        assert opened.sql("select count(*) from ledger where kind = 'policy-change'").fetchall() == [(1,)]
        assert earlier.sql(kinds).fetchall() == [("append",)]
    lake.ingest(auditlake.AuditEvent("login", NOW, event_id="new"))
    lake.policies.remove(lake.policies.all()[0].id)
    tomorrow = NOW + timedelta(days=1)
    with session(lake, snapshot=1, as_of=tomorrow, clock=lambda: tomorrow) as opened:
        found = opened.sql("select kind from ledger order by number").fetchall()
    assert found[-3:] == [("append",), ("policy-change",), ("policy-change",)]


def test_what_was_judged_in_time_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one question has not the time for all policies, the next goes on behind those that are judged."""
    asked: list[int] = []

    def slow(engine: Any, wanted: Sequence[Any], *others: Any, **more: Any) -> Iterator[Any]:
        asked.append(len(wanted))
        for answers in evaluate(engine, wanted, *others, **more):
            yield answers
            if len(asked) == 1:
                raise TooMuch("it took longer than it may")

    monkeypatch.setattr("auditlake.policies.evaluate.evaluate", slow)
    with session(make_lake(tmp_path / "lake")) as opened:
        with pytest.raises(StoppedError, match="to make the view findings"):
            opened.sql("select * from findings")
        assert len(opened.sql("select * from findings").fetchall()) > 0
    assert asked == [4, 3]


def test_held(tmp_path: Path) -> None:
    """Events under a legal hold are counted as held, as in the report."""
    later = NOW + timedelta(days=4000)
    lake = auditlake.open(make_lake(tmp_path / "lake").layout.root, clock=lambda: later)
    lake.holds.add("case-1", reason="a case", owner="legal", ticket="T-1", event_types=["login"])
    with session(lake, as_of=later, snapshot=1, clock=lambda: later) as opened:
        found = dict(opened.sql("select policy_id, held from retention_status").fetchall())

    reports = lake.reports(as_of=later, snapshot=1)
    assert found == {each.report.policy_id: each.report.retention.held for each in reports}
    assert sum(found.values())


def test_policies(desk: AuditSession, lake: auditlake.AuditLake) -> None:
    """The view policies has every policy of the lake."""
    found = desk.sql("select policy_id, required_events, retention_period, digest from policies").fetchall()

    assert found == [
        (each.id, list(each.required_events), str(each.retention_period), each.digest) for each in lake.policies.all()
    ]


def test_scope(tmp_path: Path) -> None:
    """The view policies says what narrows a policy's findings, but where it reads what the principal must not see."""
    lake = make_lake(tmp_path / "lake")
    for name, scope in (("own", "user_id = 'u1'"), ("cards", "resource like 'cards/%'")):
        said = {"name": name, "description": "d", "required_events": ["login"], "scope": scope}
        (lake.layout.policies / f"{name}.yaml").write_text(json.dumps(said))
    asked = "select policy_id, scope from policies where scope is not null order by all"
    with session(lake) as opened:
        assert opened.sql(asked).fetchall() == [("cards", "resource like 'cards/%'"), ("own", "user_id = 'u1'")]
    (lake.layout.root / "auditor.yaml").write_text(
        "principals: {erika: everything, others: {columns: {user_id: hash}}}"
    )
    with session(lake, principal="others") as opened:
        assert opened.sql(asked).fetchall() == [("cards", "resource like 'cards/%'")]


def test_pinned(tmp_path: Path) -> None:
    """A session reads one snapshot, whatever comes in meanwhile and whatever is compacted; an old one can be named."""
    lake = make_lake(tmp_path / "lake")
    with session(lake) as opened:
        before = opened.sql("select count(*) from events").fetchall()
        lake.ingest(auditlake.AuditEvent("login", NOW, event_id="new"))
        lake.compact()
        assert opened.sql("select count(*) from events").fetchall() == before
    with session(lake) as opened:
        assert opened.sql("select count(*) from events").fetchall() == [(before[0][0] + 1,)]
    with session(lake, snapshot=1) as opened:
        assert opened.snapshot == 1
        assert opened.sql("select count(*) from events").fetchall() == before
    with pytest.raises(SnapshotError):
        session(lake, snapshot=99)


@pytest.mark.parametrize("engine_reads", [True, False])
def test_as_of(engine_reads: bool, lake: auditlake.AuditLake) -> None:
    """As of an instant, later events do not exist; also where Arrow reads the files for an engine without rights."""
    then = NOW - timedelta(days=5)
    query = "select event_date, user_id, count(*) from events where status = 'success' group by all order by all"
    with session(lake, as_of=then, engine_reads=engine_reads) as opened:
        found = opened.sql(query).fetchall()
        newest = opened.sql("select max(timestamp) from events").fetchall()

    expected = lake.sql(query.replace("where", "where timestamp <= $then and"), {"then": then}).fetchall()
    assert found == expected
    assert newest[0][0] <= then


def test_without_landlock(lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel has no Landlock, DuckDB gets no right over any file, and the answers are the same."""
    query = "select * from events where source <> 'auditlake.self' order by event_id"
    with session(lake) as opened:
        expected = opened.sql(query).fetchall()
    monkeypatch.setattr("auditlake.sandbox.session.landlock_version", lambda: 0)
    with session(lake) as opened:
        assert not opened._opening.engine_reads
        assert opened.sql(query).fetchall() == expected


def test_refuses_to_serve(lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Landlock was to hold and does not, or what must fail works, nothing is served."""
    monkeypatch.setattr("auditlake.sandbox.session.LAYERS", ("calls", "limits", "engine", "gate"))
    with pytest.raises(SandboxError, match="Landlock does not hold"):
        session(lake, layers=("calls", "limits", "engine", "gate"), engine_reads=True)
    monkeypatch.setattr("auditlake.sandbox.session.LAYERS", ("landlock", "calls", "limits", "gate"))
    with pytest.raises(SandboxError, match="could not be locked"):
        session(lake, layers=("landlock", "calls", "limits", "gate"))


def test_canary() -> None:
    """The canary bites: an engine that is not locked, or a process that can read, is found out."""
    import duckdb

    from auditlake.sandbox.engine import Unsafe, try_out

    with duckdb.connect() as connection, pytest.raises(Unsafe):
        try_out(connection, ["engine"], os.__file__)
    with duckdb.connect() as connection, pytest.raises(Unsafe, match="foreign file"):
        try_out(connection, ["landlock"], os.__file__)
    with duckdb.connect() as connection, pytest.raises(Unsafe, match="socket"):
        try_out(connection, ["calls"], os.__file__)


def test_canary_sings_in_the_child() -> None:
    """A child tries itself out before it serves: one that can read what is nobody's business is given up."""
    if landlock_version() < 1:
        pytest.skip("the kernel has no Landlock")
    child = Child()
    with pytest.raises(SandboxError, match="does not hold: a foreign file"):
        child.open(replace(OPENING, layers=("landlock",), files=(os.__file__,)))


def test_errors_name_no_places(lake: auditlake.AuditLake, desk: AuditSession) -> None:
    """What goes wrong is told in one line without the paths of this machine."""
    for query in ("select nothing from events", "select cast('/etc/passwd' as integer)", "select 1 / 'x' from events"):
        with pytest.raises(QueryError) as failure:
            desk.sql(query)
        assert str(lake.layout.root) not in str(failure.value)
        assert "/etc/passwd" not in str(failure.value)
        assert "\n" not in str(failure.value)


def test_parameters_of_odd_kinds(desk: AuditSession) -> None:
    """Parameters are text, numbers, times, and lists of those; anything else is refused."""
    for values in ({"a": object()}, {"a": [[1]]}, {"a": "x" * 2_000_000}, [1]):
        with pytest.raises(QueryError):
            desk.sql("select $a", values)


def test_library(lake: auditlake.AuditLake) -> None:
    """lake.audit_session opens a session, closes it at the end, and says who and what it is."""
    with lake.audit_session(principal="erika", snapshot=1) as opened:
        assert opened.sql("select 1").fetchall() == [(1,)]
        assert set(opened.layers) >= {"engine", "gate", "limits"}
        assert "erika" in repr(opened)
        pid = opened._child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
