"""``demo``: everything in one go, on generated data."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path

import click

import auditlake
from auditlake.cli.options import Folder, json_option
from auditlake.cli.output import ingest_progress, is_json, is_quiet, machine, pick, report_progress, say


@click.command()
@click.argument("folder", type=Folder(path_type=Path), default=Path("demo"))
@json_option("lake", "inputs", "as_of", "index", "reports")
@click.pass_context
def demo(context: click.Context, folder: Path) -> None:
    """Build a demo lake in FOLDER: 90 days of an LLM service.

    Its audit trail is generated, ingested, judged and reported.
    """
    from auditlake.cli.demo_data import write_demo
    from auditlake.cli.ingest import show_summary
    from auditlake.cli.report import show_statuses, write_index, write_pages

    lake_folder, inputs_folder = folder / "lake", folder / "inputs"
    if lake_folder.exists():
        context.fail(f"{lake_folder} is there already; remove it or name another folder")
    shutil.rmtree(inputs_folder, ignore_errors=True)
    inputs_folder.mkdir(parents=True)
    say(f"writing 90 days of an LLM service's audit trail to {inputs_folder}")
    made = write_demo(inputs_folder)
    lake = auditlake.create(lake_folder)
    with ingest_progress() as listen:
        summary = lake.ingest(*made.files, listen=listen)
    if not (is_json() or is_quiet()):
        show_summary(summary)
    # The last instant of the last day, so that the period is 90 whole days.
    as_of = made.as_of - timedelta(microseconds=1)
    reports = lake.reports(as_of=as_of, last="90d", listen=report_progress())
    write_pages(lake, reports, (), None, ("json", "html"))
    index = write_index(lake, None)
    statuses = [pick(each, "policy_id", "status") for each in reports]
    is_told = machine(lake=lake_folder, inputs=inputs_folder, as_of=as_of, index=index, reports=statuses)
    if not (is_told or is_quiet()):
        show_statuses(reports)
    say(f"the reports are in {index.parent}; open {index} in a browser")
    say(f"try: {_command()} --lake {lake_folder} events --event-type auth_failure --user-id frank")


def _command() -> str:
    """Return how the caller started this program, so that its hints can be typed as they stand."""
    return sys.argv[0] if Path(sys.argv[0]).name == "auditlake" and "/" in sys.argv[0] else "auditlake"
