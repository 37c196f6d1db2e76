"""What packs ask of a lake, read from it: one scan for all of them, and small ones for what only some ask."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from math import gcd
from typing import Any

from auditlake.context import LakeContext
from auditlake.display.canonical_json import json_value
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row
from auditlake.engine.statements import statement
from auditlake.events.durations import length_of
from auditlake.events.schema import SELF, TEXT_COLUMNS
from auditlake.events.times import EPOCH, day_of
from auditlake.frameworks.facts import Count, Deletion, Facts, Look
from auditlake.frameworks.records.model import Case
from auditlake.frameworks.records.review import reviews_of
from auditlake.frameworks.records.slots import intervals
from auditlake.packs.model import Pack, RecordCheck
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.reports.model import Query
from auditlake.retention.planner import rules_of
from auditlake.retention.rules import named
from auditlake.store.deltalog import Commits, last_batch
from auditlake.store.model import Snapshot

_FILE = "frameworks/facts.sql"
_DAY = timedelta(days=1)
_MAKING = "is_filled"


@dataclass(frozen=True, slots=True)
class Asked:
    """What packs ask."""

    columns: tuple[str, ...]
    """Event columns that may have to be filled, sorted."""
    within: tuple[int, ...]
    """Lengths in microseconds within which events are to arrive."""
    ahead: tuple[int, ...]
    """Lengths in microseconds by which events may be dated ahead."""
    limits: Mapping[int, frozenset[str]]
    """Lengths in microseconds after which events of some types are to name nobody."""


def asked_by(packs: Iterable[Pack]) -> Asked:
    """Return what packs ask of the facts of a lake."""
    columns: set[str] = set()
    within: set[int] = set()
    ahead: set[int] = set()
    limits: dict[int, frozenset[str]] = {}
    for pack in packs:
        ready = [policy for name, policy in pack.policies.items() if name not in pack.unready]
        columns |= {each for policy in ready for rule in policy.fields.values() for each in rule.any_of}
        types = frozenset(name for policy in ready for name in policy.required_events)
        for check in (each for control in pack.controls for each in control.records):
            if check.kind == "arrival":
                within.add(length_of(check.within))
            elif check.kind == "clock":
                ahead.add(length_of(check.ahead))
            elif check.kind == "retention" and check.max is not None:
                limits[check.max.microseconds] = limits.get(check.max.microseconds, frozenset()) | types
    return Asked(tuple(sorted(columns & {*TEXT_COLUMNS})), tuple(sorted(within)), tuple(sorted(ahead)), limits)


class Reading:
    """Reads the facts of one snapshot, and keeps the statements that gave them.

    Args:
        context: The lake.
        engine: The engine, with the view ``events`` of the snapshot.
        snapshot: The snapshot.
        question: The instants that are asked about.
    """

    def __init__(self, context: LakeContext, engine: DuckEngine, snapshot: Snapshot, question: Question) -> None:
        self._context, self._engine, self._snapshot, self._question = context, engine, snapshot, question
        self._commits = Commits(context.layout, snapshot.version)
        self.queries: list[Query] = []
        """The statements, with the values that they bound and how many rows each gave."""

    def facts(self, asked: Asked, cases: Sequence[Case]) -> Facts:
        """Return what the lake holds.

        Args:
            asked: What packs ask.
            cases: What reviews are judged by, of each pack.
        """
        counts = tuple(self._cube(asked.columns))
        others = [each for each in counts if each.source != SELF]
        arrived, history, late = self._arrivals(asked.within) if asked.within else (_arrived(others), {}, {})
        looks, batches = self._looks(cases)
        return Facts(
            received=any(each.day is not None for each in others),
            first_event=min((each.first for each in others), default=None), columns=asked.columns, counts=counts,
            arrived=arrived, history=history, late=late, ahead=self._ahead(asked.ahead) if asked.ahead else {},
            looks=looks, last_batches=batches, deletions=tuple(self._deletions()), unreadable=tuple(self._unreadable()),
            named={length: self._named(length, types) for length, types in sorted(asked.limits.items())},
        )  # fmt: skip

    def _cube(self, columns: Sequence[str]) -> Iterator[Count]:
        making = statement(_FILE, _MAKING)
        self._engine.rows(making.text)
        period = '"timestamp" > $since and "timestamp" <= $until'
        counts = ", ".join(f"count(*) filter ({period} and is_filled({name}))" for name in columns)
        for event_type, source, day, events, first, last, filled in self._rows("cube", filled_counts=counts):
            number = None if day is None else day_of(day)
            yield Count(event_type, source, number, events, first, last, tuple(filled))

    def _arrivals(self, within: Sequence[int]) -> tuple[Counter[str], Counter[str], dict[int, Counter[str]]]:
        """Return how many events of each source arrived, how many as history, and how many later than each length."""
        delay = 'epoch_us(ingested_at) - epoch_us("timestamp")'
        counts = ", ".join(f"count(*) filter ({delay} > {length})" for length in within)
        arrived, history = Counter[str](), Counter[str]()
        late = {length: Counter[str]() for length in within}
        for source, batch, events, lates in self._rows("arrivals", late_counts=counts):
            if any(lates) and self._is_history(batch):
                history[source] += events
                continue
            arrived[source] += events
            for length, number in zip(within, lates, strict=True):
                late[length][source] += number
        return arrived, history, late

    def _is_history(self, batch: int) -> bool:
        """Return whether a batch came by a load that was marked as history; only one with late events is asked about."""
        version = bisect_left(range(self._snapshot.version + 1), batch, key=self._batch_at)
        own = self._commits.metadata(version) if version <= self._snapshot.version else None
        return own is not None and own.get("batch") == batch and own.get("history") is not None

    def _batch_at(self, version: int) -> int:
        """Return the newest batch in a version."""
        for earlier in range(version, 0, -1):
            if (own := self._commits.metadata(earlier)) and own.get("batch") is not None:
                return int(own["batch"])
        return 0

    def _ahead(self, lengths: Sequence[int]) -> dict[int, Counter[str]]:
        ahead = {length: Counter[str]() for length in lengths}
        for source, length, events in self._rows("ahead", lengths=list(lengths)):
            ahead[length][source] += events
        return ahead

    def _looks(self, cases: Sequence[Case]) -> tuple[tuple[Look, ...], dict[int, int]]:
        """Return the events that reviews are about, and the last batch in each snapshot that was reviewed."""
        types: set[str] = set()
        units: list[int] = []
        bounds: list[datetime] = []
        reviews = {}
        for case, check in _reviewing(cases):
            given = [each for _, some in reviews_of(check, case) for each in some]
            if given and check.every is not None:
                reviews |= {each.number: each for each in given}
                types |= case.governed([each for each in check.of if each not in case.pack.unready])
                units.append(check.every.microseconds)
                bounds += [instant for span in intervals(check.every, case.question) for instant in span]
        if not bounds:
            return (), {}
        layout, snapshots = self._context.layout, {each.snapshot for each in reviews.values()}
        newest = self._snapshot.version
        batches = {each: last_batch(layout, min(each, newest)) for each in sorted(snapshots)}
        users = sorted({each.by for each in reviews.values()})
        rows = self._rows(
            "looks", types=sorted(types), first=min(bounds), behind=max(bounds), unit=gcd(*units), reviewers=users
        )
        looks = (Look(start, name, batch, events, frozenset(who or ())) for start, name, batch, events, who in rows)
        return tuple(looks), batches

    def _deletions(self) -> Iterator[Deletion]:
        """Yield what the certificates of deletions say that are part of the snapshot and not later than as_of."""
        for _, own in self._commits.of_retention():
            certificate = own.get("certificate") or {}
            if own["kind"] != "retention" or not certificate.get("deleted"):
                continue
            at = datetime.fromisoformat(certificate["as_of"])
            if at <= self._question.as_of:
                days = {date.fromisoformat(each["day"]): each["deleted"] for each in certificate["partitions"]}
                yield Deletion(at, days, _types_of(certificate, own.get("terms") or {}))

    def _unreadable(self) -> Iterator[date]:
        """Yield the days of which a file is not as large as it was."""
        layout = self._context.layout
        for file in self._snapshot.files:
            path = layout.events / file.path
            if not path.is_file() or path.stat().st_size != file.size:
                yield file.day

    def _named(self, length: int, types: frozenset[str]) -> Counter[str]:
        """Return how many events of types name somebody that were older than a length when the day of as_of began."""
        as_of = max(self._question.as_of - _DAY, EPOCH)
        rules = rules_of(self._context, as_of, policies=[])
        limited = Policy("limit", "", "", tuple(sorted(types)), max_retention=_duration(length))
        rules = replace(rules, policies=(limited,), default_retention=None)
        found = Counter[str]()
        for _, event_type, events in named(self._engine.connection, rules.step("over_limit"), rules.eraser):
            found[event_type] += events
        return found

    def _rows(self, name: str, *, filled_counts: str = "", late_counts: str = "", **more: object) -> list[Row]:
        """Run a statement, and keep it."""
        part, question = statement(_FILE, name), self._question
        values = part.bind({"since": question.since, "until": question.until, "as_of": question.as_of, **more})
        lists = {"filled_counts": filled_counts, "late_counts": late_counts}
        sql = _filled(part.text, tuple((slot, text) for slot, text in lists.items() if slot in part.text))
        rows = self._engine.rows(sql, values)
        script = f"{statement(_FILE, _MAKING).text};\n\n{sql}" if name == "cube" else sql
        self.queries.append(Query(name, f"{script};", json_value(dict(sorted(values.items()))), len(rows)))
        return rows


@cache
def _filled(text: str, lists: tuple[tuple[str, str], ...]) -> str:
    """Return a statement with lists of counts in its slots, filled in the syntax tree."""
    from sqlglot import exp, parse_one

    if not lists:
        return text
    filling = {slot: parse_one(f"[{counts}]" if counts else "cast([] as bigint[])", dialect="duckdb")
               for slot, counts in lists}  # fmt: skip

    def put(node: exp.Expr) -> exp.Expr:
        return filling[node.name].copy() if isinstance(node, exp.Column) and node.name in filling else node

    return str(parse_one(text, dialect="duckdb").transform(put).sql(dialect="duckdb", pretty=True))


def _reviewing(cases: Sequence[Case]) -> Iterator[tuple[Case, RecordCheck]]:
    for case in cases:
        for control in case.pack.controls:
            yield from ((case, each) for each in control.records if each.kind == "review")


def _arrived(counts: Iterable[Count]) -> Counter[str]:
    arrived: dict[str, int] = defaultdict(int)
    for each in counts:
        arrived[each.source] += each.events if each.day is not None else 0
    return Counter({name: number for name, number in arrived.items() if number})


def _types_of(certificate: Mapping[str, Any], terms: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the event types that a deletion may have taken; None where that is not known."""
    policies = terms.get("policies") or {}
    ids = [rule["id"] for rule in certificate["rules"] if rule["deleted"]]
    if any(each not in policies or "types" not in policies[each] for each in ids):
        return None
    return frozenset(name for each in ids for name in policies[each]["types"])
