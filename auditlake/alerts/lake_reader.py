"""What the evaluator asks of the lake itself: what it has got, where counts begin, what late events add up to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from auditlake.alerts.late_events import Stretch
from auditlake.alerts.live_batches import Counted, counted
from auditlake.alerts.measured import Span
from auditlake.alerts.model import Group, Turn
from auditlake.alerts.tally import Tally
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.engine.duck import connect, keep_rows
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row, StatementError
from auditlake.engine.statements import statement
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.events.times import instant, micros
from auditlake.ingest.custody import IngestOptions
from auditlake.ingest.ingest import preview
from auditlake.landing.positions import Committed, held, read_committed, unflushed
from auditlake.landing.segments import Position, application, slots
from auditlake.policies.compile import filled
from auditlake.policies.evaluate import episodes
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.model import Policy
from auditlake.policies.question import BEFORE_ALL, Question
from auditlake.storage.hosts import host_number
from auditlake.store.batches import place_of
from auditlake.store.deltalog import METADATA_KEY, ingests_of
from auditlake.store.failures import explained
from auditlake.store.snapshot import view_snapshot

if TYPE_CHECKING:
    import duckdb

_LANDING = "_landing"
_MOST_SEEN = 250_000
_FIRST = micros(BEFORE_ALL)
_COLUMNS = (*PUBLIC_COLUMNS, "batch")


def newest_version(layout: Layout, known: int) -> int:
    """Return the newest version without opening the table; ``known`` is one to begin at."""
    while layout.commit(known + 1).exists():
        known += 1
    return known


def brought(
    layout: Layout, after: int, until: int, *, since: datetime | None = None
) -> tuple[list[int], list[int], list[int]]:
    """Return the batches that versions after one and up to another brought: from the landing of this host, from those
    of other hosts, and another way.

    Args:
        layout: The lake.
        after: The first version that is left out.
        until: The last that is looked at.
        since: If given, no commit that is older.
    """
    live, theirs, other = list[int](), list[int](), list[int]()
    own_host = host_number(layout)
    for version in range(until, after, -1):
        entries = [json.loads(line) for line in read_file(layout.commit(version), within=layout.root).splitlines()]
        own = next((entry["commitInfo"].get(METADATA_KEY) for entry in entries if "commitInfo" in entry), None)
        ingests = [each for each in ingests_of(own if isinstance(own, dict) else None) if each.get("batch") is not None]
        moved = [entry["txn"]["appId"] for entry in entries if "txn" in entry]
        for each in ingests:
            host = place_of(each["batch"])[0]
            if since is not None and datetime.fromisoformat(each["at"]) < since:
                if host == own_host:
                    return live, theirs, other
                continue  # its clock is another
            landing = application(0, host).removesuffix("00")
            is_live = any(name.startswith(landing) for name in moved)
            (other if not is_live else live if host == own_host else theirs).append(each["batch"])
    return live, theirs, other


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode of a group ``[start, end)``, in microseconds since 1970, and the measure where it begins and ends."""

    group: Group
    start: int
    end: int | None
    """None where it goes on beyond what was asked."""
    at_start: int
    at_end: int


class LakeReader:
    """An engine with the view ``events`` of the lake, for as long as a question takes.

    Args:
        engine: The engine.
        committed: How far the table is that it shows.
    """

    def __init__(self, engine: DuckEngine, committed: Committed) -> None:
        self.engine = engine
        self.committed = committed
        self.ends: dict[int, Position] = dict(committed.positions)
        """Of each slot, what of it ``events`` shows."""

    def counted(self, name: str, policy: Policy, **values: object) -> Iterator[Counted]:
        """Run a statement of ``sql/alerts/lake.sql``, and yield what a policy counts."""
        return counted(partial(_rows, self.engine), "lake", name, policy, values)

    def latecomers(self, policy: Policy, batches: Sequence[int] | None, judged: int) -> Iterator[Stretch]:
        """Yield the stretches in which batches, or the landing if None, brought a policy's groups events up to
        ``judged``.
        """
        part = statement("alerts/lake.sql", "latecomers")
        values = {
            "types": list(policy.required_events), "batches": list(batches or ()), "landing": batches is None,
            "judged": instant(judged), "reach_us": 2 * policy.window.microseconds,
        }  # fmt: skip
        for key, first, last in _rows(self.engine, filled(part, policy), part.bind(values)):
            yield Stretch(policy.id, group_values(key), first, last)

    def spans(self, batches: Sequence[int], judged: int, *, landing: bool = False) -> dict[str, Span]:
        """Return when the events of each type happened that batches brought, or the landing as well."""
        part = statement("alerts/lake.sql", "spans_brought")
        values = {"batches": list(batches), "landing": landing, "judged": instant(judged)}
        found = _rows(self.engine, part.text, part.bind(values))
        return {event_type: (first, late) for event_type, first, late in found}

    def episodes(self, policy: Policy, after: int, last: int) -> list[Episode]:
        """Return the episodes of a policy in ``(after, last]`` by the report's own query, whatever it measures."""
        question = Question(instant(last), instant(max(after, _FIRST)), instant(last))
        found = [
            (group_values(key), micros(start), micros(end) if end else None)
            for key, start, end, *_ in _episodes(self.engine, policy, question)
        ]
        if not found:
            return []
        keys = [group[0] if len(policy.group_by) == 1 else list(group) for group, _, _ in found]
        part = statement("alerts/lake.sql", "measures_at")
        instants = [*(start for _, start, _ in found), *(last if end is None else end for _, _, end in found)]
        values = {"keys": [*keys, *keys], "instants": instants}
        measures = [measure for _, measure in _rows(self.engine, part.text, part.bind(values))]
        return [
            Episode(*each, *ends)
            for each, *ends in zip(found, measures[: len(found)], measures[len(found) :], strict=True)
        ]

    def seen(self, after: int) -> Any:
        """Return what was read lately, as :meth:`auditlake.alerts.live_batches.Batches.remember` takes it."""
        part = statement("alerts/lake.sql", "recently_seen")
        values = {"after": instant(after), "most": _MOST_SEEN}
        return self.engine.arrow(part.text, part.bind(values))

    def next_ahead(self, after: int) -> int | None:
        """Return the first event dated after an instant."""
        part = statement("alerts/lake.sql", "next_ahead")
        ((first,),) = _rows(self.engine, part.text, part.bind({"after": instant(after)}))
        return micros(first) if first else None

    def settle(
        self, tally: Tally, since: int, now: int, passed: int, *, until: int | None = None,
        groups: frozenset[Group] | None = None, ends_after: int = 0,
    ) -> list[Turn]:  # fmt: skip
        """Judge a stretch by the report's own query, and let the tally settle every episode of it.

        Args:
            tally: The policy's counts.
            since: The stretch begins after it.
            now: Later events do not exist.
            passed: Up to when all events have been read.
            until: The stretch ends with it; with ``now`` if None.
            groups: Only these groups.
            ends_after: Leave out what had ended by then.
        """
        policy, last = tally.policy, min(until if until is not None else now, now)
        since = max(since, _FIRST)
        if since >= last:
            return []
        question = Question(instant(now), instant(since), instant(last))
        stretches: list[tuple[Group, int, int]] = []
        for key, start, end, *_ in _episodes(self.engine, policy, question):
            group, stop = group_values(key), micros(end) if end else last + 1
            if stop > ends_after and (groups is None or group in groups):
                stretches.append((group, micros(start), stop))
        turns: list[Turn] = []
        for (group, start, stop), count in zip(stretches, self._counts(policy, stretches), strict=True):
            turns += tally.settle(group, start, stop, count, passed)
        for group in dict.fromkeys(group for group, _, _ in stretches):
            turns += tally.resolve(group, passed)
        return turns

    def _counts(self, policy: Policy, stretches: Sequence[tuple[Group, int, int]]) -> list[int]:
        """How many events were in the window at the beginning of each of some episodes."""
        if not stretches:
            return []
        keys = [group[0] if len(policy.group_by) == 1 else list(group) for group, _, _ in stretches]
        starts = [start for _, start, _ in stretches]
        part = statement("alerts/lake.sql", "counts_at")
        window = policy.window.microseconds
        values = {
            "types": list(policy.required_events), "keys": keys, "instants": starts, "window_us": window,
            "after": instant(max(min(starts) - window, _FIRST)), "until": instant(max(starts)),
        }  # fmt: skip
        return [events for _, events in _rows(self.engine, filled(part, policy), part.bind(values))]


@contextmanager
def the_table(layout: Layout) -> Iterator[LakeReader]:
    """Open the newest snapshot of the table."""
    with _connected(layout) as connection:
        committed = read_committed(layout, slots(layout))
        events = view_snapshot(connection, layout, committed.snapshot, columns=_COLUMNS, asked=())
        yield LakeReader(DuckEngine(connection, events), committed)


@contextmanager
def the_lake(layout: Layout, options: IngestOptions, now: datetime) -> Iterator[LakeReader]:
    """Open the newest snapshot of the table with the landing, as it would be if that were flushed now.

    Args:
        layout: The lake.
        options: How a flush would ingest.
        now: What ``ingested_at`` says of the landing's events.
    """
    with _connected(layout) as connection:
        committed, left = unflushed(layout)
        if lines := [held(piece, line=1) for piece in left]:
            keep_rows(connection, _LANDING, preview(layout, lines, options, now=now, snapshot=committed.snapshot))
        beside = _LANDING if lines else None
        events = view_snapshot(connection, layout, committed.snapshot, columns=_COLUMNS, beside=beside, asked=())
        reader = LakeReader(DuckEngine(connection, events), committed)
        for piece in left:
            reader.ends[piece.segment.slot] = piece.end
        yield reader


@contextmanager
def _connected(layout: Layout) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        explained(layout, "the evaluation of alerts"),
        TemporaryDirectory(prefix="auditlake-") as spill,
        connect(temp=Path(spill)) as connection,
    ):
        yield connection


def _episodes(engine: DuckEngine, policy: Policy, question: Question) -> Sequence[Row]:
    """Return the episodes; the evaluator tells DuckDB's errors apart itself."""
    try:
        return episodes(engine, policy, question)
    except StatementError as error:
        raise error.cause from None


def _rows(engine: DuckEngine, sql: str, parameters: Mapping[str, object]) -> list[Row]:
    """Return the rows of a statement; the errors are as above."""
    try:
        return engine.rows(sql, parameters)
    except StatementError as error:
        raise error.cause from None
