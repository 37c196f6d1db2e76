"""What a policy compiles to: pinned statement by statement, and equal to what runs."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

import auditlake
from auditlake.assets import folder
from auditlake.engine.narrowing import Asked, asked_of, made
from auditlake.engine.parse_tree import parse
from auditlake.engine.statements import statements
from auditlake.events.durations import Duration
from auditlake.policies.compile import CompiledQuery, compile_policy
from auditlake.policies.model import Policy, longest_retention
from auditlake.policies.question import Question, earlier
from tests.lakes import create

GOLDEN = Path(__file__).parent / "golden"
FOLDER = folder("sql")
AS_OF = datetime.fromisoformat("2026-11-24T12:00:00+00:00")
DAY = 86_400_000_000


def policy(policy_id: str, **fields: object) -> Policy:
    given = {"required_events": ("auth_failure", "login"), "retention_period": Duration("30d", 30 * DAY),
             "alert_threshold": 3} | fields  # fmt: skip
    return Policy(policy_id, policy_id.title(), "", **given)  # type: ignore[arg-type]


POLICIES = {
    "plain": policy("plain"),
    "distinct": policy(
        "distinct",
        group_by=("user_id", "details ->> '$.region'"),
        measure="distinct",
        more={"distinct": ("ip_address",)},
    ),
    "grouped": policy("grouped", group_by=("user_id",)),
    "narrowed": policy(
        "narrowed",
        group_by=("user_id", "ip_address"),
        where="status='failure'\n  AND action IS NOT null",
        max_gap=Duration("6h", DAY // 4),
    ),  # fmt: skip
}


def filled(query: CompiledQuery) -> str:
    """The statements of a query that had something filled in, and the names of those that stand in sql/ as they run."""
    written = {each.text: each for file in (FOLDER / "policies").glob("*.sql")
               for each in statements(f"policies/{file.name}").values()}  # fmt: skip
    return "\n".join(
        f"-- {written[step.sql].file}: {step.name}" if step.sql in written else f"{step.sql};" for step in query.steps
    )


@pytest.mark.parametrize("name", POLICIES)
def test_only_files_that_matter(name: str) -> None:
    """Whatever is filled in: files without events of the policy's types, of its period or just before, stay shut."""
    question = Question(AS_OF, AS_OF - timedelta(days=30), AS_OF)
    (query,) = compile_policy(POLICIES[name], [POLICIES[name]], question, only="rolling_counts")
    step = next(each for each in query.steps if each.name in ("arrivals", "matching"))
    with duckdb.connect() as connection:
        asked = asked_of(parse(connection, made(step.sql)[2]), step.parameters, {"events", "moments"})
    look_back = question.since - timedelta(days=1)
    assert asked == (Asked(frozenset({"auth_failure", "login"}), look_back, AS_OF),)


@pytest.mark.parametrize("name", POLICIES)
def test_golden_sql(name: str) -> None:
    """The SQL of a policy is what it was; AUDITLAKE_GOLDEN=write accepts a change, to be read in review."""
    question = Question(AS_OF, AS_OF - timedelta(days=30), AS_OF)
    queries = compile_policy(POLICIES[name], list(POLICIES.values()), question)
    text = "\n".join(f"-- {query.name} {query.parameters}\n{filled(query)}\n" for query in queries)
    file = GOLDEN / f"{name}.sql"
    if os.environ.get("AUDITLAKE_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    assert text == file.read_text()


def test_policy_sql_is_what_runs(tmp_path: Path) -> None:
    """Pasted into any DuckDB that has the events view, the printed script gives the numbers of the report."""
    lake = create(tmp_path / "lake", clock=lambda: AS_OF)
    events = [
        auditlake.AuditEvent("auth_failure", AS_OF - timedelta(hours=hours), user_id="mallory", event_id=f"e{hours}")
        for hours in range(1, 8)
    ]
    lake.ingest(events)
    report = lake.report("failed_logins", as_of=AS_OF).report
    printed = next(query for query in lake.policies.sql("failed_logins", as_of=AS_OF) if query.name == "rolling_counts")
    files = [str(lake.layout.events / file.path) for file in lake.snapshot().files]

    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.read_parquet(files, hive_partitioning=True).create_view("events")
        rows: dict[str, list[tuple[object, ...]]] = {}
        for step in printed.steps:
            rows[step.name] = connection.execute(step.sql, dict(step.parameters) or None).fetchall()

    ((key, _, _, ongoing, _, peak, _),) = rows["rolling_counts"]
    assert (key, ongoing, peak) == ("mallory", True, 7)
    assert [finding.peak for finding in report.violations] == [7]
    assert printed.sql in {query.sql for query in report.evidence.queries}


def test_longest_retention() -> None:
    """A type is kept for the longest of all policies that govern it; a type that none governs has no keeper."""
    long = policy("long", retention_period=Duration("1y", 366 * DAY))

    assert longest_retention("login", [POLICIES["plain"], long]) is long
    assert longest_retention("data_access", [POLICIES["plain"], long]) is None


def test_earlier_stops_at_1970() -> None:
    """Going back further than 1970 ends just before it: no event is older, and years before 1 do not exist."""
    assert earlier(AS_OF, timedelta(days=365 * 3000)) == datetime.fromisoformat("1969-12-31T23:59:59.999999+00:00")
    assert earlier(AS_OF, timedelta(days=1)) == AS_OF - timedelta(days=1)


def test_cutoff_is_the_true_one() -> None:
    """A cutoff before 1970 is what it is: only what is older than every event may be shortened."""
    long = policy("long", retention_period=Duration("200y", 200 * 366 * DAY))
    question = Question(AS_OF, AS_OF - timedelta(days=1), AS_OF)
    (retention,) = (each for each in compile_policy(long, [long], question) if each.name == "retention")

    assert retention.parameters["cutoff"] == question.midnight - timedelta(days=200 * 366)
    assert retention.parameters["cutoff"].year == 1826
