"""Frameworks on a lake: judged together with its policies, written, done again, and on record."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.cli import main
from auditlake.disk.layout import Layout
from auditlake.engine import duck
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row
from auditlake.errors import PackError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.frameworks.document import check_framework, framework_dict
from auditlake.frameworks.judge import judge
from auditlake.frameworks.records.model import Case
from auditlake.packs.effective import SHIPPED, read_packs
from auditlake.policies.shared import Shared, shared
from auditlake.query import view
from auditlake.runs.model import Run
from auditlake.store.model import DataFile
from auditlake.store.snapshot import file_paths
from auditlake.testing import Clock
from tests.frameworks.cases import QUESTION
from tests.frameworks.test_precedence import EVIDENCE

NOW = datetime(2026, 9, 14, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIOD = {"since": NOW - 7 * DAY, "until": NOW - timedelta(microseconds=1)}
HEAD = """
pack: 1
publisher: us
about: What we ask of ourselves.
revision: 2026-09-01.1
recheck: 2027-01-01
status:
  - {from: 2026-01-01, state: in_force, cites: [S]}
sources:
  - {id: S, title: the board's decision, checked: primary}
"""
HOUSE = f"""{HEAD}
id: house
framework: House rules
edition: "2026"
parameters:
  keep: {{type: duration, default: 30d, stricter: longer, cites: ["5"]}}
retention: {{min: $keep, basis: mandatory, cites: ["5"]}}
policies:
  sign_ins:
    name: Sign-ins
    description: Sign-ins
    required_events: [login]
    fields: {{user: [user_id]}}
  refused:
    name: Refused
    description: Three refused sign-ins
    required_events: [auth_failure]
    alert_threshold: 3
    window: 1h
controls:
  - {{id: "1", title: Sign-ins are recorded, shows: logging, policies: [sign_ins], cites: [S]}}
  - {{id: "2", title: Somebody looks, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{review: {{every: 7d, of: [refused], within: 2d}}}}]}}
  - {{id: "3", title: What is found is dealt with, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{response: {{within: 1d, of: [refused]}}}}]}}
  - {{id: "4", title: Logs arrive, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{arrival: {{within: 7d, share: 0.99}}}}, {{clock: {{ahead: 2min}}}}]}}
  - {{id: "5", title: Logs are kept, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{retention: {{min: $keep}}}}]}}
  - {{id: "6", title: Staff are trained, shows: nothing, cites: [S]}}
"""
OTHER = f"""{HEAD}
id: other
framework: Other rules
edition: "1"
policies:
  reads: {{name: Reads, description: Reads, required_events: [data_access]}}
controls:
  - {{id: A, title: Reads are recorded, shows: logging, policies: [reads], cites: [S]}}
  - {{id: B, title: Logs arrive at once, shows: operation, says: s, says_not: n, cites: [S],
      records: [{{arrival: {{within: 1min, share: 0}}}}]}}
"""
SETTINGS = "packs:\n  house: {revision: 2026-09-01.1}\n  other: {revision: 2026-09-01.1}\n"


def events() -> list[dict]:
    """Return five weeks of sign-ins, one of them without a user, and four refused ones in an hour."""
    logins = [{"event_type": "login", "timestamp": NOW - n * 8 * HOUR, "user_id": "ana"} for n in range(1, 110)]
    refused = [{"event_type": "auth_failure", "timestamp": NOW - 5 * DAY + n * HOUR / 6} for n in range(4)]
    nobody = [{"event_type": "login", "timestamp": NOW - 3 * DAY - HOUR, "user_id": " unknown "}]
    return [{"source": "auditlake", "status": "x", **each} for each in logins + refused + nobody]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake with two packs, judged by a person and by a run; nothing of it changes any more."""
    folder, clock = tmp_path_factory.mktemp("frameworks") / "lake", Clock(NOW - 40 * DAY)
    made = auditlake.create(folder, clock=clock, unsigned=True)
    for file in made.layout.policies.glob("*.yaml"):
        file.unlink()
    made.layout.packs.mkdir()
    made.layout.pack("house").write_text(HOUSE)
    made.layout.pack("other").write_text(OTHER)
    made.layout.frameworks.write_text(SETTINGS)
    (made.layout.policies / "ours.yaml").write_text(
        "name: Ours\ndescription: Ours\nrequired_events: [login]\ncontrols: {Other rules: [A]}\n"
    )
    clock.now = NOW
    made.ingest([each for each in events() if each["timestamp"] < NOW - 6 * DAY], history="the first month")
    made.ingest([each for each in events() if each["timestamp"] >= NOW - 6 * DAY])
    made.findings.review("house--refused", note="seen", by="ana", **PERIOD)
    made.decisions.state("house", "6", met=True, note="the list of the course", by="bea", until=NOW + 300 * DAY)
    clock.now = NOW + HOUR
    return made


def test_two_packs_are_judged_on_one_lake(lake: AuditLake) -> None:
    """Each control stands as its events, its records and its people say."""
    house, other = lake.frameworks.reports(**PERIOD)

    assert {each.id: (each.status, each.basis) for each in house.report.controls} == {
        "1": ("fail", "log"), "2": ("pass", "records"), "3": ("fail", "records"), "4": ("pass", "records"),
        "5": ("pass", "records"), "6": ("pass", "statement"),
    }  # fmt: skip
    assert [each.kind for each in house.controls["1"].findings] == ["field_incomplete"]
    assert [each.kind for each in house.controls["3"].findings] == ["response_missing"]
    assert other.controls["A"].status == "fail"
    assert [each.policy for each in other.controls["A"].checks] == ["other--reads", "ours"]
    assert (house.report.verdict, house.report.applicable, house.report.failing) == ("Not met", 6, 2)


def test_coverage_and_retention_are_in_the_report(lake: AuditLake) -> None:
    """A row by type and source, a cell by day; and who asks how long events are kept."""
    report = lake.frameworks.report("house", **PERIOD).report

    logins = next(each for each in report.coverage.rows if each.event_type == "login")
    assert logins.cells == (2, 3, 3, 4, 3, 3, 3)
    assert (logins.events, logins.filled) == (21, {"user_id": 20})
    refused = next(each for each in report.coverage.rows if each.event_type == "auth_failure")
    assert refused.cells == ("none", "none", 4, "none", "none", "none", "none")
    assert [(each.event_type, each.keep and each.keep.length) for each in report.retention] == [
        ("auth_failure", "30d"), ("login", "30d"),
    ]  # fmt: skip
    late = lake.frameworks.report("other", **PERIOD).report.coverage.rows[0]
    assert (late.source, late.first, set(late.cells)) == (None, None, {"none"})


def test_a_report_has_the_same_bytes_alone_and_with_others(lake: AuditLake) -> None:
    """Which packs are judged together changes nothing, and its schema knows every key."""
    together = {each.pack_id: each.json() for each in lake.frameworks.reports(**PERIOD)}

    assert lake.frameworks.report("house", **PERIOD).json() == together["house"]
    assert b"%" not in together["house"].replace(b" % ", b"")
    assert list(json.loads(together["house"])["counts"]) == [
        "fail", "not_evaluated", "no_data", "exception", "pass", "not_applicable"
    ]  # fmt: skip


def test_counts_that_come_with_policies_are_those_of_the_facts(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted in one scan with what policies ask gives the bytes that it gives by itself."""
    period = PERIOD | {"until": NOW - 4 * DAY}
    alone = [each.json() for each in lake.frameworks.reports(**period)]
    counted: list[Shared | None] = []

    def of_any_number(*arguments: Any, **options: Any) -> Shared | None:
        counted.append(shared(*arguments, **options, fewest=1))
        return counted[-1]

    monkeypatch.setattr("auditlake.frameworks.run.shared", of_any_number)
    assert [each.json() for each in lake.frameworks.reports(**period)] == alone
    assert any(counted)


@pytest.mark.parametrize("name", ["cube", "arrivals"])
def test_counts_are_those_of_the_statement_in_the_evidence(
    lake: AuditLake, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is counted of data files gives the rows of the statement that the report names."""
    period, run, counted = PERIOD | {"until": NOW - 4 * DAY}, DuckEngine.rows, list[Row]()

    def rows(engine: DuckEngine, sql: str, *values: Any) -> list[Row]:
        found = run(engine, sql, *values)
        counted.extend(found if f"name: shared_{name}(" in sql else ())
        return found

    monkeypatch.setattr(DuckEngine, "rows", rows)
    queries = lake.frameworks.report("house", **period).report.evidence.queries
    (told,) = (each for each in queries if each.name == name)
    *before, asked = told.sql.split(";\n\n")
    with view.engine(lake._context, lake.snapshot().version) as (connection, _):
        for each in before:
            duck.rows(connection, each)
        assert duck.rows(connection, asked, told.parameters) == counted
    at = {"cube": 3, "arrivals": 2}[name]
    assert sum(each[at] for each in counted) == {"cube": 114, "arrivals": 13}[name]


def test_counts_of_data_files_are_kept(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report has the same bytes whether counts of data files were made by it, before it, or not at all; once they are
    made, rows are read of the days alone that the period cuts.
    """
    read: list[date] = []

    def paths(layout: Layout, some: Iterable[DataFile]) -> list[Path]:
        read.extend(each.day for each in some)
        return file_paths(layout, [*some])

    shutil.rmtree(lake.layout.summaries, ignore_errors=True)
    monkeypatch.setattr("auditlake.summaries.lake.FEWEST", 0)
    monkeypatch.setattr("auditlake.summaries.lake.file_paths", paths)
    monkeypatch.setattr("auditlake.frameworks.run.shared", partial(shared, fewest=1))
    alone = [each.json() for each in lake.frameworks.reports(**PERIOD, cache=False)]
    assert not read
    assert [each.json() for each in lake.frameworks.reports(**PERIOD)] == alone
    assert {file.day for file in lake.snapshot().files} == {*read}
    read.clear()
    assert [each.json() for each in lake.frameworks.reports(**PERIOD)] == alone
    assert {*read} <= {each.date() for each in (PERIOD["since"], NOW)}


def test_the_command_writes_reports_and_records_the_answers(
    lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """report --framework writes the framework and its policies; the run says so; reperform gives the same bytes."""
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None, raising=False)

    def run(*arguments: object) -> tuple[int, dict]:
        monkeypatch.setattr("sys.argv", ["auditlake", "--lake", str(lake.layout.root), *map(str, arguments), "--json"])
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), json.loads(capsys.readouterr().out)

    asked = ("report", "--framework", "house", "--out", tmp_path, "--since", "2026-09-07", "--until", "2026-09-13",
             "--as-of", "2026-09-14", "--format", "json")  # fmt: skip
    code, said = run(*asked, "--fail-on", "fail")

    (framework,) = said["frameworks"]
    assert (code, framework["status"]) == (1, "fail")
    assert {each["policy_id"] for each in said["reports"]} == {"house--sign_ins", "house--refused"}
    assert Path(framework["files"][0]).name.startswith("framework_house_20260914T235959Z_v")
    (line,) = [each for each in lake.runs.all() if isinstance(each, Run)]
    assert line.packs["house"].controls == framework["controls"]
    assert "house--refused" in line.answers

    assert run(*asked, "--fail-on", "not_evaluated")[0] == 0
    assert run("reperform", framework["files"][0]) == (0, {
        "policy_id": "house", "as_of": "2026-09-14T23:59:59.999999Z", "snapshot": framework["snapshot"],
        "identical": True, "differences": [], "statements": [], "signer": "", "reasons": [],
    })  # fmt: skip
    changed = json.loads(Path(framework["files"][0]).read_text())
    changed["controls"][0]["status"] = "pass"
    (tmp_path / "changed.json").write_text(json.dumps(changed))
    code, said = run("reperform", tmp_path / "changed.json")
    assert code == 1
    assert [each["where"] for each in said["differences"]] == ["controls[1].status"]


def test_an_evidence_pack_is_enough_to_judge_again(lake: AuditLake, tmp_path: Path) -> None:
    """It has the packs, the settings and the journals: what the lake has now plays no part."""
    settings = lake.layout.frameworks.read_text()
    longer = "house: {revision: 2026-09-01.1, parameters: {keep: 31d}}"
    lake.layout.frameworks.write_text(settings.replace("house: {revision: 2026-09-01.1}", longer))
    try:
        made = lake.evidence([], tmp_path / "pack.zip", frameworks=["house"], **PERIOD)
        assert [each.place for each in made.frameworks[0].report.settings] == ["frameworks.yaml:2:48"]
        lake.layout.frameworks.write_text("packs: {}\n")
        assert lake.reperform(made.path).identical
    finally:
        lake.layout.frameworks.write_text(settings)


def test_a_weaker_value_that_nobody_decided_is_refused(lake: AuditLake) -> None:
    """It stops the report of its own pack alone, with the place in the file; once decided, controls are exceptions."""
    settings = lake.layout.frameworks.read_text()
    weaker = "house: {revision: 2026-09-01.1, parameters: {keep: 20d}}"
    lake.layout.frameworks.write_text(settings.replace("house: {revision: 2026-09-01.1}", weaker))
    try:
        with pytest.raises(PackError, match=r"frameworks\.yaml:2:.*20d is weaker than 30d"):
            lake.frameworks.report("house", **PERIOD)
        assert lake.frameworks.report("other", **PERIOD).status == "fail"
    finally:
        lake.layout.frameworks.write_text(settings)


def packs() -> list[Case]:
    """Return every pack that ships, with no report at hand."""
    files = {each.stem: each.read_bytes() for each in SHIPPED.glob("*.yaml")}
    revisions = {
        name: next(line for line in content.decode().splitlines() if line.startswith("revision:")).split()[1]
        for name, content in files.items()
    }
    settings = "packs:\n" + "".join(f"  {name}: {{revision: {each}}}\n" for name, each in revisions.items())
    found = read_packs(files, settings.encode(), BUILT_IN_TYPES)
    assert not found.problems
    policies = tuple(chain.from_iterable(each.policies.values() for each in found.packs.values()))
    return [Case(each, QUESTION, policies=policies) for each in found.packs.values()]


def test_every_pack_that_ships_is_judged_and_fits_the_schema() -> None:
    """On a lake without anything, no control passes, and each report has its JSON."""
    made = [judge(each, evidence=EVIDENCE) for each in packs()]

    assert len(made) == 15
    assert all(each.status != "pass" for report in made for each in report.controls)
    schema_of = [framework_dict(each) | {"evidence": _evidence(framework_dict(each))} for each in made]
    for each in schema_of:
        check_framework(each)
    assert all("compliance" not in each.verdict.lower() for each in made)


def _evidence(values: dict) -> dict:
    digests = dict.fromkeys(("inputs_digest", "pack_digest"), "sha256:" + "0" * 64)
    return values["evidence"] | digests


@pytest.mark.soak
def test_every_pack_that_ships_is_judged_on_a_lake(tmp_path: Path) -> None:
    """Their policies run over events, and each report has its bytes."""
    made = auditlake.create(tmp_path / "lake", clock=Clock(NOW), unsigned=True)
    made.ingest(events())
    for each in sorted(SHIPPED.glob("*.yaml")):
        made.packs.add(each.stem)

    assert len([each.json() for each in made.frameworks.reports()]) == 15
