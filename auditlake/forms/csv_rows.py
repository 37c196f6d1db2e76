"""CSV: a row for each finding of each check of each control, and one where there is none (RFC 4180)."""

from __future__ import annotations

from collections.abc import Iterator

from auditlake.display.canonical_json import instant
from auditlake.display.csv_lines import csv_line
from auditlake.findings.finding import canonical_group
from auditlake.forms.model import FormOptions, Item, Judgement

COLUMNS = (
    "framework", "edition", "pack_revision", "as_of", "since", "until", "control", "title", "shows", "control_status",
    "basis", "check_kind", "check", "check_status", "reason", "finding_id", "finding_kind", "event_type", "group",
    "start", "end", "finding",
)  # fmt: skip
"""A policy's report leaves those empty that are about a framework."""


def render(judgement: Judgement, options: FormOptions) -> bytes:
    """Return the rows in UTF-8, with CR and LF at the end of each."""
    lines = (csv_line(row, raw=options.raw, end="\r\n") for row in (COLUMNS, *_rows(judgement)))
    return "".join(lines).encode("utf-8", "backslashreplace")


def _rows(judgement: Judgement) -> Iterator[tuple[object, ...]]:
    of_framework = judgement.kind == "framework"
    head = (judgement.name, judgement.edition, judgement.revision) if of_framework else (None, None, None)
    times = tuple(map(instant, (judgement.as_of, judgement.since, judgement.until)))
    for item in judgement.items:
        control = (item.id if of_framework else None, item.title, item.shows, item.status, item.basis)
        yield from ((*head, *times, *control, *rest) for rest in _checks(item))


def _checks(item: Item) -> Iterator[tuple[object, ...]]:
    if not item.checks:
        yield (None, None, None, item.reason, *(None,) * 7)
    for check in item.checks:
        about = (check.kind, check.policy or None, check.status, check.reason)
        if not check.findings:
            yield (*about, *(None,) * 7)
        for each in check.findings:
            start, end = (None if when is None else instant(when) for when in (each.start, each.end))
            group = canonical_group(each.group) or None
            yield (*about, each.id, each.kind, each.event_type, group, start, end, each.message)
