"""``backup`` and ``doctor``: what keeps a lake from being lost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli.desk_doctor import examine_sandbox
from auditlake.cli.ledger import EXIT_WRONG
from auditlake.cli.output import ask, machine, opened, plain
from auditlake.display.text import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.upkeep.doctor import Diagnosis

_SHOWN = 20
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
    size = f"{count(done.files, 'file')}, {count(done.size, 'byte')}"
    click.echo(f"copied snapshot {done.snapshot} to {plain(done.path)}: {size}")
    if without_key:
        click.echo("the private key of the ledger is not in it: without it, a restored lake takes no commits")


@click.command()
@click.option("--repair", is_flag=True, help="Do what loses nothing; each change is listed first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--sandbox", is_flag=True, help="Only: which layers of the sandbox for auditors' SQL hold here; 1 if none."
)
@click.option("--verbose", is_flag=True, help="Also what is no problem, and every line of a long list.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def doctor(path: str, repair: bool, yes: bool, sandbox: bool, verbose: bool, as_json: bool) -> None:
    """Say what is wrong with a lake, also with one that cannot be opened; exit with 4 if anything is."""
    if sandbox:
        if not examine_sandbox(as_json=as_json):
            raise click.exceptions.Exit(1)
        return
    from auditlake.disk.layout import Layout
    from auditlake.machine import system_clock
    from auditlake.upkeep import doctor as room

    layout = Layout(Path(path).expanduser().absolute())
    found = room.examine(layout, now=system_clock())
    if not as_json:
        _show(found, repair=repair, verbose=verbose)
    if repair and found.changes:
        if not yes:
            ask("make these changes?")
        done = found.changes
        room.repair(layout, done, now=system_clock(), wait_seconds=_WAIT_SECONDS)
        found = room.examine(layout, now=system_clock())
        if not as_json:
            click.echo(f"{count(len(done), 'change was', 'changes were')} made; afterwards:")
            _show(found, repair=False, verbose=verbose)
    if as_json:
        machine(asdict(found))
    if found.problems:
        raise click.exceptions.Exit(EXIT_WRONG)


def _show(found: Diagnosis, *, repair: bool, verbose: bool) -> None:
    """The verdict first, then what is wrong, then what is to be done; what is no problem only if asked for."""
    if not found.problems:
        click.echo("nothing is wrong that can be seen without reading every row: auditlake verify does that")
    else:
        things = count(len(found.problems), "thing")
        done = "restore what is named from a backup: nothing of it can be repaired here"
        if found.changes:
            done = "the changes are listed below" if repair else "auditlake doctor --repair makes the changes below"
        click.echo(f"{things} {'is' if len(found.problems) == 1 else 'are'} wrong; {done}")
    _list("WRONG", found.problems, verbose=verbose)
    # What is to be agreed to is listed whole.
    _list("to do" if repair else "can be repaired", found.changes, verbose=verbose or repair)
    if verbose:
        _list("note", found.notices, verbose=True)
    elif found.notices:
        click.echo(f"{count(len(found.notices), 'note')} on what is no problem: --verbose")


def _list(word: str, said: Sequence[object], *, verbose: bool) -> None:
    for each in said if verbose else said[:_SHOWN]:
        click.echo(f"{word}: {plain(str(each))}")
    if not verbose and len(said) > _SHOWN:
        click.echo(f"{word}: and {len(said) - _SHOWN:,} more; --verbose lists all")


COMMANDS = (backup, doctor)
