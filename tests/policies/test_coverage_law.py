"""Scope, proven types, gaps by type and in hours, and fields: the SQL says what plain Python says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.durations import Duration
from auditlake.policies.deleted_days import Deletion
from auditlake.policies.evaluate import evaluate
from auditlake.policies.hours import Hours, parse_hours
from auditlake.policies.model import PLACEHOLDERS, FieldRule, GapRule, Policy
from auditlake.policies.question import Question
from auditlake.reports.build import build_report
from auditlake.reports.document import report_dict
from tests.engine.test_laws import agree
from tests.oracle import judge
from tests.strategies import WHERES, WINDOWS, Case, cases

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
_SNAPSHOT = {"snapshot": 0, "files": 0, "rows": 0, "inputs_digest": "sha256:" + "0" * 64}
_COLUMNS = ("event_id", "event_type", "timestamp", "user_id", "action", "resource", "status", "session_id",
            "ip_address", "source", "details", "metadata", "event_date")  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect() as connection:
        yield connection


def report(
    connection: duckdb.DuckDBPyConnection, events: Sequence[Any], policies: Sequence[Policy], question: Question,
    taken: dict[str, date] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What the SQL says of the first policy."""
    kinds = dict.fromkeys(_COLUMNS, pa.string()) | {
        "timestamp": pa.timestamp("us", tz="UTC"),
        "event_date": pa.date32(),
    }
    connection.register("events", pa.table({
        name: pa.array([getattr(event, name, None) for event in events], kinds[name]) for name in _COLUMNS
    }))  # fmt: skip
    lost = [Deletion({}, frozenset(), lost={name: (day, day) for name, day in (taken or {}).items()})]
    (answers,) = evaluate(DuckEngine(connection), [(policies[0], question)], policies, deleted=lost, fewest=1)
    return report_dict(build_report(answers, lake_id="x", snapshot=_SNAPSHOT))


# Scope, proven types, gaps by type, fields


@st.composite
def asked(draw: st.DrawFn) -> tuple[Case, Any, dict[str, date]]:
    """A case whose policy asks what is new, its scope as a Python function, and what certificates say."""
    case = draw(cases())
    types = case.policy.required_events
    scope, scope_callable = draw(st.sampled_from(WHERES[:1]) | st.sampled_from(WHERES))
    limited = draw(st.lists(st.sampled_from(types), unique=True))
    columns = st.lists(st.sampled_from(("user_id", "resource", "status", "ip_address")), min_size=1, unique=True)
    shares = st.sampled_from((1, Decimal("0.5"), Decimal("0.75"), Decimal("0.000001")))
    rules = st.builds(FieldRule, columns.map(tuple), shares)
    policy = replace(
        case.policy,
        scope=scope,
        coverage=draw(st.sampled_from(("required", "proven", "proven"))),
        max_gap={name: GapRule(draw(st.sampled_from(WINDOWS))) for name in sorted(limited)} or case.policy.max_gap,
        fields=draw(st.dictionaries(st.sampled_from(("user", "what", "how it ended")), rules)),
        placeholders=draw(st.sampled_from((PLACEHOLDERS, (" File", "7"), ("FAILURE", "10.0.0.1", "::1")))),
    )
    taken = {name: case.until.date() - timedelta(days=draw(st.integers(-1, 2))) for name in limited}
    return replace(case, policy=policy), scope_callable, taken


@given(drawn=asked())
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_sql_equals_oracle(connection: duckdb.DuckDBPyConnection, drawn: tuple[Case, Any, dict[str, date]]) -> None:
    """Scope narrows everything but retention; what is proven, late or incomplete is what the oracle finds."""
    check(connection, *drawn)


@pytest.mark.soak
@given(drawn=asked())
@settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_sql_equals_oracle_at_length(
    connection: duckdb.DuckDBPyConnection, drawn: tuple[Case, Any, dict[str, date]]
) -> None:
    """The same over many more cases."""
    check(connection, *drawn)


def check(connection: duckdb.DuckDBPyConnection, case: Case, scope: Any, taken: dict[str, date]) -> None:
    policy, others = case.policy, [each for each in case.policies if each.id != case.policy.id]
    question = Question(case.as_of, case.since, case.until)
    ours = report(connection, case.events, [policy, *others], question, taken)
    theirs = judge(
        case.events, policy, [policy, *others], as_of=case.as_of, since=case.since, until=case.until,
        where=case.where_callable, scope=scope if policy.scope is not None else None,
        taken={name: day.isoformat() for name, day in taken.items()},
    )  # fmt: skip
    agree(ours, theirs)


# Hours


def opened(zone: ZoneInfo, local: datetime) -> datetime:
    """The first minute at which the clock of a zone shows a time or a later one."""
    at = local.replace(tzinfo=UTC) - timedelta(hours=15)
    while at.astimezone(zone).replace(tzinfo=None) < local:
        at += timedelta(minutes=1)
    return at


def silence(start: datetime, end: datetime, zone: str, spans: Sequence[tuple[str, str, str]]) -> timedelta:
    """How long of a stretch lies within spans of a day of the week, from and to; they do not overlap."""
    total, day = timedelta(), start.date() - timedelta(days=2)
    while day <= end.date() + timedelta(days=2):
        for name, *times in spans:
            if DAYS[day.weekday()] == name:
                midnight = datetime(day.year, day.month, day.day)  # by the clock of the zone
                opens, closes = (
                    opened(ZoneInfo(zone), midnight + timedelta(hours=int(at[:2]), minutes=int(at[3:]))) for at in times
                )
                total += max(min(end, closes) - max(start, opens), timedelta())
        day += timedelta(days=1)
    return total


class Beat:
    """An event of which nothing but its time matters."""

    event_type, source = "login", "auditlake"

    def __init__(self, timestamp: datetime) -> None:
        self.timestamp = timestamp


def gaps(
    connection: duckdb.DuckDBPyConnection, beats: Sequence[datetime], question: Question, rule: GapRule
) -> list[tuple[str, str | None]]:
    policy = Policy("beat", "Beat", "", ("login",), coverage="optional", max_gap={"login": rule})
    found = report(connection, list(map(Beat, beats)), [policy], question)["violations"]
    return [(each["start"], each["end"]) for each in found]


@given(
    clock=st.sampled_from(ZONES),
    around=st.sampled_from((datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC),
                            datetime(2026, 4, 4, tzinfo=UTC), datetime(2026, 3, 7, tzinfo=UTC))),
    spans=st.lists(
        st.tuples(st.sampled_from(DAYS[4:]), st.sampled_from((("00:00", "24:00"), ("01:30", "02:30"),
                                                              ("02:00", "03:00"), ("08:15", "18:00")))),
        min_size=1, max_size=3, unique_by=lambda span: span[0],
    ),
    beats=st.lists(st.integers(0, 4 * 96).map(lambda n: timedelta(minutes=15 * n)), min_size=1, max_size=3),
    longest=st.sampled_from((30, 60, 105, 585, 1440)),
    length=st.integers(1, 2 * 96),
)  # fmt: skip
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_silence_counts_in_hours(
    connection: duckdb.DuckDBPyConnection, clock: str, around: datetime, spans: Any, beats: Any, longest: int,
    length: int,
) -> None:  # fmt: skip
    """A stretch is a gap if more of it than is allowed lies in the hours, whatever the clocks do in it."""
    flat = [(day, *times) for day, times in spans]
    text = ", ".join(f"{day} {opens}-{closes}" for day, opens, closes in flat)
    rule = GapRule(Duration("x", longest * 60_000_000), Hours(text, clock, parse_hours(text)))
    times = sorted({around + beat for beat in beats})
    since = around + timedelta(days=1)
    question = Question(around + timedelta(days=5), since, since + timedelta(minutes=15 * length))
    expected = [
        (start, end)
        for start, end in zip(times, [*times[1:], None], strict=True)
        if start < question.until and (end or question.as_of) > since
        and silence(start, end or question.as_of, clock, flat) > timedelta(minutes=longest)
    ]  # fmt: skip
    assert gaps(connection, times, question, rule) == [
        (f"{start:%Y-%m-%dT%H:%M:%S.%fZ}", end and f"{end:%Y-%m-%dT%H:%M:%S.%fZ}") for start, end in expected
    ]


def test_a_long_silence_is_one(connection: duckdb.DuckDBPyConnection) -> None:
    """What was silent for years is a gap also where little of a week counts, and the weekend before as_of is none."""
    hour = Hours("Mon 08:00-09:00", "Europe/Berlin", parse_hours("Mon 08:00-09:00"))
    friday, sunday = (datetime(2026, 3, 27, 17, tzinfo=UTC), datetime(2026, 3, 29, 17, tzinfo=UTC))
    question = Question(sunday, friday, sunday)
    rule = GapRule(Duration("40h", 40 * 3_600_000_000), hour)
    for since, is_gap in ((timedelta(days=1500), True), (timedelta(weeks=41), True), (timedelta(weeks=40), False)):
        found = gaps(connection, [sunday - since], question, rule)
        assert bool(found) == is_gap, since


def test_edges(connection: duckdb.DuckDBPyConnection) -> None:
    """As long as is allowed is no gap, with and without hours; one microsecond more is one."""
    friday, sunday = datetime(2026, 3, 27, 17, tzinfo=UTC), datetime(2026, 3, 29, 17, tzinfo=UTC)
    question, hours = Question(sunday, friday, sunday), "Mon-Fri 08:00-18:00"
    office, longest = Hours(hours, "Europe/Berlin", parse_hours(hours)), Duration("3h", 3 * 3_600_000_000)
    for within, edge in ((office, friday - timedelta(hours=3)), (None, sunday - timedelta(hours=3))):
        rule = GapRule(longest, within)
        assert gaps(connection, [edge], question, rule) == []
        assert len(gaps(connection, [edge - timedelta(microseconds=1)], question, rule)) == 1


def test_proven(connection: duckdb.DuckDBPyConnection) -> None:
    """A type is proven by an event up to the period's end, or by a certificate over a day that had ended by then."""
    policy = Policy("p", "P", "", ("login",), coverage="proven")
    since, until = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, 23, 59, 59, 999_999, tzinfo=UTC)
    after, micro, day = until + timedelta(days=1), timedelta(microseconds=1), date(2026, 3, 2)
    for at, end, taken, is_proven in (
        (until, until, {}, True),
        (until + micro, until, {}, False),
        (since - timedelta(days=99), until, {}, True),
        (until + micro, until, {"login": day}, True),
        (until + micro, until - micro, {"login": day}, False),
        (until + micro, until, {"logout": day}, False),
    ):
        said = report(connection, [Beat(at)], [policy], Question(after, since, end), taken)
        assert [each["message"] for each in said["violations"]] == ["Never seen: login"] * (not is_proven)
        assert said["coverage"]["proven"] == ({"login": "2026-03-02"} if is_proven and taken else {})


# Fields


def test_fields_know_no_condition(connection: duckdb.DuckDBPyConnection) -> None:
    """What narrows the threshold narrows no field, also where conditions are judged together."""
    policy = Policy(
        "p",
        "P",
        "",
        ("login",),
        alert_threshold=1,
        where="status = 'failure'",
        fields={"user": FieldRule(("user_id",))},
    )
    question = Question(*(datetime(2026, 3, day, tzinfo=UTC) for day in (2, 1, 2)))
    said = report(connection, [Beat(datetime(2026, 3, 1, 5, tzinfo=UTC))], [policy], question)
    assert said["coverage"]["fields"]["user"]["types"] == {"login": {"events": 1, "missing": 1}}


def test_what_is_filled(connection: duckdb.DuckDBPyConnection) -> None:
    """Numbers, booleans, texts and lists with something in them are filled; nothing, and words for it, are not."""
    filled = [0, False, "x", [None], {"a": None}, "[]", "{}", [""], "\u00a0", "un\u212anown", "-1", 'a "b"']
    empty = [None, "", " \t\n", "-", " N/A\r", "UNKNOWN", [], {}, "none", "Null", "w.x*", "W.X*\v"]
    details = [json.dumps({"a": {"b.c": value}}) for value in [*filled, *empty]]
    details += ["{}", '{"a": 1}', '{"a": {"b": {"c": 1}}}', "no JSON", '{"a": [{"b.c": 1}]}', None]
    events = [Beat(datetime(2026, 3, 1, 0, 0, n, tzinfo=UTC)) for n in range(len(details))]
    for event, text in zip(events, details, strict=True):
        event.details = text  # type: ignore[attr-defined]
        event.event_type = "login" if event.timestamp.second < len(filled) else "logout"
    fields = {"it": FieldRule(('details.a."b.c"',)), "time": FieldRule(("timestamp",))}
    policy = Policy("p", "P", "", ("login", "logout"), fields=fields, placeholders=(*PLACEHOLDERS, "W.x*"))
    question = Question(*(datetime(2026, 3, day, tzinfo=UTC) for day in (2, 1, 2)))
    events[0].timestamp += timedelta(hours=1)  # the period begins after its first instant
    said = report(connection, events, [policy], question)["coverage"]["fields"]
    assert said["it"]["types"] == {
        "login": {"events": len(filled), "missing": 0},
        "logout": {"events": len(details) - len(filled), "missing": len(details) - len(filled)},
    }
    assert {each["missing"] for each in said["time"]["types"].values()} == {0}
