"""One scan for many policies: which events any of them counts, with each path of ``details`` read once for all of them.

What a policy's own statements read afterwards is the table ``own_events``: the few events in its scope that meet its
condition, or on which it fails, each with what its groups, its values and the conditions of its steps read in
``details``. So its answers are those that it gives by itself, and a policy that no event meets costs next to nothing.
Events that only policies matter to that look back further than a window, as ``first_seen`` does, are asked about by
those alone.

Policies that count every event, and group by places in ``details`` or measure them, share a scan of their own: the
table ``read_events`` has what they read of each event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

from auditlake.engine.model import Engine, Row, StatementError
from auditlake.engine.parse_tree import Node, bare, walk
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import Statement, statement
from auditlake.policies import kinds
from auditlake.policies.compile import OWN_EVENTS
from auditlake.policies.condition import COLUMNS, condition_node, spelled
from auditlake.policies.extraction import (
    READ_EVENTS,
    extracted,
    listed_columns,
    read_all,
    read_later,
    reads_places,
    with_slots,
)
from auditlake.policies.model import Policy
from auditlake.policies.places import JSON, Place, column_of
from auditlake.policies.question import BEFORE_ALL, Question, earlier
from auditlake.policies.selection import (
    arguments_of,
    conjunction,
    has_condition,
    is_safe,
    key_in,
    node_of,
    only_source,
    place_in,
    source_in,
    terms_of,
)

FEWEST = 5
"""From how many policies with a condition on they are judged together."""
_OF_A_MARK = 31
"""How many policies share one number of 64 bits."""


@dataclass(frozen=True, slots=True)
class Bits:
    """Where the marks of an event have the verdict on one policy."""

    source: str | None
    """Only events of this source can meet its condition; None: it may be any."""
    number: int
    """Which mark, from 1."""
    shift: int
    """By how many bits it is shifted."""


@dataclass(frozen=True, slots=True)
class OwnEvents:
    """What a policy's statements read in the place of ``events``."""

    table: str
    whose: str
    """A policy's id; an empty text for events that meet no condition."""

    @property
    def is_whole(self) -> bool:
        """Return whether it has every column that pages show, beside those that are JSON."""
        return self.table == OWN_EVENTS


_NOWHERE = Bits(None, 0, 0)


@dataclass(slots=True)
class _Paths:
    """The paths that are read of the events of a source, each with its column."""

    columns: dict[Place, str] = field(default_factory=dict)
    far: int = 0
    """How many of the first are read of older events as well."""
    lowered: set[str] = field(default_factory=set)
    """Those of their columns that are read in lower case."""
    whole: set[str] = field(default_factory=set)
    """The columns of JSON that conditions read otherwise: these fail where the column is no JSON."""

    def column(self, place: Place) -> str:
        return self.columns.setdefault(place, f"{place[0]}_{sum(at[0] == place[0] for at in self.columns) + 1}")

    def of(self, column: str, *, is_far: bool = False) -> list[str]:
        return [path for name, path in list(self.columns)[: self.far if is_far else None] if name == column]


class Sieve:
    """What one scan found for policies that are asked together: for each, whether any event matters to it.

    Args:
        engine: The engine, with ``events``. It has the tables ``sieved`` and ``read_events`` as long as this is in use.
        asked: Policies with a condition, each with the instants that it is asked about.
        reading: Policies without one that read places, likewise.
    """

    def __init__(
        self, engine: Engine, asked: Sequence[tuple[Policy, Question]], reading: Sequence[tuple[Policy, Question]] = ()
    ) -> None:
        self._engine = engine
        self._as_of = min((question.as_of for _, question in asked), default=BEFORE_ALL)
        self._places: Mapping[str, Bits] = {}
        self._marks: dict[tuple[str | None, int], int] = {}
        self._laid_out: Bits | None = None
        self._read: frozenset[str] = frozenset()
        if asked:
            self._places = _sound(engine, [policy for policy, _ in asked], self._values(asked))
        if self._places:
            self._marks = _whole(self._run("counted_by"))
        if reading and read_all(engine, [policy for policy, _ in reading], self._values(reading)):
            self._read = frozenset(policy.id for policy, _ in reading)

    def _values(self, asked: Sequence[tuple[Policy, Question]]) -> dict[str, object]:
        near = [_reaches(*pair) for pair in asked if not kinds.measure_of(pair[0]).looks_far_back]
        after = min(_reaches(*pair) for pair in asked)
        types = sorted({name for policy, _ in asked for name in policy.required_events})
        return {"types": types, "after": after, "near": min(near, default=after), "as_of": self._as_of}

    def holds(self, policy: Policy) -> bool:
        """Return whether it has what the policy reads."""
        return policy.id in self._places or policy.id in self._read

    def counts(self, policy: Policy) -> bool:
        """Return whether any event meets the policy's condition, or lets it fail."""
        return _any(self._marks, self._places[policy.id])

    def lay_out(self, policy: Policy) -> OwnEvents | None:
        """Make the table that statements which are filled for a policy read instead of ``events``; None where it was
        not judged on every event.
        """
        if policy.id in self._read:
            return OwnEvents(READ_EVENTS, policy.id)
        if policy.id not in self._places:
            return None
        place = self._places[policy.id] if self.counts(policy) else _NOWHERE
        if place is not self._laid_out:
            self._laid_out = place
            values = {"source": place.source, "number": place.number, "shift": place.shift, "as_of": self._as_of}
            self._run("own_events", values)
        return OwnEvents(OWN_EVENTS, "" if place is _NOWHERE else policy.id)

    def _run(self, name: str, values: Mapping[str, object] | None = None) -> Sequence[Row]:
        part = statement("policies/sieve.sql", name)
        return self._engine.step(part.name, part.text, part.bind(dict(values or {})))


def sieve(engine: Engine, asked: Sequence[tuple[Policy, Question]], *, fewest: int = FEWEST) -> Sieve | None:
    """Judge the conditions of policies in one scan; None where too few have one, or read places without one.

    Args:
        engine: The engine, with ``events``.
        asked: Each policy with the instants that it is asked about.
        fewest: From how many policies of either sort on it is worth a scan.
    """
    measured = [pair for pair in asked if pair[0].alert_threshold is not None and pair[0].fault is None]
    conditioned = [pair for pair in measured if has_condition(pair[0])]
    reading = [pair for pair in measured if not has_condition(pair[0]) and reads_places(pair[0])]
    worth = [pairs if len(pairs) >= fewest else [] for pairs in (conditioned, reading)]
    return Sieve(engine, *worth) if any(worth) else None


class Sifter:
    """Says of one batch of events after the other which policies it matters to; each statement is written once.

    Args:
        policies: The policies. Of those without a condition every batch matters.
        fewest: From how many policies with a condition on it is worth a scan.
    """

    def __init__(self, policies: Iterable[Policy], *, fewest: int = FEWEST) -> None:
        self._judged = [_judged(policy) for policy in policies if policy.where is not None]
        self._fewest = fewest
        self._scans: dict[frozenset[str], _Scan | None] = {}
        """What is asked of the events of some sources; None where too few conditions can be met by them."""

    def left_out(self, engine: Engine) -> frozenset[str]:
        """Return the ids of policies whose condition is met by none of the engine's ``events``, and fails on none."""
        sources = frozenset(source for (source,) in engine.rows(statement("policies/sieve.sql", "sources").text))
        able = [each.policy for each in self._judged if each.source is None or each.source in sources]
        others = {each.policy.id for each in self._judged}.difference(policy.id for policy in able)
        if sources not in self._scans:
            self._scans[sources] = _Scan(able) if len(able) >= self._fewest else None
        scan = self._scans[sources]
        return frozenset(others | scan.left_out(engine) if scan else others)


class _Scan:
    """The statement for some policies, and where its marks have the verdict on each."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._part, by_source = statement("policies/sieve.sql", "sieved"), _marks(policies)
        self._text, self._places = _filled(self._part, by_source, keeps=False), _places(by_source)
        types = sorted({name for policy in policies for name in policy.required_events})
        ever = {"after": BEFORE_ALL, "near": BEFORE_ALL, "as_of": datetime.max.replace(tzinfo=UTC)}
        self._values = self._part.bind({"types": types, **ever})

    def left_out(self, engine: Engine) -> frozenset[str]:
        try:
            engine.step(self._part.name, self._text, self._values)
        except StatementError:
            return frozenset()  # one of them fails: which one, shows when each is asked
        unreadable, counted = (statement("policies/sieve.sql", name) for name in ("unreadable", "counted_by"))
        if engine.rows(unreadable.text) != [(0,)]:
            return frozenset()
        marks = _whole(engine.rows(counted.text))
        return frozenset(name for name, place in self._places.items() if not _any(marks, place))


def _whole(rows: Iterable[Row]) -> dict[tuple[str | None, int], int]:
    """Return the marks of all events by source and number; under None those of all sources."""
    marks: dict[tuple[str | None, int], int] = {}
    for source, number, mark in rows:
        for key in ((source, number), (None, number)):
            marks[key] = marks.get(key, 0) | mark
    return marks


def _any(marks: Mapping[tuple[str | None, int], int], place: Bits) -> bool:
    """Return whether any event meets a policy's condition, or lets it fail."""
    return bool(marks.get((place.source, place.number), 0) >> place.shift & 3)


def _reaches(policy: Policy, question: Question) -> datetime:
    """Return the instant before which no event matters to a policy's counts."""
    window = timedelta(microseconds=policy.window.microseconds)
    measure, near = kinds.measure_of(policy), min(earlier(question.since, window), earlier(question.as_of, window))
    return min(near, measure.history_start(policy, question))


def _sound(engine: Engine, policies: Sequence[Policy], values: dict[str, object]) -> Mapping[str, Bits]:
    """Return the places of those policies whose conditions could be evaluated together, and leave their table.

    Where the statement fails, as one does whose condition fails beyond TRY, the policies are halved until it is found:
    that one is judged by itself.
    """
    places, left = _run(engine, policies, values), policies
    while left and not places:
        bad = _failing(engine, left, values)
        if left := [policy for policy in left if policy not in bad]:
            places = _run(engine, left, values)
    part = statement("policies/sieve.sql", "unreadable")
    return places if places and engine.rows(part.text) == [(0,)] else {}


def _failing(engine: Engine, policies: Sequence[Policy], values: dict[str, object]) -> Sequence[Policy]:
    """Return some of the policies with which the statement fails, at least one."""
    while len(policies) > 1:
        half = policies[: len(policies) // 2]
        policies = policies[len(policies) // 2 :] if _run(engine, half, values) else half
    return policies


def _run(engine: Engine, policies: Sequence[Policy], values: dict[str, object]) -> Mapping[str, Bits]:
    """Run the scan for policies; return their places, or none where a condition could not be evaluated."""
    part, by_source = statement("policies/sieve.sql", "sieved"), _marks(policies)
    with suppress(StatementError):
        engine.step(part.name, _filled(part, by_source), part.bind(values))
        return _places(by_source)
    return {}


# The statement


@dataclass(frozen=True, slots=True)
class _Judged:
    """A policy with a condition, or with that of its steps, and what that says before anything is read."""

    policy: Policy
    node: Node
    source: str | None
    """The source whose events alone can meet it; None: it may be any's, or it may fail."""
    key: Node | None = None
    """What of an event must be one of some texts for it to be met; None: nothing is known of it."""
    texts: tuple[str, ...] = ()
    may_fail: bool = False

    @property
    def is_far(self) -> bool:
        """Return whether it is asked of older events as well."""
        return kinds.measure_of(self.policy).looks_far_back


_Marks = Mapping[str | None, Sequence[tuple[int, Sequence[_Judged]]]]
"""The numbered marks of each source, each with the policies whose verdicts it has."""


def _places(by_source: _Marks) -> Mapping[str, Bits]:
    """Return where the marks have the verdict on each policy."""
    return {
        each.policy.id: Bits(source, number, 2 * at)
        for source, marks in by_source.items()
        for number, mark in marks
        for at, each in enumerate(mark)
    }


def _marks(policies: Sequence[Policy]) -> _Marks:
    """Return the numbered marks of each source: those of any source come first, those that older events are asked for
    come before others, and those of one key stand together.
    """
    by_source: dict[str | None, dict[tuple[bool, bool, str], list[_Judged]]] = {None: {}}
    for each in sorted(map(_judged, policies), key=lambda each: not each.is_far):
        key = (each.is_far, each.may_fail, json.dumps(bare(each.key)))
        by_source.setdefault(each.source, {}).setdefault(key, []).append(each)
    marks: dict[str | None, Sequence[tuple[int, Sequence[_Judged]]]] = {}
    for source, by_key in by_source.items():
        first = 1 + (len(marks[None]) if source else 0)
        marks[source] = [*enumerate((mark for one in by_key.values() for mark in _batched(one)), first)]
    return marks


def _judged(policy: Policy) -> _Judged:
    node = node_of(policy)
    # What is in scope is counted of all later events, of any source: so its places are read in all of them.
    source = only_source(node) if policy.scope is None else None
    if not is_safe(node):
        return _Judged(policy, node, None, may_fail=True)
    terms = terms_of(node)
    keys = [(found, term) for term in terms if (found := key_in(term)) and found[0].get("column_names") != ["source"]]
    # The last is what rules vary in most: source, service, then what was done.
    (key, texts), chosen = keys[-1] if keys else ((None, ()), None)
    # What is looked at for one source and one text alone need not ask for them again.
    left = [term for term in terms if term is not chosen and (source is None or source_in(term) != source)]
    return _Judged(policy, conjunction("AND", left) if left else condition_node("true"), source, key, texts)


def _filled(part: Statement, by_source: _Marks, *, keeps: bool = True) -> str:
    """Return the statement that judges policies.

    Args:
        part: The statement with its slots.
        by_source: The policies.
        keeps: Whether to keep what their own statements read later.
    """
    judged = [each for marks in by_source.values() for _, mark in marks for each in mark]
    is_all_near = not any(each.is_far for each in judged)
    paths = {source: _Paths() for source in by_source}
    kept: dict[Place, dict[str | None, str]] = {}
    nodes: list[Node] = []
    for source, marks in by_source.items():
        own = paths[source]
        own.columns |= paths[None].columns
        own.far = len(own.columns)
        for _, mark in marks:
            key = mark[0].key
            nodes += [_reading(node, own) for node in [*(each.node for each in mark), *([key] if key else [])]]
            for place in sorted({place for each in mark for place in read_later(each.policy)[0] if keeps}):
                kept.setdefault(place, {})[source] = own.column(place)
            if mark[0].is_far:
                own.far = len(own.columns)
    spellings = iter(spelled(nodes))
    texts: dict[str | None, list[str]] = {}
    tried: list[str] = []
    for source, marks in by_source.items():
        own, texts[source] = paths[source], []
        own.whole |= paths[None].whole
        for _, mark in marks:
            conditions, key_text = [*islice(spellings, len(mark))], next(spellings) if mark[0].key else None
            is_near = is_all_near or mark[0].is_far
            own.whole |= {column for column in JSON if any(re.search(rf"\b{column}\b", text) for text in conditions)}
            bits = [f"case when {text} then {1 << 2 * at} else 0 end" for at, text in enumerate(conditions)]
            if mark[0].may_fail:
                bits = [f"case when tried_{len(tried) + at} then {1 << 2 * at} when tried_{len(tried) + at} is null "
                        f"then {2 << 2 * at} else 0 end" for at in range(len(mark))]  # fmt: skip
                tried += [f"try(coalesce({_asked(text, is_near=is_near)}, false)) as tried_{at}"
                          for at, text in enumerate(conditions, len(tried))]  # fmt: skip
            elif key_text:
                bits = _by_text(key_text, [*zip((each.texts for each in mark), bits, strict=True)])
            sum_of = " + ".join(f"cast({each} as bigint)" for each in bits)
            texts[source].append(_asked(sum_of, is_near=is_near or mark[0].may_fail))
    names = sorted({name for each in paths.values() for name in each.columns.values()})
    branches = " ".join(f"when {literal(source)} then {_list(each)}" for source, each in texts.items() if source)
    slots = {
        "slot_details": _values("details", paths),
        "slot_metadata": _values("metadata", paths),
        "slot_paths": listed_columns(
            f"{column}_values[{at}] as {name}" for name in names for column, _, at in [name.partition("_")]
        ),
        "slot_lowered": listed_columns(
            f"lower({name}) as lower_{name}" for name in sorted(set().union(*(each.lowered for each in paths.values())))
        ),
        "slot_tried": listed_columns(tried),
        "slot_marks": f"{_list(texts[None])} || {f'case source {branches} else {_list([])} end' if branches else '[]'}",
        "slot_kept": listed_columns((*_kept(judged, keeps=keeps), *map(_kept_place, kept.items()))),
    }
    return with_slots(part, slots)


def _kept(judged: Sequence[_Judged], *, keeps: bool) -> list[str]:
    """Return the columns that the statements of policies read later; what is JSON is most of an event."""
    read = frozenset[str]().union(*(read_later(each.policy)[1] for each in judged if keeps))
    return [f'"{name}"' for name in COLUMNS if name not in JSON or name in read]


def _kept_place(kept: tuple[Place, Mapping[str | None, str]]) -> str:
    """Return the column of what was read at a place, which each source has elsewhere among its own."""
    place, by_source = kept
    if None in by_source:
        return f'{by_source[None]} as "{column_of(place)}"'
    branches = " ".join(f"when {literal(str(source))} then {column}" for source, column in by_source.items())
    return f'case source {branches} end as "{column_of(place)}"'


def _batched(policies: Sequence[_Judged]) -> Iterator[Sequence[_Judged]]:
    """Yield so many as have room in one mark; those of the same texts stand together, so that fewer are compared."""
    policies = sorted(policies, key=lambda each: each.texts)
    return (policies[first : first + _OF_A_MARK] for first in range(0, len(policies), _OF_A_MARK))


def _by_text(key: str, bits: Sequence[tuple[tuple[str, ...], str]]) -> list[str]:
    """Return bits that are looked at only where the key is one of their texts; each event has one branch of a case."""
    cases: list[dict[frozenset[str], list[str]]] = []
    for texts, bit in bits:
        wanted = frozenset(texts)
        fitting = (each for each in cases if wanted in each or all(wanted.isdisjoint(other) for other in each))
        case = next(fitting, None)
        if case is None:
            cases.append(case := {})
        case.setdefault(wanted, []).append(bit)
    return [
        "case {} else 0 end".format(
            " ".join(
                f"when {key} in ({', '.join(map(literal, sorted(texts)))}) then {' + '.join(found)}"
                for texts, found in case.items()
            )
        )
        for case in cases
    ]


def _asked(sql: str, *, is_near: bool) -> str:
    """Return the SQL of what is asked of every event, or of none that is older than matters to it."""
    return sql if is_near else f"case when is_near then {sql} end"


def _list(marks: Sequence[str]) -> str:
    return f"cast([{', '.join(marks)}] as bigint[])"


def _values(column: str, paths: dict[str | None, _Paths]) -> str:
    """Return the values at the paths of each source, in order; null where the column's text cannot be read."""

    def read(own: _Paths) -> str:
        near, far = (
            extracted(column, own.of(column, is_far=is_far), is_needed=column in own.whole) for is_far in (False, True)
        )
        return near if near == far else f"case when is_near then {near} else {far} end"

    branches = " ".join(f"when {literal(source)} then {read(each)}" for source, each in paths.items() if source)
    other = extracted(column, paths[None].of(column), is_needed=column in paths[None].whole)
    return f"case source {branches} else {other} end" if branches else other


# Conditions


def _reading(node: Node, paths: _Paths) -> Node:
    """Return the condition over the columns of paths: ``lower(details ->> '$.a')`` as ``lower_details_1``."""

    def visit(part: Node, _: int) -> Node:
        if place := place_in(part):
            return _column(part, paths.column(place))
        if part.get("function_name") == "lower" and (place := place_in(arguments_of(part)[0])):
            paths.lowered.add(column := paths.column(place))
            return _column(part, f"lower_{column}")
        return {key: walk(value, visit) for key, value in part.items()}

    return visit(node, 0)


def _column(instead_of: Node, name: str) -> Node:
    place: Node = {key: instead_of[key] for key in ("query_location", "query_location_length") if key in instead_of}
    return {"class": "COLUMN_REF", "type": "COLUMN_REF", "alias": "", "column_names": [name], **place}
