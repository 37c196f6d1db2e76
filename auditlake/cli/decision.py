"""``decision``: what people decided, in order, and taking it back. Other commands tell a decision in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditlake.cli.output import cell, machine, say
from auditlake.display.text import visible
from auditlake.events.times import print_instant
from auditlake.findings.decisions import (
    Acceptance,
    Applicability,
    Entry,
    Reopening,
    Resolution,
    Review,
    Statement,
    Weakening,
)  # fmt: skip

if TYPE_CHECKING:
    from datetime import datetime


def record_of(entry: Entry) -> dict[str, Any]:
    """Return an entry as the journal has it."""
    from auditlake.findings.journal import entry_dict

    return entry_dict(entry)


def tell(entry: Entry) -> None:
    """Print a decision that was recorded."""
    machine(record_of(entry))
    say(visible(sentence(entry)))


def sentence(entry: Entry) -> str:
    """Return an entry as one line for people."""
    return f"{cell(entry.at)}: {_said(entry)}"


def period_words(since: datetime, until: datetime) -> str:
    """Return a period as its report has it."""
    return f"period ({print_instant(since)}, {print_instant(until)}]"


def _said(entry: Entry) -> str:
    match entry:
        case Acceptance():
            accepted = f"{entry.finding_id} accepted until {cell(entry.until)} by {entry.by}"
            return f"{accepted}, {entry.owner} answers for it: {entry.reason}{_ticket(entry.ticket)}"
        case Reopening():
            return f"{entry.finding_id} opened again by {entry.by}: {entry.reason}"
        case Resolution():
            return f"{entry.finding_id} dealt with by {entry.by}: {entry.note}{_ticket(entry.ticket)}"
        case Review():
            period = f", {period_words(entry.since, entry.until)}," if entry.since and entry.until else ""
            which = ", ".join(entry.policies) or entry.policy_id
            return f"{which}{period} reviewed by {entry.by}: {entry.note}"
        case Statement():
            result = f"{entry.pack} {entry.control} is {entry.result.replace('_', ' ')} until {cell(entry.until)}"
            files = f" ({', '.join(each.name for each in entry.evidence)})" if entry.evidence else ""
            return f"{result}, as {entry.by} states: {entry.note}{files}"
        case Applicability():
            stands = f"{entry.pack} {entry.control} does not apply until {cell(entry.until)}, by {entry.by}"
            return f"{stands}, {entry.owner} answers for it: {entry.reason}"
        case Weakening():
            stands = f"{entry.pack} {entry.parameter} is weakened to {entry.value} until {cell(entry.until)}"
            return f"{stands} by {entry.by}, {entry.owner} answers for it: {entry.reason}"
        case _:
            return f"entry {entry.entry} taken back by {entry.by}: {entry.reason}"


def _ticket(ticket: str | None) -> str:
    return f" ({ticket})" if ticket else ""
