"""What ``stats`` shows."""

from __future__ import annotations

from typing import Any

import click

from auditlake.analysis.statistics import Statistics
from auditlake.cli.output import cell, plain, table
from auditlake.cli.retention import show_left_out
from auditlake.display.text import count
from auditlake.reports.document import finding_dict


def statistics_dict(found: Statistics) -> dict[str, Any]:
    """The statistics for machines, with the names that LLMGuardian gives them where it has them."""
    return {
        "as_of": found.as_of,
        "snapshot": found.snapshot,
        "foreign_versions": list(found.foreign_versions),
        "total_events": found.total_events,
        "first_event": found.first_event,
        "last_event": found.last_event,
        "events_by_type": found.events_by_type,
        "events_by_user": found.events_by_user,
        "kept_by_no_policy": found.kept_by_no_policy,
        "asked_by_no_policy": found.asked_by_no_policy,
        "policy_compliance": {
            each.policy_id: {
                "total_events": each.total_events, "recent_events": each.recent_events, "window": each.window,
                "threshold": each.threshold, "status": each.status,
                **({"error": each.error} if each.error else {}),
            }
            for each in found.policies
        },
        "recent_violations": [
            {"policy_id": each.policy_id} | finding_dict(each.finding) for each in found.recent_violations
        ],
    }  # fmt: skip


def show_statistics(found: Statistics) -> None:
    """The statistics for people."""
    click.echo(f"{count(found.total_events, 'event')}, snapshot {found.snapshot}, as of {cell(found.as_of)}")
    if found.first_event:
        click.echo(f"from {cell(found.first_event)} to {cell(found.last_event)}")
    if found.foreign_versions:
        listed = ", ".join(str(version) for version in found.foreign_versions)
        click.echo(f"versions that another program committed, of which auditlake cannot vouch: {listed}")
    click.echo()
    table(("type", "events"), found.events_by_type.items(), right=(1,))
    table(("user", "events"), found.events_by_user.items(), right=(1,))
    table(
        ("policy", "events", "recent", "window", "threshold", "status now"),
        (
            (each.policy_id, each.total_events, each.recent_events, each.window, each.threshold,
             each.status and each.status.replace("_", " "))
            for each in found.policies
        ),
        right=(1, 2, 4),
    )  # fmt: skip
    if found.policies:
        click.echo("status now: of the last window; a report judges its whole period\n")
    show_left_out(found.kept_by_no_policy, found.asked_by_no_policy)
    for each in found.policies:
        if each.error:
            click.echo(plain(f"error: {each.policy_id} could not be judged: {each.error}"))
    if found.recent_violations:
        click.echo("recent violations:")
        table(
            ("policy", "start", "end", "peak", "what"),
            (
                (each.policy_id, each.finding.start, each.finding.end or "ongoing", each.finding.peak,
                 each.finding.message)
                for each in found.recent_violations
            ),
            right=(3,),
        )  # fmt: skip
