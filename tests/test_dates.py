"""A bare date is its whole day, wherever it is a start or an end, and nothing is judged as of later than now."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from auditlake import AuditEvent, AuditLake, AuditLakeError
from auditlake.cli import cli
from auditlake.errors import HoldError
from auditlake.events.times import as_end, as_exclusive, as_instant
from auditlake.policies.holds import load_hold
from auditlake.policies.loader import load_policy
from auditlake.sandbox.canned import chosen, questions
from tests.lakes import create

US = timedelta(microseconds=1)
DAY = timedelta(days=1)
START = datetime(2025, 1, 31, tzinfo=UTC)
END = START + DAY - US
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = (START - US, START, START + DAY / 2, END, END + US)
"""Around one day: before it, its first, one in it, its last, after it."""
POLICY = """\
name: Watched
description: What is watched.
required_events: [login]
retention_period: 10d
alert_threshold: 2
window: 1h
"""
WHO = {"reason": "r", "owner": "o", "ticket": "t"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one login at each of the instants."""
    folder = tmp_path_factory.mktemp("dates")
    lake = create(folder / "lake", clock=lambda: NOW)
    for file in lake.layout.policies.iterdir():
        file.unlink()
    lake.layout.policy("watched").write_text(POLICY)
    lake.ingest([AuditEvent("login", at, user_id="ann", event_id=str(i)) for i, at in enumerate(INSTANTS)])
    return lake.layout.root


@pytest.fixture
def lake(root: Path) -> AuditLake:
    return AuditLake(root, clock=lambda: NOW)


def counted(lake: AuditLake, **options: Any) -> int:
    return lake.report("watched", pages=False, **options).report.total_events


DAYS = ("2025-01-31", date(2025, 1, 31))


def _asked(lake: AuditLake, day: Any) -> int:
    with lake.audit_session(principal="eve", as_of=day) as session:
        return int(session.sql("select count(*) from events where source <> 'auditlake.self'").fetchall()[0][0]) - 1


ENDS: dict[str, Callable[[AuditLake, Any], int]] = {
    "events": lambda lake, day: len(lake.events(until=day).fetchall()) - 1,
    "until": lambda lake, day: counted(lake, since=START - US, until=day),
    "as_of": lambda lake, day: counted(lake, since=START - US, as_of=day),
    "statistics": lambda lake, day: lake.statistics(as_of=day).total_events - 1,
    "backtest": lambda lake, day: lake.backtest("watched", since=START - US, until=day, thresholds=[1]).episodes(1),
    "period": lambda lake, day: counted(lake, since=day, until=day),
    "named": lambda lake, day: counted(lake, period=str(day)),
    "retention": lambda lake, day: (lake.retention.plan(day).as_of == END) * 3,
    "session": _asked,
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_has_its_whole_day(lake: AuditLake, name: str) -> None:
    """What ends with a date has all of that day, given as text or as a date, and no microsecond more."""
    assert [ENDS[name](lake, day) for day in DAYS] == [3, 3]


def test_a_start_has_its_whole_day(lake: AuditLake) -> None:
    """What begins with a date has that day from its first microsecond on, also where a period leaves that out."""
    assert [len(lake.events(since=day, until=END).fetchall()) for day in DAYS] == [3, 3]
    assert [counted(lake, since=day, until=END) for day in DAYS] == [3, 3]
    assert counted(lake, since=START, until=END) == 2  # an instant is left out as it is
    assert (as_instant("1970-01-01"), as_exclusive("1970-01-01"), as_end("9998-12-31")) == (
        datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC) - US,
        datetime(9999, 1, 1, tzinfo=UTC) - US,
    )  # fmt: skip


def test_the_words_of_the_command_line(root: Path) -> None:
    """Every option that ends something has its date's whole day."""

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, ["--lake", str(root), *words])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert len(run("events", "--start", "2025-01-31", "--end", "2025-01-31", "--format", "jsonl").splitlines()) == 3
    assert run("stats", "--as-of", "2025-01-31").startswith("4 events, ")
    out = root.parent / "reports"
    run("report", "--since", "2025-01-31", "--until", "2025-01-31", "--format", "json", "--out", str(out))
    (file,) = out.glob("*.json")
    assert json.loads(file.read_bytes())["total_events"] == 3
    day = ("--param", "since=2025-01-31", "--param", "until=2025-01-31")
    (row,) = run("query", "run", "volume", *day, "--format", "jsonl").splitlines()
    assert json.loads(row)["events"] == 3


def test_a_hold_keeps_the_whole_day(tmp_path: Path) -> None:
    """A hold until a date keeps that day from deletion, and a new one says how many events it matches."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    lake.layout.policy("watched").write_text(POLICY)
    lake.ingest([AuditEvent("login", at, user_id="ann") for at in INSTANTS[:2]])
    lake.log_many([AuditEvent("login", at, user_id="ann") for at in INSTANTS[2:]])
    held = lake.holds.add("smith", **WHO, user_ids=["ann"], since="2025-01-31", until="2025-01-31")
    assert (held.since, held.until, held.matches) == (START, END, 3)
    assert lake.holds.add("misspelt", **WHO, user_ids=["anne"], until="2025-01-31").matches == 0
    assert (lake.holds.all()[1], lake.holds.all()[1].matches) == (held, None)
    run = CliRunner()
    words = ["--lake", str(lake.layout.root), "hold", "add", "--reason", "r", "--owner", "o", "--ticket", "t"]
    told = run.invoke(cli, [*words, "all", "--until", "2025-01-31"])
    assert told.stdout == "holding: all, which matches 4 events now\n"
    told = run.invoke(cli, [*words, "nobody", "--user-id", "nobody", "--json"])
    assert (json.loads(told.stdout)["matches"], "nobody matches no event: user nobody" in told.stderr) == (0, True)

    lake.holds.release("all", reason="r")
    lake.retention.apply()
    assert [row[0] for row in lake.sql("select timestamp from events order by all").fetchall()] == list(INSTANTS[1:4])


def test_files_say_dates_too(tmp_path: Path) -> None:
    """In a hold's file and in a policy's own tests a date is its whole day; an instant stays an instant."""
    head = "reason: r\nowner: o\nticket: t\ncreated: 2025-01-01T00:00:00Z\n"
    read = {"file": "h.yaml", "hold_id": "h", "event_types": frozenset({"login"})}
    hold = load_hold(f"{head}since: 2025-01-31\nuntil: 2025-01-31\n", **read)
    assert (hold.since, hold.until) == (START, END)
    assert load_hold(f"{head}until: 2025-01-31T00:00:00.000000Z\n", **read).until == START
    with pytest.raises(HoldError, match="not a time"):
        load_hold(head.replace("T00:00:00Z", ""), **read)
    test = "tests: [{name: n, as_of: 2025-01-31, since: 2025-01-31, events: [], expect: {total: 0}}]\n"
    (found,) = load_policy(POLICY + test, file="p.yaml", policy_id="p", event_types=frozenset({"login"})).tests
    assert (found.as_of, found.since) == ("2025-01-31T23:59:59.999999Z", "2025-01-30T23:59:59.999999Z")


def test_what_a_question_compares_says_which_end(lake: AuditLake) -> None:
    """A date of a question is the end of the day where events up to it are asked for, and its beginning elsewhere."""
    sql = "select 1 from events where timestamp > $a and timestamp >= $b and timestamp <= $c and $until > timestamp"
    lines = "".join(f"-- ${name} (time): when\n" for name in ("a", "b", "c", "until"))
    (lake.layout.root / "queries").mkdir()
    (lake.layout.root / "queries" / "mine.sql").write_text(
        f"-- name: mine($a, $b, $c, $until)\n-- What.\n{lines}{sql};\n"
    )
    mine = chosen(questions(lake.layout), "mine")
    assert mine.values(dict.fromkeys(("a", "b", "c", "until"), "2025-01-31"), NOW) == {
        "a": START - US, "b": START, "c": END, "until": END
    }  # fmt: skip


AHEAD: dict[str, Callable[[AuditLake, Any], Any]] = {
    "report": lambda lake, at: lake.report("watched", as_of=at),
    "findings": lambda lake, at: lake.findings.list(as_of=at),
    "review": lambda lake, at: lake.findings.review("watched", note="n", as_of=at),
    "evidence": lambda lake, at: lake.evidence("watched", lake.layout.root.parent / "pack.zip", as_of=at),
    "statistics": lambda lake, at: lake.statistics(as_of=at),
    "backtest": lambda lake, at: lake.backtest("watched", as_of=at),
    "policy_sql": lambda lake, at: lake.policies.sql("watched", as_of=at),
    "plan": lambda lake, at: lake.retention.plan(at),
    "apply": lambda lake, at: lake.retention.apply(as_of=at),
    "session": lambda lake, at: lake.audit_session(principal="eve", as_of=at),
}


@pytest.mark.parametrize("name", AHEAD)
def test_nothing_is_judged_as_of_later_than_now(lake: AuditLake, name: str) -> None:
    """An instant, a date or a text that lies ahead is refused wherever something is judged."""
    for at in (NOW + US, "2030-01-01", date(2026, 3, 2)):
        with pytest.raises(AuditLakeError, match="lies ahead: it is 2026-03-01T12:00:00"):
            AHEAD[name](lake, at)


def test_today_is_now(lake: AuditLake) -> None:
    """A date of today is what has passed of it, as the end of a period too, and a period ends no later than as_of."""
    said = lake.report("watched", as_of=NOW.date(), since="2026-03-01", until="2026-03-01").report
    assert (said.as_of, said.since, said.until) == (NOW, datetime(2026, 2, 28, 23, 59, 59, 999999, UTC), NOW)
    assert lake.retention.plan(NOW.date()).as_of == NOW
    with pytest.raises(AuditLakeError, match="must end after it begins"):
        lake.report("watched", until="2026-03-02")


def test_a_report_of_before_is_done_again(root: Path) -> None:
    """A report that an earlier version judged as of an instant that still lies ahead is the same when done again."""
    made = AuditLake(root, clock=lambda: NOW + 400 * DAY).report("watched", as_of=NOW + 400 * DAY)
    (file,) = made.write(root.parent / "ahead", ("json",))
    assert AuditLake(root, clock=lambda: NOW).reperform(file).identical
