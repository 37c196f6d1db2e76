"""``policy``: what the lake judges by."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import ask, machine, opened, plain, table
from auditlake.cli.report import tell_faults
from auditlake.display.text import count
from auditlake.errors import AuditLakeError, PolicyNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from auditlake.analysis.policy_effect import PolicyEffect
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.policies.model import Policy

_ALONE = "a report of this policy alone runs this; one of several makes moments a table, many groups take 128 bits"


@click.group()
def policy() -> None:
    """List, show, check, add and remove policies, and print their SQL."""


@policy.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """The lake's policies."""
    every = opened(path).policies.all(tolerant=True)
    found, faults = (
        [each for each in every if each.is_readable],
        [(each.id, each.fault) for each in every if each.fault],
    )
    if as_json:
        machine({"policies": [_summary(each) for each in found]})
        tell_faults(faults)
        return
    headings = ("policy", "threshold", "window", "by", "max gap", "keeps", "severity", "governs")
    table(headings, (
        (each.id, each.alert_threshold, each.shown_window, each.group_by, each.max_gap, each.retention_period,
         each.severity, each.required_events)
        for each in found
    ), right=(1,))  # fmt: skip
    tell_faults(faults)


@policy.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(path: str, name: str, as_json: bool) -> None:
    """One policy, as its file has it."""
    found = opened(path).policies.get(name)
    if as_json:
        machine(_summary(found) | {"text": found.text})
    else:
        click.echo(plain_lines(found.text), nl=False)


@policy.command()
@click.argument("names", nargs=-1, metavar="[POLICY|FILE...]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def check(path: str, names: tuple[str, ...], as_json: bool) -> None:
    """Load policies (or .yaml files) and run the tests inside them; exit with 1 if one fails."""
    results = opened(path).policies.check(*names)
    with suppress(BrokenPipeError):  # the exit code says what failed, whoever still reads
        if as_json:
            machine({"tests": [
                {"policy_id": each.policy_id, "test": each.test, "passed": each.passed, "differences": each.differences}
                for each in results
            ]})  # fmt: skip
        else:
            _show_results(results)
    if not all(each.passed for each in results):
        raise click.exceptions.Exit(1)


def _show_results(results: Sequence[CheckResult]) -> None:
    for each in results:
        click.echo(f"{'ok  ' if each.passed else 'FAIL'} {each.policy_id}: {plain(each.test)}")
        for difference in each.differences:
            click.echo(f"       {plain(difference)}")
    click.echo(f"{sum(each.passed for each in results):,} of {count(len(results), 'test')} passed")


@policy.command()
@click.argument("name")
@click.option("--as-of", type=Instant(), help="The instant that the values are for; now if not given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def sql(path: str, name: str, as_of: date | None, as_json: bool) -> None:
    """Print what a report of the policy alone runs, and the values it binds.

    A report of several policies makes the view "moments" a table for all of them, and groups that overflow 63 bits
    run the same in 128; no answer differs.
    """
    from auditlake.reports.build import printable

    queries = opened(path).policies.sql(name, as_of=as_of)
    if as_json:
        machine({"queries": [
            {"name": each.name, "sql": each.sql, "parameters": printable(each.parameters)} for each in queries
        ]})  # fmt: skip
        return
    click.echo(f"-- {_ALONE}\n")
    for each in queries:
        click.echo(f"-- {each.name}")
        for parameter, value in printable(each.parameters).items():
            click.echo(f"--   ${parameter} = {json.dumps(value)}")
        click.echo(plain_lines(each.sql) + "\n")


@policy.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Put it in the place of the lake's policy of that name.")
@click.option("--yes", is_flag=True, help="Do not ask, even if events become due for deletion.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def add(path: str, file: Path, replace: bool, yes: bool, as_json: bool) -> None:
    """Check a policy file and copy it into the lake; its name is the policy's id.

    Says first what changes: which event types are newly governed, which events are kept longer or shorter, how many
    become due for deletion. Where any do, it asks.
    """
    lake = opened(path)
    effect = lake.policies.effect(file, replace=replace)
    if not as_json:
        _show_effect(effect)
    if effect.takes and not yes:
        ask(f"add {effect.policy_id}? the next retention apply then takes what is due")
    found = lake.policies.add(file, replace=replace)
    failing = [each for each in lake.policies.check(found.id) if not each.passed]
    if as_json:
        machine(_summary(found) | {"failing": len(failing), "changes": effect.as_dict()})
    else:
        click.echo(f"added {found.id}")
    if failing:
        fail = count(len(failing), "of its own tests fails", "of its own tests fail")
        click.echo(f"{fail}; see: auditlake policy check {found.id}", err=True)


@policy.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def remove(path: str, name: str, yes: bool, as_json: bool) -> None:
    """Take a policy out of the lake, and say first what changes; what only it kept may then be due for deletion."""
    lake = opened(path)
    effect = None
    try:
        effect = lake.policies.removal_effect(name)
    except PolicyNotFoundError:
        raise
    except AuditLakeError as error:  # what hinders counting does not hinder the removal
        click.echo(plain(f"auditlake: warning: what changes could not be counted: {error}"), err=True)
    if effect and not as_json:
        _show_effect(effect)
    if not yes:
        ask(f"remove {name}? what only it keeps may then be due for deletion")
    lake.policies.remove(name)
    machine({"removed": name, "changes": effect and effect.as_dict()}) if as_json else click.echo(f"removed {name}")


_CHANGES = {1: "longer", 0: "as long as before", -1: "shorter"}


def _show_effect(effect: PolicyEffect) -> None:
    """What a policy changes, and nothing where it changes nothing."""
    changed = [each for each in effect.types if each.newly_governed or each.change or each.becomes_due]
    if changed:
        headings = ("type", "events", "newly governed", "were kept", "are kept", "which is", "become due")
        table(headings, (
            (each.event_type, each.events, "yes" if each.newly_governed else "", each.before, each.after,
             _CHANGES[each.change], each.becomes_due)
            for each in changed
        ), right=(1, 6))  # fmt: skip
    if effect.becomes_due:
        click.echo(f"{count(effect.becomes_due, 'event becomes', 'events become')} due for deletion")
    if effect.pseudonymise:
        lose = count(effect.pseudonymise, "event loses its", "events lose their")
        click.echo(f"{lose} personal data with the next retention apply")
    for name in effect.unusable:
        click.echo(f"the policy {name} cannot be used, and does not count here; nothing is deleted until it is mended")


def plain_lines(text: str) -> str:
    """Text of several lines that a terminal can only show."""
    from auditlake.display.text import visible

    return visible(text, keep="\n")


def _summary(found: Policy) -> dict[str, Any]:
    return {
        "id": found.id, "name": found.name, "description": found.description,
        "required_events": list(found.required_events),
        "retention_period": found.retention_period and str(found.retention_period),
        "alert_threshold": found.alert_threshold, "window": found.shown_window, "group_by": list(found.group_by),
        "where": found.where, "coverage": found.coverage, "max_gap": found.max_gap and str(found.max_gap),
        "max_retention": found.max_retention and str(found.max_retention), "severity": found.severity,
        "controls": {name: list(ids) for name, ids in found.controls.items()}, "tests": len(found.tests),
        "digest": found.digest,
    }  # fmt: skip


COMMANDS = (policy,)
