"""Measures that are judged group by group: each group has all its events in one part, where DuckDB judges it.

A part runs the statements of ``sql/policies`` as they are, so what they find in it is what they find in a whole lake.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditlake.engine.model import ByGroup, Row, Script, SliceEngine, Turn
from auditlake.engine.sql_text import Batches
from auditlake.events.schema import COLUMNS, TEXT_COLUMNS
from auditlake.policies.compile import Step, compile_by_group, compile_parted
from auditlake.policies.model import Policy
from auditlake.policies.question import Question

_NO_NAMES = re.compile(r"('(?:[^']|'')*')|--[^\n]*|/\*.*?\*/", re.DOTALL)
"""A text, which may have dashes, or a comment."""


@dataclass(frozen=True, slots=True)
class SliceFiles:
    """The rows to ask about."""

    files: Sequence[Path]
    rows: int
    batches: Batches | None = None
    """Only rows of these; all if None."""


def by_group(engine: SliceEngine, policy: Policy, question: Question, files: SliceFiles) -> dict[str, list[Row]]:
    """Return the rows of a policy's measure, as the statements of ``sql/policies`` give them over all groups.

    Raises:
        EngineError: The engine failed.
    """
    found: dict[str, list[Sequence[Row]]] = defaultdict(list)
    for part in engine.parts(_script(policy, question, files.rows), files.files, files.batches):
        for name, rows in part.items():
            found[name].append(rows)
    return {name: _MERGED[name](parts) for name, parts in found.items()}


def _script(policy: Policy, question: Question, rows: int) -> Script:
    turn = Turn(*(tuple(map(told, compile_by_group(policy, question, wide=wide))) for wide in (False, True)))
    parted = compile_parted(policy, question)
    group_by = policy.group_by if {*policy.group_by} <= {*TEXT_COLUMNS} else None
    columns = columns_of(parted.sql, *(sql for _, sql, _ in turn.steps))
    dealt = ByGroup(parted.sql, parted.parameters, group_by)
    return Script(policy.required_events, dealt, columns, (turn,), tuple(_MERGED), rows)


def told(step: Step) -> tuple[str, str, Mapping[str, object]]:
    """Return a statement as a turn has it."""
    return step.name, step.sql, step.parameters


def columns_of(*statements: str) -> tuple[str, ...]:
    """Return the columns of events that statements may read: those whose names are in them."""
    words = {word for sql in statements for word in re.findall(r"\w+", _NO_NAMES.sub("", sql))}
    return tuple(name for name in COLUMNS if name in words)


def _listed(*order: Callable[[Row], object]) -> Callable[[Sequence[Sequence[Row]]], list[Row]]:
    """Return what puts rows of parts into one list, in the order of the statement."""
    return lambda parts: sorted((row for rows in parts for row in rows), key=lambda row: tuple(by(row) for by in order))


def _added(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the only row, of the sums."""
    return [tuple(map(sum, zip(*(row for (row,) in parts), strict=True)))]


def _highest(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the largest number of each day; None where no part has one."""
    days: dict[int, list[int]] = {}
    for day, peak in (row for rows in parts for row in rows):
        days.setdefault(day, []).extend([] if peak is None else [peak])
    return [(day, max(peaks, default=None)) for day, peaks in sorted(days.items())]


_MERGED: Mapping[str, Callable[[Sequence[Sequence[Row]]], list[Row]]] = {
    "rolling_counts": _listed(lambda row: row[1], lambda row: row[0]),
    "evidence": _listed(lambda row: row[1], lambda row: row[0]),
    "behind_peaks": _listed(lambda row: row[1], lambda row: row[0]),
    "current_counts": _listed(lambda row: -row[1], lambda row: row[0]),
    "daily_peaks": _highest,
    "threshold_totals": _added,
    "unjudged": _added,
}
"""By statement, how its rows of all parts become one answer."""
