"""``init``, ``compact`` and ``demo``: verbs about the lake as a whole."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from auditlake.cli.output import machine, opened
from auditlake.display.text import count


@click.command()
@click.option("--event-type", "event_types", multiple=True, metavar="NAME", help="A type beside the built-in ones.")
@click.option("--default-retention", metavar="DURATION", help="How long events are kept that no policy keeps.")
@click.option("--unsigned", is_flag=True, help="Make no key: the ledger is then not signed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def init(path: str, event_types: tuple[str, ...], default_retention: str | None, unsigned: bool, as_json: bool) -> None:
    """Make a lake, with the built-in policies in it."""
    import auditlake

    lake = auditlake.create(path, event_types=event_types, default_retention=default_retention, unsigned=unsigned)
    if as_json:
        machine({"lake": str(lake.layout.root), "id": lake.config.id})
    else:
        click.echo(f"made a lake at {lake.layout.root}")


class Hours(click.FloatRange):
    """A number of hours: not negative, and none that is not a number or has no end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or tell what was expected."""
        hours: float = super().convert(value, param, ctx)
        return hours if math.isfinite(hours) else self.fail(f"expected a number of hours, got {hours}", param, ctx)


@click.command()
@click.option("--grace", "grace_hours", type=Hours(min=0), default=24.0, show_default=True, metavar="HOURS",
              help="How long replaced files stay on the disk for readers under way.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def compact(path: str, grace_hours: float, as_json: bool) -> None:
    """Turn the small files of each day into one; no answer changes."""
    summary = opened(path).compact(grace_seconds=grace_hours * 3600)
    if as_json:
        machine(asdict(summary))
    else:
        click.echo(
            f"{count(summary.days, 'day')} compacted: {count(summary.files_before, 'file')} became "
            f"{summary.files_after:,}, {count(summary.unlinked, 'old file')} removed (snapshot {summary.snapshot})"
        )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo"))
@click.pass_context
def demo(context: click.Context, folder: Path) -> None:
    """Build a demo lake in FOLDER: 90 days of an LLM service's audit trail, ingested, judged, reported."""
    from auditlake.cli.demo import run_demo

    run_demo(context, folder)


COMMANDS = (init, compact, demo)
