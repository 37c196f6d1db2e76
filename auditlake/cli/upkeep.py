"""``backup`` and ``doctor``: what keeps a lake from being lost."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli.desk_doctor import examine_sandbox
from auditlake.cli.output import machine, opened, plain
from auditlake.cli.proof import EXIT_WRONG

if TYPE_CHECKING:
    from auditlake.doctor import Diagnosis

_WAIT_SECONDS = 60.0


@click.command()
@click.argument("destination", type=click.Path(path_type=Path), metavar="DEST")
@click.option("--without-key", is_flag=True, help="Leave out the private key that signs checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backup(path: str, destination: Path, without_key: bool, as_json: bool) -> None:
    """Copy the lake to the new folder DEST while others write to it. Restoring it is copying it back."""
    done = opened(path).backup(destination, key=not without_key)
    if as_json:
        machine(asdict(done))
        return
    click.echo(f"copied snapshot {done.snapshot} to {plain(done.path)}: {done.files} files, {done.size:,} bytes")
    if without_key:
        click.echo("the private key of the ledger is not in it: without it, a restored lake takes no commits")


@click.command()
@click.option("--repair", is_flag=True, help="Do what loses nothing; each change is listed first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--sandbox", is_flag=True, help="Only: which layers of the sandbox for auditors' SQL hold here; 1 if none."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def doctor(path: str, repair: bool, yes: bool, sandbox: bool, as_json: bool) -> None:
    """Say what is wrong with a lake, also with one that cannot be opened; exit with 4 if anything is."""
    if sandbox:
        if not examine_sandbox(as_json=as_json):
            raise click.exceptions.Exit(1)
        return
    from auditlake import doctor as room
    from auditlake.clock import system_clock
    from auditlake.store.layout import Layout

    layout = Layout(Path(path).expanduser().absolute())
    found = room.examine(layout, now=system_clock())
    if not as_json:
        _show(found, repair=repair)
    if repair and found.changes:
        if not yes and sys.stdin is None:
            raise click.UsageError("standard input is closed, so that nobody can be asked; --yes does without")
        if not yes:
            click.confirm("make these changes?", abort=True, err=as_json)
        done = found.changes
        room.repair(layout, done, now=system_clock(), wait_seconds=_WAIT_SECONDS)
        found = room.examine(layout, now=system_clock())
        if not as_json:
            click.echo(f"{len(done)} changes were made; afterwards:")
            _show(found, repair=False)
    if as_json:
        machine(asdict(found))
    if found.problems:
        raise click.exceptions.Exit(EXIT_WRONG)


def _show(found: Diagnosis, *, repair: bool) -> None:
    for notice in found.notices:
        click.echo(f"note: {plain(str(notice))}")
    for problem in found.problems:
        click.echo(f"WRONG: {plain(str(problem))}")
    for change in found.changes:
        click.echo(f"{'to do' if repair else 'can be repaired'}: {plain(str(change))}")
    if not found.problems:
        click.echo("nothing is wrong that can be seen without reading every row: auditlake verify does that")
    elif not found.changes:
        click.echo("nothing of it can be repaired here: restore what is named from a backup")
    elif not repair:
        click.echo("auditlake doctor --repair makes these changes")


COMMANDS = (backup, doctor)
