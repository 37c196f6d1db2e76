"""LLMGuardian's policies, and failed logins: they load, mean what their predecessor meant, and pass their own tests."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any

import pytest

from auditlake.events.times import parse_instant
from auditlake.policies.files import LLMGUARDIAN, READY
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy, PolicyTest

TYPES = frozenset(
    """login logout auth_failure access_granted access_denied permission_change data_access data_modification
    data_deletion config_change system_error security_alert model_access model_update prompt_injection
    compliance_check policy_violation data_breach""".split()
)
FILES = {file.stem: file for file in (*LLMGUARDIAN.glob("*.yaml"), READY / "failed_logins.yaml")}
POLICIES = {
    name: load_policy(FILES[name].read_bytes(), file=name, policy_id=name, event_types=TYPES) for name in sorted(FILES)
}
TESTS = {f"{policy.id}: {test.name}": (policy, test) for policy in POLICIES.values() for test in policy.tests}

# id: name, description, types, retention, threshold, window
DEFAULTS = {
    "data_access_tracking": (
        "Data Access Tracking",
        "Track all data access events",
        ("data_access", "data_deletion", "data_modification"),
        ("90d", 5, "24h"),
    ),
    "authentication_monitoring": (
        "Authentication Monitoring",
        "Monitor authentication events",
        ("auth_failure", "login", "logout"),
        ("30d", 3, "24h"),
    ),
    "security_compliance": (
        "Security Compliance",
        "Monitor security-related events",
        ("data_breach", "prompt_injection", "security_alert"),
        ("365d", 1, "24h"),
    ),
}


def test_which() -> None:
    """There are the three policies of the predecessor, and one that shows how it is done well."""
    assert list(POLICIES) == sorted([*DEFAULTS, "failed_logins"])


@pytest.mark.parametrize("policy_id", DEFAULTS)
def test_defaults(policy_id: str) -> None:
    """The predecessor's three policies keep its values and say in a comment what they count."""
    policy = POLICIES[policy_id]
    numbers = (policy.retention_period.text, policy.alert_threshold, policy.window.text)

    assert (policy.name, policy.description, policy.required_events, numbers) == DEFAULTS[policy_id]
    assert (policy.group_by, policy.where, policy.coverage) == ((), None, "required")
    assert "counts every governed event, successful or not, of all users" in policy.text


def test_failed_logins() -> None:
    """The example counts each user alone, names its control, and does not ask that somebody fails."""
    policy = POLICIES["failed_logins"]

    assert (policy.required_events, policy.group_by) == (("auth_failure",), ("user_id",))
    assert (policy.alert_threshold, policy.window.microseconds) == (5, 86_400_000_000)
    assert policy.coverage == "optional"
    assert policy.controls == {"PCI DSS 4.0.1": ("10.2.1.4",)}


@pytest.mark.parametrize("policy_id", POLICIES)
def test_round_trip(policy_id: str) -> None:
    """The text that a policy carries gives the same policy again, and its digest is that of the file."""
    policy = POLICIES[policy_id]
    data = FILES[policy_id].read_bytes()

    assert load_policy(policy.text, file="again", policy_id=policy_id, event_types=TYPES) == policy
    assert policy.text.encode() == data
    assert policy.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def _found(policy: Policy, test: PolicyTest) -> dict[str, Any]:
    """What docs/reference/semantics.md says of the test's events, counted by brute force."""
    events = [{**event, "at": parse_instant(event["timestamp"])} for event in test.events]
    until = parse_instant(test.as_of) if test.as_of else max(event["at"] for event in events)
    since = parse_instant(test.since) if test.since else until - _kept(policy)
    governed = [event for event in events if event["event_type"] in policy.required_events]
    in_period = [event for event in governed if since < event["at"] <= until]
    groups: dict[tuple[str, ...], list[datetime]] = {}
    for event in governed:
        groups.setdefault(tuple(event[column] for column in policy.group_by), []).append(event["at"])
    runs = [run for times in groups.values() for run in _episodes(times, policy, since, until)]
    missing = set(policy.required_events) - {event["event_type"] for event in in_period}
    sins = runs or (missing and policy.coverage == "required")
    received = any(since < event["at"] <= until for event in events)
    status = "no_data" if not received else "violation" if sins else "compliant"
    missing = missing if policy.coverage == "required" else set()
    counts = {"episodes": len(runs), "total": len(in_period), "peak": max(runs, default=0), "gaps": 0}
    return {"status": status, "missing": tuple(sorted(missing)), **counts}


def _kept(policy: Policy) -> timedelta:
    """How far a report goes back by itself."""
    return timedelta(days=90) if policy.retention_period is None else _length(policy.retention_period.microseconds)


def _length(microseconds: int) -> timedelta:
    return timedelta(microseconds=microseconds)


def _episodes(times: list[datetime], policy: Policy, since: datetime, until: datetime) -> list[int]:
    """The peaks of the stretches in which the count reaches the threshold."""
    window = _length(policy.window.microseconds)
    peaks: list[int] = []
    running = False
    for instant in sorted({since, *(t for t in [*times, *(t + window for t in times)] if since < t <= until)}):
        count = sum(instant - window < t <= instant for t in times)
        if count >= policy.alert_threshold:
            peaks = [*peaks[:-1], max(peaks[-1], count)] if running else [*peaks, count]
        running = count >= policy.alert_threshold
    return peaks


@pytest.mark.parametrize(("policy", "test"), TESTS.values(), ids=TESTS.keys())
def test_own_tests(policy: Policy, test: PolicyTest) -> None:
    """What a policy's test expects is what brute force finds."""
    found = _found(policy, test)

    assert {key: found[key] for key in test.expect} == test.expect


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES.keys())
def test_cases_of_both_kinds(policy: Policy) -> None:
    """A policy has tests that find a breach, tests that find none, and one in which only the window matters."""
    breach = [test for test in policy.tests if test.expect.get("episodes")]
    wide = [test for test in policy.tests if "episodes" in test.expect]

    assert breach
    assert [test for test in policy.tests if test.expect.get("episodes") == 0]
    assert any(_without_times(one) == _without_times(two) for one in breach for two in wide if one is not two)


def _without_times(test: PolicyTest) -> list[dict[str, Any]]:
    return [{key: value for key, value in event.items() if key != "timestamp"} for event in test.events]
