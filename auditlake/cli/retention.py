"""``hold``, ``retention`` and ``erase``: what must stay, what must go, and whose name must go."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import ask, cell, machine, opened, plain, table
from auditlake.display.text import count

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from auditlake.policies.holds import Hold
    from auditlake.retention.plan import PartitionPlan, RetentionPlan

_BECOMES = {"drop": "dropped", "rewrite": "rewritten", "keep": "kept"}
OPERATOR = click.option("--operator", metavar="NAME", help="Who does this; as the system knows you if not given.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")


@click.group()
def hold() -> None:
    """Legal holds: events that are under one are never deleted or changed."""


@hold.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why the events must stay.")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for the hold.")
@click.option("--ticket", required=True, metavar="ID", help="Where it is written down.")
@click.option(
    "--event-type", "event_types", multiple=True, metavar="TYPE", help="Only these; repeatable, as all three."
)
@click.option("--user-id", "user_ids", multiple=True, metavar="USER", help="Only events of these users.")
@click.option("--resource", "resources", multiple=True, metavar="RESOURCE", help="Only events about these.")
@click.option("--since", type=Instant(), help="Only events from then on; inclusive, a date from its beginning.")
@click.option("--until", type=Instant(), help="Only events up to then; inclusive, a date to its end.")
@OPERATOR
@JSON
@click.pass_obj
def add(path: str, /, name: str, as_json: bool, **options: Any) -> None:
    """Begin a hold over the events that match everything it names; over all events if it names nothing."""
    made = opened(path).add_hold(name, **options)
    if as_json:
        machine({**hold_dict(made), "matches": made.matches})
    elif made.matches is None:
        click.echo(f"holding: {made.id}; how many events it matches could not be counted")
    else:
        click.echo(f"holding: {made.id}, which matches {count(made.matches, 'event')} now")
    if made.matches == 0:
        click.echo(f"auditlake: warning: {made.id} matches no event: {covers(made)}", err=True)


@hold.command("list")
@JSON
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """All holds, those that have ended among them."""
    found = opened(path).holds()
    if as_json:
        machine({"holds": [hold_dict(each) for each in found]})
        return
    headings = ("hold", "state", "covers", "owner", "ticket", "created", "released")
    table(headings, (
        (each.id, "released" if each.released else "active", covers(each), each.owner, each.ticket, each.created,
         each.released)
        for each in found
    ))  # fmt: skip
    for each in found:
        if each.until is not None and each.until.time() == time() and not each.released:
            click.echo(
                f"{each.id} ends with the first microsecond of {each.until:%Y-%m-%d}, which is what a date meant once: "
                f"for all of that day, add a hold until {each.until:%Y-%m-%d}"
            )


@hold.command()
@click.argument("name")
@JSON
@click.pass_obj
def show(path: str, name: str, as_json: bool) -> None:
    """One hold, as its file has it."""
    from auditlake.cli.policy import plain_lines
    from auditlake.policies.holds import chosen_hold, hold_text

    lake = opened(path)
    found = chosen_hold(lake.holds(), name)
    if as_json:
        machine(hold_dict(found))
    else:
        click.echo(plain_lines(hold_text(lake.layout, name)), nl=False)


@hold.command()
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", help="Why the events need not stay any more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OPERATOR
@JSON
@click.pass_obj
def release(path: str, name: str, reason: str, yes: bool, operator: str | None, as_json: bool) -> None:
    """End a hold; it stays on record, and what it kept may be due for deletion."""
    lake = opened(path)
    if not yes:
        ask(f"release {name}? what only it keeps may then be due for deletion")
    ended = lake.release_hold(name, reason=reason, operator=operator)
    machine(hold_dict(ended)) if as_json else click.echo(f"released: {ended.id}")


@click.group()
def retention() -> None:
    """Delete what is due, and nothing else."""


@retention.command()
@click.option(
    "--as-of", type=Instant(), help="The instant to judge at, a date to its end; now if not given, and never later."
)
@JSON
@click.pass_obj
def plan(path: str, as_of: date | None, as_json: bool) -> None:
    """What is due, what stays and why; nothing is changed."""
    found = opened(path).retention_plan(as_of)
    if as_json:
        machine(found.as_dict())
    else:
        show_plan(found)


@retention.command()
@click.option("--as-of", type=Instant(), help="The instant to judge at; now if not given, and never later.")
@click.option("--plan", "digest", metavar="DIGEST", help="Only if the plan is still this one.")
@click.option("--accept-weaker", metavar="REASON", help="Go on although rules or holds have become weaker; recorded.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OPERATOR
@JSON
@click.pass_obj
def apply(path: str, /, digest: str | None, dry_run: bool, yes: bool, as_json: bool, **options: Any) -> None:
    """Delete what is due, in one commit, and leave a certificate."""
    lake = opened(path)
    if dry_run or not yes:
        seen = lake.retention_plan(options["as_of"])
        machine(seen.as_dict()) if as_json and dry_run else show_plan(seen)
        if dry_run:
            return
        digest = digest or seen.digest  # what is confirmed is what is done
        ask(f"delete {count(seen.due, 'event')}, pseudonymise {seen.pseudonymise:,}?")
    done = lake.retention_apply(plan=digest, **options)
    if as_json:
        machine({
            "was_done": done.was_done, "deleted": 0 if done.was_done else done.plan.due,
            "pseudonymised": 0 if done.was_done else done.plan.pseudonymise, "held": done.plan.held,
            "plan": done.plan.digest, "snapshot": done.snapshot, "certificate": done.certificate,
            "unlinked": done.unlinked,
        })  # fmt: skip
        return
    what = "this plan was carried out before" if done.was_done else (
        f"{count(done.plan.due, 'event')} deleted, {done.plan.pseudonymise:,} pseudonymised"
    )  # fmt: skip
    click.echo(f"{what}, {count(done.unlinked, 'file')} removed (snapshot {done.snapshot})")
    if done.certificate:
        click.echo(f"certificate {lake.layout.certificates / done.certificate}.html")


@click.command()
@click.option("--user-id", required=True, metavar="USER", help="Whose personal data goes.")
@click.option("--reason", required=True, metavar="TEXT", help="Why.")
@click.option("--ticket", required=True, metavar="ID", help="Where it is written down.")
@click.option("--path", "paths", multiple=True, metavar="PLACE", help="Also e.g. $.details.email; repeatable.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@OPERATOR
@JSON
@click.pass_obj
def erase(path: str, /, user_id: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Replace what names a person in their events by pseudonyms; the events stay, and holds win.

    That is user_id, ip_address, session_id, the places where the event's source names people, those of lake.toml and
    --path, and the same values wherever they are the whole of a text. What is left elsewhere is counted.
    """
    from auditlake.retention.certificate import remaining_words

    lake = opened(path)
    if not yes:
        ask(f"replace the personal data of {plain(user_id)}? it cannot be brought back")
    done = lake.erase(user_id, **options)
    if as_json:
        machine({
            "pseudonym": done.pseudonym, "events": done.events, "held": done.held, "snapshot": done.snapshot,
            "certificate": done.certificate, "remaining": done.remaining, "left": list(done.left),
        })  # fmt: skip
        return
    left = "; nothing is left to erase" if done.certificate is None and not done.held else ""
    left += f"; {words}" if (words := remaining_words(done.remaining)) else ""
    click.echo(f"{count(done.events, 'event')} erased, {done.held:,} kept by a hold (snapshot {done.snapshot}){left}")
    for each in done.remaining["places"]:
        click.echo(f"  still there: {plain(each['place'])}, {count(each['values'], 'time')}")
    for sentence in done.left:
        click.echo(f"  left: {plain(sentence)}")
    if done.certificate:
        click.echo(f"certificate {lake.layout.certificates / done.certificate}.html")


def show_plan(found: RetentionPlan) -> None:
    """A plan for people: the days that change, and everything that somebody should know before."""
    table(("day", "becomes", "events", "due", "held", "pseudonymised", "stay for"), (
        (each.day, _BECOMES[each.action], each.events, each.deleted, each.held, each.pseudonymised, _keepers(each))
        for each in found.changes
    ), right=(2, 3, 4, 5))  # fmt: skip
    click.echo(
        f"as of {cell(found.as_of)}: {count(found.due, 'event')} due on "
        f"{count(sum(bool(each.due) for each in found.changes), 'day')}, {found.pseudonymise:,} to be pseudonymised, "
        f"{found.held:,} under a hold"
    )
    if found.never_expire:
        never = count(found.never_expire, "event never expires", "events never expire")
        click.echo(
            f"{never}: no policy keeps {'it' if found.never_expire == 1 else 'them'}, and no default_retention is set"
        )
    show_left_out(found.kept_by_no_policy, found.asked_by_no_policy)
    for each in found.conflicts:
        click.echo(
            f"conflict over {each.event_type}: {each.limit_policy} limits personal data to {each.max_retention}, "
            f"{each.keep_policy} needs the event for {each.retention_period}: it is pseudonymised and stays"
        )
    for policy, days in found.silent.items():
        if days:
            silent = count(len(days), "day of its retention period has", "days of its retention period have")
            click.echo(f"{policy}: {silent} no event, the last {days[-1]}")
    for left in found.leftovers:
        click.echo(f"{left.path} goes too: {left.because}")
    for sentence in found.weaker:
        click.echo(f"weaker than recorded: {plain(sentence)}")
    click.echo(f"plan {found.digest}")


def show_left_out(kept_by_none: Mapping[str, int], asked_by_none: Mapping[str, int]) -> None:
    """The event types that policies leave out, with their events."""
    for what, types in (("kept by no policy", kept_by_none), ("asked about by no policy", asked_by_none)):
        if types:
            table((what, "events"), types.items(), right=(1,))


def _keepers(each: PartitionPlan) -> str:
    """For whom events of a day stay."""
    return ", ".join([*each.kept, *each.held_by, *(["nobody"] if each.ungoverned else [])])


def hold_dict(found: Hold) -> dict[str, Any]:
    """A hold for machines."""
    times: dict[str, datetime | None] = {name: getattr(found, name) for name in ("since", "until", "released")}
    return {
        "id": found.id, "reason": found.reason, "owner": found.owner, "ticket": found.ticket,
        "created": found.created, "event_types": list(found.event_types), "user_ids": list(found.user_ids),
        "resources": list(found.resources), **times, "released_because": found.released_because,
        "digest": found.digest,
    }  # fmt: skip


def covers(found: Hold) -> str:
    """What a hold names, in a line."""
    parts = [
        f"{name} {', '.join(map(plain, values))}"
        for name, values in (("type", found.event_types), ("user", found.user_ids), ("resource", found.resources))
        if values
    ]
    parts += [f"{name} {cell(value)}" for name, value in (("since", found.since), ("until", found.until)) if value]
    return "; ".join(parts) or "everything"


COMMANDS = (hold, retention, erase)
