"""Schedules of a lake: what is put on record, what a run of one judges and makes up for, and what is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.errors import PackError, ReportError
from auditlake.runs.model import Declaration, FailedRun, Run
from auditlake.testing import Clock
from tests.cli.conftest import Run as Command
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.runs.test_runs import NOON, with_a_finding
from tests.templates import copy_of

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DUE = NOON.replace(hour=0, minute=15)
"""When the schedule below is due on the day of the lake's clock."""
NIGHTLY = '{name: nightly, every: 1d, at: "00:15", evaluate: [all], within: 6h}'
LIGHT = '{name: light, every: 1d, at: "00:15", evaluate: [failed_logins], within: 6h}'


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def lake(tmp_path: Path, clock: Clock) -> AuditLake:
    """A lake with one burst of failed logins at noon."""
    return auditlake.open(copy_of(with_a_finding, tmp_path) / "lake", clock=clock)


def declare(lake: AuditLake, *schedules: str) -> None:
    lines = "".join(f"  - {each}\n" for each in schedules)
    lake.layout.frameworks.write_text(f"schedules:\n{lines}" if schedules else "schedules: []\n")


def runs(lake: AuditLake) -> list[Run]:
    return [each for each in lake.runs.all() if isinstance(each, Run)]


def test_schedules_are_on_record_from_the_next_run_on(lake: AuditLake, clock: Clock) -> None:
    """A change is one line before the run that noticed it; no change is none, and what was due stays known."""
    with lake.runs.recorded():
        pass
    declare(lake, LIGHT)
    assert lake.schedules.standing()[0].since is None
    for _ in range(2):
        with lake.runs.recorded():
            pass
    clock.now += DAY
    declare(lake)
    with lake.runs.recorded("report"):
        pass
    lines = lake.runs.all()
    assert [type(each).__name__ for each in lines] == ["Run", "Declaration", "Run", "Run", "Declaration", "Run"]
    first, last = (each for each in lines if isinstance(each, Declaration))
    assert (first.schedules, last.schedules) == ({each.name: each for each in (first.schedules["light"],)}, {})
    assert (first.schedules["light"].at, str(first.schedules["light"].within), first.at) == ("00:15", "6h", NOON)
    clock.now += 9 * DAY
    (due,) = lake.schedules.due()
    assert (due.instant, due.state) == (DUE + DAY, "missed")
    assert lake.schedules.due(until=DUE + DAY + 6 * HOUR - timedelta(seconds=1))[0].state == "open"
    assert lake.schedules.standing() == ()


def test_a_run_is_judged_as_of_the_newest_due_instant(lake: AuditLake, clock: Clock) -> None:
    """However late it begins; the line names the schedule and the instant, and the report has nothing later."""
    declare(lake, NIGHTLY, LIGHT)
    done = lake.routine.run("light")
    clock.now += 13 * HOUR
    again = lake.routine.nightly()

    assert [each.name for each in done.steps] == ["collect", "flush", "report"]
    assert [each.name for each in again.steps][-2:] == ["compact", "retention"]
    assert (done.due, again.due, done.caught_up) == (DUE, DUE + DAY, ())
    light, nightly = runs(lake)
    assert (light.schedule, light.due, light.as_of, light.catch_up, light.verb) == (
        "light",
        DUE,
        DUE,
        False,
        "schedule",
    )
    assert light.answers.keys() == {"failed_logins"} < nightly.answers.keys()
    assert [each.answers["failed_logins"].governed for each in (light, nightly)] == [0, 7]
    assert (nightly.schedule, nightly.as_of, nightly.at) == ("nightly", DUE + DAY, NOON + 13 * HOUR)


def test_what_was_missed_is_made_up_for_as_of_its_own_instant(
    lake: AuditLake, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oldest first, the newest few of many; a made-up run is late and no longer missed."""
    declare(lake, LIGHT)
    lake.routine.run("light")
    monkeypatch.setattr("auditlake.upkeep.routine.MOST_CAUGHT_UP", 3)
    clock.now += 6 * DAY
    done = lake.routine.run("light", catch_up=True)

    assert done.caught_up == tuple(DUE + n * DAY for n in (3, 4, 5))
    assert "3 missed runs made up for" in done["report"].said
    assert "2 older ones are not" in done["report"].said
    _, *made_up, last = runs(lake)
    assert [(each.as_of, each.catch_up) for each in made_up] == [(DUE + n * DAY, True) for n in (3, 4, 5)]
    assert (last.as_of, last.catch_up) == (DUE + 6 * DAY, False)
    assert [each.state for each in lake.schedules.due()] == ["late"] * 6
    assert lake.routine.run("light", catch_up=True).caught_up == ()
    assert len([*lake.layout.reports.glob("compliance_failed_logins_*.json")]) == 5


def test_one_that_cannot_be_made_up_for_stops_no_other(
    lake: AuditLake, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are made, the run fails, and what failed says so."""
    declare(lake, LIGHT)
    lake.routine.run("light")
    clock.now += 3 * DAY
    judged = auditlake.facets.runs.Recording.judged

    def refuse(self: object, *arguments: object, as_of: datetime, **more: object) -> object:
        if as_of == DUE + DAY:
            raise ReportError("the disk refused")
        return judged(self, *arguments, as_of=as_of, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("auditlake.facets.runs.Recording.judged", refuse)
    done = lake.routine.run("light", catch_up=True)
    assert done["report"].outcome == "failed"
    assert done["report"].told == (
        "the run that was due 2026-11-25T00:15:00.000000Z could not be made up for: the disk refused",
    )
    assert [each.state for each in runs(lake)] == ["ok", "error", "ok", "ok"]


def test_a_run_that_its_process_did_not_survive_failed_for_its_instant(lake: AuditLake, clock: Clock) -> None:
    """The next run says which schedule's run was not finished, and for which instant."""
    declare(lake, LIGHT)
    with lake.runs.recorded():
        pass
    clock.now += DAY
    lake.layout.started("0" * 16).write_text(json.dumps({
        "at": "2026-11-25T01:00:00Z", "verb": "schedule", "version": "0", "user": "u", "schedule": "light",
        "due": "2026-11-25T00:15:00Z", "catch_up": False,
    }))  # fmt: skip
    with lake.runs.recorded():
        pass
    failed = next(each for each in lake.runs.all() if isinstance(each, FailedRun))
    assert (failed.schedule, failed.due) == ("light", DUE + DAY)
    assert [each.state for each in lake.schedules.due()] == ["failed"]


def test_what_is_not_declared_or_not_there_is_told(lake: AuditLake) -> None:
    """A schedule that is not declared runs nothing, but for nightly; names that the lake has not are told."""
    assert lake.routine.nightly().due is None
    with pytest.raises(PackError, match="declares no schedule 'light'"):
        lake.routine.run("light")
    declare(lake, LIGHT.replace("failed_logins", "failed_logins, ghost"), "{name: bad}")
    with pytest.raises(PackError, match="a schedule needs the key"):
        lake.routine.run("light")
    assert lake.routine.nightly()["report"].outcome == "failed"
    declare(lake, LIGHT.replace("failed_logins", "failed_logins, ghost"), LIGHT.replace("light", "none").replace(
        "failed_logins", "ghost"))  # fmt: skip
    done = lake.routine.run("light")
    assert (done["report"].outcome, done["report"].told) == (
        "failed", ("ghost is neither a policy nor a pack of this lake",)
    )  # fmt: skip
    assert lake.routine.run("none")["report"].told == ("frameworks.yaml names ids of packs and policies, or all",)
    declare(lake, LIGHT.replace("00:15", "13:15").replace("1d", "12h"))
    with pytest.raises(PackError, match="at: expected a time within 12h, got '13:15'"):
        lake.schedules.all()


def test_a_run_does_nothing_where_nothing_is_due(lake: AuditLake, clock: Clock) -> None:
    """Asked to, it looks whether the newest instant was judged, and otherwise judges it."""
    declare(lake, LIGHT)
    first, second = lake.routine.run("light", if_due=True), lake.routine.run("light", if_due=True)
    clock.now += DAY
    third = lake.routine.run("light", if_due=True)
    assert [[each.outcome for each in done.steps][-1] for done in (first, second, third)] == ["done", "skipped", "done"]
    assert second.steps[0].said == "judged as of 2026-11-24 00:15:00 UTC already, by run 2"
    assert [each.due for each in runs(lake)] == [DUE, DUE + DAY]


PACK = """
pack: 1
id: ours
framework: Ours
edition: "1"
publisher: us
about: That evaluations are made.
revision: 2026-11-01.1
recheck: 2027-01-01
status:
  - {from: 2026-01-01, state: in_force, cites: [S]}
sources:
  - {id: S, title: the board, checked: primary}
policies:
  refused: {name: Refused, description: Refused, required_events: [auth_failure]}
controls:
  - {id: "1", title: Evaluations are made, shows: operation, says: s, says_not: n, cites: [S],
     records: [{evaluation: {every: 1d, of: [refused], within: 6h}}]}
"""


def test_taking_a_schedule_away_hides_nothing(lake: AuditLake, clock: Clock) -> None:
    """What was missed while it was on record is a finding of the framework, and stands on its page."""
    lake.layout.packs.mkdir()
    lake.layout.pack("ours").write_text(PACK)
    settings = "packs:\n  ours: {revision: 2026-11-01.1}\n"
    lake.layout.frameworks.write_text(settings)
    assert lake.frameworks.report("ours", last="3d").report.controls[0].reasons == ("no schedule is declared",)
    lake.layout.frameworks.write_text(f"{settings}schedules:\n  - {NIGHTLY}\n")
    lake.routine.nightly()
    clock.now += 3 * DAY
    lake.routine.nightly()
    lake.layout.frameworks.write_text(settings)
    (page,) = lake.layout.reports.glob("framework_ours_20261127*.html")
    text = page.read_text()
    assert "No evaluation of " in text
    assert "evaluations, every 1d" in text
    clock.now += HOUR
    made = lake.frameworks.report("ours", since=NOON, until=clock.now)
    (check,) = made.report.controls[0].checks
    assert [slot.state for slot in check.slots] == ["late"] * 3
    assert [finding.kind for finding in check.findings] == ["evaluation_late"]
    with lake.runs.recorded():
        pass
    clock.now += 9 * DAY
    after = lake.frameworks.report("ours", last="5d")
    assert after.report.controls[0].reasons == ("no schedule is declared",), "none was in force in the period"


def test_the_commands(lake: AuditLake, run: Command) -> None:  # noqa: F811
    """The run ends with the code of its worst step, and the list says how each schedule stands."""
    declare(lake, LIGHT)
    place = ["--lake", str(lake.layout.root)]
    done = run(*place, "schedule", "run", "light", "--json")
    failing = run(*place, "schedule", "run", "light", "--fail-on", "no_data,compliant,violation")
    listed = run(*place, "schedule", "list", "--json")
    unknown = run(*place, "schedule", "run", "ghost")

    assert (done.code, done.json["outcome"], done.json["schedule"]) == (0, "done", "light")
    assert (failing.code, unknown.code) == (1, 3)
    (schedule,) = listed.json["schedules"]
    assert (schedule["declared"], schedule["missed"], schedule["last"]["entry"]) == (True, [], 3)
    assert run(*place, "schedule", "list").out.splitlines()[2].split()[:4] == ["light", "1d", "00:15", "failed_logins"]
    assert "schedule light" in run(*place, "runs").out
    assert datetime.fromisoformat(schedule["next"]) > datetime.now(UTC)


def test_a_missed_run_stands_on_the_page_of_reports(lake: AuditLake, clock: Clock) -> None:
    """Neighbours that did not happen are one row; one that came late is a run."""
    declare(lake, LIGHT)
    lake.routine.run("light")
    clock.now += 3 * DAY
    lake.ledger.verify(full=False)
    page = (lake.layout.reports / "index.html").read_text()
    assert "Did not run" in page
    assert "2026-11-25 00:15 to 2026-11-27 00:15" in page
    assert "due 3 times" in page
    lake.routine.run("light")
    assert "Did not run" not in (lake.layout.reports / "index.html").read_text()
