"""Why a record is refused, with the field at fault and its value as it came: people need both to mend their logs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from auditlake.events.exact_json import parse, write
from auditlake.sources.catalog import Source
from auditlake.sources.model import NOT_CSV, NOT_UTF8, WRONG_FIELDS, Batch, Rejected, reject

SHOWN = 200
"""How many characters are kept of a value."""

_FIELDS = {
    "event_type is missing": "event_type",
    "unknown event type": "event_type",
    "timestamp is missing": "timestamp",
    "not a time": "timestamp",
    "a time outside of 1970 to 9998": "timestamp",
    "exported from another source": "source",
    "a source that auditlake alone writes": "source",
}
"""Which field each reason is about, where the reason alone says it."""
_NAMED = frozenset(
    ("repeated key", "an object or array where text belongs", "an object where text belongs",
     "an array where text belongs", "the record inside is not valid JSON", "the record inside is not a JSON object",
     "the record inside has a key twice")
)  # fmt: skip
"""Reasons whose detail is the field."""


class Refusal(NamedTuple):
    """A record that cannot become an event."""

    record: int
    reason: str
    """One of a few phrases that can be counted."""
    detail: str
    """What exactly; may be empty."""
    field: str
    """The field at fault; empty where it is the record as a whole."""
    value: str
    """The field's value as it came, cut; empty where there is none to show."""

    def rejected(self, batch: Batch, i: int, max_record: int) -> Rejected:
        """Return the i-th record of a batch as rejected for this."""
        place = (int(batch.records[i]), int(batch.lines[i]), int(batch.offsets[i]))
        refused = reject(*place, self.reason, self.detail, batch.raw(i), max_record)
        return replace(refused, field=self.field, value=self.value)


def refusal(
    record: int, reason: str, detail: str, raw: bytes, value: str | None = None, source: Source | None = None
) -> Refusal:
    """Say which field is at fault, and with what.

    Args:
        record: The record's number in the ingest.
        reason: Why it is refused.
        detail: What exactly.
        raw: The record's bytes.
        value: The field's value, where it is known already.
        source: The source of the record.
    """
    faults = source.faults if source else {}
    field = detail if reason in _NAMED else faults.get(reason) or _FIELDS.get(reason, "")
    if field == "timestamp" and source:
        field = source.time_field
    if value is None:
        value = _value(raw, field) if field else ""
    return Refusal(record, reason, detail, field, cut(value))


def beginning(raw: bytes) -> str:
    """Return how a record begins that was to be JSON, or an empty text: what is no log at all is not quoted."""
    text = raw[: 4 * SHOWN].lstrip()
    return text.decode("utf-8", "backslashreplace") if text[:1] in {b"{", b"["} else ""


def excerpt(rejected: Rejected) -> str:
    """Return how a record begins that is refused as a whole: a row of a table, or what was to be JSON."""
    if rejected.reason in {WRONG_FIELDS, NOT_CSV, NOT_UTF8}:
        return cut(rejected.data[: 4 * SHOWN].decode("utf-8", "backslashreplace"))
    return cut(beginning(rejected.data))


def cut(value: str) -> str:
    """Return a value cut to a sane length."""
    return value if len(value) <= SHOWN else value[: SHOWN - 1] + "…"


def _value(raw: bytes, field: str) -> str:
    """Return a field's value: text as it is, anything else as JSON; empty if the record has none."""
    try:
        value: Any = parse(raw)
        for step in [field] if isinstance(value, dict) and field in value else field.split("."):
            value = value.get(step) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return ""
    if value is None:
        return ""
    return str(value) if isinstance(value, str) else write(value)
