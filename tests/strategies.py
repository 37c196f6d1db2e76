"""Hypothesis strategies for what windows, periods and cutoffs get wrong: all happens on a grid or 1 µs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from auditlake.events.durations import Duration
from auditlake.policies.model import Policy
from tests.oracle import DAY, Ev, Where, midnight

HOUR = 3_600_000_000
BASE = 1_772_409_600_000_000  # 2026-03-02T00:00Z
TYPES = ("auth_failure", "login", "logout", "data_access")
UNGOVERNED = ("config_change", "api_call")  # never in a policy's required_events
USERS = ("alice", "Ada", "bob", "", 'zoë "q"', None)
ADDRESSES = ("10.0.0.1", "::1", None)
WINDOWS = (Duration("24h", DAY), Duration("1h", HOUR), Duration("36h", 36 * HOUR), Duration("7d", 7 * DAY))
RETENTIONS = (Duration("7d", 7 * DAY), Duration("1d", DAY), Duration("2d", 2 * DAY), Duration("30d", 30 * DAY))
GROUPINGS: tuple[tuple[str, ...], ...] = ((), ("user_id",), ("user_id", "ip_address"))


@dataclass(frozen=True)
class Case:
    """Everything that one answer depends on."""

    events: tuple[Ev, ...]
    policy: Policy
    policies: tuple[Policy, ...]
    """All policies of the lake, `policy` among them."""
    as_of: datetime
    since: datetime
    until: datetime
    where_callable: Where | None
    """`policy.where` as a Python function."""


# --- Conditions: the SQL and the same in Python, NULL as None ---


def eq(a: str | None, b: str | None) -> bool | None:
    """SQL `a = b`."""
    return None if a is None or b is None else a == b


def not_(a: bool | None) -> bool | None:
    """SQL `not a`."""
    return None if a is None else not a


def and_(a: bool | None, b: bool | None) -> bool | None:
    """SQL `a and b`: false wins over NULL."""
    return False if a is False or b is False else None if a is None or b is None else True


def or_(a: bool | None, b: bool | None) -> bool | None:
    """SQL `a or b`: true wins over NULL."""
    return not_(and_(not_(a), not_(b)))


def starts_with_a(e: Ev) -> bool | None:
    """SQL `user_id like 'a%'`, which knows upper from lower case."""
    return None if e.user_id is None else e.user_id.startswith("a")


def resource_over_five(e: Ev) -> bool | None:
    """SQL `cast(resource as integer) > 5`, an error where the text is no number."""
    return None if e.resource is None else int(e.resource) > 5


def resource_extreme(e: Ev) -> bool | None:
    """SQL with the same cast twice, which DuckDB computes once, outside of TRY, unless told not to."""
    return None if e.resource is None else int(e.resource) > 5 or int(e.resource) < 2


WHERES: tuple[tuple[str | None, Where | None], ...] = (
    (None, None),
    ("status = 'failure'", lambda e: eq(e.status, "failure")),
    ("status <> 'failure'", lambda e: not_(eq(e.status, "failure"))),
    ("user_id like 'a%'", starts_with_a),
    ("ip_address is null", lambda e: e.ip_address is None),
    ("cast(resource as integer) > 5", resource_over_five),
    ("cast(resource as integer) > 5 or cast(resource as integer) < 2", resource_extreme),
    (
        "not (action = 'read' and status = 'failure')",
        lambda e: not_(and_(eq(e.action, "read"), eq(e.status, "failure"))),
    ),
    ("status = 'failure' or user_id is null", lambda e: or_(eq(e.status, "failure"), e.user_id is None)),
    (
        "user_id not in ('alice', 'bob')",
        lambda e: and_(not_(eq(e.user_id, "alice")), not_(eq(e.user_id, "bob"))),
    ),
    ("extract('hour' from timestamp) < 12", lambda e: e.timestamp.hour < 12),
)


# --- Instants ---


def instant(at: int) -> datetime:
    """The aware UTC datetime of so many microseconds since 1970."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)


def grid(window: int) -> list[int]:
    """Instants that tie, touch and lie exactly one window apart, on hours, days, windows, and 1 µs beside them."""
    steps = [0, 1, 2, 3, 4, 5, 6, 8]
    on = {BASE + n * step for n in steps for step in (HOUR, 6 * HOUR, DAY, window)}
    near = {BASE + n * step + off for n in steps[:5] for step in (DAY, window) for off in (-1, 1)}
    return sorted(on) + sorted(near - on)


@st.composite
def periods(draw: st.DrawFn, points: Sequence[int]) -> tuple[int, int, int]:
    """(since, until, as_of) in order, with as_of at until as often as later, and seldom far from all events."""
    far = [max(points) + 12 * DAY, max(points) + 31 * DAY + 5 * HOUR]
    since = draw(st.sampled_from(points) | st.sampled_from(points) | st.sampled_from([*points, far[0]]))
    later = [p for p in [*points, *far] if p > since]
    until = draw(st.sampled_from([since + HOUR, since + 1, since + DAY]) | st.sampled_from(later))
    later = [p for p in [*points, *far] if p > until]
    as_of = draw(st.just(until) | st.sampled_from([until + 1, until + HOUR, *later]))
    return since, until, as_of


def anchors(policies: Sequence[Policy], since: int, until: int, as_of: int) -> list[int]:
    """Instants at which an answer about this period turns, and their neighbours."""
    window = policies[0].window.microseconds
    edges = {since, until, as_of, since - window, until - window, as_of - window, midnight(until), midnight(since + 1)}
    edges |= {midnight(as_of) - p.retention_period.microseconds for p in policies if p.retention_period}
    if policies[0].max_gap is not None:
        edges |= {as_of - policies[0].max_gap.microseconds, since - policies[0].max_gap.microseconds}
    return sorted(edges) + sorted({edge + off for edge in edges for off in (-1, 1)} - edges)


# --- Events and policies ---


@st.composite
def event_lists(draw: st.DrawFn, instants: st.SearchStrategy[int], types: Sequence[str]) -> tuple[Ev, ...]:
    """Up to 24 events, half of them of the given types, in no order, with ids of their own."""
    one = st.builds(
        Ev,
        event_type=st.sampled_from(types) | st.sampled_from(TYPES + UNGOVERNED),
        timestamp=instants.map(instant),
        event_id=st.just(""),
        user_id=st.sampled_from(USERS[:1]) | st.sampled_from(USERS),
        action=st.sampled_from(("read", "write", None)),
        resource=st.sampled_from(("7", "3", "file", None)),
        status=st.sampled_from(("failure", "success", None)),
        ip_address=st.sampled_from(ADDRESSES[:1]) | st.sampled_from(ADDRESSES),
        source=st.sampled_from(("auditlake", "auditlake", "nginx", "auditlake.self")),
    )
    drawn = draw(st.lists(one, min_size=draw(st.sampled_from((0, 3, 9, 16))), max_size=24))
    return tuple(Ev(**{**vars(e), "event_id": f"e{n:02d}"}) for n, e in enumerate(drawn))


@st.composite
def policy_of(draw: st.DrawFn, policy_id: str, where: str | None = None) -> Policy:
    """A policy with short windows and retentions, over one to three types; it may ask one thing alone."""
    counts, keeps = draw(st.sampled_from([(True, True)] * 3 + [(True, False), (False, True), (False, False)]))
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3, unique=True))
    return Policy(
        id=policy_id,
        name=policy_id.title(),
        description="drawn",
        required_events=tuple(sorted(types)),
        retention_period=draw(st.sampled_from(RETENTIONS)) if keeps else None,
        alert_threshold=draw(st.integers(1, 4)) if counts else None,
        window=draw(st.sampled_from(WINDOWS)),
        group_by=draw(st.sampled_from(GROUPINGS)) if counts else (),
        where=where if counts else None,
        coverage=draw(st.sampled_from(("required", "optional"))) if counts or keeps else "required",
        max_gap=draw(st.none() | st.sampled_from(WINDOWS)),
        max_retention=draw(st.none() | st.sampled_from(RETENTIONS)),
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A lake, its policies and a period, all on one grid."""
    where, where_callable = draw(st.sampled_from(WHERES[:1]) | st.sampled_from(WHERES[1:]))
    policy = draw(policy_of("judged", where))
    others = [draw(policy_of(f"other_{n}")) for n in range(draw(st.integers(0, 2)))]
    policies = (policy, *others)
    points = grid(policy.window.microseconds)
    since, until, as_of = draw(periods(points))
    edges = anchors(policies, since, until, as_of)
    close = [p for p in [*points, *edges] if since - policy.window.microseconds <= p <= until + 1]
    instants = st.sampled_from(close) | st.sampled_from(edges) | st.sampled_from([*points, *edges])
    events = draw(event_lists(instants, policy.required_events))
    return Case(
        events=events,
        policy=policy,
        policies=tuple(draw(st.permutations(policies))),
        as_of=instant(as_of),
        since=instant(since),
        until=instant(until),
        where_callable=where_callable if policy.where is not None else None,
    )
