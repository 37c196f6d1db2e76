"""A nightly run: each step is told, one that fails stops only what needs it, and it deletes only what it may."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake.config import FORMS
from auditlake.disk.lock import exclusive
from auditlake.errors import LakeBusyError, LakeFormatError, ReportError, RunUnderWayError
from auditlake.forms.table import NAMES
from auditlake.runs.journal import last_verification
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.collect.conftest import Collecting, event
from tests.frameworks.test_lake import OTHER
from tests.lakes import create

OLD = (datetime.now(UTC) - timedelta(days=500)).isoformat()
POLICY = "name: Kept\ndescription: Logins are kept for a month\nrequired_events: [login]\nretention_period: 30d\n"
APPLY = "\n[nightly]\napply = true\nmax_events = 5\nmax_days = 1\n"
STEPS = ["collect", "flush", "verify", "report", "compact", "retention"]


@pytest.fixture
def due(collecting: Collecting) -> Collecting:
    """A lake with one policy, and a folder `own` with an event that is due and one that is not."""

    def make(more: str = "", **options: str) -> auditlake.AuditLake:
        lake = collecting("own", more=more, **options)
        for file in lake.layout.policies.glob("*.yaml"):
            file.unlink()
        (lake.layout.policies / "kept.yaml").write_text(POLICY)
        (lake.layout.root / "own").mkdir(exist_ok=True)
        recent = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        (lake.layout.root / "own" / "a.jsonl").write_bytes(event("old", timestamp=OLD) + event("new", timestamp=recent))
        return lake

    return make


def outcomes(done: auditlake.upkeep.routine.RoutineSummary) -> list[str]:  # type: ignore[name-defined]
    return [each.outcome for each in done.steps]


def test_every_step_is_done(due: Collecting) -> None:
    """A run collects, flushes, verifies, reports, compacts and plans, in this order, and deletes nothing unasked."""
    lake = due()
    lake.log(event_type="login", user_id="bob")
    done = lake.routine.nightly()

    assert [each.name for each in done.steps] == STEPS
    assert (outcomes(done), done.ok) == (["done"] * 6, True)
    assert done["collect"].facts["landed"] == 2
    assert done["flush"].facts["landed"] == 1
    assert done["report"].facts["policies"].keys() == {"kept"}
    assert (lake.layout.reports / "index.html").exists()
    assert (done["retention"].facts["due"], done["retention"].facts["applied"]) == (1, False)
    assert len(lake.events().fetchall()) == 3
    verified, made = lake.runs.all()
    assert (verified.level, verified.kept, verified.ok) == ("quick", False, True)
    assert (made.verb, made.answers["kept"].governed, made.answers["kept"].status) == ("nightly", 2, "compliant")


def test_retention_is_applied_where_lake_toml_says_so(due: Collecting) -> None:
    """A plan within the limits is carried out, with a certificate; the next night has nothing to delete."""
    lake = due(APPLY)
    done, again = lake.routine.nightly(operator="cron"), lake.routine.nightly()

    assert done["retention"].facts["applied"]
    (certificate,) = lake.layout.certificates.glob("*.json")
    assert certificate.stem == done["retention"].facts["certificate"]
    assert "cron" in certificate.read_text()
    assert (again["retention"].facts["due"], again["retention"].outcome) == (0, "done")
    assert len(lake.events().fetchall()) == 1


def test_more_forms_where_lake_toml_says_so(due: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night writes the forms that lake.toml names beside page and JSON; a PDF that cannot be made is told."""

    def refused(*_: object) -> Path:
        raise ReportError("no PDF tonight")

    monkeypatch.setattr("auditlake.site.beside._pdf", refused)
    lake = due('\n[reports]\nforms = ["csv", "pdf"]\n')
    done = lake.routine.nightly()["report"]
    assert (done.outcome, done.told) == ("failed", ("kept: no PDF tonight",))
    assert {each.suffix for each in lake.layout.reports.glob("compliance_kept_*_v*")} == {".csv", ".html", ".json"}
    assert NAMES == FORMS
    with pytest.raises(LakeFormatError, match=r"reports\.forms: expected a list of some of json, html, pdf"):
        due('\n[reports]\nforms = ["docx"]\n')


LIMITS = {
    "apply = true": "sets no max_events",
    "apply = true\nmax_events = 0\nmax_days = 9": "max_events of lake.toml is 0, and the plan has 1",
    "apply = true\nmax_events = 9\nmax_days = 0": "max_days of lake.toml is 0, and the plan has 1",
}


def test_a_plan_beyond_the_limits_waits_for_a_person(due: Collecting) -> None:
    """A plan that is larger than lake.toml allows, or for which it sets no limit, is told and not carried out."""
    for settings, why in LIMITS.items():
        done = due(f"\n[nightly]\n{settings}\n").routine.nightly()
        assert done["retention"].outcome == done.outcome == "no"
        assert any(why in each for each in done["retention"].told), settings
        assert not done["retention"].facts["applied"]


def spoil_policy(lake: auditlake.AuditLake) -> None:
    (lake.layout.policies / "other.yaml").write_text("name: [\n")


def spoil_mapping(lake: auditlake.AuditLake) -> None:
    lake.layout.sources.mkdir()
    (lake.layout.sources / "mine.yaml").write_text("name: [\n")


def test_a_night_counts_what_its_line_of_the_journal_counts(tmp_path: Path) -> None:
    """A batch with several changed parts is one thing that is wrong, in the summary as on record."""
    lake, days = create(tmp_path / "lake"), [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2)]
    lake.ingest([auditlake.AuditEvent("login", day, user_id="u", event_id=f"{day}") for day in days])
    for file in lake.layout.events.rglob("*.parquet"):
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    step = lake.routine.nightly()["verify"]
    recorded = last_verification(lake.layout)

    assert recorded is not None
    assert step.facts["problems"] == recorded.problems < len(step.told)


def spoil_file(lake: auditlake.AuditLake) -> None:
    (file,) = [path for path in lake.layout.events.rglob("*.parquet") if b"old" in path.read_bytes()][:1]
    file.write_bytes(file.read_bytes()[:-1] + b"x")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (spoil_policy, ["done", "done", "done", "failed", "done", "failed"]),
        (spoil_mapping, ["done", "done", "done", "done", "done", "failed"]),
        (spoil_file, ["done", "done", "wrong", "*", "skipped", "*"]),
    ],
)  # fmt: skip
def test_nothing_is_deleted_after_a_failure(due: Collecting, spoil, expected: list[str]) -> None:
    """A policy or mapping that cannot be used, or a lake that is not as recorded, keeps every event where it is."""
    lake = due(APPLY)
    lake.routine.collect()
    spoil(lake)
    done = lake.routine.nightly()

    assert [got for got, want in zip(outcomes(done), expected, strict=True) if want != "*"] == [
        want for want in expected if want != "*"
    ]
    assert not done.ok
    assert not done["retention"].facts.get("applied")
    assert not list(lake.layout.certificates.iterdir())


def test_a_failing_step_does_not_stop_the_others(due: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place that is not there is told, and all other steps are done."""
    lake = due()
    (lake.layout.root / "own" / "a.jsonl").unlink()
    (lake.layout.root / "own").rmdir()
    done = lake.routine.nightly()

    assert outcomes(done) == ["no", *["done"] * 5]
    assert "own does not exist" in done["collect"].told[0]


def test_nothing_is_deleted_without_reports(due: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the policies could not be judged, the plan is made, told, and waits for a person."""

    def reports(*_: object, **__: object) -> None:
        raise ReportError("the disk refused")

    lake = due(APPLY)
    monkeypatch.setattr("auditlake.facets.runs.Recording.judged", reports)
    done = lake.routine.nightly()

    assert outcomes(done) == ["done", "done", "done", "failed", "done", "no"]
    assert done["retention"].told == ("the policies could not be judged",)


def test_fail_on(due: Collecting) -> None:
    """A status that the caller names counts as a failure, be it one of a policy or of a framework."""
    lake = due()
    lake.layout.packs.mkdir()
    lake.layout.pack("other").write_text(OTHER)
    lake.layout.frameworks.write_text("packs: {other: {revision: 2026-09-01.1}}\n")
    first = lake.routine.nightly()["report"]
    status = first.facts["policies"]["kept"]
    done = lake.routine.nightly(fail_on=[status, "fail"])

    assert (first.told, first.facts["frameworks"], first.said.endswith("; other fail")) == ((), {"other": "fail"}, True)
    assert (done["report"].outcome, done.outcome) == ("no", "no")
    assert done["report"].told == (f"kept: {status.replace('_', ' ')}", "other: fail")


def test_a_second_run_ends(due: Collecting) -> None:
    """A second run at the same time says so, ends, and does nothing."""
    lake = due()
    own = lake.layout.schedule_lock("nightly")
    own.parent.mkdir()
    with exclusive(own, wait_seconds=0), pytest.raises(RunUnderWayError, match="another run of the schedule nightly"):
        lake.routine.nightly()
    impatient = auditlake.AuditLake(lake.layout.root, wait_seconds=0)
    with exclusive(lake.layout.nightly_lock, wait_seconds=0), pytest.raises(LakeBusyError, match="another schedule"):
        impatient.routine.nightly()

    assert not lake.layout.collected.exists()


def test_the_commands(due: Collecting, run: Run, tmp_path: Path) -> None:  # noqa: F811
    """The commands print a summary or JSON, and end with the code of the worst that happened."""
    lake = due()
    collected = run("collect", "--json")
    nightly = run("nightly", "--json")
    told = run("nightly")
    with exclusive(lake.layout.schedule_lock("nightly"), wait_seconds=0):
        second = run("nightly")
        machine = run("schedule", "run", "nightly", "--json")
    (lake.layout.root / "own" / "bad.jsonl").write_text("{}\n")
    quarantined = run("--quiet", "collect")
    spoil_file(lake)
    wrong = run("--quiet", "nightly")

    assert (collected.code, collected.json["landed"], collected.json["places"][0]["taken"]) == (0, 2, 1)
    assert (nightly.code, nightly.json["outcome"]) == (0, "done")
    assert [each["name"] for each in nightly.json["steps"]] == STEPS
    assert [line.split()[:2] for line in told.out.splitlines()[:6]] == [[name, "done"] for name in STEPS]
    assert (second.code, second.out, machine.json["outcome"]) == (0, "", "skipped")
    assert "another run of the schedule nightly is at work" in second.err
    assert (quarantined.code, quarantined.out) == (0, "")  # one of three records
    assert wrong.code == 4
    assert "not as it was recorded" in wrong.err
    assert json.loads(run("collect", "--json").out)["known"] == 2
