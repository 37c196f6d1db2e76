"""The sections of a report, in the order of the page; a new section is a row here."""

from __future__ import annotations

from auditlake.reports.sections import counts, coverage, episodes, evidence, reading, retention
from auditlake.reports.sections.model import Section

_ANSWERS = (counts.SECTION, coverage.SECTION, episodes.SECTION, retention.SECTION, evidence.SECTION)

SECTIONS: tuple[Section, ...] = (*_ANSWERS, reading.explaining(_ANSWERS))
