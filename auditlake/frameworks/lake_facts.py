"""What packs ask of a lake, read from it: one scan for all of them, and small ones for what only some ask."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from math import gcd
from typing import Any

from auditlake.context import LakeContext
from auditlake.display.canonical_json import canonical, json_value
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row, Summaries, Summary
from auditlake.engine.sql_text import Batches
from auditlake.engine.statements import statement
from auditlake.engine.summed import RowSummaries
from auditlake.events.durations import Duration, length_of
from auditlake.events.schema import SELF
from auditlake.events.times import EPOCH, day_of
from auditlake.findings.decisions import Review
from auditlake.frameworks.coverage import columns_of
from auditlake.frameworks.facts import Count, Facts, Look
from auditlake.frameworks.model import Extent, HoldThen
from auditlake.frameworks.records.model import Case
from auditlake.frameworks.records.review import reviews_of
from auditlake.frameworks.records.slots import intervals
from auditlake.packs.model import Pack
from auditlake.policies.compile import Step, fill_holds, fill_slots, hold_values
from auditlake.policies.deleted_days import deletion_of
from auditlake.policies.holds import Hold
from auditlake.policies.model import Part, Policy
from auditlake.policies.question import Question, earlier
from auditlake.policies.shared import Everything, Shared, of_everything
from auditlake.reports.model import Query
from auditlake.retention.planner import rules_of
from auditlake.retention.rules import RetentionRules, named
from auditlake.store.batches import batches_of, has_batch
from auditlake.store.deltalog import Commits, ingests_of
from auditlake.store.model import Snapshot

_FILE = "frameworks/facts.sql"
_DAY = timedelta(days=1)
_MAKING = "policies/is_filled.sql", "is_filled"


@dataclass(frozen=True, slots=True)
class Asked:
    """What packs ask."""

    columns: tuple[str, ...]
    """Event columns that may have to be filled, sorted."""
    within: tuple[int, ...] = ()
    """Lengths in microseconds within which events are to arrive."""
    ahead: tuple[int, ...] = ()
    """Lengths in microseconds by which events may be dated ahead."""
    limits: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Lengths in microseconds after which events of some types are to name no person."""
    ends: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """Lengths in microseconds after which events of some types are to be gone."""


def asked_by(packs: Iterable[Pack]) -> Asked:
    """Return what packs ask of the facts of a lake."""
    columns: set[str] = set()
    within: set[int] = set()
    ahead: set[int] = set()
    limits: dict[Part, dict[int, frozenset[str]]] = {"personal_data": {}, "event": {}}
    for pack in packs:
        ready = [policy for name, policy in pack.policies.items() if name not in pack.unready]
        columns |= {*columns_of(pack)}
        types = frozenset(name for policy in ready for name in policy.required_events)
        for check in (each for control in pack.controls for each in control.records):
            if check.kind == "arrival":
                within.add(length_of(check.within))
            elif check.kind == "clock":
                ahead.add(length_of(check.ahead))
            elif check.kind == "retention" and check.max is not None:
                some, length = limits[check.max_of], check.max.microseconds
                some[length] = some.get(length, frozenset()) | types
    return Asked(
        tuple(sorted(columns)), tuple(sorted(within)), tuple(sorted(ahead)), limits["personal_data"], limits["event"]
    )  # fmt: skip


def hold_then(hold: Hold) -> HoldThen:
    """Return a hold with a digest over what it names."""
    named = canonical(json_value(hold_values([hold])))
    return HoldThen(hold.id, f"sha256:{hashlib.sha256(named).hexdigest()}")


class Reading:
    """Reads the facts of one snapshot.

    Args:
        context: The lake.
        engine: The engine, with the view ``events`` of the snapshot.
        snapshot: The snapshot.
        question: The instants that are asked about.
        holds: The legal holds, as they count.
        alike: What was counted for policies and for this question together, in one scan; counted by itself if None.
        summaries: What counts the engine's events; its rows themselves if None.
    """

    def __init__(
        self, context: LakeContext, engine: DuckEngine, snapshot: Snapshot, question: Question,
        holds: Sequence[Hold] = (), *, alike: Shared | None = None, summaries: Summaries | None = None,
    ) -> None:  # fmt: skip
        self._context, self._engine, self._snapshot, self._question = context, engine, snapshot, question
        self._alike, self._summaries = alike, summaries or RowSummaries(engine)
        self.holds = tuple(each for each in holds if each.is_active(question.as_of))
        """The active ones."""
        self._commits = Commits(context.layout, snapshot.version)
        self._found: dict[str, int] = {}
        """How many rows statements gave that serve all packs."""

    def facts(self, asked: Asked) -> Facts:
        """Return what the lake holds, as far as it is the same for all packs."""
        counts = tuple(self._cube(asked.columns))
        others = [each for each in counts if each.source != SELF]
        history, late, ahead = self._arrivals(asked) if asked.within or asked.ahead else ({}, {}, {})
        return Facts(
            received=any(each.day is not None for each in others),
            first_event=min((each.first for each in others), default=None), columns=asked.columns, counts=counts,
            arrived=_arrived(others), history=history, late=late, ahead=ahead,
            deletions=tuple(filter(None, (deletion_of(commit) for _, commit in self._certified))),
            older=self._older(asked.ends),
            named={length: self._named(length, types) for length, types in sorted(asked.limits.items())},
        )  # fmt: skip

    def of_pack(self, case: Case, facts: Facts) -> tuple[Facts, tuple[Query, ...]]:
        """Return the facts with what a pack alone asks, and the statements that give all that it asks.

        Both are the same whichever packs it is judged with.
        """
        asked = asked_by([case.pack])
        queries = [self._query("cube", _slots(asked), self._found["cube"])]
        if asked.within or asked.ahead:
            queries.append(self._query("arrivals", _slots(asked), self._found["arrivals"]))
        if asked.ends:
            step = self._step_older(asked.ends)
            rows = sum(facts.older[length].get(name, 0) > 0 for length, types in asked.ends.items() for name in types)
            queries.append(Query("older", f"{step.sql};", json_value(dict(sorted(step.parameters.items()))), rows))
        values, batches = self._looked_at(case)
        if values:
            found = self._rows("looks", {}, **values)
            looks = [Look(at, name, batch, events, frozenset(who or ())) for at, name, batch, events, who in found]
            queries.append(self._query("looks", {}, len(looks), **values))
            facts = replace(facts, looks=looks, batches=batches)
        return facts, tuple(queries)

    def _cube(self, columns: Sequence[str]) -> Iterator[Count]:
        everything = Everything(self._question, tuple(columns))
        alike = self._alike or of_everything(self._engine, everything, self._summaries)
        counts = _counts("is_in_period and filled", map(alike.bit, columns))
        rows = self._rows("shared_cube", {"filled_counts": counts})
        self._found["cube"] = len(rows)
        for event_type, source, day, events, first, last, filled in rows:
            number = None if day is None else day_of(day)
            yield Count(event_type, source, number, events, first, last, tuple(filled))

    def _arrivals(
        self, asked: Asked
    ) -> tuple[dict[int, Counter[str]], dict[int, Counter[str]], dict[int, Counter[str]]]:
        """Return, for each length, how many events of each source came as history, arrived later, and are dated ahead.

        Each length has its own answer, so that a pack's does not depend on the packs that it is judged with.
        """
        history = {length: Counter[str]() for length in asked.within}
        late = {length: Counter[str]() for length in asked.within}
        ahead = {length: Counter[str]() for length in asked.ahead}
        part, asks = statement(_FILE, "arrived"), self._question
        counted = Summary(part.name, fill_slots(part, _slots_of_arrived(asked)))
        self._summaries.lay_out(counted, instants=(asks.since, asks.until))
        slots = {"late_counts": _longer("late", asked.within), "ahead_counts": _longer("ahead", asked.ahead)}
        rows = self._rows("shared_arrivals", slots)
        self._found["arrivals"] = len(rows)
        for source, batch, events, lates, aheads in rows:
            is_history = any(lates) and self._is_history(batch)
            for length, number in zip(asked.within, lates, strict=True):
                if number and is_history:
                    history[length][source] += events
                elif number:
                    late[length][source] += number
            for length, number in zip(asked.ahead, aheads, strict=True):
                ahead[length][source] += number
        return history, late, ahead

    def _is_history(self, batch: int) -> bool:
        """Return whether a load marked as history brought a batch; only one with late events is asked about."""
        layout, newest = self._context.layout, self._snapshot.version
        version = bisect_left(range(newest + 1), 1, key=lambda each: has_batch(batches_of(layout, each), batch))
        own = ingests_of(self._commits.metadata(version)) if version <= newest else ()
        return any(each.get("batch") == batch and each.get("history") is not None for each in own)

    def _looked_at(self, case: Case) -> tuple[dict[str, Any], dict[int, Batches]]:
        """Return which events reviews of a pack are about, none if there are none, and the batches in each
        snapshot that was reviewed.
        """
        types: set[str] = set()
        units: list[int] = []
        bounds: list[datetime] = []
        reviews: dict[int, Review] = {}
        for check in (each for control in case.pack.controls for each in control.records if each.kind == "review"):
            given = [each for _, some in reviews_of(check, case) for each in some]
            if given and check.every is not None:
                reviews |= {each.number: each for each in given}
                types |= case.governed([each for each in check.of if each not in case.pack.unready])
                units.append(check.every.microseconds)
                bounds += [instant for span in intervals(check.every, case.question) for instant in span]
        if not bounds:
            return {}, {}
        layout, newest = self._context.layout, self._snapshot.version
        batches = {each: batches_of(layout, min(each, newest)) for each in {some.snapshot for some in reviews.values()}}
        users = sorted({each.by for each in reviews.values()})
        values = {"types": sorted(types), "first": min(bounds), "behind": max(bounds), "unit": gcd(*units)}
        return values | {"reviewers": users}, batches

    def places_digest(self, pack: Pack) -> str | None:
        """Return a digest over where lake.toml and the mappings say that personal data lies; None where a pack does not
        ask.
        """
        if not asked_by([pack]).limits:
            return None
        rules = self._rules(())
        sources = {name: asdict(each) for name, each in sorted(rules.sources.items())}
        said = canonical({"personal": [str(each) for each in rules.personal], "sources": sources})
        return f"sha256:{hashlib.sha256(said).hexdigest()}"

    @property
    def certificates(self) -> Extent:
        """How many certificates counted, with a digest over what they say, the oldest first."""
        digest = hashlib.sha256()
        for certificate, _ in self._certified[::-1]:
            digest.update(canonical(certificate))
        return Extent(len(self._certified), f"sha256:{digest.hexdigest()}" if self._certified else "")

    @cached_property
    def _certified(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Return the certificates that count, each with its commit, the newest first."""
        own = ((each.get("certificate"), each) for _, each in self._commits.of_retention())
        return [
            (certificate, commit) for certificate, commit in own
            if certificate and datetime.fromisoformat(certificate["at"]) <= self._question.as_of
        ]  # fmt: skip

    def _named(self, length: int, types: frozenset[str]) -> Counter[str]:
        """Return how many events of types name a person and were older than a length when the day of as_of began."""
        limited = Policy("limit", "", "", tuple(sorted(types)), max_retention=Duration("", length))
        rules = self._rules((limited,))
        # An operator has until the end of a day to apply what its limits ask: what counts is the day before.
        rules = replace(rules, default_retention=None, as_of=max(rules.as_of - _DAY, EPOCH))
        found = Counter[str]()
        for _, event_type, events in named(self._engine.connection, rules.step("over_limit"), rules.eraser):
            found[event_type] += events
        return found

    def _rules(self, policies: tuple[Policy, ...]) -> RetentionRules:
        """Return rules that know where personal data lies, with the holds that count."""
        rules = self._without_policies
        return replace(rules, policies=policies, holds=self.holds)

    @cached_property
    def _without_policies(self) -> RetentionRules:
        return rules_of(self._context, self._question.as_of, policies=())

    def _older(self, ends: Mapping[int, frozenset[str]]) -> dict[int, Counter[str]]:
        """Return by length how many events of each type are older, as of the midnight before the day of as_of.

        What must go on a day may go until its end.
        """
        older = {length: Counter[str]() for length in ends}
        if not ends:
            return older
        step = self._step_older(ends)
        lengths = {self._gone_before(length): length for length in ends}
        for name, before, events in self._engine.rows(step.sql, step.parameters):
            older[lengths[before]][name] += events
        return older

    def _step_older(self, ends: Mapping[int, frozenset[str]]) -> Step:
        asked = [(name, self._gone_before(length)) for length, types in sorted(ends.items()) for name in sorted(types)]
        values: dict[str, object] = {"types": [name for name, _ in asked], "instants": [before for _, before in asked]}
        return fill_holds(statement(_FILE, "older"), self.holds, values)

    def _gone_before(self, length: int) -> datetime:
        return earlier(self._question.midnight - _DAY, timedelta(microseconds=length))

    def _rows(self, name: str, slots: Mapping[str, str], **more: object) -> list[Row]:
        sql, values = self._compiled(name, slots, more)
        rows = self._engine.rows(sql, values)
        self._found[name] = len(rows)
        return rows

    def _query(self, name: str, slots: Mapping[str, str], rows: int, **more: object) -> Query:
        sql, values = self._compiled(name, slots, more)
        script = f"{statement(*_MAKING).text};\n\n{sql}" if name == "cube" else sql
        return Query(name, f"{script};", json_value(dict(sorted(values.items()))), rows)

    def _compiled(
        self, name: str, slots: Mapping[str, str], more: Mapping[str, object]
    ) -> tuple[str, dict[str, object]]:
        """Return a statement with its slots filled, and the values that it binds."""
        part, question = statement(_FILE, name), self._question
        values = part.bind({"since": question.since, "until": question.until, "as_of": question.as_of, **more})
        return fill_slots(part, slots), values


def _slots(asked: Asked) -> dict[str, str]:
    """Return the SQL that fills slots."""
    delay = 'epoch_us(ingested_at) - epoch_us("timestamp")'
    bits = (f"case when is_filled({name}) then {1 << at} else 0 end" for at, name in enumerate(asked.columns))
    return {
        "filled_bits": " + ".join(bits) or "0",
        "filled_counts": _counts("bits", (1 << at for at in range(len(asked.columns)))),
        "late_counts": _list(f"count(*) filter ({delay} > {length})" for length in asked.within),
        "ahead_counts": _list(f"count(*) filter ({delay} < {-length})" for length in asked.ahead),
    }


def _slots_of_arrived(asked: Asked) -> dict[str, str]:
    """Return the SQL of how many lengths an event's delay goes beyond; they rise, so that it is the first ones."""
    late = " + ".join(f"cast(delay > {length} as bigint)" for length in asked.within)
    ahead = " + ".join(f"cast(delay < {-length} as bigint)" for length in asked.ahead)
    return {"late_of_event": late or "0", "ahead_of_event": ahead or "0"}


def _longer(column: str, lengths: Sequence[int]) -> str:
    """Return the SQL of how many events go beyond each of some lengths."""
    return _list(
        f"cast(coalesce(sum(events) filter ({column} > {place}), 0) as bigint)" for place in range(len(lengths))
    )


def _counts(number: str, bits: Iterable[int]) -> str:
    """Return the SQL of how many events have each bit of a number."""
    return _list(f"cast(coalesce(sum(events) filter ({number} & {bit} > 0), 0) as bigint)" for bit in bits)


def _list(values: Iterable[str]) -> str:
    return f"[{listed}]" if (listed := ", ".join(values)) else "cast([] as bigint[])"


def _arrived(counts: Iterable[Count]) -> Counter[str]:
    arrived: dict[str, int] = defaultdict(int)
    for each in counts:
        arrived[each.source] += each.events if each.day is not None else 0
    return Counter({name: number for name, number in arrived.items() if number})
