"""The whole program on one screen: an audit trail as a lakehouse in a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from auditlake.clock import Clock, system_clock
from auditlake.config import LakeConfig, read_config
from auditlake.events.times import utc
from auditlake.periods import PeriodRequest, resolve
from auditlake.policies.model import Policy
from auditlake.store.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import duckdb

    from auditlake.events.event import AuditEvent
    from auditlake.policies.compile import CompiledQuery, Question
    from auditlake.policies.selftest import CheckResult
    from auditlake.reports.produce import ComplianceReport
    from auditlake.result import Rows
    from auditlake.statistics import Statistics
    from auditlake.store.compact import CompactSummary
    from auditlake.store.delta import Snapshot
    from auditlake.store.ingest import IngestSummary, Listener


class AuditLake:
    """A lake that is there. Use :func:`auditlake.open` or :func:`auditlake.create`.

    Args:
        path: The lake's folder.
        clock: Where the present comes from.

    Raises:
        LakeNotFoundError: There is no lake at that path.
        LakeFormatError: Its settings cannot be understood.
    """

    def __init__(self, path: str | Path, *, clock: Clock = system_clock) -> None:
        self.layout = Layout(Path(path).expanduser().absolute())
        """Where everything lies."""
        self.config: LakeConfig = read_config(self.layout)
        """What lake.toml says."""
        self._clock = clock
        from auditlake.store.lock import sweep  # noqa: PLC0415

        sweep(self.layout.staging)

    def __repr__(self) -> str:
        return f"<AuditLake {self.layout.root}>"

    # Events in

    def ingest(
        self,
        *inputs: str | Path | Iterable[AuditEvent],
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
        from auditlake.sources.opening import gather  # noqa: PLC0415
        from auditlake.store.ingest import IngestOptions, ingest  # noqa: PLC0415

        options = IngestOptions(self.config.event_types, self.config.max_record, source, strict)
        with gather(inputs, self.layout.staging) as files:
            return ingest(self.layout, files, options, now=self._clock(), listen=listen)

    def compact(self, *, grace_seconds: float | None = None) -> CompactSummary:
        """Turn the small files of each day into one, without changing any answer.

        Args:
            grace_seconds: How long replaced files stay on the disk for readers under way; a day if None.
        """
        from auditlake.store.compact import GRACE_SECONDS, compact  # noqa: PLC0415

        grace = GRACE_SECONDS if grace_seconds is None else grace_seconds
        return compact(self.layout, now=self._clock(), grace_seconds=grace)

    # Events out

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A version of the lake; the newest if None."""
        from auditlake.store.delta import read_snapshot  # noqa: PLC0415

        return read_snapshot(self.layout, version)

    def sql(self, query: str, params: Mapping[str, Any] | None = None, *, snapshot: int | None = None) -> Rows:
        """Any query over the view ``events``, for the lake's trusted owner; values bind as ``$name``."""
        from auditlake.result import Rows  # noqa: PLC0415

        return Rows(self._public_connection(snapshot), query, params)

    def events(
        self,
        *,
        type: str | Sequence[str] | None = None,  # noqa: A002 - the word that readers of LLMGuardian know
        start: datetime | None = None,
        end: datetime | None = None,
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
        from auditlake.result import Rows  # noqa: PLC0415
        from auditlake.sqlfiles import statement  # noqa: PLC0415

        filters: dict[str, Any] = {
            "types": type, "users": user, "statuses": status, "resources": resource, "ip_addresses": ip,
            "sessions": session, "sources": source,
        }  # fmt: skip
        values = {name: [each] if isinstance(each, str) else each and list(each) for name, each in filters.items()}
        values |= {"start": start and utc(start), "end": end and utc(end), "limit": limit}
        return Rows(self._public_connection(snapshot), statement("queries/events.sql", "events").text, values)

    def statistics(self, *, as_of: datetime | None = None, users: int = 20) -> Statistics:
        """Totals, events by type and by user, and how each policy stands, as of an instant (now if None)."""
        from auditlake.statistics import statistics  # noqa: PLC0415

        with self._engine(None) as (connection, snapshot):
            return statistics(connection, self.policies(), self._instant(as_of), snapshot, users)

    # Policies

    def policies(self) -> tuple[Policy, ...]:
        """Every policy of the lake, by id.

        Raises:
            PolicyError: A file cannot be used; every mistake of every file is listed.
        """
        from auditlake.policies.loader import load_policies  # noqa: PLC0415

        return load_policies(self.layout.policies, self.config.event_types)

    def policy(self, policy_id: str) -> Policy:
        """One policy by its id.

        Raises:
            PolicyNotFoundError: The lake has no such policy.
        """
        from auditlake.policies.store import chosen  # noqa: PLC0415

        return chosen(self.policies(), [policy_id])[0]

    def add_policy(self, file: str | Path, *, replace: bool = False) -> Policy:
        """Check a policy file and copy it into the lake; its name is the policy's id."""
        from auditlake.policies.store import add_policy  # noqa: PLC0415

        return add_policy(self.layout, Path(file), self.config.event_types, replace=replace)

    def remove_policy(self, policy_id: str) -> None:
        """Take a policy out of the lake. What it kept from deletion may then be due."""
        from auditlake.policies.store import remove_policy  # noqa: PLC0415

        remove_policy(self.layout, self.policy(policy_id))

    def check_policies(self, *policy_ids: str) -> tuple[CheckResult, ...]:
        """Run the tests that the policy files carry; of all policies if none is named."""
        from auditlake.policies.selftest import check_policies  # noqa: PLC0415
        from auditlake.policies.store import chosen  # noqa: PLC0415

        return check_policies(chosen(self.policies(), policy_ids))

    def policy_sql(self, policy_id: str, *, as_of: datetime | None = None) -> tuple[CompiledQuery, ...]:
        """Exactly what a report of the policy runs, with the values it binds."""
        from auditlake.policies.compile import compile_policy  # noqa: PLC0415

        policies, policy = self.policies(), self.policy(policy_id)
        return compile_policy(policy, policies, self._question(policy, PeriodRequest(), self._instant(as_of)))

    # Reports

    def report(self, policy_id: str, **options: Any) -> ComplianceReport:
        """The compliance report of one policy; the options are those of :meth:`reports`."""
        return self.reports(policy_id, **options)[0]

    def reports(
        self,
        *policy_ids: str,
        as_of: datetime | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        last: str | None = None,
        period: str | None = None,
        snapshot: int | None = None,
        generated_at: datetime | None = None,
        listen: Callable[[int, int, str], None] = lambda *_: None,
    ) -> tuple[ComplianceReport, ...]:
        """Compliance reports on one snapshot; of every policy if none is named.

        Args:
            *policy_ids: Which policies.
            as_of: Events after it do not exist for the report; now if None.
            since: The period is ``(since, until]``; one retention period of the policy before ``until`` if None.
            until: as_of if None.
            last: Instead of ``since``: a length back, e.g. ``30d``.
            period: Instead of both: ``2026``, ``2026-Q3`` or ``2026-10``.
            snapshot: The version of the lake to read; the newest if None.
            generated_at: What the report says about when it was made; as_of if None.
            listen: Told how many are done, of how many, and which is next.

        Raises:
            PolicyError: A policy cannot be used, or is not there.
            ReportError: The period makes no sense, or a report does not meet its own schema.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        from auditlake.policies.store import chosen  # noqa: PLC0415
        from auditlake.reports.produce import produce  # noqa: PLC0415

        policies, instant = self.policies(), self._instant(as_of)
        request = PeriodRequest(since and utc(since), until and utc(until), last, period)
        asked = [(policy, self._question(policy, request, instant)) for policy in chosen(policies, policy_ids)]
        with self._engine(snapshot) as (connection, read):
            evidence = {
                "snapshot": read.version, "files": len(read.files), "rows": read.rows,
                "inputs_digest": read.inputs_digest,
            }  # fmt: skip
            return tuple(produce(
                connection, asked, policies, lake_id=self.config.id, snapshot=evidence,
                generated_at=generated_at and utc(generated_at), listen=listen,
            ))  # fmt: skip

    # What all of these need

    def _instant(self, as_of: datetime | None) -> datetime:
        return self._clock() if as_of is None else utc(as_of)

    def _question(self, policy: Policy, request: PeriodRequest, as_of: datetime) -> Question:
        from auditlake.engine.evaluate import default_since  # noqa: PLC0415
        from auditlake.policies.compile import Question  # noqa: PLC0415

        since, until = resolve(request, as_of, default_since(policy, as_of))
        return Question(as_of, since, until)

    @contextmanager
    def _engine(self, version: int | None) -> Iterator[tuple[duckdb.DuckDBPyConnection, Snapshot]]:
        """A DuckDB with the view ``events`` of one snapshot, which may spill and goes away at the end."""
        from auditlake.engine.duck import connect  # noqa: PLC0415
        from auditlake.store.delta import view_snapshot  # noqa: PLC0415

        with TemporaryDirectory(prefix="auditlake-") as spill, connect(temp=Path(spill)) as connection:
            yield connection, view_snapshot(connection, self.layout, version)

    def _public_connection(self, version: int | None) -> duckdb.DuckDBPyConnection:
        """A DuckDB with what readers may see of one snapshot; it lives as long as the rows that use it."""
        from auditlake.engine.duck import connect  # noqa: PLC0415
        from auditlake.events.schema import PUBLIC_COLUMNS  # noqa: PLC0415
        from auditlake.store.delta import view_snapshot  # noqa: PLC0415

        connection = connect()
        view_snapshot(connection, self.layout, version, columns=PUBLIC_COLUMNS)
        return connection
