"""``doctor``: what is wrong with a lake, and with the sandbox of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditlake.cli.exit_codes import DONE, NEGATIVE, WRONG
from auditlake.cli.options import json_option, yes_option
from auditlake.cli.output import ask, is_json, is_quiet, machine, pick, say
from auditlake.disk.layout import Layout
from auditlake.display.text import count, visible
from auditlake.machine import system_clock
from auditlake.storage.lake import folder_of, is_url, opened_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.upkeep.doctor import Diagnosis

_LIST_LINES = 20
_WAIT_SECONDS = 60.0


@click.command()
@click.option("--repair", is_flag=True, help="Apply safe repairs; each change is listed first.")
@yes_option
@click.option("--sandbox", is_flag=True, help="Test only the sandbox for auditors' SQL; exit with 1 if it is missing.")
@click.option("--verbose", is_flag=True, help="Print harmless notes, too, and every line of a long list.")
@json_option("problems", "notices", "changes", "or with --sandbox: sandbox", "verdict", "layers")
@click.pass_obj
def doctor(path: str, repair: bool, yes: bool, sandbox: bool, verbose: bool) -> int:
    """Diagnose a lake, even one that does not open, and repair it.

    The exit code is 4 if anything is wrong.
    """
    if sandbox:
        return DONE if _examine_sandbox() else NEGATIVE
    from auditlake.upkeep import doctor as room

    layout = opened_folder(path) if is_url(path) else Layout(folder_of(path))
    diagnosis = room.examine(layout, now=system_clock())
    if not is_json():
        _show(diagnosis, repair=repair, verbose=verbose)
    if repair and diagnosis.changes:
        if not yes:
            ask("make these changes?")
        changes = diagnosis.changes
        room.repair(layout, changes, now=system_clock(), wait_seconds=_WAIT_SECONDS)
        diagnosis = room.examine(layout, now=system_clock())
        say(f"{count(len(changes), 'change was', 'changes were')} made; afterwards:")
        if not is_json():
            _show(diagnosis, repair=False, verbose=verbose)
    machine(pick(diagnosis))
    return WRONG if diagnosis.problems else DONE


def _examine_sandbox() -> bool:
    """Print which layers of the sandbox hold here, and return whether auditors' SQL can run."""
    from auditlake.sandbox.selfcheck import examine, lines, verdict

    layers = examine()
    can_run, sentence = verdict(layers)
    if not machine({"sandbox": can_run, "verdict": sentence, "layers": layers}) and not (can_run and is_quiet()):
        for line in lines(layers):
            click.echo(visible(line))
    return can_run


def _show(diagnosis: Diagnosis, *, repair: bool, verbose: bool) -> None:
    """Print the verdict, the problems and the changes; notes only if asked for."""
    if not diagnosis.problems:
        say("nothing is wrong that can be seen without reading every row: auditlake verify does that")
    else:
        things = count(len(diagnosis.problems), "thing")
        remedy = "restore what is named from a backup: nothing of it can be repaired here"
        if diagnosis.changes:
            remedy = "the changes are listed below" if repair else "auditlake doctor --repair makes the changes below"
        click.echo(f"{things} {'is' if len(diagnosis.problems) == 1 else 'are'} wrong; {remedy}")
    _list("WRONG", diagnosis.problems, verbose=verbose)
    # The caller confirms the whole list.
    _list("to do" if repair else "can be repaired", diagnosis.changes, verbose=verbose or repair)
    if verbose:
        _list("note", diagnosis.notices, verbose=True)
    elif diagnosis.notices:
        say(f"{count(len(diagnosis.notices), 'note')} on what is no problem: --verbose")


def _list(word: str, lines: Sequence[object], *, verbose: bool) -> None:
    for line in lines if verbose else lines[:_LIST_LINES]:
        click.echo(f"{word}: {visible(str(line))}")
    if not verbose and len(lines) > _LIST_LINES:
        click.echo(f"{word}: and {len(lines) - _LIST_LINES:,} more; --verbose lists all")
