"""The plan says what docs/reference/semantics.md says, event by event, whatever the policies, holds and instants."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditLake
from auditlake.engine.duck import connect, keep_rows
from auditlake.events.durations import Duration
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.retention.plan import RetentionPlan
from auditlake.retention.planner import make_plan
from auditlake.retention.rules import RetentionRules
from auditlake.store.model import Snapshot
from tests.cli.conftest import Run
from tests.retention.lakes import DAY, MIDNIGHT, NOW, US, Clock, bring, made, policy_text, put_policies, record
from tests.retention.model import Event, Kept, Rule, holds_on, limited_by, verdict
from tests.templates import copy_of

TYPES = ("login", "logout", "data_access", "data_breach")
LENGTHS = st.sampled_from([0.25, 1, 1.5, 2, 3, 5, 40])
RULES = st.lists(
    st.builds(
        Rule, st.sampled_from("abcd"), st.lists(st.sampled_from(TYPES[:3]), min_size=1, unique=True).map(tuple),
        st.none() | LENGTHS, st.none() | LENGTHS, st.none() | LENGTHS,
    ).filter(lambda rule: rule.gone is None or rule.days is None or rule.gone >= rule.days),
    max_size=3, unique_by=lambda rule: rule.name,
).map(lambda rules: sorted(rules, key=lambda rule: rule.name))  # fmt: skip
TIMES = st.builds(
    lambda days, nudge: MIDNIGHT + days * DAY + nudge,
    st.sampled_from([-41, -40, -6, -5, -4, -3, -2.5, -2, -1.5, -1.25, -1, -0.25, 0, 0.5, 1]),
    st.sampled_from([0 * US, -US, US, timedelta(hours=1)]),
)
USERS = st.sampled_from(["ann", "bob", None])
EVENTS = st.lists(st.tuples(st.sampled_from(TYPES), TIMES, USERS), max_size=14).map(
    lambda found: [Event(f"e{n}", *each) for n, each in enumerate(found)]
)
HOLDS = st.lists(
    st.builds(
        Kept, st.sampled_from(["h", "i"]), st.just(()) | st.just(("login",)), st.just(()) | st.just(("ann",)),
        st.none() | TIMES, st.none() | TIMES,
    ),
    max_size=2, unique_by=lambda hold: hold.name,
)  # fmt: skip
INSTANTS = st.sampled_from([MIDNIGHT, MIDNIGHT + US, NOW, MIDNIGHT + DAY - US])


def length(days: float) -> Duration:
    return Duration(f"{days}d", int(days * 86_400_000_000))


def rules_as_policies(rules: Sequence[Rule]) -> tuple[Policy, ...]:
    return tuple(
        Policy(rule.name, rule.name, "", rule.types, length(rule.days) if rule.days else None, 1,
               max_retention=length(rule.limit) if rule.limit else None,
               max_event_retention=length(rule.gone) if rule.gone else None)
        for rule in rules
    )  # fmt: skip


def kept_as_hold(kept: Kept) -> Hold:
    return Hold(kept.name, "r", "o", "t", NOW, kept.types, kept.users, (), kept.since, kept.until)


def planned(
    events: Sequence[Event], rules: Sequence[Rule], holds: Sequence[Kept], default: float | None, as_of: datetime
) -> RetentionPlan:
    """The plan over events in a table, so without a lake: the statements are the same."""
    import pyarrow as pa

    instant = pa.timestamp("us", tz="UTC")
    columns = {
        "event_type": pa.array([each.kind for each in events], pa.string()),
        "timestamp": pa.array([each.at for each in events], instant),
        "user_id": pa.array([each.user for each in events], pa.string()),
        "event_date": pa.array([each.at.date() for each in events], pa.date32()),
    }
    nothing = pa.nulls(len(events), pa.string())
    for name in ("event_id", "source", "ip_address", "session_id", "resource", "details", "metadata"):
        columns[name] = nothing
    rules_then = RetentionRules(
        rules_as_policies(rules), tuple(map(kept_as_hold, holds)), length(default) if default else None, (), None, as_of
    )
    with connect(exact_try=False) as connection:
        keep_rows(connection, "events", pa.table(columns))
        return make_plan(connection, rules_then, Snapshot(0, ()), lake_id="x", created=date(2026, 3, 1))


def flat(plan: RetentionPlan) -> Iterator[tuple[object, int]]:
    """Every number of a plan with what it counts."""
    for each in plan.partitions:
        yield (each.day, "held", None), each.held
        yield (each.day, "ungoverned", None), each.ungoverned
        for name, found in (("due", each.due), ("kept", each.kept), ("by", each.held_by), ("over", each.pseudonymise)):
            for rule, number in found.items():
                yield (each.day, name, rule), number


CASES = {"events": EVENTS, "rules": RULES, "holds": HOLDS, "default": st.none() | LENGTHS, "as_of": INSTANTS}


@given(**CASES)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_as_the_definition_says(**case: Any) -> None:
    """Every event is counted once and by the right rule, as a plain-Python model of the definition counts it."""
    check_as_the_definition_says(**case)


@pytest.mark.soak
@given(**CASES)
@settings(max_examples=2_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_as_the_definition_says_at_length(**case: Any) -> None:
    """The same over many more cases."""
    check_as_the_definition_says(**case)


def check_as_the_definition_says(
    events: list[Event], rules: list[Rule], holds: list[Kept], default: float | None, as_of: datetime
) -> None:
    expected: Counter[object] = Counter()
    for event in events:
        what, rule = verdict(event, rules, holds, default, as_of)
        expected[event.at.date(), what, rule] += 1
        for hold in holds_on(event, holds):
            expected[event.at.date(), "by", hold] += 1
        if what in {"kept", "ungoverned"} and event.user and (limit := limited_by(event, rules, as_of)):
            expected[event.at.date(), "over", limit] += 1

    plan = planned(events, rules, holds, default, as_of)

    assert {key: number for key, number in flat(plan) if number} == dict(expected)
    for each in plan.partitions:
        assert each.events == each.deleted + each.held + sum(each.kept.values()) + each.ungoverned
        assert each.action == (
            "drop" if each.deleted == each.events else "rewrite" if each.deleted or each.pseudonymised else "keep"
        )


def test_boundaries_at_midnight() -> None:
    """An event is due when it is kept until before midnight, and not when it is kept until midnight itself."""
    for nudge, due in ((-US, 1), (0 * US, 0), (US, 0)):
        event = Event("e", "login", MIDNIGHT - 2 * DAY + nudge, None)
        for as_of in (MIDNIGHT, NOW, MIDNIGHT + DAY - US):
            assert planned([event], [Rule("a", ("login",), 2)], [], None, as_of).due == due
        assert planned([event], [], [], 2, NOW).due == due
        assert planned([event], [], [], None, NOW).due == 0


def twelve_days(folder: Path) -> None:
    """Make a lake with a policy of two days and one of ten that share a type, and events of twelve days."""
    policies = {"two": policy_text(["login", "logout"], "2d", "3d"), "ten": policy_text(["logout"], "10d")}
    lake = made(folder / "lake", policies)
    bring(lake, (record(n, NOW - n * DAY, ("login", "logout")[n % 2]) for n in range(12)))


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of twelve days of which some are due."""
    return AuditLake(copy_of(twelve_days, tmp_path) / "lake", clock=Clock(NOW))


def test_of_a_lake(lake: AuditLake) -> None:
    """The plan of a lake names days, rules, conflicts and silent days, and changes nothing."""
    before = lake.snapshot()
    plan = lake.retention.plan()

    assert lake.snapshot() == before
    dropped = [each.day.day for each in plan.changes if each.action == "drop"]
    assert dropped == [(NOW - n * DAY).day for n in (11, 10, 8, 6, 4)]
    assert [each.day.day for each in plan.changes if each.action == "rewrite"] == [23, 25, 27, 29]
    assert (plan.due, plan.pseudonymise, plan.held, plan.never_expire) == (5, 4, 0, 0)
    (conflict,) = plan.conflicts
    assert (conflict.event_type, conflict.keep_policy, conflict.limit_policy) == ("logout", "ten", "two")
    assert len(plan.silent["ten"]) == 5
    assert json.loads(json.dumps(plan.as_dict()))["digest"] == plan.digest


def test_digest_is_of_what_happens(lake: AuditLake) -> None:
    """The digest stays while what would happen stays, and changes with a hold, a policy, or an event that is due."""
    digest = lake.retention.plan().digest
    assert AuditLake(lake.layout.root, clock=Clock(NOW + timedelta(hours=5))).retention.plan().digest == digest
    bring(lake, [record(100, NOW)])
    assert lake.retention.plan().digest == digest

    bring(lake, [record(101, NOW - 11 * DAY)])
    late = lake.retention.plan().digest
    lake.holds.add("h", reason="r", owner="o", ticket="t")
    held = lake.retention.plan().digest
    put_policies(lake, {"two": policy_text(["login"], "3d")})
    assert len({digest, late, held, lake.retention.plan().digest}) == 4


def test_what_was_logged_is_judged(lake: AuditLake) -> None:
    """An event that was logged, and lies in the landing yet, is in the plan."""
    from auditlake import AuditEvent

    due = lake.retention.plan().due
    with lake.trail() as trail:
        trail.log(AuditEvent("login", NOW - 8 * DAY))

    assert lake.retention.plan().due == due + 1


def test_on_the_command_line(lake: AuditLake, run: Run) -> None:
    """The command line shows a plan, for people and for machines."""
    words = ("--lake", lake.layout.root, "retention", "plan", "--as-of", NOW.isoformat())
    shown = run(*words).out
    said = run(*words, "--json").json

    assert "5 events due on 5 days, 4 to be pseudonymised" in shown
    assert "conflict over logout: two limits personal data to 3d, ten needs the event for 10d" in shown
    assert said["due"] == 5
    assert said["digest"] in shown
