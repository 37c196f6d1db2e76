"""What policies that are judged together ask alike is read once: the counts of types, days, fields and scopes.

One summary counts the governed events of each data file by all that any of the policies tells apart. What a policy asks
of these counts has the name and the rows of the statement that answers it by itself, over ``events``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache

from auditlake.engine.model import Engine, StatementError, Summaries, Summary
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement, statements
from auditlake.engine.summed import RowSummaries
from auditlake.policies.compile import CompiledQuery, Step, fill_slots
from auditlake.policies.condition import ConditionError, condition_tree
from auditlake.policies.kinds.coverage import gaps_of
from auditlake.policies.kinds.fields import ALWAYS, JSON, filled, values_at
from auditlake.policies.kinds.model import MOMENTS
from auditlake.policies.model import PLACEHOLDERS, Policy
from auditlake.policies.places import Place, over_columns, read_by
from auditlake.policies.question import Question

FEWEST = 5
"""From how many policies on what they ask is counted together."""
_FILE = "policies/shared.sql"
_ALIKE = ("required_types", "field_counts", "retention")
"""The queries that differ between policies in types, scope and fields alone."""
_EVERY = 1
"""The bit of the scope that has every event in it."""
_ALWAYS = 1
"""The bit of the columns without which there is no event."""
_MOST_BITS = 50
"""How many scopes, or columns that policies look into: a number has room for these and for those of all events."""
_DAY_US = 86_400_000_000
_SHORTEST_US = 600_000_000
"""A silence that may not be longer than this would leave hardly fewer rows than events."""

_Column = tuple[str, tuple[str, ...]]
"""A column, and the words that count as nothing in it."""
_Columns = tuple[tuple[str, ...], tuple[str, ...]]
"""Columns of which one must be filled, and the words that count as nothing in them."""


@dataclass(frozen=True, slots=True)
class Everything:
    """What is asked of the events of all types, beside what policies ask of those that they govern."""

    question: Question
    columns: tuple[str, ...]
    """Columns of text that may be filled."""


@dataclass(slots=True)
class _Alike:
    """What the policies tell apart."""

    questions: set[Question] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    scopes: dict[str, set[str]] = field(default_factory=dict)
    """Each scope with the event types that it is about."""
    fields: dict[_Columns, set[str]] = field(default_factory=dict)
    """What must be filled, with the event types of which it must be."""
    everything: Everything | None = None
    """What is asked of all events as well."""
    silences: dict[str, int] = field(default_factory=dict)
    """By event type, the shortest silence that is asked about, in microseconds, where it is less than a day."""

    def add(self, policy: Policy, question: Question) -> bool:
        """Add what a policy tells apart; False where it asks for too much."""
        fields = [*_fields(policy)]
        silences = {name: rule.longest.microseconds for name, rule in policy.gap_rules.items()}
        most = max(len({*self.scopes, policy.scope}), len(_places({*self.fields, *fields})))
        if most > _MOST_BITS or min(silences.values(), default=_DAY_US) < _SHORTEST_US:
            return False
        self.questions.add(question)
        self.types.update(policy.required_events)
        if policy.scope is not None:
            self.scopes.setdefault(policy.scope, set()).update(policy.required_events)
        for each in fields:
            self.fields.setdefault(each, set()).update(policy.required_events)
        for name, length in silences.items():
            if length < _DAY_US:
                self.silences[name] = min(length, self.silences.get(name, length))
        return True


class Shared:
    """The counts that answer what policies ask alike.

    Args:
        engine: The engine. It has the table ``shared`` as long as this is in use.
        summaries: What counts its events.
        alike: What the policies tell apart.
        ids: The policies.

    Raises:
        StatementError: A scope fails in a way that TRY does not catch.
        ConditionError: A scope cannot be written down.
    """

    def __init__(self, engine: Engine, summaries: Summaries, alike: _Alike, ids: frozenset[str]) -> None:
        self._ids, self._parts, self.everything = ids, statements(_FILE), alike.everything
        self._scopes = {scope: _EVERY << at for at, scope in enumerate(alike.scopes, 1)}
        self._of_all = {(each, PLACEHOLDERS): None for each in alike.everything.columns} if alike.everything else {}
        self._columns = {each: _ALWAYS << at for at, each in enumerate(self._of_all | _places(alike.fields), 1)}
        part, macro = self._parts["shared"], statement("policies/is_filled.sql", "is_filled").text
        nested = [*_nested(alike)]

        @cache
        def sql(*, reads_json: bool = False) -> str:
            return fill_slots(part, self._slots(alike, reads_json=reads_json))

        counted = Summary(part.name, sql(reads_json=bool(nested)), (macro,), (nested, sql) if nested else None)
        summaries.lay_out(counted, instants=_instants(alike))
        engine.rows(self._parts["shared_moments"].text)

    def answers(self, policy: Policy) -> bool:
        """Return whether it has what a policy asks: one that was counted, or such a one that asks for less."""
        return policy.id in self._ids and (policy.scope is None or policy.scope in self._scopes)

    def has_moments(self, policy: Policy) -> bool:
        """Return whether it has all that a policy asks of the moments of events: a count reads them one by one."""
        return self.answers(policy) and (policy.alert_threshold is None or policy.scope is not None)

    def bit(self, column: str) -> int:
        """Return the bit in ``filled`` of a column that is asked of all events."""
        return self._columns[column, PLACEHOLDERS]

    def reading(
        self, compiled: Callable[..., tuple[CompiledQuery, ...]], policy: Policy, question: Question, *, wide: bool
    ) -> tuple[CompiledQuery, ...]:
        """Return the queries of a policy so that they read these counts where they can.

        Args:
            compiled: Compiles the queries, in 128 bits if ``wide``.
            policy: The policy.
            question: The instants that it is asked about.
            wide: Whether it is to do so.
        """
        queries = compiled(wide=wide)
        return tuple(self._reading(each, policy, question) if each.name in _ALIKE else each for each in queries)

    def _reading(self, query: CompiledQuery, policy: Policy, question: Question) -> CompiledQuery:
        scope = _EVERY if policy.scope is None or query.name == "retention" else self._scopes[policy.scope]
        values: dict[str, object] = {
            "types": list(policy.required_events), "since": question.since, "until": question.until,
            "as_of": question.as_of, "scope": scope,
            "columns_of_fields": [*map(self._bits, _fields(policy))],
        }  # fmt: skip

        def reading(step: Step) -> Step:
            if step.name == "coverage_gaps" and (gaps := gaps_of(policy)):
                text = re.sub(r"\bfrom moments\b", "from shared_moments($scope) as moments", gaps.text)
                return replace(step, sql=text, parameters={**step.parameters, "scope": scope})
            part = self._parts.get(step.name)
            return replace(step, sql=part.text, parameters=part.bind(values)) if part else step

        return replace(query, steps=tuple(reading(step) for step in query.steps if step.name != MOMENTS))

    def _bits(self, columns: _Columns) -> int:
        """Return the bits of the columns of which one must be filled."""
        return sum(self._columns[each] for each in _places([columns])) or _ALWAYS

    def _slots(self, alike: _Alike, *, reads_json: bool) -> dict[str, str]:
        """Return the SQL that fills the slots of the scan, which may ask what is within JSON."""
        asked = {scope: bit for scope, bit in self._scopes.items() if reads_json or not _reads_json(scope)}
        places = sorted({place for scope in asked for place in read_by(scope)[0]})
        scoped = {name: [path for column, path in places if column == name] for name in JSON}
        read = {(name, path): f"{name}_scoped[{at}]" for name in JSON for at, path in enumerate(scoped[name], 1)}
        scopes = [(f"asked_scopes & {bit} > 0", _met(scope, read), bit) for scope, bit in asked.items()]
        within: dict[str, list[str]] = {name: [] for name in JSON}
        bits: dict[bool, list[str]] = {False: [str(_ALWAYS)], True: []}
        for (column, words), bit in self._columns.items():
            if (is_place := _is_place(column)) and not reads_json:
                continue
            met = filled(column, words, within)
            if words == PLACEHOLDERS and not is_place:
                met = f"coalesce(is_filled({column}), false)"  # the same, and faster
            is_asked = "true" if (column, words) in self._of_all else f"asked_columns & {bit} > 0"
            bits[is_place].append(_bit(is_asked, met, bit))
        parts = " ".join(
            f'when {literal(name)} then epoch_us("timestamp") // {length}' for name, length in alike.silences.items()
        )
        of_columns = {columns: sum(self._columns[each] for each in _places([columns])) for columns in alike.fields}
        return {
            "is_asked_about": "true" if alike.everything else _is_one_of(alike.types),
            "scopes_of_type": _of_type((self._scopes[scope], types) for scope, types in alike.scopes.items()),
            "columns_of_type": _of_type(
                ((of_columns[each], types) for each, types in alike.fields.items()),
                sum(self._columns[each] for each in self._of_all),
            ),
            "part_of_day": f"case event_type {parts} else 0 end" if parts else "0",
            "scopes_of_event": _sum(
                [str(_EVERY), *(_bit(is_asked, f"coalesce({met}, true)", bit) for is_asked, met, bit in scopes)]
            ),
            "unknown_of_event": _sum(_bit(is_asked, f"{met} is null", bit) for is_asked, met, bit in scopes),
            "filled_texts": _sum(bits[False]), "filled_places": _sum(bits[True]),
            "reads_json": (" or ".join(self._reads(alike.fields)) if reads_json else "") or "false",
            **{f"values_of_{name}": values_at(name, paths) for name, paths in within.items()},
            **{f"scoped_{name}": values_at(name, paths) for name, paths in scoped.items()},
        }  # fmt: skip

    def _reads(self, fields: Iterable[_Columns]) -> Iterator[str]:
        """Yield the SQL of when what is within JSON matters: where no column of text that would do is filled."""
        within: dict[int, int] = {}
        for columns in fields:
            bits = {True: 0, False: 0}
            for each in _places([columns]):
                bits[_is_place(each[0])] |= self._columns[each]
            within[bits[False]] = within.get(bits[False], 0) | bits[True]
        return (f"(asked_columns & {places} > 0 and texts & {texts} = 0)" for texts, places in within.items() if places)


def shared(
    engine: Engine,
    asked: Sequence[tuple[Policy, Question]],
    *,
    fewest: int = FEWEST,
    everything: Everything | None = None,
    summaries: Summaries | None = None,
) -> Shared | None:
    """Count what policies ask alike; None where too few do, or where it cannot be counted for all of them at once.

    Args:
        engine: The engine, with ``events``.
        asked: Each policy with the instants that it is asked about.
        fewest: From how many policies on it is worth a scan.
        everything: What is asked of all events as well.
        summaries: What counts the engine's events; its rows themselves if None.
    """
    if len(asked) < fewest:
        return None
    alike = _Alike(everything=everything)
    if everything is not None:
        alike.questions.add(everything.question)
    ids = frozenset(policy.id for policy, question in asked if policy.fault is None and alike.add(policy, question))
    with suppress(StatementError, ConditionError):
        return Shared(engine, summaries or RowSummaries(engine), alike, ids) if len(ids) >= fewest else None
    return None


def of_everything(engine: Engine, everything: Everything, summaries: Summaries) -> Shared:
    """Count what is asked of all events, for no policy.

    Args:
        engine: The engine, with ``events``.
        everything: What is asked.
        summaries: What counts the engine's events.

    Raises:
        StatementError: The events cannot be read.
    """
    return Shared(engine, summaries, _Alike({everything.question}, everything=everything), frozenset())


def _fields(policy: Policy) -> Iterator[_Columns]:
    return ((tuple(sorted(rule.any_of)), policy.placeholders) for rule in policy.fields.values())


def _places(fields: Iterable[_Columns]) -> dict[_Column, None]:
    """Return the columns that fields look into; none where one of those that are always filled is enough."""
    return {(each, words): None for columns, words in fields if not {*ALWAYS} & {*columns} for each in columns}


def _met(scope: str, read: Mapping[Place, str]) -> str:
    """Return the SQL of whether an event is in a scope, null where that cannot be told, over what was read of it."""
    tree = condition_tree(scope)
    by_itself, columns = tree.sql(dialect="duckdb"), sorted({column for column, _ in read_by(scope)[0]})
    if not columns:
        return f"try({by_itself})"
    is_read = " and ".join(f"({name} is null or {name}_scoped is not null)" for name in columns)
    over_read = over_columns(tree, read).sql(dialect="duckdb")
    return f"case when {is_read} then try({over_read}) else try({by_itself}) end"


def _is_place(column: str) -> bool:
    """Return whether it is a place within JSON."""
    return "." in column


def _reads_json(scope: str) -> bool:
    places, columns = read_by(scope)
    return bool(places or {*JSON} & columns)


def _nested(alike: _Alike) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Yield event types of which anything within JSON is asked, with columns of text of which one would do."""
    for (columns, words), types in alike.fields.items():
        if any(map(_is_place, columns)):
            texts = {each for each in columns if not _is_place(each)} if words == PLACEHOLDERS else ()
            yield frozenset(types), frozenset(texts)
    yield from ((frozenset(types), frozenset()) for scope, types in alike.scopes.items() if _reads_json(scope))


def _instants(alike: _Alike) -> list[datetime]:
    return sorted({instant for each in alike.questions for instant in (each.since, each.until, each.as_of)})


def _is_one_of(types: Iterable[str]) -> str:
    return f"event_type in ({', '.join(map(literal, sorted(types)))})"


def _of_type(asked: Iterable[tuple[int, Iterable[str]]], of_all: int = 0) -> str:
    """Return the SQL of the bits that are asked of an event by its type, which is looked up once for all of them."""
    bits: dict[str, int] = {}
    for some, types in asked:
        for name in types:
            bits[name] = bits.get(name, of_all) | some
    listed = ", ".join(f"{literal(name)}: {number}" for name, number in sorted(bits.items()))
    return f"coalesce(map {{{listed}}}[event_type], {of_all})" if listed else str(of_all)


def _bit(is_asked: str, met: str, bit: int) -> str:
    """Return the SQL of a bit that is looked for only where the type of the event asks for it."""
    return f"case when {is_asked} then case when {met} then {bit} else 0 end else 0 end"


def _sum(bits: Iterable[str]) -> str:
    return f"cast({' + '.join(bits) or '0'} as bigint)"
