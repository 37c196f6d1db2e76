"""The pages of a folder of reports that are written again after each run: the index, its months, the newest reports.

They are made of the journal of runs, the newest report of each policy and framework, and the names of the files in the
folder: older reports are not read. Earlier years have pages of their own, which are written once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from pathlib import Path

from auditlake.disk.durable import write_whole
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.display.templates import render_bytes
from auditlake.display.text import shown
from auditlake.errors import LakeError, LakeFormatError, ReportError
from auditlake.runs.journal import last_verification, read
from auditlake.runs.model import Entry, FailedRun, Run, Verification
from auditlake.runs.newest import RunsOfYear, newest_year, of_entries
from auditlake.site.entries import Folder, IndexEntry
from auditlake.site.happenings import Happening, happenings
from auditlake.site.index_page import Frameworks, IndexPage, Year, index_page
from auditlake.site.latest import latest_file, latest_pages, write_latest
from auditlake.site.month_page import MonthPage, month_file, month_page, months_of
from auditlake.site.run_rows import how_many, row_of
from auditlake.site.trend import trend_pages
from auditlake.site.year import YearRow, year_rows

_INDEX = "index.html"
_HEAD, _TITLES = 4_096, (b"<title>Compliance", b"<title>Compliance reports</title>")
"""How a list of reports begins, in every version."""
_SHOWN_RUNS, _SHOWN_NOTABLE = 10, 50
_LAST_RUNS = 50
"""How many of the last entries are looked at for reports that need not be checked again."""


def check_index(folder: Path) -> None:
    """Refuse a folder in which the list of reports would be written over a page that is something else.

    Raises:
        ReportError: Its ``index.html`` is no list of ours.
    """
    path, begins = folder / "index.html", b""
    with suppress(OSError), open_file(path) as file:
        begins = file.read(_HEAD)
    if os.path.lexists(path) and not any(title in begins for title in _TITLES):
        message = f"{path} is there already, and is no list of reports"
        raise ReportError(message, hint="name another folder with --out")


def write_index(
    folder: Path, layout: Layout | None = None, *, everything: bool = False, without: Collection[str] = ()
) -> Path:
    """Write ``index.html``, and the pages of months, of policies over time, and those that lead to the newest reports.

    The pages of earlier years are written once; what is no report of ours is left out.

    Args:
        folder: The folder.
        layout: The lake, whose runs and last verification the page names; it names none if None.
        everything: Write the pages of earlier years again, too, as after files of the folder were removed.
        without: Files that are about to go, so that no page links to them.

    Raises:
        ReportError: It cannot be written.
    """
    path = folder / "index.html"
    try:
        there = Folder.at(folder)
        there = Folder(folder, there.files.difference(without)) if without else there
        runs = _on_record(layout)
        known = sorted({*runs.years, *years_of(there)})
        earlier = [each for each in known[:-1] if everything or _file_of(each) not in there.files]
        if earlier and layout:
            runs = _on_record(layout, whole=True)
        made = [each for each in runs.entries[-_LAST_RUNS:] if isinstance(each, Run)]
        recorded = {each.report for run in made for each in run.answers.values()}
        recorded |= {each.report for run in made for each in run.packs.values()}
        newest = tuple(there.newest_policies(recorded)), tuple(there.newest_frameworks(recorded))
        latest = latest_pages(there, *newest)
        write_latest(there, {**latest, **trend_pages(there, newest[0], runs)})
        source = _Source(there, *newest, runs, _verified(layout, runs), known, latest.keys())
        for year in (*earlier, *(known[-1:] or [0])):
            for name, page in source.pages(year):
                write_whole(folder / name, render_bytes(page))
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _on_record(layout: Layout | None, *, whole: bool = False) -> RunsOfYear:
    """Return the runs of the newest year on record, or all."""
    with suppress(LakeError, LakeFormatError):  # whoever verifies the lake is told; the reports are there all the same
        if layout is not None:
            return of_entries(tuple(read(layout))) if whole else newest_year(layout)
    return RunsOfYear()


def _verified(layout: Layout | None, runs: RunsOfYear) -> Verification | None:
    there = next((each for each in reversed(runs.entries) if isinstance(each, Verification)), None)
    return last_verification(layout) if there is None and layout is not None else there


def years_of(folder: Folder) -> Iterator[int]:
    """Yield the years that reports in a folder were judged as of."""
    for year in {key[0][:4] for key in folder.groups}:
        if year.isdecimal() and MINYEAR <= int(year) <= MAXYEAR - 1:
            yield int(year)


def _file_of(year: int) -> str:
    """Return the page of an earlier year."""
    return f"index-{year}.html"


def index_pages(
    folder: Folder,
    entries: Sequence[IndexEntry] = (),
    frameworks: Frameworks = (),
    runs: Sequence[Entry] = (),
) -> dict[str, IndexPage | MonthPage]:
    """Put what lies in a folder into words, by file name.

    Args:
        folder: The folder, of which the names count.
        entries: The newest report of each policy.
        frameworks: The newest report of each framework, as JSON values.
        runs: The runs on record, in order.
    """
    happened = {each.at.year for each in runs if isinstance(each, Run | FailedRun)}
    years = sorted({*happened, *years_of(folder)})
    latest = latest_pages(folder, entries, frameworks)
    own = of_entries(runs)
    source = _Source(folder, entries, frameworks, own, _verified(None, own), years, latest.keys())
    return {name: page for year in years or [0] for name, page in source.pages(year)}


class _Source:
    """What the pages are made of.

    Args:
        folder: The folder of reports.
        entries: The newest report of each policy.
        frameworks: The newest report of each framework.
        runs: The runs on record.
        verified: The last verification.
        years: Those that have pages, in order.
        latest: The names of the pages that lead to the newest reports.
    """

    def __init__(
        self, folder: Folder, entries: Sequence[IndexEntry], frameworks: Frameworks, runs: RunsOfYear,
        verified: Verification | None, years: Sequence[int], latest: Collection[str],
    ) -> None:  # fmt: skip
        self._folder, self._entries, self._frameworks = folder, entries, frameworks
        self._runs, self._verified, self._years, self._latest = runs, verified, years, latest
        self._newest = years[-1] if years else 0

    def pages(self, year: int) -> Iterator[tuple[str, IndexPage | MonthPage]]:
        """Yield the pages of the months of a year by name, those that are not there as they should be; then its own.

        Args:
            year: The year; 0 if there is none.
        """
        begins, ends = datetime(max(year, 1), 1, 1, tzinfo=UTC), datetime(max(year, 1) + 1, 1, 1, tzinfo=UTC)
        rows = happenings(self._folder, self._runs.entries, begins, ends) if year else []
        chosen, months = [*_chosen(rows)], dict[int, str]()
        for month, own in months_of(rows) if len(chosen) < len(rows) else ():
            months[month] = month_file(year, month)
            if page := month_page(self._folder, own, self._runs, self._file(year)):
                yield months[month], page
        others = {each: self._file(each) for each in reversed(self._years) if each != year}
        shown_rows = tuple(row_of(each, self._folder, self._runs) for each in chosen)
        made = Year(year, others, self._over(year) if year else (), months, shown_rows, how_many(rows))
        is_newest = year == self._newest
        yield (
            self._file(year),
            index_page(self._folder, made, self._entries, self._frameworks, self._verified, is_newest=is_newest),
        )

    def _file(self, year: int) -> str:
        return _INDEX if year == self._newest else _file_of(year)

    def _over(self, year: int) -> tuple[YearRow, ...]:
        names = {each.policy_id: shown(each.policy_name) for each in self._entries}
        names |= {name.about: shown(made["framework"]) for name, made in self._frameworks}
        files = {about: file for about in names for kind in ("compliance", "framework")
                 if (file := latest_file(kind, about)) in self._latest}  # fmt: skip
        return year_rows(self._runs, year, names, files)


def _chosen(rows: Sequence[Happening]) -> Iterator[Happening]:
    """Yield the rows that the page of a year has: the newest, and those that were missed, failed or late."""
    notable = 0
    for number, row in enumerate(rows):
        notable += row.is_notable
        if number < _SHOWN_RUNS or (row.is_notable and notable <= _SHOWN_NOTABLE):
            yield row
