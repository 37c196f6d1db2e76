"""What policies ask alike is counted once for all of them, and each says what it says by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row, Summary
from auditlake.engine.summed import RowSummaries
from auditlake.policies.evaluate import Answers, evaluate
from auditlake.policies.holds import Hold
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.shared import Everything, Shared, shared
from auditlake.reports.build import build_report

_AS_OF = datetime(2026, 11, 4, 12, tzinfo=UTC)
_TYPES = ("api_call", "login", "logout", "data_access")
_QUESTION = Question(_AS_OF, _AS_OF - timedelta(days=2), _AS_OF - timedelta(hours=6))
_SCOPES = ("true", "resource = 'r from events'", "user_id <> 'ann'", "cast(details ->> '$.n' as integer) > 1", "false")
_GAPS = (
    "1h", "90min", "26h", "5min", {"login": "45min"}, {"login": "2d", "logout": "20min"},
    {"login": {"longest": "2h", "within": "Sun-Tue 08:00-18:00", "zone": "Europe/Berlin"}, "logout": "3h"},
)  # fmt: skip
_FIELDS = (
    ["user_id"], ["timestamp"], ["user_id", "details.who"], ["details.who"], ["details.n", "metadata.a.b"],
    ["source", "details.n"], {"any_of": ["resource", "user_id"], "at_least": 0.5}, ["ip_address", "details.list"],
)  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    """An engine over a thousand events in bursts, some after as_of, with days of silence between."""
    connection = connect(threads=1)
    rng = Random(7)
    connection.execute("""
        create temp table events (
          event_id varchar, event_type varchar, "timestamp" timestamptz, user_id varchar, action varchar,
          resource varchar, status varchar, details varchar, metadata varchar, session_id varchar, ip_address varchar,
          source varchar, ingested_at timestamptz, event_date date)""")  # fmt: skip
    details = ('{"who":"x","n":"3"}', '{"who":"","n":0}', '{"who":null,"n":"n/a"}', '{"list":[]}', '{"n"', None)
    bursts = [
        (_AS_OF - timedelta(minutes=rng.choice((rng.randint(-90, 3000), rng.randint(5900, 8000)))),
         (rng.choice(_TYPES), rng.choice((None, "ann", "bob", " Unknown ", "-", "none ")),
          rng.choice(("r0", "r from events", "null", None)), rng.choice(details),
          rng.choice(('{"a":{"b":"v"}}', "{}", None)),
          rng.choice(("10.0.0.1", "", None)), rng.choice(("trail", "other", "auditlake.self"))))
        for _ in range(250)
    ]  # fmt: skip
    connection.executemany(
        "insert into events values ($1, $3, $2, $4, 'act', $5, '', $6, $7, '', $8, $9, $2, $2::date)",
        [[f"e{number}", start + timedelta(seconds=rng.randint(0, 400)), *said]
         for number, (start, said) in enumerate(bursts * 4)],
    )  # fmt: skip
    return DuckEngine(connection)


def _policy(number: int, **keys: Any) -> Policy:
    written = {"name": f"P {number}", "description": "d", "required_events": list(_TYPES[:3])} | keys
    known = frozenset(_TYPES)
    return load_policy(
        json.dumps(written), file="p.yaml", policy_id=f"p{number}", event_types=known, in_use=True, is_later=True
    )


def _keys(rng: Random) -> Iterator[dict[str, Any]]:
    while True:
        keys: dict[str, Any] = {"coverage": rng.choice(("required", "proven", "optional"))}
        gaps = rng.choice((*_GAPS, None, None))
        keys["required_events"] = (
            ["login", "logout"] if isinstance(gaps, Mapping) else rng.sample(_TYPES, rng.randint(1, 4))
        )
        keys |= {"max_gap": gaps} if gaps else {}
        chosen = rng.sample(_FIELDS, rng.randint(0, 3))
        keys |= {"fields": {f"field {at}": rule for at, rule in enumerate(chosen)}} if chosen else {}
        keys |= {"placeholders": ["bob", "x"]} if chosen and rng.random() < 0.3 else {}
        keys |= {"retention_period": rng.choice(("1d", "30h", "3d"))} if rng.random() < 0.7 else {}
        asks = len(keys) > 2 or keys["coverage"] != "optional"
        keys |= {} if asks else {"coverage": "proven"}
        keys |= {"scope": rng.choice(_SCOPES)} if rng.random() < 0.6 else {}
        keys |= {"alert_threshold": rng.randint(1, 9), "window": "3h"} if rng.random() < 0.4 else {}
        keys |= {"where": "cast(details ->> '$.n' as integer) > 1"} if "window" in keys and rng.random() < 0.5 else {}
        yield keys


def _question(rng: Random) -> Question:
    as_of = _AS_OF - timedelta(minutes=rng.choice((0, 0, 100)))
    until = as_of - timedelta(hours=rng.choice((0, 6)))
    return Question(as_of, until - timedelta(hours=rng.choice((1, 40, 100))), until)


def _told(
    engine: DuckEngine, asked: list[tuple[Policy, Question]], fewest: int, holds: tuple[Hold, ...] = ()
) -> list[tuple[object, Mapping[str, list[Row]], object]]:  # fmt: skip
    """Return what reports say of policies, all rows that they are made of, and the queries that show how."""
    answers = evaluate(engine, asked, [policy for policy, _ in asked], holds, fewest=fewest, shares_engine=True)
    return [(build_report(each), _rows(each), each.queries) for each in answers]


def _rows(answers: Answers) -> dict[str, list[Row]]:
    """Return the rows of each step; a table has none."""
    return {name: rows for name, rows in sorted(answers.rows.items()) if name not in ("moments", "type_days")}


def _check_law(engine: DuckEngine, seed: int, number: int) -> None:
    rng = Random(seed)
    asked = [(_policy(at, **keys), _question(rng)) for at, keys in zip(range(number), _keys(rng), strict=False)]
    hold = Hold("h", "a case", "Ann", "T-1", _AS_OF - timedelta(days=9), event_types=("login",))
    holds = (hold,) if rng.random() < 0.3 else ()
    assert _told(engine, asked, 1, holds) == _told(engine, asked, number + 1, holds)


def test_together_as_each_by_itself(engine: DuckEngine) -> None:
    """Policies with scopes, gaps, fields, retentions and periods of their own say the same in every way."""
    _check_law(engine, 1, 16)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 42))
def test_many_together_as_each_by_itself(engine: DuckEngine, seed: int) -> None:
    """The same of a thousand policies, in dozens."""
    _check_law(engine, seed, 24)


def _counted(engine: DuckEngine, policies: list[Policy]) -> Shared:
    made = shared(engine, [(each, _QUESTION) for each in policies], fewest=1)
    assert made is not None
    return made


def test_one_scan_serves_all(engine: DuckEngine) -> None:
    """Where policies ask no more than what was counted, no statement but the scan reads the events."""
    read: list[str] = []

    class Reading(DuckEngine):
        def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> list[Row]:
            is_of_view = "from events" in sql.replace("'r from events'", "") and "events as (from numbered" not in sql
            read.extend([name] if is_of_view else ())
            return super().step(name, sql, parameters)

    policies = [
        _policy(number, max_gap="1h", scope=scope, fields={"who": ["user_id", "details.who"]}, retention_period="1d")
        for number, scope in enumerate(_SCOPES)
    ]
    asked = [(each, _QUESTION) for each in policies]
    answers = [*evaluate(Reading(engine.connection), asked, policies, shares_engine=True)]
    assert [each.error for each in answers] == [None] * 5
    assert read == ["numbered_events", "presence", "first_event"], "no type is asked for moments by itself"


def test_what_reads_no_json_says_the_same_of_other_types(engine: DuckEngine) -> None:
    """Of events of which nothing within JSON need be asked, the statement that reads less gives the same rows."""
    compared: list[int] = []

    class Both(RowSummaries):
        def lay_out(self, summary: Summary, *arguments: Any, **options: Any) -> None:
            super().lay_out(summary, *arguments, **options)
            if summary.elsewhere:
                nested, elsewhere = summary.elsewhere
                where = " and ".join(
                    f"not (event_type in {(*types, '')} and not ({filled or 'false'}))" for types, texts in nested
                    for filled in [" or ".join(f"coalesce(is_filled({each}), false)" for each in texts)]
                )  # fmt: skip
                view = f"with events as (select *, 0 as file_index from main.events where {where})"
                whole, less = (engine.rows(f"{view} from (\n{sql}\n)") for sql in (summary.sql, elsewhere()))
                assert whole == less
                compared.append(len(less))

    rng = Random(3)
    for _ in range(6):
        policies = [_policy(at, **keys) for at, keys in zip(range(3), _keys(rng), strict=False)]
        shared(engine, [(each, _QUESTION) for each in policies], fewest=1, summaries=Both(engine),
               everything=Everything(_QUESTION, ("user_id",)))  # fmt: skip
    assert any(compared), "some types are asked for nothing within JSON"


def test_what_would_be_as_many_rows_as_events_is_left_to_each(engine: DuckEngine) -> None:
    """A silence of minutes would need a row for every few events."""
    short, long = _policy(0, max_gap="5min"), _policy(1, max_gap="11min")
    made = _counted(engine, [short, long])
    assert [made.answers(each) for each in (short, long)] == [False, True]


def test_a_scope_that_fails_stops_no_other(engine: DuckEngine) -> None:
    """One that cannot be evaluated at all leaves each policy to itself."""
    asked = [
        (replace(_policy(0, scope="true"), scope="nullif('', 1.5) is null"), _QUESTION),
        (_policy(1), _QUESTION),
    ]
    assert _told(engine, asked, 1) == _told(engine, asked, 9)
