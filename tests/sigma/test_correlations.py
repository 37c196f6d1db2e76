"""Correlations become the kinds of questions that ask the same; what none asks is refused with the reason."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from auditlake.sigma.conversion import Conversion, Converted
from auditlake.sigma.logic import sql_of
from auditlake.sigma.model import RefusedRule
from auditlake.sigma.rules import read_rules
from auditlake.sources.catalog import built_in

BASE = """
title: Failed
name: failed
logsource: {product: okta, service: okta}
detection: {selection: {outcome.result: FAILURE}, condition: selection}
---
title: Signed in
name: signed_in
logsource: {product: aws, service: cloudtrail}
detection: {selection: {eventName: ConsoleLogin}, condition: selection}
---
title: Own
name: own
logsource: {product: auditlake}
detection: {selection: {event_type: login}, condition: selection}
---
title: Many
name: many
correlation: {type: event_count, rules: [failed], group-by: [actor.id], timespan: 10m, condition: {gte: 5}}
---
title: Tested
correlation:
"""
FAILED = "source = 'okta' and lower(details ->> '$.outcome.result') = 'failure'"
SIGNED_IN = "source = 'cloudtrail' and lower(details ->> '$.eventName') = 'consolelogin'"
ACTOR, ARN = "details ->> '$.actor.id'", "details ->> '$.userIdentity.arn'"
OWN = "source = 'auditlake' and lower(event_type) = 'login'"


def converted(tmp_path: Path, correlation: str) -> Converted:
    """What a policy asks for a correlation over the rules above."""
    body = "\n".join(f"  {line}" for line in dedent(correlation).strip().splitlines())
    (tmp_path / "rules.yml").write_text(f"{BASE}{body}\n")
    rule = read_rules([tmp_path])[-1]
    if rule.fault:
        raise RefusedRule(rule.fault)
    return Conversion(built_in()).convert(rule.parsed)


def plain(value: Any) -> Any:
    """Keys of a policy with conditions as SQL in one line."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int) else " ".join(sql_of(value).split())


ASKED = {
    "a count": ("""
        type: event_count
        rules: [failed]
        group-by: [actor.id]
        timespan: 90s
        condition: {gt: 4}
        """, {"alert_threshold": 5, "window": "90s", "where": FAILED, "group_by": [ACTOR]}),
    "a count of several rules": ("""
        type: event_count
        rules: [failed, signed_in]
        group-by: [user]
        aliases: {user: {failed: actor.id, signed_in: userIdentity.arn}}
        timespan: 1w
        condition: {gte: 2.5}
        """, {"alert_threshold": 3, "window": "1w", "where": f"({FAILED}) or ({SIGNED_IN})",
              "group_by": [f"case when {FAILED} then {ACTOR} when {SIGNED_IN} then {ARN} end"]}),
    "different values": ("""
        type: value_count
        rules: [failed]
        timespan: 10m
        condition: {gte: 3, field: actor.id}
        """, {"distinct": ACTOR, "alert_threshold": 3, "window": "10min", "where": FAILED}),
    "different tuples": ("""
        type: value_count
        rules: [own]
        group-by: [session_id]
        timespan: 1d
        condition: {gte: 3, field: [user_id, size]}
        """, {"distinct": ["user_id", "details ->> '$.size'"], "alert_threshold": 3, "window": "1d", "where": OWN,
              "group_by": ["session_id"]}),
    "a sum": ("""
        type: value_sum
        rules: [own]
        timespan: 1h
        condition: {gt: 10.5, field: size}
        """, {"sum": "details ->> '$.size'", "alert_threshold": "10.500001", "window": "1h", "where": OWN}),
    "an average": ("""
        type: value_avg
        rules: [own]
        timespan: 1h
        condition: {gte: 7, field: size}
        """, {"average": "details ->> '$.size'", "alert_threshold": 7, "window": "1h", "where": OWN}),
    "rules together": ("""
        type: temporal
        rules: [failed, signed_in]
        group-by: [user]
        aliases: {user: {failed: actor.id, signed_in: userIdentity.arn}}
        timespan: 1h
        """, {"together": [{"name": "failed", "where": FAILED},
                           {"name": "signed_in", "where": SIGNED_IN, "group_by": [ARN]}],
              "window": "1h", "group_by": [ACTOR]}),
    "two of three": ("""
        type: temporal
        rules: [failed, signed_in, own]
        timespan: 1h
        condition: {gte: 2}
        """, {"together": [{"name": "failed", "where": FAILED}, {"name": "signed_in", "where": SIGNED_IN},
                           {"name": "own", "where": OWN}], "window": "1h", "alert_threshold": 2}),
    "a condition of rules": ("""
        type: temporal
        timespan: 1h
        condition: signed_in and not (failed or own)
        """, {"together": [{"name": "signed_in", "where": SIGNED_IN}, {"name": "failed", "where": FAILED},
                           {"name": "own", "where": OWN}], "window": "1h",
              "condition": 'signed_in and not ("failed" or "own")'}),
    "rules in their order": ("""
        type: temporal_ordered
        rules: [failed, signed_in]
        timespan: 1h
        """, {"sequence": [{"name": "failed", "where": FAILED}, {"name": "signed_in", "where": SIGNED_IN}],
              "window": "1h"}),
    "many, then one": ("""
        type: temporal_ordered
        rules: [many, signed_in]
        group-by: [actor.id]
        aliases: {actor.id: {many: actor.id, signed_in: userIdentity.arn}}
        timespan: 15m
        """, {"sequence": [{"name": "many", "where": FAILED, "count": 5, "window": "10min"},
                           {"name": "signed_in", "where": SIGNED_IN}], "window": "15min",
              "group_by": [f"case when {FAILED} then {ACTOR} when {SIGNED_IN} then {ARN} end"]}),
}  # fmt: skip


@pytest.mark.parametrize("name", ASKED)
def test_kinds(name: str, tmp_path: Path) -> None:
    """Each type of correlation asks what its definition says."""
    correlation, asked = ASKED[name]

    assert plain(dict(converted(tmp_path, correlation).keys)) == asked


REFUSED = {
    "a percentile": ("type: value_percentile\nrules: own\ntimespan: 1h\ncondition: {gte: 1, field: f, percentile: 9}",
                     "a percentile moves"),
    "a median": ("type: value_median\nrules: own\ntimespan: 1h\ncondition: {gte: 1, field: size}", "a median moves"),
    "less": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {lt: 5}", "has no instant at which it begins"),
    "equal": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {eq: 5}", "has no instant at which it begins"),
    "at most": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {lte: 5}", "no instant at which it begins"),
    "not equal": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {neq: 5}", "no instant at which it begins"),
    "nothing": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {gte: 0}", "holds without any event"),
    "a month": ("type: event_count\nrules: own\ntimespan: 1M\ncondition: {gte: 5}", "no fixed length"),
    "a year": ("type: event_count\nrules: own\ntimespan: 1y\ncondition: {gte: 5}", "no fixed length"),
    "a range": ("type: event_count\nrules: own\ntimespan: 1h\ncondition: {gte: 5, lt: 9}", "exactly one condition"),
    "a chain": ("type: event_count\nrules: many\ntimespan: 1h\ncondition: {gte: 5}", "no findings of others"),
    "a chain in no order": ("type: temporal\nrules: [many, own]\ntimespan: 1h", "only a temporal_ordered one"),
    "a chain by other fields": ("type: temporal_ordered\nrules: [many, own]\ngroup-by: user_id\ntimespan: 1h",
                                "grouped by"),
    "a part in order": ("type: temporal_ordered\nrules: [failed, own]\ntimespan: 1h\ncondition: {gte: 1}",
                        "all of its steps"),
    "an unknown rule": ("type: event_count\nrules: nobody\ntimespan: 1h\ncondition: {gte: 5}", "not found"),
    "an alias without a field": ("type: event_count\nrules: own\ngroup-by: user\naliases: {user: {failed: x}}\n"
                                 "timespan: 1h\ncondition: {gte: 5}", "has no field of the rule own"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    """What no policy asks is refused with the reason."""
    correlation, reason = REFUSED[name]

    with pytest.raises(RefusedRule, match=reason):
        converted(tmp_path, correlation)


def test_whether_it_can_match(tmp_path: Path) -> None:
    """A correlation can match nothing if too few of its rules can, or the field that it groups by is in no event."""
    together = converted(tmp_path, "type: temporal\nrules: [failed, own]\ngroup-by: user_id\ntimespan: 1h")
    nothing: frozenset[str] = frozenset()

    assert together.can_match({"okta": nothing, "auditlake": nothing})
    assert not together.can_match({"okta": frozenset({"outcome.result"}), "auditlake": nothing})
    assert not together.can_match({"okta": nothing, "auditlake": frozenset({"user_id"})})
