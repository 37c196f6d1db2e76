"""A policy becomes SQL: the statements of ``sql/policies`` with their slots filled in the syntax tree, values bound."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from auditlake.engine.statements import Statement, statement
from auditlake.policies import kinds
from auditlake.policies.condition import condition_tree, key_sql
from auditlake.policies.extraction import with_slots
from auditlake.policies.holds import Hold
from auditlake.policies.kinds.fields import slots_of_fields
from auditlake.policies.kinds.model import MOMENTS, Inquiry, Query, moments
from auditlake.policies.kinds.threshold import values_of
from auditlake.policies.model import Policy
from auditlake.policies.places import over_columns
from auditlake.policies.question import Question

if TYPE_CHECKING:
    from sqlglot import exp

_SLOTS = ("predicate", "key_of_group", "on_hold", "holds_of_event")
"""The identifiers that are filled in for every policy; a kind may have more."""
_OF_POLICY = _SLOTS[:2]
OWN_EVENTS = "own_events"
"""A sieve's table of the events that one policy counts or fails on."""
_MET = "case when failed then cast('failed on ' || event_id as boolean) else met end"
"""What stands for a policy's condition over that table: what it was, and an error where it was one."""
_OF_LONG_AGO = '"timestamp" <= $history_start'
"""What statements have that ask, of a few subjects, for events older than any that a sieve reads."""
_STEPS = "steps_of_event"
"""The slot of statements that look only at events of some step; where a policy has no condition, these are its own."""
_NARROWED = ("events", "moments", "fresh", "numbered", OWN_EVENTS)
"""The relations of which a policy with a scope reads only what is in scope: ``fresh`` is a batch of live events,
``numbered`` the events on which a condition is tried."""
OF_ANYTHING = ("presence", "presence_now", "first_event")
"""The statements that ask of all events: whether anything was received, and since when there are any."""
_MAKING = re.compile(r"^create or replace temp table ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Filling:
    """What the slots of a statement are filled with."""

    where: str | None = None
    group_by: tuple[str, ...] = ()
    holds: tuple[Hold, ...] = ()
    more: tuple[tuple[str, str], ...] = ()
    """The slots of a kind, by name, and their SQL."""
    scope: str | None = None
    """The condition that decides which events there are."""
    is_read: bool = False
    """Whether what the slots read in details and metadata was read before, and is in columns."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement ready to run."""

    name: str
    sql: str
    parameters: Mapping[str, Any]
    makes_table: bool = False
    """Whether it makes a temporary table, of its own name, instead of giving rows."""
    is_judging: bool = False
    """Whether it depends on the policy's condition or groups."""


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """One question of a policy: the statements that answer it, in order; the last of each name gives rows."""

    name: str
    steps: tuple[Step, ...]
    enough: str = ""
    """The step after which the others have no rows where it has none."""

    @property
    def sql(self) -> str:
        """All statements as one script, each closed by a semicolon."""
        return "\n\n".join(f"{step.sql};" for step in self.steps)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that any of the statements binds, by name."""
        return dict(sorted(item for step in self.steps for item in step.parameters.items()))


def compile_policy(
    policy: Policy, policies: Sequence[Policy], question: Question, *, holds: Sequence[Hold] = (), wide: bool = False,
    only: str | None = None, table: str | None = None, left_out: Collection[str] = (),
) -> tuple[CompiledQuery, ...]:  # fmt: skip
    """Return all queries of a policy, in the order in which they run: those of the questions that it asks.

    Which events there were of each required type is asked of every policy.

    Args:
        policy: The policy to judge.
        policies: Every policy of the lake: the longest retention of each type is taken over them.
        question: The instants that the answer depends on.
        holds: The legal holds of the lake; those that have ended by as_of do not count.
        wide: Count time and group in 128 bits: needed where 63 bits overflow, and slower.
        only: The name of the one query that is wanted; all of them if None.
        table: The table of a sieve to read instead of ``events`` wherever the policy's condition or groups decide.
        left_out: The names of queries that are not wanted.
    """
    active = tuple(hold for hold in holds if hold.is_active(question.as_of))
    inquiry = Inquiry(policy, policies, question, active)
    return tuple(
        _query(query, policy, question, holds=active, wide=wide, table=table)
        for kind in kinds.KINDS
        if kind.is_asked(policy)
        for query in kind.queries(inquiry)
        if only in {None, query.name} and query.name not in left_out
    )


def compile_by_day(
    policy: Policy, question: Question, *, only: Collection[str], few: bool = False, wide: bool = False,
    table: str | None = None,
) -> tuple[CompiledQuery, ...]:  # fmt: skip
    """Return what is asked of each UTC day of the question's period; the rows of each begin with their day.

    Args:
        policy: The policy to judge.
        question: The period.
        only: The names of the queries that are wanted.
        few: Whether the period has few events.
        wide: As for :func:`compile_policy`.
        table: As for :func:`compile_policy`.
    """
    shorter = kinds.measure_of(policy).few_days(Inquiry(policy, (policy,), question)) if few else None
    return tuple(
        _query(shorter if shorter and query.name == shorter.name else query, policy, question, wide=wide, table=table)
        for query in _by_day(policy, question)
        if query.name in only
    )  # fmt: skip


def compile_arrivals(policy: Policy, question: Question, number: int, *, table: str | None = None) -> Step:
    """Compile what adds the events that count in a policy to those of others, which have other numbers."""
    key = key_sql(policy.group_by)
    keys = f"case when not {key} is null then [{key}] end" if len(policy.group_by) == 1 else key
    part = statement("policies/few_days.sql", "arrivals_of_policy")
    values = {**values_of(policy, question), "until": question.until, "number": number}
    query = Query("arrivals_of_policy", (part,), values, {"keys_of_group": keys})
    if policy.where is None and policy.scope is None and table is None:
        # To read and write a tree takes longer than the statement, which people are not shown.
        query = replace(query, statements=(replace(part, text=with_slots(part, {"predicate": "true", **query.slots})),))
    (step,) = _query(query, policy, question, table=table).steps
    return step


def compile_arrived(policy: Policy, types: Sequence[str], look_back: datetime, question: Question) -> Step:
    """Compile when each event of some types is from an instant on, and in which of the policy's groups."""
    part = statement("policies/many_events.sql", "arrived")
    slots = {"text_of_group": _group_text(policy) if policy.group_by else "null"}
    query = Query(part.name, (part,), {"types": [*types], "look_back": look_back}, slots)
    (step,) = _query(query, policy, question).steps
    return step


def told_by_day(policy: Policy, question: Question) -> Mapping[str, str]:
    """Return the queries of :func:`compile_by_day` by name, each as a text that two have in common only if their
    statements are the same.
    """
    own = (policy.required_events, policy.where, policy.group_by, policy.scope)
    return {
        query.name: repr((own, [part.text for part in query.statements], sorted(query.values.items()), query.slots))
        for query in _by_day(policy, question)
    }


def _by_day(policy: Policy, question: Question) -> Iterator[Query]:
    inquiry = Inquiry(policy, (policy,), question)
    return (query for kind in kinds.KINDS if kind.is_asked(policy) for query in kind.by_day(inquiry))


def compile_leaf(policy: Policy, question: Question, holds: Sequence[Hold] = ()) -> Step:
    """Compile what engines of slices ask of each governed event: type, instant, verdict, group, whether it is held."""
    query = Query("leaf", (statement("slices/leaf.sql", "leaf"),), {}, {"text_of_group": _group_text(policy)})
    active = tuple(hold for hold in holds if hold.is_active(question.as_of))
    return _query(query, policy, question, holds=active).steps[0]


def compile_lacking(policy: Policy, question: Question) -> Step:
    """Compile the same where what an event lacks of a policy's fields stands for its group."""
    query = Query("leaf", (statement("slices/fields.sql", "lacking"),), {}, slots_of_fields(policy), is_narrowed=False)
    return _query(query, policy, question).steps[0]


def compile_parted(policy: Policy, question: Question) -> Step:
    """Compile which part of the events each governed one belongs to: that of its group."""
    part = statement("slices/groups.sql", "parted")
    return _query(
        Query("parted", (part,), {}, {"text_of_group": _group_text(policy)}, is_scoped=False), policy, question
    ).steps[0]  # fmt: skip


def compile_by_group(policy: Policy, question: Question, *, wide: bool = False) -> tuple[Step, ...]:
    """Return every statement about a policy's measure, in order; over the events of some of its groups they give the
    answers of these groups. ``behind_peaks`` is for the page.
    """
    kind = kinds.measure_of(policy)
    shown = (kind.machine(policy)["shown"], statement("slices/groups.sql", "behind_peaks"))
    whole = policy.measure != "count"
    values = {**values_of(policy, question), **kind.values(policy, question), "shown": _ALL, "whole_window": whole}
    queries = (*kind.queries(Inquiry(policy, (policy,), question)), Query("shown", shown, values))
    steps = (step for query in queries for step in _query(query, policy, question, wide=wide).steps)
    return tuple(step for step in steps if step.name not in OF_ANYTHING)


_ALL = 1 << 62
"""More episodes than there are."""


def _group_text(policy: Policy) -> str:
    """Return the SQL of an event's group as one text."""
    key = key_sql(policy.group_by)
    return key if len(policy.group_by) == 1 else f"cast(to_json({key}) as varchar)" if policy.group_by else "''"


def moments_of(policies: Sequence[Policy], *, fewest: int = 2) -> Step:
    """Return the step ``moments`` of policies judged together: a table where they are so many at least."""
    if len(policies) < fewest:
        part = moments()
        return Step(part.name, part.text, {})
    part = statement("policies/moments.sql", "instants_in_memory")
    types = sorted({name for policy in policies for name in policy.required_events})
    return Step(part.name, part.text, {"types": types}, makes_table=True)


def compile_backtest(
    policy: Policy, question: Question, thresholds: Sequence[int], *, wide: bool
) -> tuple[CompiledQuery]:
    """Compile how many episodes each threshold would have given: the policy's changes, made once for all of them."""
    query = kinds.measure_of(policy).backtest(Inquiry(policy, (policy,), question), thresholds)
    return (_query(query, policy, question, wide=wide),)


def _query(
    query: Query, policy: Policy, question: Question, *, holds: tuple[Hold, ...] = (), wide: bool = False,
    table: str | None = None,
) -> CompiledQuery:  # fmt: skip
    values = {
        "types": list(policy.required_events),
        "as_of": question.as_of,
        "since": question.since,
        "until": question.until,
        **query.values,
    }
    is_own, has_condition = table == OWN_EVENTS, policy.where is not None or policy.scope is not None
    # A sieve judges steps on their own only if none of them fails.
    own_slots = {**query.slots, "has_failed": "false"} if is_own and not has_condition else query.slots
    slots, scope = tuple(own_slots.items()), policy.scope if query.is_scoped else None
    judging = (*_OF_POLICY, *query.slots) if query.is_narrowed else _OF_POLICY

    def step(part: Statement) -> Step:
        # Only this one statement makes the numbers that the others compare; from there on the wider type goes along.
        widened = wide and part.name == query.widened
        is_judging = any(slot in part.text for slot in judging)
        own = holds if "on_hold" in part.text else ()
        is_decided = is_judging if has_condition or not is_own else _STEPS in part.text
        is_sieved = table is not None and is_decided and _OF_LONG_AGO not in part.text
        read = _reading(part, str(table)) if is_sieved else part
        where = _MET if is_sieved and is_own and has_condition else policy.where
        within = None if part.name in (*OF_ANYTHING, "scope_unknown") else scope
        filling = _Filling(where, policy.group_by, own, slots, within, is_read=is_sieved)
        text = _fill(read, filling, wide=widened)
        bound = part.bind(values) | (hold_values(holds) if own else {})
        return Step(part.name, text, bound, _MAKING.search(part.text) is not None, is_judging)

    # What is read in scope is read from the events themselves: moments are shared with other policies.
    parts = (part for part in query.statements if scope is None or part.name != MOMENTS)
    return CompiledQuery(query.name, tuple(map(step, parts)), query.enough)


def fill_holds(part: Statement, holds: Sequence[Hold], values: dict[str, object]) -> Step:
    """Return a statement whose only slot is ``on_hold``, ready to run.

    Args:
        part: The statement.
        holds: The holds that count.
        values: Every value that it may bind.
    """
    return Step(part.name, _fill(part, _Filling(holds=tuple(holds))), part.bind(values) | hold_values(holds))


def fill_slots(part: Statement, slots: Mapping[str, str]) -> str:
    """Return a statement's text with SQL in slots of its own, by name, and none of a policy."""
    return _fill(part, _Filling(more=tuple(slots.items())))


@cache
def _reading(part: Statement, table: str) -> Statement:
    """Return the statement, reading a sieve's table where it reads ``events``."""
    return replace(part, text=re.sub(r"\b(from|join) events\b", rf"\1 {table} as events", part.text))


def _fill(part: Statement, filling: _Filling, *, wide: bool = False) -> str:
    """Return the statement's text with its slots filled; a statement without slots stays as it is written."""
    is_plain = not any(slot in part.text for slot in (*_SLOTS, *dict(filling.more)))
    if is_plain and not wide and filling.scope is None:
        return part.text
    where = filling.where
    if where is None or "predicate" not in part.text:
        return _written(part, replace(filling, where=None), wide=wide)
    if "\n" in where:  # what is in quotes may have several lines, which are not to be indented
        return _written(part, filling, wide=wide)
    # The tree around a condition is the same for all policies: it is written once, with a name as long as the
    # condition, since what is long is broken into lines; and the condition on its own.
    lines = _pretty(where).split("\n")
    length = sum(map(len, lines)) + 3 * (len(lines) - 1)
    around = _written(part, replace(filling, where=_elsewhere(min(length, _LONG))), wide=wide)
    return _PLACE.sub(lambda place: "\n".join(f"{place[1]}{line}" for line in lines), around)


_LONG = 200
"""From so many characters on, nothing around a condition stands on its line."""
_PLACE = re.compile(r"^( *)__condition_*$", re.MULTILINE)


def _elsewhere(length: int) -> str:
    """Return a name of so many characters that stands for a condition; of a few more where there are too few."""
    return "__condition".ljust(length, "_")


@lru_cache(maxsize=4096)
def _pretty(where: str) -> str:
    """Return a condition as it is written within a statement, on lines of its own."""
    return str(_condition(where).sql(dialect="duckdb", pretty=True))


def _condition(where: str) -> exp.Expr:
    is_ours = where == _MET or where.startswith("__condition")
    return _parsed(where) if is_ours else condition_tree(where)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> exp.Expr:
    """Return the tree of a text, which is not to be changed: many statements have the same parts."""
    from sqlglot import parse_one

    return parse_one(text, dialect="duckdb")


@cache
def _written(part: Statement, filling: _Filling, *, wide: bool = False) -> str:
    """Return the statement's text with its slots filled in the syntax tree."""
    from sqlglot import exp

    slots, tree = _slots(part, filling), _parsed(part.text)
    narrowed = set(_NARROWED).difference(each.alias for each in tree.find_all(exp.CTE)) if filling.scope else ()

    def filled(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.name in slots and not node.table:
            return slots[node.name].copy()
        if filling.scope and isinstance(node, exp.Table) and node.name in narrowed:
            return _in_scope(node, filling.scope, is_read=filling.is_read)
        if wide and isinstance(node, exp.DataType) and node.is_type("bigint"):
            return exp.DataType.build("hugeint", dialect="duckdb")
        return node

    return tree.transform(filled).sql(dialect="duckdb", pretty=True)


def _in_scope(table: exp.Table, scope: str, *, is_read: bool) -> exp.Expr:
    """Return what of a relation is in scope: also what cannot be told to be outside."""
    from sqlglot import exp, select

    condition = over_columns(condition_tree(scope)) if is_read else condition_tree(scope)
    met = exp.func("coalesce", exp.Try(this=condition), exp.true())
    is_moments = table.name == MOMENTS
    columns = [exp.column("event_type"), exp.column("timestamp", quoted=True)] if is_moments else [exp.Star()]
    read = select(*columns).from_("events" if is_moments else table.copy()).where(met)
    return read.subquery(table.alias_or_name)


def _slots(part: Statement, filling: _Filling) -> dict[str, exp.Expr]:
    """Return what fills each slot identifier of a statement."""
    from sqlglot import exp

    matched = [_hold_condition(number, hold) for number, hold in enumerate(filling.holds)]
    numbers = [f"case when {condition} then {number} end" for number, condition in enumerate(matched)]
    texts = {
        "key_of_group": key_sql(filling.group_by),
        "on_hold": f"({' or '.join(matched)})" if matched else "false",
        "holds_of_event": f"[{', '.join(numbers) or 'cast(null as int)'}]",
        **dict(filling.more),
    }
    slots = {name: _parsed(text) for name, text in texts.items() if name in part.text}
    if filling.is_read:
        slots = {name: over_columns(tree.copy()) for name, tree in slots.items()}
    return slots | {"predicate": exp.paren(_condition(filling.where)) if filling.where else exp.true()}


_HOLD_TERMS = {
    "event_types": "list_contains({}, event_type)",
    "user_ids": "list_contains({}, user_id)",
    "resources": "list_contains({}, resource)",
    "since": '"timestamp" >= {}',
    "until": '"timestamp" <= {}',
}
"""What a hold may name, and the condition that this makes."""


def hold_values(holds: Sequence[Hold]) -> dict[str, object]:
    """Return the values that the conditions of holds bind, by name."""
    values: dict[str, object] = {}
    for number, hold in enumerate(holds):
        for name in _HOLD_TERMS:
            if value := getattr(hold, name):
                values[f"hold_{number}_{name}"] = list(value) if isinstance(value, tuple) else value
    return values


def _hold_condition(number: int, hold: Hold) -> str:
    """Return the condition of one hold: everything that it names; :func:`hold_values` has its values."""
    terms = [term.format(f"$hold_{number}_{name}") for name, term in _HOLD_TERMS.items() if getattr(hold, name)]
    # A column that is null matches nothing that is named.
    return f"coalesce({' and '.join(terms)}, false)" if terms else "true"


def narrowed(part: Statement, scope: str | None) -> str:
    """Return a statement without slots, reading of ``events`` what is in a scope."""
    return _fill(part, _Filling(scope=scope))


def filled(part: Statement, policy: Policy) -> str:
    """Return a statement with a policy's condition and groups in its slots, reading what is in its scope."""
    return _fill(part, _Filling(policy.where, policy.group_by, scope=policy.scope))


def samples_of(policy: Policy, question: Question, most: int, *, table: str | None = None) -> CompiledQuery:
    """Return a few events of the first ``shown`` episodes; only after the rolling counts, on one engine."""
    kind, whole = kinds.measure_of(policy), policy.measure != "count"
    values = {**values_of(policy, question), **kind.values(policy, question), "shown": most, "whole_window": whole}
    shown = kind.machine(policy)["shown"]
    samples = Query("samples", (shown, statement("policies/samples.sql", "samples")), values)
    return _query(samples, policy, question, table=table)


def samples_again(policy: Policy, question: Question) -> CompiledQuery:
    """Return the same for episodes that are bound: ``keys``, ``starts``, ``starts_shown`` and ``peaks_at``."""
    bound = ("keys", "starts", "starts_shown", "peaks_at")
    slots = {"key_of_episode": "keys[1]" if len(policy.group_by) == 1 else "keys"}
    parts = (statement("policies/by_day.sql", "shown"), statement("policies/samples.sql", "samples"))
    return _query(Query("samples", parts, dict.fromkeys(bound), slots), policy, question)
