"""``log`` and ``tail``: events as they happen."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.options import Kind, event_type_option, instant, json_option, read_json
from auditlake.cli.output import machine, opened, say
from auditlake.display.text import count, visible
from auditlake.events.event import AuditEvent
from auditlake.events.times import as_instant
from auditlake.machine import system_clock

if TYPE_CHECKING:
    from auditlake.tail.destination import TailSummary


@partial(Kind, "json")
def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    if not isinstance(record := read_json(text), dict):
        raise ValueError(f"expected a JSON object, got {text[:60]}")  # noqa: TRY004 - a wrong value to its caller
    return record


@click.command()
@event_type_option("event_type", required=True, help="A type that the lake knows, e.g. login.")
@click.option("--timestamp", type=instant, help="When it happened; now by default.")
@click.option("--user-id", metavar="USER", help="Who did it.")
@click.option("--action", metavar="ACTION", help="What was done.")
@click.option("--resource", metavar="RESOURCE", help="What it was done to.")
@click.option("--status", metavar="STATUS", help="How it ended, e.g. success or failure.")
@click.option("--session-id", metavar="SESSION", help="The session it belongs to.")
@click.option("--ip-address", metavar="ADDRESS", help="Where it came from.")
@click.option("--details", type=json_object, metavar="JSON", help="Anything else about it, as an object.")
@click.option("--metadata", type=json_object, metavar="JSON", help="About the record, as an object.")
@click.option("--event-id", metavar="ID", help="Its own id: logged twice with the same id, it is one event.")
@json_option("event_id")
@click.pass_obj
def log(path: str, /, timestamp: date | None, **fields: Any) -> None:
    """Log one event, and print its id once it is on the disk."""
    with opened(path).trail(flush_seconds=None) as trail:
        event_id = trail.log(AuditEvent(timestamp=as_instant(timestamp or system_clock()), **fields))
    if not machine(event_id=event_id):
        click.echo(event_id)


@click.command()
@click.argument("file", type=click.Path(), metavar="FILE|-")
@click.option("--source", metavar="NAME", help="The mapping to use; auditlake skips format detection.")
@click.option("--timezone", default="UTC", metavar="ZONE", help="The zone of times without an offset; UTC by default.")
@click.option("--from-start/--from-end", "from_start", default=True, show_default=True,
              help="Where to begin the first time; later it resumes where it stopped.")  # fmt: skip
@click.option("--once", is_flag=True, help="Read what is there and exit.")
@json_option(
    "records", "refused", "skipped", "too_long", "files", "unfinished", text="Print one JSON object at the end"
)
@click.pass_obj
def tail(path: str, file: str, source: str | None, timezone: str, from_start: bool, once: bool) -> None:
    """Follow the lines of a growing FILE until Ctrl-C or SIGTERM.

    FILE may be standard input (-). It holds canonical events as JSON lines, or the lines of any source whose records
    are lines: these are committed once a minute. Each line lands once, through rotations by renaming or copying,
    restarts and crashes. A line that cannot be an event goes to quarantine. A followed file can be ingested later:
    nothing counts twice.
    """
    from auditlake.tail.follow import tail as follow

    with _ended_by_signals() as ended:
        summary = follow(
            opened(path), file, source=source, timezone=timezone, from_end=not from_start, once=once, stop=ended,
            listen=lambda sentence: say(visible(sentence), err=True),
        )  # fmt: skip
    machine(summary)
    say(_in_words(summary))


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM has come; a second signal interrupts at once."""
    signals: list[int] = []

    def note(number: int, _: object) -> None:
        if signals:
            raise KeyboardInterrupt
        signals.append(number)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _in_words(summary: TailSummary) -> str:
    landed = summary.records - summary.refused - summary.skipped
    parts = [f"{count(landed, 'line')} of {count(summary.files, 'file')} landed"]
    if summary.refused:
        refused = count(summary.refused, "more cannot be an event and goes", "more cannot be events and go")
        parts.append(f"{refused} to quarantine with the next flush at latest")
    if summary.skipped:
        parts.append(f"{summary.skipped:,} more left out by the mapping")
    if summary.too_long:
        parts.append(f"{summary.too_long:,} too long, in quarantine")
    if summary.unfinished:
        parts.append(f"{count(summary.unfinished, 'byte waits for its', 'bytes wait for their')} newline")
    return "; ".join(parts)
