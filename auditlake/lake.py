"""The whole program on one screen: an audit trail as a lakehouse in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.analyst import AnalystVerbs
from auditlake.config import LakeConfig, read_config
from auditlake.disk.layout import Layout
from auditlake.disk.links import refuse_links
from auditlake.events.times import Instant
from auditlake.machine import Clock, system_clock
from auditlake.policies.model import Policy
from auditlake.policies.question import PeriodRequest, question
from auditlake.retention.verbs import RetentionVerbs
from auditlake.upkeep.ledger_verbs import Provable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from auditlake.alerts.watch import Alerts
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.analysis.statistics import Statistics
    from auditlake.events.event import AuditEvent
    from auditlake.findings.register import FindingRegister
    from auditlake.ingest.custody import IngestSummary
    from auditlake.ingest.ingest import Listener
    from auditlake.landing.flush import FlushSummary
    from auditlake.landing.trail import Trail
    from auditlake.policies.compile import CompiledQuery
    from auditlake.query.rows import Rows
    from auditlake.reports.compliance import ComplianceReport
    from auditlake.reports.evidence import EvidencePack
    from auditlake.reports.reperform import Reperformance
    from auditlake.reports.run import Judged
    from auditlake.sandbox.session import AuditSession
    from auditlake.store.compact import CompactSummary
    from auditlake.store.delta import Snapshot
    from auditlake.store.table import IngestOptions


class AuditLake(RetentionVerbs, Provable, AnalystVerbs):
    """A lake that is there. Use :func:`auditlake.open` or :func:`auditlake.create`.

    Args:
        path: The lake's folder.
        clock: Where the present comes from.
        wait_seconds: How long a verb that writes waits for others.

    Raises:
        LakeNotFoundError, LakeFormatError: There is no lake at that path, or its settings cannot be understood.
    """

    def __init__(self, path: str | Path, *, clock: Clock = system_clock, wait_seconds: float = 600.0) -> None:
        self.layout = Layout(Path(os.path.expanduser(path)).absolute())  # noqa: PTH111 - Path's fails on ~somebody
        """Where everything lies."""
        self.config: LakeConfig = read_config(self.layout)
        """What lake.toml says."""
        self._clock = clock
        self._wait = wait_seconds
        refuse_links(self.layout)

    def __repr__(self) -> str:
        return f"<AuditLake {self.layout.root}>"

    # Events in

    def ingest(
        self,
        *inputs: str | Path | AuditEvent | Iterable[AuditEvent],
        source: str | None = None,
        strict: bool = False,
        max_quarantined: int | str | None = None,
        listen: Listener = lambda _: None,
    ) -> IngestSummary:
        """Bring events into the lake, all of them in one commit; what is there already is not landed again.

        Args:
            *inputs: Files, folders, patterns, ``-`` for standard input, or events made in Python.
            source: Which mapping to use, e.g. ``cloudtrail``; each input is recognised by itself if None.
            strict: Land nothing if anything would be quarantined.
            max_quarantined: ``100`` or ``"5%"``: with more, the summary says ``failed``, as it does where every record
                was quarantined. What is good lands all the same.
            listen: Told now and then how far it is.

        Raises:
            SourceError: An input cannot be read or is not recognised, or ``strict`` was not met; nothing lands.
            CommitError: The commit was refused or could not be made durable; nothing is claimed.
        """
        from auditlake.disk.lock import workspace
        from auditlake.ingest.ingest import ingest
        from auditlake.sources.reader import gather
        from auditlake.store.failures import explained

        options = self._options(source, strict=strict, max_quarantined=max_quarantined)
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

    def trail(self, *, alerts: Alerts | bool = None, **options: Any) -> Trail:
        """A trail with settings of its own: ``alerts`` and those of :func:`auditlake.alerts.trail.open_trail`."""
        from auditlake.alerts.trail import open_trail

        return open_trail(self.layout, self.config, self._clock, self.flush, alerts, **options)

    @cached_property
    def _trail(self) -> Trail:
        return self.trail()  # closed at exit

    def flush(self, *, reading: bool = False) -> FlushSummary:
        """Bring the events that were logged into the table's day partitions, each exactly once.

        Args:
            reading: Whether for somebody who only reads; see :func:`auditlake.landing.flush.flush`.

        Raises:
            LakeError: The lake cannot be written.
            LostKeyError: Records may be erased events, and the key that tells has gone; all else is flushed.
            CommitError: The commit was refused or could not be made durable; the events stay where they are.
        """
        from auditlake.landing.flush import flush

        return flush(self.layout, self._options(), now=self._clock(), reading=reading)

    def compact(self, *, grace_seconds: float | None = None) -> CompactSummary:
        """Turn the small files of each day into one, without changing any answer.

        Args:
            grace_seconds: How long replaced files stay on the disk for readers under way; a day if None.
        """
        from auditlake.store.compact import compact

        return compact(self.layout, now=self._clock(), grace_seconds=grace_seconds, wait_seconds=self._wait)

    # Events out

    def snapshot(self, version: int | None = None) -> Snapshot:
        """A version of the lake; the newest if None."""
        from auditlake.store.delta import read_snapshot

        return read_snapshot(self.layout, version)

    def sql(self, query: str, params: Mapping[str, Any] | None = None, *, snapshot: int | None = None) -> Rows:
        """Any query over the view ``events``, for the lake's trusted owner; values bind as ``$name``.

        Without ``snapshot`` the view has everything that was ingested or logged, flushed or not.
        """
        return self._rows(query, params, snapshot)

    def audit_session(self, **options: Any) -> AuditSession:
        """A sandbox for an auditor's SQL: of a ``principal``, on a ``snapshot``, perhaps ``as_of`` an instant."""
        from auditlake.sandbox.open import open_session

        return open_session(self.layout, self.config, self._clock, self._options(), **options)

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
        """Events that match every filter that is given, in time order; ``start`` and ``end`` are in, days whole.

        Without ``snapshot`` these are all that were ingested or logged, flushed or not.
        """
        from auditlake.query.view import matching

        filters = {
            "types": type, "users": user, "statuses": status, "resources": resource, "ip_addresses": ip,
            "sessions": session, "sources": source,
        }  # fmt: skip
        return self._rows(*matching(filters, start, end, limit), snapshot)

    def statistics(self, *, as_of: Instant | None = None, users: int = 20) -> Statistics:
        """Totals, events by type and by user, and how each policy stands, as of an instant (now if None)."""
        from auditlake.analysis.statistics import statistics
        from auditlake.query.view import engine

        with engine(self.layout, self._options(), self._clock(), None) as (connection, snapshot):
            return statistics(
                connection, self.layout, self.policies(tolerant=True), self._instant(as_of), snapshot, users
            )

    # Policies

    def policies(self, *, tolerant: bool = False) -> tuple[Policy, ...]:
        """Every policy of the lake, by id; a PolicyError lists every mistake of every file.

        Args:
            tolerant: Instead, for a file that cannot be used, one that asks nothing and says why as its ``fault``.
        """
        from auditlake.policies.loader import load_policies

        return load_policies(self.layout.policies, self.config.event_types, tolerant=tolerant)

    def policy(self, policy_id: str) -> Policy:
        """One policy by its id, or PolicyNotFoundError; PolicyError if its file cannot be used."""
        from auditlake.policies.files import chosen, refuse_unreadable

        (found,) = chosen(self.policies(tolerant=True), [policy_id])
        refuse_unreadable([found])
        return found

    def add_policy(self, file: str | Path, *, replace: bool = False) -> Policy:
        """Check a policy file and copy it into the lake; its name is the policy's id.

        What it changes can be asked before with :meth:`policy_effect`; what becomes due by it, the next
        :meth:`retention_apply` deletes.
        """
        from auditlake.policies.files import add_policy

        return add_policy(
            self.layout, Path(file), self.config.event_types, replace=replace,
            now=self._clock(), wait_seconds=self._wait,
        )  # fmt: skip

    def remove_policy(self, policy_id: str) -> None:
        """Take a policy out of the lake. What it kept from deletion may then be due."""
        from auditlake.policies import files

        files.remove_policy(self.layout, policy_id, now=self._clock(), wait_seconds=self._wait)

    def check_policies(self, *named: str) -> tuple[CheckResult, ...]:
        """Run the tests inside policies, each an id or a .yaml file; of all the lake's if none is named."""
        from auditlake.analysis.policy_tests import check_policies
        from auditlake.policies.files import named_policies

        return check_policies(named_policies(self.layout, self.config.event_types, named, in_use=False))

    def policy_sql(self, policy_id: str, *, as_of: Instant | None = None) -> tuple[CompiledQuery, ...]:
        """What a report of the policy alone runs, with the values it binds; one of several makes moments a table."""
        from auditlake.policies.compile import compile_policy
        from auditlake.policies.files import named_policies

        policies = self.policies(tolerant=True)
        (policy,) = named_policies(self.layout, self.config.event_types, [policy_id])
        asked = question(policy, PeriodRequest(), self._instant(as_of), self.config.report_period)
        return compile_policy(policy, policies, asked, holds=self.binding_holds())

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
        policies: str | Path | None = None,
        entries: int | None = None,
        pages: bool = True,
        listen: Callable[[int, int, str], None] = lambda *_: None,
    ) -> tuple[ComplianceReport, ...]:
        """Compliance reports on one snapshot; of every policy if none is named. What was logged is flushed first.

        Args:
            *policy_ids: Which policies.
            as_of: Events after it do not exist for the report; now if None, and never later. Of a day, its end.
            since, until: The period is ``(since, until]``; if None, the policy's retention period back, or where it has
                none, the ``report_period`` of lake.toml, and as_of. Days are whole ones: the period has all of both.
            last, period: Instead, a length back, e.g. ``30d``; and for both, ``2026``, ``2026-Q3`` or ``2026-10``.
            snapshot: The version of the lake to read, and nothing is flushed; the newest if None.
            generated_at: What the report says about when it was made; as_of if None.
            policies: A folder of policy files to judge by instead of the lake's.
            entries: How many of the first entries of the journal of findings count; all of them if None.
            pages: Gather also what only the HTML page shows, a few of the events behind each episode among it.
            listen: Told how many are done, of how many, and which is next.

        Raises:
            PolicyError: A policy cannot be used, or is not there.
            ReportError: The period makes no sense, or a report does not meet its own schema.
            SnapshotError: The snapshot does not exist or cannot be read exactly any more.
        """
        with self._judged(
            policy_ids, as_of=as_of, since=since, until=until, last=last, period=period, snapshot=snapshot,
            generated_at=generated_at, policies=policies, entries=entries, pages=pages, listen=listen,
        ) as judged:  # fmt: skip
            return judged.reports

    def evidence(self, policy_id: str, out: str | Path, **options: Any) -> EvidencePack:
        """Write a report with all that a check without auditlake needs: see :mod:`auditlake.reports.evidence`.

        Args:
            policy_id: The policy.
            out: The ZIP file to write; none of that name may be there.
            **options: Those of :meth:`reports`.

        Raises:
            ReportError: The file is there already, or cannot be written.
        """
        from auditlake.ledger.book import has_ledger
        from auditlake.reports.evidence import write_pack

        with self._judged([policy_id], **options) as judged:
            kept = self.checkpoint() if has_ledger(self.layout) else None
            return write_pack(Path(out), judged.reports[0], judged.policies, judged.connection, checkpoint=kept)

    def reperform(self, report: str | Path, *, policies: str | Path | None = None) -> Reperformance:
        """Do a report again: the same policy on the same snapshot, compared number by number.

        Args:
            report: Its JSON file; or an evidence pack (``.zip``), which is checked first, with the policies in it.
            policies: A folder with the policies as they were then, e.g. of an evidence pack; the lake's if None.

        Raises:
            ReportError: The file is no report or whole pack, or one of another lake.
        """
        from auditlake.reports.reperform import reperform

        if Path(report).suffix == ".zip":
            from auditlake.reports.evidence_pack import unpacked

            with unpacked(Path(report)) as folder:
                return self.reperform(folder / "report.json", policies=policies or folder / "policies")

        def judge_again(policy_id: str, **options: Any) -> tuple[ComplianceReport, ...]:
            with self._judged([policy_id], policies=policies, again=True, **options) as judged:
                return judged.reports

        return reperform(Path(report), self.config.id, judge_again)

    @property
    def findings(self) -> FindingRegister:
        """What the policies find and what people decided about it: list, accept, reopen, review."""
        from auditlake.findings.register import FindingRegister

        return FindingRegister(self.layout, self._clock, self.reports, self._wait)

    # What all of these need

    def _judged(self, policy_ids: Sequence[str], **options: Any) -> AbstractContextManager[Judged]:
        from auditlake.reports.run import judged

        return judged(
            self.layout, self.config, self._options(), policy_ids, now=self._clock(),
            holds=self.binding_holds(), flush=lambda: self.flush(reading=True).snapshot, ask=self._rows, **options,
        )  # fmt: skip

    def _options(
        self, source: str | None = None, *, strict: bool = False, max_quarantined: int | str | None = None
    ) -> IngestOptions:
        from auditlake.ingest.custody import most
        from auditlake.store.table import IngestOptions

        limits = self.config.event_types, self.config.max_record
        return IngestOptions(*limits, source, strict, self._wait, most(max_quarantined))

    def _rows(self, query: str, values: Mapping[str, Any] | None, version: int | None) -> Rows:
        from auditlake.query.view import ask

        return ask(self.layout, self._options(), self._clock(), version, query, values)
