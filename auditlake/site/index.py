"""The page that leads to all others: frameworks, what needs somebody, policies, and the runs of a year.

It is written again after each run from the journal of runs, the newest report of each policy and framework, and the
names of the files in the folder: older reports are not read.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

from auditlake.disk.durable import write_whole
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout, instant_in_name
from auditlake.display.templates import render_bytes, style_digest
from auditlake.display.text import Text, count, instant_name, moment, period_name, shown, visible
from auditlake.errors import LakeError, LakeFormatError, ReportError
from auditlake.events.times import parse_instant
from auditlake.reports.sentences import VERDICTS
from auditlake.runs.due import due_runs
from auditlake.runs.journal import read
from auditlake.runs.model import Declaration, Entry, FailedRun, Run, Verification, asked_by
from auditlake.site.causes import Cause, causes_of
from auditlake.site.entries import Folder, IndexEntry, Name, spelled
from auditlake.site.tally import Spark, Tally, spark_of, tally_of
from auditlake.site.words import NOTHING, STATE_WORDS, STATUS_WORDS, control_files

_HEAD, _TITLES = 4_096, (b"<title>Compliance", b"<title>Compliance reports</title>")
"""How a list of reports begins, in every version."""
_RANK = {"violation": 0, "error": 0, "no_data": 1, "compliant": 2, "critical": 0, "high": 1, "medium": 2, "low": 3}
_SHOWN_CONTROLS = 12
_NOT_RUN = {"missed": "Did not run", "failed": "Failed"}
_INSTANT = re.compile(r"(?<=_)\d{8}T\d{6}(?:\.\d{6})?Z")


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
class FrameworkRow:
    """A framework."""

    name: Text
    """What it is called."""
    file: str | None
    """Its page."""
    json_file: str | None
    """Its report as JSON."""
    edition: str
    """Its edition, and the pack's revision."""
    state: str
    """What it is."""
    state_note: str
    """Since when, or what comes next."""
    status: str
    """Which mark and colour."""
    word: str
    """The status in a word or two."""
    word_note: str
    """That it is not in force; else empty."""
    as_of: str
    """What it was judged as of."""
    tally: Tally
    """Controls by status and by how much a log can show."""
    words: str
    """The same in words."""
    failing: str
    """How many controls fail."""
    not_evaluated: str
    """How many are not evaluated."""


@dataclass(frozen=True, slots=True)
class CauseRow:
    """What needs somebody."""

    words: str
    """What it is."""
    frameworks: tuple[tuple[Text, tuple[IndexLink, ...], str], ...]
    """Each framework, its controls that this keeps from passing, and how many more there are."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The newest report of a policy."""

    policy_id: str
    """Its policy."""
    policy_name: Text
    """Its policy's name."""
    status: str
    """Which mark and colour."""
    word: str
    """The answer in a word or two."""
    severity: str
    """How bad a violation is."""
    period: str
    """Its period as people name it, or its bounds."""
    as_of: str
    """What it was judged as of, where that is not the newest instant of all."""
    spark: Spark | None
    """The daily peaks; None where the policy has no threshold."""
    findings: str
    """How many findings."""
    findings_words: str
    """Of which kinds; where there is none since no event met the condition, that."""
    controls: tuple[str, ...]
    """The frameworks that it serves, each with its controls."""
    html_file: str | None
    """Its page."""
    json_file: str | None
    """Its JSON."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, a verification, reports that no run on record made, or what was due and did not run."""

    when: str
    """When it began."""
    who: Text
    """Which verb, and who."""
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


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The variables of the template ``index.html``."""

    template: ClassVar[str] = "index.html"
    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    title: str
    """For the window and the heading."""
    words: str
    """As of when, and how many."""
    verified_words: str
    """When the lake was last verified, and with what result."""
    is_newest: bool
    """Whether it is the page of the newest year, which has more than runs."""
    frameworks: tuple[FrameworkRow, ...]
    """The newest report of each."""
    causes: tuple[CauseRow, ...]
    """What needs somebody."""
    causes_words: str
    """That there is none; else what a line is."""
    policies: tuple[PolicyRow, ...]
    """The newest report of each."""
    runs: tuple[RunRow, ...]
    """The newest first."""
    years: tuple[IndexLink, ...]
    """The pages of the other years."""


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


def write_index(folder: Path, layout: Layout | None = None) -> Path:
    """Write ``index.html``, and a page for each earlier year with runs; what is no report of ours is left out.

    Args:
        folder: The folder.
        layout: The lake, whose runs and last verification the page names; it names none if None.

    Raises:
        ReportError: It cannot be written.
    """
    runs: tuple[Entry, ...] = ()
    with suppress(LakeError, LakeFormatError):  # whoever verifies the lake is told; the reports are there all the same
        runs = tuple(read(layout)) if layout else ()
    path = folder / "index.html"
    try:
        there = Folder.at(folder)
        pages = index_pages(there, tuple(there.newest_policies()), tuple(there.newest_frameworks()), runs)
        for name, page in pages.items():
            write_whole(folder / name, render_bytes(page))
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def index_pages(
    folder: Folder,
    entries: Sequence[IndexEntry] = (),
    frameworks: Sequence[tuple[Name, Mapping[str, Any]]] = (),
    runs: Sequence[Entry] = (),
) -> dict[str, IndexPage]:
    """Put what lies in a folder into words, by file name.

    Args:
        folder: The folder, of which the names count.
        entries: The newest report of each policy.
        frameworks: The newest report of each framework, as JSON values.
        runs: The runs on record, in order.
    """
    rows = sorted(_rows(folder, runs), key=lambda each: each[0], reverse=True)
    by_year = {year: tuple(row for _, row in own) for year, own in groupby(rows, key=lambda each: each[0].year)}
    newest = max(by_year, default=0)
    names = {year: "index.html" if year == newest else f"index-{year}.html" for year in by_year or {0: ()}}
    verified = next((each for each in reversed(runs) if isinstance(each, Verification)), None)
    served, newest_of = _served(frameworks), max((each.as_of for each in entries), default=None)
    causes = tuple(_cause_row(each, frameworks, folder) for each in causes_of([made for _, made in frameworks]))
    return {
        name: IndexPage(
            style_digest=style_digest(),
            title="Compliance" if name == "index.html" else f"Compliance, runs of {year}",
            words=_words(entries, frameworks) if name == "index.html" else count(len(by_year[year]), "run"),
            verified_words=verified_words(verified),
            is_newest=name == "index.html",
            frameworks=tuple(_framework_row(each, made, folder) for each, made in frameworks),
            causes=causes,
            causes_words="One line a cause, with the controls that it keeps from passing." if causes else "Nothing.",
            policies=tuple(_policy_row(each, served, newest_of) for each in sorted(entries, key=_order)),
            runs=by_year.get(year, ()),
            years=tuple(
                IndexLink(Text(f"{other}"), names[other]) for other in sorted(names, reverse=True)
                if other != year and other
            ),
        )
        for year, name in names.items()
    }  # fmt: skip


def verified_words(verified: Verification | None) -> str:
    """Say when a lake was last verified, and with what result."""
    if verified is None:
        return "No verification of this lake is on record: auditlake verify compares it with its ledger."
    how = "every row" if verified.level == "full" else "files and ledger only"
    result = "everything matches the ledger."
    if not verified.ok:
        result = f"{count(verified.problems, 'problem')}; auditlake verify lists them."
    return f"Last verified {moment(verified.at)}, {how}, up to snapshot {verified.snapshot}: {result}"


def _words(entries: Sequence[IndexEntry], frameworks: Sequence[tuple[Name, Mapping[str, Any]]]) -> str:
    instants = [each.as_of for each in entries] + [parse_instant(made["as_of"]) for _, made in frameworks]
    if not instants:
        return "No report yet."
    parts = [count(len(frameworks), "framework")] if frameworks else []
    parts += [count(len({each.policy_id for each in entries}), "policy", "policies")]
    return f"As of {instant_name(max(instants))}: {', '.join(parts)}."


def _order(entry: IndexEntry) -> tuple[Any, ...]:
    return _RANK[entry.status], _RANK.get(entry.severity, 9), entry.policy_id


def _framework_row(name: Name, made: Mapping[str, Any], folder: Folder) -> FrameworkRow:
    state, coming, numbers = made["state"], made["next_state"], made["numbers"]
    is_bound = state is not None and state["state"] == "in_force"
    note = f"since {state['since']}" if state else ""
    if coming:
        note = f"{STATE_WORDS[coming['state']].lower()} from {coming['since']}"
    logging = numbers["passing_only_logging"]
    return FrameworkRow(
        name=shown(made["framework"]),
        file=folder.page(name.stem),
        json_file=folder.file(f"{name.stem}.json"),
        edition=visible(f"{made['edition'][:60]}, pack {made['revision']}"),
        state=STATE_WORDS[state["state"]] if state else "No state yet",
        state_note=note,
        status=made["status"],
        word=STATUS_WORDS[made["status"]],
        word_note="" if is_bound else "as if in force",
        as_of=instant_name(parse_instant(made["as_of"])),
        tally=tally_of(made["counts"]),
        words=f"{numbers['passing']:,} of {numbers['showable']:,} that a log can show pass, "
        f"{logging:,} of them only logging",
        failing=f"{numbers['failing']:,}",
        not_evaluated=f"{sum(made['counts']['not_evaluated'].values()):,}",
    )


def _cause_row(cause: Cause, frameworks: Sequence[tuple[Name, Mapping[str, Any]]], folder: Folder) -> CauseRow:
    parts = []
    for place, own in groupby(cause.controls, key=lambda each: each[0]):
        name, made = frameworks[place]
        ids = [control for _, control in own]
        files = control_files(name.stem, [each["id"] for each in made["controls"]])
        page = folder.page(name.stem)
        links = tuple(IndexLink(shown(each), folder.file(files[each]) or page) for each in ids[:_SHOWN_CONTROLS])
        more = f"and {len(ids) - _SHOWN_CONTROLS} more" if len(ids) > _SHOWN_CONTROLS else ""
        parts.append((shown(made["framework"]), links, more))
    return CauseRow(cause.words, tuple(parts))


def _served(frameworks: Sequence[tuple[Name, Mapping[str, Any]]]) -> dict[str, tuple[str, ...]]:
    """Return the controls that each policy is a check of, by framework, in words."""
    served: dict[str, tuple[str, ...]] = {}
    for _, made in frameworks:
        for each in made["policies"]:
            if each["controls"]:
                line = visible(f"{made['framework']} {', '.join(each['controls'])}")
                served[each["policy"]] = (*served.get(each["policy"], ()), line)
    return served


def _policy_row(entry: IndexEntry, served: Mapping[str, tuple[str, ...]], newest: datetime | None) -> PolicyRow:
    rest = entry.findings - entry.episodes - entry.missing - entry.incomplete
    kinds = [
        (entry.episodes, "episode"), (entry.missing, "missing type"), (rest, "gap"),
        (entry.incomplete, "incomplete field"),
    ]  # fmt: skip
    unmet = "" if entry.unmet_by is None else f"no event of {entry.unmet_by:,} matched"
    bounds = f"{moment(entry.since, zone=False)} to {moment(entry.until, zone=False)}"
    return PolicyRow(
        policy_id=visible(entry.policy_id),
        policy_name=shown(entry.policy_name),
        status=entry.status,
        word=VERDICTS[entry.status],
        severity=visible(entry.severity).capitalize(),
        period=period_name(entry.since, entry.until) or bounds,
        as_of="" if entry.as_of == newest else instant_name(entry.as_of),
        spark=spark_of(entry.peaks, entry.threshold) if entry.threshold is not None else None,
        findings=f"{entry.findings:,}" if entry.severity else "",
        findings_words=", ".join(count(number, noun) for number, noun in kinds if number > 0) or unmet,
        controls=served.get(entry.policy_id, ()),
        html_file=entry.html_file,
        json_file=entry.json_file,
    )


def _rows(folder: Folder, runs: Sequence[Entry]) -> Iterator[tuple[datetime, RunRow]]:
    """Yield what happened and what did not, each with its instant."""
    there: dict[tuple[str, int], list[Name]] = {}
    for name in folder.names:
        there.setdefault((name.as_of, name.snapshot), []).append(name)
    recorded = set()
    for entry in runs:
        if isinstance(entry, Verification | Declaration):
            continue
        own: list[Name] = []
        if isinstance(entry, Run) and entry.as_of is not None and entry.snapshot is not None:
            key = (instant_in_name(entry.as_of), entry.snapshot)
            recorded.add(key)
            own = [each for each in there.get(key, ()) if _is_of(each, entry)]
        yield entry.began, _run_row(entry, own, folder)
    for key, own in there.items():
        if key not in recorded:
            yield parse_instant(spelled(key[0])), _unrecorded(key, own, folder)
    yield from _not_run(runs)


def _run_row(entry: Run | FailedRun, own: Sequence[Name], folder: Folder) -> RunRow:
    who = shown(f"{asked_by(entry)}, {entry.user}")
    if isinstance(entry, FailedRun):
        return RunRow(_second(entry.began), who, "fail", "Not finished", Text("its process ended"), "", (), "")
    notes = {name: answer.status for name, answer in entry.answers.items()}
    notes |= {name: STATUS_WORDS.get(answer.status, answer.status) for name, answer in entry.packs.items()}
    what = f"{count(len(entry.answers), 'policy', 'policies')}"
    what += f", {count(len(entry.packs), 'framework')}" if entry.packs else ""
    opened = sum(answer.open for answer in entry.answers.values())
    what += f": {count(opened, 'open finding')}" if entry.answers else ""
    over = f"as of {moment(entry.as_of)}" if entry.as_of else ""
    over += f", snapshot {entry.snapshot}, {count(entry.rows, 'event')}" if entry.rows is not None else ""
    pages = _pages(own, folder, notes)
    is_ok = entry.state == "ok"
    return RunRow(
        _second(entry.at), who, "pass" if is_ok else "fail", "Ran" if is_ok else "Ended with an error",
        Text(what) if is_ok else shown(entry.error), over, pages, count(len(pages), "report") if pages else "",
    )  # fmt: skip


def _unrecorded(key: tuple[str, int], own: Sequence[Name], folder: Folder) -> RunRow:
    pages = _pages(own, folder, {})
    over = f"as of {moment(parse_instant(spelled(key[0])))}, snapshot {key[1]}"
    what = Text("reports that no run on record made")
    return RunRow(
        NOTHING, Text(NOTHING), "not_evaluated", "Not on record", what, over, pages, count(len(pages), "report")
    )  # fmt: skip


def _not_run(runs: Sequence[Entry]) -> Iterator[tuple[datetime, RunRow]]:
    """Yield what was due by the last line of the journal, and no run has satisfied: neighbours in one row."""
    until = max((each.at for each in runs), default=None)
    due = [] if until is None else [*due_runs(runs, until)]
    for (name, state), own in groupby(due, key=lambda each: (each.schedule, each.state)):
        if state in _NOT_RUN:
            first, *_, last = (alike := [*own]) * 2
            when = _minute(first.instant) if first is last else f"{_minute(first.instant)} to {_minute(last.instant)}"
            yield first.instant, RunRow(
                when, shown(f"schedule {name}"), "fail", _NOT_RUN[state], Text(f"due {count(len(alike), 'time')}"), "",
                (), "",
            )  # fmt: skip


def _minute(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}"


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


def _second(instant: datetime) -> str:
    return moment(instant.replace(microsecond=0), zone=False)
