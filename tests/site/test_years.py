"""The index of a year of runs: what stands on it, what on the pages of its months, and what is written again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.disk.layout import Layout, report_stem
from auditlake.reports.document import render_json
from auditlake.runs.journal import entry_dict, read
from auditlake.runs.model import Answer, Declaration, Entry, FailedRun, PackAnswer, Run, Verification
from auditlake.runs.newest import RunsOfYear, newest_year, of_entries
from auditlake.site.entries import Folder
from auditlake.site.happenings import happenings
from auditlake.site.index import index_pages, write_index
from auditlake.site.run_rows import row_of
from auditlake.site.trend import _strokes
from auditlake.site.year import _path, year_rows
from tests.reports import samples
from tests.reports.test_page import Words
from tests.runs.test_due import NIGHTLY
from tests.site.test_index import links
from tests.site.test_write import dead_links

FIRST = datetime(2025, 12, 20, 0, 15, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
POLICY = samples.small().policy_id


def night(
    number: int, day: int, *, late: timedelta = timedelta(seconds=3), status: str = "compliant", **more: object
) -> Run:
    """A run that was due on a day after the first."""
    due = FIRST + day * DAY
    answers = {POLICY: Answer("sha256:00", due - 90 * DAY, due, status, 1, 1, 9, "sha256:00")}
    packs = {"house": PackAnswer("sha256:00", "fail", {}, "sha256:00")}
    values: dict[str, object] = {
        "at": due + late, "finished": due + late, "verb": "schedule", "version": "0", "user": "ops", "as_of": due,
        "generated_at": due, "snapshot": day, "rows": 9, "journal": 0, "settings": None, "state": "ok", "error": None,
        "answers": answers, "packs": packs, "schedule": "nightly", "due": due, "catch_up": False,
    }  # fmt: skip
    return Run(number, f"{number:016x}", **values | more)  # type: ignore[arg-type]


def winter() -> Iterator[Entry]:
    """Sixty nights: two were missed and made up for, one was late, one failed, two were missed for good."""
    lines: list[Entry] = [Declaration(0, FIRST - HOUR, "0", "ops", {"nightly": NIGHTLY})]
    for day in range(60):
        if day in (20, 21, 40, 58, 59):
            continue
        if day == 22:
            lines += [night(0, each, late=(22 - each) * DAY, catch_up=True) for each in (20, 21)]
        if day == 41:
            lines.append(FailedRun(0, "f" * 16, FIRST + 41 * DAY, FIRST + 40 * DAY, "schedule", "0", "ops", "nightly",
                                   FIRST + 40 * DAY))  # fmt: skip
        late = 7 * HOUR if day == 30 else timedelta(seconds=3)
        lines.append(night(0, day, late=late, status="violation" if day % 10 == 0 else "compliant"))
    lines.append(Verification(0, FIRST + 60 * DAY, FIRST + 60 * DAY, "0", "ops", "quick", False, 1, 1, 0))
    yield from (replace(each, number=number) for number, each in enumerate(lines, 1))


def journal(layout: Layout, entries: list[Entry]) -> None:
    layout.run_journal.parent.mkdir(parents=True, exist_ok=True)
    layout.run_journal.write_text(
        "".join(f"{json.dumps(entry_dict(each), separators=(',', ':'))}\n" for each in entries)
    )


def place(layout: Layout, day: int) -> None:
    """Put the report of a night into the folder."""
    report = replace(samples.small(), as_of=FIRST + day * DAY)
    report = replace(report, evidence=replace(report.evidence, snapshot=day))
    stem = report_stem(POLICY, FIRST + day * DAY, day)
    layout.reports.mkdir(parents=True, exist_ok=True)
    (layout.reports / f"{stem}.json").write_bytes(render_json(report))
    (layout.reports / f"{stem}.html").write_bytes(b"")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A folder with sixty nights on record, and the reports of ten of them."""
    layout = Layout(tmp_path)
    journal(layout, [*winter()])
    for day in range(0, 60, 6):
        place(layout, day)
    return layout


def names(layout: Layout) -> set[str]:
    return {path.name for path in layout.reports.glob("index*")}


def test_a_year_has_its_newest_runs_and_all_that_went_wrong(layout: Layout) -> None:
    """The others stand on the pages of their months, and every one of them somewhere."""
    write_index(layout.reports, layout)
    assert names(layout) == {
        "index.html", "index-2026-01.html", "index-2026-02.html", "index-2025.html", "index-2025-12.html",
    }  # fmt: skip
    newest = Words((layout.reports / "index.html").read_bytes()).text
    for part in (
        "Did not run due 2 times", "2026-02-16 00:15 to 2026-02-17 00:15 schedule nightly", "Made up for", "Ran late",
        "Not finished its process ended", "Here are the newest",
        "45 days: 43 compliant, 2 violation, 2 made up for", "45 days: 45 fail, 2 made up for",
    ):  # fmt: skip
        assert part in newest, part
    assert newest.count("Came late") == 1, "what was made up for is its own row alone"
    # nine that ran among the newest ten rows, the late one, and the one that was not finished
    assert newest.count("schedule nightly, ops") == 9 + 1 + 1
    assert newest.count("schedule nightly, made up, ops") == 2
    month = Words((layout.reports / "index-2026-01.html").read_bytes()).text
    assert "31 runs" in month
    assert "Came late due; a later run judged it, 2026-01-30 00:15:03 UTC" in month
    assert dead_links(layout.reports) == []
    months = [(layout.reports / name).read_text() for name in names(layout) if name.count("-") == 2]
    assert sum(page.count(f'href="compliance_{POLICY}_2') for page in months) == 10, "each report is linked once"


def test_what_was_made_up_for_in_time_is_not_late() -> None:
    """It is told all the same, on the page of the year, too."""
    declared = Declaration(1, FIRST - HOUR, "0", "ops", {"nightly": NIGHTLY})
    (made,) = happenings(Folder(Path()), [declared, night(2, 0, catch_up=True)], FIRST - HOUR, FIRST + HOUR)
    row = row_of(made, Folder(Path()), RunsOfYear())
    assert (made.is_notable, made.is_late, row.status, row.word) == (True, False, "pass", "Made up for")


def test_all_pages_are_made_of_the_whole_journal_too(layout: Layout) -> None:
    """What is written from the newest year alone is what all of the journal gives."""
    write_index(layout.reports, layout)
    folder = Folder.at(layout.reports)
    policies = tuple(folder.newest_policies())
    made = index_pages(folder, policies, (), [*read(layout)])["index.html"]
    found = newest_year(layout)
    entries = found.entries
    assert [type(each).__name__ for each in entries][:1] == ["Declaration"]
    assert (found.years, entries[1].at.year, entries[-1].number) == (range(2025, 2027), 2026, len([*winter()]))
    of_last_month = [each for each in entries if isinstance(each, Run) and each.answers]
    assert {each.at.month for each in of_last_month} == {2}
    wholes = [found.whole(each) for each in entries if isinstance(each, Run)]
    assert wholes == [each for each in read(layout) if isinstance(each, Run) and each.at.year == 2026]
    assert of_entries(wholes).statuses == found.statuses
    write_index(layout.reports, layout)
    page = (layout.reports / "index.html").read_bytes()
    assert [row.when for row in made.runs if row.when.encode() not in page] == []  # type: ignore[union-attr]


def test_only_what_changed_is_written_again(layout: Layout) -> None:
    """Not a month that is over, and no earlier year, unless a file of theirs has gone."""
    write_index(layout.reports, layout)
    before = {name: (layout.reports / name).stat().st_mtime_ns for name in names(layout)}

    def written() -> set[str]:
        return {name for name in names(layout) if (layout.reports / name).stat().st_mtime_ns != before.get(name)}

    entries = [*winter()]
    journal(layout, [*entries, night(len(entries) + 1, 60)])
    write_index(layout.reports, layout)
    assert written() == {"index.html", "index-2026-02.html"}
    (layout.reports / f"{report_stem(POLICY, FIRST + 18 * DAY, 18)}.html").unlink()
    (layout.reports / f"{report_stem(POLICY, FIRST, 0)}.html").unlink()
    write_index(layout.reports, layout)
    assert "index-2026-01.html" in written()
    assert "index-2025-12.html" not in written()
    write_index(layout.reports, layout, everything=True)
    assert {"index-2025.html", "index-2025-12.html"} <= written()
    assert dead_links(layout.reports) == []


def test_a_new_year_begins_a_page(layout: Layout) -> None:
    """Its first run makes the page of the year before, which has what was missed until then."""
    entries = [*winter()]
    for each in layout.reports.iterdir():
        each.unlink()
    journal(layout, entries[:8])
    write_index(layout.reports, layout)
    assert names(layout) == {"index.html"}
    journal(layout, [*entries[:8], night(9, 20)])
    write_index(layout.reports, layout)
    assert names(layout) == {"index.html", "index-2025.html"}
    old = Words((layout.reports / "index-2025.html").read_bytes())
    assert "2025-12-27 00:15 to 2025-12-31 00:15 schedule nightly Came late due 5 times" in old.text
    assert "index.html" in old.links


def test_the_newest_reports_have_names_that_stay(layout: Layout) -> None:
    """Each leads to the newest page; it is not written again without need, and goes with the last report."""
    name = f"compliance_{POLICY}_latest.html"
    write_index(layout.reports, layout)
    path = layout.reports / name
    assert f"url={report_stem(POLICY, FIRST + 54 * DAY, 54)}.html" in path.read_text()
    assert name in links(layout.reports / "index.html")
    before = path.stat().st_mtime_ns
    write_index(layout.reports, layout)
    assert path.stat().st_mtime_ns == before
    (layout.reports / f"{report_stem(POLICY, FIRST + 54 * DAY, 54)}.html").unlink()
    write_index(layout.reports, layout)
    assert "url=index.html" in path.read_text(), "a report without a page stands on the index"
    place(layout, 59)
    write_index(layout.reports, layout)
    assert f"url={report_stem(POLICY, FIRST + 59 * DAY, 59)}.html" in path.read_text()
    for each in layout.reports.glob("compliance_*_v*"):
        each.unlink()
    write_index(layout.reports, layout)
    assert not path.exists()


def test_a_policy_over_time(layout: Layout) -> None:
    """Its page has a line with a gap where nothing ran, and the last months, across the turn of the year."""
    write_index(layout.reports, layout)
    path = layout.reports / f"compliance_{POLICY}_trend.html"
    page, source = Words(path.read_bytes()), path.read_text()
    assert "57 days with a run between 2025-12-20 and 2026-02-15, at most 1 finding at once" in page.text
    drawn = source.partition('<svg class="trend"')[2].partition("</svg>")[0]
    assert [line.count("M") for line in re.findall(r' d="([^"]*)"', drawn)] == [2, 2]
    for row in ("Feb 2026 Compliant112026-02-15", "Jan 2026 Compliant112026-01-31", "Dec 2025 Compliant112025-12-31"):
        assert row in page.text
    stems = [report_stem(POLICY, FIRST + day * DAY, day) for day in (54, 42)]
    assert [each for each in page.links if "_v" in each] == [f"{each}.html" for each in stems]
    before = path.read_bytes()
    write_index(layout.reports, layout, everything=True)
    assert path.read_bytes() == before, "whether all of the journal is read or its newest year"
    journal(layout, [])
    write_index(layout.reports, layout)
    assert "No run on record judged it." in Words(path.read_bytes()).text
    journal(layout, [night(1, 0), night(2, 59, status="violation")])
    write_index(layout.reports, layout)
    months = Words(path.read_bytes()).text
    assert "Feb 2026 Violation" in months
    assert "Jan 2026no run" in months
    assert "Dec 2025 Compliant" in months


def test_a_look_back_to_long_ago_is_no_part_of_the_line(layout: Layout) -> None:
    """Months that were judged afterwards are on a policy's page over time; a day long ago leaves it as it was."""
    path = layout.reports / f"compliance_{POLICY}_trend.html"
    nights = [night(1, 54), night(2, 55, as_of=FIRST - 200 * DAY)]
    journal(layout, [*nights])
    write_index(layout.reports, layout)
    before = path.read_bytes()
    assert "2 days with a run" in Words(before).text
    journal(layout, [*nights, night(3, 56, as_of=FIRST - 20_000 * DAY)])
    write_index(layout.reports, layout)
    assert path.read_bytes() == before
    for each in layout.reports.glob("compliance_*_v*"):
        each.unlink()
    write_index(layout.reports, layout)
    assert not path.exists()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9)), min_size=1, max_size=31, unique_by=lambda x: x[0]))
def test_the_line_says_what_each_day_had(points: list[tuple[int, int]]) -> None:
    """Drawn step by step, the line has each day's value over that day, and nothing over a day without a run."""
    points = [(day - min(points)[0], value) for day, value in sorted(points)]
    days, values = [day for day, _ in points], [value for _, value in points]
    most, wide = max(1, *values), 600 / (days[-1] + 1)
    drawn, x, y = dict[int, float](), 0.0, 0.0
    for command, numbers in re.findall(r"([MHV])([\d. ]+)", "".join(_strokes(days, values, most))):
        if command == "M":
            x, y = map(float, numbers.split())
        elif command == "V":
            y = float(numbers)
        else:
            drawn |= dict.fromkeys(range(round(x / wide), round(float(numbers) / wide)), y)
            x = float(numbers)
    assert drawn == {day: float(f"{61 - 58 * value / most:.1f}") for day, value in points}


def test_a_broken_newest_report_gives_way_to_the_one_before(layout: Layout) -> None:
    """Whether its digest is on record or not, what is none of ours is passed over."""
    (layout.reports / f"{report_stem(POLICY, FIRST + 54 * DAY, 54)}.json").write_bytes(b"{}")
    (found,) = Folder.at(layout.reports).newest_policies()
    assert found.as_of == FIRST + 48 * DAY


@given(days=st.sets(st.integers(1, 366), min_size=1))
def test_a_strip_has_each_day_once(days: set[int]) -> None:
    """Following the strokes of a line gives the days that it was drawn of."""
    text = _path(sorted(days), "6").replace("M", " M ").replace("m", " m ").replace("h", " h ")
    words, at, drawn = iter(text.split()), 0, set()
    for word in words:
        if word in "Mm":
            at = int(next(words)) + (0 if word == "M" else at)
            next(words)
        else:
            stroke = int(next(words))
            drawn |= set(range(at + 1, at + stroke + 1))
            at += stroke
    assert drawn == days


def test_the_last_run_of_a_day_counts() -> None:
    """Of several as of one day the last, whatever the order; a year of one day has no row."""
    two = [
        night(1, 12, status="violation"),
        night(2, 13),
        night(3, 13, status="no_data", as_of=FIRST + 13 * DAY + HOUR),
    ]
    (row,) = (each for each in year_rows(of_entries(two), 2026, {}, {}) if each.name.text == POLICY)
    assert row.words == "2 days: 1 no data, 1 violation"
    assert [(each.kind, each.path) for each in row.stretches] == [("bad", "M0 6h1"), ("unsure", "M1 9h1")]
    assert year_rows(of_entries(two[:1]), 2026, {}, {}) == ()


KILLED = """
import os, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from auditlake.disk.layout import Layout
from auditlake.site.index import write_index

layout, most = Layout(Path(sys.argv[1])), 0
write_index(Path(sys.argv[2]), None)  # imports and templates
while True:
    for path in (*layout.reports.glob("index*"), *layout.reports.glob("*_latest.html")):
        path.unlink()
    if (child := os.fork()) == 0:
        left = [most]
        def dying(real):
            def call(*arguments, **options):
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*arguments, **options)
            return call
        for name in ("replace", "fsync", "unlink"):
            setattr(os, name, dying(getattr(os, name)))
        write_index(layout.reports, layout)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
        break
    whole = [path.read_bytes().endswith(b"</html>\\n") for path in layout.reports.glob("*.html") if path.stat().st_size]
    assert all(whole), most
    write_index(layout.reports, layout)
    made = sorted((path.name, path.read_bytes()) for path in layout.reports.glob("[!.]*.html"))
    assert most == 0 or made == before, most
    before = made
    most += 1
print(most)
"""


def test_killed_at_any_call_the_next_run_writes_all_of_it(layout: Layout, tmp_path: Path) -> None:
    """Each page is there whole or not at all, and the next run leaves the same pages whatever was there."""
    journal(layout, [*winter()][:22])
    for each in sorted(layout.reports.iterdir())[4:]:
        each.unlink()
    root = str(Path(__file__).resolve().parents[2])
    other = tmp_path / "other"
    other.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(root=root), tmp_path, other], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 9
