"""The report of a framework on paper: a summary of two pages, its sections, and as annexes its controls and the SQL."""

from __future__ import annotations

import json as json_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

from auditlake.display.templates import render_bytes
from auditlake.display.text import Fact, Text, count, instant_name, shown
from auditlake.frameworks.model import FrameworkReport
from auditlake.reports.model import Detail, Report
from auditlake.reports.sheet import Heading, Sql, file_facts, second_of, sql_of
from auditlake.runs.model import Entry
from auditlake.site.causes import Cause, causes_of
from auditlake.site.control_page import ControlPage, control_page
from auditlake.site.framework_page import FrameworkPage, framework_page
from auditlake.site.strips import Strips, all_strips_of
from auditlake.site.words import STATUS_WORDS

_CAUSES = 9
_FACTS = 9
_FINDINGS = 8
_SAMPLES = 3
_STRIP_ROWS = 34
"""As many rows as fit a page of paper."""
_SECTIONS = (
    ("controls", "Controls"), ("coverage", "Coverage"), ("duties", "Reviews and evaluations"),
    ("retention", "Retention"), ("decisions", "Statements, exceptions, not applicable"), ("sources", "Sources"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CauseLine:
    """What needs attention."""

    status: str
    """The worst status that it gives a control."""
    word: str
    """The same in a word or two."""
    words: Text
    """What it is."""
    who: str
    """The controls that it keeps from passing."""


@dataclass(frozen=True, slots=True)
class FrameworkSheet(FrameworkPage):
    """The variables of the template ``print_framework.html``: those of the page, and what only paper has."""

    template: ClassVar[str] = "print_framework.html"
    stem: str
    """The name of the report's files without their ending."""
    as_of: str
    """The instant of the report, for people."""
    as_of_iso: str
    """The same for programs."""
    causes_words: str
    """How many causes there are, and how many are listed."""
    causes: tuple[CauseLine, ...]
    """The first of what keeps controls from passing."""
    file: tuple[Fact, ...]
    """The data inside of the PDF."""
    headings: tuple[Heading, ...]
    """The contents."""
    all_strips: tuple[Strips, ...]
    """What was due, a page of rows each."""
    found: tuple[ControlPage, ...]
    """The controls of which something was found."""
    queries: tuple[Sql, ...]
    """The last annex; none where it is left out."""


def render_framework_sheet(
    report: FrameworkReport, runs: Sequence[Entry], policies: Mapping[str, tuple[Report, Detail | None]], json: bytes,
    *, stem: str, annex: bool,
) -> bytes:  # fmt: skip
    """Return the report as a page for paper.

    Args:
        report: What was judged.
        runs: The runs on record that count.
        policies: The reports that its checks rest on, by policy.
        json: The report's canonical JSON, which is put inside of the PDF.
        stem: The name of the report's files without their ending.
        annex: Whether the SQL is shown.
    """
    page = framework_page(report, runs, files={}, json_file=None, index_file=None)
    found = tuple(_control(report, each, runs, policies) for each in report.controls if each.findings)
    asked = [(policy, each.evidence.queries) for policy, (each, _) in policies.items()]
    queries = sql_of([*asked, ("", report.evidence.queries)]) if annex else ()
    causes = causes_of([json_module.loads(json)])
    own: dict[str, Any] = {field.name: getattr(page, field.name) for field in fields(page)}
    own |= {"about": shown(report.about, limit=600), "facts": page.facts[:_FACTS]}
    sheet = FrameworkSheet(
        **own,
        stem=stem,
        as_of=instant_name(report.as_of),
        as_of_iso=second_of(report.as_of),
        causes_words=_causes_words(len(causes)),
        causes=tuple(map(_cause, causes[:_CAUSES])),
        file=file_facts(json, stem),
        headings=(
            *(Heading(anchor, f"{number}", title) for number, (anchor, title) in enumerate(_SECTIONS, 1)),
            *([Heading("found", "Annex A", "Controls with findings")] if found else []),
            *([Heading("sql", "Annex B", "The SQL")] if queries else []),
        ),
        all_strips=all_strips_of(report, _STRIP_ROWS),
        found=found,
        queries=queries,
    )
    return render_bytes(sheet)


def _control(
    report: FrameworkReport, control: Any, runs: Sequence[Entry],
    policies: Mapping[str, tuple[Report, Detail | None]],
) -> ControlPage:  # fmt: skip
    """Return the page of a control, with lists that end earlier, and without its SQL."""
    page = control_page(
        report, control, runs, policies=policies, files={}, policy_files={}, framework_file=None, index_file=None
    )
    left = len(control.findings) - _FINDINGS
    found = tuple(replace(each, samples=each.samples[:_SAMPLES]) for each in page.findings[:_FINDINGS])
    words = f"The first {_FINDINGS} of {count(len(control.findings), 'finding')}; the data inside has all of them."
    return replace(page, findings=found, findings_words=words if left > 0 else page.findings_words, queries=())


def _cause(cause: Cause) -> CauseLine:
    controls = [control for _, control in cause.controls]
    more = f" and {len(controls) - 8} more" if len(controls) > 8 else ""
    who = f"{'control' if len(controls) == 1 else 'controls'} {', '.join(controls[:8])}{more}"
    return CauseLine(cause.status, STATUS_WORDS[cause.status], shown(cause.words, limit=160), shown(who).text)


def _causes_words(number: int) -> str:
    if not number:
        return "Nothing keeps a control from passing."
    each = f"{count(number, 'cause')} {'keeps' if number == 1 else 'keep'} controls from passing"
    return f"{each}." if number <= _CAUSES else f"{each}; these are the first {_CAUSES}."
