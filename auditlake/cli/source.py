"""``source`` and ``remap``: the kinds of logs that are read, people's own mappings, and what changes with one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import BOUNDS, instant, json_option, operator_option, yes_option
from auditlake.cli.output import ask, is_json, machine, opened, say, table
from auditlake.display.text import count, visible
from auditlake.storage.lake import may_be_lake

if TYPE_CHECKING:
    from datetime import date

    from auditlake.facets.sources import Sources
    from auditlake.ingest.trial import TestOutcome, Trial
    from auditlake.retention.remap_plan import RemapPlan

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

    return AuditLake(path).sources if may_be_lake(path) else Sources()


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
@click.argument("file")
@click.option("--name", help="What to call the source; the file's name by default.")
@json_option("source", "text")
@click.pass_obj
def new(path: str, file: str, name: str | None) -> None:
    """Draft a mapping from a sample of a log.

    The sample holds JSON (records, or documents around them), a table, lines of pairs, or other lines of text. What the
    draft says is to be finished by hand.
    """
    called = name or re.sub(r"[^a-z0-9_.]+", "_", Path(file).name.partition(".")[0].lower()).strip("_") or "log"
    text = _sources(path).draft(called, file)
    if not machine(source=called, text=text):
        click.echo(visible(text, keep="\n"), nl=False)


@source.command()
@click.argument("file")
@click.option("--replace", is_flag=True, help="Take the place of the lake's mapping of that source.")
@json_option("source", "version")
@click.pass_obj
def add(path: str, file: str, replace: bool) -> None:
    """Check a mapping and copy it into the lake."""
    added = opened(path).sources.add(file, replace=replace)
    if not machine(source=added.name, version=added.version):
        say(f"{added.name} is read from now on ({added.version})")


@source.command()
@click.argument("name")
@yes_option
@json_option("source")
@click.pass_obj
def remove(path: str, name: str, yes: bool) -> None:
    """Take a mapping out of the lake; its events stay.

    Erasure then knows no more where these events name people, beyond the columns.
    """
    if not yes:
        ask(f"Remove the mapping of {name}? Erasure then covers only the columns of its events.")
    opened(path).sources.remove(name)
    if not machine(source=name):
        say(f"{name} is removed")


@source.command()
@click.argument("which")
@json_option("source", "text")
@click.pass_obj
def show(path: str, which: str) -> None:
    """Print a mapping's file."""
    _, found = _sources(path).of(which)
    if machine(source=found.name, text=found.text):
        return
    if found.outline is None:
        say(f"{found.name} has a statement of its own and no mapping; `auditlake source sql {found.name}` shows it")
    else:
        click.echo(visible(found.text.rstrip(), keep="\n"))


@source.command()
@click.argument("which")
@json_option("source", "sql")
@click.pass_obj
def sql(path: str, which: str) -> None:
    """Print the statement that maps the records of a source."""
    _, found = _sources(path).of(which)
    if not machine(source=found.name, sql=found.sql):
        click.echo(visible(found.sql, keep="\n"))


@source.command()
@json_option("sources", "overlaps")
@click.pass_obj
def check(path: str) -> int:
    """Check every mapping, and find where two overlap.

    Two sources overlap where both take the record of a test for theirs: then an input of such records is refused.
    """
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
    how many events have something at each place of `personal`, with the places that may have been meant where none has,
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
        "refused": trial.refusals(), "left_out": trial.left_out, "unmatched": trial.unmatched,
        "values": {column: dict(trial.values[column].most_common(_LISTED)) for column in _COLUMNS},
        "unused": dict(trial.unused.most_common(_LISTED)), "looked_at": trial.looked_at, "personal": [
            {"place": place, "events": events, "near": [] if events else trial.near(place)}
            for place, events in trial.personal.items()
        ],
    }  # fmt: skip


def _plain(place: str) -> str:
    return place.removeprefix("$.details.")


def _show(trial: Trial) -> None:
    for name, why in trial.left_out.items():
        click.echo(visible(f"left out {name}: {why}"))
    for name, (fitting, first) in trial.unmatched.items():
        click.echo(visible(f"{name}: {fitting} of the first {first} records match; ingest takes it only with --source"))
    click.echo(f"{count(trial.records, 'record')}, {trial.share:.1%} mapped: {count(trial.events, 'event')}")
    for name, number in trial.skips.most_common():
        click.echo(visible(f"  skipped, {name}: {number:,}"))
    for example in trial.refusals()[:_LISTED]:
        click.echo(f"  refused, {visible(str(example))}")
    for column in _COLUMNS:
        values = trial.values[column]
        listed = ", ".join(f"{value} ({number:,})" for value, number in values.most_common(_LISTED))
        click.echo(visible(f"{column} ({trial.filled[column]:,} filled): {listed or 'nothing'}"))
    for place, events in trial.personal.items():
        where, near = _plain(place), ", ".join(map(_plain, trial.near(place)))
        meant = f"; did you mean {near}?" if near else ""
        said = f"filled in {events:,} of {count(trial.looked_at, 'event')}" if events else f"filled in no event{meant}"
        click.echo(visible(f"personal {where}: {said}"))
    if trial.unused:
        listed = ", ".join(
            f"{name.removeprefix('$.')} ({number:,})" for name, number in trial.unused.most_common(_LISTED)
        )
        click.echo(visible(f"not used: {listed}"))


@click.command(epilog=BOUNDS)
@click.argument("source", metavar="SOURCE", shell_complete=completers.sources)
@click.option("--since", type=instant, help="Only events not before this instant or date.")
@click.option("--until", type=instant, help="Only events not after this instant or date.")
@click.option("--plan", "digest", metavar="DIGEST", help="Abort unless the plan's digest matches.")
@click.option("--accept-weaker", metavar="REASON", help="Remap although events are kept shorter then; recorded.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@yes_option
@operator_option()
@json_option(
    "was_done", "events", "plan", "snapshot", "certificate", text="Print one JSON object; with --dry-run, the plan"
)
@click.pass_obj
def remap(
    path: str, /, source: str, since: date | None, until: date | None, digest: str | None, dry_run: bool, yes: bool,
    **options: str | None,
) -> None:  # fmt: skip
    """Derive the columns of a source's events anew.

    For after its mapping has changed. Ids, times and details of the events stay. Refused while a legal hold matches an
    event that would change. One commit, with a certificate.
    """
    lake = opened(path)
    if dry_run or not yes:
        planned = lake.sources.remap_plan(source, since=since, until=until)
        if not is_json():
            _show_plan(planned)
        if dry_run:
            machine(planned.as_dict())
            return
        digest = digest or planned.digest  # the plan that is confirmed is the plan that is carried out
        if planned.changed and not planned.held:  # with a hold it is refused, whatever the answer
            ask(f"give {count(planned.changed, 'event')} of {source} other columns?")
    done = lake.sources.remap(source, since=since, until=until, plan=digest, **options)
    machine(done, plan=done.plan.digest)
    what = "this plan was carried out before" if done.was_done else f"{count(done.events, 'event')} derived anew"
    say(f"{what} (snapshot {done.snapshot})")
    if done.certificate:
        say(f"certificate {lake.layout.certificates / done.certificate}.html")


def _show_plan(planned: RemapPlan) -> None:
    """Print a plan: what becomes of types and columns, and what the operator should know before."""
    table(("type before", "type after", "events"), (
        (before, after, events) for (before, after), events in sorted(planned.types.items())
    ), right=(2,))  # fmt: skip
    if planned.columns:
        table(("column", "events"), sorted(planned.columns.items()), right=(1,))
        table(("day", "events", "change"), (
            (each.day, each.looked_at, each.changed) for each in planned.changes
        ), right=(1, 2))  # fmt: skip
    for each in planned.retention:
        click.echo(visible(f"{'kept shorter' if each.weaker else 'kept longer'}: {each}"))
    for hold, (before, after) in planned.held.items():
        click.echo(visible(
            f"the hold {hold} keeps events that would change, {before:,} as they are and {after:,} as they would "
            f"become: nothing is remapped while it is active"
        ))  # fmt: skip
    if planned.erased:
        click.echo(f"{count(planned.erased, 'event')} that were erased keep their personal columns")
    if planned.named_again:
        click.echo(f"{count(planned.named_again, 'event')} would name a person who was erased: erase that person again")
    if planned.underivable:
        click.echo(f"not all in the details, so that it stays: {', '.join(planned.underivable)}")
    for why, events in planned.left.most_common():
        click.echo(visible(f"{count(events, 'event')} left as they are: {why}"))
    click.echo(visible(
        f"{planned.changed:,} of {count(planned.looked_at, 'event')} of {planned.source} change by the mapping "
        f"{planned.mapping}"
    ))  # fmt: skip
    click.echo(f"plan {planned.digest}")
