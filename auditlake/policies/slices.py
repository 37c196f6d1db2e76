"""The questions of a policy asked by slices of time, on engines that have no one order over all events.

A count changes by one where an event comes and where it leaves the window. Events are counted by slice of time; a sum
over slices gives what is carried into each, and so the bounds of the count within it. Only slices in which a threshold
can be crossed, or in which a peak can lie, are looked at event by event. The answers are those of ``sql/policies``
(semantics.md, Counts in a rolling window).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import gcd

from auditlake.engine import duck
from auditlake.engine.model import Engine, Leaf, Row, SliceEngine
from auditlake.engine.statements import statements
from auditlake.engine.timings import answered_by
from auditlake.errors import EngineError
from auditlake.events.schema import TEXT_COLUMNS
from auditlake.events.times import instant, micros
from auditlake.policies.by_days import by_days
from auditlake.policies.by_group import SliceFiles, by_group, columns_of
from auditlake.policies.compile import compile_lacking, compile_leaf, compile_policy, samples_of
from auditlake.policies.deleted_days import Deletion
from auditlake.policies.evaluate import Answers, Samples, samples_shown
from auditlake.policies.holds import Hold
from auditlake.policies.kinds import measure_of
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier

_DAY_US = 86_400_000_000
Stretch = tuple[datetime, datetime]
"""From when to when, both included."""
_IN_A_SLICE = 30
"""How many events a slice is to have, more or less, where nothing groups them."""
_PARTS = [1, 2, 4, 8, 24, 48, 144, 288, 720, 1440, 4320, 8640, 28_800, 86_400, 432_000, 864_000, 4_320_000, 8_640_000]
"""Into how many slices a day, or the part of one that divides the window, may be cut."""
_READ_TWICE = ("counts", "judged", "kept", "levels", "episodes")


def not_by_slices(policy: Policy) -> str | None:
    """Return what a policy asks that has no formulation by slices; None where it has nothing of the kind."""
    if policy.fault is not None:
        return policy.fault
    if policy.alert_threshold is None or not measure_of(policy).looks_far_back:
        return None
    if not policy.group_by:
        return f"{policy.measure} without groups"
    # A baseline depends on its group's events alone; who or what was silent has to be in one part with all of its own.
    is_told = policy.measure == "baseline" or {*policy.group_by} <= {*policy.more[policy.measure]["entity"]}
    return None if is_told else f"{policy.measure} by groups that its entity does not tell"


def _is_by_days(policy: Policy) -> bool:
    """Return whether no group has all that its measure depends on: it is judged by stretches of days."""
    is_divided = policy.group_by and not any(step.group_by for step in policy.more.get("together", ()))
    return policy.measure != "count" and not is_divided


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
        answered_by(policy.id, engine.name)
        yield Answers(policy, policies, question, rows, counts, asked=policy, deleted=deleted)


def refuse_what_has_no_slices(engine: SliceEngine, asked: Sequence[tuple[Policy, Question]]) -> None:
    """Name the policies that ask what has no formulation by slices.

    Raises:
        EngineError: There are some.
    """
    refused = [f"{policy.id} ({what})" for policy, _ in asked if (what := not_by_slices(policy)) is not None]
    if refused:
        message = f"the engine {engine.name} cannot be asked for {', '.join(refused)}"
        raise EngineError(message, hint="name the other policies, or ask with --engine duckdb")


def samples_by_slices(
    engine: SliceEngine, local: Engine, answers: Answers, most: int, view: Callable[[Sequence[Stretch]], None]
) -> Samples:  # fmt: skip
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
    if "behind_peaks" in answers.rows:
        behind = {(group_values(key), start): peak for key, start, *peak in answers.rows["behind_peaks"]}
        peaks = [behind[group_values(row[0]), micros(row[1])] for row in rows]
        return _shown(local, policy, question, rows, [(start, end) for start, end in peaks], view)
    texts = {tuple(_key(policy, g)): g for (g,) in engine.rows(parts["groups"].text)}
    shown = [(n, texts[tuple(row[0])], micros(row[6])) for n, row in enumerate(rows, 1)]
    engine.table("shown", {"episode": "bigint", "g": "string", "peak_at": "bigint"}, shown)
    found: dict[int, int] = dict(engine.rows(parts["fifth"].text))
    window = policy.window.microseconds
    at_peaks = [(max(found.get(n, 0), peak_at - window + 1), peak_at) for n, _, peak_at in shown]
    return _shown(local, policy, question, rows, at_peaks, view)


def _shown(
    local: Engine, policy: Policy, question: Question, rows: Sequence[Row], at_peaks: Sequence[tuple[int, int]],
    view: Callable[[Sequence[Stretch]], None],
) -> Samples:  # fmt: skip
    """Return a few of the events of episodes, each from the one instant to the other."""
    view([(instant(start), instant(end)) for start, end in at_peaks])
    part = statements("slices/shown.sql")["shown" if len(policy.group_by) == 1 else "shown_by_several"]
    values: dict[str, object] = {
        "keys": [row[0] for row in rows], "starts": [micros(row[1]) for row in rows],
        "from_ts": [start for start, _ in at_peaks], "peak_ats": [end for _, end in at_peaks],
    }  # fmt: skip
    local.rows(part.text, part.bind(values))
    return samples_shown(local, samples_of(policy, question, len(rows)).steps[-1])


class _Questions:
    """What one policy asks of an engine."""

    def __init__(
        self, engine: SliceEngine, files: SliceFiles, policy: Policy, policies: Sequence[Policy], holds: Sequence[Hold],
        question: Question,
    ) -> None:  # fmt: skip
        self._engine, self._policy, self._question = engine, policy, question
        active = tuple(hold for hold in holds if hold.is_active(question.as_of))
        window = timedelta(microseconds=policy.window.microseconds)
        instants = {
            "as_of": question.as_of, "since": question.since, "until": question.until,
            "window_start": earlier(question.as_of, window), "look_back": earlier(question.since, window),
        }  # fmt: skip
        self._values: dict[str, object] = {f"{name}_us": micros(each) for name, each in instants.items()}
        self._values["alert_threshold"] = policy.alert_threshold
        self._values["window_us"] = policy.window.microseconds
        self._values["slice_us"] = slice_us(policy, question, files.rows)
        self._files, self._policies, self._holds = files, policies, active

    def answered(self) -> dict[str, list[Row]]:
        """Return the rows of each question, as the statements of ``sql/policies`` give them.

        The leaf that the page looks up again is the last one.
        """
        policy, rows = self._policy, dict[str, list[Row]]()
        if policy.scope is not None:
            rows |= self._beside_scope(policy.scope)
        if policy.fields:
            rows["field_counts"] = self._fields()
        is_by_group = policy.measure != "count" or (self._engine.is_one and policy.group_by)
        if policy.alert_threshold is not None and is_by_group:
            ask = by_days if _is_by_days(policy) else by_group
            rows |= ask(self._engine, policy, self._question, self._files)
        self._read(_leaf(policy, self._question, self._holds))
        rows |= self._facts()
        if policy.alert_threshold is not None and not is_by_group:
            rows |= self._counts()
        elif policy.alert_threshold is not None and _is_by_days(policy):
            ((_, ungrouped, errors, _, valueless),) = rows["threshold_totals"]
            ((recent, _, _, future),) = self._run("counts", "threshold_totals")
            rows["threshold_totals"] = [(recent, ungrouped, errors, future, valueless)]
        if policy.retention_period is not None and policy.scope is None:
            rows["retention"] = self._retention()
        return rows

    def _read(self, leaf: Leaf) -> None:
        self._engine.leaf(leaf, self._files.files, self._files.batches)

    def _beside_scope(self, scope: str) -> dict[str, list[Row]]:
        """Return what is asked of all governed events: the scope is the condition that tells which are in it."""
        asked = replace(self._policy, scope=None, where=scope, group_by=())
        self._read(_leaf(asked, self._question, self._holds))
        rows = {"scope_unknown": self._run("scope", "scope_unknown")}
        if self._policy.retention_period is not None:
            rows["retention"] = self._retention()
            rows["oldest_event"] = [(_instant(oldest),) for (oldest,) in self._run("scope", "oldest_event")]
        return rows

    def _fields(self) -> list[Row]:
        step = compile_lacking(self._policy, self._question)
        self._read(Leaf(self._policy.required_events, step.sql, step.parameters, None, columns_of(step.sql)))
        counts = [
            (name, source, int(lacking), events, instant(first), instant(last))
            for name, g, events, first, last in self._run("fields", "field_counts")
            for source, lacking in [json.loads(g)]
        ]
        return sorted(counts, key=lambda row: row[:3])

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
            "first_event": [(instant(first),)] if first is not None else [],
        }
        if self._policy.alert_threshold is not None:
            rows["presence_now"] = [(bool(received_now),)]
        if rules := self._policy.gap_rules:
            limits = [(name, rule.longest.microseconds) for name, rule in rules.items()]
            self._engine.table("limits", {"event_type": "string", "longest": "bigint"}, limits)
            self._values["cell_us"] = min(longest for _, longest in limits)
            gaps = sorted(self._run("gaps", "coverage_gaps"), key=lambda row: row[:2])
            listed: list[Row] = [(name, _instant(start), _instant(end)) for name, start, end in gaps]
            rows["coverage_gaps"] = self._in_hours(listed) if any(rule.within for rule in rules.values()) else listed
        return rows

    def _in_hours(self, gaps: list[Row]) -> list[Row]:
        """Return the stretches that are gaps where silence counts in some hours only: DuckDB knows clocks, and is given
        the events around the stretches alone. What it finds between those of two stretches is none.
        """
        import pyarrow as pa

        asked = replace(self._policy, scope=None)
        (query,) = compile_policy(asked, self._policies, self._question, only="required_types")
        (step,) = (step for step in query.steps if step.name == "coverage_gaps")
        heard = sorted({(name, at) for name, *stretch in gaps for at in stretch if at is not None})
        schema = pa.schema([("event_type", pa.string()), ("timestamp", pa.timestamp("us", tz="UTC"))])
        with duck.connect() as connection:
            names, instants = zip(*heard, strict=True) if heard else ((), ())
            duck.keep_rows(connection, "moments", pa.table([names, instants], schema=schema))
            found = {*duck.rows(connection, step.sql, step.parameters)}
        return [gap for gap in gaps if gap in found]

    def _counts(self) -> dict[str, list[Row]]:
        for name in ("governed", "counts", "sums", "bounds", "judged", "kept", "levels", "pieces", "episodes"):
            self._define("counts", name)
        since = micros(self._question.since)
        episodes: list[Row] = [
            (_key(self._policy, g), instant(start), _instant(end), end is None, start <= since, peak, instant(peak_at))
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
        since, until = micros(self._question.since), micros(self._question.until)
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
        cutoffs = [*zip(self._policy.required_events, map(micros, values["type_cutoffs"]), strict=True)]
        self._engine.table("cutoffs", {"event_type": "string", "cutoff": "bigint"}, cutoffs)
        self._values["cutoff_us"] = micros(values["cutoff"])
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
    period = micros(question.until) - micros(question.since)
    most = period * _IN_A_SLICE // max(rows, 1)
    lengths = [longest // parts for parts in _PARTS if longest % parts == 0]
    return next((length for length in lengths if length <= most), lengths[-1])


def _leaf(policy: Policy, question: Question, holds: Sequence[Hold]) -> Leaf:
    step = compile_leaf(policy, question, holds)
    is_asked = policy.where is not None or policy.scope is not None or holds
    is_plain = not is_asked and len(policy.group_by) < 2 and {*policy.group_by} <= {*TEXT_COLUMNS}
    group_by = policy.group_by if is_plain else None
    return Leaf(policy.required_events, step.sql, step.parameters, group_by, columns_of(step.sql))


def _key(policy: Policy, group: str) -> str | list[str]:
    """Return the key of a group, from how the leaf has it."""
    return group if len(policy.group_by) == 1 else list(json.loads(group)) if group else []


def _instant(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else instant(microseconds)
