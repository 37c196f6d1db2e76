"""From what a report says to bytes: the templates of ``reports_templates/``, one environment, the same bytes always."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Never

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from auditlake import assets
from auditlake.errors import ReportError
from auditlake.reports.jsonform import UNSEEN, Text, count, moment, report_dict, shown, visible
from auditlake.reports.page import (
    VERDICTS,
    CompliancePage,
    IndexEntry,
    SiblingFiles,
    compliance_page,
    file_name,
    style_digest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jsonschema.protocols import Validator

    from auditlake.reports.model import Detail, Report, Status

_RANK = {"violation": 0, "no_data": 1, "compliant": 2, "critical": 0, "high": 1, "medium": 2, "low": 3}


@dataclass(frozen=True, slots=True)
class ComplianceDocument:
    """The variables of the template ``compliance.json``: the top-level keys of the report, in order."""

    report_version: int
    """The version of this form, not of the program."""
    policy_id: str
    """The policy's file name without ``.yaml``."""
    policy_name: str
    """The policy's name."""
    description: str
    """The policy's description."""
    severity: str
    """The policy's severity."""
    controls: Mapping[str, list[str]]
    """Framework name to control ids."""
    generated_at: str
    """``as_of`` unless the caller gave another instant."""
    as_of: str
    """The instant the report is judged at."""
    period: Mapping[str, str]
    """``since`` (exclusive) and ``until`` (inclusive)."""
    status: str
    """``violation``, ``compliant`` or ``no_data``."""
    status_now: str
    """Whether the threshold is reached at ``as_of``."""
    total_events: int
    """Governed events in the period."""
    events_by_type: Mapping[str, int]
    """The same by required type, zero included."""
    last_seen: Mapping[str, str | None]
    """The newest event of each required type up to ``as_of``."""
    violations: list[dict[str, Any]]
    """The findings."""
    threshold: Mapping[str, Any]
    """The answer to question 1."""
    coverage: Mapping[str, Any]
    """The answer to question 2, beside its findings."""
    retention: Mapping[str, Any]
    """The answer to question 3."""
    evidence: Mapping[str, Any]
    """Where the numbers come from."""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """A report in the list."""

    policy_id: str
    """Its policy."""
    policy_name: Text
    """Its policy's name."""
    status: Status
    """Which mark and colour."""
    word: str
    """The answer in a word or two."""
    severity: str
    """How bad a violation is."""
    findings: str
    """How many findings."""
    findings_words: str
    """Of which kinds."""
    html_file: str | None
    """Its page."""
    json_file: str | None
    """Its JSON."""


@dataclass(frozen=True, slots=True)
class IndexRun:
    """The reports of one snapshot and instant."""

    as_of: str
    """The instant."""
    snapshot: str
    """The snapshot."""
    words: str
    """How many reports, and how they came out."""
    rows: tuple[IndexRow, ...]
    """Violations first, then by severity and policy."""


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The variables of the template ``index.html``."""

    style_digest: str
    """SHA-256 of the page's style in base64, for its content security policy."""
    words: str
    """How many reports in how many runs."""
    runs: tuple[IndexRun, ...]
    """The runs, newest first."""


TEMPLATES: dict[type, str] = {
    ComplianceDocument: "compliance.json",
    CompliancePage: "compliance.html",
    IndexPage: "index.html",
}
"""The variables of each template, and the template."""


def render_json(report: Report) -> bytes:
    """The report as JSON: UTF-8, keys in the order of semantics.md, two spaces, a newline at the end.

    Args:
        report: What to say.

    Raises:
        ReportError: The report has no JSON form, or not the one that ``compliance.schema.json`` describes.
    """
    try:
        text = _render(ComplianceDocument(**report_dict(report)))
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


def render_index(entries: Iterable[IndexEntry]) -> bytes:
    """The list of reports as a self-contained HTML page.

    Args:
        entries: The reports that lie in the folder, in any order.

    Raises:
        ReportError: A file's name is not a plain file name.
    """
    return _encode(_render(index_page(entries)))


def index_page(entries: Iterable[IndexEntry]) -> IndexPage:
    """Puts the list of reports into words: runs newest first, in each the violations first.

    Raises:
        ReportError: A file's name is not a plain file name.
    """
    ordered = sorted(entries, key=lambda entry: (_RANK[entry.status], _RANK.get(entry.severity, 9), entry.policy_id))
    ordered.sort(key=lambda entry: (entry.as_of, entry.snapshot), reverse=True)
    runs = [_index_run(list(run)) for _, run in groupby(ordered, key=lambda entry: (entry.as_of, entry.snapshot))]
    said = (
        f"{count(len(ordered), 'report')} in {count(len(runs), 'run')}, newest first." if ordered else "No report yet."
    )
    return IndexPage(style_digest=style_digest(), words=said, runs=tuple(runs))


def check(document: Any) -> None:
    """Checks a parsed report against ``compliance.schema.json``.

    Raises:
        ReportError: It does not fit; the message names the place that fits least.
    """
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - a tenth of a second that only reports pay

    error = best_match(_validator().iter_errors(document))
    if error is not None:
        message = f"the JSON report does not fit its schema at {error.json_path}: {error.message[:500]}"
        raise ReportError(message, hint="this is a mistake of auditlake, not of the lake; nothing was written")


def canonical(document: object) -> bytes:
    """Writes a JSON value the one way: order as given, two spaces, what readers would not see as an escape."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    return (UNSEEN.sub(_escape, text) + "\n").encode("utf-8")


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


def _index_run(entries: Sequence[IndexEntry]) -> IndexRun:
    statuses = [entry.status for entry in entries]
    bad, none, good = (statuses.count(status) for status in ("violation", "no_data", "compliant"))
    parts = (
        [count(bad, "violation")] * (bad > 0)
        + [f"{none:,} no data"] * (none > 0)
        + [f"{good:,} compliant"] * (good > 0)
    )
    return IndexRun(
        as_of=moment(entries[0].as_of),
        snapshot=f"{entries[0].snapshot}",
        words=f"{count(len(entries), 'report')}: {', '.join(parts)}",
        rows=tuple(_index_row(entry) for entry in entries),
    )


def _index_row(entry: IndexEntry) -> IndexRow:
    rest = entry.findings - entry.episodes - entry.missing
    kinds = [(entry.episodes, "episode"), (entry.missing, "missing type"), (rest, "gap")]
    return IndexRow(
        policy_id=visible(entry.policy_id),
        policy_name=shown(entry.policy_name),
        status=entry.status,
        word=VERDICTS[entry.status],
        severity=visible(entry.severity).capitalize(),
        findings=f"{entry.findings:,}",
        findings_words=", ".join(count(number, noun) for number, noun in kinds if number > 0),
        html_file=file_name(entry.html_file),
        json_file=file_name(entry.json_file),
    )


@cache
def _validator() -> Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - see check

    schema: Any = json.loads((assets.folder("reports_templates") / "compliance.schema.json").read_bytes())
    return Draft202012Validator(schema)


def _render(variables: ComplianceDocument | CompliancePage | IndexPage) -> str:
    template = environment().get_template(TEMPLATES[type(variables)])
    return template.render({item.name: getattr(variables, item.name) for item in fields(variables)})


def _encode(page: str) -> bytes:
    return (page + "\n").encode("utf-8")


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\n":  # between values; inside a string it is an escape already
        return match[0]
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _refuse(constant: str) -> Never:
    message = f"{constant} is not a number"
    raise ValueError(message)
