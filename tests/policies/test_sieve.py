"""Policies that are judged together in one scan say what each says by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.events.durations import Duration
from auditlake.policies.evaluate import evaluate, samples
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.policies.sieve import sieve
from auditlake.reports.build import build_report

_AS_OF = datetime(2026, 11, 4, 12, tzinfo=UTC)
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
    "details ->> '$.name' is null",
    "case when details ->> '$.who' = 'x' then true end",
    "lower(user_id) <> 'ann' and details ->> '$.\"a b\"' = 'c'",
)


@pytest.fixture(scope="module")
def engine() -> DuckEngine:
    """An engine over a few hundred events of three sources, of which some are later than as_of."""
    connection = connect()
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


def _policy(number: int, where: str, threshold: int, group_by: tuple[str, ...], types: tuple[str, ...]) -> Policy:
    hours = (1, 24, 72)[number % 3]
    return Policy(
        id=f"p{number}", name=f"P {number}", description="", required_events=types, where=where,
        alert_threshold=threshold, group_by=group_by, window=Duration(f"{hours}h", hours * 3_600_000_000),
        coverage="optional",
    )  # fmt: skip


policies = st.lists(
    st.tuples(
        st.sampled_from(_CONDITIONS), st.integers(1, 3), st.sampled_from([(), ("user_id",), ("user_id", "resource")]),
        st.sampled_from([("login",), ("login", "logout"), ("api_call", "login", "logout")]),
    ),
    min_size=2, max_size=8,
).map(lambda drawn: [_policy(number, *each) for number, each in enumerate(drawn)])  # fmt: skip


@given(policies)
@settings(max_examples=5, deadline=None)
def test_together_as_each_by_itself(engine: DuckEngine, asked: list[Policy]) -> None:
    def told(fewest: int) -> list[object]:
        answers = evaluate(engine, [(each, _QUESTION) for each in asked], asked, fewest=fewest)
        return [
            (build_report(each), samples(engine, each.policy, _QUESTION, 3, counted=each.counted)
             if each.rows["rolling_counts"] else None)
            for each in answers
        ]  # fmt: skip

    assert told(1) == told(len(asked) + 1)


def test_each_condition_is_judged(engine: DuckEngine) -> None:
    """What no event meets is known after the scan, and what fails is no match and is found."""
    asked = [(_policy(number, where, 1, (), ("api_call", "login", "logout")), _QUESTION)
             for number, where in enumerate(_CONDITIONS)]  # fmt: skip
    together = sieve(engine, asked)
    assert together is not None
    assert [together.counts(policy) for policy, _ in asked] == [number != 3 for number in range(len(asked))]


def test_what_cannot_be_read_is_left_to_each(engine: DuckEngine) -> None:
    """Details that are no JSON are an error of each condition that reads them: nothing is judged together then."""
    connection = engine.connection
    connection.execute("begin")
    connection.execute("update events set details = '{\"name\"' where event_id = 'e200'")
    asked = [(_policy(number, where, 1, (), ("api_call", "login", "logout")), _QUESTION)
             for number, where in enumerate(_CONDITIONS)]  # fmt: skip
    together = sieve(DuckEngine(connection), asked)
    assert together is not None
    assert not any(together.holds(policy) for policy, _ in asked)
    connection.execute("rollback")
