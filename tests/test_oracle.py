"""Answers worked out by hand from docs/reference/semantics.md; they pin the oracle, which pins the SQL.

Instants are short for March 2026: "02 10:00" is 2026-03-02T10:00:00Z; the 2nd is a Monday.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.events.durations import Duration
from auditlake.policies.model import Policy
from tests.oracle import DAY, Ev, Hold, count, episodes, judge
from tests.strategies import ADDRESSES, HOUR, TYPES, USERS, WHERES, Case, cases

LENGTHS = {"h": HOUR, "d": DAY}


def at(short: str) -> datetime:
    """The instant behind its short form."""
    return datetime.fromisoformat(f"2026-03-{short}").replace(tzinfo=UTC)


def short(text: str | None) -> str | None:
    """The short form of an instant of the report."""
    return None if text is None else text[8:-1].replace("T", " ").removesuffix(".000000").removesuffix(":00")


def length(text: str) -> Duration:
    """A duration of hours or days."""
    return Duration(text, int(text[:-1]) * LENGTHS[text[-1]])


def ev(when: str, event_type: str = "login", **columns: str | None) -> Ev:
    """An event at a short instant; its id is not looked at."""
    return Ev(event_type, at(when), when, **columns)


def policy_of(**changes: Any) -> Policy:
    """Policy `p` over login: one event in 24 h is a breach; kept 30 d."""
    base = Policy("p", "P", "", ("login",), length("30d"), 1, coverage="optional")
    return replace(base, **changes)


def judged(
    events: list[Ev],
    *,
    since: str = "02",
    until: str = "12",
    as_of: str | None = None,
    others: tuple[Policy, ...] = (),
    where: Callable[[Ev], bool | None] | None = None,
    holds: tuple[Hold, ...] = (),
    **policy: Any,
) -> dict[str, Any]:
    """The oracle's answer for policy `p` with changes."""
    asked = policy_of(**policy)
    return judge(
        events,
        asked,
        (asked, *others),
        as_of=at(as_of or until),
        since=at(since),
        until=at(until),
        where=where,
        holds=holds,
    )


def breaches(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(start, end, peak, peak_at) of each episode, in the short form."""
    found = [v for v in report["violations"] if v["kind"] == "threshold_exceeded"]
    return [(short(v["start"]), short(v["end"]), v["peak"], short(v["peak_at"])) for v in found]


def kinds(report: dict[str, Any]) -> list[tuple[Any, ...]]:
    """(kind, event_type, start, end) of each finding, in the short form."""
    return [(v["kind"], v.get("event_type"), short(v.get("start")), short(v.get("end"))) for v in report["violations"]]


def peaks(report: dict[str, Any]) -> list[tuple[str, int | None]]:
    """(day of the month, peak) of each day."""
    return [(p["date"][-2:], p["peak"]) for p in report["threshold"]["daily_peaks"]]


def numbers(report: dict[str, Any], *names: str) -> tuple[Any, ...]:
    """Some numbers of the threshold and retention answers."""
    both = {**report["threshold"], **report["retention"]}
    return tuple(both[name] for name in names)


# --- Episodes: name -> (instants, policy and period, (start, end, peak, peak_at) of each) ---

EPISODES: dict[str, tuple[list[str], dict[str, Any], list[tuple[Any, ...]]]] = {
    "one event is in for exactly one window": (["03 10:00"], {}, [("03 10:00", "04 10:00", 1, "03 10:00")]),
    "an event exactly W old is out": (["03 10:00", "04 10:00"], {"alert_threshold": 2}, []),
    "an event 1 µs younger than W is in": (
        ["03 10:00:00.000001", "04 10:00"],
        {"alert_threshold": 2},
        [("04 10:00", "04 10:00:00.000001", 2, "04 10:00")],
    ),
    "two that touch are one": (
        ["03 10:00", "04 10:00"],
        {},
        [("03 10:00", "05 10:00", 1, "03 10:00")],
    ),
    "two that are 1 µs apart are two": (
        ["03 10:00", "04 10:00:00.000001"],
        {},
        [
            ("03 10:00", "04 10:00", 1, "03 10:00"),
            ("04 10:00:00.000001", "05 10:00:00.000001", 1, "04 10:00:00.000001"),
        ],
    ),
    "a tie counts at once": (
        ["03 10:00", "03 10:00", "03 10:00"],
        {"alert_threshold": 3},
        [("03 10:00", "04 10:00", 3, "03 10:00")],
    ),
    "arrivals at the instant of a departure are judged together": (
        ["03 10:00", "03 11:00", "04 10:00"],
        {"alert_threshold": 2},
        [("03 11:00", "04 11:00", 2, "03 11:00")],
    ),
    "a tie that leaves while two come keeps the count": (
        ["03 10:00", "03 10:00", "04 10:00", "04 10:00"],
        {"alert_threshold": 2},
        [("03 10:00", "05 10:00", 2, "03 10:00")],
    ),
    "the first of two equal peaks is named": (
        ["03 10:00", "03 11:00", "04 11:00", "04 12:00"],
        {},
        [("03 10:00", "05 12:00", 2, "03 11:00")],
    ),
    "36 h of window": (
        ["03 00:00", "04 11:59"],
        {"window": length("36h"), "alert_threshold": 2},
        [("04 11:59", "04 12:00", 2, "04 11:59")],
    ),
    "below k there is none": (["03 10:00", "03 11:00"], {"alert_threshold": 3}, []),
    "one that is over at since is none": (["02 12:00"], {"since": "03 12:00"}, []),
    "one that is over 1 µs after since is one": (
        ["02 12:00:00.000001"],
        {"since": "03 12:00"},
        [("03 12:00", "03 12:00:00.000001", 1, "03 12:00")],
    ),
    "the peak carried over at since is the maximum": (
        ["02 10:00", "02 11:00", "02 20:00"],
        {"since": "03 09:00"},
        [("03 09:00", "03 20:00", 3, "03 09:00")],
    ),
    "a peak before since is not seen": (
        ["02 10:00", "02 11:00", "02 20:00"],
        {"since": "03 12:00"},
        [("03 12:00", "03 20:00", 1, "03 12:00")],
    ),
    "one that ends at until has an end": (
        ["03 10:00"],
        {"until": "04 10:00"},
        [("03 10:00", "04 10:00", 1, "03 10:00")],
    ),
    "one that goes on at until has none": (
        ["03 10:00"],
        {"until": "04 09:59:59.999999"},
        [("03 10:00", None, 1, "03 10:00")],
    ),
    "one that starts at until is found": (["04 10:00"], {"until": "04 10:00"}, [("04 10:00", None, 1, "04 10:00")]),
    "what comes after until changes neither end nor peak": (
        ["03 10:00", "03 20:00", "03 20:00"],
        {"until": "03 12:00", "as_of": "08"},
        [("03 10:00", None, 1, "03 10:00")],
    ),
}


@pytest.mark.parametrize("name", EPISODES)
def test_episodes(name: str) -> None:
    """Episodes begin, end and peak where the table says."""
    instants, asked, expected = EPISODES[name]

    assert breaches(judged([ev(t) for t in instants], **asked)) == expected


FLAGS: dict[str, tuple[dict[str, Any], tuple[bool, bool]]] = {
    "inside": ({}, (False, False)),
    "carried over": ({"since": "03 12:00"}, (False, True)),
    "starting exactly at since": ({"since": "03 10:00"}, (False, True)),
    "going on": ({"until": "03 12:00"}, (True, False)),
    "both": ({"since": "03 12:00", "until": "03 13:00"}, (True, True)),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags(name: str) -> None:
    """An episode says whether it goes on at until and whether it was there at since."""
    asked, expected = FLAGS[name]
    [finding] = judged([ev("03 10:00")], **asked)["violations"]

    assert (finding["ongoing"], finding["started_before_period"]) == expected


@given(
    times=st.lists(st.integers(-9, 22), max_size=9),
    k=st.integers(1, 4),
    window=st.integers(1, 7),
    since=st.integers(-2, 5),
    size=st.integers(1, 15),
)
def test_every_instant_agrees(times: list[int], k: int, window: int, since: int, size: int) -> None:
    """Looking at every single microsecond finds the same episodes."""
    until = since + size
    found = episodes(times, k, window, since, until)
    covered = {t: e for e in found for t in range(e["start"], until + 1 if e["end"] is None else e["end"])}

    assert sorted(covered) == [t for t in range(since, until + 1) if count(times, t, window) >= k]
    for e in found:
        inside = [t for t, of in covered.items() if of is e]
        highest = max(count(times, t, window) for t in inside)
        assert (e["peak"], e["peak_at"]) == (highest, min(t for t in inside if count(times, t, window) == highest))
        assert e["start"] - 1 not in covered


# --- Groups ---


def test_groups_are_counted_apart() -> None:
    """Two users with one event each are no breach of two."""
    events = [ev("03 10:00", user_id="alice"), ev("03 10:00", user_id="bob")]

    assert breaches(judged(events, alert_threshold=2, group_by=("user_id",))) == []
    assert len(breaches(judged(events, alert_threshold=2))) == 1


def test_null_belongs_to_no_group() -> None:
    """Rows with NULL in any group column are not pooled but counted as ungrouped, and still as recent."""
    events = [
        ev("03 10:00"),
        ev("03 11:00"),
        ev("03 12:00", user_id="alice"),
        ev("03 13:00", ip_address="::1"),
        ev("03 14:00", user_id="alice", ip_address="::1"),
    ]
    report = judged(events, alert_threshold=2, group_by=("user_id", "ip_address"), until="03 20:00")

    assert breaches(report) == []
    assert numbers(report, "ungrouped_events", "recent_events") == (4, 5)
    assert peaks(report) == [("02", None), ("03", 1)]


def test_empty_text_is_a_group() -> None:
    """The empty text is a value, not NULL."""
    report = judged([ev("03 10:00", user_id="")], group_by=("user_id",))

    assert report["violations"][0]["group"] == {"user_id": ""}
    assert numbers(report, "ungrouped_events") == (0,)


def test_without_group_by_null_is_nothing_special() -> None:
    """Without group_by every row is counted, none is ungrouped, and the group is null."""
    report = judged([ev("03 10:00"), ev("03 11:00", user_id="alice")], alert_threshold=2)

    assert [v["group"] for v in report["violations"]] == [None]
    assert numbers(report, "ungrouped_events", "episodes") == (0, 1)


def test_ungrouped_is_counted_in_the_period() -> None:
    """An ungrouped row at since is outside the period, one at until inside."""
    report = judged([ev("03"), ev("04")], since="03", until="04", group_by=("user_id",))

    assert numbers(report, "ungrouped_events") == (1,)


# --- The condition ---


def test_where_narrows_only_the_threshold() -> None:
    """Totals and last_seen ignore the condition; NULL and false are no match."""
    events = [ev("03 10:00", status="failure"), ev("03 11:00", status="success"), ev("03 12:00")]
    report = judged(events, until="03 20:00", where=lambda e: None if e.status is None else e.status == "failure")

    assert breaches(report) == [("03 10:00", None, 1, "03 10:00")]
    assert (report["total_events"], report["last_seen"]) == (3, {"login": "2026-03-03T12:00:00.000000Z"})
    assert numbers(report, "where_errors", "recent_events") == (0, 1)


def test_where_errors_are_no_match() -> None:
    """Errors are counted over governed events of the period, not of the look-back, and the rest is still judged."""
    rows = [("02 23:00", "x"), ("03 10:00", "x"), ("03 11:00", "7"), ("03 12:00", None)]
    events = [ev(when, resource=resource) for when, resource in rows] + [ev("03 13:00", "logout", resource="x")]
    report = judged(events, since="03", where=lambda e: None if e.resource is None else int(e.resource) > 5)

    assert breaches(report) == [("03 11:00", "04 11:00", 1, "03 11:00")]
    assert numbers(report, "where_errors") == (1,)


@pytest.mark.parametrize(("sql", "where"), [pytest.param(*pair, id=pair[0]) for pair in WHERES if pair[0] is not None])
def test_conditions_mean_the_same_in_sql(sql: str, where: Callable[[Ev], bool | None]) -> None:
    """Each condition of the strategies and its Python twin agree on every kind of row."""
    statuses, actions, resources = ("failure", "success", None), ("read", "write", None), ("7", "3", "file", None)
    values = [
        (user, address, status, action, resource, hour)
        for user in USERS
        for address in ADDRESSES
        for status in statuses
        for action in actions
        for resource in resources
        for hour in ("00:00", "11:59:59.999999", "12:00")
    ]
    rows = ", ".join(["(?, ?, ?, ?, ?, ?::timestamptz)"] * len(values))
    parameters = [x for v in values for x in (*v[:-1], f"2026-03-03 {v[-1]}+00")]
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'")
        db.execute("set disabled_optimizers = 'common_subexpressions'")  # it moves the failing part out of TRY
        found = db.execute(
            f"select try({sql}), try(({sql}) is null) is null"
            f" from (values {rows}) as t(user_id, ip_address, status, action, resource, timestamp)",
            parameters,
        ).fetchall()

    for (user, address, status, action, resource, hour), (truth, failed) in zip(values, found, strict=True):
        row = ev(f"03 {hour}", user_id=user, ip_address=address, status=status, action=action, resource=resource)
        try:
            assert (truth, failed) == (where(row), False)
        except ValueError:
            assert (truth, failed) == (None, True)


# --- Counts as of T ---


def test_recent_events_is_half_open_at_t() -> None:
    """Recent is the window that ends at T, an event at T in and one exactly W old out."""
    events = [ev("03 10:00"), ev("03 10:00:00.000001"), ev("04 10:00"), ev("04 10:00:00.000001")]

    assert numbers(judged(events, until="04 10:00"), "recent_events", "future_events") == (2, 1)


def test_recent_events_do_not_depend_on_the_period() -> None:
    """Recent looks back from T, also where the period ends before it or begins within the window."""
    events = [ev("03 10:00"), ev("05 10:00"), ev("05 23:00")]

    assert numbers(judged(events, until="04", as_of="06"), "recent_events") == (2,)
    assert numbers(judged(events, since="05 22:00", until="06"), "recent_events") == (2,)


def test_future_events_do_not_exist() -> None:
    """Governed events after T are counted as future and nowhere else."""
    report = judged([ev("05", event_type="login"), ev("05", event_type="logout")], until="04", coverage="required")

    assert numbers(report, "future_events", "episodes", "oldest_event") == (1, 0, None)
    assert (report["status"], report["last_seen"], report["total_events"]) == ("no_data", {"login": None}, 0)
    assert peaks(report) == [("02", None), ("03", None), ("04", None)]


def test_status_now_looks_at_t() -> None:
    """An old period may be compliant while the window at T is not, and the reverse."""
    assert judged([ev("02 10:00", "logout"), ev("08")], until="05", as_of="08")["status_now"] == "violation"
    assert judged([ev("02 10:00", "logout"), ev("08")], until="05", as_of="08")["status"] == "compliant"
    assert judged([ev("03")], until="05", as_of="08")["status_now"] == "no_data"
    assert judged([ev("03")], until="05", as_of="08")["status"] == "violation"


def test_status_now_is_exact_at_the_window_edge() -> None:
    """At T an event exactly W old no longer counts."""
    assert judged([ev("03 10:00")], until="04 10:00")["status_now"] == "no_data"
    assert judged([ev("03 10:00")], until="04 09:59:59.999999")["status_now"] == "violation"


# --- Daily peaks and silent days ---

PEAKS: dict[str, tuple[list[str], dict[str, Any], list[tuple[str, int | None]]]] = {
    "carried over midnight": (
        ["03 20:00", "03 21:00"],
        {"until": "05"},
        [("02", None), ("03", 2), ("04", 2), ("05", 0)],
    ),
    "an arrival at midnight is the next day's": (
        ["03 10:00", "04 00:00"],
        {"until": "04 12:00"},
        [("02", None), ("03", 1), ("04", 2)],
    ),
    "gone exactly at midnight": (["03 00:00"], {"until": "04 12:00"}, [("02", None), ("03", 1), ("04", 0)]),
    "gone 1 µs after midnight": (["03 00:00:00.000001"], {"until": "04 12:00"}, [("02", None), ("03", 1), ("04", 1)]),
    "carried over at since": (["02 20:00", "02 21:00"], {"since": "03 12:00", "until": "03 13:00"}, [("03", 2)]),
    "gone before since": (["02 10:00", "02 21:00"], {"since": "03 12:00", "until": "03 13:00"}, [("03", 1)]),
    "gone 1 µs after since": (["02 12:00:00.000001"], {"since": "03 12:00", "until": "03 13:00"}, [("03", 1)]),
    "since at midnight begins that day": (["02 20:00"], {"since": "03", "until": "03 13:00"}, [("03", 1)]),
    "since at the last µs of a day begins the next": (
        ["02", "02 20:00"],
        {"since": "02 23:59:59.999999", "until": "03 13:00"},
        [("03", 1)],
    ),
    "until at midnight has one instant of its day": (
        ["03 20:00"],
        {"since": "03", "until": "04"},
        [("03", 1), ("04", 1)],
    ),
    "an arrival after until is not seen": (["03 10:00", "03 14:00"], {"since": "03", "until": "03 13:00"}, [("03", 1)]),
    "the day of the first event is known": (
        ["03 23:59:59.999999"],
        {"until": "03 12:00", "as_of": "09"},
        [("02", None), ("03", 0)],
    ),
    "no event at all": ([], {"until": "03 12:00"}, [("02", None), ("03", None)]),
}


@pytest.mark.parametrize("name", PEAKS)
def test_daily_peaks(name: str) -> None:
    """Each day of the period has the largest count of any of its moments, carried-over ones included."""
    instants, asked, expected = PEAKS[name]

    assert peaks(judged([ev(t) for t in instants], **asked)) == expected


def test_first_event_is_of_any_type() -> None:
    """An ungoverned event, also auditlake's own, ends the unknown days."""
    events = [ev("03 10:00", "api_call", source="auditlake.self"), ev("04 10:00")]

    assert peaks(judged(events, until="04 12:00")) == [("02", None), ("03", 0), ("04", 1)]


def test_daily_peak_is_of_the_largest_group() -> None:
    """Groups are not added up."""
    events = [ev(f"02 {hour}:00", user_id=user) for hour, user in ((10, "a"), (11, "b"), (12, "b"), (13, None))]

    assert peaks(judged(events, until="02 20:00", group_by=("user_id",))) == [("02", 2)]


def test_silent_days() -> None:
    """A day is silent without a governed event in its part of the period, known or not."""
    events = [ev("02 10:00"), ev("03 10:00", "logout"), ev("04 00:00"), ev("05 13:00")]
    report = judged(events, since="02 10:00", until="05 12:00", as_of="06")

    assert report["coverage"]["silent_days"] == ["2026-03-02", "2026-03-03", "2026-03-05"]


# --- Missing types and gaps ---


def test_every_required_type_is_listed() -> None:
    """Types are counted over (since, until], zero included, and last seen at any time up to T."""
    types = ("auth_failure", "login", "logout")
    events = [ev("02"), ev("03"), ev("04"), ev("05", "auth_failure"), ev("03", "api_call")]
    report = judged(events, since="02", until="04", as_of="05", required_events=types)

    assert report["events_by_type"] == {"auth_failure": 0, "login": 2, "logout": 0}
    assert {name: short(t) for name, t in report["last_seen"].items()} == {
        "auth_failure": "05 00:00",
        "login": "04 00:00",
        "logout": None,
    }
    assert report["total_events"] == 2


def test_missing_required_type() -> None:
    """A required type without an event in the period is missing, unless coverage is optional."""
    events, types = [ev("02 00:00", "logout"), ev("03")], ("login", "logout")
    found = judged(events, required_events=types, coverage="required", alert_threshold=9)

    assert kinds(found) == [("missing_required_type", "logout", None, None)]
    assert sorted(found["violations"][0]) == ["event_type", "id", "kind"]
    assert found["status"] == "violation"
    assert judged(events, required_events=types, alert_threshold=9)["status"] == "compliant"


GAPS: dict[str, tuple[list[str], dict[str, Any], list[tuple[Any, ...]]]] = {
    "between two": (["03", "05 00:00:00.000001"], {"until": "05 12:00"}, [("03 00:00", "05 00:00:00.000001")]),
    "exactly max_gap is none": (["03", "05"], {"until": "05 12:00"}, []),
    "to T it is open": (["03"], {"until": "05 12:00"}, [("03 00:00", None)]),
    "to T exactly max_gap is none": (["03"], {"until": "05"}, []),
    "an occurrence at T ends it": (["03", "06"], {"until": "06"}, [("03 00:00", "06 00:00")]),
    "never seen is not late": ([], {}, []),
    "before the first there is none": (["10"], {"until": "11"}, []),
    "over before the period": (["02", "05"], {"since": "05", "until": "06"}, []),
    "reaching 1 µs into the period": (
        ["02", "05 00:00:00.000001"],
        {"since": "05", "until": "06"},
        [("02 00:00", "05 00:00:00.000001")],
    ),
    "beginning at until": (["05"], {"since": "04", "until": "05", "as_of": "09"}, []),
    "beginning 1 µs before until": (
        ["04 23:59:59.999999"],
        {"since": "04", "until": "05", "as_of": "09"},
        [("04 23:59:59.999999", None)],
    ),
    "ending after until": (["03", "08"], {"since": "04", "until": "05", "as_of": "09"}, [("03 00:00", "08 00:00")]),
    "two in a row": (
        ["02", "05", "08"],
        {"since": "04", "until": "08"},
        [("02 00:00", "05 00:00"), ("05 00:00", "08 00:00")],
    ),
    "an event after T ends nothing": (["03", "06"], {"until": "05 12:00"}, [("03 00:00", None)]),
}


@pytest.mark.parametrize("name", GAPS)
def test_coverage_gaps(name: str) -> None:
    """A stretch longer than max_gap that overlaps the period is a gap with its true ends."""
    instants, asked, expected = GAPS[name]
    report = judged([ev(t) for t in instants], max_gap=length("48h"), alert_threshold=9, **asked)

    assert kinds(report) == [("coverage_gap", "login", *ends) for ends in expected]


def test_gaps_are_per_type() -> None:
    """Another required type does not fill a gap, and a type may be late and missing at once."""
    events = [ev("02"), ev("04", "logout"), ev("05 12:00", "logout")]
    report = judged(
        events,
        since="03",
        until="06",
        required_events=("login", "logout"),
        coverage="required",
        max_gap=length("48h"),
        alert_threshold=9,
    )

    assert kinds(report) == [
        ("coverage_gap", "login", "02 00:00", None),
        ("missing_required_type", "login", None, None),
    ]


# --- Retention ---

RETENTION: dict[str, tuple[list[str], dict[str, Any], tuple[int, int, int]]] = {
    "at the cutoff it is kept": (["05"], {}, (0, 0, 0)),
    "1 µs older it is due": (["04 23:59:59.999999"], {}, (1, 0, 0)),
    "the time of day of T does not matter": (["05"], {"until": "12 23:59:59.999999"}, (0, 0, 0)),
    "another policy keeps it": (["04"], {"others": (policy_of(id="q", retention_period=length("8d")),)}, (0, 1, 0)),
    "another policy keeps it until midnight of T's day has passed it": (
        ["04 12:00"],
        {"until": "12 23:00", "others": (policy_of(id="q", retention_period=length("8d")),)},
        (0, 1, 0),
    ),
    "another policy keeps it no longer": (
        ["03"],
        {"others": (policy_of(id="q", retention_period=length("8d")),)},
        (1, 0, 0),
    ),
    "a policy over another type keeps nothing": (
        ["04"],
        {"others": (policy_of(id="q", required_events=("logout",)),)},
        (1, 0, 0),
    ),
    "held comes before kept": (
        ["04", "03"],
        {"others": (policy_of(id="q"),), "holds": (Hold(until=at("03")),)},
        (0, 1, 1),
    ),
    "the period does not matter": (["03", "10"], {"since": "11"}, (1, 0, 0)),
}


@pytest.mark.parametrize("name", RETENTION)
def test_retention(name: str) -> None:
    """Events older than the cutoff are held, else kept by another policy, else due."""
    instants, asked, expected = RETENTION[name]
    report = judged([ev(t) for t in instants], retention_period=length("7d"), **asked)

    assert report["retention"]["cutoff"] == "2026-03-05T00:00:00.000000Z"
    assert numbers(report, "due", "kept_by_other_policies", "held") == expected


def test_the_policy_itself_always_keeps() -> None:
    """A policy that is left out of the list of all policies still counts."""
    other = policy_of(id="q", required_events=("logout",))
    report = judge([ev("03")], policy_of(), [other], as_of=at("12"), since=at("02"), until=at("12"))

    assert numbers(report, "due", "kept_by_other_policies", "held") == (0, 0, 0)
    shorter = policy_of(retention_period=length("1d"))
    report = judge([ev("03")], shorter, [other], as_of=at("12"), since=at("02"), until=at("12"))
    assert numbers(report, "due", "kept_by_other_policies", "held") == (1, 0, 0)


HOLDS = {
    "everything": (Hold(), 1),
    "its type": (Hold(event_types=("login", "logout")), 1),
    "another type": (Hold(event_types=("logout",)), 0),
    "its user": (Hold(user_ids=("alice",)), 1),
    "its user, another resource": (Hold(user_ids=("alice",), resources=("other",)), 0),
    "from its instant": (Hold(since=at("03"), until=at("03")), 1),
    "from 1 µs later": (Hold(since=at("03 00:00:00.000001")), 0),
}


@pytest.mark.parametrize("name", HOLDS)
def test_holds(name: str) -> None:
    """A hold covers what matches all that it gives, both ends of its time included."""
    hold, expected = HOLDS[name]
    report = judged([ev("03", user_id="alice", resource="r")], retention_period=length("1d"), holds=(hold,))

    assert numbers(report, "held", "due") == (expected, 1 - expected)


def test_oldest_event_is_governed() -> None:
    """The oldest event is the policy's own, whatever the period."""
    report = judged([ev("02", "logout"), ev("03"), ev("04")], since="10")

    assert short(report["retention"]["oldest_event"]) == "03 00:00"


def test_conflicts() -> None:
    """A shorter max_retention than another's retention_period conflicts once for each common type, seen from both."""
    types = ("data_access", "login", "logout")
    limit = policy_of(id="limit", required_events=types, max_retention=length("29d"), retention_period=length("1d"))
    equal = policy_of(id="equal", required_events=types, max_retention=length("30d"), retention_period=length("1d"))

    assert numbers(judged([], required_events=("login", "logout"), others=(limit, equal)), "conflicts") == (2,)
    assert numbers(judged([], max_retention=length("1d")), "conflicts") == (0,)
    assert numbers(judged([], max_retention=length("1d"), others=(policy_of(id="q"),)), "conflicts") == (1,)
    assert numbers(judged([], required_events=("api_call",), others=(limit, policy_of(id="q"))), "conflicts") == (0,)


# --- Status ---

STATUS = {
    "nothing": ([], "no_data"),
    "only auditlake itself": ([ev("03", source="auditlake.self")], "no_data"),
    "only before the period": ([ev("02")], "no_data"),
    "an ungoverned event": ([ev("03", "api_call")], "compliant"),
    "at until": ([ev("12", "api_call")], "compliant"),
    "a breach": ([ev("03")], "violation"),
}


@pytest.mark.parametrize("name", STATUS)
def test_status(name: str) -> None:
    """No data comes first, then a finding, then compliance."""
    events, expected = STATUS[name]

    assert judged(events)["status"] == expected


STATUS_NOW: dict[str, tuple[list[Ev], dict[str, Any], str | None]] = {
    "nothing": ([], {}, "no_data"),
    "an event exactly one window old": ([ev("11", "api_call")], {}, "no_data"),
    "an ungoverned event a little younger": ([ev("11 00:00:00.000001", "api_call")], {}, "compliant"),
    "only auditlake itself": ([ev("12", "api_call", source="auditlake.self")], {}, "no_data"),
    "a breach": ([ev("11 12:00")], {}, "violation"),
    "a breach by auditlake itself": ([ev("11 12:00", source="auditlake.self")], {}, "violation"),
    "a breach that is over": ([ev("03")], {}, "no_data"),
    "no threshold": ([ev("11 12:00")], {"alert_threshold": None}, None),
}


@pytest.mark.parametrize("name", STATUS_NOW)
def test_status_now(name: str) -> None:
    """The last window is a violation, else without data, else compliant; without a threshold nobody asks."""
    events, asked, expected = STATUS_NOW[name]

    assert judged(events, **asked)["status_now"] == expected


def test_no_data_lists_findings_all_the_same() -> None:
    """What auditlake wrote about itself is judged, though the lake has no data."""
    report = judged([ev("03", source="auditlake.self")], required_events=("login", "logout"), coverage="required")

    assert report["status"] == "no_data"
    assert kinds(report) == [
        ("missing_required_type", "logout", None, None),
        ("threshold_exceeded", None, "03 00:00", "04 00:00"),
    ]


# --- Findings ---

IDS: dict[str, tuple[list[Ev], dict[str, Any], str]] = {
    "group": ([ev("02 10:00", user_id="alice")], {"group_by": ("user_id",)}, "826abdc0b7f60839"),
    "no group": ([ev("02 10:00", user_id="alice")], {}, "7c0e054ca9495838"),
    "two columns, quotes, other letters": (
        [ev("02 10:00", user_id='zoë "q"', ip_address="::1")],
        {"group_by": ("user_id", "ip_address")},
        "06b3fe7344ac27e8",
    ),
    "missing": ([], {"coverage": "required"}, "18f5e9fec676a95a"),
    "gap": ([ev("02")], {"max_gap": length("1d"), "alert_threshold": 9}, "e3090063c79930d2"),
}


@pytest.mark.parametrize("name", IDS)
def test_ids(name: str) -> None:
    """A finding's id is what sha256sum says of its canonical text."""
    events, asked, expected = IDS[name]

    assert [v["id"] for v in judged(events, **asked)["violations"]] == [expected]


def test_findings_are_sorted() -> None:
    """Findings stand by kind, then start, then canonical group, whatever the order of the events."""
    rows = [("04", "b"), ("04", "a"), ("03", "c"), ("06", "a")]
    events = [ev(when, user_id=user) for when, user in rows]
    found = judged(events, group_by=("user_id",))["violations"]

    assert [(short(v["start"]), v["group"]["user_id"]) for v in found] == [
        ("03 00:00", "c"),
        ("04 00:00", "a"),
        ("04 00:00", "b"),
        ("06 00:00", "a"),
    ]
    assert judged(events[::-1], group_by=("user_id",))["violations"] == found


def test_a_threshold_finding_has_all_its_keys() -> None:
    """A threshold finding has these keys and no other."""
    [finding] = judged([ev("03", user_id="alice")], group_by=("user_id",))["violations"]

    assert {key: value for key, value in finding.items() if key != "id"} == {
        "kind": "threshold_exceeded",
        "group": {"user_id": "alice"},
        "start": "2026-03-03T00:00:00.000000Z",
        "end": "2026-03-04T00:00:00.000000Z",
        "ongoing": False,
        "started_before_period": False,
        "peak": 1,
        "peak_at": "2026-03-03T00:00:00.000000Z",
    }


@pytest.mark.parametrize(("since", "until", "as_of"), [("03", "03", "04"), ("04", "03", "04"), ("03", "05", "04")])
def test_a_period_needs_an_order(since: str, until: str, as_of: str) -> None:
    """A period that is empty of time, reversed or beyond T is refused."""
    with pytest.raises(ValueError, match="since < until <= as_of"):
        judged([], since=since, until=until, as_of=as_of)


# --- The strategies ---


@given(case=cases())
@settings(max_examples=100, deadline=None)
def test_drawn_cases_hold_together(case: Case) -> None:
    """Every drawn case can be judged, and its numbers fit each other."""
    report = judge(
        case.events,
        case.policy,
        case.policies,
        as_of=case.as_of,
        since=case.since,
        until=case.until,
        where=case.where_callable,
    )
    episodes_found = [v for v in report["violations"] if v["kind"] == "threshold_exceeded"]
    counted = report["threshold"] or {"daily_peaks": [], "where_errors": 0}
    highest = max((p["peak"] or 0 for p in counted["daily_peaks"]), default=0)

    assert case.policy in case.policies
    assert len({e.event_id for e in case.events}) == len(case.events)
    assert set(case.policy.required_events) <= set(TYPES)
    assert len({v["id"] for v in report["violations"]}) == len(report["violations"])
    assert (counted["where_errors"] == 0) or "cast" in (case.policy.where or "")
    least = case.policy.alert_threshold
    assert (least is None) == (report["threshold"] is None) == (report["status_now"] is None)
    assert all(least is not None and v["peak"] >= least for v in episodes_found)
    if least is not None and case.since.date() == case.until.date():
        assert (highest >= least) == bool(episodes_found)
