"""The sections of a report, in the order of the page; a new section is a row here."""

from __future__ import annotations

from auditlake.reports.model import Report
from auditlake.reports.sections import counts, coverage, episodes, evidence, kinds, reading, retention
from auditlake.reports.sections.model import Section

_ANSWERS = (counts.SECTION, coverage.SECTION, episodes.SECTION, retention.SECTION, evidence.SECTION)

SECTIONS: tuple[Section, ...] = (*_ANSWERS, reading.explaining(_ANSWERS))


def sections_of(report: Report) -> tuple[Section, ...]:
    """Return the sections that a page may have: those of other question kinds stand before the evidence."""
    before = SECTIONS.index(evidence.SECTION) if evidence.SECTION in SECTIONS else len(SECTIONS)
    return (*SECTIONS[:before], *kinds.kind_sections(report), *SECTIONS[before:])
