"""From what a report says to bytes: the templates of ``reports_templates/``, one environment, the same bytes always."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any, Never

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from auditlake import assets
from auditlake.display.cards import Card
from auditlake.errors import ReportError
from auditlake.reports.document import REPORT_VERSION, ComplianceDocument, canonical, report_dict, report_dict_1
from auditlake.reports.index import IndexEntry, IndexPage, index_page
from auditlake.reports.last_verification import Verification
from auditlake.reports.page import CompliancePage, SiblingFiles, compliance_page
from auditlake.retention.certificate import (
    CertificateDocument,
    CertificatePage,
    certificate_document,
    certificate_page,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jsonschema_rs import Draft202012Validator, ValidationError

    from auditlake.reports.model import Detail, Report

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


TEMPLATES: dict[type, str] = {
    ComplianceDocument: "compliance.json",
    CompliancePage: "compliance.html",
    IndexPage: "index.html",
    CertificateDocument: "certificate.json",
    CertificatePage: "certificate.html",
    Card: "card.html",
}
"""The variables of each template, and the template."""


def render_json(report: Report, whole: Mapping[str, Any] | None = None, *, form: int = REPORT_VERSION) -> bytes:
    """The report as JSON: UTF-8, keys in the order of docs/reference/semantics.md, two spaces, a newline at the end.

    Args:
        report: What to say.
        whole: See :func:`auditlake.reports.document.report_dict`; the first form lists every finding.
        form: The version of the form.

    Raises:
        ReportError: The report has no JSON of that form, or not the one that its schema describes.
    """
    try:
        if form == 1:
            document = report_dict_1(report)
        else:
            text = _render(ComplianceDocument(**report_dict(report, whole)))
            document = json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        message = f"the report of {report.policy_id!r} has no JSON form: {error}"
        raise ReportError(message) from error
    check(document)
    return canonical(document)


def render_page(report: Report, detail: Detail, sibling_files: SiblingFiles | None = None) -> bytes:
    """The report as a self-contained HTML page.

    Args:
        report: What to say.
        detail: What only the page shows.
        sibling_files: Files beside it to link to.

    Raises:
        ReportError: See :func:`auditlake.reports.page.compliance_page`.
    """
    return _encode(_render(compliance_page(report, detail, sibling_files or SiblingFiles())))


def render_index(entries: Iterable[IndexEntry], verified: Verification | None = None) -> bytes:
    """The list of reports as a self-contained HTML page.

    Args:
        entries: The reports that lie in the folder, in any order.
        verified: The last verification of the lake; None if there was none.

    Raises:
        ReportError: A file's name is not a plain file name.
    """
    return _encode(_render(index_page(entries, verified)))


def render_certificate_json(said: Mapping[str, Any]) -> bytes:
    """A certificate as JSON, in the way of reports; its name is the SHA-256 of these bytes.

    Raises:
        ReportError: It does not fit ``certificate.schema.json``.
    """
    document = json.loads(_render(certificate_document(said)), parse_constant=_refuse)
    check(document, "certificate")
    return canonical(document)


def render_certificate_page(said: Mapping[str, Any], name: str) -> bytes:
    """A certificate as a self-contained HTML page.

    Args:
        said: Its values.
        name: Its id.
    """
    return _encode(_render(certificate_page(said, name)))


def render_card(card: Card) -> str:
    """What a notebook shows of a thing, as HTML."""
    return _render(card)


def check(document: Any, form: str = "compliance") -> None:
    """Checks a parsed report or certificate against ``<form>.schema.json``, a report against that of its own form.

    Raises:
        ReportError: It does not fit; the message names the outermost place that does not.
    """
    what = "report" if form == "compliance" else form
    if form == "compliance" and isinstance(document, dict) and document.get("report_version") == 1:
        form = "compliance.1"
    try:
        errors = list(_validator(form).iter_errors(document))
    except UnicodeEncodeError:  # half a surrogate pair in a key, which Rust has no word for
        whole = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
        errors = list(_validator(form).iter_errors(json.loads(whole)))
    if errors:
        first = min(errors, key=_depth)
        message = f"the JSON {what} does not fit its schema at {_json_path(first.instance_path)}: {first.message[:500]}"
        raise ReportError(message, hint="this is a mistake of auditlake, not of the lake; nothing was written")


@cache
def environment() -> Environment:
    """The one environment: everything is escaped, nothing undefined passes."""
    made = Environment(
        loader=FileSystemLoader(assets.folder("reports_templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.policies["json.dumps_kwargs"] = {"allow_nan": False}
    return made


@cache
def _validator(form: str) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator  # some hundredths of a second that only reports pay

    schema: Any = json.loads((assets.folder("reports_templates") / f"{form}.schema.json").read_bytes())
    return Draft202012Validator(schema)


def _depth(error: ValidationError) -> int:
    return len(error.instance_path)


def _json_path(steps: Sequence[str | int]) -> str:
    """A place in a document as JSONPath writes it."""
    return "$" + "".join(
        f".{step}" if isinstance(step, str) and _PLAIN_KEY.fullmatch(step) else f"[{step!r}]" for step in steps
    )


def _render(
    variables: ComplianceDocument | CompliancePage | IndexPage | CertificateDocument | CertificatePage | Card,
) -> str:
    template = environment().get_template(TEMPLATES[type(variables)])
    return template.render({item.name: getattr(variables, item.name) for item in fields(variables)})


def _encode(page: str) -> bytes:
    return (page + "\n").encode("utf-8")


def _refuse(constant: str) -> Never:
    message = f"{constant} is not a number"
    raise ValueError(message)
