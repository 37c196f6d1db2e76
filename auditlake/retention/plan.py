"""What is due for deletion, what stays and why, day by day: a pure function of a snapshot, the rules and an instant."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from auditlake.display.shown import Shown
from auditlake.engine.duck import rows
from auditlake.events.times import print_instant
from auditlake.policies.model import Policy, RetentionConflict, asked_by_none, conflicts, kept_by_none
from auditlake.retention.named_events import named
from auditlake.retention.rules import Judge
from auditlake.retention.side_files import Leftover
from auditlake.store.delta import DataFile, Snapshot

if TYPE_CHECKING:
    import duckdb

    from auditlake.display.cards import Card

Action = Literal["drop", "rewrite", "keep"]
_EPOCH_DAY = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One day's events, each counted once: held, else due, else kept by a policy, else kept by none."""

    day: date
    events: int
    due: Mapping[str, int]
    """Expired events by the rule that kept them the longest: a policy's id, or ``default_retention``."""
    kept: Mapping[str, int]
    """Events whose longest retention is still running, by the policy that keeps them the longest."""
    ungoverned: int
    """Events that no policy keeps and that are not due: kept by default_retention, or for ever."""
    held: int
    """Events under an active hold, expired or not."""
    held_by: Mapping[str, int]
    """The same by hold; an event under several is counted for each."""
    pseudonymise: Mapping[str, int]
    """Events that stay although their personal data must go, by the policy whose max_retention says so."""
    files: tuple[DataFile, ...]

    @property
    def deleted(self) -> int:
        """How many events go."""
        return sum(self.due.values())

    @property
    def pseudonymised(self) -> int:
        """How many events lose their personal data."""
        return sum(self.pseudonymise.values())

    @property
    def action(self) -> Action:
        """What becomes of the partition: the whole of it leaves by metadata alone, or its files are written anew."""
        if self.deleted == self.events:
            return "drop"
        return "rewrite" if self.deleted or self.pseudonymised else "keep"


@dataclass(frozen=True, slots=True)
class RetentionPlan(Shown):
    """What an apply would do."""

    lake_id: str
    as_of: datetime
    midnight: datetime
    """00:00 UTC of its day: what is kept until before then is due."""
    snapshot: int
    policies: tuple[Policy, ...]
    holds: tuple[tuple[str, str], ...]
    """The active holds: id and digest."""
    default_retention: str | None
    partitions: tuple[PartitionPlan, ...]
    """Every day that has events."""
    conflicts: tuple[RetentionConflict, ...]
    """Where a max_retention is shorter than another policy's retention_period for a type that both govern."""
    silent: Mapping[str, tuple[date, ...]]
    """By policy: the days of its retention period, since the lake has events or was made, without a governed event."""
    kept_by_no_policy: Mapping[str, int]
    """The event types that no policy with a retention period names, with their events: for them default_retention
    counts, and without it they stay for ever."""
    asked_by_no_policy: Mapping[str, int]
    """Those that no policy names at all."""
    leftovers: tuple[Leftover, ...]
    """Files beside the table that go too."""
    weaker: tuple[str, ...]
    """What has become weaker since the last record; an apply refuses then unless it is accepted with a reason."""

    @property
    def due(self) -> int:
        """How many events go."""
        return sum(each.deleted for each in self.partitions)

    @property
    def held(self) -> int:
        """How many events are under a hold."""
        return sum(each.held for each in self.partitions)

    @property
    def pseudonymise(self) -> int:
        """How many events lose their personal data and stay."""
        return sum(each.pseudonymised for each in self.partitions)

    @property
    def never_expire(self) -> int:
        """How many events nothing ever ends: no policy keeps them, and there is no default_retention."""
        return 0 if self.default_retention else sum(each.ungoverned for each in self.partitions)

    @property
    def changes(self) -> tuple[PartitionPlan, ...]:
        """The partitions that do not stay as they are."""
        return tuple(each for each in self.partitions if each.action != "keep")

    @property
    def digest(self) -> str:
        """``sha256:`` over the canonical JSON of what an apply would do and under which rules.

        Neither the version nor days that stay are in it, nor the time of day: events that arrive meanwhile and change
        nothing of this do not make it another plan. Files are named by their content, so those of a day are.
        """
        said = {
            "lake": self.lake_id, "midnight": print_instant(self.midnight), "default_retention": self.default_retention,
            "policies": [[each.id, each.digest] for each in self.policies],
            "holds": [list(each) for each in self.holds],
            "partitions": [
                {"day": each.day.isoformat(), "action": each.action, "due": dict(each.due), "held": each.held,
                 "pseudonymise": dict(each.pseudonymise), "files": [file.path for file in each.files]}
                for each in self.changes
            ],
            "leftovers": [each.path for each in self.leftovers],
        }  # fmt: skip
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"

    def _card(self) -> Card:
        from auditlake.retention.card import plan_card

        return plan_card(self)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "digest": self.digest, "lake": self.lake_id, "as_of": print_instant(self.as_of),
            "midnight": print_instant(self.midnight), "snapshot": self.snapshot,
            "due": self.due, "held": self.held, "pseudonymise": self.pseudonymise, "never_expire": self.never_expire,
            "default_retention": self.default_retention,
            "policies": [
                {"id": each.id, "digest": each.digest,
                 "retention_period": each.retention_period and str(each.retention_period),
                 "max_retention": each.max_retention and str(each.max_retention)}
                for each in self.policies
            ],
            "holds": [{"id": hold, "digest": digest} for hold, digest in self.holds],
            "partitions": [_partition(each) for each in self.partitions],
            "conflicts": [
                {"event_type": each.event_type, "keep_policy": each.keep_policy,
                 "retention_period": each.retention_period, "limit_policy": each.limit_policy,
                 "max_retention": each.max_retention}
                for each in self.conflicts
            ],
            "silent_days": {policy: [day.isoformat() for day in days] for policy, days in self.silent.items()},
            "kept_by_no_policy": dict(self.kept_by_no_policy), "asked_by_no_policy": dict(self.asked_by_no_policy),
            "leftovers": [
                {"path": each.path, "kind": each.kind, "bytes": each.size, "because": each.because}
                for each in self.leftovers
            ],
            "weaker": list(self.weaker),
        }  # fmt: skip


def make_plan(
    connection: duckdb.DuckDBPyConnection,
    judge: Judge,
    snapshot: Snapshot,
    *,
    lake_id: str,
    created: date,
    leftovers: Sequence[Leftover] = (),
    weaker: Sequence[str] = (),
) -> RetentionPlan:
    """Judge the ``events`` view of a connection.

    Args:
        connection: The engine, with the view of the snapshot.
        judge: The rules.
        snapshot: What the view shows.
        lake_id: The lake's id.
        created: The day the lake was made.
        leftovers: Files beside the table that are due.
        weaker: What has become weaker since the last record.
    """
    judged = tuple(judged_days(connection, judge))
    by_type: Counter[str] = Counter()
    for each in judged:
        by_type[each.event_type] += each.events
    return RetentionPlan(
        lake_id=lake_id,
        as_of=judge.as_of,
        midnight=judge.midnight,
        snapshot=snapshot.version,
        policies=judge.policies,
        holds=tuple((hold.id, hold.digest) for hold in judge.holds),
        default_retention=str(judge.default_retention) if judge.default_retention else None,
        partitions=_partitions(connection, judge, judged, snapshot),
        conflicts=conflicts(judge.policies),
        silent=_silent(judge, judged, created),
        kept_by_no_policy=kept_by_none(by_type, judge.policies),
        asked_by_no_policy=asked_by_none(by_type, judge.policies),
        leftovers=tuple(leftovers),
        weaker=tuple(weaker),
    )


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """The events of a type on a day."""

    day: date
    event_type: str
    events: int
    held: int
    due: int


def judged_days(connection: duckdb.DuckDBPyConnection, judge: Judge) -> Iterator[JudgedDay]:
    """What of the ``events`` view of a connection is held and due, by day and type."""
    if not judge.holds:
        step = judge.step("whole_days")
        found = rows(connection, step.sql)
        bounds = [(judge.cutoff(kind), first, last) for _, kind, _, first, last in found]
        # Whole days leave together as long as retention periods are whole days: no need to look at each event.
        if all(cutoff is None or first >= cutoff or last < cutoff for cutoff, first, last in bounds):
            for (day, kind, events, _, _), (cutoff, _, last) in zip(found, bounds, strict=True):
                yield JudgedDay(_day(day), kind, events, 0, events if cutoff is not None and last < cutoff else 0)
            return
    step = judge.step("judged")
    for day, kind, events, held, due in rows(connection, step.sql, dict(step.parameters)):
        yield JudgedDay(_day(day), kind, events, held, due)


def _partitions(
    connection: duckdb.DuckDBPyConnection, judge: Judge, judged: Sequence[JudgedDay], snapshot: Snapshot
) -> tuple[PartitionPlan, ...]:
    held_by: dict[date, Counter[str]] = defaultdict(Counter)
    if judge.holds:
        step = judge.step("held_by")
        for day, number, events in rows(connection, step.sql, dict(step.parameters)):
            held_by[_day(day)][judge.holds[number].id] += events
    over: dict[date, Counter[str]] = defaultdict(Counter)
    if judge.limits:
        step = judge.step("over_limit")
        for day, kind, events in named(connection, step, judge.eraser):
            over[_day(day)][judge.limits[kind].id] += events
    files: dict[date, list[DataFile]] = defaultdict(list)
    for file in snapshot.files:
        files[file.day].append(file)
    by_day: dict[date, list[JudgedDay]] = defaultdict(list)
    for each in judged:
        by_day[each.day].append(each)
    return tuple(
        _partition_plan(judge, day, found, held_by[day], over[day], files[day]) for day, found in sorted(by_day.items())
    )


def _partition_plan(
    judge: Judge,
    day: date,
    judged: Sequence[JudgedDay],
    held_by: Counter[str],
    over: Counter[str],
    files: Sequence[DataFile],
) -> PartitionPlan:
    due: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    ungoverned = 0
    for each in judged:
        rule, staying = judge.rule(each.event_type), each.events - each.held - each.due
        if each.due:
            assert rule is not None
            due[rule] += each.due
        if each.event_type not in judge.keepers:
            ungoverned += staying
        elif staying:
            kept[judge.keepers[each.event_type].id] += staying
    return PartitionPlan(
        day, sum(each.events for each in judged), dict(sorted(due.items())), dict(sorted(kept.items())), ungoverned,
        sum(each.held for each in judged), dict(sorted(held_by.items())), dict(sorted(over.items())), tuple(files),
    )  # fmt: skip


def _silent(judge: Judge, judged: Sequence[JudgedDay], created: date) -> dict[str, tuple[date, ...]]:
    """Days that should have events and have none: something may have gone that should be there."""
    began = min((each.day for each in judged), default=created)
    found: dict[str, tuple[date, ...]] = {}
    for policy in judge.policies:
        if policy.retention_period is None:
            continue
        cutoff = judge.midnight.date() - timedelta(microseconds=policy.retention_period.microseconds)
        heard = {each.day for each in judged if each.event_type in policy.required_events}
        first = max(cutoff, min(began, created))
        days = (first + timedelta(days=number) for number in range((judge.midnight.date() - first).days))
        found[policy.id] = tuple(day for day in days if day not in heard)
    return found


def _day(number: int) -> date:
    return _EPOCH_DAY + timedelta(days=number)


def _partition(each: PartitionPlan) -> dict[str, Any]:
    return {
        "day": each.day.isoformat(), "action": each.action, "events": each.events, "due": dict(each.due),
        "kept": dict(each.kept), "ungoverned": each.ungoverned, "held": each.held, "held_by": dict(each.held_by),
        "pseudonymise": dict(each.pseudonymise), "files": len(each.files),
        "bytes": sum(file.size for file in each.files),
    }  # fmt: skip
