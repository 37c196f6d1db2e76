"""The report of a policy on paper: a summary of two pages, its sections, and the SQL as an annex.

What it says is what the page says: :mod:`auditlake.reports.page`. Paper has no links to other files and no end of a
list that can be folded, so here lists end earlier, and what they leave out is in the data inside of the PDF.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar

from auditlake.display.templates import render_bytes
from auditlake.display.text import Fact, Text, count, instant_name, moment, shown, visible
from auditlake.findings.finding import Finding
from auditlake.reports.model import Detail, Query, Report
from auditlake.reports.page import CompliancePage, PageSection, Served, compliance_page
from auditlake.reports.page_charts import PeakChart
from auditlake.reports.sections.counts import Counts
from auditlake.reports.sections.episodes import Episodes
from auditlake.reports.sections.evidence import EvidencePart, query_block

_FINDINGS = 7
_FACTS = 8
_SERVED = 5
_EPISODES = 25
_MESSAGE = 120
_LINE, _LINES = 400, 2_000


@dataclass(frozen=True, slots=True)
class Heading:
    """An entry of the list of contents."""

    anchor: str
    """Where it leads."""
    number: str
    """Its number; may be empty."""
    title: str
    """Its title."""


@dataclass(frozen=True, slots=True)
class FindingLine:
    """A finding in the summary."""

    id: str
    """The finding's id."""
    message: Text
    """What it says."""
    start: str
    """When it begins; may be empty."""
    end: str
    """When it ends; may be empty."""
    state: str
    """Whether it is accepted."""


@dataclass(frozen=True, slots=True)
class SqlRun:
    """One run of a statement."""

    policy: Text
    """The policy that asked; empty where that goes without saying."""
    rows: str
    """How many rows it gave."""
    parameters: tuple[Fact, ...]
    """What was bound."""


@dataclass(frozen=True, slots=True)
class Sql:
    """A statement of the annex."""

    name: Text
    """What the program calls it."""
    sql: str
    """The statement."""
    runs: tuple[SqlRun, ...]
    """What it was run with."""


@dataclass(frozen=True, slots=True)
class PolicySheet:
    """The variables of the template ``print_policy.html``."""

    template: ClassVar[str] = "print_policy.html"
    page: CompliancePage
    """What the page says, with lists that end earlier."""
    stem: str
    """The name of the report's files without their ending."""
    as_of: str
    """The instant of the report, for people."""
    as_of_iso: str
    """The same for programs."""
    facts_words: str
    """That facts are left out, where they are; else empty."""
    findings_words: str
    """How many findings there are, and how many are listed."""
    findings: tuple[FindingLine, ...]
    """The first of them."""
    chart: PeakChart | None
    """The daily peaks, where the policy sets a threshold."""
    served_words: str
    """That controls are left out, where they are; else empty."""
    file: tuple[Fact, ...]
    """The data inside of the PDF."""
    headings: tuple[Heading, ...]
    """The contents."""
    queries: tuple[Sql, ...]
    """The annex; none where it is left out."""


def render_sheet(
    report: Report, detail: Detail, served: tuple[Served, ...], json: bytes, *, stem: str, annex: bool
) -> bytes:
    """Return the report as a page for paper.

    Args:
        report: What was found.
        detail: What only pages show.
        served: The controls that the policy is a check of.
        json: The report's canonical JSON, which is put inside of the PDF.
        stem: The name of the report's files without their ending.
        annex: Whether the SQL is shown.
    """
    return render_bytes(policy_sheet(report, detail, served, json, stem=stem, annex=annex))


def policy_sheet(
    report: Report, detail: Detail, served: tuple[Served, ...], json: bytes, *, stem: str, annex: bool
) -> PolicySheet:
    """Put a report into words for paper; see :func:`render_sheet`."""
    page = compliance_page(report, detail, tuple(replace(each, file=None) for each in served[:_SERVED]))
    chart = next((each.body.chart for each in page.sections if isinstance(each.body, Counts)), None)
    queries = sql_of([("", report.evidence.queries)]) if annex and not report.is_unread else ()
    sections = tuple(_on_paper(each, annex=bool(queries)) for each in page.sections)
    left, unserved = len(page.facts) - _FACTS, len(served) - _SERVED
    return PolicySheet(
        page=replace(
            page, sections=sections, facts=page.facts[:_FACTS],
            description=shown(report.description, limit=600, keep="\n"),
        ),
        stem=stem,
        as_of=instant_name(report.as_of),
        as_of_iso=second_of(report.as_of),
        facts_words=f"{count(left, 'more fact')}, in the data inside." if left > 0 else "",
        findings_words=_findings_words(len(report.violations)),
        findings=tuple(map(_line, report.violations[:_FINDINGS])),
        chart=chart,
        served_words=f"{count(unserved, 'more control')}." if unserved > 0 else "",
        file=file_facts(json, stem),
        headings=(
            *([Heading("accepted", "", "Accepted findings")] if page.accepted else []),
            *(Heading(each.anchor, each.number, each.heading) for each in sections),
            *([Heading("sql", "Annex", "The SQL")] if queries else []),
        ),
        queries=queries,
    )  # fmt: skip


def second_of(when: datetime) -> str:
    """Return an instant for programs, to the second: PDF knows no less."""
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def file_facts(json: bytes, stem: str) -> tuple[Fact, ...]:
    """Return what is to be known of the data inside of a PDF."""
    digest = hashlib.sha256(json).hexdigest()
    return (
        Fact("File", Text(f"{stem}.json"), count(len(json), "byte"), code=True),
        Fact("SHA-256", Text(digest), code=True),
    )


def sql_of(asked: Iterable[tuple[str, Sequence[Query]]]) -> tuple[Sql, ...]:
    """Return every statement once, with what it was run with.

    Args:
        asked: Statements by the policy that asked; the policy is empty where it goes without saying.
    """
    statements: dict[str, list[tuple[str, Query]]] = {}
    for policy, queries in asked:
        for query in queries:
            statements.setdefault(query.sql, []).append((policy, query))
    return tuple(_sql(runs) for runs in statements.values())


def _sql(runs: Sequence[tuple[str, Query]]) -> Sql:
    blocks = [(shown(policy), query_block(query)) for policy, query in runs]
    _, first = blocks[0]
    return Sql(first.name, _broken(first.sql), tuple(SqlRun(asked, own.rows, own.parameters) for asked, own in blocks))


def _broken(sql: str) -> str:
    """Return a statement without lines that would take WeasyPrint minutes, and without its end where it has no end."""
    lines = [line[at : at + _LINE] for line in sql.split("\n") for at in range(0, len(line) or 1, _LINE)]
    left = len(lines) - _LINES
    return "\n".join(lines if left <= 0 else [*lines[:_LINES], f"-- {count(left, 'more line')} in the data inside"])


def _on_paper(section: PageSection, *, annex: bool) -> PageSection:
    """Return a section without what the summary or the annex has."""
    body = section.body
    if isinstance(body, Counts) and body.chart is not None:
        return replace(section, body=replace(body, chart=None, counted_words="The summary has the chart."))
    if isinstance(body, EvidencePart) and body.queries:
        where = "the statements of the annex" if annex else "statements that the data inside has"
        words = f"Every number comes from {where}, run over these inputs."
        return replace(section, body=replace(body, queries=(), words=words))
    if isinstance(body, Episodes):
        return replace(section, body=_fewer(body))
    return section


def _fewer(body: Episodes) -> Episodes:
    episodes = body.episodes[:_EPISODES]
    if len(episodes) == len(body.episodes):
        return body
    words = f"{body.episodes_words} {len(episodes)} are shown here; the data inside has the others."
    return replace(body, episodes=episodes, episodes_words=words)


def _findings_words(number: int) -> str:
    if not number:
        return "Nothing was found."
    if number <= _FINDINGS:
        return f"{count(number, 'finding')}."
    return f"The first {_FINDINGS} of {count(number, 'finding')}; the sections and the data inside have more."


def _line(finding: Finding) -> FindingLine:
    accepted = finding.accepted
    end = "" if finding.start is None else "ongoing" if finding.end is None else moment(finding.end, zone=False)[:16]
    return FindingLine(
        id=visible(finding.id),
        message=shown(finding.message, limit=_MESSAGE),
        start="" if finding.start is None else moment(finding.start, zone=False)[:16],
        end=end,
        state="open" if accepted is None else f"accepted until {accepted.until:%Y-%m-%d}",
    )
