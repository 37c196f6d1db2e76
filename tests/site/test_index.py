"""The list of reports over a folder in which anything may lie."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from auditlake.errors import ReportError
from auditlake.reports.compliance import SHARING, ComplianceReport, write_reports
from auditlake.reports.document import render_json
from auditlake.reports.model import Detail, Report
from auditlake.site import entries
from auditlake.site.causes import causes_of
from auditlake.site.entries import Folder
from auditlake.site.index import check_index, index_pages, write_index
from auditlake.site.words import control_files
from tests.reports import samples
from tests.site import samples as site


def links(page: Path) -> list[str]:
    """Where a page links to."""
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            """Notes a link."""
            found.extend(value or "" for name, value in attrs if (tag, name) == ("a", "href"))

    Links().feed(page.read_text())
    return found


def name(report: Report, ending: str = "json") -> str:
    """What a report's file is called."""
    return f"compliance_{report.policy_id}_{report.as_of:%Y%m%dT%H%M%SZ}_v{report.evidence.snapshot}.{ending}"


def test_lists_the_newest_of_each_policy_and_the_others_by_name(tmp_path: Path) -> None:
    """The newest report of a policy is read and has its row; an older one is a link among what ran in its year."""
    new = samples.small()
    old = replace(new, as_of=new.as_of.replace(year=2025))
    (tmp_path / name(old)).write_bytes(render_json(old))
    (tmp_path / name(new)).write_bytes(render_json(new))
    (tmp_path / name(new, "html")).write_bytes(b"")
    index = write_index(tmp_path)
    over_time = f"compliance_{new.policy_id}_trend.html"
    assert links(index) == ["index-2025.html", name(new, "html"), over_time, name(new), name(new, "html")]
    assert "1 episode, 1 missing type, 1 gap" in index.read_text()
    assert links(tmp_path / "index-2025.html") == ["index.html", name(old)]


def test_reads_only_what_is_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many reports lie there, one a policy is read."""
    read: list[str] = []
    entry = entries._entry
    monkeypatch.setattr(
        entries, "_entry", lambda folder, each, known: read.append(each.stem) or entry(folder, each, known)
    )
    for day in range(1, 20):
        report = replace(samples.small(), as_of=samples.AS_OF.replace(day=day))
        (tmp_path / name(report)).write_bytes(render_json(report))
    page = write_index(tmp_path).read_text()
    assert read == [name(report).removesuffix(".json")]
    assert page.count("Not on record") == 10
    assert (tmp_path / "index-2026-11.html").read_text().count("Not on record") == 19


def test_leaves_out_what_is_no_report(tmp_path: Path) -> None:
    """Broken, foreign and oddly named files, and a folder, neither have a row nor stop the list from being written."""
    report = samples.small()
    good = render_json(report)
    other = json.loads(good)
    wrong = [
        b"", good[:-40], b"\xff\xfe\x00", b"[" * 200_000, b"9" * 10_000, b"[]", b"null", b"{}",
        json.dumps(other | {"status": ["violation"]}).encode(), json.dumps(other | {"severity": "dire"}).encode(),
        json.dumps(other | {"policy_name": 7}).encode(), json.dumps(other | {"violations": [{}]}).encode(),
        json.dumps(other | {"as_of": "2026-02-31T00:00:00.000000Z"}).encode(),
        good.replace(b'"policy_id": "', b'"policy_id": "x'),
    ]  # fmt: skip
    (tmp_path / name(report)).write_bytes(good)
    for number, data in enumerate(wrong, 1):  # each is newer than the good one
        (tmp_path / f"compliance_{report.policy_id}_20261125T0000{number:02}Z_v1.json").write_bytes(data)
    (tmp_path / f"compliance_{report.policy_id}_20261126T000000Z_v1.json").mkdir()
    (tmp_path / f"compliance_{report.policy_id}_20261127T000000Z_v1.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "compliance_not plain_20261126T000000Z_v1.json").write_bytes(good)
    (tmp_path / f"compliance_{report.policy_id}_99999999T999999Z_v1.json").write_bytes(good)
    (tmp_path / "notes.json").write_bytes(good)
    index = write_index(tmp_path)
    assert index.read_text().count('<code class="under">') == 1
    assert all((tmp_path / link).is_file() for link in links(index))
    assert f'aria-label="JSON of {report.policy_id}"' in index.read_text()
    assert not any(each in link for each in ("not plain", "notes", "9999") for link in links(index))


def test_a_page_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    """Lists of reports of before and of now may be written anew; anything else may not."""
    write_index(tmp_path)
    check_index(tmp_path)
    for title, is_ours in (("Compliance reports", True), ("Home", False)):
        (tmp_path / "index.html").write_text(f"<title>{title}</title>")
        if is_ours:
            check_index(tmp_path)
        else:
            with pytest.raises(ReportError, match="no list of reports"):
                check_index(tmp_path)


def test_frameworks_causes_and_runs() -> None:
    """The index has a row a framework, a line a cause over all of them, and each run of its year."""
    one, two = site.as_json(), site.as_json()
    controls = control_files(site.STEM, ["2"])
    folder = Folder(Path(), frozenset({f"{site.STEM}.html", controls["2"]}))
    pages = index_pages(folder, (), (one, (replace(two[0], about="other", stem="other"), two[1])), site.runs())
    page = pages["index.html"]
    assert [row.word_note for row in page.frameworks] == ["as if in force"] * 2
    assert page.frameworks[0].words == "1 of 8 that a log can show pass, 1 of them only logging"
    reviews = next(row for row in page.causes if row.words.startswith("1 review missed"))
    assert [link.file for _, links, _ in reviews.frameworks for link in links] == [controls["2"], None]
    begins = next(row for row in page.causes if row.words.startswith("The lake begins on"))
    assert len(begins.frameworks) == 2
    assert [row.word for row in page.runs] == [
        "Not finished", "Ended with an error", "Not on record", "Ran", "Ran", "Ran",
    ]  # fmt: skip
    assert [row.when[:4] for row in pages["index-2025.html"].runs] == ["2025"]
    assert not pages["index-2025.html"].is_newest


def test_a_cause_names_nobody() -> None:
    """What an episode is about stays on the page of its policy, which retention and erasure know."""
    finding = {"id": "1", "kind": "threshold_exceeded", "message": "ana", "group": {"user_id": "ana"}}
    check = {
        "status": "fail", "policy": "p--a", "slots": [], "kind": "policy", "reason": "ana", "measures": {},
        "findings": [finding],
    }  # fmt: skip
    control = {"id": "1", "status": "fail", "parts": [], "checks": [check]}
    (cause,) = causes_of([{"controls": [control]}])
    assert cause.words == "1 finding of p--a"


def test_a_cause_counts_what_nobody_accepted() -> None:
    """Of the intervals that were missed, those of an accepted finding are nobody's to mend."""
    days = [f"2026-09-0{n}T00:00:00.000000Z" for n in range(1, 5)]
    slots = [{"start": start, "end": end, "state": "missed"} for start, end in pairwise(days)]
    found = {"id": "1", "kind": "review_missed", "start": days[0], "end": days[2], "accepted": {"owner": "bea"}}
    check = {
        "status": "fail", "policy": None, "slots": slots, "kind": "review", "reason": "r", "measures": {},
        "findings": [found, {**found, "id": "2", "start": days[2], "end": days[3], "accepted": None}],
    }  # fmt: skip
    (cause,) = causes_of([{"controls": [{"id": "1", "status": "fail", "parts": [], "checks": [check]}]}])
    assert cause.words == "1 review missed"


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
    pages = {link for link in links(index) if link.endswith(".html") and not link.endswith("_trend.html")}
    assert pages == {written[-1][-1].with_suffix(".html").name}
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
