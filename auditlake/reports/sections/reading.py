"""Section "How to read it": the words that the other sections use, explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from auditlake.reports.model import Detail, Report
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
