"""``demo``: everything in one go, on generated data."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path

import click

import auditlake
from auditlake.cli.data import show_summary
from auditlake.cli.demo_data import write_demo
from auditlake.cli.output import ingest_progress, report_progress
from auditlake.cli.report import show_verdicts, write_reports


def run_demo(context: click.Context, folder: Path) -> None:
    """Write the demo's inputs, ingest them into ``FOLDER/lake``, judge every policy, and write the reports."""
    lake_folder, inputs_folder = folder / "lake", folder / "inputs"
    if lake_folder.exists():
        context.fail(f"{lake_folder} is there already; remove it or name another folder")
    shutil.rmtree(inputs_folder, ignore_errors=True)
    inputs_folder.mkdir(parents=True)
    click.echo(f"writing 90 days of an LLM service's audit trail to {inputs_folder}")
    made = write_demo(inputs_folder)
    lake = auditlake.create(lake_folder)
    with ingest_progress(quiet=False) as listen:
        show_summary(lake.ingest(*made.files, listen=listen))
    # The last instant of the last day, so that the period is 90 whole days.
    as_of = made.as_of - timedelta(microseconds=1)
    reports = lake.reports(as_of=as_of, last="90d", listen=report_progress(quiet=False))
    _, index = write_reports(lake, reports, None, ("json", "html"))
    show_verdicts(reports)
    click.echo(f"the reports are in {index.parent}; open {index} in a browser")
    click.echo(f"try: {_command()} --lake {lake_folder} events --type auth_failure --user frank")


def _command() -> str:
    """How this program was called, so that its hints can be typed as they stand."""
    return sys.argv[0] if Path(sys.argv[0]).name == "auditlake" and "/" in sys.argv[0] else "auditlake"
