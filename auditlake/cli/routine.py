"""``collect`` and ``nightly``: what recurs."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.exit_codes import DONE, FAILED, NEGATIVE, WRONG
from auditlake.cli.options import Words, cache_option, json_option, operator_option
from auditlake.cli.output import as_json, is_json, is_quiet, machine, opened, pick, say, warn
from auditlake.cli.report import OF_FRAMEWORKS, STATUSES
from auditlake.display.text import count, visible
from auditlake.errors import RunUnderWayError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditlake.collect.model import PlaceListener, PlaceSummary
    from auditlake.upkeep.routine import RoutineSummary

_SECONDS = 5.0
_CODES = {"done": DONE, "skipped": DONE, "no": NEGATIVE, "failed": FAILED, "wrong": WRONG}
_PLACE = (
    "path", "listed", "known", "taken", "size", "read", "landed", "duplicates", "quarantined", "unrecognised",
    "not_read", "problem", "told", "new_skips", "failed",
)  # fmt: skip


@click.command()
@click.option("--all", "everything", is_flag=True, help="Read again what was taken before; no event lands twice.")
@json_option(
    "listed", "known", "taken", "size", "read", "landed", "duplicates", "quarantined", "unrecognised", "not_read",
    "failed", "snapshot", "places",
)  # fmt: skip
@click.pass_obj
def collect(path: str, everything: bool) -> int:
    """Bring in what is new in the places of lake.toml.

    A table [[collect]] names each: a path, a pattern, an s3://, gs:// or az:// URL, or the https:// of one file.
    Credentials are those of the environment. What was taken stands in LAKE/collected.jsonl; an object that was
    rewritten is taken again. The exit code is 1 if something could not be read, or too much was quarantined.
    """
    from auditlake.upkeep.routine import place_lines

    done = opened(path).routine.collect(everything=everything, listen=_progress())
    if not machine(done, places=[pick(each, *_PLACE) for each in done.places]):
        for place in done.places:
            _say_place(place)
        say(
            f"{count(done.taken, 'object')} taken of {done.listed:,}: {count(done.landed, 'event')} landed, "
            f"{count(done.duplicates, 'duplicate')}, {done.quarantined:,} quarantined (snapshot {done.snapshot})"
        )
    for line in (line for place in done.places for line in place_lines(place)):
        warn(line)
    return NEGATIVE if done.failed else DONE


def _say_place(place: PlaceSummary) -> None:
    say(f"{visible(place.path)}: {place.listed:,} listed, {place.known:,} known, {place.taken:,} taken")


def _progress() -> PlaceListener:
    """Tell every few seconds how far a place is, on standard error."""
    if is_quiet() or is_json():
        return lambda _: None
    last = time.monotonic()

    def listen(place: PlaceSummary) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS:
            last = time.monotonic()
            click.echo(f"collecting {visible(place.path)}: {place.taken:,} taken", err=True)

    return listen


fail_on_option = click.option(
    "--fail-on", type=Words(*STATUSES, *OF_FRAMEWORKS), default=(), metavar="STATUS,...",
    help=f"Exit with 1 if a policy has one of these statuses: {', '.join(STATUSES)}; "
         f"or a framework: {', '.join(OF_FRAMEWORKS)}, no_data.",
)  # fmt: skip
catch_up_option = click.option(
    "--catch-up", is_flag=True, help="Make up for missed runs too, each as of when it was due: the newest 31."
)
if_due_option = click.option(
    "--if-due", is_flag=True, help="Do nothing if the newest instant at which a run was due was judged already."
)
RUN_KEYS = ("outcome", "began", "ended", "schedule", "due", "caught_up", "steps")


@click.command()
@catch_up_option
@if_due_option
@fail_on_option
@cache_option
@operator_option()
@json_option(*RUN_KEYS)
@click.pass_obj
def nightly(path: str, /, **options: Any) -> int:
    """Collect, flush, verify, report, compact, plan retention.

    For cron, systemd and CI: one summary, one exit code. A step that fails is told, and those that do not depend on it
    are still done. This is the run of the schedule nightly: where frameworks.yaml declares it, reports are judged as of
    the newest instant at which it was due, else as of now. Retention is applied only if [nightly] of lake.toml says so,
    the verification found nothing, no policy or mapping failed, and the plan stays within the limits there. The exit
    code is that of the worst step: 4 if the lake is not as recorded, 3 if a step failed, 1 if something is left for a
    person to do. A second run at the same time says so and ends with 0.
    """
    return tell_run("nightly", partial(opened(path).routine.nightly, **options))


def tell_run(name: str, make: Callable[[], RoutineSummary]) -> int:
    """Run a schedule, tell what came of it, and return the exit code."""
    try:
        done = make()
    except RunUnderWayError as error:
        nothing = dict.fromkeys(RUN_KEYS) | {"outcome": "skipped", "schedule": name, "caught_up": [], "steps": []}
        if not machine(nothing):
            warn(f"note: {error}; {error.hint}")
        return DONE
    if is_json():
        made = pick(done, *(key for key in RUN_KEYS if key != "steps"))
        click.echo(as_json({**made, "steps": [pick(each) for each in done.steps]}, indent=2))
        return _CODES[done.outcome]
    for step in done.steps:
        is_bad = step.outcome not in {"done", "skipped"}
        line = f"{step.name:<9}  {step.outcome:<7}  {step.said}"
        if is_bad or not is_quiet():
            click.echo(line, err=is_bad)
        for told in step.told:
            click.echo(f"  {told}", err=is_bad)
    say(f"{name}: {done.outcome}, {done.ended - done.began}".partition(".")[0])
    return _CODES[done.outcome]
