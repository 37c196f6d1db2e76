"""``ingest``, ``flush``, ``events`` and ``stats``: events in, and a first look at them."""

from __future__ import annotations

import csv
import sys
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.output import cell, ingest_progress, machine, opened, plain, table

if TYPE_CHECKING:
    from auditlake.result import Rows
    from auditlake.store.custody import IngestSummary


class Instant(click.ParamType[datetime]):
    """An instant or a date, in UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, or tell what was expected."""
        from auditlake.events.times import parse_bound

        try:
            return parse_bound(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE...")
@click.option("--source", metavar="NAME", help="Which mapping to use (auditlake, cloudtrail); recognised if not given.")
@click.option("--strict", is_flag=True, help="Land nothing if anything would be quarantined or is not recognised.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def ingest(path: str, inputs: tuple[str, ...], source: str | None, strict: bool, as_json: bool) -> None:
    """Bring files, folders, patterns or standard input (-) into the lake, in one commit.

    Records that cannot become events are kept in LAKE/quarantine with their reason; that is no failure unless --strict.
    """
    lake = opened(path)
    with ingest_progress(quiet=as_json) as listen:
        summary = lake.ingest(*inputs, source=source, strict=strict, listen=listen)
    if as_json:
        machine(summary_dict(summary))
    else:
        show_summary(summary)


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
    inputs = f"{len(summary.inputs)} input{'s' if len(summary.inputs) != 1 else ''}"
    click.echo(
        f"{summary.read:,} records of {inputs}: {summary.landed:,} landed, {summary.duplicates:,} duplicates, "
        f"{summary.quarantined:,} quarantined (snapshot {summary.snapshot})"
    )
    for reason, count in sorted(summary.reasons.items()):
        click.echo(f"  {count:,} x {plain(reason)}")
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
            f"{summary.landed:,} events flushed, {summary.duplicates:,} duplicates, {summary.quarantined:,} "
            f"quarantined, {summary.removed:,} segments removed (snapshot {summary.snapshot})"
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
@click.option("--json", "as_json", is_flag=True, help="One JSON object with all events.")
@click.pass_obj
def events(path: str, /, form: str, as_json: bool, limit: int | None, snapshot: int | None, **filters: Any) -> None:
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
        _stream(rows, form)


def _events_table(rows: Rows, most: int | None) -> None:
    columns = ("timestamp", "event_type", "user_id", "action", "status", "ip_address", "resource", "source")
    names = rows.columns
    found = [_named(names, row) for row in rows.fetchall()]
    table(columns, ([row[name] for name in columns] for row in found[:most]))
    if most is not None and len(found) > most:
        click.echo(f"the first {most}; --limit and the filters show others")


def _stream(rows: Rows, form: str) -> None:
    """Rows as they come, without holding them all."""
    writer, columns = csv.writer(sys.stdout, lineterminator="\n"), rows.columns
    if form == "csv":
        writer.writerow(columns)
    for batch in rows.batches():
        for row in batch:
            if form == "csv":
                writer.writerow([_field(value) for value in row])
            else:
                click.echo(_line(columns, row))


def _named(columns: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(columns, row, strict=True))


def _field(value: Any) -> Any:
    """A CSV cell."""
    from auditlake.events.times import print_instant
    from auditlake.reports.words import no_formula

    if hasattr(value, "tzinfo") and value is not None:
        return print_instant(value)
    if not isinstance(value, str):
        return value
    # A file keeps every character; a terminal would act on some of them.
    return no_formula(plain(value) if sys.stdout.isatty() else value)


def _line(columns: list[str], row: tuple[Any, ...]) -> str:
    import json

    from auditlake.events.times import print_instant
    from auditlake.reports.jsonform import json_escape
    from auditlake.reports.words import UNSEEN

    def spelled(name: str, value: Any) -> Any:
        if name in {"details", "metadata"} and value is not None:
            return _Raw(UNSEEN.sub(lambda found: json_escape(found[0]), value))
        if hasattr(value, "tzinfo"):
            return print_instant(value)
        return value.isoformat() if hasattr(value, "isoformat") else value

    parts = (
        f"{json.dumps(name)}:{made if isinstance(made := spelled(name, value), _Raw) else json.dumps(made)}"
        for name, value in zip(columns, row, strict=True)
    )
    return "{" + ",".join(parts) + "}"


class _Raw(str):
    """JSON text that goes into a line as it is, so that numbers of any size stay what they are."""

    __slots__ = ()


@click.command()
@click.option("--as-of", type=Instant(), help="The instant to judge at; now if not given.")
@click.option("--users", type=click.IntRange(min=0), default=20, show_default=True, help="How many users to name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def stats(path: str, as_of: datetime | None, users: int, as_json: bool) -> None:
    """Totals, events by type and by user, and how each policy stands."""
    from auditlake.cli.statistics import show_statistics, statistics_dict

    found = opened(path).statistics(as_of=as_of, users=users)
    if as_json:
        machine(statistics_dict(found))
    else:
        show_statistics(found)


COMMANDS = (ingest, flush, events, stats)
__all__ = ["COMMANDS", "Instant", "cell"]
