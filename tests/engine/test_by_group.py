"""Measures that are judged group by group: whatever the parts, the answers are those of the definitions."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.engine.duck import connect
from auditlake.engine.duck_slices import DuckSlices
from auditlake.engine.model import SliceEngine
from auditlake.events.schema import COLUMNS, FILE_COLUMNS
from auditlake.policies.by_group import SliceFiles, columns_of
from auditlake.policies.question import Question
from auditlake.policies.slices import evaluate_by_slices, not_by_slices
from tests.engine.test_slices import sail, server  # noqa: F401 - fixtures
from tests.policies.kinds_cases import case, instant, row
from tests.policies.test_kinds_law import MEASURES, Bundle, defined, evidence_at_peaks, said  # noqa: F401 - a fixture

_ARROW = {"timestamptz": pa.timestamp("us", tz="UTC"), "bigint": pa.int64(), "blob": pa.binary()}
_THREE_PARTS = 6_000_000
_TWO_PARTS_THERE = 1_000_000


@pytest.fixture(scope="module")
def duck() -> Iterator[SliceEngine]:
    """DuckDB as an engine of slices."""
    with connect(threads=1) as connection:
        yield DuckSlices(connection)


def bundles(kind: str, seeds: range, lists: int) -> Iterator[Bundle]:
    """Yield questions that can be asked, each with so many lists of events."""
    for seed in seeds:
        bundle = Bundle(case(kind, seed), tuple(case(kind, seed + 1000 * n).events for n in range(lists)))
        if not_by_slices(bundle.policy) is None:
            yield bundle


def check(engine: SliceEngine, folder: Path, bundle: Bundle, rows: int) -> None:
    """Compare the report of an engine with the definition's.

    Args:
        engine: The engine.
        folder: Where a file of the events may lie.
        bundle: The question and the events.
        rows: How many events the engine is told that there are: into so many parts it puts them.
    """
    policy = bundle.policy
    events = [row(e) | {"session_id": f"{n:02}"} for n, events in enumerate(bundle.lists) for e in events]
    table: dict[str, Any] = {
        name: pa.array([each.get(name) for each in events], _ARROW.get(COLUMNS[name], pa.string()))
        for name in FILE_COLUMNS
    }
    path = folder / f"{uuid4()}.parquet"
    pq.write_table(pa.table(table), path)
    question = Question(*map(instant, (bundle.asked.as_of, bundle.asked.since, bundle.asked.until)))
    files = SliceFiles([path] if events else [], rows)
    (answers,) = evaluate_by_slices(engine, files, [(policy, question)], [policy])
    assert said(answers) == defined(bundle), bundle.asked.policy


@pytest.mark.parametrize("kind", MEASURES)
def test_parts_say_what_the_definition_says(duck: SliceEngine, tmp_path: Path, kind: str) -> None:
    """Episodes, peaks, evidence, daily peaks, the state of now, and what is left out, over three parts."""
    for bundle in islice(bundles(kind, range(50), 4), 2):
        check(duck, tmp_path, bundle, _THREE_PARTS)


@pytest.mark.soak
@pytest.mark.parametrize("kind", MEASURES)
def test_they_say_so_of_many(duck: SliceEngine, tmp_path: Path, kind: str) -> None:
    """The same of many more."""
    for bundle in bundles(kind, range(1000, 1300), 9):
        check(duck, tmp_path, bundle, _THREE_PARTS)


@pytest.mark.parametrize("kind", ["distinct", "sum"])
def test_executors_say_so(sail: SliceEngine, tmp_path: Path, kind: str) -> None:  # noqa: F811
    """The same through Spark Connect, where an executor has a part."""
    for bundle in islice(bundles(kind, range(50), 3), 1):
        check(sail, tmp_path, bundle, _TWO_PARTS_THERE)


@pytest.mark.soak
@pytest.mark.parametrize("kind", MEASURES)
def test_executors_say_so_of_many(sail: SliceEngine, tmp_path: Path, kind: str) -> None:  # noqa: F811
    """The same of many more."""
    for bundle in bundles(kind, range(2000, 2020), 9):
        check(sail, tmp_path, bundle, _TWO_PARTS_THERE)


def test_columns_of_a_statement() -> None:
    """Dashes in a text begin no comment: what is behind them is read as well."""
    assert columns_of("select concat(user_id, '--', session_id, '/*') -- action", "/* status */ event_type") == (
        "event_type", "user_id", "session_id",
    )  # fmt: skip
