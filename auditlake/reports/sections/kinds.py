"""Sections of question kinds that the page has none of its own for: what a kind measured, and what it found."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from auditlake.display.text import Fact, Text, moment, shown
from auditlake.findings.finding import Finding
from auditlake.findings.many import of_kinds
from auditlake.policies import kinds
from auditlake.policies.kinds.model import Kind
from auditlake.reports.model import Detail, Report
from auditlake.reports.sections.model import Section
from auditlake.reports.sentences import SHOWN_EPISODES, beyond


@dataclass(frozen=True, slots=True)
class KindAnswer:
    """The variables of the fragment ``kind.html``."""

    template: ClassVar[str] = "sections/kind.html"
    title: str
    """The kind's name, for captions."""
    words: str
    """What the policy found, in a sentence."""
    facts: tuple[Fact, ...]
    """What was measured."""
    findings: tuple[tuple[Text, ...], ...]
    """Findings: id, what it is about, start, end, message."""


def kind_sections(report: Report) -> tuple[Section, ...]:
    """Return a section for each kind with a title that the report has an answer of."""
    asked = (kind for kind in kinds.KINDS if kind.title is not None and kind.name in report.measures)
    return tuple(Section(anchor=kind.name, title=kind.title or kind.name, body=partial(_body, kind)) for kind in asked)


def _body(kind: Kind, report: Report, _: Detail) -> KindAnswer:
    names = {each.name for each in kind.finding_kinds}
    findings = of_kinds(report.violations, names)
    words = f"The policy found {kind.sentence(findings) or 'nothing'}. {beyond(len(findings), 'finding')}".rstrip()
    rows = tuple(map(_row, findings[:SHOWN_EPISODES]))
    return KindAnswer(kind.title or kind.name, words, kind.facts(report.measures[kind.name]), rows)


def _row(finding: Finding) -> tuple[Text, ...]:
    times = (None if at is None else moment(at, zone=False) for at in (finding.start, finding.end))
    return (shown(finding.id), shown(finding.about), *map(shown, times), shown(finding.message))
