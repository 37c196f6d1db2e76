"""``ingest``, ``flush``, ``events`` and ``stats``: events in, and a first look at them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.output import cell, ingest_progress, machine, opened, plain, table
from auditlake.display.text import count
from auditlake.sources.catalog import input_sources

if TYPE_CHECKING:
    from auditlake.ingest.custody import IngestSummary
    from auditlake.query.rows import Rows


EXIT_NOTHING = 1
"""Nothing that could be read was given."""
_EXAMPLES = 20


class Instant(click.ParamType[date]):
    """An instant or a date, in UTC unless it says otherwise; a date stays one, for whoever knows which end it is."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read it, or tell what was expected."""
        from auditlake.events.times import parse_bound

        if isinstance(value, date):
            return value
        try:
            return parse_bound(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _limit(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from auditlake.errors import SourceError
    from auditlake.ingest.custody import most

    try:
        most(value)
    except SourceError as error:
        raise click.BadParameter(f"{error}; {error.hint}") from error
    return value


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--source", metavar="NAME", help=f"Which mapping to use ({', '.join(input_sources())}); recognised if not given."
)
@click.option("--strict", is_flag=True, help="Land nothing if anything would be quarantined or is not recognised.")
@click.option(
    "--max-quarantined", "most", metavar="N|N%", callback=_limit,
    help="Exit code 1 if more are quarantined; what is good lands still.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def ingest(
    path: str, inputs: tuple[str, ...], source: str | None, strict: bool, most: str | None, as_json: bool
) -> int:
    """Bring files, folders, patterns or standard input (-) into the lake, in one commit.

    Records that cannot become events are kept in LAKE/quarantine with their reason, the field and its value. That is no
    failure, unless it is all of them or more than --max-quarantined allows: then the exit code is 1, as it is where
    there was nothing to read. What lies in a folder and is no log is left out and named.
    """
    lake = opened(path)
    with ingest_progress(quiet=as_json) as listen:
        summary = lake.ingest(*inputs, source=source, strict=strict, max_quarantined=most, listen=listen)
    if as_json:
        machine(summary_dict(summary))
    else:
        show_summary(summary)
    if summary.nothing_read:
        click.echo("auditlake: nothing was read: there is no input, or each is empty or left out", err=True)
        return EXIT_NOTHING
    if summary.failed:
        limit = f"more than {most}" if summary.quarantined < summary.read else "every record"
        click.echo(f"auditlake: {limit} was quarantined; the lines above say why", err=True)
    return 1 if summary.failed else 0


def summary_dict(summary: IngestSummary) -> dict[str, Any]:
    """An ingest's summary for machines."""
    return {
        "read": summary.read,
        "landed": summary.landed,
        "duplicates": summary.duplicates,
        "quarantined": summary.quarantined,
        "snapshot": summary.snapshot,
        "batch": summary.batch,
        "reasons": dict(sorted(summary.reasons.items())),
        "examples": [asdict(each) for each in summary.examples],
        "failed": summary.failed,
        "quarantine": str(summary.quarantine) if summary.quarantine else None,
        "inputs": [
            {
                "name": each.name, "size": each.size, "sha256": each.sha256, "source": each.source,
                "format": each.format, "read": each.read, "landed": each.landed, "duplicates": each.duplicates,
                "quarantined": each.quarantined, "notice": each.notice,
            }
            for each in summary.inputs
        ],
    }  # fmt: skip


def show_summary(summary: IngestSummary) -> None:
    """An ingest's summary for people."""
    for each in summary.inputs:
        if each.notice:
            click.echo(f"left out {plain(each.name)}: {plain(each.notice)}")
    click.echo(
        f"{count(summary.read, 'record')} of {count(len(summary.inputs), 'input')}: {summary.landed:,} landed, "
        f"{count(summary.duplicates, 'duplicate')}, {summary.quarantined:,} quarantined (snapshot {summary.snapshot})"
    )
    for example in summary.examples[:_EXAMPLES]:
        click.echo(f"  {plain(str(example))}")
    if len(summary.examples) > _EXAMPLES:
        click.echo(f"  and {len(summary.examples) - _EXAMPLES} more")
    if summary.quarantine:
        click.echo(f"  kept in {summary.quarantine}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def flush(path: str, as_json: bool) -> None:
    """Bring events that applications logged into the day partitions, each exactly once.

    They are in every answer before that too: this is for cron where no application does it by itself.
    """
    summary = opened(path).flush()
    if as_json:
        machine(asdict(summary))
    else:
        click.echo(
            f"{count(summary.landed, 'event')} flushed, {count(summary.duplicates, 'duplicate')}, "
            f"{summary.quarantined:,} quarantined, {count(summary.removed, 'segment')} removed "
            f"(snapshot {summary.snapshot})"
        )


@click.command()
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Repeatable, like all filters but the times.")
@click.option("--start", type=Instant(), help="Not before; inclusive.")
@click.option("--end", type=Instant(), help="Not after; inclusive.")
@click.option("--user", "users", multiple=True, metavar="USER")
@click.option("--status", "statuses", multiple=True, metavar="STATUS")
@click.option("--resource", "resources", multiple=True, metavar="RESOURCE")
@click.option("--ip", "ips", multiple=True, metavar="ADDRESS")
@click.option("--session", "sessions", multiple=True, metavar="SESSION")
@click.option("--source", "sources", multiple=True, metavar="SOURCE")
@click.option("--limit", type=click.IntRange(min=0), help="At most so many; 100 for a table, all otherwise.")
@click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read.")
@click.option("--format", "form", type=click.Choice(["table", "jsonl", "csv"]), default="table", show_default=True)
@click.option("--quote-empty", is_flag=True, help='CSV: empty text is "", NULL is nothing at all.')
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all events.")
@click.pass_obj
def events(
    path: str, /, form: str, quote_empty: bool, as_json: bool, limit: int | None, snapshot: int | None, **filters: Any
) -> None:
    """Show events, in time order."""
    lake = opened(path)
    most = 100 if limit is None and form == "table" and not as_json else limit
    names = {"types": "type", "users": "user", "statuses": "status", "resources": "resource", "ips": "ip",
             "sessions": "session", "sources": "source"}  # fmt: skip
    given = {names.get(name, name): value or None for name, value in filters.items()}
    # One more than a table shows, so that it can say whether there is more.
    asked = most + 1 if form == "table" and not as_json and most is not None else most
    rows = lake.events(**given, limit=asked, snapshot=snapshot)
    if as_json:
        columns = rows.columns
        machine({"events": [_named(columns, row) for row in rows.fetchall()]})
    elif form == "table":
        _events_table(rows, most)
    else:
        _stream(rows, form, quote_empty=quote_empty)


def _events_table(rows: Rows, most: int | None) -> None:
    columns = ("timestamp", "event_type", "user_id", "action", "status", "ip_address", "resource", "source")
    names = rows.columns
    found = [_named(names, row) for row in rows.fetchall()]
    table(columns, ([row[name] for name in columns] for row in found[:most]))
    if most is not None and len(found) > most:
        click.echo(f"the first {most}; --limit and the filters show others")


def _stream(rows: Rows, form: str, *, quote_empty: bool) -> None:
    """Rows as they come, without holding them all."""
    from auditlake.cli.export import event_line, to_pipe
    from auditlake.reports.csv_lines import csv_line

    # A file keeps every character; a terminal would act on some of them.
    shown = plain if sys.stdout.isatty() else None
    columns = rows.columns
    if form == "csv":
        to_pipe(csv_line(columns).encode())
    for batch in rows.batches():
        lines = []
        for row in batch:
            values = [_spelled(value) for value in row]
            if form == "jsonl":
                lines.append(event_line(columns, values) + "\n")
            else:
                cells = [shown(value) if shown and isinstance(value, str) else value for value in values]
                lines.append(csv_line(cells, quote_empty=quote_empty))
        to_pipe("".join(lines).encode("utf-8", "backslashreplace"))


def _spelled(value: Any) -> Any:
    from auditlake.events.times import print_instant

    if isinstance(value, datetime):
        return print_instant(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _named(columns: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))


@click.command()
@click.option("--as-of", type=Instant(), help="The instant to judge at; now if not given.")
@click.option("--users", type=click.IntRange(min=0), default=20, show_default=True, help="How many users to name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def stats(path: str, as_of: date | None, users: int, as_json: bool) -> None:
    """Totals, events by type and by user, and how each policy stands now.

    A policy's status here is about its last window: violation if the threshold is reached at this moment, else no data
    if the window has no event of any type, else compliant. auditlake report judges whole periods.
    """
    from auditlake.cli.stats import show_statistics, statistics_dict

    found = opened(path).statistics(as_of=as_of, users=users)
    if as_json:
        machine(statistics_dict(found))
    else:
        show_statistics(found)


COMMANDS = (ingest, flush, events, stats)
__all__ = ["COMMANDS", "Instant", "cell"]
