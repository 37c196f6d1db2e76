"""Policies from YAML: what is read, and that every mistake is named at once, with its place."""

from __future__ import annotations

import hashlib

import pytest

from auditlake.errors import PolicyError
from auditlake.events.durations import Duration
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy

TYPES = frozenset({"login", "logout", "auth_failure", "data_access"})

BASE = {
    "name": "name: Logins",
    "description": "description: Watch logins",
    "required_events": "required_events: [login, logout]",
    "retention_period": "retention_period: 30d",
    "alert_threshold": "alert_threshold: 3",
}
KEYS = ", ".join(
    sorted(
        [
            *BASE,
            "window",
            "group_by",
            "where",
            "coverage",
            "max_gap",
            "max_retention",
            "severity",
            "controls",
            "tests",
            "distinct",
            "together",
            "condition",
            "sequence",
            "until",
            "first_seen",
            "dormant",
            "sum",
            "average",
            "baseline",
            "basis",
            "scope",
            "fields",
            "placeholders",
            "hot",
            "clause",
        ]
    )
)


def _load(text: str | bytes, policy_id: str = "logins") -> Policy:
    return load_policy(text, file="p.yaml", policy_id=policy_id, event_types=TYPES)


def _problems(text: str | bytes, policy_id: str = "logins") -> list[str]:
    with pytest.raises(PolicyError) as caught:
        _load(text, policy_id)
    assert all(problem.startswith("p.yaml:") for problem in caught.value.problems)
    assert caught.value.hint
    return [problem.removeprefix("p.yaml:") for problem in caught.value.problems]


def _policy(**lines: str) -> str:
    """The base policy with some of its lines replaced and others added after the five."""
    return "\n".join({**BASE, **lines}.values()) + "\n"


def test_defaults() -> None:
    """Five keys are enough; the others have defaults."""
    text = _policy()
    policy = _load(text)

    assert policy == Policy(
        id="logins",
        name="Logins",
        description="Watch logins",
        required_events=("login", "logout"),
        retention_period=Duration("30d", 30 * 86_400_000_000),
        alert_threshold=3,
        digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        text=text,
    )


FULL = """\
---
# Everything a policy can say.
name: "no"
description: >-
  Watch
  logins
required_events:
- logout
- login
retention_period: 1y
alert_threshold: 3
window: PT12H
group_by: [ip_address, user_id]
where: status='failure'
coverage: optional
max_gap: 3d
max_retention: P1Y
severity: critical
controls:
  "PCI DSS 4.0.1": ["10.2.1.4", 10.10]
  SOC: [CC6.1]
tests:
  - name: all columns
    events:
      - event_type: login
        timestamp: 2026-01-01 01:00:00+01:00
        user_id: ana
        ip_address: 10.0.0.1
        session_id: null
        details: {n: 1, list: [1.5, true, null, text, "2", 2026-01-01], empty: ""}
        metadata: '{"a": 1}'
      - {type: logout, at: 2026-01-01T02:00:00Z, count: 3, every: 10min}
      - {type: data_access, at: 2026-01-01T02:00:00Z, count: 2}
    as_of: 2026-01-31T00:00:00Z
    since: 2026-01-01T00:00:00Z
    expect: {status: violation, episodes: 1, missing: [logout, login], gaps: 2, total: 4, peak: 3}
"""


def test_full() -> None:
    """Every key is read as what it means, and numbers among control ids stay as they are written."""
    policy = _load(FULL)

    assert (policy.name, policy.description) == ("no", "Watch logins")
    assert policy.required_events == ("login", "logout")
    assert policy.retention_period == Duration("1y", 366 * 86_400_000_000)
    assert policy.max_retention == Duration("P1Y", 365 * 86_400_000_000)
    assert (policy.window.text, policy.max_gap) == ("PT12H", Duration("3d", 3 * 86_400_000_000))
    assert (policy.group_by, policy.where) == (("ip_address", "user_id"), "status='failure'")
    assert (policy.coverage, policy.severity) == ("optional", "critical")
    assert policy.controls == {"PCI DSS 4.0.1": ("10.2.1.4", "10.10"), "SOC": ("CC6.1",)}


def test_full_tests() -> None:
    """A test's short events become single ones with full keys, each at its own instant."""
    (test,) = _load(FULL).tests

    assert (test.name, test.line) == ("all columns", 23)
    assert (test.as_of, test.since) == ("2026-01-31T00:00:00.000000Z", "2026-01-01T00:00:00.000000Z")
    assert test.expect == {
        "status": "violation",
        "episodes": 1,
        "missing": ("login", "logout"),
        "gaps": 2,
        "total": 4,
        "peak": 3,
    }
    assert test.events[0] == {
        "event_type": "login",
        "timestamp": "2026-01-01T00:00:00.000000Z",
        "user_id": "ana",
        "ip_address": "10.0.0.1",
        "session_id": None,
        "details": '{"n": 1, "list": [1.5, true, null, "text", "2", "2026-01-01"], "empty": ""}',
        "metadata": '{"a": 1}',
    }
    assert test.events[1:4] == tuple(
        {"event_type": "logout", "timestamp": f"2026-01-01T02:{minute}:00.000000Z"} for minute in ("00", "10", "20")
    )
    assert test.events[4] == test.events[5] == {"event_type": "data_access", "timestamp": "2026-01-01T02:00:00.000000Z"}


_TYPES = "expected one of auth_failure, data_access, login, logout"
_COUNT = "expected a whole number from 1 to 1000000000"

# name: (the policy's lines, mistakes)
MISTAKES: dict[str, tuple[dict[str, str], list[str]]] = {
    "a key missing": ({"name": "# none"}, ["2:1: a policy needs the key 'name'"]),
    "an unknown key": ({"x": "retention: 3"}, ["6:1: unknown key 'retention'; did you mean 'max_retention'?"]),
    "a key like no other": ({"x": "zzz: 3"}, [f"6:1: unknown key 'zzz'; expected one of {KEYS}"]),
    "a merge key": ({"x": "<<: {a: 1}"}, [f"6:1: unknown key '<<'; expected one of {KEYS}"]),
    "a key twice": ({"x": '"name": b'}, ["6:1: the key 'name' is given twice, first in line 1"]),
    "a key twice within": (
        {"x": "controls: {a: [b], c: [d], a: [e]}"},
        ["6:28: the key 'a' is given twice, first in line 6"],
    ),
    "a key twice, deep": (
        {
            "x": "tests:\n- {name: a, events: [{type: login, at: 2026-01-01T00:00:00Z, details: {a: {b: 1, b: 2}}}],"
            " expect: {total: 1}}"
        },
        ["7:82: the key 'b' is given twice, first in line 7"],
    ),
    "a key that is a list": ({"x": "? [a]\n: b"}, ["6:3: a key: expected text, got a list"]),
    "an anchor": (
        {"name": "name: &n Logins"},
        ["1:7: an anchor (&n) is not allowed; write the value where it is used"],
    ),
    "an alias": (
        {"name": "name: &n Logins", "description": "description: *n"},
        [
            "1:7: an anchor (&n) is not allowed; write the value where it is used",
            "2:14: an alias (*n) is not allowed; write the value out",
        ],
    ),
    "a tag": ({"name": "name: !!str 5"}, ["1:7: a tag (!!str) is not allowed; remove it"]),
    "a tag of Python": (
        {"name": "name: !!python/object/apply:os.system [id]"},
        [
            "1:7: a tag (!!python/object/apply:os.system) is not allowed; remove it",
            "1:7: name: expected text, got a list",
        ],
    ),
    "a tag without a name": ({"name": "name: ! x"}, ["1:7: a tag (!) is not allowed; remove it"]),
    "no": (
        {"name": "name: no"},
        ["1:7: name: expected text, got no, which YAML takes for a truth value; quote it: 'no'"],
    ),
    "a number for text": (
        {"name": "name: 007"},
        ["1:7: name: expected text, got 007, which YAML takes for a number; quote it: '007'"],
    ),
    "a date for text": (
        {"name": "name: 2026-01-01"},
        ["1:7: name: expected text, got 2026-01-01, which YAML takes for a date; quote it: '2026-01-01'"],
    ),
    "nothing for text": ({"name": "name:"}, ["1:6: name: expected text, got nothing"]),
    "null for text": ({"name": "name: ~"}, ["1:7: name: expected text, got nothing"]),
    "blanks for text": ({"name": "name: '  '"}, ["1:7: name: expected text, got nothing"]),
    "a list for text": ({"name": "name: [a]"}, ["1:7: name: expected text, got a list"]),
    "keys for text": ({"name": "name: {a: b}"}, ["1:7: name: expected text, got keys with values"]),
    "a name of two lines": ({"name": 'name: "a\\nb"'}, ["1:7: name: expected one line"]),
    "a text for a list": (
        {"required_events": "required_events: login"},
        ["3:18: required_events: expected a list, such as [a, b], got the text 'login'"],
    ),
    "no types": (
        {"required_events": "required_events: []"},
        ["3:18: required_events: expected at least one event type, got an empty list"],
    ),
    "an unknown type": (
        {"required_events": "required_events:\n  - login\n  - logn"},
        ["5:5: required_events: unknown event type 'logn'; did you mean 'login'?"],
    ),
    "a type like no other": (
        {"required_events": "required_events: [zz]"},
        [f"3:19: required_events: unknown event type 'zz'; {_TYPES}"],
    ),
    "a type in capitals": (
        {"required_events": "required_events: [LOGIN]"},
        [f"3:19: required_events: unknown event type 'LOGIN'; {_TYPES}"],
    ),
    "a type twice": (
        {"required_events": "required_events: [login, 'login']"},
        ["3:26: required_events: 'login' is listed twice"],
    ),
    "a length without a unit": (
        {"retention_period": "retention_period: 30"},
        ["4:19: retention_period: '30' has no unit; write e.g. 30d or 30h"],
    ),
    "an ambiguous length": (
        {"x": "window: 90m"},
        ["6:9: window: '90m' is ambiguous; write 90min for minutes or 90mo for months"],
    ),
    "months in a window": (
        {"x": "window: 1mo"},
        ["6:9: window: '1mo' counts months or years, whose length varies; window takes days and shorter, such as 30d"],
    ),
    "null for a length": ({"x": "window: null"}, ["6:9: window: expected a length of time, got nothing"]),
    "a length of zero": (
        {"x": "max_gap: 0d"},
        ["6:10: max_gap: a length of zero ('0d') is not allowed; it must be longer than nothing"],
    ),
    "a threshold of zero": (
        {"alert_threshold": "alert_threshold: 0"},
        [f"5:18: alert_threshold: {_COUNT}, got 0, which YAML takes for a number"],
    ),
    "a negative threshold": (
        {"alert_threshold": "alert_threshold: -1"},
        [f"5:18: alert_threshold: {_COUNT}, got -1, which YAML takes for a number"],
    ),
    "half a threshold": (
        {"alert_threshold": "alert_threshold: 2.5"},
        [f"5:18: alert_threshold: {_COUNT}, got 2.5, which YAML takes for a number"],
    ),
    "a quoted threshold": (
        {"alert_threshold": 'alert_threshold: "3"'},
        [f"5:18: alert_threshold: {_COUNT}, got the text '3'; remove the quotes"],
    ),
    "an octal threshold": (
        {"alert_threshold": "alert_threshold: 010"},
        [f"5:18: alert_threshold: {_COUNT}, got 010, which YAML takes for a number"],
    ),
    "a threshold of yes": (
        {"alert_threshold": "alert_threshold: yes"},
        [f"5:18: alert_threshold: {_COUNT}, got yes, which YAML takes for a truth value"],
    ),
    "an unknown column": (
        {"x": "group_by: [userid, user_id, user_id]"},
        [
            "6:12: group_by: an event has no column 'userid'; did you mean user_id?",
            "6:29: group_by: 'user_id' is listed twice",
        ],
    ),
    "a column like no other": ({"x": "group_by: [zzz]"}, ["6:12: group_by: an event has no column 'zzz'"]),
    "an expression that may not be": (
        {"x": 'group_by: [user_id, "now()"]'},
        ["6:22: group_by: now is not allowed: a value may not depend on the clock, on chance or on settings"],
    ),
    "an expression without quotes": (
        {"x": "group_by: [user_id, {a: b}]"},
        [
            "6:21: group_by: expected a column or an expression (put it in quotes, or on a line of its own), got keys "
            "with values"
        ],
    ),
    "two measures": (
        {"x": "distinct: user_id\ntogether: [{where: \"status = 'a'\"}, {types: [login]}]"},
        ["7:11: together: a policy has one measure, and has 'distinct' too"],
    ),
    "a measure without its threshold": (
        {"alert_threshold": "distinct: [user_id, ip_address]"},
        ["5:11: distinct: expected with 'alert_threshold', which is missing"],
    ),
    "steps": (
        {"x": "sequence:\n- {types: [login], window: 3h}\n- {where: now()}\n- {foo: 1}"},
        [
            "7:28: window: expected with 'count', which is missing",
            "8:11: where: now is not allowed: a condition may not depend on the clock, on chance or on settings",
            "9:3: a step needs the key 'where' or 'types'",
            "9:4: unknown key 'foo'; expected one of count, name, types, where, window",
        ],
    ),
    "a step's type": (
        {"alert_threshold": "together: [{types: [data_access]}, {types: [login]}]"},
        ["5:12: together: 'data_access' is not among required_events"],
    ),
    "a condition of steps": (
        {
            "alert_threshold": "alert_threshold: 1",
            "x": "together: [{name: a, types: [login]}, {name: b, types: [login]}]\ncondition: a and not c",
        },
        ["7:22: condition: there is no step 'c'"],
    ),
    "more than can be": (
        {"x": "together: [{types: [login]}, {types: [login]}]"},
        ["5:18: alert_threshold: expected 2 at most, which is what can be"],
    ),
    "more than a sequence": (
        {"x": "sequence: [{types: [login]}]"},
        ["5:18: alert_threshold: expected 1: a sequence is there, or it is not"],
    ),
    "what is learned longer than remembered": (
        {"x": "first_seen: {value: [], memory: 9d, learn: 14d}"},
        [
            "6:13: first_seen: expected 'learn' shorter than 'memory'",
            "6:21: value: expected at least one column or expression, got an empty list",
        ],
    ),
    "a silence of nobody": (
        {"x": "dormant: {entity: user_id}"},
        [
            "6:10: dormant needs the key 'silence'",
            "6:19: entity: expected a list, such as [a, b], got the text 'user_id'",
        ],
    ),
    "an unknown coverage": (
        {"x": "coverage: maybe"},
        ["6:11: coverage: unknown value 'maybe'; expected one of optional, proven, required"],
    ),
    "an unknown severity": ({"x": "severity: hi"}, ["6:11: severity: unknown value 'hi'; did you mean 'high'?"]),
    "controls without ids": (
        {"x": "controls: {a: [], b: c}"},
        [
            "6:15: controls: expected at least one control, got an empty list",
            "6:22: controls: expected a list, such as [a, b], got the text 'c'",
        ],
    ),
    "a list of controls": (
        {"x": "controls: [a]"},
        ["6:11: controls: expected frameworks, each with a list of controls, got a list"],
    ),
    "a control that is no text": (
        {"x": "controls: {a: [on]}"},
        ["6:16: controls: expected text, got on, which YAML takes for a truth value; quote it: 'on'"],
    ),
    "tests that are no list": (
        {"x": "tests: {a: b}"},
        ["6:8: tests: expected a list of tests, got keys with values"],
    ),
    "a condition for nothing": ({"x": "where: ''"}, ["6:8: where: expected a condition, got nothing"]),
    "an identifier, twice": (
        {"description": "descripton: x"},
        [
            "1:1: a policy needs the key 'description'",
            "2:1: unknown key 'descripton'; did you mean 'description'?",
        ],
    ),
}


@pytest.mark.parametrize(("lines", "mistakes"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistake(lines: dict[str, str], mistakes: list[str]) -> None:
    """A mistake is named with its line and column, what was expected and what was found."""
    assert _problems(_policy(**lines)) == mistakes
