"""Section "Evidence": where the numbers come from, and the statements that gave them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from auditlake.display.canonical_json import json_value
from auditlake.display.text import Fact, Text, count, shown, visible
from auditlake.findings.decisions import Journal, Review
from auditlake.reports.model import Detail, Query, Report
from auditlake.reports.sections.model import Section

_DIGESTED = ("over the bytes of the policy file", "over the bytes of the policy file that could be read")
_OPEN_LINES = 60


@dataclass(frozen=True, slots=True)
class QueryBlock:
    """A statement and what it was given."""

    name: Text
    """What the program calls it."""
    rows: str
    """How many rows it gave."""
    parameters: tuple[Fact, ...]
    """What was bound."""
    sql: str
    """The statement."""
    open: bool
    """Whether it is short enough to be shown at once."""


@dataclass(frozen=True, slots=True)
class EvidencePart:
    """The variables of the fragment ``evidence.html``."""

    template: ClassVar[str] = "sections/evidence.html"
    words: str
    """What the numbers come from."""
    evidence: tuple[Fact, ...]
    """Lake, snapshot, digests."""
    queries: tuple[QueryBlock, ...]
    """The statements behind the numbers."""


def _body(report: Report, _: Detail) -> EvidencePart:
    queries = () if report.is_unread else tuple(map(query_block, report.evidence.queries))
    words = (
        "Every number above comes from these statements, run over these inputs. Run them again on the same snapshot "
        "and they give the same answer."
    )
    return EvidencePart(words if queries else "Nothing was counted for this policy.", _facts(report), queries)


def _facts(report: Report) -> tuple[Fact, ...]:
    evidence, journal = report.evidence, report.evidence.journal
    covered = f"over the first {count(journal.entries, 'entry', 'entries')} of the journal of findings"
    return (
        Fact("Lake", shown(evidence.lake_id), code=True),
        Fact(
            "Snapshot",
            Text(f"{evidence.snapshot}"),
            "the version of the lake that every number was read from",
            code=True,
        ),
        Fact("Inputs", Text(f"{count(evidence.files, 'data file')}, {count(evidence.rows, 'row')}")),
        Fact("Inputs digest", shown(evidence.inputs_digest), "over the names of those files", code=True),
        Fact("Policy digest", shown(evidence.policy_digest), _DIGESTED[report.is_unread], code=True),
        *([Fact("Journal digest", shown(journal.digest), covered, code=True)] if journal.entries else ()),
    )


def query_block(query: Query) -> QueryBlock:
    """Return a statement as the pages show it."""
    lines = query.sql.rstrip("\n").count("\n") + 1
    return QueryBlock(
        name=shown(query.name),
        rows=count(query.rows, "row"),
        parameters=tuple(
            Fact(visible(name), shown(_bound(value)), code=True) for name, value in query.parameters.items()
        ),
        sql=visible(query.sql.rstrip("\n"), keep="\n"),
        open=lines <= _OPEN_LINES,
    )


def _bound(value: object) -> str:
    plain = json_value(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _json(report: Report, form: int) -> dict[str, Any]:
    evidence = report.evidence
    part: dict[str, Any] = {
        "lake_id": evidence.lake_id,
        "snapshot": evidence.snapshot,
        "policy_digest": evidence.policy_digest,
        "files": evidence.files,
        "rows": evidence.rows,
        "inputs_digest": evidence.inputs_digest,
        "queries": [json_value(query) for query in evidence.queries],
    }
    if evidence.journal.entries:
        part["journal"] = _journal(evidence.journal, form)
    if evidence.unread_policies and form > 1:
        part["unread_policies"] = list(evidence.unread_policies)
    return {"evidence": part}


def _journal(journal: Journal, form: int) -> dict[str, Any]:
    """Return what people decided, as a report's evidence has it.

    Args:
        journal: What of the journal the report shows.
        form: The report's. The first has one review: the newest of its period, or of none, as entries once were.
    """
    part: dict[str, Any] = {"entries": journal.entries, "digest": journal.digest}
    if form == 1:
        return part | {"last_review": journal.last_review and json_value(journal.last_review.said)}
    return part | {"reviews": [_review(each) for each in journal.covering]}


def _review(review: Review) -> dict[str, Any]:
    more = {"number": review.number, "ticket": review.ticket, "report": review.report, "pack": review.pack}
    return dict(json_value(review.said | more))


SECTION = Section(anchor="evidence", title="Evidence", body=_body, json=_json)
