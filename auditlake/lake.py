"""Every verb, in one file: an audit trail as a lakehouse in a folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, overload

from auditlake.config import LakeConfig, read_config
from auditlake.context import LakeContext
from auditlake.disk.links import refuse_links
from auditlake.disk.lock import LOCK_SECONDS
from auditlake.display.cards import Shown
from auditlake.events.event import as_event
from auditlake.events.times import Instant
from auditlake.facets.export import Export
from auditlake.facets.frameworks import Frameworks
from auditlake.facets.holds import Holds
from auditlake.facets.ledger import Ledger
from auditlake.facets.packs import Packs
from auditlake.facets.policies import Policies, classes_of
from auditlake.facets.retention import Retention
from auditlake.facets.routine import Routine
from auditlake.facets.runs import Runs
from auditlake.facets.schedules import Schedules
from auditlake.facets.sources import Sources
from auditlake.machine import Clock, system_clock
from auditlake.storage.lake import opened_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from auditlake.alerts.watch import Alerts
    from auditlake.analysis.backtest import Backtest
    from auditlake.analysis.connect import Recipes
    from auditlake.analysis.statistics import Statistics
    from auditlake.display.cards import Card
    from auditlake.events.event import EventFields
    from auditlake.evidence.pack import EvidencePack
    from auditlake.facets.decisions import DecisionRegister
    from auditlake.facets.findings import FindingRegister
    from auditlake.ingest.custody import IngestSummary
    from auditlake.ingest.progress import Listener
    from auditlake.landing.flush import FlushSummary
    from auditlake.landing.trail import Durability, Trail
    from auditlake.policies.model import Policy
    from auditlake.policies.request import PeriodOptions, ReportOptions
    from auditlake.query.rows import Rows
    from auditlake.reports.compliance import ComplianceReport
    from auditlake.reports.reperform import Reperformance
    from auditlake.reports.run import Judged
    from auditlake.sandbox.model import SessionOptions
    from auditlake.sandbox.session import AuditSession
    from auditlake.sources.python_events import Made, Record
    from auditlake.store.compact import CompactSummary
    from auditlake.store.model import Snapshot
    from auditlake.upkeep.backup import BackupSummary


class AuditLake(Shown):
    """An open lake. Use :func:`auditlake.open` or :func:`auditlake.create`.

    Args:
        path: The lake's folder; or ``s3://``, ``gs://`` or ``az://``, a bucket and a folder in it.
        clock: Where the present comes from.
        wait_seconds: How long a verb that writes waits for others.

    Raises:
        LakeNotFoundError, LakeFormatError: There is no lake at that path, or its settings cannot be understood.
    """

    def __init__(self, path: str | Path, *, clock: Clock = system_clock, wait_seconds: float = LOCK_SECONDS) -> None:
        self.layout = opened_folder(path)
        """Where everything lies."""
        self.config: LakeConfig = read_config(self.layout)
        """What lake.toml says."""
        self._context = LakeContext(self.layout, self.config, clock, wait_seconds, classes_of(self.layout, self.config))
        self.policies = Policies(self._context)
        """What it is judged by: ``all``, ``get``, ``draft``, ``add``, ``remove``, ``check``, ``sql``, ``effect``."""
        self.packs = Packs(self._context)
        """By which frameworks: ``all``, ``get``, ``add``, ``effect``, ``check``, ``diff``, ``upgrade``."""
        self.sources = Sources(self._context)
        """What it can read: ``add``, ``remove``, ``test``, ``try_on``, ``draft``, ``overlaps``."""
        self.holds = Holds(self._context)
        """What must stay: ``all``, ``add``, ``release``."""
        self.retention = Retention(self._context)
        """What must go: ``plan``, ``apply``, ``erase``."""
        self.ledger = Ledger(self._context)
        """What can be checked: ``verify``, ``checkpoint``, ``rotate_key``, ``anchor``, ``prove``."""
        self.routine = Routine(self._context, self)
        """What recurs: ``collect``, ``nightly``, ``run``, ``pruning``, ``prune``."""
        self.schedules = Schedules(self._context)
        """Which runs are due: ``all``, ``due``, ``standing``, ``add``."""
        self.frameworks = Frameworks(self._context, lambda: self.flush(reading=True).snapshot)
        """How the controls of its packs stand: ``report``, ``reports``."""
        self.runs = Runs(self._context, self.frameworks.judged)
        """What was evaluated when: ``recorded``, ``all``, ``changes``."""
        self.export = Export(self._context)
        """What other tools read: ``ocsf``."""
        refuse_links(self.layout)

    @cached_property
    def findings(self) -> FindingRegister:
        """What the policies find and what people decided of it: ``list``, ``accept``, ``resolve``, ``review``."""
        from auditlake.facets.finding_search import FindingSearch
        from auditlake.facets.findings import FindingRegister

        return FindingRegister(self._context, self.reports, FindingSearch(self._context, self.frameworks.judged))

    @cached_property
    def decisions(self) -> DecisionRegister:
        """What people decided, of controls too: ``state``, ``not_applicable``, ``weaken``, ``retract``, ``as_of``."""
        from auditlake.facets.decisions import DecisionRegister

        return DecisionRegister(self._context)

    def __repr__(self) -> str:
        return f"<AuditLake {self.layout.root}>"

    # Events in

    def ingest(
        self,
        *inputs: str | Path | Made,
        source: str | None = None,
        strict: bool = False,
        max_quarantined: int | str | None = None,
        timezone: str = "UTC",
        history: str | None = None,
        dry_run: bool = False,
        listen: Listener = lambda _: None,
    ) -> IngestSummary:
        """Bring events into the lake, all of them in one commit; what is there already is not landed again.

        Args:
            *inputs: Files, folders, patterns, ``-``, URLs (``s3://``, ``gs://``, ``az://``; ``https://`` of a file); or
                events: an AuditEvent, a dict, an iterable of them, a table of Polars, pandas or Arrow, read as Parquet.
            source: Which mapping to use, e.g. ``cloudtrail``; each input is recognised by itself if None.
            strict: Land nothing if anything would be quarantined.
            max_quarantined: ``100`` or ``"5%"``: with more, as where every record is, the summary says ``failed``.
            timezone: The zone of times that have no offset, such as ``Europe/Berlin``.
            history: Why these are old events, loaded late on purpose; their chain of custody says it.
            dry_run: Only tell what would land.
            listen: Told now and then how far it is.

        Raises:
            SourceError: An input cannot be read or is not recognised, or ``strict`` was not met; nothing lands.
            EventError: An input is neither a path nor an event, several events or a table; nothing lands.
            CommitError: The commit was refused or could not be made durable; nothing is claimed.
        """
        from auditlake.ingest.bring import bring
        from auditlake.ingest.custody import IngestOptions

        options = IngestOptions.of(self._context, source, strict=strict, most=max_quarantined)
        options = replace(options, timezone=timezone, history=history, dry_run=dry_run)
        return bring(self._context, inputs, options, listen)

    @overload
    def log(self, event: Record, /) -> str: ...
    @overload
    def log(self, **fields: Unpack[EventFields]) -> str: ...
    def log(self, event: Record | None = None, **fields: Any) -> str:
        """Record an event, from any thread; when this returns its id, the event is on the disk: see :meth:`Trail.log`.

        An AuditEvent, a mapping of its fields, or these as keywords; one without a ``timestamp`` happens now.
        """
        return self._trail.log(as_event(event, self._context.clock, **fields))

    def log_many(self, events: Iterable[Record]) -> list[str]:
        """Record several events as :meth:`log` does one, all or none of them; return their ids."""
        return self._trail.log_many(as_event(event, self._context.clock) for event in events)

    def trail(
        self,
        *,
        alerts: Alerts | bool = None,
        durability: Durability = "sync",
        interval_ms: float = 100,
        segment_bytes: int = 64 * 1024 * 1024,
        segment_seconds: float = 3600,
        flush_seconds: float | None = 60,
    ) -> Trail:
        """Open a trail with settings of its own.

        Args:
            alerts: Whether this process evaluates the policies while no other one does, or the callables and sinks that
                it tells besides those of lake.toml. If None, it does where ``[alerts]`` of lake.toml names a place.
            durability, interval_ms, segment_bytes, segment_seconds, flush_seconds: When ``log`` returns, when a segment
                ends, when this process flushes: see :class:`auditlake.landing.trail.TrailOptions`.
        """
        from auditlake.alerts.watch import open_trail
        from auditlake.landing.trail import TrailOptions

        options = TrailOptions(durability, interval_ms, segment_bytes, segment_seconds, flush_seconds)
        return open_trail(self._context, self.flush, alerts, options)

    @cached_property
    def _trail(self) -> Trail:
        return self.trail()  # closed at exit

    def flush(self, *, reading: bool = False) -> FlushSummary:
        """Bring the events that were logged into the table's day partitions, each exactly once.

        Args:
            reading: Whether for a caller that only reads; see :func:`auditlake.landing.flush.flush`.

        Raises:
            LakeError: The lake cannot be written.
            LostKeyError: Records may be erased events, and the key that tells has gone; all else is flushed.
            CommitError: The commit was refused or could not be made durable; the events stay where they are.
        """
        from auditlake.landing.flush import flush

        return flush(self._context, reading=reading)

    def compact(self, *, grace_seconds: float | None = None, reclass: bool = False) -> CompactSummary:
        """Turn the small files of each day into one for each retention class, without changing any answer.

        Args:
            grace_seconds: How long replaced files stay on the disk for readers under way; a day if None.
            reclass: Write those days anew, too, whose files are not of the classes that policies give now.
        """
        from auditlake.store.compact import compact

        return compact(self._context, grace_seconds=grace_seconds, reclass=reclass)

    # Events out

    def snapshot(self, version: int | None = None) -> Snapshot:
        """Return a version of the lake; the newest if None."""
        from auditlake.store.snapshot import read_snapshot

        return read_snapshot(self.layout, version)

    def sql(self, query: str, params: Mapping[str, Any] | None = None, *, snapshot: int | None = None) -> Rows:
        """Run any query over the view ``events``, for the lake's trusted owner; values bind as ``$name``.

        Without ``snapshot`` the view has everything that was ingested or logged, flushed or not.
        """
        from auditlake.query.view import ask

        return ask(self._context, snapshot, query, params)

    def audit_session(self, **options: Unpack[SessionOptions]) -> AuditSession:
        """Open a sandbox for an auditor's SQL: of a ``principal``, on a ``snapshot``, perhaps ``as_of`` an instant."""
        from auditlake.sandbox.open import open_session

        return open_session(self._context, **options)

    def events(
        self,
        *,
        event_type: str | Sequence[str] | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        user_id: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        resource: str | Sequence[str] | None = None,
        ip_address: str | Sequence[str] | None = None,
        session_id: str | Sequence[str] | None = None,
        source: str | Sequence[str] | None = None,
        limit: int | None = None,
        snapshot: int | None = None,
    ) -> Rows:
        """Return the events that match every filter, in time order; ``since`` and ``until`` are included, days whole.

        Nothing is read before rows are fetched; ``.to_batches()`` reads no further than it is taken.
        Without ``snapshot`` these are all that were ingested or logged, flushed or not.
        """
        from auditlake.query.view import matching

        filters = {"types": event_type, "users": user_id, "statuses": status, "resources": resource,
                   "ip_addresses": ip_address, "sessions": session_id, "sources": source}  # fmt: skip
        return matching(self._context, snapshot, filters, since, until, limit)

    def statistics(self, *, as_of: Instant | None = None, users: int = 20, cache: bool = True) -> Statistics:
        """Return totals, events by type and by user, and how each policy stands; without ``cache`` of rows alone."""
        from auditlake.analysis.statistics import lake_statistics

        return lake_statistics(self._context, as_of, users, cache=cache)

    def backtest(
        self,
        policy: str | Path | Policy,
        *,
        thresholds: Iterable[int] = range(1, 51),
        windows: Sequence[str] | None = None,
        **options: Unpack[PeriodOptions],
    ) -> Backtest:
        """Return how many episodes each threshold of each window would have given, one pass for all thresholds.

        Args:
            policy: Its id, a .yaml file, or a policy that need not be the lake's; its threshold plays no part.
            thresholds: Which to try.
            windows: Lengths such as ``1h``; the policy's own if None.
            **options: Those of :meth:`reports` that choose a period; without ``snapshot``, events that are not flushed
                count too.

        Raises:
            PolicyError: The policy is not there, or a threshold or a window makes no sense.
            ReportError: The period makes no sense.
        """
        from auditlake.analysis.backtest import backtest_lake

        return backtest_lake(self._context, policy, thresholds, windows, **options)

    def connect(self, *, snapshot: int | None = None) -> Recipes:
        """Show how to open a snapshot with DuckDB, Polars and Spark; see :mod:`auditlake.analysis.connect`.

        A snapshot that does not exist or cannot be read exactly any more is a SnapshotError.
        """
        from auditlake.analysis.connect import recipes

        return recipes(self.layout, snapshot)

    # Reports

    def report(self, policy_id: str, **options: Unpack[ReportOptions]) -> ComplianceReport:
        """Return the compliance report of one policy; the options are those of :meth:`reports`."""
        return self.reports(policy_id, **options)[0]

    def reports(self, *policy_ids: str, **options: Unpack[ReportOptions]) -> tuple[ComplianceReport, ...]:
        """Return compliance reports on one snapshot, of every policy if none is named; flush what was logged first.

        Args:
            *policy_ids: Which policies.
            **options: ``as_of``; the period by ``since`` and ``until``, ``last`` or ``period``; ``snapshot`` and
                others: see :class:`auditlake.policies.request.ReportOptions`.

        Raises:
            PolicyError: A policy cannot be used, or is not there.
            ReportError: The period makes no sense, or a report does not meet its own schema.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        with self._judged(*policy_ids, **options) as judged:
            return judged.reports

    def evidence(
        self, policy_ids: str | Sequence[str], out: str | Path, *, frameworks: Sequence[str] = (),
        **options: Unpack[ReportOptions],
    ) -> EvidencePack:  # fmt: skip
        """Write reports with all that a check elsewhere needs into a new ZIP file: see :mod:`auditlake.evidence.pack`.

        Args:
            policy_ids, out: One policy or several, and the file; none of that name may be there.
            frameworks: Packs whose reports to add, with those of the policies that they rest on.
            **options: Those of :meth:`reports`.
        """
        from auditlake.evidence.pack import write_evidence

        named = [policy_ids] if isinstance(policy_ids, str) else policy_ids
        return write_evidence(self._context, self.frameworks.judged, named, frameworks, Path(out), **options)

    def reperform(self, report: str | Path, *, policies: str | Path | None = None) -> Reperformance:
        """Do a report of a policy or a framework again on the same snapshot, compared number by number.

        Args:
            report: Its JSON file; or an evidence pack (``.zip``), which is checked first, with the policies in it.
            policies: A folder with the policies as they were then, e.g. of an evidence pack; the lake's if None.

        Raises:
            ReportError: The file is no report or whole pack, or one of another lake.
        """
        from auditlake.frameworks.reperform import reperform_any

        return reperform_any(self._context, self.frameworks.judged, Path(report), policies=policies)

    def _judged(self, *policy_ids: str, **options: Unpack[ReportOptions]) -> AbstractContextManager[Judged]:
        from auditlake.policies.request import ReportRequest
        from auditlake.reports.run import judged

        asked = ReportRequest(policy_ids=policy_ids, **options)
        return judged(self._context, asked, holds=self.holds.binding(), flush=lambda: self.flush(reading=True).snapshot)

    # Upkeep

    def backup(self, destination: str | Path, *, key: bool = True) -> BackupSummary:
        """Copy the lake to a new folder, consistently while others write; to restore it, copy it back.

        Args:
            destination: The folder; it is there whole or not at all. Or ``s3://``, ``gs://`` or ``az://``, a bucket and
                a folder in it, which become a lake.
            key: Whether to copy the private key of the ledger too, if it lies in the lake.

        Raises:
            LakeError: There is something at the destination, or the disk refused.
            LakeFormatError, LedgerError: The lake lost a file, or its ledger is damaged.
        """
        from auditlake.upkeep.backup import backup

        return backup(self._context, destination, key=key)

    def _card(self) -> Card:
        from auditlake.analysis.lake_card import lake_card

        return lake_card(self.layout.root, self.snapshot(), self.policies.all)
