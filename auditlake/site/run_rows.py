"""The rows of the tables of runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from auditlake.disk.layout import instant_in_name
from auditlake.display.text import Text, count, moment, shown, visible
from auditlake.runs.due import Due, DueState
from auditlake.runs.model import FailedRun, Run, asked_by
from auditlake.runs.newest import RunsOfYear
from auditlake.site.entries import Folder, Name, spelled
from auditlake.site.happenings import Happening
from auditlake.site.words import NOTHING, STATUS_WORDS

_INSTANT = re.compile(r"(?<=_)\d{8}T\d{6}(?:\.\d{6})?Z")
_NOT_THERE: Mapping[DueState, str] = {"missed": "Did not run", "failed": "Failed", "late": "Came late"}


@dataclass(frozen=True, slots=True)
class IndexLink:
    """A name, and the page that it leads to."""

    name: Text
    """What it is called."""
    file: str | None
    """Beside this page; None: there is none."""
    note: str = ""
    """How it came out, where that is known."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, reports that no run on record made, or what was due and did not run."""

    when: str
    """When it began."""
    who: Text
    """Which verb or schedule, and who."""
    status: str
    """Which mark and colour."""
    word: str
    """How it ended."""
    what: Text
    """What it judged, or why not."""
    over: str
    """As of when, over what."""
    pages: tuple[IndexLink, ...]
    """Its reports that are beside this page."""
    pages_words: str
    """How many."""


def how_many(rows: Iterable[Happening]) -> str:
    """Return how many runs there are, and how many were due and did not happen."""
    ran, missing = 0, 0
    for row in rows:
        ran += row.run is not None
        missing += sum(each.state in ("missed", "failed") for each in row.due)
    return count(ran, "run") + (f", and {missing:,} that {'was' if missing == 1 else 'were'} due" if missing else "")


def row_of(happening: Happening, folder: Folder, runs: RunsOfYear) -> RunRow:
    """Put it into words.

    Args:
        happening: What happened.
        folder: The folder of reports.
        runs: Where its run is.
    """
    run = happening.run
    if happening.due:
        return _due_row(happening.due)
    if isinstance(run, FailedRun):
        who = shown(f"{asked_by(run)}, {run.user}")
        return RunRow(_second(run.began), who, "fail", "Not finished", Text("its process ended"), "", (), "")
    reports = folder.reports(happening.key) if happening.key else ()
    if run is None:
        assert happening.key is not None
        pages = _pages(reports, folder, {})
        over = f"as of {moment(happening.at)}, snapshot {happening.key[1]}"
        what = Text("reports that no run on record made")
        return RunRow(NOTHING, Text(NOTHING), "not_evaluated", "Not on record", what, over, pages, _how_many(pages))
    run = runs.whole(run)
    return _run_row(run, [each for each in reports if _is_of(each, run)], folder, is_late=happening.is_late)


def _run_row(run: Run, own: Sequence[Name], folder: Folder, *, is_late: bool) -> RunRow:
    notes = {name: answer.status for name, answer in run.answers.items()}
    notes |= {name: STATUS_WORDS.get(answer.status, answer.status) for name, answer in run.packs.items()}
    what = f"{count(len(run.answers), 'policy', 'policies')}"
    what += f", {count(len(run.packs), 'framework')}" if run.packs else ""
    opened = sum(answer.open for answer in run.answers.values())
    what += f": {count(opened, 'open finding')}" if run.answers else ""
    over = f"as of {moment(run.as_of)}" if run.as_of else ""
    over += f", snapshot {run.snapshot}, {count(run.rows, 'event')}" if run.rows is not None else ""
    pages, status, word = _pages(own, folder, notes), "pass", "Ran"
    if run.state != "ok":
        status, word = "fail", "Ended with an error"
    elif is_late or run.catch_up:
        status, word = "no_data" if is_late else "pass", "Made up for" if run.catch_up else "Ran late"
    said = Text(what) if run.state == "ok" else shown(run.error)
    who = shown(f"{asked_by(run)}, {run.user}")
    return RunRow(_second(run.at), who, status, word, said, over, pages, _how_many(pages))


def _due_row(due: Sequence[Due]) -> RunRow:
    first, last = due[0], due[-1]
    when = _minute(first.instant) if first is last else f"{_minute(first.instant)} to {_minute(last.instant)}"
    what = f"due {count(len(due), 'time')}" if first is not last else "due"
    if first.state == "late" and first.at is not None:
        what += f"; a later run judged it, {moment(first.at)}"
    status = "no_data" if first.state == "late" else "fail"
    who = shown(f"schedule {first.schedule}")
    return RunRow(when, who, status, _NOT_THERE[first.state], Text(what), "", (), "")


def _pages(own: Sequence[Name], folder: Folder, notes: Mapping[str, str]) -> tuple[IndexLink, ...]:
    """Return links to reports, each with its period if its name has one; several of one policy are told apart."""
    alike = Counter(each.about for each in own)
    order = sorted(own, key=lambda each: (each.kind != "framework", each.about, each.stem))
    return tuple(
        IndexLink(
            Text(", ".join([each.about, *_rest(each, whole=alike[each.about] > 1)])),
            folder.page(each.stem),
            visible(notes.get(each.about, "").replace("_", " ")),
        )
        for each in order
    )


def _rest(name: Name, *, whole: bool) -> list[str]:
    """Return what a report's name says after the snapshot: another period; and, of the whole, entries and a digest."""
    _, _, rest = name.stem.rpartition(f"_v{name.snapshot}_")
    bounds = [spelled(each)[:-1].replace("T", " ") for each in _INSTANT.findall(name.stem)[1:]]
    others = [each for each in rest.split("_") if whole and rest != name.stem and each and "Z" not in each]
    return [" to ".join(bounds), *others] if bounds else others


def _is_of(name: Name, run: Run) -> bool:
    """Return whether a report can be one that a run made: of what it judged, over the period if the name has one."""
    if name.kind == "framework":
        return name.about in run.packs
    answer = run.answers.get(name.about)
    bounds = _INSTANT.findall(name.stem)[1:]
    return answer is not None and (
        not bounds or bounds == [instant_in_name(each) for each in (answer.since, answer.until)]
    )


def _how_many(pages: Sequence[IndexLink]) -> str:
    return count(len(pages), "report") if pages else ""


def _second(instant: datetime) -> str:
    return moment(instant.replace(microsecond=0), zone=False)


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"
