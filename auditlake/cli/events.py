"""``events``: the events that match filters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.export import STREAMED, Form, form_of, give_events, out_option
from auditlake.cli.options import BOUNDS, filter_options, json_option, near, snapshot_option
from auditlake.cli.output import is_json, machine, opened, say, table
from auditlake.errors import EventError
from auditlake.lake import AuditLake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.query.rows import Rows

_TABLE_ROWS = 100
_COLUMNS = ("timestamp", "event_type", "user_id", "action", "status", "ip_address", "resource", "source")


@click.command(epilog=BOUNDS)
@filter_options
@click.option(
    "--limit", type=click.IntRange(min=0), metavar="N", help="The most events; 100 in a table, unlimited otherwise."
)
@snapshot_option
@click.option("--format", "form", type=click.Choice(["table", "jsonl", "csv", "parquet"]),
              help="How to print or write the events; by default a table, or the form of --out's ending.")  # fmt: skip
@out_option("Write the events to a new file.")
@click.option("--quote-empty", is_flag=True, help='CSV: write empty text as "" and NULL as nothing.')
@json_option("events")
@click.pass_obj
def events(
    path: str, /, form: str | None, out: Path | None, quote_empty: bool, limit: int | None, snapshot: int | None,
    **filters: Any,
) -> None:  # fmt: skip
    """Show the events that match all filters, in time order."""
    chosen = form_of(out) if form is None and out is not None else form or "table"
    if out is not None and (chosen not in STREAMED or is_json()):
        raise click.UsageError(f"--out is for {', '.join(STREAMED)}")
    lake = opened(path)
    is_table = chosen == "table" and not is_json()
    most = _TABLE_ROWS if limit is None and is_table else limit
    refuse_unknown(lake, filters["event_type"], filters["status"])
    # One more than a table shows says whether there are more.
    asked = most + 1 if is_table and most is not None else most
    rows = lake.events(**{name: value or None for name, value in filters.items()}, limit=asked, snapshot=snapshot)
    if is_json():
        machine(events=[dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()])
    elif is_table:
        _table(rows, most)
    else:
        give_events(rows, Form(chosen, out, quote_empty=quote_empty))


def refuse_unknown(lake: AuditLake, types: Sequence[str], statuses: Sequence[str]) -> None:
    """Refuse an event type that the lake neither accepts nor has, and a status that is a known one misspelled.

    Any text may be a status, so one that no event has is refused only if an event has one like it.

    Raises:
        EventError: There is such a filter.
    """
    from auditlake.engine.statements import statement

    for name in types:
        if name not in lake.config.event_types and not lake.events(event_type=name, limit=1).fetchall():
            message = f"event_type: this lake does not know {name[:64]!r}{near(name, lake.config.event_types)}"
            raise EventError(message, hint="lake.toml lists the types beyond the built-in ones: event_types")
    if unknown := [name for name in statuses if not lake.events(status=name, limit=1).fetchall()]:
        known = lake.sql(statement("queries/events.sql", "statuses").text).fetchall()
        for name in unknown:
            if hint := near(name, (status for (status,) in known)):
                raise EventError(f"status: no event has {name[:64]!r}{hint}")


def _table(rows: Rows, most: int | None) -> None:
    columns = rows.columns
    records = [dict(zip(columns, row, strict=True)) for row in rows.fetchall()]
    table(_COLUMNS, ([record[name] for name in _COLUMNS] for record in records[:most]))
    if most is not None and len(records) > most:
        say(f"the first {most}; --limit and the filters show others")
