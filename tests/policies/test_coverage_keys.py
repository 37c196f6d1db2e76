"""The keys scope, fields, proven, max_gap by type, hot and clause: read, reported, shown, accepted, done again."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.analysis.policy_tests import check_policies
from auditlake.errors import PolicyError, ReportError
from auditlake.policies.hours import EXPECTED
from auditlake.policies.kinds.coverage import CoverageKind
from auditlake.policies.kinds.model import Inquiry
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import BEFORE_ALL, Question
from tests.lakes import create
from tests.retention.lakes import put_policies

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TYPES = frozenset({"login", "logout", "data_breach"})
OFFICE = """\
name: Office
description: d
required_events: [data_breach, login]
coverage: proven
scope: source <> 'lab'
max_gap: {login: {longest: 12h, within: "Mon-Fri 08:00-18:00", zone: Europe/Berlin}}
fields:
  user: [user_id, details.who]
  what: {any_of: [resource], at_least: 0.5}
retention_period: 30d
hot: 10d
clause: House 7.3
tests:
  - name: nobody is named
    events: [{type: login, at: 2026-03-02T09:00:00Z}, {type: login, at: 2026-03-02T10:00:00Z, resource: x, source: lab}]
    expect: {incomplete: 2, total: 1, missing: [data_breach], gaps: 0}
"""
WRONG = """\
name: n
description: d
required_events: [login]
scope: sorce = 'x'
max_gap: {login: {longst: 3h, within: Mo-Fri, zone: Eurpe/Berlin}, logout: 3d, data_breach: {longest: 1d, zone: UTC}}
fields: {user: [usr_id, details], o: {at_least: 2}, p: [], q: ['details.a[0]']}
hot: 2y
retention_period: 1y
clause: [a]
"""


def load(text: str) -> Policy:
    return load_policy(text, "p.yaml", "p", event_types=TYPES)


def test_mistakes() -> None:
    """Every mistake in the keys comes at once, with its line and column."""
    with pytest.raises(PolicyError) as caught:
        load(WRONG)
    columns = ("expected one of action, event_id, event_type, ingested_at, ip_address, resource, session_id, source, "
               "status, timestamp, user_id, or a place such as details.a.b or metadata.a")  # fmt: skip
    assert [each.removeprefix("p.yaml:") for each in caught.value.problems] == [
        "4:8: scope: an event has no column 'sorce'; did you mean source?",
        "5:18: max_gap of a type needs the key 'longest'",
        "5:19: unknown key 'longst'; did you mean 'longest'?",
        f"5:39: within: expected {EXPECTED}, got 'Mo-Fri'",
        "5:53: zone: expected a zone of the IANA database such as Europe/Berlin or UTC, got 'Eurpe/Berlin'",
        "5:68: max_gap: 'logout' is not among required_events",
        "5:80: max_gap: 'data_breach' is not among required_events",
        "5:113: zone: expected with 'within', which is missing",
        *(f"6:{at}: fields: {columns}, got {got!r}" for at, got in ((17, "usr_id"), (25, "details"))),
        "6:38: a field needs the key 'any_of'",
        "6:49: at_least: expected a number from 0.000001 to 1 with at most 6 decimals, got 2, which YAML takes for a "
        "number",
        "6:56: fields: expected at least one column, got an empty list",
        f"6:64: fields: {columns}, got 'details.a[0]'",
        "7:6: hot: expected at most the retention_period, which is 1y, got 2y",
        "9:9: clause: expected text, got a list",
    ]  # fmt: skip
    for key in ("placeholders: [x]", "clause: x"):
        with pytest.raises(PolicyError, match=r"expected with '"):
            load(f"name: n\ndescription: d\nrequired_events: [login]\n{key}\n")


def test_hours_over_midnight_are_two() -> None:
    """A span that ends before it begins is refused; a week may run over its end."""
    hours = "name: n\ndescription: d\nrequired_events: [login]\nmax_gap: {login: {longest: 1h, within: '%s'}}\n"
    with pytest.raises(PolicyError, match="hours over midnight are two"):
        load(hours % "Mon 22:00-06:00")
    rule = load(hours % "Sun-Mon 23:00-24:00, Mon 00:00-01:00, Mon 00:30-02:00").gap_rules["login"]
    hour = 3_600_000_000
    assert rule.within is not None
    assert [(opens // hour, closes // hour) for opens, closes in rule.within.spans] == [(0, 2), (23, 24), (167, 168)]


def test_hours_so_few_that_silence_takes_centuries() -> None:
    """A length that takes more than 200 years of its hours to pass is refused; one that takes less is looked for."""
    rule = "{longest: %s, within: 'Mon 00:00-00:01'}"
    hours = f"name: n\ndescription: d\nrequired_events: [login]\nmax_gap: {{login: {rule}}}\n"
    for length in ("10000w", "10458min"):
        with pytest.raises(PolicyError) as caught:
            load(hours % length)
        assert caught.value.problems == (
            f"p.yaml:4:28: max_gap: {length} within 'Mon 00:00-00:01' take more than 200 years; write at most 10457min",
        )
    (query,) = CoverageKind().queries(Inquiry(load(hours % "10457min"), (), Question(NOW, NOW - HOUR, NOW)))
    assert query.values["measured_from"] == BEFORE_ALL


def test_policy_tests_count_incomplete_fields() -> None:
    """A policy's own tests see scope and fields."""
    assert [each.differences for each in check_policies([load(OFFICE)])] == [()]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake from which retention has taken the one event of a rare type."""
    lake = create(tmp_path_factory.mktemp("office") / "lake", clock=lambda: NOW)
    limit = (
        "name: Limit\ndescription: d\nrequired_events: [login]\ncoverage: optional\nmax_retention: 5d\nclause: Art. 5\n"
    )
    put_policies(lake, {"office": OFFICE, "limit": limit})
    lake.ingest([
        AuditEvent("data_breach", NOW - timedelta(days=60)),
        AuditEvent("login", NOW - timedelta(days=20), resource="x"),
        AuditEvent("login", NOW - timedelta(days=2), details={"who": "x"}, resource="x"),
        AuditEvent("login", NOW - timedelta(days=1), user_id="ana"),
    ])  # fmt: skip
    lake.retention.apply(accept_weaker="a test")
    return lake


def test_it_is_reported(lake: AuditLake, tmp_path: Path) -> None:
    """The report's JSON, which fits its schema, has what was asked and found; it and its pack are done again."""
    made = lake.report("office")
    said = json.loads(made.json())
    assert [each["message"] for each in said["violations"]] == [
        "No login for longer than 12h within Mon-Fri 08:00-18:00 Europe/Berlin: from 2026-03-12T12:00:00.000000Z until "
        "2026-03-30T12:00:00.000000Z",
        "1 of 3 login events has no user (user_id or details.who)",
    ]
    assert said["violations"][1]["measures"]["by_source"] == {"auditlake": 1}
    assert said["coverage"]["proven"] == {"data_breach": "2026-01-31"}
    assert (said["coverage"]["scope"], said["coverage"]["scope_unknown"]) == ("source <> 'lab'", 0)
    assert said["coverage"]["max_gap"]["login"]["zone"] == "Europe/Berlin"
    assert (said["retention"]["hot"], said["retention"]["clause"]) == ("10d", "House 7.3")
    (conflict,) = said["retention"]["conflicts"]
    assert (conflict["keep_clause"], conflict["limit_clause"]) == ("House 7.3", "Art. 5")
    with pytest.raises(ReportError, match="the policy has a scope and fields and a max_gap"):
        made.json(1)
    page = made.html().decode()
    assert "Of 4 fields, counted for each event type, 1 is incomplete, and 2 have no event to judge by." in page
    assert "none left: deleted with a certificate, from 2026-01-31 on" in page
    report = next(path for path in made.write(tmp_path, ["json"]) if path.suffix == ".json")
    pack = lake.evidence("office", tmp_path / "pack.zip")
    assert [lake.reperform(path).identical for path in (report, pack.path)] == [True, True]


def test_it_is_accepted(lake: AuditLake) -> None:
    """An acceptance covers the field of that type, in another period too."""
    listed = next(each for each in lake.findings.list("office") if each.finding.kind == "field_incomplete")
    assert listed.finding.about == "login, user"
    lake.findings.accept(listed.finding.id, reason="r", owner="o", expires=NOW + timedelta(days=9))
    made = lake.report("office", last="25d")
    assert [(each.kind, each.accepted is not None) for each in made.findings] == [
        ("coverage_gap", False), ("field_incomplete", True),
    ]  # fmt: skip
