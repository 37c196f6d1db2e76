"""A count of every event of a year: ours by slices of time or by parts of its groups, the rival all at once."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.bench.data import _PER_MILLION, AS_OF, DAYS, SINCE, Place
from tests.bench.rolling import _asked
from tests.bench.work import Work

if TYPE_CHECKING:
    from auditlake.policies.evaluate import Answers


def works(*, by_user: bool) -> dict[str, Work]:
    """The episodes and the daily peaks, each way with the memory that DuckDB takes by itself."""
    sides = {"ours": _slices, "usual": _usual}
    return {name: Work(partial(side, by_user=by_user), _plainly) for name, side in sides.items()}


def _given(place: Place, *, by_user: bool) -> tuple[Any, Any]:
    from auditlake.policies.question import Question

    policy = _asked(place, by_user=by_user).policy
    least = 80 if by_user else max(2, place.events // DAYS)
    types = tuple(sorted([*_PER_MILLION, "api_call"]))
    return replace(policy, required_events=types, alert_threshold=least), Question(AS_OF, SINCE, AS_OF)


def _slices(place: Place, scratch: Path, *, by_user: bool) -> Answers:
    from auditlake.policies.by_group import SliceFiles
    from auditlake.policies.slices import evaluate_by_slices
    from auditlake.spark.open import open_slices

    asked = _given(place, by_user=by_user)
    with TemporaryDirectory(dir=scratch) as spill, open_slices("slices", Path(spill)) as engine:
        (answers,) = evaluate_by_slices(engine, SliceFiles(place.day_files, place.events), [asked], [asked[0]])
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
