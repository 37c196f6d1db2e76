"""Sections of the page for question kinds that it knows nothing else of: what they measure, and what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auditlake.display.text import SHOWN_EPISODES, Fact, Text, beyond, moment, shown
from auditlake.findings.finding import Finding
from auditlake.policies import kinds
from auditlake.policies.kinds.model import Kind
from auditlake.reports.model import Report


@dataclass(frozen=True, slots=True)
class KindSection:
    """The section of one kind."""

    anchor: str
    """Where a link to it leads."""
    title: str
    """Its heading."""
    words: str
    """What the policy found, in a sentence."""
    facts: tuple[Fact, ...]
    """What was measured."""
    findings: tuple[tuple[Text, ...], ...]
    """Findings: id, what it is about, start, end, what was found."""


def kind_sections(report: Report) -> tuple[KindSection, ...]:
    """Return a section for each kind with a title that the report has an answer of."""
    asked = (kind for kind in kinds.KINDS if kind.title is not None and kind.name in report.measures)
    return tuple(_section(report, kind) for kind in asked)


def titled(titles: Mapping[str, str], sections: Sequence[KindSection]) -> dict[str, str]:
    """Return the titles of a page's sections by anchor, in order: those of other kinds come before the evidence."""
    last = {name: titles[name] for name in ("evidence", "reading")}
    first = {name: title for name, title in titles.items() if name not in last}
    return first | {each.anchor: each.title for each in sections} | last


def _section(report: Report, kind: Kind) -> KindSection:
    names = {each.name for each in kind.finding_kinds}
    findings = [finding for finding in report.violations if finding.kind in names]
    words = f"The policy found {kind.sentence(findings) or 'nothing'}. {beyond(len(findings), 'finding')}".rstrip()
    rows = tuple(map(_row, findings[:SHOWN_EPISODES]))
    return KindSection(kind.name, kind.title or kind.name, words, kind.facts(report.measures[kind.name]), rows)


def _row(finding: Finding) -> tuple[Text, ...]:
    about = finding.event_type or ", ".join((finding.group or {}).values()) or None
    times = (None if at is None else moment(at, zone=False) for at in (finding.start, finding.end))
    return (shown(finding.id), shown(about), *map(shown, times), shown(finding.message))
