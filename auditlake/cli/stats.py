"""``stats``: totals, and the state of each policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.options import cache_option, instant, json_option
from auditlake.cli.output import cell, machine, opened, pick, table
from auditlake.display.text import count, visible
from auditlake.sandbox.open import without_numpy

if TYPE_CHECKING:
    from datetime import date

    from auditlake.analysis.statistics import PolicyStatistics, Statistics

_TOTALS = (
    "as_of", "snapshot", "foreign_versions", "total_events", "first_event", "last_event", "events_by_type",
    "events_by_user", "kept_by_no_policy", "asked_by_no_policy",
)  # fmt: skip


@click.command()
@click.option("--as-of", type=instant, help="Events after it do not exist; now by default.")
@click.option(
    "--users", type=click.IntRange(min=0), metavar="N", default=20, show_default=True, help="How many users to list."
)
@cache_option
@json_option(*_TOTALS, "policy_compliance", "recent_violations")
@click.pass_obj
def stats(path: str, as_of: date | None, users: int, *, cache: bool) -> None:
    """Show totals by type and user, and each policy's state now.

    The status here is about the policy's last window: violation if the threshold is reached at this moment, else no
    data if the lake received no event of any type in the window, else compliant. auditlake report judges whole periods.
    """
    lake = opened(path)
    with without_numpy(lake.layout, own=True):
        statistics = lake.statistics(as_of=as_of, users=users, cache=cache)
    if not machine(lambda: _as_dict(statistics)):
        _show(statistics)


def _as_dict(statistics: Statistics) -> dict[str, Any]:
    """Return the statistics for machines, under LLMGuardian's names where it has them."""
    from auditlake.reports.document import finding_dict

    compliance = ("total_events", "recent_events", "window", "threshold", "status")
    return pick(statistics, *_TOTALS) | {
        "policy_compliance": {each.policy_id: pick(each, *compliance) | _said(each) for each in statistics.policies},
        "recent_violations": [
            {"policy_id": each.policy_id} | finding_dict(each.finding) for each in statistics.recent_violations
        ],
    }


def _said(policy: PolicyStatistics) -> dict[str, str]:
    """Return why a policy could not be judged, and what narrows it; what does not concern it is left out."""
    return {name: text for name, text in pick(policy, "error", "narrowed_by").items() if text}


def _show(statistics: Statistics) -> None:
    from auditlake.cli.retention import show_left_out

    click.echo(
        f"{count(statistics.total_events, 'event')}, snapshot {statistics.snapshot}, as of {cell(statistics.as_of)}"
    )
    if statistics.first_event:
        click.echo(f"from {cell(statistics.first_event)} to {cell(statistics.last_event)}")
    if statistics.foreign_versions:
        listed = ", ".join(str(version) for version in statistics.foreign_versions)
        click.echo(f"versions that another program committed, of which auditlake cannot vouch: {listed}")
    click.echo()
    table(("type", "events"), statistics.events_by_type.items(), right=(1,))
    table(("user", "events"), statistics.events_by_user.items(), right=(1,))
    table(
        ("policy", "events", "recent", "window", "threshold", "status now"),
        (
            (each.policy_id, each.total_events, each.recent_events, each.window, each.threshold,
             each.status and each.status.replace("_", " "))
            for each in statistics.policies
        ),
        right=(1, 2, 4),
    )  # fmt: skip
    if statistics.policies:
        click.echo("status now: of the last window; a report judges its whole period\n")
    if narrowed := [(each.policy_id, each.narrowed_by) for each in statistics.policies if each.narrowed_by]:
        click.echo("recent events and status of these policies are narrowed by a scope:")
        table(("policy", "narrowed by"), narrowed)
    show_left_out(statistics.kept_by_no_policy, statistics.asked_by_no_policy)
    for each in statistics.policies:
        if each.error:
            click.echo(visible(f"error: {each.policy_id} could not be judged: {each.error}"))
    if statistics.recent_violations:
        click.echo("recent violations:")
        table(
            ("policy", "start", "end", "peak", "what"),
            (
                (each.policy_id, each.finding.start, each.finding.end or "ongoing", each.finding.peak,
                 each.finding.message)
                for each in statistics.recent_violations
            ),
            right=(3,),
        )  # fmt: skip
