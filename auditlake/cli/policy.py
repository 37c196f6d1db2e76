"""``policy``: the rules that a lake is judged by."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import DONE, FAILED, NEGATIVE
from auditlake.cli.options import (
    BOUNDS,
    Words,
    instant,
    json_option,
    numbers,
    period_options,
    policy_argument,
    yes_option,
)
from auditlake.cli.output import as_json, ask, is_json, is_quiet, machine, opened, pick, say, table, warn
from auditlake.cli.report import tell_faults
from auditlake.cli.sarif import check_format, print_sarif
from auditlake.display.text import count, visible
from auditlake.errors import AuditLakeError, PolicyError, PolicyNotFoundError
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from auditlake.analysis.policy_effect import PolicyEffect
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.lake import AuditLake

_ALONE = "a report of this policy alone runs this; one of several makes moments a table, many groups take 128 bits"
_KEYS = (
    "id", "name", "description", "required_events", "retention_period", "alert_threshold", "window", "group_by",
    "where", "measure", "asked", "scope", "coverage", "max_gap", "fields", "hot", "max_retention", "clause", "basis",
    "severity", "controls", "tests", "digest",
)  # fmt: skip


@click.group()
def policy() -> None:
    """Manage policies: list, draft, test, add, remove, backtest."""


@policy.command("list")
@click.option("--ready", is_flag=True, help="List the policies that policy add takes by name.")
@json_option("policies")
@click.pass_obj
def list_(path: str, ready: bool) -> None:
    """List the lake's policies."""
    if ready:
        _list_ready()
        return
    every = opened(path).policies.all(tolerant=True)
    policies = [each for each in every if each.is_readable]
    if not machine(policies=[_as_dict(each) for each in policies]):
        headings = ("policy", "threshold", "window", "by", "max gap", "keeps", "severity", "governs")
        table(headings, (
            (each.id, each.alert_threshold, each.shown_window, each.group_by, each.shown_max_gap, each.retention_period,
             each.severity, each.required_events)
            for each in policies
        ), right=(1,))  # fmt: skip
    tell_faults([(each.id, each.fault) for each in every if each.fault])


def _list_ready() -> None:
    from auditlake.events.schema import BUILT_IN_TYPES
    from auditlake.policies.files import READY, SETS
    from auditlake.policies.loader import load_policies

    policies = load_policies(READY, frozenset(BUILT_IN_TYPES))
    starter = {file.stem for file in SETS["starter"]}
    if not machine(policies=[_as_dict(each) for each in policies]):
        table(("policy", "severity", "what it finds", "a new lake"), (
            (each.id, each.severity, each.description, "has it" if each.id in starter else "") for each in policies
        ))  # fmt: skip


@policy.command()
@click.argument("event_types", nargs=-1, metavar="[TYPE...]", shell_complete=completers.event_types)
@json_option("types", "text", "no_data")
@click.pass_obj
def new(path: str, event_types: tuple[str, ...]) -> None:
    """Draft a policy about event types from what the lake holds.

    The draft says what was usual in the newest 90 days. Its threshold is above that, and to be finished by hand.
    Without a TYPE, what the lake holds is listed.
    """
    lake = opened(path)
    drafted = lake.policies.draft(*event_types) if event_types else None
    types = lake.policies.usual() if drafted is None else ()
    no_data = list(drafted.no_data) if drafted else []
    if machine(types=list(types), text=drafted and drafted.text, no_data=no_data):
        return
    if drafted is None:
        table(("type", "events", "days", "usual day", "busiest day", "last"), (
            (each.event_type, each.events, each.days, each.usual, each.busiest, each.last) for each in types
        ), right=(1, 2, 3, 4))  # fmt: skip
        say("name what the policy is about: auditlake policy new TYPE...")
        return
    click.echo(visible(drafted.text, keep="\n"), nl=False)
    if no_data:
        click.echo(f"no data: the lake has no event of {', '.join(no_data)} in its newest 90 days", err=True)


@policy.command()
@policy_argument("name")
@json_option(*_KEYS, "text")
@click.pass_obj
def show(path: str, name: str) -> None:
    """Print a policy's file."""
    from auditlake.policies.kinds import how_alerted

    chosen = opened(path).policies.get(name)
    if not machine(_as_dict(chosen) | {"text": chosen.text}):
        click.echo(visible(chosen.text, keep="\n"), nl=False)
        if chosen.alert_threshold is not None and (how := how_alerted(chosen)):
            say(how, err=True)


@policy.command()
@policy_argument("names", nargs=-1, metavar="[POLICY|FILE...]")
@check_format
@json_option("tests")
@click.pass_obj
def check(path: str, names: tuple[str, ...], form: str) -> int:
    """Run the tests inside policies or .yaml files.

    Without a name, the tests of every policy run. The exit code is 1 if a test fails.
    """
    lake = opened(path)
    if form == "sarif":
        return _check_as_sarif(lake, names)
    results = lake.policies.check(*names)
    with suppress(BrokenPipeError):  # a closed pipe does not change the exit code
        if not machine(tests=[pick(each, "policy_id", "test", "passed", "differences") for each in results]):
            show_results(results)
    return DONE if all(each.passed for each in results) else NEGATIVE


def _check_as_sarif(lake: AuditLake, names: Sequence[str]) -> int:
    try:
        results = lake.policies.check(*names)
    except PolicyNotFoundError:
        raise
    except PolicyError as error:
        print_sarif(lake.layout, "policy-file", error.problems, (), names)
        return FAILED
    print_sarif(lake.layout, "policy-file", (), results, names)
    return DONE if all(each.passed for each in results) else NEGATIVE


def show_results(results: Sequence[CheckResult]) -> None:
    """Print what tests gave."""
    for each in results if not is_quiet() else [each for each in results if not each.passed]:
        click.echo(f"{'ok  ' if each.passed else 'FAIL'} {each.policy_id}: {visible(each.test)}")
        for difference in each.differences:
            click.echo(f"       {visible(difference)}")
    say(f"{sum(each.passed for each in results):,} of {count(len(results), 'test')} passed")


@policy.command()
@policy_argument("name")
@click.option("--as-of", type=instant, help="Bind the values for this instant; now by default.")
@click.option(
    "--explain", is_flag=True, help="Say instead by which plan a report would be answered on this lake, and why."
)
@json_option("queries", "plan")
@click.pass_obj
def sql(path: str, name: str, as_of: date | None, explain: bool) -> None:
    """Print the SQL of a policy's report, with its values.

    This is what a report of the policy alone runs. A report of several policies makes the view "moments" a table for
    all of them, and groups that overflow 63 bits are counted in 128; no answer differs.
    """
    from auditlake.display.canonical_json import json_value

    if explain:
        plan = opened(path).policies.plan(name, as_of=as_of)
        if not machine(queries=[], plan=asdict(plan)):
            click.echo(f"{plan.name}: {plan.reason}")
            click.echo(
                f"{count(plan.days, 'day')} to ask about, {count(plan.files, 'file')}, {count(plan.events, 'event')}"
            )
        return
    queries: list[dict[str, Any]] = [
        {"name": each.name, "sql": each.sql, "parameters": json_value(each.parameters)}
        for each in opened(path).policies.sql(name, as_of=as_of)
    ]
    if machine(queries=queries, plan=None):
        return
    click.echo(f"-- {_ALONE}\n")
    for each in queries:
        click.echo(f"-- {each['name']}")
        for parameter, value in each["parameters"].items():
            click.echo(f"--   ${parameter} = {json.dumps(value)}")
        click.echo(visible(each["sql"], keep="\n") + "\n")


@policy.command()
@click.argument("name", metavar="FILE|NAME")
@click.option("--replace", is_flag=True, help="Replace the lake's policy with this name.")
@yes_option
@json_option(*_KEYS, "failing", "changes")
@click.pass_obj
def add(path: str, name: str, replace: bool, yes: bool) -> None:
    """Check a policy file and copy it into the lake.

    The file's name is the policy's id. NAME is one of the ready policies that
    `policy list --ready` names. The command first lists what changes: event types that become governed, events
    that are kept longer or shorter, events that become due for deletion. If there are any of the last, it asks.
    """
    from auditlake.policies.files import ready_or_file

    lake, file = opened(path), ready_or_file(name)
    effect = lake.policies.effect(file, replace=replace)
    is_asking = effect.takes and not yes
    if not is_json() and (is_asking or not is_quiet()):
        show_effect(effect)
    if is_asking:
        ask(f"add {effect.policy_id}? the next retention apply then deletes what is due")
    added = lake.policies.add(file, replace=replace)
    failing = [each for each in lake.policies.check(added.id) if not each.passed]
    machine(_as_dict(added) | {"failing": len(failing), "changes": effect.as_dict()})
    say(f"added {added.id}")
    if failing:
        fail = count(len(failing), "of its own tests fails", "of its own tests fail")
        click.echo(f"{fail}; see: auditlake policy check {added.id}", err=True)


@policy.command()
@policy_argument("name")
@yes_option
@json_option("removed", "changes")
@click.pass_obj
def remove(path: str, name: str, yes: bool) -> None:
    """Remove a policy from the lake.

    The command first lists what changes. Events that only this policy keeps may then be due for deletion.
    """
    lake = opened(path)
    effect = None
    try:
        effect = lake.policies.removal_effect(name)
    except PolicyNotFoundError:
        raise
    except AuditLakeError as error:  # the removal does not need the counts
        warn(f"auditlake: warning: what changes could not be counted: {error}")
    if effect and not is_json() and not (yes and is_quiet()):
        show_effect(effect)
    if not yes:
        ask(f"remove {name}? what only it keeps may then be due for deletion")
    lake.policies.remove(name)
    machine(removed=name, changes=effect and effect.as_dict())
    say(f"removed {name}")


@policy.command(epilog=BOUNDS)
@policy_argument("name", metavar="POLICY|FILE")
@click.option("--thresholds", type=numbers, default="1..50", show_default=True, help="Which to try, e.g. 3,5,10..20.")
@click.option("--windows", type=Words(), metavar="DURATION,...", help="Which to try; the policy's own by default.")
@period_options()
@json_option("policy_id", "as_of", "since", "until", "snapshot", "threshold", "window", "tried")
@click.pass_obj
def backtest(path: str, /, name: str, **options: Any) -> None:
    """Count episodes under other thresholds and windows.

    POLICY may also be a .yaml file.
    """
    from auditlake.analysis.backtest import table_of

    tested = opened(path).backtest(name, **options)
    threshold = tested.policy.alert_threshold
    if machine(tested, policy_id=tested.policy.id, threshold=threshold, window=tested.policy.shown_window):
        return
    headings = ("threshold", *(f"episodes in {window}" for window in tested.windows))
    table(headings, table_of(tested), right=range(len(headings)))
    now = "no threshold now" if threshold is None else f"now {threshold:,} in {tested.policy.window}"
    say(f"{tested.policy.id}, {now}; period ({tested.since.isoformat()}, {tested.until.isoformat()}]")


_CHANGES = {1: "longer", 0: "as long as before", -1: "shorter"}


@policy.command()
@json_option(
    "$schema", "title", "type", "additionalProperties", "required", "properties", "allOf", "dependentSchemas",
    text="Print one JSON object, as without it",
)  # fmt: skip
def schema() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    from auditlake.policies.loader import policy_schema

    click.echo(as_json(policy_schema(), indent=2))


def show_effect(effect: PolicyEffect) -> None:
    """Print what a policy changes; nothing if it changes nothing."""
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
        click.echo(
            f"the policy {name} cannot be used and does not count here; nothing is deleted until it is corrected"
        )


def _as_dict(policy: Policy) -> dict[str, Any]:
    from auditlake.display.canonical_json import json_value
    from auditlake.policies.kinds import measure_of

    lengths = {name: getattr(policy, name) for name in ("retention_period", "hot")}
    other: dict[str, Any] = {name: length and str(length) for name, length in lengths.items()}
    asked = measure_of(policy).asked(policy)
    other |= {
        "max_gap": policy.asked_max_gap,
        "max_retention": policy.asked_max_retention,
        "fields": json_value({name: asdict(rule) for name, rule in policy.fields.items()}),
        "measure": policy.shown_window and policy.measure,
        "asked": asked,
        "window": policy.shown_window,
        "tests": len(policy.tests),
    }
    return {key: other[key] if key in other else getattr(policy, key) for key in _KEYS}
