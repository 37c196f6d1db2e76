"""A plan for a lake as it lies there: its newest snapshot, its policies, its holds, its settings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect
from auditlake.events.durations import Duration
from auditlake.events.personal_paths import personal_path
from auditlake.policies.holds import load_holds, widened
from auditlake.policies.loader import load_policies
from auditlake.policies.model import Policy
from auditlake.retention.plan import RetentionPlan, make_plan
from auditlake.retention.rules import Judge
from auditlake.retention.side_files import due_leftovers
from auditlake.retention.terms import terms_of, weaker
from auditlake.store.delta import Snapshot, read_snapshot, view_snapshot
from auditlake.store.failures import explained
from auditlake.store.pseudonyms import pseudonyms


class AlertsTo(Protocol):
    """What of the section ``[alerts]`` retention needs."""

    @property
    def webhook(self) -> str | None:
        """A URL that each alert is posted to."""

    @property
    def jsonl(self) -> str | None:
        """A file that alerts are appended to; if relative, in the lake's folder."""


class Settings(Protocol):
    """What of lake.toml retention needs."""

    @property
    def id(self) -> str:
        """The lake's id."""

    @property
    def created(self) -> str:
        """When it was made."""

    @property
    def event_types(self) -> frozenset[str]:
        """Every type that this lake accepts."""

    @property
    def default_retention(self) -> Duration | None:
        """How long events are kept whose type no policy keeps."""

    @property
    def grace_seconds(self) -> float:
        """How long files stay whose events were deleted."""

    @property
    def personal(self) -> tuple[str, ...]:
        """Where in details and metadata personal data lies."""

    @property
    def alerts(self) -> AlertsTo:
        """Where alerts go."""


def judge_of(layout: Layout, settings: Settings, as_of: datetime, policies: Sequence[Policy] | None = None) -> Judge:
    """The rules of a lake at an instant.

    Args:
        layout: The lake.
        settings: What lake.toml says.
        as_of: The instant.
        policies: What to judge by instead of the lake's policies.

    Raises:
        PolicyError: A policy or a hold cannot be used: then nothing is deleted.
    """
    names = pseudonyms(layout, make=False)
    holds = load_holds(layout, settings.event_types)
    paths = [path for text in settings.personal if (path := personal_path(text))]
    return Judge(
        policies=tuple(load_policies(layout.policies, settings.event_types) if policies is None else policies),
        holds=widened([hold for hold in holds if hold.is_active(as_of)], names),
        default_retention=settings.default_retention,
        personal=tuple(paths),
        names=names,
        as_of=as_of,
    )


def plan(layout: Layout, settings: Settings, as_of: datetime) -> RetentionPlan:
    """What an apply would do now, judged at ``as_of``."""
    return plan_snapshot(layout, settings, judge_of(layout, settings, as_of), read_snapshot(layout))


def plan_snapshot(layout: Layout, settings: Settings, judge: Judge, snapshot: Snapshot) -> RetentionPlan:
    """What an apply would do on a snapshot."""
    now = terms_of(judge.policies, load_holds(layout, settings.event_types), settings.default_retention)
    with (
        explained(layout, "the plan"),
        TemporaryDirectory(prefix="auditlake-") as spill,
        connect(temp=Path(spill), exact_try=False) as connection,
    ):
        view_snapshot(connection, layout, snapshot)
        return make_plan(
            connection,
            judge,
            snapshot,
            lake_id=settings.id,
            created=date.fromisoformat(settings.created[:10]),
            leftovers=tuple(due_leftovers(layout, judge, snapshot.version)),
            weaker=weaker(layout, snapshot.version, now),
        )
