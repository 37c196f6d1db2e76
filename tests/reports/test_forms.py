"""Both forms of a report's JSON, and a report that finds more than it lists."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow.parquet as pq
import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from auditlake.errors import ReportError
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.files import _PIECE, TakenError, write_once
from auditlake.site import entries
from auditlake.site.index import write_index
from tests.lakes import create

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOISY = """
name: Noisy
description: Every event is an episode.
required_events: [auth_failure]
retention_period: 30d
alert_threshold: 1
window: 1min
group_by: [user_id]
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake with 24 episodes of three users, of which those of one are accepted."""
    folder = tmp_path_factory.mktemp("noisy")
    lake = create(folder / "lake", clock=lambda: NOON)
    lake.ingest([
        AuditEvent("auth_failure", NOON - timedelta(minutes=5 * (24 - number)), user_id="abc"[min(number // 8, 2)])
        for number in range(24)
    ])  # fmt: skip
    (folder / "noisy.yaml").write_text(NOISY)
    lake.policies.add(folder / "noisy.yaml")
    first = lake.findings.list("noisy")[0].finding
    lake.findings.accept(first.id, reason="a drill", owner="ops", until=NOON + timedelta(days=1))
    return lake


@pytest.fixture(scope="module")
def report(lake: AuditLake) -> ComplianceReport:
    """The report, which lists ten findings."""
    return lake.report("noisy").relisted(10)


def said(made: ComplianceReport, form: int = 2) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(made.json(form))
    return document


def test_what_is_listed_is_bounded(report: ComplianceReport, tmp_path: Path) -> None:
    """Beyond the bound the first are listed; all are counted, lie beside it as Parquet, and make the verdict."""
    document = said(report)
    more = document["more_findings"]
    assert document["findings_by_kind"] == {"threshold_exceeded": 24, "missing_required_type": 0, "coverage_gap": 0}
    assert (document["status"], document["threshold"]["episodes"]) == ("violation", 24)
    assert (more["listed"], more["total"], more["accepted"]) == (10, 24, 8)
    assert [each["id"] for each in document["violations"]] == [each.id for each in report.findings[:10]]
    groups = [(each["group"], each["findings"], each["accepted"], each["peak"]) for each in more["largest_groups"]]
    assert groups == [({"user_id": name}, 8, 8 * (name == "a"), 1) for name in "abc"]
    data = next(path for path in report.write(tmp_path, ["json"]) if path.name == more["file"]).read_bytes()
    assert f"sha256:{hashlib.sha256(data).hexdigest()}" == more["sha256"]
    rows = pq.read_table(tmp_path / more["file"]).to_pylist()
    assert [row["id"] for row in rows] == [each.id for each in report.findings]
    assert [row["start"] for row in rows] == [each.start for each in report.findings]
    assert [row["accepted_owner"] for row in rows] == ["ops"] * 8 + [None] * 16
    assert said(report.relisted(24))["more_findings"] is None


def test_acceptances_count_beyond_the_list(lake: AuditLake, report: ComplianceReport) -> None:
    """The verdict is about all findings: what is accepted beyond the list counts, and so does what is open there."""
    accepted = replace(report.report.violations[0]).accepted
    every = tuple(replace(each, accepted=accepted) for each in report.report.violations)
    most = (*every[:-1], replace(every[-1], accepted=None))
    assert lake.report("noisy").status == "violation"
    for findings, number in ((every, 24), (most, 23)):
        made = replace(report, report=replace(report.report, violations=findings), _cache={})
        assert said(made)["more_findings"]["accepted"] == number
    assert report.relisted(10).status == lake.report("noisy").status


def test_lake_toml_sets_the_bound(lake: AuditLake, tmp_path: Path) -> None:
    """The key max_findings says how many findings a report lists, and a pack holds all of them and all their events."""
    config = lake.layout.config
    before = config.read_bytes()
    config.write_bytes(b"max_findings = 5\n" + before)
    try:
        bounded = auditlake.open(lake.layout.root, clock=lambda: NOON)
        made = bounded.report("noisy")
        assert len(said(made)["violations"]) == 5
        pack = bounded.evidence("noisy", tmp_path / "pack.zip")
    finally:
        config.write_bytes(before)
    with ZipFile(pack.path) as archive:
        names = archive.namelist()
        assert f"reports/noisy/{said(made)['more_findings']['file']}" in names
        assert [name for name in names if "/events/" in name] == [
            "reports/noisy/events/threshold_exceeded.csv", "reports/noisy/events/threshold_exceeded.parquet",
        ]  # fmt: skip
        assert len(archive.read("reports/noisy/findings.csv").splitlines()) == 25
        lines = archive.read("reports/noisy/events/threshold_exceeded.csv").decode().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [each.id for each in made.findings]
    assert dict(pack.events) == {each.id: 1 for each in made.findings}


def test_the_index_does_not_read_long_lists(
    report: ComplianceReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of reports says as much of a large report as of a small one, in both forms, and reads no findings."""
    path = tmp_path / "compliance_noisy_20261124T060000Z_v1.json"
    for form in (2, 1):
        path.write_bytes(report.json(form))
        page = write_index(tmp_path).read_bytes()
        assert b"24 episodes" in page
        monkeypatch.setattr(entries, "_LARGE", 1)
        assert write_index(tmp_path).read_bytes() == page
        monkeypatch.undo()
    monkeypatch.setattr(entries, "_LARGE", 1)
    path.write_bytes(report.json().replace(b'"ongoing": false', b'"ongoing": nothing', 1))
    assert b"24 episodes" in write_index(tmp_path).read_bytes()


def test_form_1_lists_everything(lake: AuditLake, report: ComplianceReport) -> None:
    """The first form lists every finding and has the keys that it always had, in their order."""
    first = said(report, 1)
    assert (first["report_version"], len(first["violations"])) == (1, 24)
    new = {"error", "findings_by_kind", "more_findings", "measures"}
    assert list(first) == [key for key in said(report) if key not in new]
    assert set(first["coverage"]) == {"max_gap", "silent_days"}
    with pytest.raises(ReportError, match="no form 3"):
        report.json(3)


@pytest.mark.parametrize(("left_out", "word"), [("alert_threshold", "threshold"), ("retention_period", "retention")])
def test_form_1_needs_every_answer(lake: AuditLake, tmp_path: Path, left_out: str, word: str) -> None:
    """A policy that leaves a question out has a second form with a null there, and no first form."""
    text = "".join(line for line in NOISY.splitlines(keepends=True) if left_out not in line)
    if left_out == "alert_threshold":
        text = text.replace("window: 1min\ngroup_by: [user_id]\n", "")
    (tmp_path / "some.yaml").write_text(text)
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "some.yaml").write_text(text)
    made = lake.report("some", policies=folder)
    assert said(made)["threshold" if word == "threshold" else "retention"] is None
    with pytest.raises(ReportError, match=f"cannot be written in form 1: the policy has not a {word}"):
        made.json(1)


@pytest.mark.parametrize("form", [1, 2])
def test_a_report_is_performed_again_in_its_form(
    lake: AuditLake, report: ComplianceReport, tmp_path: Path, form: int
) -> None:
    """Either form, bounded or not, is compared with the same; another spelling of a statement changes no number."""
    for made in (report, report.relisted(100)):
        path = tmp_path / "report.json"
        path.write_bytes(made.json(form))
        done = lake.reperform(path)
        assert (done.identical, done.differences, done.statements) == (True, (), ())
    document = said(report, form)
    document["evidence"]["queries"][0]["sql"] += " "
    document["evidence"]["queries"][0]["rows"] += 1
    path.write_text(json.dumps(document))
    done = lake.reperform(path)
    where = "evidence.queries[rolling_counts]"
    assert (done.identical, [each.where for each in done.statements]) == (True, [f"{where}.sql", f"{where}.rows"])
    assert "the statements differ" in done.reasons[0]
    document["total_events"] += 1
    document["evidence"]["queries"][1]["rows"] += 1
    path.write_text(json.dumps(document))
    done = lake.reperform(path)
    assert [each.where for each in done.differences] == ["total_events", "evidence.queries[threshold_totals].rows"]
    assert not done.identical


def test_a_finding_changed_beyond_the_list_is_found(lake: AuditLake, report: ComplianceReport, tmp_path: Path) -> None:
    """The digest covers every finding; a file with the same findings in other bytes is no difference of numbers."""
    document = said(report)
    path = tmp_path / "report.json"
    document["more_findings"]["sha256"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(document))
    assert [each.where for each in lake.reperform(path).statements] == ["more_findings.sha256"]
    document["more_findings"]["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(document))
    done = lake.reperform(path)
    assert {each.where for each in done.differences} == {"more_findings.sha256", "more_findings.digest"}


def test_an_old_cutoff_is_no_difference(lake: AuditLake, tmp_path: Path) -> None:
    """The first form said the instant ahead of 1970 for every cutoff before it: that is the same number in its form."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "noisy.yaml").write_text(NOISY.replace("30d", "57y"))
    for form, is_same in ((1, True), (2, False)):
        document = said(lake.report("noisy", policies=folder), form)
        document["retention"]["cutoff"] = "1969-12-31T23:59:59.999999Z"
        path = tmp_path / f"{form}.json"
        path.write_text(json.dumps(document))
        assert lake.reperform(path, policies=folder).identical is is_same
    document["period"]["since"] = "2026-02-31T00:00:00.000000Z"
    path.write_text(json.dumps(document))
    with pytest.raises(ReportError, match="a day that there is not"):
        lake.reperform(path)


@pytest.mark.parametrize("size", [0, 5, _PIECE, _PIECE + 1])
def test_files_are_compared_to_their_end(tmp_path: Path, size: int) -> None:
    """The same bytes are left as they are; a byte more, less or other is another file, however long it is."""
    data, path = bytes(size), tmp_path / "report.json"
    write_once(path, data)
    write_once(path, data)
    for other in (data + b"\n", data[1:] or b"\n", data[:-1] + b"\n"):
        if other != data:
            with pytest.raises(TakenError):
                write_once(path, other)
