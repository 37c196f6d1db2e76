"""``source``: the kinds of logs that are read, and the mappings that people write for their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import json_option
from auditlake.cli.output import machine, say, table
from auditlake.display.text import count, visible

if TYPE_CHECKING:
    from auditlake.facets.sources import Sources
    from auditlake.ingest.trial import TestOutcome, Trial

_LISTED = 12
"""How many values of a column, refusals and unused fields are shown."""
_COLUMNS = ("event_type", "user_id", "action", "resource", "status", "ip_address", "session_id")


@click.group()
def source() -> None:
    """Know what logs are read; write and test mappings for others.

    A mapping is one YAML file: `auditlake docs mappings` has the syntax. WHICH is the name of a source, or the file of
    a mapping. None of these needs a lake; with one, its own mappings in LAKE/sources count, too.
    """


def _sources(path: str) -> Sources:
    from auditlake import AuditLake
    from auditlake.facets.sources import Sources

    return AuditLake(path).sources if Path(path, "lake.toml").exists() else Sources()


@source.command("list")
@json_option("sources", "faults")
@click.pass_obj
def list_(path: str) -> None:
    """List every kind of log that is read."""
    sources = _sources(path)
    rows = [
        {
            "name": each.name, "title": each.title, "looks_for": each.looks_for,
            "version": each.outline.version if each.outline else None, "built_in": each.built_in,
        }
        for each in sources
    ]  # fmt: skip
    faults = [problem for fault in sources.catalog.faults for problem in fault.problems]
    if machine(sources=rows, faults=faults):
        return
    table(
        ("source", "what", "version", "from"),
        (
            (*list(each.values())[:2], each["version"], "auditlake" if each["built_in"] else "this lake")
            for each in rows
        ),
    )
    for fault in faults:
        click.echo(visible(f"cannot be used: {fault}"), err=True)


@source.command()
@click.argument("which")
@click.pass_obj
def show(path: str, which: str) -> None:
    """Print a mapping's file."""
    _, found = _sources(path).of(which)
    if found.outline is None:
        say(f"{found.name} has a statement of its own and no mapping; `auditlake source sql {found.name}` shows it")
    else:
        click.echo(visible(found.text.rstrip(), keep="\n"))


@source.command()
@click.argument("which")
@click.pass_obj
def sql(path: str, which: str) -> None:
    """Print the statement that maps the records of a source."""
    _, found = _sources(path).of(which)
    click.echo(visible(found.sql, keep="\n"))


@source.command()
@json_option("sources", "overlaps")
@click.pass_obj
def check(path: str) -> int:
    """Check every mapping, and find records that two sources take for theirs."""
    sources = _sources(path)
    overlaps = sources.overlaps()
    for each in sources:
        _ = each.sql
    if not machine(sources=[each.name for each in sources], overlaps=overlaps):
        for name, test, other in overlaps:
            click.echo(visible(f"{name}: {other} also takes the record of its test {test!r} for one of its own"))
        say(f"{count(len(list(sources)), 'source')} checked, {count(len(overlaps), 'overlap')}")
    return NEGATIVE if overlaps else DONE


@source.command()
@click.argument("which")
@click.argument("files", nargs=-1, metavar="[FILE...]")
@json_option("tests", "files")
@click.pass_obj
def test(path: str, which: str, files: tuple[str, ...]) -> int:
    """Run a mapping's own tests; with FILEs, show what it makes of them.

    Of files: the share of records that become events, why the others do not, the most frequent values of each column,
    and the fields that nothing uses. Nothing is written to a lake.
    """
    sources = _sources(path)
    outcomes = sources.test(which)
    trial = sources.try_on(which, files) if files else None
    if not machine(tests=[_outcome(each) for each in outcomes], files=trial and _as_dict(trial)):
        for each in outcomes:
            for problem in each.problems:
                click.echo(visible(f"test {each.test.name!r} (line {each.test.line}): {problem}"))
        passed = sum(not each.problems for each in outcomes)
        say(f"{count(len(outcomes), 'test')}, {passed} passed")
        if trial is not None:
            _show(trial)
    failed = any(each.problems for each in outcomes) or (trial is not None and trial.records and not trial.events)
    return NEGATIVE if failed else DONE


def _outcome(outcome: TestOutcome) -> dict[str, object]:
    return {"name": outcome.test.name, "passed": not outcome.problems, "problems": outcome.problems}


def _as_dict(trial: Trial) -> dict[str, object]:
    return {
        "records": trial.records, "events": trial.events, "share": round(trial.share, 6), "skipped": dict(trial.skips),
        "refused": trial.refusals(), "left_out": trial.left_out,
        "values": {column: dict(trial.values[column].most_common(_LISTED)) for column in _COLUMNS},
        "unused": dict(trial.unused.most_common(_LISTED)),
    }  # fmt: skip


def _show(trial: Trial) -> None:
    for name, why in trial.left_out.items():
        click.echo(visible(f"left out {name}: {why}"))
    click.echo(f"{count(trial.records, 'record')}, {trial.share:.1%} mapped: {count(trial.events, 'event')}")
    for name, number in trial.skips.most_common():
        click.echo(visible(f"  skipped, {name}: {number:,}"))
    for example in trial.refusals()[:_LISTED]:
        click.echo(f"  refused, {visible(str(example))}")
    for column in _COLUMNS:
        values = trial.values[column]
        listed = ", ".join(f"{value} ({number:,})" for value, number in values.most_common(_LISTED))
        click.echo(visible(f"{column} ({trial.filled[column]:,} filled): {listed or 'nothing'}"))
    if trial.unused:
        listed = ", ".join(
            f"{name.removeprefix('$.')} ({number:,})" for name, number in trial.unused.most_common(_LISTED)
        )
        click.echo(visible(f"not used: {listed}"))
