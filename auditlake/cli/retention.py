"""``hold``, ``retention`` and ``erase``: what must stay, what must go, and whose personal data must go."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.options import BOUNDS, event_type_option, instant, json_option, operator_option, yes_option
from auditlake.cli.output import ask, cell, is_json, machine, opened, pick, say, table, warn
from auditlake.display.text import count, visible
from auditlake.sandbox.open import without_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from auditlake.policies.holds import Hold
    from auditlake.policies.model import RetentionConflict
    from auditlake.retention.plan import PartitionPlan, RetentionPlan

_BECOMES = {"drop": "dropped", "rewrite": "rewritten", "keep": "kept"}
_HOLD = (
    "id", "reason", "owner", "ticket", "created", "event_types", "user_ids", "resources", "since", "until", "released",
    "released_because", "digest",
)  # fmt: skip
_PLAN = (
    "digest", "lake", "as_of", "midnight", "snapshot", "due", "held", "pseudonymise", "never_expire", "costs",
    "default_retention", "policies", "holds", "partitions", "conflicts", "silent_days", "kept_by_no_policy",
    "asked_by_no_policy", "leftovers", "weaker",
)  # fmt: skip
_hold_argument = click.argument("name", metavar="HOLD", shell_complete=completers.holds)
_reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why.")
_ticket_option = click.option("--ticket", required=True, metavar="ID", help="Where more is written down.")


@click.group()
def hold() -> None:
    """Manage legal holds, which keep events from any change."""


@hold.command(epilog=BOUNDS)
@click.argument("name", metavar="HOLD")
@_reason_option
@click.option("--owner", required=True, metavar="NAME", help="Who answers for the hold.")
@_ticket_option
@event_type_option("event_types", multiple=True, help="Only these types; repeatable, like the next two.")
@click.option("--user-id", "user_ids", multiple=True, metavar="USER", help="Only events of these users.")
@click.option("--resource", "resources", multiple=True, metavar="RESOURCE", help="Only events about these.")
@click.option("--since", type=instant, help="Only events not before this instant or date.")
@click.option("--until", type=instant, help="Only events not after this instant or date.")
@operator_option()
@json_option(*_HOLD, "matches")
@click.pass_obj
def add(path: str, /, name: str, **options: Any) -> None:
    """Begin a hold over the events that match all filters.

    Without a filter it holds every event.
    """
    made = opened(path).holds.add(name, **options)
    machine(made)
    if made.matches is None:
        say(f"holding: {made.id}; how many events it matches could not be counted")
    else:
        say(f"holding: {made.id}, which matches {count(made.matches, 'event')} now")
    if made.matches == 0:
        warn(f"auditlake: warning: {made.id} matches no event: {covers(made)}")


@hold.command("list")
@json_option("holds")
@click.pass_obj
def list_(path: str) -> None:
    """List all holds, released ones included."""
    holds = opened(path).holds.all()
    if machine(holds=[pick(each, *_HOLD) for each in holds]):
        return
    headings = ("hold", "state", "covers", "owner", "ticket", "created", "released")
    table(headings, (
        (each.id, "released" if each.released else "active", covers(each), each.owner, each.ticket, each.created,
         each.released)
        for each in holds
    ))  # fmt: skip
    for each in holds:
        if each.until is not None and each.until.time() == time() and not each.released:
            click.echo(
                f"{each.id} ends with the first microsecond of {each.until:%Y-%m-%d}, as dates once did: "
                f"for all of that day, add a hold until {each.until:%Y-%m-%d}"
            )


@hold.command()
@_hold_argument
@json_option(*_HOLD)
@click.pass_obj
def show(path: str, name: str) -> None:
    """Print a hold's file."""
    from auditlake.disk.files import read_text
    from auditlake.policies.holds import chosen_hold

    lake = opened(path)
    chosen = chosen_hold(lake.holds.all(), name)
    if not machine(chosen):
        click.echo(visible(read_text(lake.layout.hold(name), within=lake.layout.root), keep="\n"), nl=False)


@hold.command()
@_hold_argument
@_reason_option
@yes_option
@operator_option()
@json_option(*_HOLD)
@click.pass_obj
def release(path: str, name: str, reason: str, yes: bool, operator: str | None) -> None:
    """End a hold; it stays on record.

    Events that only this hold keeps may then be due for deletion.
    """
    lake = opened(path)
    if not yes:
        ask(f"release {name}? what only it keeps may then be due for deletion")
    ended = lake.holds.release(name, reason=reason, operator=operator)
    machine(ended)
    say(f"released: {ended.id}")


@click.group()
def retention() -> None:
    """Plan and apply the deletion of what is due."""


@retention.command()
@click.option("--as-of", type=instant, help="The instant to judge at, the end of a date; now by default, never later.")
@json_option(*_PLAN)
@click.pass_obj
def plan(path: str, as_of: date | None) -> None:
    """Show what is due and what stays and why; change nothing."""
    lake = opened(path)
    with without_numpy(lake.layout, own=True):
        planned = lake.retention.plan(as_of)
    if not machine(planned.as_dict()):
        show_plan(planned)


@retention.command()
@click.option("--as-of", type=instant, help="The instant to judge at, the end of a date; now by default, never later.")
@click.option("--plan", "digest", metavar="DIGEST", help="Abort unless the plan's digest matches.")
@click.option("--accept-weaker", metavar="REASON", help="Apply although rules or holds have become weaker; recorded.")
@click.option("--dry-run", is_flag=True, help="Show the plan and change nothing.")
@yes_option
@operator_option()
@json_option("was_done", "deleted", "pseudonymised", "held", "plan", "snapshot", "certificate", "unlinked", "costs")
@click.pass_obj
def apply(path: str, /, digest: str | None, dry_run: bool, yes: bool, **options: Any) -> None:
    """Delete what is due in one commit, and write a certificate."""
    lake = opened(path)
    if dry_run or not yes:
        planned = lake.retention.plan(options["as_of"])
        if not is_json():
            show_plan(planned)
        if dry_run:
            machine(planned.as_dict())
            return
        digest = digest or planned.digest  # the plan that is confirmed is the plan that is applied
        ask(f"delete {count(planned.due, 'event')}, pseudonymise {planned.pseudonymise:,}?")
    done = lake.retention.apply(plan=digest, **options)
    deleted, pseudonymised = (0, 0) if done.was_done else (done.plan.due, done.plan.pseudonymise)
    machine(
        done, deleted=deleted, pseudonymised=pseudonymised, held=done.plan.held, plan=done.plan.digest,
        costs=done.costs.as_dict(),
    )  # fmt: skip
    what = f"{count(deleted, 'event')} deleted, {pseudonymised:,} pseudonymised"
    what = "this plan was carried out before" if done.was_done else what
    say(f"{what}, {count(done.unlinked, 'file')} removed (snapshot {done.snapshot})")
    if done.costs.dropped.files or done.costs.rewritten.files:
        say(done.costs.done)
    if done.certificate:
        say(f"certificate {lake.layout.certificates / done.certificate}.html")


@click.command()
@click.option("--user-id", required=True, metavar="USER", help="The person whose data is replaced.")
@_reason_option
@_ticket_option
@click.option(
    "--path", "paths", multiple=True, metavar="PLACE", help="A further place, e.g. $.details.email; repeatable."
)
@yes_option
@operator_option()
@json_option("pseudonym", "events", "held", "snapshot", "certificate", "remaining", "left")
@click.pass_obj
def erase(path: str, /, user_id: str, yes: bool, **options: Any) -> None:
    """Replace a person's data by pseudonyms; the events stay.

    Events under a hold are not changed. Replaced are user_id, ip_address, session_id, the places where the event's
    source names people, those of lake.toml and --path, and the same values wherever they are the whole of a text. What
    remains elsewhere is counted.
    """
    from auditlake.retention.certificate import remaining_words

    lake = opened(path)
    if not yes:
        ask(f"replace the personal data of {visible(user_id)}? it cannot be brought back")
    done = lake.retention.erase(user_id, **options)
    machine(done)
    rest = "; nothing is left to erase" if done.certificate is None and not done.held else ""
    rest += f"; {words}" if (words := remaining_words(done.remaining)) else ""
    say(f"{count(done.events, 'event')} erased, {done.held:,} kept by a hold (snapshot {done.snapshot}){rest}")
    for each in done.remaining["places"]:
        say(f"  still there: {visible(each['place'])}, {count(each['values'], 'time')}")
    for sentence in done.left:
        say(f"  left: {visible(sentence)}")
    if done.certificate:
        say(f"certificate {lake.layout.certificates / done.certificate}.html")


def show_plan(planned: RetentionPlan) -> None:
    """Print a plan: the days that change, and what the operator should know before."""
    table(("day", "becomes", "events", "due", "held", "pseudonymised", "stay for"), (
        (each.day, _BECOMES[each.action], each.events, each.deleted, each.held, each.pseudonymised, _keepers(each))
        for each in planned.changes
    ), right=(2, 3, 4, 5))  # fmt: skip
    click.echo(
        f"as of {cell(planned.as_of)}: {count(planned.due, 'event')} due on "
        f"{count(sum(bool(each.due) for each in planned.changes), 'day')}, "
        f"{planned.pseudonymise:,} to be pseudonymised, {planned.held:,} under a hold"
    )
    if planned.changes:
        click.echo(planned.costs.words)
    if planned.never_expire:
        never = count(planned.never_expire, "event never expires", "events never expire")
        click.echo(
            f"{never}: no policy keeps {'it' if planned.never_expire == 1 else 'them'}, and no default_retention is set"
        )
    show_left_out(planned.kept_by_no_policy, planned.asked_by_no_policy)
    for each in planned.conflicts:
        click.echo(_conflict(each))
    for policy, days in planned.silent.items():
        if days:
            silent = count(len(days), "day of its retention period has", "days of its retention period have")
            click.echo(f"{policy}: {silent} no event, the last {days[-1]}")
    for left in planned.leftovers:
        click.echo(f"{left.path} goes too: {left.because}")
    for sentence in planned.weaker:
        click.echo(f"weaker than recorded: {visible(sentence)}")
    click.echo(f"plan {planned.digest}")


def _conflict(each: RetentionConflict) -> str:
    """Return who asks for what, and what follows."""
    limits, needs = (
        f"{length} ({visible(clause)})" if clause else length
        for length, clause in ((each.max_retention, each.limit_clause), (each.retention_period, each.keep_clause))
    )
    what, limited, follows = (
        ("contradiction", "the event", "nothing of it is deleted before that")
        if each.of else ("conflict", "personal data", "it is pseudonymised and stays")
    )  # fmt: skip
    return (
        f"{what} over {each.event_type}: {each.limit_policy} limits {limited} to {limits}, "
        f"{each.keep_policy} needs the event for {needs}: {follows}"
    )


def show_left_out(kept_by_none: Mapping[str, int], asked_by_none: Mapping[str, int]) -> None:
    """Print the event types that policies leave out, with their events."""
    for what, types in (("kept by no policy", kept_by_none), ("asked about by no policy", asked_by_none)):
        if types:
            table((what, "events"), types.items(), right=(1,))


def _keepers(each: PartitionPlan) -> str:
    """Return the policies and holds that keep events of a day."""
    return ", ".join([*each.kept, *each.held_by, *(["no policy"] if each.ungoverned else [])])


def covers(hold: Hold) -> str:
    """Return the filters of a hold in a line."""
    parts = [
        f"{name} {', '.join(map(visible, values))}"
        for name, values in (("type", hold.event_types), ("user", hold.user_ids), ("resource", hold.resources))
        if values
    ]
    parts += [f"{name} {cell(value)}" for name, value in (("since", hold.since), ("until", hold.until)) if value]
    return "; ".join(parts) or "everything"
