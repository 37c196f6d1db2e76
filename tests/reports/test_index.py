"""The list of reports over a folder in which anything may lie."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from auditlake.reports.compliance import SHARING, ComplianceReport, write_reports
from auditlake.reports.document import render_json
from auditlake.reports.index import write_index
from auditlake.reports.model import Detail, Report
from tests.reports import samples


def links(page: Path) -> list[str]:
    """Where a page links to."""
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            """Notes a link."""
            found.extend(value or "" for name, value in attrs if (tag, name) == ("a", "href"))

    Links().feed(page.read_text())
    return found


def test_lists_the_reports(tmp_path: Path) -> None:
    """Each JSON report is listed, with its page where there is one, and the newest run comes first."""
    old = replace(samples.small(), as_of=samples.AS_OF.replace(year=2025))
    (tmp_path / "compliance_a_old_v1.json").write_bytes(render_json(old))
    (tmp_path / "compliance_z_new_v2.json").write_bytes(render_json(samples.small()))
    (tmp_path / "compliance_z_new_v2.html").write_bytes(b"")
    index = write_index(tmp_path)
    assert links(index) == ["compliance_z_new_v2.html", "compliance_z_new_v2.json", "compliance_a_old_v1.json"]
    assert "1 episode, 1 missing type, 1 gap" in index.read_text()


def test_leaves_out_what_is_no_report(tmp_path: Path) -> None:
    """Broken, foreign and oddly named files, and a folder, neither show up nor stop the list from being written."""
    good = render_json(samples.small())
    (tmp_path / "compliance_good_v1.json").write_bytes(good)
    other = json.loads(good)
    wrong = {
        "empty": b"",
        "cut": good[:-40],
        "binary": b"\xff\xfe\x00",
        "deep": b"[" * 200_000,
        "digits": b"9" * 10_000,
        "list": b"[]",
        "null": b"null",
        "object": b"{}",
        "status": json.dumps(other | {"status": ["violation"]}).encode(),
        "severity": json.dumps(other | {"severity": "dire"}).encode(),
        "name": json.dumps(other | {"policy_name": 7}).encode(),
        "time": json.dumps(other | {"as_of": "2026-02-31T00:00:00.000000Z"}).encode(),
        "finding": json.dumps(other | {"violations": [{}]}).encode(),
        "not plain": good,
    }
    for name, data in wrong.items():
        (tmp_path / f"compliance_{name}_v1.json").write_bytes(data)
    (tmp_path / "compliance_folder_v1.json").mkdir()
    (tmp_path / "compliance_dangling_v1.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "notes.json").write_bytes(good)
    assert links(write_index(tmp_path)) == ["compliance_good_v1.json"]


def _quiet() -> tuple[Report, Detail]:
    """A report whose condition no event met."""
    report, detail = samples.compliant()
    assert report.threshold is not None
    days = tuple(replace(day, peak=day.peak and 0) for day in report.threshold.daily_peaks)
    answer = replace(
        report.threshold, where="status = 'never'", recent_events=0, daily_peaks=days, group_by=("user_id",)
    )
    return replace(report, threshold=answer), detail


def test_quiet_policies_share_the_list(tmp_path: Path) -> None:
    """Among many reports, one whose condition no event met has no page: the list says in words that it was so."""
    report, detail = _quiet()
    quiet = [ComplianceReport(replace(report, policy_id=f"rule_{number:02}"), detail) for number in range(SHARING - 1)]
    other = ComplianceReport(*samples.violation())
    written = write_reports([*quiet, other], tmp_path)
    assert [len(files) for files in written] == [1] * (SHARING - 1) + [2]
    index = write_index(tmp_path)
    assert [link for link in links(index) if link.endswith(".html")] == [written[-1][-1].with_suffix(".html").name]
    assert index.read_text().count(f"no event of {report.total_events:,} matched") == SHARING - 1


def test_few_have_pages_of_their_own(tmp_path: Path) -> None:
    """Fewer reports have a page each, whatever was found."""
    (files,) = write_reports([ComplianceReport(*_quiet())], tmp_path)
    assert {file.suffix for file in files} == {".html", ".json"}


@pytest.mark.parametrize("count", ["recent_events", "ungrouped_events", "where_errors"])
def test_what_was_counted_is_not_quiet(count: str) -> None:
    """Events that matched without a group, or on which the condition failed, are something to look at."""
    report, detail = _quiet()
    assert ComplianceReport(report, detail).is_quiet
    assert report.threshold is not None
    loud = replace(report, threshold=replace(report.threshold, **{count: 1}))
    assert not ComplianceReport(loud, detail).is_quiet
