"""The whole program on one screen: an audit trail as a lakehouse in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from auditlake.clock import Clock, system_clock
from auditlake.config import LakeConfig, read_config
from auditlake.events.times import Instant, as_instant, given
from auditlake.periods import PeriodRequest, resolve
from auditlake.policies.model import Policy
from auditlake.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from auditlake.events.event import AuditEvent
    from auditlake.landing.trail import Trail
    from auditlake.policies.compile import CompiledQuery, Question
    from auditlake.reports.produce import ComplianceReport
    from auditlake.result import Rows
    from auditlake.selftest import CheckResult
    from auditlake.statistics import Statistics
    from auditlake.store.compact import CompactSummary
    from auditlake.store.custody import IngestSummary
    from auditlake.store.delta import Snapshot
    from auditlake.store.ingest import Listener


class AuditLake:
    """A lake that is there. Use :func:`auditlake.open` or :func:`auditlake.create`.

    Args:
        path: The lake's folder.
        clock: Where the present comes from.
        wait_seconds: How long a verb that writes waits while another process does.
    """

    def __init__(self, path: str | Path, *, clock: Clock = system_clock, wait_seconds: float = 600.0) -> None:
        self.layout = Layout(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111 - Path's fails on ~somebody
        """Where everything lies."""
        self.config: LakeConfig = read_config(self.layout)
        """What lake.toml says."""
        self._clock = clock
        self._wait = wait_seconds
        from auditlake.store.lock import sweep

        sweep(self.layout.staging)

    def __repr__(self) -> str:
        return f"<AuditLake {self.layout.root}>"

    # Events in

    def ingest(
        self,
        *inputs: str | Path | AuditEvent | Iterable[AuditEvent],
        source: str | None = None,
        strict: bool = False,
        listen: Listener = lambda _: None,
    ) -> IngestSummary:
        """Bring events into the lake, all of them in one commit; what is there already is not landed again.

        Args:
            *inputs: Files, folders, patterns, ``-`` for standard input, or events made in Python.
            source: Which mapping to use, e.g. ``cloudtrail``; each input is recognised by itself if None.
            strict: Land nothing if anything would be quarantined.
            listen: Told now and then how far it is.

        Raises:
            SourceError: An input cannot be read or is not recognised, or ``strict`` was not met; nothing lands.
            CommitError: The commit was refused or could not be made durable; nothing is claimed.
        """
        from auditlake.sources.opening import gather
        from auditlake.store.failures import explained
        from auditlake.store.ingest import IngestOptions, ingest
        from auditlake.store.lock import workspace

        options = IngestOptions(self.config.event_types, self.config.max_record, source, strict, self._wait)
        with (
            explained(self.layout, "the ingest"),
            workspace(self.layout.staging) as spool,
            gather(inputs, spool) as files,
        ):
            return ingest(self.layout, files, options, now=self._clock(), listen=listen)

    def log(self, event: AuditEvent) -> str:
        """Record an event, from any thread: once this gives its id, it is on the disk; see :meth:`Trail.log`."""
        return self._trail.log(event)

    def log_many(self, events: Iterable[AuditEvent]) -> list[str]:
        """:meth:`log` for several together, all or none of them; gives their ids."""
        return self._trail.log_many(events)

    def trail(self, **options: Any) -> Trail:
        """A trail with settings of its own, those of :class:`TrailOptions`; to be closed, or used with ``with``."""
        from auditlake.landing.trail import Terms, Trail, TrailOptions

        return Trail(self.layout, Terms(self.config.event_types, self.config.max_record), TrailOptions(**options))

    @cached_property
    def _trail(self) -> Trail:
        return self.trail()  # closed at exit

    def compact(self, *, grace_seconds: float | None = None) -> CompactSummary:
        """Turn the small files of each day into one; for readers under way, replaced ones stay so long (a day if None).

        No answer changes.
        """
        from auditlake.store.compact import GRACE_SECONDS, compact

        grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
        return compact(self.layout, now=self._clock(), grace_seconds=grace, wait_seconds=self._wait)

    # Events out

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A version of the lake; the newest if None."""
        from auditlake.store.delta import read_snapshot

        return read_snapshot(self.layout, version)

    def sql(self, query: str, params: Mapping[str, Any] | None = None, *, snapshot: int | None = None) -> Rows:
        """Any query over the view ``events``, for the lake's trusted owner; values bind as ``$name``."""
        return self._rows(query, params, snapshot)

    def events(
        self,
        *,
        type: str | Sequence[str] | None = None,  # noqa: A002 - the word that readers of LLMGuardian know
        start: Instant | None = None,
        end: Instant | None = None,
        user: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        resource: str | Sequence[str] | None = None,
        ip: str | Sequence[str] | None = None,
        session: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        limit: int | None = None,
        snapshot: int | None = None,
    ) -> Rows:
        """Events that match every filter that is given, in time order; ``start`` and ``end`` are inclusive."""
        from auditlake.sqlfiles import statement

        filters: dict[str, Any] = {
            "types": type, "users": user, "statuses": status, "resources": resource, "ip_addresses": ip,
            "sessions": session, "sources": source,
        }  # fmt: skip
        values = {name: [each] if isinstance(each, str) else each and list(each) for name, each in filters.items()}
        values |= {"start": given(start), "end": given(end), "limit": limit}
        return self._rows(statement("queries/events.sql", "events").text, values, snapshot)

    def statistics(self, *, as_of: Instant | None = None, users: int = 20) -> Statistics:
        """Totals, events by type and by user, and how each policy stands, as of an instant (now if None)."""
        from auditlake.statistics import statistics
        from auditlake.store.delta import foreign_versions

        with self._engine(None) as (connection, snapshot):
            foreign = foreign_versions(self.layout, snapshot.version)
            return statistics(connection, self.policies(), self._instant(as_of), snapshot, users, foreign)

    # Policies

    def policies(self) -> tuple[Policy, ...]:
        """Every policy of the lake, by id; PolicyError lists every mistake of every file."""
        from auditlake.policies.loader import load_policies

        return load_policies(self.layout.policies, self.config.event_types)

    def policy(self, policy_id: str) -> Policy:
        """One policy by its id; PolicyNotFoundError if the lake has none of that id."""
        from auditlake.policies.store import chosen

        return chosen(self.policies(), [policy_id])[0]

    def add_policy(self, file: str | Path, *, replace: bool = False) -> Policy:
        """Check a policy file and copy it into the lake; its name is the policy's id."""
        from auditlake.policies.store import add_policy

        return add_policy(self.layout, Path(file), self.config.event_types, replace=replace)

    def remove_policy(self, policy_id: str) -> None:
        """Take a policy out of the lake. What it kept from deletion may then be due."""
        from auditlake.policies.store import remove_policy

        remove_policy(self.layout, policy_id)

    def check_policies(self, *named: str) -> tuple[CheckResult, ...]:
        """Run the tests inside policies, each an id or a .yaml file; of all the lake's if none is named."""
        from auditlake.policies.store import named_policies
        from auditlake.selftest import check_policies

        return check_policies(named_policies(self.layout, self.config.event_types, named))

    def policy_sql(self, policy_id: str, *, as_of: Instant | None = None) -> tuple[CompiledQuery, ...]:
        """Exactly what a report of the policy runs, with the values it binds."""
        from auditlake.policies.compile import compile_policy

        policies, policy = self.policies(), self.policy(policy_id)
        return compile_policy(policy, policies, self._question(policy, PeriodRequest(), self._instant(as_of)))

    # Reports

    def report(self, policy_id: str, **options: Any) -> ComplianceReport:
        """The compliance report of one policy; the options are those of :meth:`reports`."""
        return self.reports(policy_id, **options)[0]

    def reports(
        self,
        *policy_ids: str,
        as_of: Instant | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        last: str | None = None,
        period: str | None = None,
        snapshot: int | None = None,
        generated_at: Instant | None = None,
        pages: bool = True,
        listen: Callable[[int, int, str], None] = lambda *_: None,
    ) -> tuple[ComplianceReport, ...]:
        """Compliance reports on one snapshot; of every policy if none is named.

        Args:
            as_of: Events after it do not exist for the report; now if None.
            since, until: The period is ``(since, until]``; if None, one retention period of the policy back, and as_of.
            last, period: Instead, a length back, e.g. ``30d``; and for both, ``2026``, ``2026-Q3`` or ``2026-10``.
            snapshot: The version of the lake to read; the newest if None.
            generated_at: What the report says about when it was made; as_of if None.
            pages: Gather also what only the HTML page shows, a few of the events behind each episode among it.
            listen: Told how many are done, of how many, and which is next.

        Raises:
            PolicyError: A policy cannot be used, or is not there.
            ReportError: The period makes no sense, or a report does not meet its own schema.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        from auditlake.policies.store import chosen
        from auditlake.reports.produce import produce

        policies, instant = self.policies(), self._instant(as_of)
        request = PeriodRequest(given(since), given(until), last, period)
        asked = [(policy, self._question(policy, request, instant)) for policy in chosen(policies, policy_ids)]
        with self._engine(snapshot) as (connection, read):
            evidence = {
                "snapshot": read.version, "files": len(read.files), "rows": read.rows,
                "inputs_digest": read.inputs_digest,
            }  # fmt: skip
            return tuple(produce(
                connection, asked, policies, lake_id=self.config.id, snapshot=evidence,
                generated_at=given(generated_at), pages=pages, listen=listen,
            ))  # fmt: skip

    # What all of these need

    def _instant(self, as_of: Instant | None) -> datetime:
        return self._clock() if as_of is None else as_instant(as_of)

    def _question(self, policy: Policy, request: PeriodRequest, as_of: datetime) -> Question:
        from auditlake.policies.compile import Question
        from auditlake.policies.evaluate import default_since

        since, until = resolve(request, as_of, default_since(policy, as_of))
        return Question(as_of, since, until)

    @contextmanager
    def _engine(self, version: int | None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Snapshot]]:
        """A DuckDB with the view ``events`` of one snapshot, which may spill and goes away at the end."""
        from auditlake.engine.duck import connect
        from auditlake.store.delta import view_snapshot
        from auditlake.store.failures import explained

        with (
            explained(self.layout, "the query"),
            TemporaryDirectory(prefix="auditlake-") as spill,
            connect(temp=Path(spill)) as connection,
        ):
            yield connection, view_snapshot(connection, self.layout, version)

    def _rows(self, query: str, values: Mapping[str, Any] | None, version: int | None) -> Rows:
        """A query over what readers may see of one snapshot; its DuckDB lives as long as the rows that use it."""
        from auditlake.engine.duck import connect
        from auditlake.events.schema import PUBLIC_COLUMNS
        from auditlake.result import Rows
        from auditlake.store.delta import view_snapshot
        from auditlake.store.failures import explained, failure

        connection = connect()
        with explained(self.layout, "the query"):
            view_snapshot(connection, self.layout, version, columns=PUBLIC_COLUMNS)
        return Rows(connection, query, values, partial(failure, self.layout, "the query"))
