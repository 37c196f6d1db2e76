"""A new section of a report is a file, a fragment and a row: a toy section shows it, and nothing else is touched."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from jinja2 import ChoiceLoader, DictLoader

from auditlake.display.templates import environment
from auditlake.display.text import Fact, Text, count, shown
from auditlake.errors import ReportError
from auditlake.reports.compliance import ComplianceReport
from auditlake.reports.model import Detail, Report
from auditlake.reports.sections import catalog
from auditlake.reports.sections.catalog import explaining
from auditlake.reports.sections.model import Section, Term
from tests.reports import samples

# The file auditlake/reports/sections/ages.py.


@dataclass(frozen=True, slots=True)
class Ages:
    """The variables of the fragment ``ages.html``."""

    template: ClassVar[str] = "sections/ages.html"
    oldest: Text
    """The type that was silent for longest."""


def oldest_type(report: Report) -> str | None:
    """Return the type that was silent for longest."""
    seen = {name: when for name, when in report.last_seen.items() if when is not None}
    return min(seen, key=seen.__getitem__, default=None)


AGES = Section(
    anchor="ages",
    title="Ages",
    heading="How old the news is",
    body=lambda report, _: Ages(shown(oldest_type(report))) if report.total_events else None,
    figures=lambda report, _: (Fact("Types with news", Text(count(len(report.last_seen), "type"))),),
    terms=lambda _: (Term("News", "An event younger than <one> day."),),
    json=lambda report, _: {"ages": {"oldest": oldest_type(report)}},
)

# Its fragment reports_templates/sections/ages.html.

FRAGMENT = "  <p>Longest silent: {{ oldest.text }}</p>\n"


@pytest.fixture
def _with_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the fragment into its folder and the row into the tuple."""
    loader = ChoiceLoader([DictLoader({Ages.template: FRAGMENT}), environment().loader])
    monkeypatch.setattr(environment(), "loader", loader)
    answers = (*catalog.SECTIONS[:-1], AGES)
    monkeypatch.setattr(catalog, "SECTIONS", (*answers, explaining(answers)))


def made(report: Report, detail: Detail) -> ComplianceReport:
    return ComplianceReport(report, detail)


@pytest.mark.usefixtures("_with_ages")
def test_a_new_section() -> None:
    """It has its number, its place among the contents, its figure, its terms, and its part of the JSON."""
    report, detail = samples.violation()
    page = made(report, detail).html().decode()

    assert '<h2 id="ages"><span class="no">6</span>How old the news is</h2>\n  <p>Longest silent: ' in page
    assert '<li><a href="#ages">Ages</a></li>\n    <li><a href="#reading">' in page
    assert '<h2 id="reading"><span class="no">7</span>' in page
    assert "<dt>Types with news</dt>" in page
    assert "<dt>News</dt><dd>An event younger than &lt;one&gt; day.</dd>" in page
    document = json.loads(made(report, detail).json())
    assert document["measures"] == {"ages": {"oldest": oldest_type(report)}}
    assert set(document) == set(json.loads(samples.GOLDEN.read_bytes()))


@pytest.mark.usefixtures("_with_ages")
def test_a_report_without_the_section() -> None:
    """Where a report has nothing for it, neither the page nor the figures know it, and the numbers close up."""
    report, detail = samples.violation()
    page = made(replace(report, total_events=0), detail).html().decode()

    assert 'id="ages"' not in page
    assert "Types with news" not in page
    assert '<h2 id="reading"><span class="no">6</span>' in page


@pytest.mark.usefixtures("_with_ages")
def test_an_old_form_does_not_know_it() -> None:
    """The first form of the JSON never changes."""
    document = json.loads(made(*samples.violation()).json(1))

    assert "ages" not in json.dumps(document)


def test_a_part_must_be_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section whose part of the JSON does not fit the schema is refused, and the message says where."""
    monkeypatch.setattr(catalog, "SECTIONS", (*catalog.SECTIONS, replace(AGES, json=lambda *_: {"ages": 3})))

    with pytest.raises(ReportError, match=r"schema at \$\.measures\.ages"):
        made(*samples.violation()).json()


def test_the_sections_of_today() -> None:
    """These sections are the members, in the order of the page."""
    anchors = [section.anchor for section in catalog.SECTIONS]

    assert anchors == ["counts", "coverage", "episodes", "retention", "evidence", "reading"]
