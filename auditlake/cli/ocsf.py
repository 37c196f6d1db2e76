"""``export``: events in the words of another schema, for the tools that read it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from auditlake.cli.events import refuse_unknown
from auditlake.cli.export import out_option
from auditlake.cli.options import BOUNDS, filter_options, json_option, snapshot_option
from auditlake.cli.output import is_json, machine, opened, say
from auditlake.display.text import counted_events

VERSIONS = ("1.8.0", "1.9.0")
"""Those of :mod:`auditlake.export.ocsf`, which is slow to import."""


@click.command(epilog=BOUNDS)
@click.option("--ocsf", "version", type=click.Choice(VERSIONS), required=True, help="The version of OCSF to write.")
@click.option("--parquet", is_flag=True, help="Write Parquet, as for an --out that ends in .parquet.")
@out_option("Where to write; standard output without it.")
@filter_options
@snapshot_option
@json_option("events", "ocsf", "snapshot", "out")
@click.pass_obj
def export(path: str, /, version: str, parquet: bool, out: Path | None, snapshot: int | None, **filters: Any) -> None:
    """Write events as OCSF: lines of JSON, or Parquet."""
    lake = opened(path)
    refuse_unknown(lake, filters["event_type"], filters["status"])
    if out is None and (parquet or is_json()):
        raise click.UsageError("expected --out FILE beside --parquet and --json")
    chosen: Any = {name: value or None for name, value in filters.items()}
    sys.stdout.flush()
    written = lake.export.ocsf(
        sys.stdout.buffer if out is None else out, version=version, parquet=parquet or None, snapshot=snapshot, **chosen
    )
    if not machine(written) and out is not None:
        say(f"{counted_events(written.events)} as OCSF {version} in {out}, of snapshot {written.snapshot}")
