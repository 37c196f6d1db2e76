"""The measure ``sequence``: whether several steps came one after the other in one window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from auditlake.display.text import moment, spelled
from auditlake.engine.statements import Statement, statements
from auditlake.policies.condition import LONGEST
from auditlake.policies.kinds.model import FindingKind, Key
from auditlake.policies.kinds.steps import Step, check_types, condition_sql, failing_sql, read_steps, steps_schema
from auditlake.policies.kinds.threshold import MEASURED, Threshold, ThresholdKind, Trace, groups, seen_times, whose
from auditlake.policies.kinds.values import read_condition
from auditlake.policies.kinds.words import Words
from auditlake.policies.model import Number, Policy
from auditlake.policies.question import Question

if TYPE_CHECKING:
    import yaml

    from auditlake.engine.model import Row
    from auditlake.yaml_reader import Reader

_STEPS = steps_schema("The steps that are looked for in one window, in this order.", ("count", "window"), 1)


class SequenceKind(ThresholdKind):
    """Steps in their order; of each as many events as it says."""

    name = "sequence"
    keys = (
        Key("sequence", _STEPS, read=lambda reader, node, key: read_steps(reader, node, key, _STEPS), asks=True),
        Key("until", {"type": "string", "maxLength": LONGEST, "description":
            "A SQL condition; an event that meets it between the first and the last event undoes the sequence."},
            read=read_condition, needs=("sequence",)),
    )  # fmt: skip
    asked_by = "sequence"
    drawn = "The chain that begins the episode"
    is_linked = True
    title = "Sequences"
    has_steps = True
    shows_start = True
    finding_kinds = (FindingKind("sequence", "sequence", MEASURED),)

    def complete(self, reader: Reader, fields: Mapping[str, yaml.Node], values: dict[str, Any]) -> None:
        """Check the types of the steps, and that the threshold is what a sequence can reach."""
        check_types(reader, "sequence", values["sequence"], values["required_events"])
        if values.setdefault("alert_threshold", 1) != 1:
            reader.wrong(fields["alert_threshold"], "alert_threshold: expected 1: a sequence is there, or it is not")

    def intervals(self, policy: Policy) -> Iterable[Statement]:
        """Return from when to when a chain of the steps lies in the window."""
        parts = statements("policies/sequence.sql")
        stopping = ("unstopped",) if "until" in policy.more else ()
        steps: Sequence[Step] = policy.more["sequence"]
        later = ("next_step" if step.count > 1 else "next_step_of_one" for step in steps[1:])
        in_order = "in_order" if _tells_by_id(policy) else "in_order_by_step"
        rest = (in_order, "ordered", "first_step", *later, "completed", *stopping, "spans")
        return (parts["matching"], groups(), *(parts[name] for name in rest))

    def evidence(self, policy: Policy) -> Iterable[Statement]:
        """Return the chain that begins each episode."""
        return (statements("policies/sequence.sql")["evidence"],)

    def tally(self, policy: Policy) -> Iterable[Statement]:
        """Return how many events of a group complete a chain on a day."""
        return (statements("policies/sequence.sql")["tally_by_day"],)

    def own_slots(self, policy: Policy) -> Mapping[str, str]:
        """Return the steps of an event as bits."""
        until = policy.more.get("until")
        conditions = [step.sql for step in policy.more["sequence"]] + ([condition_sql(until)] if until else [])
        bits = (f"case when {each} then {1 << number} else 0 end" for number, each in enumerate(conditions))
        failing = [step.fails for step in policy.more["sequence"]] + ([failing_sql(until)] if until else [])
        steps = f"cast({' + '.join(bits)} as bigint)"
        return {
            "steps_of_event": f"unnest([{steps}])" if self.expressions(policy) else steps,
            "has_failed": f"({' or '.join(failing)})",
            "told_by": "[source, event_id]" if _tells_by_id(policy) else "null",
        }

    def values(self, policy: Policy, question: Question) -> Mapping[str, object]:
        """Return how many events each step takes, and within which time."""
        steps: Sequence[Step] = policy.more["sequence"]
        return {
            "step_counts": [step.count for step in steps],
            "step_windows": [step.window and step.window.microseconds for step in steps],
        }

    def about(self, rows: Sequence[Row], policy: Policy) -> Mapping[str, Any]:
        """Return the chain that begins an episode, and how many events of it complete one."""
        steps: Sequence[Step] = policy.more["sequence"]
        chain = [
            {"step": steps[number - 1].name, "first": first, "last": last, "events": steps[number - 1].count,
             "instants": list(instants)}
            for number, first, last, instants, _ in rows
        ]  # fmt: skip
        return {"steps": chain, "completions": max((row[-1] for row in rows), default=0)}

    def asked(self, policy: Policy) -> dict[str, Any]:
        """Return the steps and what undoes them."""
        until = {key: policy.more[key] for key in ("until",) if key in policy.more}
        return {"sequence": [step.asked for step in policy.more["sequence"]], **until}

    def expressions(self, policy: Policy) -> Iterable[str]:
        """Return what the steps are told by."""
        steps: Sequence[Step] = policy.more["sequence"]
        return tuple(text for text in (*(step.where for step in steps), policy.more.get("until")) if text)

    def looked_at(self, policy: Policy) -> Sequence[tuple[Sequence[str], str | None]]:
        """Return the steps, and what undoes them."""
        until = policy.more.get("until")
        return [*((step.types, step.where) for step in policy.more["sequence"]), *([((), until)] if until else [])]

    def traces(self, evidence: Mapping[str, Any]) -> tuple[Trace, ...]:
        """Return the steps of the chain."""
        return seen_times(evidence["steps"], lambda each: f"step {each['step']}")

    def measured(self, asked: Mapping[str, Any], number: Number, said: Callable[[str], str] = str) -> str:
        """Return what is counted."""
        steps = len(asked["sequence"])
        return f"sequence{'' if number == 1 else 's'} of {steps} step{'' if steps == 1 else 's'}"

    def words(self, answer: Threshold, apart: str, noun: Callable[[Number], str]) -> Words:
        """Return what a page says of sequences, which are there or not."""
        window = spelled(answer.window)
        return replace(
            super().words(answer, apart, noun),
            measured=f"whether there is a {noun(1)}",
            meaning="Whether the steps come one after the other in the window that ends at an instant, each with as "
            "many events as it takes.",
            stretch="The longest stretch of time on which the window of one group contains a sequence.",
            charted=f"Whether there was a sequence {{}}: {len(answer.asked['sequence'])} steps{apart} within {window}",
            highest=None,
            reached="There is a sequence",
            limit="of a sequence",
            found=f"a {noun(1)}{apart} within {window}",
            none=f"No window of {window} contained a {noun(1)}{apart}",
        )

    def told(
        self, policy: Policy, group: Mapping[str, str | None], peak: Number, evidence: Mapping[str, Any]
    ) -> str:  # fmt: skip
        """Return an episode in words, with when each step of its chain was."""
        when = "; ".join(f"step {each['step']} {_when(each)}" for each in evidence["steps"])
        return f"{self.message(policy, group, peak)}: {when}"

    def message(self, policy: Policy, group: Mapping[str, str | None], peak: Number) -> str:
        """Return an episode in words."""
        return f"A {self.measured(policy.more, 1)} within {policy.window}{whose(group)}"


def _tells_by_id(policy: Policy) -> bool:
    """Return whether events of one instant may be of several steps, the first and the last of which are the same."""
    steps: Sequence[Step] = policy.more["sequence"]
    types = [name for step in steps for name in step.types]
    is_of_one = all(step.types for step in steps) and len({*types}) == len(types)
    return not is_of_one and len(steps) + ("until" in policy.more) > 2


def _when(step: Mapping[str, Any]) -> str:
    """Return when the events of a step were."""
    first, last = moment(step["first"], zone=False), moment(step["last"])
    return f"at {last}" if step["events"] == 1 else f"{step['events']:,} times from {first} to {last}"
