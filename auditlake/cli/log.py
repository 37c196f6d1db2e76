"""``log`` and ``tail``: events as they happen."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import machine, opened, plain
from auditlake.display.text import count

if TYPE_CHECKING:
    from auditlake.tail.follow import TailSummary


class JsonObject(click.ParamType[dict[str, Any]]):
    """A JSON object."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """Read it, or tell what was expected."""
        try:
            read = json.loads(value)
        except (ValueError, RecursionError) as error:
            self.fail(f"not JSON: {error}", param, ctx)
        if not isinstance(read, dict):
            self.fail(f"expected a JSON object, got {value[:60]}", param, ctx)
        return read


@click.command()
@click.option("--event-type", required=True, metavar="TYPE", help="E.g. login; one that the lake knows.")
@click.option("--timestamp", type=Instant(), help="When it happened; now if not given.")
@click.option("--user-id", metavar="USER")
@click.option("--action", metavar="ACTION")
@click.option("--resource", metavar="RESOURCE")
@click.option("--status", metavar="STATUS")
@click.option("--session-id", metavar="SESSION")
@click.option("--ip-address", metavar="ADDRESS")
@click.option("--details", type=JsonObject(), metavar="JSON", help="An object: anything else about it.")
@click.option("--metadata", type=JsonObject(), metavar="JSON", help="An object.")
@click.option("--event-id", metavar="ID", help="Its own id: logged twice with the same one, it is one event.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def log(path: str, /, as_json: bool, timestamp: date | None, **fields: Any) -> None:
    """Log one event, and print its id once it is on the disk."""
    from auditlake.events.event import AuditEvent
    from auditlake.events.times import as_instant
    from auditlake.machine import system_clock

    with opened(path).trail(flush_seconds=None) as trail:
        event_id = trail.log(AuditEvent(timestamp=as_instant(timestamp or system_clock()), **fields))
    machine({"event_id": event_id}) if as_json else click.echo(event_id)


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--source", metavar="NAME", help="auditlake: do not look at the first lines whether they are events.")
@click.option("--from-start/--from-end", "from_start", default=True, show_default=True,
              help="Where to begin the first time; later it goes on where it was.")  # fmt: skip
@click.option("--once", is_flag=True, help="Take what is there and end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
@click.pass_obj
def tail(path: str, file: str, source: str | None, from_start: bool, once: bool, as_json: bool) -> None:
    """Follow JSON lines of a growing FILE, or of standard input (-), into the lake until Ctrl-C or SIGTERM.

    Each line lands once, through rotations by renaming or copying, restarts and crashes; what cannot be an event goes
    to quarantine. A file that was followed can be ingested later: nothing counts twice.
    """
    from auditlake.tail.follow import tail as follow

    def told(sentence: str) -> None:
        click.echo(plain(sentence), err=True)

    with _ended_by_signals() as ended:
        summary = follow(
            opened(path), file, source=source, from_end=not from_start, once=once, stop=ended, listen=told
        )  # fmt: skip
    machine(asdict(summary)) if as_json else click.echo(_in_words(summary))


@contextmanager
def _ended_by_signals() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM has come; a second one interrupts what does not end by itself."""
    came: list[int] = []

    def note(number: int, _: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _in_words(summary: TailSummary) -> str:
    parts = [f"{count(summary.records, 'line')} of {count(summary.files, 'file')} landed"]
    if summary.refused:
        parts.append(f"{summary.refused:,} of them cannot be events and go to quarantine with the next flush")
    if summary.too_long:
        parts.append(f"{summary.too_long:,} too long, in quarantine")
    if summary.unfinished:
        parts.append(f"{count(summary.unfinished, 'byte waits for its', 'bytes wait for their')} newline")
    return "; ".join(parts)


COMMANDS = (log, tail)
