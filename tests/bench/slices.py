"""A count of every event of a year: ours by slices of time or by parts of its groups, the rival all at once.

A large place has ten times its events once more, in files of times alone: too many for any rival to hold in memory.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.bench.data import _PER_MILLION, AS_OF, DAYS, FIRST_DAY, SINCE, Place, once
from tests.bench.rolling import _asked
from tests.bench.work import Work

if TYPE_CHECKING:
    from auditlake.policies.by_group import SliceFiles
    from auditlake.policies.evaluate import Answers

GENERATED = 10
"""How many times the events of a large place are generated."""
_TYPE = "api_call"
_DAY = 86_400_000_000


def works(*, by_user: bool) -> dict[str, Work]:
    """The episodes and the daily peaks, each way with the memory that DuckDB takes by itself."""
    sides = {"ours": _slices, "usual": _usual}
    return {name: Work(partial(side, by_user=by_user), _plainly) for name, side in sides.items()}


def generated() -> dict[str, Work]:
    """The episodes and the daily peaks of very many events, with little memory."""
    return {"ours": Work(_of_generated, _plainly)}


def _of_generated(place: Place, scratch: Path) -> Answers:
    from auditlake.policies.by_group import SliceFiles

    events = GENERATED * place.events
    files = sorted(once(place.root / "generated", partial(_generate, events)).glob("*/*.parquet"))
    mean = events / DAYS
    policy, question = _given(place, by_user=False)
    asked = replace(policy, required_events=(_TYPE,), alert_threshold=round(mean + 2 * sqrt(mean))), question
    return _by_slices(SliceFiles(files, events), asked, scratch, memory="3GB")


def _generate(events: int, folder: Path) -> None:
    """Write a file a day of events of one type at any time of it; nothing else of them is known."""
    from auditlake.engine.duck import connect
    from auditlake.events.schema import COLUMNS, FILE_COLUMNS

    known = {"event_type": f"'{_TYPE}'", "batch": "1", "timestamp": "t"}
    columns = ", ".join(f'cast({known.get(name, "null")} as {COLUMNS[name]}) as "{name}"' for name in FILE_COLUMNS)
    with connect() as connection:
        for number in range(DAYS):
            day = FIRST_DAY + timedelta(days=number)
            low, high = events * number // DAYS, events * (number + 1) // DAYS
            (of_day := folder / f"event_date={day}").mkdir(parents=True)
            connection.execute(f"""
                copy (
                  select {columns}
                  from (
                    select timestamptz '{day} 00:00:00+00' + to_microseconds(cast(hash(i) % {_DAY} as bigint)) as t
                    from range({low}, {high}) as numbers(i) order by t
                  )
                ) to '{of_day}/events.parquet' (format parquet, compression zstd)""")


def _given(place: Place, *, by_user: bool) -> tuple[Any, Any]:
    from auditlake.policies.question import Question

    policy = _asked(place, by_user=by_user).policy
    least = 80 if by_user else max(2, place.events // DAYS)
    types = tuple(sorted([*_PER_MILLION, "api_call"]))
    return replace(policy, required_events=types, alert_threshold=least), Question(AS_OF, SINCE, AS_OF)


def _slices(place: Place, scratch: Path, *, by_user: bool) -> Answers:
    from auditlake.policies.by_group import SliceFiles

    return _by_slices(SliceFiles(place.day_files, place.events), _given(place, by_user=by_user), scratch)


def _by_slices(files: SliceFiles, asked: tuple[Any, Any], scratch: Path, memory: str | None = None) -> Answers:
    from auditlake.policies.slices import evaluate_by_slices
    from auditlake.spark.open import open_slices

    with TemporaryDirectory(dir=scratch) as spill, open_slices("slices", Path(spill), memory) as engine:
        (answers,) = evaluate_by_slices(engine, files, [asked], [asked[0]])
    return answers


def _usual(place: Place, scratch: Path, *, by_user: bool) -> Answers:
    from auditlake.engine.duck import connect, view_events
    from auditlake.engine.duck_engine import DuckEngine
    from auditlake.policies.evaluate import evaluate

    asked = _given(place, by_user=by_user)
    with TemporaryDirectory(dir=scratch) as spill, connect(temp=Path(spill)) as connection:
        view_events(connection, place.day_files)
        (answers,) = evaluate(DuckEngine(connection), [asked], [asked[0]])
    return answers


def _plainly(answers: Answers) -> Any:
    return answers.rows["rolling_counts"], answers.rows["daily_peaks"]
