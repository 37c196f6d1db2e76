"""The tests that policy files carry: events in, what must be found out, through the same SQL as any report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from auditlake.config import REPORT_PERIOD
from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.errors import PolicyError
from auditlake.events.schema import CANONICAL, CANONICAL_FIELDS
from auditlake.events.times import parse_instant
from auditlake.policies.evaluate import evaluate
from auditlake.policies.model import Policy, PolicyTest
from auditlake.policies.question import Question, default_since
from auditlake.reports.build import build_report

if TYPE_CHECKING:
    import duckdb

    from auditlake.reports.model import Report

_COLUMNS = (*CANONICAL_FIELDS, "source")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one test of a policy gave."""

    policy_id: str
    test: str
    differences: tuple[str, ...]
    """Each ``what: expected … , got …``; empty if the test passed."""
    line: int = 0
    """Where the test begins in the policy's file, from 1; 0 where that is not known."""

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


def check_policies(policies: Sequence[Policy]) -> tuple[CheckResult, ...]:
    """Run every test of every policy, each on its own events only.

    Raises:
        PolicyError: A test's period makes no sense.
    """
    with connect() as connection:
        return tuple(_check(connection, policy, test) for policy in policies for test in policy.tests)


def _check(connection: duckdb.DuckDBPyConnection, policy: Policy, test: PolicyTest) -> CheckResult:
    got = _found(_judge(connection, policy, test))
    differences = tuple(
        f"{name}: expected {_shown(expected)}, got {_shown(got[name])}"
        for name, expected in test.expect.items()
        if (sorted(expected) if isinstance(expected, list | tuple) else expected) != got[name]
    )
    return CheckResult(policy.id, test.name, differences, test.line)


def _judge(connection: duckdb.DuckDBPyConnection, policy: Policy, test: PolicyTest) -> Report:
    events = [_full(event) for event in test.events]
    newest = max((event["timestamp"] for event in events), default=None)
    as_of = parse_instant(test.as_of) if test.as_of else newest
    if as_of is None:
        raise PolicyError(f"{policy.id}.yaml:{test.line}:1: test {test.name!r} has no events, so it needs as_of")
    since = parse_instant(test.since) if test.since else default_since(policy, as_of, REPORT_PERIOD)
    if not since < as_of:
        raise PolicyError(f"{policy.id}.yaml:{test.line}:1: test {test.name!r}: since must be before as_of")
    _fill(connection, events)
    (answers,) = evaluate(DuckEngine(connection), [(policy, Question(as_of, since, as_of))], [policy])
    return build_report(answers)


def _full(event: Mapping[str, Any]) -> dict[str, Any]:
    full = dict.fromkeys(_COLUMNS) | {"source": CANONICAL} | dict(event)
    return full | {"timestamp": parse_instant(event["timestamp"])}


def _fill(connection: duckdb.DuckDBPyConnection, events: Sequence[Mapping[str, Any]]) -> None:
    """Make these events, and no others, what the connection's statements see as ``events``."""
    import pyarrow as pa

    kinds = {name: pa.timestamp("us", tz="UTC") if name == "timestamp" else pa.string() for name in _COLUMNS}
    connection.register("events", pa.table({
        name: pa.array([event[name] for event in events], kinds[name]) for name in _COLUMNS
    }))  # fmt: skip


def _found(report: Report) -> dict[str, Any]:
    kinds = Counter(finding.kind for finding in report.violations)
    missing = [each.event_type for each in report.violations if each.kind == "missing_required_type"]
    return {
        "status": report.status,
        "episodes": report.threshold.episodes if report.threshold else 0,
        "missing": sorted(name for name in missing if name),
        "gaps": kinds["coverage_gap"],
        "incomplete": kinds["field_incomplete"],
        "total": report.total_events,
        "peak": max((each.peak for each in report.violations if each.peak is not None), default=0),
    }


def _shown(value: Any) -> str:
    return ", ".join(sorted(value)) or "none" if isinstance(value, list | tuple) else str(value)
