"""A policy that cannot be judged is its own error: it is named with the reason, and the others are judged."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.cli import main
from auditlake.engine import duck
from auditlake.engine.model import Row
from auditlake.errors import LakeFormatError, PolicyError
from auditlake.policies.condition import ConditionError, check_condition
from tests.lakes import create
from tests.templates import copy_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
POLICY = """name: A condition
description: It fails on some events.
required_events: [auth_failure]
retention_period: 30d
alert_threshold: 1
where: {where}
"""
FAILING = {
    "escape_at_the_end": ("status = 'x' and action like 'adm%!' escape '!'", 24),
    "not_like": ("action not like 'x!' escape '!'", 11),
    "ilike": ("action ilike '%a!' escape '!'", 7),
    "long_escape": ("action like 'a' escape '!!'", 7),
    "unit_of_a_date": ("status = 'a' or date_part('timezone', event_date) > 0", 16),
    "unit_of_an_instant": ("date_trunc('timezone', timestamp) > timestamp", 0),
    "unit_of_a_time": ("date_diff('year', cast(action as time), cast(user_id as time)) > 1", 0),
    "unit_of_a_length": ("dayofweek(cast(action as interval)) = 1", 0),
    "guarded": ("case when action = 'a' then date_sub('era', event_date, event_date) = 1 else false end", 28),
    "constant": ("nullif('', 1.5) is null", 0),
    "dimension": ("array_length([action], length(action)) = 1", 0),
}
FINE = (
    "action like '10!%' escape '!'", "action like 'a!!' escape '!'", "action ilike '%' escape ''",
    "cast(action as integer) > 3", "details ->> '$.a' = 'x'", "date_part('timezone', timestamp) = 0",
    "cast(details as json) = '1'", "list_extract(string_split(action, ','), -1) = 'x'",
    "make_date(length(action), 13, 99) = event_date", "length(action) / 0 > 1",
)  # fmt: skip


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_beyond_try_is_refused(name: str) -> None:
    """A condition that stops DuckDB on some event is refused, and the part that does is pointed at."""
    text, offset = FAILING[name]
    with pytest.raises(ConditionError, match="fails on some events") as refused:
        check_condition(text)
    assert (refused.value.offset, refused.value.fails) == (offset, True)


@pytest.mark.parametrize("text", FINE)
def test_what_try_catches_is_accepted(text: str) -> None:
    """An error that is no match of one event is no reason to refuse."""
    assert check_condition(text)


def six_failures(folder: Path) -> None:
    """Make a lake with six failures of an admin."""
    create(folder / "lake", clock=lambda: NOON).ingest([
        AuditEvent("auth_failure", NOON - timedelta(minutes=i), user_id="ann", action="admin", status="x")
        for i in range(6)
    ])  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with six failures of an admin."""
    return auditlake.open(copy_of(six_failures, tmp_path) / "lake", clock=lambda: NOON)


def put(lake: AuditLake, name: str, text: str) -> None:
    """Put a file among the lake's policies, as an earlier version or an editor did."""
    lake.layout.policy(name).write_text(text)


OTHERS = {"authentication_monitoring", "data_access_tracking", "failed_logins", "security_compliance"}
WRONG = {
    "condition": (POLICY.format(where="nullif('', 1.5) is null"), "the condition of condition cannot be evaluated"),
    "torn": ("name: [", "torn.yaml:2:1: this is not YAML"),
    "unknown": (POLICY.format(where="true") + "nonsense: 1\n", "nonsense"),
}


def test_one_policy_stops_no_other(lake: AuditLake) -> None:
    """Reports, statistics, findings and the desk tell of those that are wrong, and judge the others."""
    expected = {each.policy_id: each.status for each in lake.reports(pages=False)}
    for name, (text, _) in WRONG.items():
        put(lake, name, text)
    expected |= dict.fromkeys(WRONG, "error")
    made = {each.policy_id: each for each in lake.reports()}
    assert {key: each.status for key, each in made.items()} == expected
    for name, (_, why) in WRONG.items():
        document, is_read = json.loads(made[name].json()), name == "condition"
        assert why in document["error"]
        assert str(lake.layout.root) not in made[name].json().decode()
        assert (document["status_now"], document["threshold"]) == (None, None)
        assert (document["total_events"], bool(document["retention"])) == ((6, True) if is_read else (0, False))
        assert b"could not be judged" in made[name].html()
    assert json.loads(made["failed_logins"].json())["evidence"]["unread_policies"] == ["torn", "unknown"]
    standing = {each.policy_id: (each.status, bool(each.error)) for each in lake.statistics().policies}
    assert set(standing) == {*OTHERS, *WRONG}
    assert standing["failed_logins"] == ("violation", False)
    assert {standing[name] for name in WRONG} == {("error", True)}
    found = lake.findings.list()
    assert {each.policy_id for each in found} >= {"failed_logins"}
    assert [each[0] for each in found.faults] == list(WRONG)
    with lake.audit_session(principal="ann") as session:
        rows = session.sql("select policy_id, status from retention_status order by all").fetchall()
        assert dict(rows) == expected
        assert session.sql("select count(*) from findings where policy_id = 'failed_logins'").fetchall() == [(1,)]


UNKNOWN = (
    "sets no threshold", "Counts in a rolling window", "Types seen", "Silent days", "Severity", "required event type",
    "does not affect", "gaps between", "Every number above",
)  # fmt: skip


def test_a_page_says_what_is_known(lake: AuditLake, run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """A file that could not be read says nothing of its policy; a condition that fails leaves all but the threshold."""
    for name, (text, _) in WRONG.items():
        put(lake, name, text)
    for made in (each for each in lake.reports() if each.policy_id in WRONG):
        page = made.html().decode()
        assert f"version {json.loads(made.json())['report_version']} of its form" in page
        assert ("How often the threshold was reached could not be determined." in page) is (
            made.policy_id == "condition"
        )
        assert "sets no threshold" not in page
        assert any(fact.label == "threshold" for fact in made._card().facts) is (made.policy_id == "condition")
        if made.policy_id == "condition":
            assert all(each in page for each in ("Types seen", "Silent days", "Governed events are kept for 30 days"))
            continue
        assert [each for each in UNKNOWN if each in page] == []
        assert WRONG[made.policy_id][1] in page
        assert made.report.evidence.policy_digest in page
        assert "Its threshold, coverage and retention could not be judged." in page
    out = run("report", "--out", str(tmp_path / "out"))[1]
    cells = {line.split()[0]: line.split() for line in out.splitlines() if line.split() and line.split()[0] in WRONG}
    assert [len(cells[name]) for name in WRONG] == [10, 6, 6]
    rows = re.findall(r"<tr>.*?</tr>", (tmp_path / "out" / "index.html").read_text(), re.DOTALL)
    assert all("Medium" not in row for row in rows if ">torn<" in row)


def test_what_fails_on_one_event_is_judged_on_the_others(lake: AuditLake, tmp_path: Path) -> None:
    """A condition that a lake has already is judged; an event on which it stops DuckDB is one of its errors.

    So it is in the page's samples, the pack and the report that is done again.
    """
    lake.ingest([
        AuditEvent("auth_failure", NOON - timedelta(minutes=i), user_id="bob", action="read") for i in range(3)
    ])  # fmt: skip
    put(lake, "like", POLICY.format(where="action not like 'adm%!' escape '!'"))
    made = lake.report("like")
    answer = made.report.threshold
    assert answer is not None
    assert (made.status, answer.where_errors, [each.peak for each in made.findings]) == ("violation", 6, [3])
    assert answer.where == "action not like 'adm%!' escape '!'"
    assert made.html().count(b"bob") >= 3
    assert lake.evidence("like", tmp_path / "pack.zip").events == {made.findings[0].id: 3}
    path = made.write(tmp_path, ["json"])[0]
    assert lake.reperform(path).identical
    lake.ingest([AuditEvent("auth_failure", NOON, action="administer", event_id=f"{i}") for i in range(40)])
    assert lake.report("like", pages=False).status == "error"


def test_what_fails_is_refused_where_it_is_added(lake: AuditLake) -> None:
    """What a lake keeps by such a policy stays kept; adding and checking tell the place."""
    put(lake, "like", POLICY.format(where="action not like 'adm%!' escape '!'"))
    assert lake.policies.get("like").retention_period
    lake.retention.plan()
    where = r"like\.yaml:6:19: where: this fails on some events"
    for refuse in (lambda: lake.policies.add(lake.layout.policy("like")), lambda: lake.policies.check("like")):
        with pytest.raises(PolicyError, match=where):
            refuse()


def test_whatever_else_fails_is_the_policys_own(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of DuckDB that nothing foresaw is the status of the one policy whose condition raised it."""
    put(lake, "odd", POLICY.format(where="action = 'admin'"))
    kept = duck.kept

    def fail(connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, object] | None) -> Sequence[Row]:
        if "'admin'" in sql:
            raise duckdb.NotImplementedException("Not implemented Error: this is new")
        return kept(connection, sql, parameters)

    monkeypatch.setattr(duck, "kept", fail)
    made = {each.policy_id: each for each in lake.reports(pages=False)}
    assert [key for key, each in made.items() if each.status == "error"] == ["odd"]
    assert made["odd"].report.error == "the condition of odd cannot be evaluated: Not implemented Error: this is new"
    assert made["odd"].report.retention is not None


def test_damage_is_no_fault_of_a_policy(lake: AuditLake) -> None:
    """A file of the lake that cannot be read stops the reports, whatever DuckDB calls it."""
    put(lake, "odd", POLICY.format(where="action = 'admin'"))
    path = next(lake.layout.events.rglob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
    path.chmod(0o600)
    path.write_bytes(data)
    with pytest.raises(LakeFormatError, match="is damaged"):
        lake.reports(pages=False)


def test_row_filters_are_refused(lake: AuditLake) -> None:
    """What a principal may see is not decided by a condition that fails on some events."""
    (lake.layout.root / "auditor.yaml").write_text("default: {rows: \"action like 'a!' escape '!'\"}\n")
    with pytest.raises(LakeFormatError, match="fails on some events"):
        lake.audit_session(principal="ann")


@pytest.fixture
def run(
    lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command on the lake; gives the exit code and both outputs."""

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["auditlake", "--lake", str(lake.layout.root), *words])
        with pytest.raises(SystemExit) as left:
            main()
        done = capsys.readouterr()
        return int(left.value.code or 0), done.out, done.err

    return command


def test_the_exit_code_says_so(lake: AuditLake, tmp_path: Path, run: Callable[..., tuple[int, str, str]]) -> None:
    """The others are written first; the exit code is 3, or 1 where the caller asked to fail on errors."""
    put(lake, "wrong", "name: [")
    code, out, err = run("report", "--out", str(tmp_path / "o"), "--format", "json")
    assert (code, len(list((tmp_path / "o").glob("*.json")))) == (3, 5)
    assert "error: wrong could not be judged: wrong.yaml:2:1" in err
    assert "</svg>\nError</td>" in (tmp_path / "o" / "index.html").read_text()
    assert run("report", "--fail-on", "error", "--out", str(tmp_path / "p"))[0] == 1
    assert run("report", "failed_logins", "--out", str(tmp_path / "q"))[0] == 0
    assert run("report", "wrong", "--out", str(tmp_path / "q"))[0] == 3
    when = ("--as-of", "2026-11-24", "--last", "1d")
    code, out, err = run("finding", "list", "--limit", "2", *when)
    total = int(re.search(r"2 of (\d+) are listed; --offset 2 shows the next of \d+ more", out)[1])  # type: ignore[index]
    assert (code, "wrong" in err) == (3, True)
    last = json.loads(run("finding", "list", "--json", "--offset", f"{total - 1}", *when)[1])
    assert (last["total"], len(last["findings"])) == (total, 1)
    assert "error: wrong could not be judged" in run("stats")[1]
