"""The questions of a policy asked by slices of time, on engines that have no one order over all events.

A count changes by one where an event comes and where it leaves the window. Events are counted by slice of time; a sum
over slices gives what is carried into each, and so the bounds of the count within it. Only slices in which a threshold
can be crossed, or in which a peak can lie, are looked at event by event. The answers are those of ``sql/policies``
(semantics.md, Counts in a rolling window).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import gcd
from pathlib import Path

from auditlake.engine.model import Engine, Leaf, Row, SliceEngine
from auditlake.engine.statements import statements
from auditlake.engine.timings import answered_by
from auditlake.errors import EngineError
from auditlake.events.durations import Duration
from auditlake.events.schema import COLUMNS, TEXT_COLUMNS
from auditlake.policies.compile import compile_leaf, compile_policy, samples_of
from auditlake.policies.deleted_days import Deletion
from auditlake.policies.evaluate import Answers, samples_shown
from auditlake.policies.holds import Hold
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier

_DAY_US = 86_400_000_000
Stretch = tuple[datetime, datetime]
"""From when to when, both included."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IN_A_SLICE = 30
"""How many events a slice is to have, more or less, where nothing groups them."""
_PARTS = [1, 2, 4, 8, 24, 48, 144, 288, 720, 1440, 4320, 8640, 28_800, 86_400, 432_000, 864_000, 4_320_000, 8_640_000]
"""Into how many slices a day, or the part of one that divides the window, may be cut."""
_READ_TWICE = ("leaf", "governed", "judged", "kept", "levels", "episodes")


@dataclass(frozen=True, slots=True)
class SliceFiles:
    """The rows to ask about."""

    files: Sequence[Path]
    rows: int
    last_batch: int | None = None
    """Only rows of batches up to this one; all if None."""


def not_by_slices(policy: Policy) -> str | None:
    """Return what a policy asks that has no formulation by slices; None where it has nothing of the kind."""
    if policy.fault is not None:
        return policy.fault
    if policy.alert_threshold is not None and policy.measure != "count":
        return f"the measure {policy.measure}"
    if policy.scope is not None:
        return "a scope"
    if policy.fields:
        return "fields"
    return None if policy.max_gap is None or isinstance(policy.max_gap, Duration) else "max_gap by type"


def evaluate_by_slices(
    engine: SliceEngine,
    files: SliceFiles,
    asked: Sequence[tuple[Policy, Question]],
    policies: Sequence[Policy],
    holds: Sequence[Hold] = (),
    *,
    deleted: Sequence[Deletion] = (),
) -> Iterator[Answers]:
    """Ask policies one after the other; the answers are those of :func:`auditlake.policies.evaluate.evaluate`.

    Args:
        engine: Where the statements run.
        files: The rows of the snapshot.
        asked: Each policy with the instants that it is asked about.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        deleted: What the lake has lost.

    Raises:
        EngineError: A policy asks what has no formulation by slices, or the engine failed.
    """
    refuse_what_has_no_slices(engine, asked)
    for policy, question in asked:
        rows = _Questions(engine, files, policy, policies, holds, question).answered()
        queries = compile_policy(policy, policies, question, holds=holds)
        counts = tuple((query, len(rows[query.name])) for query in queries)
        answered_by(policy.id, f"slices on {engine.name}")
        yield Answers(policy, policies, question, rows, counts, asked=policy, deleted=deleted)


def refuse_what_has_no_slices(engine: SliceEngine, asked: Sequence[tuple[Policy, Question]]) -> None:
    """Name the policies that ask what has no formulation by slices.

    Raises:
        EngineError: There are some.
    """
    refused = [f"{policy.id} ({what})" for policy, _ in asked if (what := not_by_slices(policy)) is not None]
    if refused:
        message = f"the engine {engine.name} cannot be asked for {', '.join(refused)}"
        raise EngineError(message, hint="name the other policies, or leave the engine out")


def samples_by_slices(
    engine: SliceEngine, local: Engine, answers: Answers, most: int, view: Callable[[Sequence[Stretch]], None]
) -> Mapping[tuple[tuple[str, ...], datetime], list[Row]]:  # fmt: skip
    """Return what :func:`auditlake.policies.evaluate.samples` does of a policy that was the last to be asked.

    Args:
        engine: The engine, with the views of the policy.
        local: A DuckDB, in which the few events are looked up.
        answers: The policy's answers.
        most: How many episodes are shown.
        view: Makes the view ``events`` of the DuckDB of files that may have events of these stretches of time.
    """
    policy, question = answers.policy, answers.question
    rows = answers.rows["rolling_counts"][:most]
    parts = statements("slices/shown.sql")
    texts = {tuple(_key(policy, g)): g for (g,) in engine.rows(parts["groups"].text)}
    shown = [(n, texts[tuple(row[0])], _us(row[6])) for n, row in enumerate(rows, 1)]
    engine.table("shown", {"episode": "bigint", "g": "string", "peak_at": "bigint"}, shown)
    found: dict[int, int] = dict(engine.rows(parts["fifth"].text))
    window = policy.window.microseconds
    begins = [max(found.get(n, 0), peak_at - window + 1) for n, _, peak_at in shown]
    view([(_at(start), _at(peak_at)) for start, (_, _, peak_at) in zip(begins, shown, strict=True)])
    part = parts["shown" if len(policy.group_by) == 1 else "shown_by_several"]
    values: dict[str, object] = {
        "keys": [row[0] for row in rows], "starts": [_us(row[1]) for row in rows], "from_ts": begins,
        "peak_ats": [peak_at for *_, peak_at in shown],
    }  # fmt: skip
    local.rows(part.text, part.bind(values))
    return samples_shown(local, samples_of(policy, question, most).steps[-1])


class _Questions:
    """What one policy asks of an engine."""

    def __init__(
        self, engine: SliceEngine, files: SliceFiles, policy: Policy, policies: Sequence[Policy], holds: Sequence[Hold],
        question: Question,
    ) -> None:  # fmt: skip
        self._engine, self._policy, self._question = engine, policy, question
        active = tuple(hold for hold in holds if hold.is_active(question.as_of))
        engine.leaf(_leaf(policy, question, active), files.files, files.last_batch)
        window = timedelta(microseconds=policy.window.microseconds)
        instants = {
            "as_of": question.as_of, "since": question.since, "until": question.until,
            "window_start": earlier(question.as_of, window), "look_back": earlier(question.since, window),
        }  # fmt: skip
        self._values: dict[str, object] = {f"{name}_us": _us(each) for name, each in instants.items()}
        self._values["alert_threshold"] = policy.alert_threshold
        self._values["window_us"] = policy.window.microseconds
        self._values["slice_us"] = slice_us(policy, question, files.rows)
        if isinstance(policy.max_gap, Duration):
            self._values["max_gap_us"] = policy.max_gap.microseconds
        self._policies, self._holds = policies, active

    def answered(self) -> dict[str, list[Row]]:
        """Return the rows of each question, as the statements of ``sql/policies`` give them."""
        rows = self._facts()
        if self._policy.alert_threshold is not None:
            rows |= self._counts()
        if self._policy.retention_period is not None:
            rows["retention"] = self._retention()
        return rows

    def _facts(self) -> dict[str, list[Row]]:
        days = self._run("facts", "type_days")
        ((received, received_now, first),) = self._run("facts", "presence")
        types: list[Row] = []
        for name in sorted(set(self._policy.required_events)):
            own = [row for row in days if row[0] == name]
            first_seen = min((row[4] for row in own), default=None)
            last_seen = max((row[5] for row in own), default=None)
            types.append((name, sum(row[3] for row in own), _instant(first_seen), _instant(last_seen)))
        counted = sorted((name, day // _DAY_US, events) for name, day, _, events, _, _ in days if events)
        rows: dict[str, list[Row]] = {
            "required_types": types,
            "type_day_counts": list(counted),
            "presence": [(bool(received),)],
            "first_event": [(_at(first),)] if first is not None else [],
        }
        if self._policy.alert_threshold is not None:
            rows["presence_now"] = [(bool(received_now),)]
        if self._policy.max_gap is not None:
            gaps = sorted(self._run("facts", "coverage_gaps"), key=lambda row: row[:2])
            rows["coverage_gaps"] = [(name, _instant(start), _instant(end)) for name, start, end in gaps]
        return rows

    def _counts(self) -> dict[str, list[Row]]:
        for name in ("governed", "counts", "sums", "bounds", "judged", "kept", "levels", "pieces", "episodes"):
            self._define("counts", name)
        since = _us(self._question.since)
        episodes: list[Row] = [
            (_key(self._policy, g), _at(start), _instant(end), end is None, start <= since, peak, _at(peak_at))
            for g, start, end, peak, peak_at in self._run("counts", "found")
        ]
        now: list[Row] = [(_key(self._policy, g), events) for g, events in self._run("counts", "current_counts")]
        (totals,) = self._run("counts", "threshold_totals")
        return {
            "rolling_counts": sorted(episodes, key=lambda row: (row[1], row[0])),
            "daily_peaks": self._daily_peaks(),
            "threshold_totals": [(*totals, 0)],
            "current_counts": sorted(now, key=lambda row: (-row[1], row[0])),
        }

    def _daily_peaks(self) -> list[Row]:
        since, until = _us(self._question.since), _us(self._question.until)
        peaks = dict.fromkeys(range((since + 1) // _DAY_US, until // _DAY_US + 1), 0)
        for start, end, peak in self._run("counts", "day_peaks"):
            for day in range(max(start // _DAY_US, min(peaks)), min(end // _DAY_US, max(peaks)) + 1):
                peaks[day] = max(peaks[day], peak)
        return list(peaks.items())

    def _retention(self) -> list[Row]:
        (query,) = compile_policy(
            self._policy, self._policies, self._question, holds=self._holds, only="retention"
        )  # fmt: skip
        values = query.parameters
        cutoffs = [*zip(self._policy.required_events, map(_us, values["type_cutoffs"]), strict=True)]
        self._engine.table("cutoffs", {"event_type": "string", "cutoff": "bigint"}, cutoffs)
        self._values["cutoff_us"] = _us(values["cutoff"])
        return self._run("facts", "retention")

    def _define(self, file: str, name: str) -> SliceEngine:
        part = statements(f"slices/{file}.sql")[name]
        self._engine.define(name, part.text, part.bind(self._values), is_kept=name in _READ_TWICE)
        return self._engine

    def _run(self, file: str, name: str) -> list[Row]:
        part = statements(f"slices/{file}.sql")[name]
        return self._engine.rows(part.text, part.bind(self._values))


def slice_us(policy: Policy, question: Question, rows: int) -> int:
    """Return how long a slice is: it divides a day and the window; whole days at most, and few events where nothing
    groups them.
    """
    longest = gcd(_DAY_US, policy.window.microseconds)
    if policy.group_by:
        return longest
    period = (question.until - question.since) // timedelta(microseconds=1)
    most = period * _IN_A_SLICE // max(rows, 1)
    lengths = [longest // parts for parts in _PARTS if longest % parts == 0]
    return next((length for length in lengths if length <= most), lengths[-1])


def _leaf(policy: Policy, question: Question, holds: Sequence[Hold]) -> Leaf:
    step = compile_leaf(policy, question, holds)
    is_plain = (
        policy.where is None and not holds and len(policy.group_by) < 2 and set(policy.group_by) <= {*TEXT_COLUMNS}
    )
    columns = tuple(name for name in COLUMNS if name in _columns(step.sql))
    return Leaf(policy.required_events, step.sql, step.parameters, policy.group_by if is_plain else None, columns)


def _columns(sql: str) -> set[str]:
    from sqlglot import exp, parse_one

    return {column.name for column in parse_one(sql, dialect="duckdb").find_all(exp.Column)}


def _key(policy: Policy, group: str) -> str | list[str]:
    """Return the key of a group, from how the leaf has it."""
    return group if len(policy.group_by) == 1 else list(json.loads(group)) if group else []


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _at(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _at(microseconds)
