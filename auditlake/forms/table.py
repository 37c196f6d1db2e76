"""The table of forms: a form is a row here, and a file of this room with the function ``render``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from auditlake.errors import ReportError
from auditlake.forms.model import FormOptions, Judgement


@dataclass(frozen=True, slots=True)
class Form:
    """A form that a report can be written in."""

    name: str
    """As ``--format`` takes it."""
    ending: str
    """Of its files, after the first dot."""
    about: str
    """What it is and for whom, in a few words."""
    file: str | None
    """The module of this room with ``render(judgement, options) -> bytes``; None: whoever made the report renders it,
    since it shows more than every report has."""
    between: str | None = None
    """What stands between reports that are written one after the other into one text; None: they cannot be."""


FORMS = (
    Form("json", "json", "everything that the report says, for machines and as evidence", None),
    Form("html", "html", "the page, for people", None),
    Form("pdf", "pdf", "the page on paper, with the JSON inside; needs auditlake[pdf]", None),
    Form("csv", "csv", "a row a control, check and finding, for spreadsheets", "csv_rows"),
    Form("markdown", "md", "verdict and table, for pull requests and tickets", "markdown", "\n"),
    Form("text", "txt", "the verdict and what needs doing, for a mail", "text", "\n"),
    Form("junit", "junit.xml", "JUnit XML, for servers of continuous integration", "junit"),
    Form("oscal", "oscal.json", "OSCAL 1.2.3 assessment results, for governance tools", "oscal"),
    Form("ocsf", "ocsf.jsonl", "OCSF 1.8.0 compliance findings, for SIEMs", "ocsf", ""),
    Form("hdf", "hdf.json", "HDF (InSpec's exec-json), for Heimdall", "hdf"),
)
"""Every form, in the order in which the help has them."""
NAMES = tuple(each.name for each in FORMS)
ENDINGS = tuple(each.ending for each in FORMS)
_BY_NAME = {each.name: each for each in FORMS}


def form_named(name: str) -> Form:
    """Return a form.

    Raises:
        ReportError: There is none of that name.
    """
    if (form := _BY_NAME.get(name)) is None:
        raise ReportError(f"a report has no form {name!r}", hint=f"expected one of {', '.join(NAMES)}")
    return form


def rendered(name: str, judgement: Judgement, options: FormOptions = FormOptions()) -> bytes:  # noqa: B008 - frozen
    """Return a report in a form: the same bytes for the same report and options.

    Raises:
        ReportError: There is no such form, or it is one that this room does not render.
    """
    form = form_named(name)
    if form.file is None:
        raise ReportError(f"the form {name} shows more than a report has", hint="write it: auditlake report --format")
    data: bytes = import_module(f"auditlake.forms.{form.file}").render(judgement, options)
    return data


def other_forms(names: Sequence[str]) -> list[Form]:
    """Return those of the named forms that this room renders."""
    return [form for form in map(form_named, names) if form.file is not None]
