"""The sections of a report, in the order of the page; a new section is a row here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from auditlake.reports.model import Detail, Report
from auditlake.reports.sections import counts, coverage, episodes, evidence, kinds, retention
from auditlake.reports.sections.model import Section, Term


@dataclass(frozen=True, slots=True)
class Reading:
    """The variables of the fragment ``reading.html``."""

    template: ClassVar[str] = "sections/reading.html"
    terms: tuple[Term, ...]
    """The words of the sections that the report has."""


def explaining(sections: Sequence[Section]) -> Section:
    """Return the section that explains the words of others."""

    def body(report: Report, _: Detail) -> Reading:
        return Reading(tuple(term for section in sections for term in section.terms(report)))

    return Section(anchor="reading", title="How to read it", body=body)


_ANSWERS = (counts.SECTION, coverage.SECTION, episodes.SECTION, retention.SECTION, evidence.SECTION)

SECTIONS: tuple[Section, ...] = (*_ANSWERS, explaining(_ANSWERS))


def sections_of(report: Report) -> tuple[Section, ...]:
    """Return the sections that a page may have: those of other question kinds stand before the evidence."""
    before = SECTIONS.index(evidence.SECTION) if evidence.SECTION in SECTIONS else len(SECTIONS)
    return (*SECTIONS[:before], *kinds.kind_sections(report), *SECTIONS[before:])
