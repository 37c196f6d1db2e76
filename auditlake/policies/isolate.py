"""The few events on which a condition fails beyond ``TRY``, so that all others can be judged by it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from auditlake.engine.model import Engine, StatementError
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statements
from auditlake.policies.compile import filled
from auditlake.policies.model import Policy

MOST_ODD = 40
"""On how many events a condition may fail so and still be judged on the others."""


def passing_over(engine: Engine, policy: Policy) -> Policy | None:
    """Return the policy with a condition whose failures on odd events TRY catches like all others.

    None if it fails on too many, or without any event.
    """
    if policy.where is None:
        return None
    ids = list(islice(_odd_events(engine, policy), MOST_ODD + 1))
    if not 0 < len(ids) <= MOST_ODD:
        return None
    listed = ", ".join(map(literal, sorted(set(ids))))
    passed_over = "cast('failed on ' || event_id as boolean)"
    return replace(policy, where=f"case when event_id in ({listed}) then {passed_over} else ({policy.where}) end")


def _odd_events(engine: Engine, policy: Policy) -> Iterator[str]:
    """Yield their ids, found by halves."""
    parts = statements("policies/odd_events.sql")
    engine.rows(parts["numbered"].text, parts["numbered"].bind({"types": list(policy.required_events)}))
    ((total,),) = engine.rows(parts["how_many"].text)
    trial, spans = filled(parts["tried"], policy), [(0, total)] if total else []
    while spans:
        first, last = spans.pop()
        try:
            engine.rows(trial, {"first": first, "last": last})
        except StatementError:
            if last - first > 1:
                half = (first + last) // 2
                spans += [(half, last), (first, half)]
            else:
                yield engine.rows(parts["named"].text, {"last": last})[0][0]
