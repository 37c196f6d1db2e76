"""Correlations as they are documented give exactly the episodes that their definitions ask for."""

from __future__ import annotations

import json

import pytest

from auditlake import AuditLake
from auditlake.policies.loader import policy_keys
from tests.lakes import create
from tests.sigma.conftest import write_rules

pytestmark = pytest.mark.skipif("sequence" not in policy_keys(), reason="no policy asks for sequences yet")

RULES = {
    "failed.yml": """
        title: A sign-in failed
        name: failed
        logsource: {product: auditlake}
        detection: {selection: {event_type: auth_failure}, condition: selection}
        """,
    "signed_in.yml": """
        title: Somebody signed in
        name: signed_in
        logsource: {product: auditlake}
        detection: {selection: {event_type: login}, condition: selection}
        """,
    "brute_force.yml": """
        title: Three failures of one user
        name: brute_force
        correlation: {type: event_count, rules: [failed], group-by: [user_id], timespan: 10m, condition: {gte: 3}}
        """,
    "brute_force_succeeded.yml": """
        title: Three failures, then a success
        correlation: {type: temporal_ordered, rules: [brute_force, signed_in], group-by: [user_id], timespan: 10m}
        """,
    "spray.yml": """
        title: Three users from one address
        correlation:
          type: value_count
          rules: [failed]
          group-by: [ip_address]
          timespan: 5m
          condition: {gte: 3, field: user_id}
        """,
    "both.yml": """
        title: A failure and a success in any order
        correlation: {type: temporal, rules: [failed, signed_in], group-by: [user_id], timespan: 5m}
        """,
    "in_order.yml": """
        title: A failure, then a success
        correlation: {type: temporal_ordered, rules: [failed, signed_in], group-by: [user_id], timespan: 5m}
        """,
    "clean.yml": """
        title: A success without a failure
        correlation: {type: temporal, group-by: [user_id], timespan: 5m, condition: signed_in and not failed}
        """,
}
EVENTS = [
    (0, "auth_failure", "ann", "192.0.2.1"), (1, "auth_failure", "ann", "192.0.2.1"),
    (2, "auth_failure", "ann", "192.0.2.1"), (4, "login", "ann", "192.0.2.1"),
    (20, "auth_failure", "bob", "192.0.2.2"), (20, "auth_failure", "cat", "192.0.2.2"),
    (21, "auth_failure", "dan", "192.0.2.2"), (30, "login", "bob", "192.0.2.2"),
    (40, "login", "eve", "192.0.2.3"), (41, "auth_failure", "eve", "192.0.2.3"),
    (49, "auth_failure", "fay", "192.0.2.4"), (51, "login", "fay", "192.0.2.4"),
]  # fmt: skip
EPISODES = {
    # The third failure is at 2; the first is 10 minutes old at 10.
    "brute_force_succeeded": [({"user_id": "ann"}, 4, 10)],
    # The third user is at 21; the first two are 5 minutes old at 25.
    "spray": [({"ip_address": "192.0.2.2"}, 21, 25)],
    # The last failure of ann is at 2, 5 minutes old at 7; eve's success is 5 minutes old at 45. Fay's two events lie on
    # both sides of 50: only a window that slides has both, no five minutes by the clock.
    "both": [({"user_id": "ann"}, 4, 7), ({"user_id": "eve"}, 41, 45), ({"user_id": "fay"}, 51, 54)],
    "in_order": [({"user_id": "ann"}, 4, 7), ({"user_id": "fay"}, 51, 54)],
    "clean": [({"user_id": "ann"}, 7, 9), ({"user_id": "bob"}, 30, 35), ({"user_id": "eve"}, 40, 41),
              ({"user_id": "fay"}, 54, 56)],
}  # fmt: skip


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake with the events and the policies."""
    folder = tmp_path_factory.mktemp("episodes")
    events = (
        {"event_type": kind, "timestamp": f"2026-11-20T08:{minute:02}:00Z", "user_id": user, "ip_address": address}
        for minute, kind, user, address in EVENTS
    )
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    lake = create(folder / "lake")
    lake.ingest(folder / "events.jsonl")
    told = {each.path: each for each in lake.policies.import_sigma(write_rules(folder / "rules", RULES))}
    assert {path for path, each in told.items() if each.state == "part"} == {
        "failed.yml", "signed_in.yml", "brute_force.yml",
    }  # fmt: skip
    return lake


@pytest.mark.parametrize("name", EPISODES)
def test_episodes(name: str, judged: AuditLake) -> None:
    """The episodes are those that follow from the definitions, to the minute."""
    report = judged.report(name, period="2026-11")
    episodes = [(dict(each.group), each.start.minute, each.end.minute) for each in report.findings
                if each.group and each.start and each.end]  # fmt: skip

    assert sorted(episodes, key=str) == sorted(EPISODES[name], key=str)
