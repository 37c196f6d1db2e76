"""The evaluator: follows the landing in micro-batches, counts, and raises an alert for each episode.

One of them works on a lake at a time (see :mod:`auditlake.alerts.watch`). What it knows comes from the lake; what the
lake does not hold is in ``LAKE/alerts/state.json``. Should anything fail, it is thrown away, and the next one begins
from there: an alert may then be given again, under the same id, and none is missed.

Counts are kept here (:mod:`auditlake.alerts.tally`). Any other measure is asked of the lake by the report's own query
(:mod:`auditlake.alerts.measured`), so that there is one definition of it.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from auditlake.alerts.breaches import GRACE_US, Breach, Breaches
from auditlake.alerts.lake_reader import LakeReader, brought, newest_version, the_lake, the_table
from auditlake.alerts.late_events import Lot, Stretch, Waiting, clusters
from auditlake.alerts.live_batches import Batches, Counted
from auditlake.alerts.measured import Measured
from auditlake.alerts.model import Alert, Group, Turn, alert_of
from auditlake.alerts.sinks import Dispatch
from auditlake.alerts.state import PolicyState, State, read_state, write_state
from auditlake.alerts.tally import Tally
from auditlake.alerts.watched_policies import Rules, judged_by
from auditlake.config import LakeConfig
from auditlake.disk.durable import make_folders
from auditlake.disk.layout import Layout
from auditlake.display.text import visible
from auditlake.engine.probe import ConditionError
from auditlake.events.times import instant, micros
from auditlake.ingest.custody import IngestOptions
from auditlake.landing.positions import read_committed
from auditlake.landing.segments import OWN, START, Piece, Position, numbers, pieces, slots
from auditlake.machine import Clock
from auditlake.policies.kinds import measure_of
from auditlake.policies.model import Policy
from auditlake.storage.hosts import host_number

HISTORY_US = 7 * 86_400_000_000
"""How far back one looks that was not there for a while: for what was logged meanwhile, and the episodes of then."""
_BATCH_BYTES = 4 * 1024 * 1024
_CYCLE_BYTES = 32 * 1024 * 1024
_SAVE_SECONDS = 10.0
_LATE_SECONDS = 0.5
_REST_SECONDS = 1.0
"""How long, at least, no measure is asked of the lake after that was done."""
_REST_SHARE = 9
"""How many times as long as it took: the rest of the time is for what is counted."""
_LOG = logging.getLogger("auditlake.alerts.watch")


class Evaluator:
    """Evaluates the policies of a lake as its events come. To be used by one thread of one process at a time.

    Args:
        layout: The lake.
        config: Its settings.
        clock: Where the present comes from.
        dispatch: Who brings alerts to their sinks.
        lateness: Microseconds; that of the settings if None.
        threads: As many as DuckDB may use; as many as there are cores if None.
    """

    def __init__(
        self, layout: Layout, config: LakeConfig, clock: Clock, dispatch: Dispatch, *, lateness: int | None = None,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        self._layout, self._config, self._clock, self._dispatch = layout, config, clock, dispatch
        self._lateness = config.alerts.lateness.microseconds if lateness is None else lateness
        make_folders(layout.alerts, below=layout.root)
        self._before = read_state(layout.alert_state)
        dispatch.take_up(self._before.outbox if self._before else ())
        self._rules = Rules(layout, config.event_types)
        self._options = IngestOptions(config.event_types, config.max_record)
        self._batches = Batches(config.event_types, config.max_record, threads)
        self._tallies: dict[str, Tally] = {}
        self._measured: dict[str, Measured] = {}
        self._rested = 0.0
        self._host = host_number(layout)
        is_own = self._before is None or self._before.host == self._host
        lots = self._before.lots if self._before else ()
        self._waiting = Waiting(lots if is_own else _waiting_for_nothing(lots))
        self._judging: deque[list[Stretch]] = deque()
        self._positions: dict[int, Position] = dict(self._before.positions) if self._before else {}
        self._committed: dict[int, Position] = {}
        self._seen = self._accounted = self._before.version if self._before else -1
        self._uncounted: list[int] = []
        self._now = self._passed = self._before.judged if self._before else 0
        self._is_cold, self._was_warm = True, False
        self._ahead: int | None = None
        self._saved = time.monotonic()
        self._unsaved = self._urgent = self._is_owed = False

    def cycle(self, *, at_once: bool = False) -> bool:
        """Do everything that there is to do now; whether there is more to read already.

        Args:
            at_once: Whether measures that are asked of the lake are asked even if they were a moment ago.

        Raises:
            AuditLakeError: The lake cannot be read. Nothing more may be asked of this evaluator then.
        """
        self._look_at_clock()
        self._look_at_host()
        if self._rules.changed() or self._is_cold or self._is_ahead_near():
            self._warm_up()
        before = dict(self._positions)
        is_behind = self._follow()
        self._look_at_table(before)
        self._judge_late()
        self._judge()
        self._look(at_once=at_once)
        self._save_if_due()
        return is_behind or bool(self._judging)

    def save(self) -> None:
        """Write down where it stands; where the disk refuses, that is logged, and the next time may do."""
        for each in self._every.values():
            each.forget_past(self._now)
        soon = [*self._judging, *self._unasked()]
        lots = [Lot.of(soon), *self._waiting.lots] if soon else self._waiting.lots
        outbox = self._dispatch.outbox()
        policies = {
            policy_id: PolicyState(judged_by(each.policy), each.breaches) for policy_id, each in self._every.items()
        }
        state = State(self._passed, self._accounted, self._positions, policies, tuple(lots), outbox, self._host)
        try:
            write_state(self._layout, state)
        except OSError as error:
            _LOG.error("%s cannot be written, so alerts may come again: %s", self._layout.alert_state, error)
        self._saved = time.monotonic()
        self._unsaved, self._urgent, self._is_owed = bool(outbox), False, bool(outbox)

    def close(self) -> None:
        """Let go of DuckDB."""
        self._batches.close()

    @property
    def _every(self) -> dict[str, Breaches]:
        return {**self._tallies, **self._measured}

    # Time

    def _look_at_clock(self) -> None:
        """Advance the present. A clock that goes back a little is ignored; one that goes back far makes
        everything be counted anew.
        """
        now = micros(self._clock())
        if now < self._now - self._lateness:
            self._is_cold = True
            self._passed = now - GRACE_US
            self._now = now
        self._now = max(now, self._now)

    def _look_at_host(self) -> None:
        """Have everything counted anew where the host's number was another's too: positions are of another landing."""
        with suppress(OSError):
            before, self._host = self._host, host_number(self._layout)
            if before and self._host != before:
                self._waiting = Waiting(_waiting_for_nothing(self._waiting.lots))
                self._is_cold = True

    def _is_ahead_near(self) -> bool:
        """Whether events that were dated too far ahead to be kept are about to count."""
        return self._ahead is not None and self._ahead - self._lateness // 2 <= self._now

    def _note_ahead(self, at: int | None) -> None:
        if at is not None:
            self._ahead = at if self._ahead is None else min(at, self._ahead)

    # The landing

    def _follow(self) -> bool:
        """Count what is new in the landing; whether there is more."""
        began, total, size, read = self._now, 0, 0, list[Piece]()
        for piece in pieces(self._layout, self._positions):
            self._positions[piece.segment.slot] = piece.end
            read.append(piece)
            size += len(piece.data)
            if size >= _BATCH_BYTES:
                total += size
                self._count(read)
                read.clear()
                size = 0
            if total >= _CYCLE_BYTES:
                return True
        if read:
            self._count(read)
        # No writer lags: whatever happened up to a moment ago has been read.
        self._passed = max(self._passed, began - GRACE_US)
        return False

    def _count(self, read: Sequence[Piece]) -> None:
        self._look_at_clock()
        lines = [piece.data for piece in read if piece.segment.slot < OWN]
        own = [piece.data for piece in read if piece.segment.slot >= OWN]
        self._batches.take(lines, instant(self._now), own)
        concerned = self._batches.concerned([each.policy for each in self._every.values()])
        for policy in concerned:
            if (tally := self._tallies.get(policy.id)) is not None:
                with self._by_itself(policy):
                    late = list(self._see(tally, self._batches.counted(policy)))
                    self._wait_for_table(late, self._positions)
        if measured := [self._measured[policy.id] for policy in concerned if policy.id in self._measured]:
            judged, ahead = self._now - self._lateness, self._now + self._lateness
            spans, beyond = self._batches.spans(instant(judged), instant(ahead))
            self._note_ahead(beyond)
            for each in measured:
                each.notice(spans)
        self._judge()
        self._unsaved = True

    def _see(self, tally: Tally, sightings: Iterable[Counted]) -> Iterator[Stretch]:
        """Let a tally see events; give the stretches of those that are too late, or not certain to land."""
        judged, ahead = self._now - self._lateness, self._now + self._lateness
        for each in sightings:
            beyond = bisect_right(each.moments, ahead)
            if beyond:
                tally.see(each.group, zip(each.moments[:beyond], each.identities, strict=False))
            for at in each.moments[beyond : beyond + 1]:
                self._note_ahead(at)
            for at in (*each.moments[: bisect_right(each.moments, judged)], *each.doubtful):
                yield Stretch(tally.policy.id, each.group, at, at)

    def _judge(self) -> None:
        for tally in self._tallies.values():
            self._raise(tally.policy, tally.judge(self._now, self._passed))

    def _look(self, *, at_once: bool) -> None:
        """Ask the lake for the measures that may have changed, now and then: that takes longer than to count."""
        for each in self._measured.values():
            self._raise(each.policy, each.wake(self._now, self._passed))
        stirred = [each for each in self._measured.values() if each.unasked]
        began = time.monotonic()
        if not stirred or (began < self._rested and not at_once):
            return
        with the_lake(self._layout, self._options, instant(self._now)) as lake:
            for each in stirred:
                with self._by_itself(each.policy):
                    self._raise(each.policy, each.look(lake, self._now, self._passed))
        done = time.monotonic()
        self._rested = done + max(_REST_SECONDS, _REST_SHARE * (done - began))
        self._unsaved = True

    def _unasked(self) -> Iterator[list[Stretch]]:
        """Yield what measures are still to be asked about."""
        for name, each in self._measured.items():
            if each.unasked:
                yield [Stretch(name, None, *each.unasked)]

    # The table

    def _look_at_table(self, before: dict[int, Position]) -> None:
        """Take note of commits: of events that came another way, and of what was removed before it was read."""
        theirs, other = list[int](), list[int]()
        if newest_version(self._layout, self._seen) != self._seen:
            now = read_committed(self._layout, slots(self._layout))
            live, theirs, other = brought(self._layout, self._seen, now.snapshot.version)
            self._uncounted += live
            self._seen, self._committed = now.snapshot.version, dict(now.positions)
        lost = self._is_something_lost(before)
        if theirs or other or lost:
            self._count_from_table([*theirs, *(self._uncounted if lost else [])], other)
        if lost:
            for slot, position in self._committed.items():
                self._positions[slot] = max(position, self._positions.get(slot, START))
        if all(self._positions.get(slot, START) >= position for slot, position in self._committed.items()):
            self._accounted = self._seen
            self._uncounted = []

    def _is_something_lost(self, before: dict[int, Position]) -> bool:
        """Whether a flush may have removed lines that were not read."""
        for slot, committed in self._committed.items():
            known = before.get(slot, START)
            if committed > known:
                last = max(committed.number, self._positions.get(slot, START).number)
                if not set(range(max(known.number, 1), last + 1)) <= set(numbers(self._layout, slot)):
                    return True
        return False

    def _count_from_table(self, live: Sequence[int], other: Sequence[int]) -> None:
        """Count events from the table: it has each of them once, and what was seen before changes nothing."""
        judged, ahead = self._now - self._lateness, self._now + self._lateness
        with the_table(self._layout) as table:
            for tally in list(self._tallies.values()):
                policy, after = tally.policy, instant(max(judged - tally.policy.window.microseconds, 0))
                with self._by_itself(policy):
                    counted = table.counted(
                        "brought", policy, batches=[*live, *other], after=after, until=instant(ahead)
                    )  # fmt: skip
                    for _ in self._see(tally, counted):
                        pass
                    self._wait_for_table(table.latecomers(policy, live, judged), {})
            spans = (table.spans(live, judged), table.spans(other, judged)) if self._measured else ({}, {})
            for each in self._measured.values():
                each.notice(spans[0])
                each.notice(spans[1], since=judged)
            self._note_ahead(table.next_ahead(ahead))
        self._unsaved = True

    def _wait_for_table(self, late: Iterable[Stretch], needs: dict[int, Position]) -> None:
        self._waiting.add(late, {slot: position.packed for slot, position in needs.items()}, self._reach())

    def _reach(self) -> dict[str, int]:
        """Of each policy, how far apart late events may be and still be judged together."""
        return {policy_id: 2 * tally.policy.window.microseconds for policy_id, tally in self._tallies.items()}

    def _judge_late(self) -> None:
        """Judge what came late and is in the table now; for a moment, and the rest the next time."""
        self._take_ready()
        if not self._judging:
            return
        until = time.monotonic() + _LATE_SECONDS
        with the_table(self._layout) as table:
            while self._judging and time.monotonic() < until:
                near = self._judging.popleft()
                if (measured := self._measured.get(near[0].policy_id)) is not None:
                    measured.stir(near[0].first, max(each.last for each in near))
                if (tally := self._tallies.get(near[0].policy_id)) is not None:
                    with self._by_itself(tally.policy):
                        self._raise(tally.policy, self._settle_late(table, tally, near))
        self._unsaved = True
        self._take_ready()  # of several lots that one flush brought, the next one is more to do

    def _take_ready(self) -> None:
        if not self._judging:
            committed = {slot: position.packed for slot, position in self._committed.items()}
            if (lot := self._waiting.take_ready(committed)) is not None:
                self._judging.extend(clusters(lot.stretches(), self._reach()))

    def _settle_late(self, table: LakeReader, tally: Tally, near: Sequence[Stretch]) -> list[Turn]:
        window = tally.policy.window.microseconds
        groups = {each.group for each in near}
        return table.settle(
            tally, min(each.first for each in near) - window, self._now, self._passed,
            until=max(each.last for each in near) + window,
            groups=None if None in groups else frozenset(group for group in groups if group is not None),
        )  # fmt: skip

    # Beginning

    def _warm_up(self) -> None:
        """Count everything anew from the lake; what was alerted stays alerted."""
        past = self._past()
        first = past is None
        since = instant(max(self._now - HISTORY_US, 0)) if first else None
        previous, self._passed = self._passed, max(self._passed, self._now - GRACE_US)
        judged = self._now - self._lateness
        with the_lake(self._layout, self._options, instant(self._now)) as lake:
            version = lake.committed.snapshot.version
            own, theirs, _ = brought(self._layout, self._accounted, version, since=since)
            live = [*own, *theirs]
            self._judging.extend(self._unasked())
            before, self._tallies, self._measured = self._every, {}, {}
            for policy_id, policy in self._rules.alerted.items():
                known = (past or {}).get(policy_id)
                alerted, begin = dict[Group, list[Breach]](), judged
                if known is not None and known.judged_by == judged_by(policy):
                    alerted = dict(known.breaches)
                    begin = max(min(previous, self._now) - self._lateness, self._now - HISTORY_US)
                start = self._begin if measure_of(policy).is_tallied else self._begin_measured
                with self._by_itself(policy):
                    start(lake, policy, alerted, begin, live if known is not None or first else None)
            self._retire(before)
            self._batches.forget()
            self._batches.remember(lake.seen(max(judged, 0)))
            self._ahead = None
            self._note_ahead(lake.next_ahead(self._now + self._lateness))
            self._positions, self._committed = dict(lake.ends), dict(lake.committed.positions)
        self._seen = self._accounted = version
        self._uncounted, self._before = [], None
        self._is_cold, self._was_warm = False, True
        self._unsaved = self._urgent = True

    @contextmanager
    def _by_itself(self, policy: Policy) -> Iterator[None]:
        """Leave a policy out whose condition cannot be evaluated, until some policy changes: it stops no other."""
        import duckdb  # slow to import

        its_own = (duckdb.NotSupportedError, duckdb.SyntaxException, duckdb.BinderException, duckdb.ConversionException,
                   duckdb.OutOfMemoryException, ConditionError)  # fmt: skip
        try:
            yield
        except its_own as error:
            why = visible(str(error).strip().partition("\n")[0])
            _LOG.error("policy %s is not evaluated, because its condition cannot be: %s", policy.id, why)
            self._tallies.pop(policy.id, None)
            self._measured.pop(policy.id, None)

    def _past(self) -> Mapping[str, PolicyState] | None:
        """Return what was alerted before; None if no process evaluated this lake before."""
        if self._before is not None:
            return self._before.policies
        if not self._was_warm:
            return None
        return {key: PolicyState(judged_by(each.policy), each.breaches) for key, each in self._every.items()}

    def _begin(
        self, lake: LakeReader, policy: Policy, alerted: Mapping[Group, list[Breach]], since: int,
        live: Sequence[int] | None,
    ) -> None:  # fmt: skip
        """Judge all that has happened since an instant, and keep what later judgements need.

        Args:
            lake: The lake.
            policy: The policy, which is counted.
            alerted: What was alerted of it.
            since: Up to then everything was judged.
            live: Of the events before, judge those of these batches and of the landing; none if None.
        """
        tally = self._tallies[policy.id] = Tally(policy, self._lateness, self._now)
        tally.carry(alerted)
        window, judged = policy.window.microseconds, self._now - self._lateness
        turns = lake.settle(tally, since - window, self._now, self._passed, ends_after=since)
        counted = lake.counted(
            "recent", policy, after=instant(max(judged - window, 0)), judged=instant(max(judged, 0)),
            until=instant(self._now + self._lateness),
        )  # fmt: skip
        for each in counted:
            tally.see(each.group, zip(each.moments, each.identities, strict=True))
        self._raise(policy, [*turns, *tally.judge(self._now, self._passed)])
        if live is not None:
            self._wait_for_table(lake.latecomers(policy, live, since), {})
            self._wait_for_table(lake.latecomers(policy, None, since), lake.ends)

    def _begin_measured(
        self, lake: LakeReader, policy: Policy, alerted: Mapping[Group, list[Breach]], since: int,
        live: Sequence[int] | None,
    ) -> None:  # fmt: skip
        """Do the same for a policy whose measure is asked of the lake."""
        measured = self._measured[policy.id] = Measured(policy, self._lateness, since)
        measured.carry(alerted)
        measured.stir(since - policy.window.microseconds)
        if live is not None:
            measured.notice(lake.spans(live, since, landing=True))
        self._raise(policy, measured.look(lake, self._now, self._passed))

    def _retire(self, before: Mapping[str, Breaches]) -> None:
        """Close what is open of policies that are gone, or count something else now."""
        for policy_id, old in before.items():
            new = self._every.get(policy_id)
            if new is not None and judged_by(new.policy) == judged_by(old.policy):
                continue
            for turn in old.give_up(self._now):
                what = "changed" if policy_id in self._rules.policies else "removed"
                alert = alert_of(old.policy, turn, now=self._now, lateness=self._lateness)
                self._send(replace(alert, message=f"{visible(old.policy.name)}: the policy was {what}"))

    # What comes of it

    def _raise(self, policy: Policy, turns: Iterable[Turn]) -> None:
        for turn in turns:
            self._send(alert_of(policy, turn, now=self._now, lateness=self._lateness))

    def _send(self, alert: Alert) -> None:
        self._dispatch.send(alert)
        self._unsaved = self._urgent = True

    def _save_if_due(self) -> None:
        is_due = self._unsaved and time.monotonic() - self._saved > _SAVE_SECONDS
        # The process that goes on from here must not tell again what was told since.
        if self._urgent or is_due or (self._is_owed and not self._dispatch.outbox()):
            self.save()


def _waiting_for_nothing(lots: Iterable[Lot]) -> list[Lot]:
    """Return lots that wait for no position of the landing: what they waited for is in the table, or was of another."""
    return [Lot.of([[*each.stretches()] for each in lots])]
