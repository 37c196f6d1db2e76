"""Policies that are judged together in one scan say what each says by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row
from auditlake.policies import kinds
from auditlake.policies.evaluate import evaluate, samples
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.sieve import Sifter, sieve
from auditlake.reports.build import build_report

ROOT = Path(__file__).parents[2]
_AS_OF = datetime(2026, 11, 4, 12, tzinfo=UTC)
_TYPES = ("api_call", "login", "logout")
_QUESTION = Question(_AS_OF, _AS_OF - timedelta(days=2), _AS_OF - timedelta(hours=6))
_CONDITIONS = (
    "source = 'trail' and lower(details ->> '$.name') = 'stop'",
    "source = 'trail' and lower(details ->> '$.name') in ('stop', 'start') "
    "and not coalesce(details ->> '$.who' = 'x', false)",
    "source = 'trail' and details ->> '$.name' = 'Start' and json_exists(details, '$.who')",
    "source = 'trail' and details ->> '$.name' = 'never'",
    "source = 'trail'",
    "source = 'other' and metadata ->> '$.a.b' like 'v%'",
    "source = 'other' and cast(details ->> '$.n' as integer) > 1",
    "cast(details ->> '$.n' as integer) > 1",
    "details ->> '$.list[0]' = '1' or user_id is null",
    "list_position(['ann', null], user_id) > 0",
    "details ->> '$.name' is null",
    "case when details ->> '$.who' = 'x' then true end",
    "lower(user_id) <> 'ann' and details ->> '$.\"a b\"' = 'c'",
    "resource = 'r0' and lower(details ->> '$.name') = 'stop'",
    "details ->> '$.n' <> '0' and lower(details ->> '$.name') in ('start', 'stop')",
    "list_position(['stop', 'never'], lower(details ->> '$.name')) > 0",
    "try_cast(details ->> '$.n' as double) > 1 and regexp_matches(user_id, '^[ab]') and resource ilike 'R_' escape '!'",
)


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    """An engine over a few hundred events of three sources, of which some are later than as_of."""
    connection = connect(threads=1)
    connection.execute("""
        create temp table events as
        select
          'e' || i as event_id, ['login', 'logout', 'api_call'][1 + i % 3] as event_type,
          timestamptz '2026-11-01 00:00:00+00' + to_minutes(cast(i * 17 as bigint)) as "timestamp",
          [null, 'ann', 'bob', 'Cy'][1 + i % 4] as user_id, 'act' as action,
          'r' || i % 2 as resource, 'success' as status,
          [
            '{"name":"Stop","who":"x","n":"3"}', '{"name":"START","n":"no"}', '{"name":"Start","who":null,"n":2}',
            '{"list":[1,2],"a b":"c"}', null, '{"name":null,"n":0}'
          ][1 + i % 6] as details,
          ['{"a":{"b":"value"}}', '{}', null][1 + i % 3] as metadata, null::varchar as session_id,
          '10.0.0.1' as ip_address, ['trail', 'other', 'third', 'trail'][1 + i % 4] as source,
          timestamptz '2026-11-04 00:00:00+00' as ingested_at, date '2026-11-01' as event_date
        from range(400) as numbers(i)""")
    return DuckEngine(connection)


def _policy(number: int, where: str | None, types: tuple[str, ...] = _TYPES, **keys: Any) -> Policy:
    written = {"name": f"P {number}", "description": "d", "required_events": list(types), "coverage": "optional",
               "where": where, "alert_threshold": 1, "window": "24h"} | keys  # fmt: skip
    if "baseline" in keys:
        del written["window"]
    if where is None:
        del written["where"]
    known = frozenset(_TYPES)
    return load_policy(json.dumps(written), file="p.yaml", policy_id=f"p{number}", event_types=known, in_use=True)


def _kinds(rng: Random) -> Iterator[dict[str, Any]]:
    """Yield the keys of each kind over and over; what they group by and tell apart is in details as well."""
    values = ("user_id", "resource", "details ->> '$.name'", "cast(details ->> '$.n' as integer)")
    steps = ({"where": "details ->> '$.who' = 'x'"}, {"where": "metadata ->> '$.a.b' = 'value'"}, {"types": ["login"]},
             {"where": "cast(details ->> '$.n' as integer) > 0"},
             {"where": "lower(details ->> '$.name') = 'start'", "types": ["login", "api_call"]},
             {"where": "source = 'trail' and details ->> '$.name' like 'S%'"})  # fmt: skip
    while True:
        group = {"group_by": rng.sample(values, rng.randint(0, 2))}
        yield group | {"alert_threshold": rng.randint(1, 3)}
        yield group | {"distinct": rng.sample(values, rng.randint(1, 2))}
        yield group | {"together": rng.sample(steps, 2), "alert_threshold": rng.randint(1, 2)}
        yield group | {"sequence": rng.sample(steps, 2)} | rng.choice([{}, {"until": "resource = 'r1'"}])
        yield group | {"first_seen": {"value": [rng.choice(values)], "entity": ["user_id"], "memory": "12h"}}
        yield group | {rng.choice(("sum", "average")): "cast(details ->> '$.n' as integer)", "alert_threshold": 2}
        yield group | {"baseline": {"bucket": "1h", "season": "6h", "seasons": 3, "at_least": 1, "ratio": 1.5},
                       "alert_threshold": 1}  # fmt: skip
        yield group | {"dormant": {"entity": [rng.choice(values)], "silence": "2h"}}


_SCOPES = (
    "source = 'trail'", "details ->> '$.who' = 'x'", "cast(details ->> '$.n' as integer) > 0",
    "resource = 'r1' or metadata ->> '$.a.b' = 'value'", "lower(details ->> '$.name') <> 'stop'",
)  # fmt: skip


def _of_every_kind(rng: Random, number: int) -> list[Policy]:
    """Return policies of one kind after the other, each with a condition of its own."""
    wheres = rng.sample(_CONDITIONS, number)
    has_where = [rng.random() < 0.7 for _ in wheres]
    types = (("login",), ("login", "logout"), _TYPES, _TYPES)
    return [
        _policy(number, where if has_where[number] else None, _TYPES if "api_call" in str(keys)
                else rng.choice(types if "login" not in str(keys) else types[1:]),
                **({"window": rng.choice(("1h", "24h", "72h"))} | keys
                   | rng.choice([{}, {}, {"scope": rng.choice(_SCOPES)}])))
        for number, (where, keys) in enumerate(zip(wheres, _kinds(rng), strict=False))
    ]  # fmt: skip


def _question(rng: Random) -> Question:
    as_of = _AS_OF - timedelta(hours=rng.randint(0, 24))
    until = as_of - timedelta(hours=rng.choice((0, 6)))
    return Question(as_of, until - timedelta(hours=rng.randint(1, 72)), until)


def _told(engine: DuckEngine, asked: list[tuple[Policy, Question]], fewest: int) -> list[tuple[Any, object]]:
    """Return what reports and their pages say of policies."""
    answers = evaluate(engine, asked, [policy for policy, _ in asked], fewest=fewest)
    return [
        (build_report(each), samples(engine, each.policy, each.question, 3, table=each.table)
         if each.rows["rolling_counts"] else None)
        for each in answers
    ]  # fmt: skip


def _check_law(engine: DuckEngine, seed: int, number: int) -> None:
    rng = Random(seed)
    asked = [(policy, _question(rng)) for policy in _of_every_kind(rng, number)]
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


def test_together_as_each_by_itself(engine: DuckEngine) -> None:
    """One policy of each kind, with what it finds, in a report and on its page."""
    _check_law(engine, 2, 8)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(30))
def test_many_together_as_each_by_itself(engine: DuckEngine, seed: int) -> None:
    """The same of a few hundred policies, in dozens."""
    _check_law(engine, seed, len(_CONDITIONS))


class _Recorder(DuckEngine):
    """An engine that keeps what it was asked."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        super().__init__(connection)
        self.asked: list[tuple[str, str]] = []

    def step(self, name: str, sql: str, parameters: Mapping[str, object]) -> list[Row]:
        self.asked.append((name, sql))
        return super().step(name, sql, parameters)


@pytest.mark.parametrize("kind", ["count", "distinct", "sum", "average", "together", "sequence"])
def test_what_is_asked_of_details_is_read_once(engine: DuckEngine, kind: str) -> None:
    """Groups, values and conditions of steps are asked of what the one scan read, each path once."""
    keys: dict[str, Any] = {
        "distinct": {"distinct": ["details ->> '$.name'", "metadata ->> '$.a.b'"]}, "count": {},
        "sum": {"sum": "details ->> '$.n'"}, "average": {"average": "cast(details ->> '$.n' as integer)"},
        "together": {"together": [{"where": "details ->> '$.n' = '3'", "group_by": ["details ->> '$.Who'"]},
                                  {"where": "lower(details ->> '$.name') = 'start'"}]},
        "sequence": {"sequence": [{"where": "details ->> '$.n' = '3'"}, {"where": "details ->> '$.\"a b\"' = 'c'"}],
                     "until": "details ->> '$.list[0]' = '2'"},
    }[kind]  # fmt: skip
    group = {"group_by": ["details ->> '$.who'"]} | keys
    wheres = ("source = 'trail' and details ->> '$.name' <> 'x'", "source = 'other'", "user_id = 'ann'")
    asked = [(_policy(number, where, **group), _QUESTION) for number, where in enumerate(wheres)]
    recorder = _Recorder(engine.connection)
    answers = list(evaluate(recorder, asked, [policy for policy, _ in asked], fewest=1))

    assert {each.table for each in answers} == {"own_events"}, "none fell back to being judged by itself"
    readers = {name for name, sql in recorder.asked if "->>" in sql or "json_extract" in sql}
    assert readers == {"sieved"}
    assert [name for name, _ in recorder.asked].count("sieved") == 1
    known = [row[0] for row in engine.rows("select column_name from duckdb_columns() where table_name = 'sieved'")]
    assert not {"details", "metadata"} & set(known), "whole records are not kept where places are read"
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


@pytest.mark.parametrize("kind", ["together", "sequence"])
def test_steps_without_a_condition_are_judged_together(engine: DuckEngine, kind: str) -> None:
    """A policy that has steps alone, as correlations of Sigma's have, asks them of what the one scan read."""
    steps = [{"where": "source = 'trail' and lower(details ->> '$.name') = 'start'", "types": ["login", "api_call"]},
             {"where": "source = 'trail' and details ->> '$.name' = 'Stop'"}]  # fmt: skip
    never = [{"where": "details ->> '$.name' = 'never'"}, {"where": "details ->> '$.name' = 'ever'"}]
    failing = [steps[0], {"where": "cast(details ->> '$.n' as integer) > 0"}]
    of_types = [{"types": ["login"]}, {"types": ["logout"]}]
    asked = [(_policy(number, None, **{kind: each}, group_by=["resource"]), _QUESTION)
             for number, each in enumerate((steps, never, failing, of_types))]  # fmt: skip
    recorder = _Recorder(engine.connection)
    answers = list(evaluate(recorder, asked, [policy for policy, _ in asked], fewest=1))

    assert [each.table for each in answers] == ["own_events", "own_events", None, None]
    assert answers[0].rows["rolling_counts"]
    recorder.asked.clear()
    list(evaluate(recorder, asked[:2], [policy for policy, _ in asked], fewest=1))
    assert {name for name, sql in recorder.asked if "->>" in sql or "json_extract" in sql} == {"sieved"}
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


def test_each_condition_is_judged(engine: DuckEngine) -> None:
    """What no event meets is known after the scan, and what fails is no match and is found."""
    asked = [(_policy(number, where), _QUESTION)
             for number, where in enumerate(_CONDITIONS)]  # fmt: skip
    together = sieve(engine, asked)
    assert together is not None
    assert [together.counts(policy) for policy, _ in asked] == [number != 3 for number in range(len(asked))]


def test_a_condition_of_one_source_and_text(engine: DuckEngine) -> None:
    """Where it decides on where a condition is looked at, it is not asked again; where it is named twice, it is."""
    of_trail, stop = "source = 'trail'", "lower(details ->> '$.name') = 'stop'"
    wheres = (stop, f"{of_trail} and {stop}", f"{of_trail} and {stop} and user_id = 'ann'",
              f"{of_trail} and {stop} or {of_trail} and user_id = 'ann'", f"{of_trail} and source = 'other'",
              f"{of_trail} and lower(details ->> '$.name') in ('start', 'x') and {stop}",
              "list_position(['ann', null], user_id) > 0", "list_position([null], user_id) > 0")  # fmt: skip
    asked = [(_policy(number, where, alert_threshold=5), _QUESTION) for number, where in enumerate(wheres)]
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


def test_only_conditions_that_may_fail_are_tried(engine: DuckEngine) -> None:
    """Conditions on any source that fail on no event are looked at only where what they name has one of their texts."""
    recorder = _Recorder(engine.connection)
    for wheres, tries in ((_CONDITIONS[-4:], 0), (_CONDITIONS[-6:], 1)):
        sieve(recorder, [(_policy(number, where), _QUESTION) for number, where in enumerate(wheres)], fewest=1)
        (name, sql) = recorder.asked[-2]
        assert (name, sql.count("try(coalesce(")) == ("sieved", tries)
        assert "when lower_details_" in sql


def test_a_measure_says_how_far_it_looks_back() -> None:
    """Older events than one window before the period are read for those alone that bind more."""
    far = {kind.name for kind in kinds.measures() if kind.looks_far_back}
    bound = {path.stem for path in (ROOT / "sql" / "policies").glob("*.sql") if "$history_start" in path.read_text()}
    assert far == bound == {"first_seen", "dormant", "baseline"}


def test_what_looks_far_back_has_its_past(engine: DuckEngine) -> None:
    """A baseline is judged by seasons before its window, of which the others are not asked."""
    keys = {"bucket": "1h", "season": "1h", "seasons": 8, "at_least": 8, "ratio": 1}
    far = _policy(0, "source = 'trail'", baseline=keys, alert_threshold=1)
    question = Question(_AS_OF, _AS_OF - timedelta(hours=2), _AS_OF)
    policies = [far, *(_policy(number, _CONDITIONS[number], window="1h") for number in range(1, 6))]
    asked = [(each, question) for each in policies]
    recorder = _Recorder(engine.connection)
    answers = list(evaluate(recorder, asked, policies))
    assert {each.table for each in answers} == {"own_events"}
    threshold = build_report(answers[0]).threshold
    assert (threshold.recent_events, threshold.unjudged) == (2, 0)
    assert _told(engine, asked, 5) == _told(engine, asked, 8)

    def asked_of(until: datetime) -> list[tuple[str, int]]:
        later = f"event_id is not null and \"timestamp\" <= '{until.isoformat()}'"
        return engine.rows(f"select source, count(*) from sieved where {later} group by all order by all")

    list(evaluate(engine, asked, policies))
    assert [source for source, _ in asked_of(_AS_OF - timedelta(hours=4))] == ["trail"], "of the baseline's alone"


@pytest.mark.parametrize("kind", ["first_seen", "dormant", "baseline"])
def test_what_looks_far_back_is_read_once(engine: DuckEngine, kind: str) -> None:
    """Only of a few subjects are still older events asked for, by each policy itself."""
    keys: dict[str, Any] = {
        "first_seen": {"first_seen": {"value": ["details ->> '$.name'"], "entity": ["user_id"], "memory": "12h"}},
        "dormant": {"dormant": {"entity": ["details ->> '$.n'"], "silence": "2h"}},
        "baseline": {"baseline": {"bucket": "1h", "season": "6h", "seasons": 3, "at_least": 1, "ratio": 1.5},
                     "alert_threshold": 1, "group_by": ["details ->> '$.who'"]},
    }[kind]  # fmt: skip
    asked = [(_policy(number, where, **keys), _QUESTION)
             for number, where in enumerate(("source = 'trail'", "source = 'other'", "user_id = 'ann'"))]  # fmt: skip
    recorder = _Recorder(engine.connection)
    answers = list(evaluate(recorder, asked, [policy for policy, _ in asked], fewest=1))
    assert {each.table for each in answers} == {"own_events"}
    readers = {name for name, sql in recorder.asked if "->>" in sql or "json_extract" in sql}
    assert readers - {"returns", "returns_from_long_ago"} == {"sieved"}
    assert _told(engine, asked, 1) == _told(engine, asked, 4)


def test_a_scope_is_judged_with_the_condition(engine: DuckEngine) -> None:
    """What is in scope is read once as well, with a condition or without; what cannot be told is in scope."""
    group = ["details ->> '$.who'"]
    wheres = (None, None, *_CONDITIONS[:3])
    asked = [(_policy(number, where, scope=scope, group_by=group[: number % 2]), _QUESTION)
             for number, (where, scope) in enumerate(zip(wheres, _SCOPES, strict=True))]  # fmt: skip
    recorder = _Recorder(engine.connection)
    answers = list(evaluate(recorder, asked, [policy for policy, _ in asked]))
    assert {each.table for each in answers} == {"own_events"}
    assert {name for name, sql in recorder.asked if "->>" in sql or "json_extract" in sql} == {"sieved", "shared"}
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


def test_policies_without_a_condition_read_places_once(engine: DuckEngine) -> None:
    """Each counts every event, over what one scan read for all of them."""
    name, number = "details ->> '$.name'", "cast(details ->> '$.n' as integer)"
    steps = [{"where": f"{number} > 0"}, {"types": ["logout"]}]
    keys: list[dict[str, Any]] = [
        {"group_by": [name]}, {"distinct": [name, "metadata ->> '$.a.b'"]}, {"sum": number, "alert_threshold": 2},
        {"together": steps}, {"sequence": steps},
        {"first_seen": {"value": [name], "entity": ["user_id"], "memory": "12h"}},
        {"dormant": {"entity": [name], "silence": "2h"}},
    ]  # fmt: skip
    asked = [(_policy(at, None, **each), _QUESTION) for at, each in enumerate(keys)]
    recorder = _Recorder(engine.connection)
    list(evaluate(recorder, asked, [policy for policy, _ in asked]))
    readers = {name for name, sql in recorder.asked if "->>" in sql or "json_extract" in sql}
    assert readers - {"returns", "returns_from_long_ago"} == {"read_events"}
    assert _told(engine, asked, 1) == _told(engine, asked, len(asked) + 1)


def test_a_batch_matters_to_those_whose_condition_it_meets(engine: DuckEngine) -> None:
    """What alerts ask: policies are left out that count nothing, whichever sources the batch is from."""
    asked = [_policy(number, where) for number, where in enumerate((*_CONDITIONS, "source = 'absent'"))]
    assert Sifter(asked).left_out(engine) == {"p3", "p17"}
    assert Sifter([asked[3], asked[17]]).left_out(engine) == {"p17"}, "too few for a scan"
    assert Sifter([asked[3]], fewest=1).left_out(engine) == {"p3"}
    assert not Sifter([_policy(0, "list_position([null], user_id) > 0")], fewest=1).left_out(engine)


def test_what_cannot_be_read_is_left_to_each(engine: DuckEngine) -> None:
    """Details that are no JSON are an error of each condition that reads them: nothing is judged together then."""
    connection = engine.connection
    connection.execute("begin")
    connection.execute("update events set details = '{\"name\"' where event_id = 'e200'")
    asked = [(_policy(number, where), _QUESTION)
             for number, where in enumerate(_CONDITIONS)]  # fmt: skip
    together = sieve(DuckEngine(connection), asked)
    assert together is not None
    assert [together.lay_out(policy) for policy, _ in asked] == [None] * len(asked)
    connection.execute("rollback")
