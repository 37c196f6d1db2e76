"""``init``, ``compact`` and ``backup``: the lake as a whole."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

import auditlake
from auditlake.cli.options import json_option, option
from auditlake.cli.output import machine, opened, say
from auditlake.display.text import count, visible


@click.command()
@option("--event-type", "event_types", multiple=True, metavar="TYPE", help="A type of your own; repeatable.")
@click.option("--default-retention", metavar="DURATION", help="Keep events that no policy keeps this long, e.g. 365d.")
@click.option("--unsigned", is_flag=True, help="Make no key: checkpoints of the ledger are not signed.")
@json_option("lake", "id")
@click.pass_obj
def init(path: str, event_types: tuple[str, ...], default_retention: str | None, unsigned: bool) -> None:
    """Make a lake, with the built-in policies in it."""
    lake = auditlake.create(path, event_types=event_types, default_retention=default_retention, unsigned=unsigned)
    machine(lake=lake.layout.root, id=lake.config.id)
    say(f"made a lake at {lake.layout.root}")


class Hours(click.FloatRange):
    """A finite number of hours, 0 or more."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the number."""
        hours: float = super().convert(value, param, ctx)
        return hours if math.isfinite(hours) else self.fail(f"expected a number of hours, got {hours}", param, ctx)


@click.command()
@click.option("--grace", "grace_hours", type=Hours(min=0), default=24.0, show_default=True, metavar="HOURS",
              help="Keep replaced files this long for queries that still read them.")  # fmt: skip
@json_option("days", "files_before", "files_after", "unlinked", "snapshot")
@click.pass_obj
def compact(path: str, grace_hours: float) -> None:
    """Merge the small files of each day; no answer changes."""
    summary = opened(path).compact(grace_seconds=grace_hours * 3600)
    machine(summary)
    say(
        f"{count(summary.days, 'day')} compacted: {count(summary.files_before, 'file')} became "
        f"{summary.files_after:,}, {count(summary.unlinked, 'old file')} removed (snapshot {summary.snapshot})"
    )


@click.command()
@click.argument("destination", type=click.Path(path_type=Path), metavar="DEST")
@click.option("--without-key", is_flag=True, help="Leave out the private key that signs checkpoints.")
@json_option("path", "snapshot", "files", "size")
@click.pass_obj
def backup(path: str, destination: Path, without_key: bool) -> None:
    """Copy the lake to the new folder DEST while others write.

    To restore it, copy it back.
    """
    summary = opened(path).backup(destination, key=not without_key)
    if machine(summary):
        return
    size = f"{count(summary.files, 'file')}, {count(summary.size, 'byte')}"
    say(f"copied snapshot {summary.snapshot} to {visible(summary.path)}: {size}")
    if without_key:
        click.echo("the private key of the ledger is not in it: without it, a restored lake takes no commits")
