"""``decision``: what people decided, in order, and taking it back. Other commands tell a decision in its words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.options import instant, json_option, operator_option
from auditlake.cli.output import cell, machine, opened, say
from auditlake.display.text import count, visible
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
    from datetime import date, datetime


ENTRY_KEYS = ("kind", "number", "at", "the entry's own keys")
"""What a command that writes an entry of the journal prints as JSON."""
expires_option = click.option(
    "--expires", "until", type=instant, required=True, help="When to look at it again: the end of a date."
)


@click.group()
def decision() -> None:
    """List what people decided, and take it back."""


@decision.command("list")
@click.option(
    "--as-of", type=instant, help="Only what counted then: neither taken back nor, of controls, replaced or ended."
)
@json_option("decisions")
@click.pass_obj
def list_(path: str, as_of: datetime | date | None) -> None:
    """List every entry of the journal of findings, in order.

    Acceptances and resolutions of findings, reviews of reports, statements about controls, and what takes them back.
    """
    register = opened(path).decisions
    entries = register.all() if as_of is None else register.as_of(as_of).all
    if machine(decisions=[record_of(each) for each in entries]):
        return
    for each in entries:
        click.echo(visible(f"{each.number:>6}  {sentence(each)}"))
    say(count(len(entries), "decision"))


@decision.command()
@click.argument("number", type=click.IntRange(min=1))
@click.option("--reason", required=True, metavar="TEXT", help="Why it is taken back.")
@operator_option("by")
@json_option(*ENTRY_KEYS)
@click.pass_obj
def retract(path: str, /, number: int, **options: Any) -> None:
    """Take an entry back by its number.

    As of later instants it counts for nothing. `auditlake finding reopen` takes an acceptance back.
    """
    tell(opened(path).decisions.retract(number, **options))


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
