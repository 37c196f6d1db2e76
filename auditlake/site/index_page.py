"""The page that leads to all others: frameworks, what needs attention, policies, and the runs of a year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, ClassVar

from auditlake.disk.layout import trend_file
from auditlake.display.templates import style_digest
from auditlake.display.text import Text, count, instant_name, moment, period_name, shown, visible
from auditlake.events.times import parse_instant
from auditlake.reports.day_axis import MONTHS
from auditlake.reports.sentences import VERDICTS
from auditlake.runs.model import Verification
from auditlake.site.causes import Cause, causes_of
from auditlake.site.entries import Folder, IndexEntry, Name
from auditlake.site.run_rows import IndexLink, RunRow
from auditlake.site.tally import Spark, Tally, spark_of, tally_of
from auditlake.site.words import STATE_WORDS, STATUS_WORDS, control_files
from auditlake.site.year import YearRow, days_of

Frameworks = Sequence[tuple[Name, Mapping[str, Any]]]
"""The newest report of each framework, as JSON values."""
_RANK = {"violation": 0, "error": 0, "no_data": 1, "compliant": 2, "critical": 0, "high": 1, "medium": 2, "low": 3}
_SHOWN_CONTROLS = 12
_RUNS_WORDS = "Each evaluation is on record; one that was due and did not run stands among them."
_MORE_RUNS = " Here are the newest, and those that were missed, failed or late; the months above have all of them."


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
    """What needs attention."""

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
    trend_file: str | None
    """The policy over time; None: it has no page."""


@dataclass(frozen=True, slots=True)
class Year:
    """A year, as its page has it."""

    year: int
    """Which one; 0 where there is none."""
    others: Mapping[int, str]
    """The pages of the other years."""
    rows: tuple[YearRow, ...]
    """Each framework and policy over its days."""
    months: Mapping[int, str]
    """The pages of its months, those that have one."""
    runs: tuple[RunRow, ...]
    """The runs that the page shows."""
    runs_words: str
    """How many there were."""


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
    """What needs attention."""
    causes_words: str
    """That there is none; else what a line is."""
    policies: tuple[PolicyRow, ...]
    """The newest report of each."""
    year: tuple[YearRow, ...]
    """Each framework and policy over the days of the year."""
    days: str
    """How many days the year has."""
    months: tuple[IndexLink, ...]
    """The months of the year, each with the page of its runs where it has one."""
    runs: tuple[RunRow, ...]
    """The newest first: the newest few, and all that were missed, failed or late."""
    runs_words: str
    """Which of them stand there."""
    years: tuple[IndexLink, ...]
    """The pages of the other years."""


def index_page(
    folder: Folder, year: Year, entries: Sequence[IndexEntry], frameworks: Frameworks, verified: Verification | None,
    *, is_newest: bool,
) -> IndexPage:  # fmt: skip
    """Put a year into words; the newest has what the newest reports say, too.

    Args:
        folder: The folder, of which the names count.
        year: What happened.
        entries: The newest report of each policy.
        frameworks: The newest report of each framework, as JSON values.
        verified: The last verification on record.
        is_newest: Whether it is the newest year.
    """
    served, newest_of = _served(frameworks), max((each.as_of for each in entries), default=None)
    causes = tuple(_cause_row(each, frameworks, folder) for each in causes_of([made for _, made in frameworks]))
    return IndexPage(
        style_digest=style_digest(),
        title="Compliance" if is_newest else f"Compliance, runs of {year.year}",
        words=_words(entries, frameworks) if is_newest else year.runs_words,
        verified_words=verified_words(verified),
        is_newest=is_newest,
        frameworks=tuple(_framework_row(each, made, folder) for each, made in frameworks),
        causes=causes,
        causes_words="One line a cause, with the controls that it keeps from passing." if causes else "Nothing.",
        policies=tuple(_policy_row(each, served, newest_of) for each in sorted(entries, key=_order)),
        year=year.rows,
        days=str(days_of(year.year)) if year.year else "",
        months=tuple(IndexLink(Text(name), year.months.get(number)) for number, name in enumerate(MONTHS, 1)),
        runs=year.runs,
        runs_words=_RUNS_WORDS + (_MORE_RUNS if year.months else ""),
        years=tuple(IndexLink(Text(f"{each}"), file) for each, file in year.others.items()),
    )


def verified_words(verified: Verification | None) -> str:
    """Say when a lake was last verified, and with what result."""
    if verified is None:
        return "No verification of this lake is on record: auditlake verify compares it with its ledger."
    how = "every row" if verified.level == "full" else "files and ledger only"
    result = "everything matches the ledger."
    if not verified.ok:
        result = f"{count(verified.problems, 'problem')}; auditlake verify lists them."
    return f"Last verified {moment(verified.at)}, {how}, up to snapshot {verified.snapshot}: {result}"


def _words(entries: Sequence[IndexEntry], frameworks: Frameworks) -> str:
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


def _cause_row(cause: Cause, frameworks: Frameworks, folder: Folder) -> CauseRow:
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


def _served(frameworks: Frameworks) -> dict[str, tuple[str, ...]]:
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
        trend_file=trend_file(entry.policy_id) if entry.html_file else None,
    )
