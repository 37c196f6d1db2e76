"""What policies read in events, each place once: the SQL that reads it, and the table of what it gives of every event.

That table, ``read_events``, is what policies without a condition read instead of ``events``: they count every event,
and group by places or measure them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from auditlake.engine.model import Engine, StatementError
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import Statement, statement
from auditlake.policies import kinds
from auditlake.policies.condition import COLUMNS, ConditionError
from auditlake.policies.model import Policy
from auditlake.policies.places import JSON, Place, column_of, read_by

READ_EVENTS = "read_events"
_ALWAYS_KEPT = ("event_id", "event_type", "timestamp", "source")
"""The columns that statements read, whatever policies name."""


def read_later(policy: Policy) -> tuple[frozenset[Place], frozenset[str]]:
    """Return the places that the statements of a policy read beside its condition, and the columns."""
    texts = (*filter(None, [policy.scope]), *policy.group_by, *kinds.measure_of(policy).expressions(policy))
    read = [read_by(text) for text in texts]
    return frozenset().union(*(places for places, _ in read)), frozenset().union(*(columns for _, columns in read))


def reads_places(policy: Policy) -> bool:
    """Return whether what a policy groups by and measures is in places, and it reads no whole record."""
    with suppress(ConditionError):
        places, columns = read_later(policy)
        return bool(places) and columns.isdisjoint(JSON)
    return False


def read_all(engine: Engine, policies: Sequence[Policy], values: Mapping[str, object]) -> bool:
    """Make the table of what policies read of each event; whether every event could be read."""
    part, unread = (statement("policies/sieve.sql", name) for name in (READ_EVENTS, "unread"))
    later = [read_later(policy) for policy in policies]
    columns = {name for _, own in later for name in own} | {*_ALWAYS_KEPT}
    listed = {column: sorted({path for places, _ in later for name, path in places if name == column})
              for column in JSON}  # fmt: skip
    slots = {
        **{f"slot_{column}": extracted(column, paths) for column, paths in listed.items()},
        "slot_kept": listed_columns((
            *(f'"{name}"' for name in COLUMNS if name in columns),
            *(f'{column}_values[{at}] as "{column_of((column, path))}"'
              for column, paths in listed.items() for at, path in enumerate(paths, 1)),
        )),
    }  # fmt: skip
    with suppress(StatementError):
        engine.step(part.name, with_slots(part, slots), part.bind(dict(values)))
        return engine.rows(unread.text) == [(0,)]
    return False


def extracted(column: str, paths: Sequence[str], *, is_needed: bool = False) -> str:
    """Return the SQL of the values at some paths of a column; null where its text cannot be read.

    Args:
        column: A column of JSON.
        paths: The paths.
        is_needed: Whether the column must be readable even where there are none.
    """
    if paths:
        return f"try(json_extract_string({column}, [{', '.join(map(literal, paths))}]))"
    nothing = "cast([] as varchar[])"
    return f"case when {column} is null or json_valid({column}) then {nothing} end" if is_needed else nothing


def listed_columns(columns: Iterable[str]) -> str:
    """Return the SQL of several columns, or of one that says nothing where there is none."""
    return ", ".join(columns) or "null as nothing"


def with_slots(part: Statement, slots: Mapping[str, str]) -> str:
    """Return a statement with its slots filled as text, without its comments: one that people are not shown."""
    body = "\n".join(line for line in part.text.splitlines() if not line.startswith("--"))
    return re.sub(rf"\b(?:{'|'.join(slots)})\b", lambda match: slots[match[0]], body)
