"""The page of a report: its head and the order of its parts; each section says the rest. Every tag is in a template.

Text from events and policies passes through ``shown`` or ``visible`` on its way in, and through the templates' escaping
on its way out. Nothing from an event becomes a link.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from auditlake.disk.layout import trend_file
from auditlake.display.templates import Document, file_name, render_bytes, style_digest
from auditlake.display.text import Fact, Text, count, instant_name, moment, period_name, shown, visible
from auditlake.errors import ReportError
from auditlake.findings.decisions import Acceptance, Review
from auditlake.findings.finding import Finding
from auditlake.findings.many import accepted_ones
from auditlake.reports.document import REPORT_VERSION
from auditlake.reports.model import Detail, Report, Status
from auditlake.reports.sections import catalog
from auditlake.reports.sections.model import Section
from auditlake.reports.sentences import SHOWN_EPISODES, VERDICTS, beyond, counted_words, now_words, verdict_words


@dataclass(frozen=True, slots=True)
class PageSection:
    """A section that this page has."""

    anchor: str
    """Where a link to it leads."""
    title: str
    """Its name in the list of contents."""
    number: str
    """Its number on this page."""
    heading: str
    """Its heading."""
    body: Document
    """What its fragment is filled with."""


@dataclass(frozen=True, slots=True)
class Served:
    """A control that a policy is a check of."""

    id: Text
    """The framework, and the control as it is cited."""
    title: Text
    """Its title."""
    status: str
    """Which mark and colour."""
    word: str
    """The status in a word or two."""
    file: str | None
    """Its page or that of its framework, beside this one; None: there is none."""


@dataclass(frozen=True, slots=True)
class CompliancePage:
    """The variables of the template ``compliance.html``."""

    template: ClassVar[str] = "compliance.html"
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
    trend_file: str | None
    """The policy over time, beside this page."""
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
    served: tuple[Served, ...]
    """The controls that it is a check of."""
    accepted_words: str
    """How many of them there are, where not all are shown; else empty."""
    sections: tuple[PageSection, ...]
    """The sections that the page has, in order."""
    accepted: tuple[tuple[Text, ...], ...]
    """Findings that an owner accepted: id, message, reason, owner, ticket, and until when."""
    figures: tuple[Fact, ...]
    """The handful of numbers that sum it up."""


def render_page(report: Report, detail: Detail, served: tuple[Served, ...] = (), **siblings: str | None) -> bytes:
    """Return the report as a self-contained HTML page; see :func:`compliance_page`."""
    return render_bytes(compliance_page(report, detail, served, **siblings))


def compliance_page(
    report: Report, detail: Detail, served: tuple[Served, ...] = (), *, json_file: str | None = None,
    index_file: str | None = None,
) -> CompliancePage:  # fmt: skip
    """Put a report into words.

    Args:
        report: What was found.
        detail: What only the page shows.
        served: The controls that the policy is a check of.
        json_file: The same report as JSON, by its name beside the page; no link if None.
        index_file: The list of reports, likewise; where both are there, so is the page of the policy over time.

    Raises:
        ReportError: A sibling's name is not a plain file name, or the detail does not fit the report.
    """
    names = list(report.events_by_type)
    if any(len(detail.day_counts.get(name, ())) != len(detail.days) for name in names):
        message = f"the detail of {report.policy_id!r} does not count every required type on every day of the period"
        raise ReportError(message)
    sections = catalog.sections_of(report)
    present = [(section, body) for section in sections if (body := section.body(report, detail)) is not None]
    governed = () if report.is_unread else (Fact("Governed events", Text(f"{report.total_events:,}"), "in the period"),)
    accepted = [(each, each.accepted) for each in accepted_ones(report.violations) if each.accepted is not None]
    return CompliancePage(
        style_digest=style_digest(),
        report_version=REPORT_VERSION,
        title=f"{visible(report.policy_name)}: {VERDICTS[report.status].lower()} as of {instant_name(report.as_of)}",
        policy_name=shown(report.policy_name),
        description=shown(report.description, limit=5000, keep="\n"),
        json_file=file_name(json_file),
        index_file=file_name(index_file),
        trend_file=file_name(trend_file(report.policy_id)) if json_file and index_file else None,
        facts=_facts(report),
        served=tuple(replace(each, file=file_name(each.file)) for each in served),
        status=report.status,
        verdict=VERDICTS[report.status],
        verdict_words=verdict_words(report),
        now_words=now_words(report),
        counted_words=counted_words(report),
        sections=tuple(
            PageSection(section.anchor, *_entitled(section, report, number), body)
            for number, (section, body) in enumerate(present, 1)
        ),
        accepted=tuple(_accepted(finding, acceptance) for finding, acceptance in accepted[:SHOWN_EPISODES]),
        accepted_words=beyond(len(accepted), "accepted finding"),
        figures=(*governed, *(figure for section, _ in present for figure in section.figures(report, detail))),
    )


def _entitled(section: Section, report: Report, number: int) -> tuple[str, str, str]:
    """Return a section's name, number and heading."""
    usual = (section.title, section.heading or section.title)
    title, heading = section.entitled(report) if section.entitled else usual
    return title, f"{number}", heading


def _period(report: Report) -> Fact:
    bounds, how = f"{moment(report.since)} to {moment(report.until)}", "start exclusive, end inclusive"
    name = period_name(report.since, report.until)
    return Fact("Period", Text(name or bounds), f"{bounds}, {how}" if name else how)


def _facts(report: Report) -> tuple[Fact, ...]:
    name, exact = instant_name(report.as_of), moment(report.as_of)
    generated = () if report.generated_at == report.as_of else (Fact("Generated", Text(moment(report.generated_at))),)
    return (
        Fact("Policy", shown(report.policy_id), code=True),
        *(() if report.is_unread else (Fact("Severity", Text(visible(report.severity).capitalize())),)),
        _period(report),
        Fact("Judged as of", Text(name), "" if name == exact else exact),
        *generated,
        Fact(
            "Lake snapshot", Text(f"{report.evidence.snapshot}"), f"{count(report.evidence.rows, 'event')} in the lake"
        ),
        *map(_reviewed, report.evidence.journal.covering),
        *(Fact(visible(name), shown(", ".join(ids))) for name, ids in report.controls.items()),
    )


def _reviewed(review: Review) -> Fact:
    """Return who signed the policy's report of this period off."""
    note = f"{review.status.replace('_', ' ')} as of {moment(review.as_of)}: {review.note}"
    return Fact("Reviewed", shown(f"{moment(review.at)} by {review.by}"), visible(note))


def _accepted(finding: Finding, acceptance: Acceptance) -> tuple[Text, ...]:
    values = (finding.message, acceptance.reason, acceptance.owner, acceptance.ticket)
    return (shown(finding.id), *(shown(value) for value in values), Text(moment(acceptance.until, zone=False)))
