"""The few events on which a condition fails beyond ``TRY``, so that all others can be judged by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from auditlake.engine.duck import rows
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statements
from auditlake.policies.compile import filled
from auditlake.policies.model import Policy

if TYPE_CHECKING:
    import duckdb

MOST_ODD = 40
"""On how many events a condition may fail so and still be judged on the others."""


def own_errors() -> tuple[type[Exception], ...]:
    """What DuckDB raises for a condition that it cannot evaluate: not for the disk, for memory, or when stopped.

    A few of them may also come of a damaged file.
    """
    import duckdb  # slow to import

    return (duckdb.ProgrammingError, duckdb.NotSupportedError, duckdb.DataError)


def passing_over(connection: duckdb.DuckDBPyConnection, policy: Policy) -> Policy | None:
    """The policy with a condition whose failures on odd events TRY catches like others, and that is else the same.

    None if it fails on too many, or without any event.
    """
    if policy.where is None:
        return None
    found: list[str] = []
    for event_id in _odd_events(connection, policy):
        found.append(event_id)
        if len(found) > MOST_ODD:
            return None
    if not found:
        return None
    listed = ", ".join(map(literal, sorted(set(found))))
    passed_over = "cast('failed on ' || event_id as boolean)"
    return replace(policy, where=f"case when event_id in ({listed}) then {passed_over} else ({policy.where}) end")


def _odd_events(connection: duckdb.DuckDBPyConnection, policy: Policy) -> Iterator[str]:
    """Their ids, found by halves."""
    parts = statements("policies/odd_events.sql")
    rows(connection, parts["numbered"].text, parts["numbered"].bind({"types": list(policy.required_events)}))
    ((total,),) = rows(connection, parts["how_many"].text)
    trial, spans = filled(parts["tried"], policy), [(0, total)] if total else []
    while spans:
        first, last = spans.pop()
        try:
            rows(connection, trial, {"first": first, "last": last})
        except own_errors():
            if last - first > 1:
                half = (first + last) // 2
                spans += [(half, last), (first, half)]
            else:
                yield rows(connection, parts["named"].text, {"last": last})[0][0]
