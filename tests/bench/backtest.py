"""A backtest of 50 thresholds: its rival is the policy itself, asked for the episodes of one of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.bench.data import AS_OF, SINCE, Place
from tests.bench.rolling import _asked, _engine
from tests.bench.work import Work

TRIED = 50


def works(*, by_user: bool) -> dict[str, Work]:
    """Ours gives all counts, of which the one of the policy's own threshold must be the rival's."""
    return {
        "ours": Work(partial(_ours, by_user=by_user), int),
        "one threshold": Work(partial(_one, by_user=by_user), int),
    }


def _ours(place: Place, _: Path, *, by_user: bool) -> int:
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.evaluate import backtest
    from auditlake.policies.question import Question

    policy = _asked(place, by_user=by_user).policy
    own = policy.alert_threshold
    step = max(1, own // 25)
    tried = sorted({own, *(max(1, own + step * (n - TRIED // 2)) for n in range(TRIED))})
    with _engine(place) as connection:
        (counts,) = backtest(DuckEngine(connection), [(policy, Question(AS_OF, SINCE, AS_OF))], tried)
    return int(dict(counts)[own])


def _one(place: Place, _: Path, *, by_user: bool) -> int:
    from auditlake.engine.duck import rows
    from auditlake.policies.compile import compile_policy
    from auditlake.policies.question import Question

    policy = _asked(place, by_user=by_user).policy
    found = 0
    with _engine(place) as connection:
        for step in compile_policy(policy, [policy], Question(AS_OF, SINCE, AS_OF))[0].steps:
            found = len(rows(connection, step.sql, step.parameters))
            if step.name == "rolling_counts":
                break
    return found
