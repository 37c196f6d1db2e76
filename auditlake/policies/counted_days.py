"""What the log counts of whole days is not counted again from their rows."""

from __future__ import annotations

from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Engine
from auditlake.engine.statements import statement
from auditlake.events.times import micros
from auditlake.policies.compile import Step
from auditlake.policies.days import DAY


def count_days(engine: Engine, step: Step) -> bool:
    """Make the table ``type_days`` by the log where that counts days; return whether it does.

    Args:
        engine: The engine, with ``events`` and a view ``moments`` of these.
        step: A statement that makes a table; only one that asks for all events of types by day can be answered so.
    """
    values = step.parameters
    if not isinstance(engine, DuckEngine) or step.sql != statement("policies/type_days.sql", "type_days").text:
        return False
    since, until = values["since"], values["until"]
    counts = engine.uncounted(step.sql, values, values["types"], values["as_of"], since, until)
    rows = [
        (name, day, number, number * (micros(since) < day * DAY <= micros(until)))
        for day, types in counts.items() for name, number in types.items()
    ]  # fmt: skip
    if rows:
        names = ("names", "days", "numbers_ever", "numbers")
        part = statement("policies/counted_days.sql", "counted_days")
        engine.rows(part.text, dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    return bool(rows)
