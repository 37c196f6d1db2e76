"""The tables behind the views that the parent makes on demand, as Arrow.

What is judged are the rows that the principal sees: a principal gets no finding about hidden rows. They are judged
by their true values, and what is shown of that is masked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from auditlake.config import LakeConfig
from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout
from auditlake.engine.narrowing import Asked
from auditlake.engine.paths import all_for_duckdb
from auditlake.engine.sql_text import Batches, select_events
from auditlake.errors import QueryError
from auditlake.events.schema import PUBLIC_COLUMNS
from auditlake.policies.model import Number
from auditlake.policies.question import PeriodRequest, question
from auditlake.sandbox.masking import Masking
from auditlake.sandbox.model import MEGABYTE
from auditlake.store.deltalog import Commits, commit_metadata, ingests_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from auditlake.findings.decisions import Acceptance
    from auditlake.findings.finding import Finding
    from auditlake.policies.model import Policy
    from auditlake.reports.model import Report
    from auditlake.store.model import Snapshot

Row = Mapping[str, Any]
T = TypeVar("T")

_PIECE = 1_000
"""Rows that are made into Arrow together."""
_TIME, _MEMORY = "it took longer than it may", "it needed more memory than it may have"

_T, _I, _D, _B, _W, _Y, _L = "text", "number", "decimal", "flag", "instant", "day", "list"
_HIDDEN = "(hidden)"
_BESIDE = frozenset({"policy-change", "mapping-change", "pack-change", "report", "key-rotate", "upgrade"})
"""Kinds of entries of the ledger that are about no snapshot."""
_MEASURES = ("ongoing", "started_before_period", "peak", "peak_at")
SHAPES: dict[str, dict[str, str]] = {
    "policies": {
        "policy_id": _T, "name": _T, "description": _T, "severity": _T, "required_events": _L, "alert_threshold": _D,
        "window_length": _T, "group_by": _L, "condition": _T, "scope": _T, "coverage": _T, "max_gap": _T,
        "retention_period": _T, "max_retention": _T, "controls": _T, "digest": _T,
    },
    "findings": {
        "policy_id": _T, "finding_id": _T, "kind": _T, "event_type": _T, "group_values": _T, "started": _W,
        "ended": _W, "ongoing": _B, "started_before_period": _B, "peak": _D, "peak_at": _W, "message": _T,
        "accepted": _B, "accepted_by": _T, "accepted_until": _W, "reason": _T,
    },
    "retention_status": {
        "policy_id": _T, "status": _T, "retention_period": _T, "cutoff": _W, "due": _I, "kept_by_other_policies": _I,
        "held": _I, "oldest_event": _W, "total_events": _I,
    },
    "daily_counts": {
        "event_date": _Y, "event_type": _T, "source": _T, "events": _I, "first_event": _W, "last_event": _W,
    },
    "ingests": {
        "snapshot": _I, "ingested": _W, "batch": _I, "input": _T, "source": _T, "format": _T, "bytes": _I,
        "sha256": _T, "read": _I, "landed": _I, "duplicates": _I, "quarantined": _I,
        "skipped": _I, "mapping": _T, "history": _T,
    },
    "quarantine": {
        "file": _T, "input": _T, "line": _I, "byte_offset": _I, "bytes": _I, "reason": _T, "detail": _T,
        "encoding": _T, "data": _T, "field": _T, "value": _T,
    },
    "ledger": {
        "number": _I, "kind": _T, "recorded": _W, "snapshot": _I, "files_added": _I, "files_removed": _I,
        "previous_log": _T, "details": _T,
    },
    "queries": {
        "timestamp": _W, "user_id": _T, "status": _T, "details": _T, "session_id": _T, "event_id": _T,
    },
}  # fmt: skip
"""The columns of each view's table."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a session sees."""

    version: int
    """The snapshot."""
    as_of: datetime | None
    """Events after it do not exist; None if none is left out."""
    opened: datetime
    """When the session was opened."""
    chosen: Callable[[Sequence[Asked] | None], Sequence[Path | str]]
    """Gives the files that matter to what is asked; all of the snapshot if that is None."""
    batches: Batches | None
    """Only rows of these belong to it; None if every row of the files does."""
    masking: Masking
    """What is kept from the principal."""
    waiting: Sequence[bytes] = ()
    """Lines of the questions that were on record when the session was opened, and are not in the snapshot."""
    counted: Snapshot | None = None
    """The snapshot, where the kept counts of its files are those of the rows that the principal sees."""

    def events(self, files: Sequence[Path]) -> str:
        """Return the query for the rows of files that are judged, with their true values."""
        reading = select_events(all_for_duckdb(files), PUBLIC_COLUMNS, self.batches)
        return self.masking.query(reading, self.as_of, true_values=True)

    @property
    def masked(self) -> bool:
        """Whether anything is kept from the principal."""
        return bool(self.masking)

    @property
    def instant(self) -> datetime:
        """What findings are judged as of, and the last instant that anything of no snapshot is seen of."""
        return self.as_of or self.opened


class TooMuch(Exception):  # noqa: N818 - told in other words above
    """A table took more time or memory than a question may. Says why in a few words."""


class Tables:
    """Makes the tables of one session.

    Args:
        layout: The lake.
        config: Its settings.
        sight: What the session sees.
        asked: The session's own questions, as they come.
    """

    def __init__(self, layout: Layout, config: LakeConfig, sight: Sight, asked: Sequence[str]) -> None:
        self._layout = layout
        self._config = config
        self._sight = sight
        self._asked = asked
        self._deadline = 0.0
        self._judged: dict[str, Report] = {}
        """By policy: kept where a question had no time for all of them, so that the next one has less to do."""

    def make(self, name: str, deadline: float) -> pa.Table:
        """Make the table behind a view.

        Args:
            name: The view.
            deadline: When to give up, by the monotonic clock.

        Raises:
            TooMuch: It takes more time or memory than a question may.
            AuditLakeError: Something that it is made of cannot be read.
        """
        self._deadline = deadline
        makers: dict[str, Callable[[], Iterator[Row]]] = {
            "policies": self._policies,
            "findings": self._findings,
            "retention_status": self._retention,
            "daily_counts": self._daily_counts,
            "ingests": self._ingests,
            "quarantine": self._quarantine,
            "ledger": self._ledger,
            "queries": self._queries,
        }
        try:
            return self._table(makers[name](), SHAPES[name])
        except TooMuch as much:
            raise TooMuch(f"{much} to make the view {name}") from None
        except Exception:
            if not self._sight.masked:
                raise
            # What is said of true values, or of files that hold them, may quote them.
            raise QueryError(f"the view {name} cannot be made", hint="the lake's owner sees why") from None

    def _table(self, rows: Iterator[Row], shape: Mapping[str, str]) -> pa.Table:
        """All rows, some at a time, as long as there is time and room: the child needs as much room again."""
        import pyarrow as pa

        kinds = {
            _T: pa.string(), _I: pa.int64(), _D: pa.float64(), _B: pa.bool_(), _W: pa.timestamp("us", tz="UTC"),
            _Y: pa.date32(), _L: pa.list_(pa.string()),
        }  # fmt: skip
        schema = pa.schema([(name, kinds[kind]) for name, kind in shape.items()])
        pieces, size = [], 0
        while some := list(islice(self._in_time(rows), _PIECE)):
            pieces.append(pa.RecordBatch.from_pylist([dict(row) for row in some], schema=schema))
            size += pieces[-1].nbytes
            if size > self._memory // 2:
                raise TooMuch(_MEMORY)
        return pa.Table.from_batches(pieces, schema)

    @property
    def _memory(self) -> int:
        """Bytes."""
        return self._config.desk.memory_mb * MEGABYTE

    def _in_time(self, rows: Iterator[T]) -> Iterator[T]:
        """Yield the same rows, until it is too late."""
        for row in rows:
            if time.monotonic() > self._deadline:
                raise TooMuch(_TIME)
            yield row

    @cached_property
    def _loaded(self) -> Sequence[Policy]:
        from auditlake.packs.effective import lake_policies

        return lake_policies(self._layout, self._config.event_types, tolerant=True)

    @cached_property
    def _reports(self) -> tuple[Report, ...]:
        from auditlake.engine.duck import EventsView
        from auditlake.engine.duck_engine import DuckEngine
        from auditlake.findings.journal import concerning, read
        from auditlake.policies.deleted_days import deletions
        from auditlake.policies.evaluate import evaluate
        from auditlake.policies.holds import binding, load_holds
        from auditlake.reports.build import build_report

        as_of, policies = self._sight.instant, self._loaded
        left = [policy for policy in policies if policy.id not in self._judged]
        period = self._config.report_period
        asked = [(policy, question(policy, PeriodRequest(), as_of, period)) for policy in left]
        holds = binding(self._layout, load_holds(self._layout, self._config.event_types))
        nowhere = {"snapshot": self._sight.version, "files": 0, "rows": 0, "inputs_digest": ""}
        journal = read(self._layout)
        with self._engine("judging the policies") as connection:
            show = partial(_show, connection, self._sight)
            engine = DuckEngine(connection, EventsView(self._sight.chosen, show, ()))
            deleted = deletions(self._layout, self._sight.version, left)
            for answers in self._in_time(evaluate(engine, asked, policies, holds, deleted=deleted)):
                self._judged[answers.policy.id] = build_report(
                    answers, generated_at=as_of, lake_id=self._config.id, snapshot=nowhere,
                    journal=concerning(journal, answers.policy.id),
                )  # fmt: skip
        return tuple(self._judged[policy.id] for policy in policies)

    @contextmanager
    def _engine(self, purpose: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a DuckDB with the question's time and memory."""
        from auditlake.engine.duck import connect
        from auditlake.store.failures import explained

        memory, threads = f"{self._memory}B", self._config.desk.threads or None
        with (
            explained(self._layout, purpose),
            TemporaryDirectory(prefix="auditlake-") as spill,
            connect(temp=Path(spill), memory=memory, threads=threads) as connection,
            _stopped(connection, self._deadline),
        ):
            left = max(1, int((self._deadline - time.monotonic()) * 1000))
            connection.execute(f"set global max_execution_time = {left}")  # of connections beside it as well
            yield connection

    def _policies(self) -> Iterator[Row]:
        for each in self._loaded:
            hidden = self._hidden(each)
            condition, scope = (None if text in hidden else text for text in (each.where, each.scope))
            digest = None if hidden else each.digest  # a digest confirms a guess
            yield {
                "policy_id": each.id, "name": each.name, "description": each.description, "severity": each.severity,
                "required_events": list(each.required_events), "alert_threshold": _double(each.alert_threshold),
                "window_length": each.shown_window, "condition": condition,
                "group_by": [*_named(each, hidden).values()],
                "scope": scope, "coverage": each.coverage, "max_gap": each.shown_max_gap,
                "retention_period": _length(each.retention_period), "max_retention": _length(each.max_retention),
                "controls": json.dumps({name: list(ids) for name, ids in each.controls.items()}, ensure_ascii=False),
                "digest": digest,
            }  # fmt: skip

    def _hidden(self, policy: Policy) -> frozenset[str]:
        """Return the expressions of a policy that may name whom the principal is not to know."""
        from auditlake.policies.kinds import expressions_of

        return frozenset(filter(self._sight.masking.hides_expression, expressions_of(policy)))

    def _tells_values(self, policy: Policy) -> bool:
        """Return whether what a policy measures is made of values that the principal may not see."""
        from auditlake.policies.kinds import measure_of

        kind = measure_of(policy)
        return kind.is_of_values and self._sight.masking.hides(kind.expressions(policy))

    def _findings(self) -> Iterator[Row]:
        for report, policy in zip(self._reports, self._loaded, strict=True):
            findings = [
                {
                    "policy_id": report.policy_id, "kind": each.kind, "event_type": each.event_type,
                    "started": each.start, "ended": each.end,
                    **{name: each.measures.get(name) for name in _MEASURES},
                    "peak": None if self._tells_values(policy) else _double(each.peak),
                    **self._whose(policy, each), **self._accepted(each.accepted),
                }
                for each in report.violations
            ]  # fmt: skip
            if self._sight.masking.hides(policy.group_by):  # the order of names would tell of them
                findings.sort(key=lambda row: (row["kind"], str(row["started"]), row["finding_id"]))
            yield from findings

    def _whose(self, policy: Policy, finding: Finding) -> Row:
        """Return what tells of a finding's group, as the principal may see it."""
        from auditlake.policies.kinds import measure_of

        masking, group = self._sight.masking, finding.group or {}
        hidden = self._hidden(policy).difference(filter(None, [policy.where, policy.scope]))
        is_told = finding.peak is None or not (hidden or self._tells_values(policy))
        if is_told and not masking.hides(group):
            values = json.dumps(dict(group), ensure_ascii=False) if group else None
            return {"finding_id": finding.id, "group_values": values, "message": finding.message}
        names = _named(policy, hidden)
        masked = {names.get(name, name): value for name, value in masking.shown_group(group).items()}
        is_unsaid = hidden.intersection(measure_of(policy).expressions(policy)) or self._tells_values(policy)
        message = _HIDDEN if is_unsaid else measure_of(policy).told(policy, masked, finding.peak or 0, finding.evidence)
        return {
            "finding_id": masking.shown_id(finding.id),
            "group_values": json.dumps(masked, ensure_ascii=False) if masked else None,
            "message": message,
        }

    def _accepted(self, acceptance: Acceptance | None) -> Row:
        """Who answers for a finding; why is in words that may quote what is masked."""
        if acceptance is None:
            return {"accepted": False}
        reason = None if self._sight.masked else acceptance.reason
        return {"accepted": True, "accepted_by": acceptance.owner, "accepted_until": acceptance.until, "reason": reason}

    def _retention(self) -> Iterator[Row]:
        for report in self._reports:
            answer = report.retention
            if answer is None:
                yield {"policy_id": report.policy_id, "status": report.status, "total_events": report.total_events}
                continue
            yield {
                "policy_id": report.policy_id, "status": report.status, "retention_period": answer.retention_period,
                "cutoff": answer.cutoff, "due": answer.due, "kept_by_other_policies": answer.kept_by_other_policies,
                "held": answer.held, "oldest_event": answer.oldest_event, "total_events": report.total_events,
            }  # fmt: skip

    def _daily_counts(self) -> Iterator[Row]:
        """Yield the kept counts of days; none where the view reads rows."""
        from auditlake.engine.model import Summary
        from auditlake.engine.statements import statement
        from auditlake.summaries.lake import LakeSummaries

        if self._sight.counted is None:
            return
        with self._engine("counting events") as connection:
            part, most = statement("summaries/types.sql", "type_counts"), self._config.reports.summaries_mb * 1_000_000
            instants = [self._sight.as_of] if self._sight.as_of else []
            counts = LakeSummaries(self._layout, self._sight.counted, connection, most)
            counts.lay_out(Summary(part.name, part.text), instants=instants)
            found = connection.sql(statement("queries/statistics.sql", "by_day").text).to_arrow_table()
        yield from found.to_pylist()

    def _ingests(self) -> Iterator[Row]:
        for version in range(self._sight.version + 1):
            for own in ingests_of(commit_metadata(self._layout, version)):
                yield from (self._ingested(version, own, each) for each in own.get("inputs", ()))

    def _ingested(self, version: int, own: Mapping[str, Any], each: Mapping[str, Any]) -> Row:
        return {
            "snapshot": version, "ingested": datetime.fromisoformat(own["at"]), "batch": own["batch"],
            "input": each["name"], "source": each["source"], "format": each["format"], "bytes": each["size"],
            # Of a short input it confirms a guess.
            "sha256": None if self._sight.masked else each["sha256"],
            "read": each["read"], "landed": each["landed"], "duplicates": each["duplicates"],
            "quarantined": each["quarantined"], "skipped": sum(each.get("skipped", {}).values()),
            "mapping": each.get("mapping"),
            # People wrote it: it may name a person.
            "history": None if self._sight.masked else own.get("history"),
        }  # fmt: skip

    def _quarantine(self) -> Iterator[Row]:
        for name in sorted(Commits(self._layout, self._sight.version).history.quarantine):
            file = self._layout.quarantine / name
            if not file.exists():
                continue
            with open_file(file, within=self._layout.root) as lines:
                for line in lines:
                    kept = json.loads(line)
                    yield {
                        # Its name is a hash of all that is in it: of a few records it confirms a guess.
                        "file": None if self._sight.masked else name,
                        "input": kept["input"], "line": kept["line"], "byte_offset": kept["offset"],
                        "bytes": kept["length"], "reason": kept["reason"], "encoding": kept["encoding"],
                        "detail": None if self._sight.masked else kept["detail"],
                        "data": None if self._sight.masked else kept["data"],
                        # Its name is the record's own where a key is repeated.
                        "field": None if self._sight.masked else kept.get("field"),
                        "value": None if self._sight.masked else kept.get("value"),
                    }  # fmt: skip

    def _ledger(self) -> Iterator[Row]:
        """Yield the entries up to the session's snapshot, and those about none that were made until its instant.

        None in a lake without a ledger.
        """
        from auditlake.ledger.book import read_entry, read_head

        head = read_head(self._layout)
        for index in range(head.size if head is not None else 0):
            each = read_entry(self._layout, index)
            recorded = datetime.fromisoformat(each.at)
            is_beside = each.kind in _BESIDE or (each.kind == "hold" and each.details.get("by") == "hand")
            version = None if is_beside else each.version  # where entries lie inside commits, these are commits too
            if version is not None and version > self._sight.version:
                return
            if version is not None or recorded <= self._sight.instant:
                # A hash of a log entry that hashes a short input confirms a guess, too.
                details = None if self._sight.masked else json.dumps(dict(each.details), ensure_ascii=False)
                yield {
                    "number": index, "kind": each.kind, "recorded": recorded,
                    "snapshot": version, "files_added": len(each.adds), "files_removed": len(each.removes),
                    "previous_log": None if self._sight.masked else each.previous_log, "details": details,
                }  # fmt: skip

    def _queries(self) -> Iterator[Row]:
        """Yield the questions that the snapshot lacks; none to a principal who may not see everything."""
        if self._sight.masked:
            return
        waiting = (line.decode() for piece in self._sight.waiting for line in piece.splitlines())
        for line in chain(waiting, self._asked):
            record = json.loads(line)
            asked = datetime.fromisoformat(record["timestamp"])
            if self._sight.as_of is None or asked <= self._sight.as_of:
                yield {
                    "timestamp": asked, "user_id": record["user_id"], "status": record["status"],
                    "session_id": record["session_id"], "event_id": record["event_id"],
                    "details": json.dumps(record["details"], ensure_ascii=False),
                }  # fmt: skip


def _show(connection: duckdb.DuckDBPyConnection, sight: Sight, files: Sequence[Path]) -> None:
    connection.execute(f"create or replace temp view events as {sight.events(files)}")


def _length(length: object | None) -> str | None:
    return None if length is None else str(length)


@contextmanager
def _stopped(connection: duckdb.DuckDBPyConnection, deadline: float) -> Iterator[None]:
    """Stop what runs on a connection at a deadline, and tell what it had not enough of.

    Raises:
        TooMuch: It was stopped, or had not enough memory.
    """
    import duckdb

    done = Event()

    def watch() -> None:
        wait = max(deadline - time.monotonic(), 0)
        while not done.wait(wait):
            connection.interrupt()  # again and again: between two statements it does nothing
            wait = 0.05

    watching = Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    except duckdb.InterruptException:
        raise TooMuch(_TIME) from None
    except (duckdb.OutOfMemoryException, MemoryError):
        raise TooMuch(_MEMORY) from None
    finally:
        done.set()
        watching.join()


def _named(policy: Policy, hidden: Collection[str]) -> dict[str, str]:
    """Return what each value is called that a policy groups by: by its place where its name is hidden."""
    return {text: f"value {n}" if text in hidden else text for n, text in enumerate(policy.group_by, 1)}


def _double(number: Number | None) -> float | None:
    return None if number is None else float(number)
