"""``sigma``: detection rules that others maintain, as policies."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import Decorator, Kind, json_option, several
from auditlake.cli.output import is_quiet, machine, opened, say
from auditlake.display.text import count, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditlake.sigma.model import Outcome

_SAID = {
    "new": "new", "changed": "changed", "same": "as before", "edited": "left alone", "refused": "refused",
    "part": "part of a correlation", "gone": "its rule is gone",
}  # fmt: skip
_DIFFERENT = frozenset({"new", "changed", "gone"})


def _read_pair(text: str) -> tuple[str, str]:
    logsource, equals, source = text.rpartition("=")
    if not equals or logsource.count("/") != 1 or not source:
        raise ValueError(f"expected PRODUCT/SERVICE=SOURCE, such as jvm/application=shop; got {text!r}")
    return logsource, source


_rules = click.argument("rules", nargs=-1, required=True, metavar="RULE|DIR...", type=click.Path(path_type=Path))
_options: Decorator = several(
    click.option("--window", default="24h", show_default=True, metavar="DURATION",
                 help="The window of policies whose rules are about single events."),
    click.option("--logsource", "sources", multiple=True, type=Kind("pair", _read_pair),
                 metavar="PRODUCT/SERVICE=SOURCE",
                 help="Which source of the lake has the events of a logsource; repeatable."),
)  # fmt: skip


@click.group()
def sigma() -> None:
    """Make policies of Sigma's detection rules.

    RULE is a file of rules, filters and correlations, DIR a folder that is read with all below it. What a rule becomes,
    and what does not convert: `auditlake docs sigma`. Needs the extra auditlake[sigma].
    """


@sigma.command("import")
@_rules
@_options
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@json_option("rules", "events")
@click.pass_obj
def import_(path: str, rules: tuple[Path, ...], window: str, sources: Sequence[Any], dry_run: bool) -> None:
    """Make a policy of each rule.

    The command tells of each rule what came of it: its policy, or why it was refused, and which of its fields no event
    of the lake has. A policy that was made before is made anew, unless it was edited by hand.
    """
    outcomes = opened(path).policies.import_sigma(*rules, window=window, sources=dict(sources), dry_run=dry_run)
    _show(outcomes, dry_run="would be " if dry_run else "")


@sigma.command()
@_rules
@_options
@json_option("rules", "events")
@click.pass_obj
def check(path: str, rules: tuple[Path, ...], window: str, sources: Sequence[Any]) -> int:
    """Compare rules with the policies that were made from them.

    The exit code is 1 if a rule is new, has changed or is gone. Nothing is changed.
    """
    outcomes = opened(path).policies.check_sigma(*rules, window=window, sources=dict(sources))
    _show([each for each in outcomes if each.state != "same"], total=outcomes)
    return NEGATIVE if any(each.state in _DIFFERENT for each in outcomes) else DONE


def _show(outcomes: Sequence[Outcome], *, total: Sequence[Outcome] | None = None, dry_run: str = "") -> None:
    every = outcomes if total is None else total
    events = {seen.source: seen.events for each in every if not each.absent for seen in each.fields}
    if machine(rules=[_as_dict(each) for each in every], events=events):
        return
    rules_of = Counter(each.path for each in every)
    for each in outcomes:
        for line in _lines(each, is_alone=rules_of[each.path] == 1):
            click.echo(visible(line))
    if not is_quiet():
        for line in _summary(every, events, dry_run):
            say(line)


def _lines(outcome: Outcome, *, is_alone: bool) -> Iterable[str]:
    """Yield what is told of one rule: its outcome, and below it what a reader must know; its title tells it from others
    of its file.
    """
    policy = f" as {outcome.policy_id}" if outcome.policy_id and outcome.state != "gone" else ""
    why = f": {outcome.reason}" if outcome.reason else ""
    path = outcome.path if is_alone else f"{outcome.path} ({outcome.title})"
    yield f"{outcome.policy_id if outcome.state == 'gone' else path}: {_SAID[outcome.state]}{policy}{why}"
    yield from (f"  {note}" for note in (*outcome.notes, *outcome.absent))
    yield from (f"  {seen}" for seen in outcome.unseen if seen.events)
    if outcome.can_match is False:
        yield "  it can match no event like those of this lake"


def _summary(outcomes: Sequence[Outcome], events: dict[str, int], would_be: str) -> Iterable[str]:
    states = Counter(each.state for each in outcomes)
    parts = [f"{states[state]:,} {_SAID[state]}" for state in _SAID if states[state]]
    yield f"{count(len(outcomes), 'rule')}: {would_be}{', '.join(parts) or 'nothing'}"
    never = sum(each.can_match is False and not each.absent for each in outcomes)
    if never:
        yield f"{never:,} of them can match no event like those of this lake, which lack a field"
    if absent := sum(bool(each.absent) for each in outcomes):
        yield f"{absent:,} of them are about a logsource that no source of this lake has"
    for source in sorted(source for source, number in events.items() if not number):
        yield f"no event of {source} yet, so it is unknown whether its fields are there"


def _as_dict(outcome: Outcome) -> dict[str, Any]:
    names = ("path", "title", "id", "state", "reason", "policy_id", "sources", "can_match", "notes", "absent")
    fields = [
        {"field": each.field, "source": each.source, "places": each.places, "seen": each.seen, "events": each.events}
        for each in outcome.fields
    ]
    return {name: getattr(outcome, name) for name in names} | {"fields": fields}
