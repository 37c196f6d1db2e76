"""A policy becomes SQL: the statements of ``sql/policies`` with their slots filled in the syntax tree, values bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from auditlake.engine.statements import Statement, statement
from auditlake.policies import kinds
from auditlake.policies.holds import Hold
from auditlake.policies.kinds.model import Inquiry, Query, every, moments
from auditlake.policies.kinds.threshold import changes, values_of
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

if TYPE_CHECKING:
    from sqlglot import exp

_SLOTS = ("predicate", "key_of_group", "on_hold", "holds_of_event")
"""The identifiers that are filled in."""


@dataclass(frozen=True, slots=True)
class Step:
    """One statement ready to run."""

    name: str
    sql: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CompiledQuery:
    """One question of a policy: the statements that answer it, in order; the last of each name gives rows."""

    name: str
    steps: tuple[Step, ...]

    @property
    def sql(self) -> str:
        """All statements as one script, each closed by a semicolon."""
        return "\n\n".join(f"{step.sql};" for step in self.steps)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that any of the statements binds, by name."""
        return dict(sorted(item for step in self.steps for item in step.parameters.items()))


def compile_policy(
    policy: Policy, policies: Sequence[Policy], question: Question, *, holds: Sequence[Hold] = (), wide: bool = False
) -> tuple[CompiledQuery, ...]:
    """Return all queries of a policy, in the order in which they run: those of the questions that it asks.

    Which events there were of each required type is asked of every policy.

    Args:
        policy: The policy to judge.
        policies: Every policy of the lake: the longest retention of each type is taken over them.
        question: The instants that the answer depends on.
        holds: The legal holds of the lake; those that have ended by as_of do not count.
        wide: Count time and group in 128 bits: needed where 63 bits overflow, and slower.
    """
    active = tuple(hold for hold in holds if hold.is_active(question.as_of))
    inquiry = Inquiry(policy, policies, question, active)
    return tuple(
        _query(query, policy, question, holds=active, wide=wide)
        for kind in kinds.KINDS
        if kind.is_asked(policy)
        for query in kind.queries(inquiry)
    )


def moments_of(policies: Sequence[Policy]) -> Step:
    """Return the step ``moments`` of policies judged together: a table where it serves more than one."""
    if len(policies) < 2:
        part = moments()
        return Step(part.name, part.text, {})
    part = statement("policies/moments.sql", "moments_in_memory")
    types = sorted({name for policy in policies for name in policy.required_events})
    return Step(part.name, part.text, {"types": types})


def compile_backtest(policy: Policy, question: Question, thresholds: Sequence[int], *, wide: bool) -> CompiledQuery:
    """Compile how many episodes each threshold would have given: the policy's changes, made once for all of them."""
    values = values_of(policy, question) | {"thresholds": list(thresholds)}
    return _query(Query("backtest", [*changes(policy), *every("backtest")], values), policy, question, wide=wide)


def _query(
    query: Query, policy: Policy, question: Question, *, holds: tuple[Hold, ...] = (), wide: bool = False
) -> CompiledQuery:
    values = {
        "types": list(policy.required_events),
        "as_of": question.as_of,
        "since": question.since,
        "until": question.until,
        **query.values,
    }

    def step(part: Statement) -> Step:
        # Only this one statement makes the numbers that the others compare; from there on the wider type goes along.
        widened = wide and part.name == "arrivals"
        text = _fill(part, policy.where, policy.group_by, holds if "on_hold" in part.text else (), wide=widened)
        return Step(part.name, text, part.bind(values) | (hold_values(holds) if "on_hold" in part.text else {}))

    return CompiledQuery(query.name, tuple(step(part) for part in query.statements))


def fill_holds(part: Statement, holds: Sequence[Hold], values: dict[str, object]) -> Step:
    """Return a statement whose only slot is ``on_hold``, ready to run.

    Args:
        part: The statement.
        holds: The holds that count.
        values: Every value that it may bind.
    """
    return Step(part.name, _fill(part, None, (), tuple(holds)), part.bind(values) | hold_values(holds))


@cache
def _fill(
    part: Statement, where: str | None, group_by: tuple[str, ...], holds: tuple[Hold, ...], *, wide: bool = False
) -> str:
    """Return the statement's text with its slots filled; a statement without slots stays as it is written."""
    if not wide and not any(slot in part.text for slot in _SLOTS):
        return part.text
    from sqlglot import exp, parse_one

    slots = _slots(where, group_by, holds)

    def filled(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Column) and node.name in slots and not node.table:
            return slots[node.name].copy()
        if wide and isinstance(node, exp.DataType) and node.is_type("bigint"):
            return exp.DataType.build("hugeint", dialect="duckdb")
        return node

    tree = parse_one(part.text, dialect="duckdb").transform(filled)
    return tree.sql(dialect="duckdb", pretty=True)


def _slots(where: str | None, group_by: tuple[str, ...], holds: tuple[Hold, ...]) -> dict[str, exp.Expression]:
    """Return what fills each slot identifier of ``sql/``."""
    from sqlglot import exp

    from auditlake.policies.condition import condition_tree

    columns = [exp.column(name, quoted=True) for name in group_by]
    key: exp.Expression = exp.Array(expressions=columns)
    if len(columns) == 1:
        # The column itself says the same as a list of it, and is a third quicker to group by.
        key = columns[0]
    elif columns:
        known = exp.and_(*(column.copy().is_(exp.null()).not_() for column in columns))
        key = exp.Case(ifs=[exp.If(this=known, true=key)])
    return {
        "predicate": exp.paren(condition_tree(where)) if where else exp.true(),
        "key_of_group": key,
        "on_hold": exp.paren(exp.or_(*map(hold_tree, range(len(holds)), holds))) if holds else exp.false(),
        "holds_of_event": _holds_of_event(holds),
    }


_HOLD_LISTS = {"event_types": "event_type", "user_ids": "user_id", "resources": "resource"}
"""What a hold may name, and the column that it is compared with."""


def hold_values(holds: Sequence[Hold]) -> dict[str, object]:
    """Return the values that the conditions of holds bind, by name."""
    values: dict[str, object] = {}
    for number, hold in enumerate(holds):
        lists = {name: list(getattr(hold, name)) for name in _HOLD_LISTS}
        named = {**lists, "since": hold.since, "until": hold.until}
        values |= {f"hold_{number}_{name}": value for name, value in named.items() if value}
    return values


def hold_tree(number: int, hold: Hold) -> exp.Expression:
    """Return the condition of one hold: everything that it names; :func:`hold_values` has its values."""
    from sqlglot import exp

    def bound(name: str) -> exp.Expression:
        return exp.Parameter(this=exp.var(f"hold_{number}_{name}"))

    instant = exp.column("timestamp", quoted=True)
    terms: list[Any] = [
        exp.func("list_contains", bound(name), exp.column(column), dialect="duckdb")
        for name, column in _HOLD_LISTS.items()
        if getattr(hold, name)
    ]
    if hold.since is not None:
        terms.append(exp.GTE(this=instant.copy(), expression=bound("since")))
    if hold.until is not None:
        terms.append(exp.LTE(this=instant.copy(), expression=bound("until")))
    if not terms:
        return exp.true()
    # A column that is null matches nothing that is named.
    known = exp.func("coalesce", exp.and_(*terms), exp.false())
    assert isinstance(known, exp.Expression)
    return known


def _holds_of_event(holds: tuple[Hold, ...]) -> exp.Expression:
    """Return a list with the number of every hold that an event is under."""
    from sqlglot import exp

    numbers = [
        exp.Case(ifs=[exp.If(this=hold_tree(number, hold), true=exp.Literal.number(number))])
        for number, hold in enumerate(holds)
    ]
    return exp.Array(expressions=numbers or [exp.cast(exp.null(), "int")])


def filled(part: Statement, policy: Policy) -> str:
    """Return a statement with a policy's condition and groups in its slots."""
    return _fill(part, policy.where, policy.group_by, ())


def samples_of(policy: Policy, question: Question, most: int) -> CompiledQuery:
    """Return a few events of the first ``shown`` episodes; only after the rolling counts, on one engine."""
    values = values_of(policy, question) | {"shown": most}
    return _query(Query("samples", every("samples"), values), policy, question)
