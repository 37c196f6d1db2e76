"""What the HTML pages say: every word, number and order is decided here, every tag in ``reports_templates/``.

Text from events and policies passes through ``shown`` or ``visible`` on its way in, and through the templates' escaping
on its way out. Nothing from an event becomes a link.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal

from auditlake import assets
from auditlake.display import text
from auditlake.display.text import (
    SHOWN_EPISODES,
    VERDICTS,
    Fact,
    Text,
    count,
    instant_name,
    length,
    moment,
    shown,
    spelled,
    visible,
)
from auditlake.errors import ReportError
from auditlake.findings.decisions import Acceptance, Journal, Review
from auditlake.findings.finding import Finding
from auditlake.policies.kinds.retention_due import RetentionAnswer
from auditlake.policies.model import RetentionConflict
from auditlake.reports.document import REPORT_VERSION, json_value
from auditlake.reports.kind_sections import KindSection, kind_sections, titled
from auditlake.reports.model import Detail, Query, Report, SampleEvent, Status
from auditlake.reports.page_charts import HeatMap, PeakChart, heat_map
from auditlake.reports.threshold_section import counted_figures, question_facts, threshold_chart

SHOWN_SAMPLES = 5
_OPEN_EPISODES = 10
_DIGESTED = ("over the bytes of the policy file", "over the bytes of the policy file, as far as there were any to read")
_OPEN_LINES = 60
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.(html|json)")


@dataclass(frozen=True, slots=True)
class SiblingFiles:
    """Files beside the page that it links to, by name; None: no link."""

    json: str | None = None
    """The same report as JSON."""
    index: str | None = None
    """The list of reports."""


@dataclass(frozen=True, slots=True)
class TypeRow:
    """A required type."""

    name: Text
    """The type."""
    events: str
    """Events in the period."""
    days: str
    """On how many days it was seen."""
    last_seen: str
    """Its newest event up to ``as_of``."""
    state: Literal["seen", "missing", "optional"]
    """Whether it is a finding."""
    state_words: str
    """The same in words."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of time with the count at or above the threshold."""

    id: str
    """The finding's id."""
    number: str
    """Its place among the episodes of the report."""
    group: tuple[Fact, ...]
    """The group; empty where the policy does not group."""
    facts: tuple[Fact, ...]
    """Start, end, length and peak."""
    samples: tuple[tuple[Text, ...], ...]
    """Events behind the peak, newest first: time, type, user, action, resource, status, address, source, id."""
    samples_words: str
    """What they are."""
    open: bool
    """Whether they are shown at once."""


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """A statement and what it was given."""

    name: Text
    """What the program calls it."""
    rows: str
    """How many rows it gave."""
    parameters: tuple[Fact, ...]
    """What was bound."""
    sql: str
    """The statement."""
    open: bool
    """Whether it is short enough to be shown at once."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page."""

    anchor: str
    """Where a link to it leads."""
    title: str
    """Its name in the list of contents."""


_SECTIONS = {
    "counts": "Counts",
    "coverage": "Coverage",
    "episodes": "Episodes",
    "retention": "Retention",
    "evidence": "Evidence",
    "reading": "How to read it",
}


@dataclass(frozen=True, slots=True)
class CompliancePage:
    """The variables of the template ``compliance.html``."""

    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    report_version: int
    """The form of the report whose page it is."""
    title: str
    """For the window and the bookmark."""
    policy_name: Text
    """The policy's name."""
    description: Text
    """The policy's description."""
    json_file: str | None
    """The same report as JSON, beside this page."""
    index_file: str | None
    """The list of reports, beside this page."""
    facts: tuple[Fact, ...]
    """What was judged, on what, as of when, and which controls that serves."""
    status: Status
    """Which mark and colour."""
    verdict: str
    """The answer in a word or two."""
    verdict_words: str
    """Why."""
    now_words: str
    """How things stand at ``as_of``; empty where the policy sets no threshold."""
    counted_words: str
    """What is counted."""
    accepted_words: str
    """How many of them there are, where not all are shown; else empty."""
    sections: tuple[Section, ...]
    """The sections that the page has, in order."""
    numbers: Mapping[str, str]
    """The number of each of them by its anchor."""
    accepted: tuple[tuple[Text, ...], ...]
    """Findings that somebody answers for: id, what it is, reason, owner, ticket, and until when."""
    figures: tuple[Fact, ...]
    """The handful of numbers that sum it up."""
    question: tuple[Fact, ...]
    """What the threshold asks."""
    chart: PeakChart | None
    """Daily peaks; None where the policy sets no threshold."""
    types_words: str
    """How many required types were seen."""
    types: tuple[TypeRow, ...]
    """Every required type, in the order of the heat map's rows."""
    heat: HeatMap
    """Events by type and day."""
    gaps_words: str
    """How many gaps, or that the policy does not ask."""
    gaps: tuple[tuple[Text, ...], ...]
    """Gaps: type, start, end, length."""
    silent_words: str
    """How many silent days."""
    silent_ranges: tuple[str, ...]
    """The silent days."""
    episodes_words: str
    """How many episodes, and how many of them are shown."""
    episodes: tuple[Episode, ...]
    """The episodes shown, in order of time."""
    retention_words: str
    """What is due, in a sentence."""
    retention: tuple[Fact, ...]
    """The numbers behind it."""
    conflicts: tuple[tuple[Text, ...], ...]
    """Conflicts: type, policy that keeps, its period, policy that limits, its period."""
    others: tuple[KindSection, ...]
    """The sections of other question kinds."""
    evidence: tuple[Fact, ...]
    """Lake, snapshot, digests."""
    queries: tuple[QueryBlock, ...]
    """The statements behind the numbers."""


def compliance_page(report: Report, detail: Detail, sibling_files: SiblingFiles) -> CompliancePage:
    """Puts a report into words.

    Args:
        report: What was found.
        detail: What only the page shows.
        sibling_files: What to link to.

    Raises:
        ReportError: A sibling's name is not a plain file name, or the detail does not fit the report.
    """
    names = list(report.events_by_type)
    if any(len(detail.day_counts.get(name, ())) != len(detail.days) for name in names):
        message = f"the detail of {report.policy_id!r} does not count every required type on every day of the period"
        raise ReportError(message)
    others = kind_sections(report)
    titles = titled(_SECTIONS, others)
    sections = [name for name in titles if name not in _left_out(report)]
    gaps = [finding for finding in report.violations if finding.kind == "coverage_gap"]
    taken = [(finding, finding.accepted) for finding in report.violations if finding.accepted is not None]
    return CompliancePage(
        style_digest=style_digest(),
        report_version=REPORT_VERSION,
        title=f"{visible(report.policy_name)}: {VERDICTS[report.status].lower()} as of {instant_name(report.as_of)}",
        policy_name=shown(report.policy_name),
        description=shown(report.description, limit=5000, keep="\n"),
        json_file=file_name(sibling_files.json),
        index_file=file_name(sibling_files.index),
        facts=_facts(report),
        status=report.status,
        verdict=VERDICTS[report.status],
        verdict_words=text.verdict_words(report),
        now_words=text.now_words(report),
        counted_words=text.counted_words(report),
        sections=tuple(Section(name, titles[name]) for name in sections),
        numbers={name: f"{number}" for number, name in enumerate(sections, 1)},
        accepted=tuple(_accepted(finding, acceptance) for finding, acceptance in taken[:SHOWN_EPISODES]),
        accepted_words=text.beyond(len(taken), "accepted finding"),
        figures=() if report.is_unread else _figures(report, len(detail.days)),
        question=question_facts(report.threshold) if report.threshold else (),
        chart=threshold_chart(report, report.threshold) if report.threshold else None,
        types_words=text.types_words(report),
        types=tuple(_type_row(report, detail, name) for name in names),
        heat=heat_map(names, detail.days, detail.day_counts, detail.first_event_day),
        gaps_words=f"{text.gaps_words(report, len(gaps))} {text.beyond(len(gaps), 'gap')}".rstrip(),
        gaps=tuple(_gap_row(report, gap) for gap in gaps[:SHOWN_EPISODES]),
        silent_words=text.silent_words(report, detail),
        silent_ranges=text.silent_ranges(report.coverage.silent_days),
        episodes_words=text.episodes_words(report),
        episodes=_episodes(report, detail),
        retention_words=text.retention_words(report.retention),
        retention=_retention(report.retention) if report.retention else (),
        conflicts=tuple(_conflict(conflict) for conflict in report.retention.conflicts) if report.retention else (),
        others=others,
        evidence=_evidence(report),
        queries=() if report.is_unread else tuple(map(_query, report.evidence.queries)),
    )


@cache
def style_digest() -> str:
    """SHA-256 in base64 of the style that the templates include, as a content security policy wants it."""
    style = (assets.folder("reports_templates") / "style.css").read_bytes().removesuffix(b"\n")
    return base64.b64encode(hashlib.sha256(style).digest()).decode("ascii")


def _left_out(report: Report) -> set[str]:
    """The sections of which nothing is known, or that the policy does not ask for."""
    if report.is_unread:
        return {"counts", "coverage", "episodes", "retention"}
    return set() if report.threshold else {"episodes"} if report.error else {"counts", "episodes"}


def _period(report: Report) -> Fact:
    bounds, how = f"{moment(report.since)} to {moment(report.until)}", "start exclusive, end inclusive"
    name = text.period_name(report.since, report.until)
    return Fact("Period", Text(name or bounds), f"{bounds}, {how}" if name else how)


def _named_instant(label: str, when: datetime) -> Fact:
    name, exact = instant_name(when), moment(when)
    return Fact(label, Text(name), "" if name == exact else exact)


def _facts(report: Report) -> tuple[Fact, ...]:
    generated = () if report.generated_at == report.as_of else (Fact("Generated", Text(moment(report.generated_at))),)
    return (
        Fact("Policy", shown(report.policy_id), code=True),
        *(() if report.is_unread else (Fact("Severity", Text(visible(report.severity).capitalize())),)),
        _period(report),
        _named_instant("Judged as of", report.as_of),
        *generated,
        Fact(
            "Lake snapshot", Text(f"{report.evidence.snapshot}"), f"{count(report.evidence.rows, 'event')} in the lake"
        ),
        *map(_reviewed, report.evidence.journal.covering),
        *(Fact(visible(name), shown(", ".join(ids))) for name, ids in report.controls.items()),
    )


def _reviewed(review: Review) -> Fact:
    """Who signed the policy's report of this period off."""
    said = f"{review.status.replace('_', ' ')} as of {moment(review.as_of)}: {review.note}"
    return Fact("Reviewed", shown(f"{moment(review.at)} by {review.by}"), visible(said))


def _accepted(finding: Finding, acceptance: Acceptance) -> tuple[Text, ...]:
    values = (finding.message, acceptance.reason, acceptance.owner, acceptance.ticket)
    return (shown(finding.id), *(shown(value) for value in values), Text(moment(acceptance.until, zone=False)))


def _figures(report: Report, days: int) -> tuple[Fact, ...]:
    kinds = [finding.kind for finding in report.violations]
    absent, gaps = kinds.count("missing_required_type"), kinds.count("coverage_gap")
    seen = sum(number > 0 for number in report.events_by_type.values())
    figures = [
        Fact("Governed events", Text(f"{report.total_events:,}"), "in the period"),
        *(counted_figures(report.threshold) if report.threshold else ()),
        Fact(
            "Types seen", Text(f"{seen:,} of {len(report.events_by_type):,}"), f"{absent:,} missing", alarm=absent > 0
        ),
    ]
    if report.coverage.max_gap is not None:
        figures.append(
            Fact("Gaps", Text(f"{gaps:,}"), f"longer than {spelled(report.coverage.max_gap)}", alarm=gaps > 0)
        )
    silent = Fact("Silent days", Text(f"{len(report.coverage.silent_days):,}"), f"of {days:,}")
    return (*figures, silent)


def _type_row(report: Report, detail: Detail, name: str) -> TypeRow:
    number, seen = report.events_by_type[name], report.last_seen[name]
    missing = any(
        finding.kind == "missing_required_type" and finding.event_type == name for finding in report.violations
    )
    never = "never seen" if seen is None else "missing in the period"
    return TypeRow(
        name=shown(name),
        events=f"{number:,}",
        days=f"{sum(day > 0 for day in detail.day_counts[name]):,} of {len(detail.days):,}",
        last_seen=_last_seen(report, seen),
        state="seen" if number else "missing" if missing else "optional",
        state_words="seen" if number else never if missing else "none; the policy does not insist",
    )


def _last_seen(report: Report, seen: datetime | None) -> str:
    if seen is None:
        return "never"
    where = ", before the period" if seen <= report.since else ", after the period" if seen > report.until else ""
    return moment(seen, zone=False) + where


def _gap_row(report: Report, gap: Finding) -> tuple[Text, ...]:
    start = gap.start or report.since
    end = "no event since" if gap.end is None else moment(gap.end, zone=False)
    return (
        shown(gap.event_type),
        Text(moment(start, zone=False)),
        Text(end),
        Text(length((gap.end or report.as_of) - start)),
    )


def _episodes(report: Report, detail: Detail) -> tuple[Episode, ...]:
    episodes = [finding for finding in report.violations if finding.kind == "threshold_exceeded"][:SHOWN_EPISODES]
    return tuple(
        _episode(report, detail.samples.get(finding.id, ()), finding, place) for place, finding in enumerate(episodes)
    )


def _episode(report: Report, samples: Sequence[SampleEvent], finding: Finding, place: int) -> Episode:
    start, peak = finding.start or report.since, finding.peak or 0
    began = "already reached at the start of the period" if finding.measures["started_before_period"] else ""
    few = samples[:SHOWN_SAMPLES]
    every = f"The {peak:,} events" if peak > 1 else "The event"
    some = f"{len(few):,} of the {peak:,} events" if len(few) < peak else every
    return Episode(
        id=visible(finding.id),
        number=f"{place + 1:,}",
        group=tuple(Fact(visible(column), shown(value)) for column, value in (finding.group or {}).items()),
        facts=(
            Fact("Start (UTC)", Text(moment(start, zone=False)), began),
            Fact("End (UTC)", Text("ongoing" if finding.end is None else moment(finding.end, zone=False))),
            Fact(
                "Length", Text(length((finding.end or report.until) - start)), "so far" if finding.end is None else ""
            ),
            Fact(
                "Peak",
                Text(f"{peak:,}"),
                f"at {moment(finding.measures['peak_at'], zone=False)}",
            ),
        ),
        samples=tuple(_sample(event) for event in few),
        samples_words=f"{some} behind the peak, newest first",
        open=place < _OPEN_EPISODES,
    )


def _sample(event: SampleEvent) -> tuple[Text, ...]:
    values = (
        event.event_type,
        event.user_id,
        event.action,
        event.resource,
        event.status,
        event.ip_address,
        event.source,
    )
    return (Text(moment(event.timestamp, zone=False)), *(shown(value) for value in (*values, event.event_id)))


def _retention(answer: RetentionAnswer) -> tuple[Fact, ...]:
    oldest = None if answer.oldest_event is None else moment(answer.oldest_event)
    return (
        Fact("Retention period", Text(spelled(answer.retention_period))),
        Fact("Cutoff", Text(moment(answer.cutoff)), "older events have served this policy"),
        Fact("Due for deletion", Text(f"{answer.due:,}")),
        Fact("Kept by other policies", Text(f"{answer.kept_by_other_policies:,}")),
        Fact("Under a legal hold", Text(f"{answer.held:,}")),
        Fact("Oldest governed event", shown(oldest)),
    )


def _conflict(conflict: RetentionConflict) -> tuple[Text, ...]:
    keeps, limits = Text(spelled(conflict.retention_period)), Text(spelled(conflict.max_retention))
    return (shown(conflict.event_type), shown(conflict.keep_policy), keeps, shown(conflict.limit_policy), limits)


def _evidence(report: Report) -> tuple[Fact, ...]:
    evidence = report.evidence
    return (
        Fact("Lake", shown(evidence.lake_id), code=True),
        Fact(
            "Snapshot",
            Text(f"{evidence.snapshot}"),
            "the version of the lake that every number was read from",
            code=True,
        ),
        Fact("Inputs", Text(f"{count(evidence.files, 'data file')}, {count(evidence.rows, 'row')}")),
        Fact("Inputs digest", shown(evidence.inputs_digest), "over the names of those files", code=True),
        Fact("Policy digest", shown(evidence.policy_digest), _DIGESTED[report.is_unread], code=True),
        *_journal(evidence.journal),
    )


def _journal(journal: Journal) -> tuple[Fact, ...]:
    if not journal.entries:
        return ()
    return (
        Fact(
            "Journal digest",
            shown(journal.digest),
            f"over the first {count(journal.entries, 'entry', 'entries')} of the journal of findings",
            code=True,
        ),
    )


def _query(query: Query) -> QueryBlock:
    lines = query.sql.rstrip("\n").count("\n") + 1
    return QueryBlock(
        name=shown(query.name),
        rows=count(query.rows, "row"),
        parameters=tuple(
            Fact(visible(name), shown(_bound(value)), code=True) for name, value in query.parameters.items()
        ),
        sql=visible(query.sql.rstrip("\n"), keep="\n"),
        open=lines <= _OPEN_LINES,
    )


def _bound(value: object) -> str:
    plain = json_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def file_name(name: str | None) -> str | None:
    """Lets through only what is a plain file name, so that a link leads nowhere but beside the page."""
    if name is not None and _FILE.fullmatch(name) is None:
        message = f"a report links to plain file names only, got {name!r}"
        raise ReportError(message)
    return name
