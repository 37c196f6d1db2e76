"""What checks over records find, dealt with like what policies find: accepted, listed, expired, opened again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.errors import PackError, ReportError
from auditlake.findings.decisions import Acceptance
from auditlake.frameworks.framework import Framework
from auditlake.frameworks.model import ControlResult
from auditlake.site.control_page import control_page
from auditlake.site.framework_page import framework_page
from auditlake.testing import Clock
from tests.frameworks.test_lake import HEAD
from tests.templates import copy_of

NOW = datetime(2026, 9, 14, 12, tzinfo=UTC)
DAY = timedelta(days=1)
WEEKS = {"since": NOW - 24 * DAY, "until": NOW - DAY}
"""Three weeks ended in it, on August 24th and 31st and on September 7th."""
HOUSE = f"""{HEAD}
id: house
framework: House rules
edition: "2026"
policies:
  refused:
    name: Refused
    description: Three refused sign-ins
    required_events: [auth_failure]
    alert_threshold: 3
    window: 1h
controls:
  - {{id: "1", title: Guesses are seen, shows: logging, policies: {{refused: [threshold]}}, cites: [S]}}
  - {{id: "2", title: Somebody looks, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{review: {{every: 7d, of: [refused], within: 0.5d}}}}]}}
  - {{id: "3", title: What is found is dealt with, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{response: {{within: 1d, of: [refused]}}}}]}}
""".replace("0.5d", "12h")


def with_missed_reviews(folder: Path) -> None:
    """Make a lake that nobody looked at, with one thing that nobody dealt with."""
    lake = auditlake.create(folder / "lake", clock=Clock(NOW), policies="none", unsigned=True)
    refused = [NOW - 5 * DAY + n * timedelta(minutes=9) for n in range(4)]
    lake.ingest([{"event_type": "auth_failure", "timestamp": at, "source": "auditlake"} for at in refused])
    lake.layout.packs.mkdir()
    lake.layout.pack("house").write_text(HOUSE)
    lake.layout.frameworks.write_text("packs: {house: {revision: 2026-09-01.1}}")


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    return auditlake.open(copy_of(with_missed_reviews, tmp_path) / "lake", clock=clock)


def control(lake: AuditLake, name: str = "2") -> ControlResult:
    return lake.frameworks.report("house", **WEEKS).controls[name]


def accept(lake: AuditLake, finding_id: str, days: int = 30) -> Acceptance:
    return lake.findings.accept(finding_id, reason="nobody was there", owner="bea", expires=NOW + days * DAY)


def pages(made: Framework, name: str) -> str:
    """Return the variables of the pages of a framework and of one of its controls, as text."""
    report = made.report
    page = control_page(
        report, report.control(name), (), policies={}, files={}, policy_files={}, framework_file=None, index_file=None
    )
    return f"{framework_page(report, (), files={}, json_file=None, index_file=None)} {page}"


def test_a_missed_review_is_accepted_until_the_acceptance_ends(lake: AuditLake, clock: Clock) -> None:
    """The control is an exception meanwhile, and the pages say who answers for it; it fails again afterwards."""
    (listed,) = lake.findings.list("house/2", **WEEKS)
    assert (listed.policy_id, listed.finding.kind, listed.severity) == ("house/2", "review_missed", None)
    assert {each.policy_id for each in lake.findings.list(**WEEKS)} == {"house--refused", "house/2", "house/3"}
    accept(lake, listed.finding.id[:12], days=3)
    shown, about = lake.findings.show(listed.finding.id)
    made = lake.frameworks.report("house", **WEEKS)
    assert (shown.state, [type(each) for each in about]) == ("accepted", [Acceptance])
    assert made.controls["2"].status == "exception"
    assert "Exception" in pages(made, "2")
    assert pages(made, "2").count("nobody was there") == 2, "on the framework's page and on the control's"
    with pytest.raises(ReportError, match="accepted already, by entry 1"):
        accept(lake, listed.finding.id)

    clock.now += 3 * DAY + timedelta(microseconds=1)
    assert control(lake).status == "fail"
    accept(lake, listed.finding.id)
    lake.findings.reopen(listed.finding.id[:12], reason="they were")
    assert control(lake).status == "fail"


def test_what_is_accepted_is_told_beside_what_is_not(lake: AuditLake) -> None:
    """A control that fails by one finding says all the same what of it was accepted."""
    lake.findings.review("house--refused", note="seen", since="2026-08-24", until="2026-08-30")
    first, late, second = lake.findings.list("house/2", **WEEKS)
    assert [each.finding.kind for each in (first, late, second)] == ["review_missed", "review_late", "review_missed"]
    accept(lake, second.finding.id)

    made = lake.frameworks.report("house", **WEEKS)
    assert made.controls["2"].status == "fail"
    assert "'Accepted'" in pages(made, "2").partition("ControlPage")[0]


def test_a_missed_review_is_marked_as_dealt_with(lake: AuditLake) -> None:
    """It counts as before, and the control's page says what was done."""
    (listed,) = lake.findings.list("house/2", **WEEKS)
    lake.findings.resolve(listed.finding.id, note="all of it was looked at in one go")
    made = lake.frameworks.report("house", **WEEKS)

    assert made.controls["2"].status == "fail"
    assert "looked at in one go" in pages(made, "2")
    assert b"looked at in one go" in made.json()


def test_what_says_that_nobody_dealt_with_a_finding_is_not_resolved_itself(lake: AuditLake) -> None:
    """Who tries is told which finding it is about; to accept it is an exception."""
    episode, unanswered = lake.findings.list("house--refused", "house/3", **WEEKS)
    with pytest.raises(ReportError, match=f"nobody dealt with finding {episode.finding.id} of house--refused") as told:
        lake.findings.resolve(unanswered.finding.id, note="done")
    assert episode.finding.id in told.value.hint

    lake.findings.resolve(episode.finding.id, note="done")
    (late,) = lake.findings.list("house/3", **WEEKS)
    assert late.finding.kind == "response_late"
    with pytest.raises(ReportError, match="dealt with too late"):
        lake.findings.resolve(late.finding.id, note="done")
    accept(lake, late.finding.id)
    assert control(lake, "3").status == "exception"


def test_a_finding_is_found_in_the_kept_report_of_its_framework(lake: AuditLake, clock: Clock) -> None:
    """An id of a report that was written is enough, whatever the period; what was listed last is not needed."""
    made = lake.frameworks.report("house", **WEEKS)
    made.write(lake.layout.reports)
    (finding,) = made.controls["2"].findings
    clock.now += 200 * DAY

    assert accept(lake, finding.id[:12], days=300).finding_id == finding.id
    with pytest.raises(ReportError, match="no policy and no check of a control finds"):
        accept(lake, "0" * 16, days=300)


def test_an_acceptance_follows_a_rename(lake: AuditLake) -> None:
    """What was accepted of a control counts for the one that it is called now, and is opened again by its own id."""
    (old,) = lake.findings.list("house/2", **WEEKS)
    accept(lake, old.finding.id)
    lake.layout.pack("house").write_text(HOUSE.replace('id: "2",', 'id: "2.1", was: "2",'))

    (new,) = lake.findings.list("house/2.1", **WEEKS)
    assert (new.state, new.finding.id == old.finding.id) == ("accepted", False)
    assert [each.finding_id for each in lake.findings.show(new.finding.id)[1]] == [old.finding.id]
    with pytest.raises(ReportError, match="accepted already"):
        accept(lake, new.finding.id)
    with pytest.raises(PackError, match="no control '2'") as told:
        lake.findings.list("house/2")
    assert told.value.hint == "it is called 2.1 now"
    lake.findings.reopen(old.finding.id, reason="no")
    assert control(lake, "2.1").status == "fail"


def test_the_command_line(lake: AuditLake, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A control is named by its pack and its id; the rest is as with policies."""
    monkeypatch.setattr("auditlake.lake.AuditLake", partial(auditlake.AuditLake, clock=Clock(NOW)))
    at = ("--lake", lake.layout.root, "finding")
    period = ("--since", WEEKS["since"].isoformat(), "--until", WEEKS["until"].isoformat())
    (listed,) = run(*at, "list", "house/2", *period, "--json").json["findings"]
    said = ("--reason", "nobody was there", "--owner", "bea", "--expires", "2026-10-01")
    accepted = run(*at, "accept", listed["id"], *said)
    assert (accepted.code, f"{listed['id']} accepted until 2026-10-01" in accepted.out) == (0, True)
    assert "accepted  house/2   review missed" in run(*at, "list", "house/2", "--accepted", *period).out
    assert "nobody was there" in run(*at, "show", listed["id"]).out
    assert run(*at, "reopen", listed["id"], "--reason", "they were").code == 0
    assert "0 found" in run(*at, "list", "house/2", "--accepted", *period).out
    assert run(*at, "list", "house/4").code == 3
