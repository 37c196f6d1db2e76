"""``ingest`` and ``flush``: events into the day partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import json_option
from auditlake.cli.output import ingest_progress, is_quiet, machine, opened, pick, say
from auditlake.display.text import count, visible
from auditlake.errors import SourceError

if TYPE_CHECKING:
    from auditlake.ingest.custody import IngestSummary

_EXAMPLES = 20
_INPUT = (
    "name", "size", "sha256", "source", "format", "read", "landed", "duplicates", "quarantined", "notice",
    "mapping", "skips",
)  # fmt: skip


def _limit(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    from auditlake.ingest.custody import read_limit

    try:
        read_limit(value)
    except SourceError as error:
        raise click.BadParameter(f"{error}; {error.hint}") from error
    return value


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option(
    "--source", metavar="NAME", help="The source of all of them (`auditlake source list`); detected by default."
)
@click.option(
    "--strict", is_flag=True, help="Land nothing if a record would be quarantined or an input is not recognised."
)
@click.option(
    "--max-quarantined", "most", metavar="N|N%", callback=_limit,
    help="Exit with 1 if more records are quarantined; the valid ones land all the same.",
)  # fmt: skip
@click.option("--timezone", default="UTC", metavar="ZONE", help="The zone of times without an offset; UTC by default.")
@click.option(
    "--history", metavar="REASON", help="Mark them as old events that are loaded late on purpose, and say why."
)
@click.option("--dry-run", is_flag=True, help="Only tell what would land; the lake stays as it is.")
@json_option(
    "read", "landed", "duplicates", "quarantined", "skipped", "snapshot", "batch", "reasons", "examples", "new_skips",
    "failed", "history", "quarantine", "inputs",
)  # fmt: skip
@click.pass_obj
def ingest(
    path: str,
    inputs: tuple[str, ...],
    source: str | None,
    strict: bool,
    most: str | None,
    timezone: str,
    history: str | None,
    dry_run: bool,
) -> int:
    """Bring in files, folders, patterns or standard input (-).

    All inputs land in one commit. A record that cannot become an event is kept in LAKE/quarantine with its reason, the
    field and its value. The exit code is then still 0, unless every record was quarantined or more than
    --max-quarantined allows. It is also 1 if there was nothing to read. A file of a folder that is no log is left out
    and named.
    """
    lake = opened(path)
    with ingest_progress() as listen:
        summary = lake.ingest(
            *inputs,
            source=source,
            strict=strict,
            max_quarantined=most,
            timezone=timezone,
            history=history,
            dry_run=dry_run,
            listen=listen,
        )  # fmt: skip
    reasons, described = dict(sorted(summary.reasons.items())), [pick(each, *_INPUT) for each in summary.inputs]
    if not machine(summary, reasons=reasons, inputs=described) and (summary.quarantined or not is_quiet()):
        show_summary(summary, would=dry_run)
    for skip in summary.new_skips:
        click.echo(f"auditlake: {visible(str(skip))}", err=True)
    if summary.nothing_read:
        click.echo("auditlake: nothing was read: there is no input, or each is empty or left out", err=True)
    elif summary.failed:
        limit = f"more than {most}" if summary.quarantined < summary.read else "every record"
        click.echo(f"auditlake: {limit} was quarantined; the lines above say why", err=True)
    return NEGATIVE if summary.nothing_read or summary.failed else DONE


def show_summary(summary: IngestSummary, *, would: bool = False) -> None:
    """Print the summary of an ingest, or of what it would do."""
    for each in summary.inputs:
        if each.notice:
            click.echo(f"left out {visible(each.name)}: {visible(each.notice)}")
    skipped = f", {summary.skipped:,} skipped" if summary.skipped else ""
    landed, snapshot = ("would land", "") if would else ("landed", f" (snapshot {summary.snapshot})")
    click.echo(
        f"{count(summary.read, 'record')} of {count(len(summary.inputs), 'input')}: {summary.landed:,} {landed}, "
        f"{count(summary.duplicates, 'duplicate')}, {summary.quarantined:,} quarantined{skipped}{snapshot}"
    )
    if summary.history is not None:
        click.echo(f"  marked as history: {visible(summary.history)}")
    for name, number in summary.skips.items():
        click.echo(f"  skipped, {visible(name)}: {number:,}")
    for example in summary.examples[:_EXAMPLES]:
        click.echo(f"  {visible(str(example))}")
    if len(summary.examples) > _EXAMPLES:
        click.echo(f"  and {len(summary.examples) - _EXAMPLES} more")
    if summary.quarantine:
        click.echo(f"  kept in {summary.quarantine}")


@click.command()
@json_option("landed", "duplicates", "quarantined", "removed", "snapshot")
@click.pass_obj
def flush(path: str) -> None:
    """Bring logged events into the day partitions.

    Each arrives exactly once. Answers include logged events before that, too. Run this from cron if no application
    flushes by itself.
    """
    summary = opened(path).flush()
    machine(summary)
    say(
        f"{count(summary.landed, 'event')} flushed, {count(summary.duplicates, 'duplicate')}, "
        f"{summary.quarantined:,} quarantined, {count(summary.removed, 'segment')} removed "
        f"(snapshot {summary.snapshot})"
    )
