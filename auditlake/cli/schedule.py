"""``schedule``: which evaluations are due, which of them happened, and the runs that make them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import DONE
from auditlake.cli.options import Words, cache_option, json_option, operator_option
from auditlake.cli.output import machine, opened, say, table
from auditlake.cli.routine import RUN_KEYS, catch_up_option, fail_on_option, if_due_option, tell_run

if TYPE_CHECKING:
    from auditlake.packs.schedules import Standing
    from auditlake.runs.model import Schedule

_name_argument = click.argument("name", metavar="NAME", shell_complete=completers.schedules)


@click.group()
def schedule() -> None:
    """Manage schedules: which evaluations are due.

    LAKE/frameworks.yaml declares them; `auditlake docs packs` has the form. The next run puts a change on record, so
    that what was due at any past instant is known. What was due and did not happen, failed or came late is a finding of
    frameworks that ask for evaluations, and stands on the index of reports.
    """


@schedule.command("list")
@json_option("schedules")
@click.pass_obj
def list_(path: str) -> int:
    """List the schedules: what ran last, is due next, was missed.

    Instants are UTC. Late runs were made, and the missed ones were not made by any run.
    """
    found = opened(path).schedules.standing()
    if machine(schedules=[_as_dict(each) for each in found]):
        return DONE
    headings = ("schedule", "every", "at", "evaluates", "on record since", "last run", "next due", "missed", "late")
    table(headings, (
        (
            each.schedule.name, each.schedule.every, each.schedule.at, ", ".join(each.schedule.evaluate),
            each.since or "not yet", each.last and each.last.at, each.next if each.is_declared else "not declared",
            len(each.missed), each.counts.get("late", 0),
        )
        for each in found
    ), right=(7, 8))  # fmt: skip
    return DONE


@schedule.command()
@_name_argument
@click.option("--every", default="1d", show_default=True, metavar="LENGTH", help="Whole days, or 1h, 6h or 12h.")
@click.option("--at", default="00:15", show_default=True, metavar="HH:MM", help="When within it, UTC.")
@click.option(
    "--evaluate", type=Words(), default=("all",), metavar="ID,...", help="Packs and policies; all by default."
)
@click.option("--within", default="6h", show_default=True, metavar="LENGTH", help="How late a run may be.")
@json_option("name", "every", "at", "evaluate", "within")
@click.pass_obj
def add(path: str, /, name: str, **options: Any) -> None:
    """Declare a schedule in LAKE/frameworks.yaml.

    From then on its runs are due: something has to start them, and `auditlake schedule print` shows what. To change or
    end a schedule, edit the file.
    """
    made = opened(path).schedules.add(name, **options)
    machine(_declared(made))
    say(f"declared: {name}, due at {made.at} UTC within each {made.every}; auditlake schedule print starts its runs")


@schedule.command("print")
@_name_argument
@click.argument("form", type=click.Choice(("cron", "systemd", "github-actions", "airflow")))
@json_option("schedule", "form", "text")
@click.pass_obj
def print_(path: str, name: str, form: str) -> None:
    """Print what starts the runs of a schedule, to be installed.

    The times are those of LAKE/frameworks.yaml. Of systemd, it is two units, each after a comment with its file's name.
    """
    text = opened(path).schedules.timer(name, form)
    if not machine(schedule=name, form=form, text=text):
        click.echo(text, nl=False)


def _declared(own: Schedule) -> dict[str, Any]:
    return {
        "name": own.name, "every": f"{own.every}", "at": own.at, "evaluate": [*own.evaluate], "within": f"{own.within}"
    }  # fmt: skip


def _as_dict(standing: Standing) -> dict[str, Any]:
    own, last = standing.schedule, standing.last
    return _declared(own) | {
        "declared": standing.is_declared, "since": standing.since, "next": standing.next,
        "last": last and {"entry": last.number, "at": last.at, "due": last.due, "as_of": last.as_of},
        "counts": dict(standing.counts), "missed": [*standing.missed],
    }  # fmt: skip


@schedule.command()
@_name_argument
@catch_up_option
@if_due_option
@fail_on_option
@cache_option
@operator_option()
@json_option(*RUN_KEYS)
@click.pass_obj
def run(path: str, /, name: str, **options: Any) -> int:
    """Collect, flush, and judge what a schedule evaluates.

    Reports are judged as of the newest instant at which the schedule was due, however late the run begins. The schedule
    nightly has more steps: see auditlake nightly. A run of another schedule is waited for; if one of this schedule is
    at work, this one says so, does nothing and ends with 0. The other exit codes are those of auditlake nightly.
    """
    return tell_run(name, partial(opened(path).routine.run, name, **options))
