"""Steps that policies list: which events belong to each, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from auditlake.engine.sql_text import literal
from auditlake.events.durations import Duration
from auditlake.policies import schema
from auditlake.policies.condition import LONGEST, condition_tree
from auditlake.policies.kinds.model import length
from auditlake.policies.kinds.values import VALUES, read_condition, read_values

if TYPE_CHECKING:
    from auditlake.yaml_reader import Reader

MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a policy."""

    name: str
    """As it was written; else its number."""
    where: str | None = None
    types: tuple[str, ...] = ()
    """The event types that it takes; all of the policy's where there are none."""
    group_by: tuple[str, ...] = ()
    """What its events are grouped by in place of the policy's."""
    count: int = 1
    """How many of its events make it."""
    window: Duration | None = None
    """Within which these must lie; half-open."""
    line: tuple[int, int] = field(default=(0, 0), compare=False, repr=False)
    """Where in its file it stands."""

    @property
    def sql(self) -> str:
        """The condition of the step, false where it is null or fails."""
        types = f"event_type in ({', '.join(map(literal, self.types))})" if self.types else "true"
        return f"({types} and {condition_sql(self.where)})" if self.where else types

    @property
    def fails(self) -> str:
        """The SQL of whether the condition of the step cannot be evaluated on an event that it takes."""
        types = f"event_type in ({', '.join(map(literal, self.types))}) and " if self.types else ""
        return f"({types}{failing_sql(self.where)})" if self.where else "false"

    @property
    def asked(self) -> dict[str, Any]:
        """The step as JSON values: what was written of it."""
        written = {
            "name": self.name, "where": self.where, "types": list(self.types), "group_by": list(self.group_by),
            "count": self.count if self.count > 1 else None, "window": self.window and str(self.window),
        }  # fmt: skip
        return {key: value for key, value in written.items() if value}


def condition_sql(text: str) -> str:
    """Return the SQL of a condition, false where it is null or fails."""
    return f"coalesce(try({condition_tree(text).sql(dialect='duckdb')}), false)"


def failing_sql(text: str) -> str:
    """Return the SQL of whether a condition cannot be evaluated; null is no failure."""
    return f"try(coalesce(cast({condition_tree(text).sql(dialect='duckdb')} as integer), 2)) is null"


def steps_schema(description: str, keys: Sequence[str], least: int) -> dict[str, Any]:
    """Return the schema of a list of steps that have these keys."""
    known = {
        "name": {"type": "string", "format": "line", "maxLength": 64},
        "where": {"type": "string", "maxLength": LONGEST, "description": "A SQL condition over an event's columns."},
        "types": schema.EVENT_TYPES | {"description": "The event types that the step takes."},
        "group_by": VALUES | {"description": "What its events are grouped by, as many values as the policy has."},
        "count": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "How many events make the step."},
        "window": length("window", "The window within which these lie."),
    }
    properties = {key: known[key] for key in ("name", "where", "types", *keys)}
    step = {
        "type": "object", "additionalProperties": False, "properties": properties,
        "anyOf": [{"required": ["where"]}, {"required": ["types"]}],
    }  # fmt: skip
    return {"type": "array", "minItems": least, "maxItems": MOST_STEPS, "items": step, "description": description}


def read_steps(reader: Reader, node: yaml.Node, key: str, listed: Mapping[str, Any]) -> tuple[Step, ...]:
    """Read a list of steps, as its schema says."""
    if not reader.is_a(node, yaml.SequenceNode, key, "a list of steps, each with 'where' or 'types'"):
        return ()
    least, most = listed["minItems"], listed["maxItems"]
    if not least <= len(node.value) <= most:
        reader.wrong(node, f"{key}: expected from {least} to {most} steps, got {len(node.value)}")
    steps = tuple(
        _step(reader, item, number, listed["items"]["properties"]) for number, item in enumerate(node.value, 1)
    )
    names = [step.name for step in steps]
    for step in steps:
        if names.count(step.name) > 1:
            reader.mistakes.append((*step.line, f"{key}: two steps are named {step.name!r}"))
    return steps


def _step(reader: Reader, node: yaml.Node, number: int, known: Mapping[str, Any]) -> Step:
    fields = reader.mapping(node, "a step", tuple(known), ())
    own = {"where": read_condition, "group_by": read_values}
    values: dict[str, Any] = {
        key: own[key](reader, value, key) if key in own else reader.value(value, key, known[key])
        for key, value in fields.items()
    }
    line = (node.start_mark.line + 1, node.start_mark.column + 1)
    if not {"where", "types"} & fields.keys():
        reader.wrong(node, "a step needs the key 'where' or 'types'")
    if "window" in fields and "count" not in fields:
        reader.wrong(fields["window"], "window: expected with 'count', which is missing")
    return Step(**{"name": str(number), **values}, line=line)


def check_types(reader: Reader, key: str, steps: Sequence[Step], types: Sequence[str]) -> None:
    """Note a step that takes an event type which the policy does not govern."""
    for step in steps:
        for missing in set(step.types) - set(types):
            reader.mistakes.append((*step.line, f"{key}: {missing!r} is not among required_events"))
