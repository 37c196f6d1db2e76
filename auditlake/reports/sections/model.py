"""What a section of a report is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from auditlake.display.templates import Document
from auditlake.display.text import Fact
from auditlake.reports.model import Detail, Report


@dataclass(frozen=True, slots=True)
class Term:
    """A word that the page explains at its end."""

    word: str
    """The word."""
    meaning: str
    """Its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of the page, and its part of the JSON."""

    anchor: str
    """Where a link to it leads."""
    title: str
    """Its name in the list of contents."""
    body: Callable[[Report, Detail], Document | None]
    """Returns what its fragment is filled with; None where this report has no such section."""
    heading: str | None = None
    """Its heading, where that is not its title."""
    entitled: Callable[[Report], tuple[str, str]] | None = None
    """Returns its name and its heading, where they depend on the report."""
    figures: Callable[[Report, Detail], tuple[Fact, ...]] = lambda _report, _detail: ()
    """Returns the numbers that it adds to the few at the top of the page, where the report has the section."""
    terms: Callable[[Report], tuple[Term, ...]] = lambda _report: ()
    """Returns the words that it uses, to be explained."""
    json: Callable[[Report, int], Mapping[str, Any]] = lambda _report, _form: {}
    """Returns its part of the JSON of a form, by key: keys of the form stand where the form has them, others within
    ``measures``."""
