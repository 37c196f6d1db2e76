"""The measure ``together``: how many of several steps there are in one window, in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from auditlake.display.text import spelled
from auditlake.engine.expression_gate import ExpressionGate
from auditlake.engine.parse_tree import Node, expressions
from auditlake.engine.probe import ConditionError
from auditlake.engine.statements import Statement, statements
from auditlake.policies.condition import LONGEST, key_sql
from auditlake.policies.kinds.distinct import unions
from auditlake.policies.kinds.model import FindingKind, Key, every
from auditlake.policies.kinds.steps import Step, check_types, read_steps, steps_schema
from auditlake.policies.kinds.threshold import MEASURED, Threshold, ThresholdKind, Trace, groups, seen_times, whose
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.yaml_reader import Reader

_STEPS = steps_schema("The steps that are looked for in one window, in any order.", ("group_by",), 2)
_LOGIC = frozenset({"COLUMN_REF", "CONJUNCTION", "OPERATOR"})


class TogetherKind(ThresholdKind):
    """Steps that are present in one window; with a condition over their names, whether it holds."""

    name = "together"
    keys = (
        Key("together", _STEPS, read=lambda reader, node, key: read_steps(reader, node, key, _STEPS), asks=True),
        Key("condition", {"type": "string", "maxLength": LONGEST, "description":
            "Which steps there are to be: their names with and, or, not and parentheses."}, needs=("together",)),
    )  # fmt: skip
    asked_by = "together"
    raises_alerts = True
    drawn = "Steps in the window of the peak"
    title = "Steps together"
    meaning = "The number of steps that have an event"
    has_steps = True
    finding_kinds = (FindingKind("together", "time together", MEASURED),)

    def complete(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Ask for all steps where nothing else is said, and check what the condition and the steps name."""
        steps, condition = values["together"], values.get("condition")
        check_types(reader, "together", steps, values["required_events"])
        for step in steps:
            if step.group_by and len(step.group_by) != len(values.get("group_by", ())):
                why = f"group_by: expected as many values as the policy has, got {len(step.group_by)}"
                reader.mistakes.append((*step.line, why))
        most = len(steps) if condition is None else 1
        if values.setdefault("alert_threshold", most) > most:
            reader.wrong(fields["alert_threshold"], f"alert_threshold: expected {most} at most, which is what can be")
        if condition is not None:
            try:
                _logic(condition, tuple(step.name for step in steps))
            except ConditionError as error:
                reader.mistakes.append((*reader.inside(fields["condition"], error.offset), f"condition: {error}"))

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return for each step the union of the windows of its events, or where the condition holds."""
        own = statements("policies/together.sql")
        yield from (own["matching"], groups(), *unions(policy))
        if "condition" in policy.more:
            yield own["spans_together"]

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return the steps that are present at the peak of each episode."""
        return (part for part in every("distinct") if part.name == "evidence")

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the steps of an event, and the condition over those that are present."""
        steps: Sequence[Step] = policy.more["together"]
        keys = [key_sql(step.group_by or policy.group_by) for step in steps]
        cases = [
            f"case when {step.sql} then {{'number': {number}, 'group_key': {key}}} end"
            for number, (step, key) in enumerate(zip(steps, keys, strict=True))
        ]
        grouped = f"({key_sql(policy.group_by)}) is not null"
        if any(step.group_by for step in steps):
            in_steps = " or ".join(step.sql for step in steps)
            in_groups = " or ".join(
                f"({step.sql} and ({key}) is not null)" for step, key in zip(steps, keys, strict=True)
            )
            grouped = f"case when {in_steps} then {in_groups} else {grouped} end"
        condition = policy.more.get("condition")
        holds = _logic(condition, tuple(step.name for step in steps)) if condition else "true"
        return {
            "steps_of_event": f"[{', '.join(cases)}]", "steps_hold": holds, "is_grouped": grouped,
            "has_failed": f"({' or '.join(step.fails for step in steps)})",
        }  # fmt: skip

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return the steps that are present, each with its first and last event in the window of the peak."""
        steps: Sequence[Step] = policy.more["together"]
        return {
            "steps": [
                {"step": steps[number].name, "first": first, "last": last, "events": events}
                for number, first, last, events in rows
            ]
        }

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return the steps and the condition."""
        condition = {key: policy.more[key] for key in ("condition",) if key in policy.more}
        return {"together": [step.asked for step in policy.more["together"]], **condition}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return what the steps are told by."""
        steps: Sequence[Step] = policy.more["together"]
        return tuple(text for step in steps for text in (step.where, *step.group_by) if text)

    def looked_at(self, policy: Policy) -> Sequence[tuple[Sequence[str], str | None]]:
        """Return the steps."""
        return [(step.types, step.where) for step in policy.more["together"]]

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return the steps."""
        return seen_times(evidence["steps"], lambda each: f"step {each['step']}")

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is counted."""
        if "condition" in asked:
            return f"moment{'' if number == 1 else 's'} with {asked['condition']}"
        return f"of {len(asked['together'])} steps together"

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of steps, or of the condition over them."""
        words, window, steps = super().words(answer, apart, noun), spelled(answer.window), len(answer.asked["together"])
        if condition := answer.asked.get("condition"):
            return replace(
                words,
                measured=f"whether the steps present in the window meet {condition}",
                meaning=f"Whether the steps with an event in the window that ends at an instant meet {condition}.",
                stretch="The longest stretch of time on which the steps of one group meet the condition.",
                charted=f"Whether the steps met the condition {{}}: {condition}{apart} within {window}",
                highest=None,
                reached="The condition is met",
                limit="of the condition",
                found=f'"{condition}"{apart} within {window}',
                none=f'There was no time with "{condition}"{apart} within {window}',
            )
        least = answer.alert_threshold
        some = f"all {steps} steps" if least == steps else f"at least {least} of {steps} steps"
        return replace(
            words,
            measured=f"how many of {steps} steps there are together",
            charted=f"Most steps together {{}}: of {steps}{apart} within {window}",
            highest="number of steps",
            limit=f"of {'all ' if least == steps else ''}{least} steps{'' if least == steps else ' or more'}",
            found=f"{some} together{apart} within {window}",
            none=f"No window of {window} contained {some}{apart}",
        )

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words."""
        if "condition" in policy.more:
            return f"{policy.more['condition']} within {policy.window}{whose(group)}"
        steps = len(policy.more["together"])
        return (
            f"{peak} of {steps} steps within {policy.window}{whose(group)}: the threshold is {policy.alert_threshold}"
        )


@lru_cache(maxsize=256)
def _logic(text: str, names: tuple[str, ...]) -> str:
    """Return the SQL of a condition over the names of steps, of which `present` has one bit each.

    Raises:
        ConditionError: It is more than names with and, or, not and parentheses.
    """
    import sqlglot

    def judge(node: Node) -> None:
        for each in expressions(node):
            if each["class"] not in _LOGIC or each["type"] in ("OPERATOR_IS_NULL", "OPERATOR_TRY", "COMPARE_IN"):
                why = "only the names of steps with and, or, not and parentheses are allowed"
                raise ConditionError(why, each.get("query_location"))

    gate = ExpressionGate(dict.fromkeys(map(str.lower, names), "BOOLEAN"), what="condition of steps", judge=judge)
    bits = {name.lower(): 1 << number for number, name in enumerate(names)}
    try:
        tree = sqlglot.parse_one(gate.check(text, tried=False).spelling, dialect="duckdb")
    except ConditionError as error:
        message = str(error).replace("an event has no column", "there is no step")
        raise ConditionError(message, error.offset) from None

    def filled(node: sqlglot.exp.Expr) -> sqlglot.exp.Expr:
        if isinstance(node, sqlglot.exp.Column):
            return sqlglot.parse_one(f"(present & {bits[node.name.lower()]}) > 0", dialect="duckdb")
        return node

    return f"({tree.transform(filled).sql(dialect='duckdb')})"
