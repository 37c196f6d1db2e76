"""LLMGuardian's AuditMonitor, on top of a lake."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from auditlake.disk.durable import make_folders, write_whole
from auditlake.disk.files import read_file
from auditlake.disk.rights import FOLDER_MODE
from auditlake.errors import AuditLakeError, LakeError, LakeNotFoundError, PolicyNotFoundError
from auditlake.events.ids import uuid7
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none, utc
from auditlake.llmguardian.model import ODD_ADDRESS, AuditEvent, CompliancePolicy, MonitoringError, recorded, type_name
from auditlake.machine import Clock, system_clock

if TYPE_CHECKING:
    from auditlake.alerts.model import Alert
    from auditlake.lake import AuditLake

_LOGGER = logging.getLogger("auditlake.llmguardian")
_EVERY_USER = 2**31 - 1


class SecurityLogger(Protocol):
    """What the monitor needs of LLMGuardian's SecurityLogger."""

    def log_security_event(self, event_type: str, **details: Any) -> object:
        """Take a line."""


class AuditMonitor:
    """Logs audit events, durably, into a lake, and judges them by compliance policies.

    The lake is the folder ``lake`` in ``audit_dir``; the attribute :attr:`lake` gives it, for everything that the
    monitor has no method for: SQL, HTML reports, groups, periods, snapshots. Any number of threads and processes may
    use one directory at once. What differs from LLMGuardian:

    - Events are in the lake, neither in ``events/audit_YYYYMMDD.jsonl`` nor in memory, so a restart loses nothing. The
      lines that lie in ``events/`` are ingested when a monitor is made, each once; the monitor writes no file there.
    - Reports, statistics and alerts count by the time at which events happened, over all events of the lake; so does a
      policy that is added later. A new lake has the three policies of LLMGuardian.
    - An event that cannot be recorded (an unknown type, not JSON, ``NaN``, no time) raises and leaves nothing behind.
    - The security logger gets one ``compliance_threshold_exceeded`` for each time that a count reaches its threshold,
      not one for each event from then on; within about two seconds, and not from within ``log_event``. An exception of
      it is logged to ``auditlake.llmguardian`` and changes nothing.
    - Folders and files are for their owner only. A file's name is the SHA-256 of its bytes.

    Args:
        security_logger: Gets a line for each event and each alert.
        audit_dir: Where everything lies; ``~/.llmguardian/audit`` if None.
        clock: Where the present comes from.

    Raises:
        MonitoringError: The directory cannot be made or read, or what lies in it is no lake.
    """

    def __init__(
        self,
        security_logger: SecurityLogger | None = None,
        audit_dir: str | os.PathLike[str] | None = None,
        *,
        clock: Clock = system_clock,
    ) -> None:
        self.security_logger = security_logger
        """Gets a line for each event and each alert."""
        self.audit_dir = Path(audit_dir).expanduser() if audit_dir else Path.home() / ".llmguardian" / "audit"
        """Where everything lies."""
        self._clock = clock
        with _as_monitoring_error("setup audit directory", OSError):
            self.lake: AuditLake = self._opened()
            """The lake itself."""
            self._import()
        # The security logger hears of alerts while this process is the one that evaluates the lake.
        self._trail = self.lake.trail(alerts=self._alert if security_logger is not None else None)

    def __repr__(self) -> str:
        return f"<AuditMonitor {self.audit_dir}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Raise the alerts that are due and release the lake; the exit of the interpreter does this, too."""
        self._trail.close()

    # Events

    def log_event(self, event: AuditEvent) -> str:
        """Record an event with its present values, and return its id; once this returns, it is on the disk.

        LLMGuardian returns nothing. An event that has an ``event_id`` can be logged again without being counted again;
        the ``context`` of an error has the id to retry with. The security logger's ``audit_event_logged`` has the type
        under ``type``, since ``event_type`` is the line's own name; LLMGuardian's call therefore fails with
        LLMGuardian's logger.

        Raises:
            MonitoringError: It cannot be recorded; nothing of it is kept.
        """
        event_id = uuid7()
        try:
            made = recorded(event, event_id)
            event_id = self._trail.log(made)
        except Exception as error:
            self._tell("audit_logging_error", error=str(error))
            raise MonitoringError(f"Failed to log audit event: {error}", {"event_id": event_id}) from error
        self._tell("audit_event_logged", type=made.event_type, user_id=made.user_id, action=made.action)
        return event_id

    def get_events(
        self,
        event_type: str | None = None,
        start_time: Instant | None = None,
        end_time: Instant | None = None,
        user_id: str | None = None,
        *,
        action: str | None = None,
        resource: str | None = None,
        status: str | None = None,
        session_id: str | None = None,
        ip_address: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[dict[str, Any]]:
        """Return the events that match every filter, in the order of their time; both times are inclusive.

        LLMGuardian returns them in the order in which they were logged, without ``metadata``, ``session_id``,
        ``ip_address``, ``event_id`` and ``source``, and has only the first four filters and no pages. ``timestamp``
        is as before: ISO 8601, UTC, without an offset.

        Raises:
            MonitoringError: The lake cannot be read, or a filter makes no sense.
        """
        from auditlake.engine.statements import statement

        with _as_monitoring_error("get audit events"):
            filters: dict[str, Any] = {
                "types": event_type and type_name(event_type), "users": user_id, "actions": action,
                "resources": resource, "statuses": status, "sessions": session_id, "addresses": ip_address,
            }  # fmt: skip
            values: dict[str, Any] = {name: None if each is None else [each] for name, each in filters.items()}
            values |= {"start": as_instant_or_none(start_time), "end": as_end_or_none(end_time)}
            values |= {"limit": limit, "offset": offset}
            rows = self.lake.sql(statement("queries/monitor.sql", "monitored").text, values)
            return [_as_llmguardian(dict(zip(rows.columns, row, strict=True))) for row in rows.fetchall()]

    def clear_old_events(self) -> dict[str, Any]:
        """Return what is due for deletion; nothing is deleted.

        LLMGuardian deletes every event that is older than the shortest retention period of any policy, from memory
        only. Here an event is due once every policy that governs its type lets it go, and never if no policy does. An
        operator deletes what is due with ``lake.retention.apply``, which asks about weaker policies and leaves a
        certificate.

        Returns:
            ``deleted``: 0. ``due``: for each policy, how many of its events no policy needs any more.

        Raises:
            MonitoringError: The lake cannot be read.
        """
        with _as_monitoring_error("clear old events"):
            reports, keys = self.lake.reports(as_of=self._clock(), pages=False), self._keys()
        due = {keys.get(each.policy_id, each.policy_id): each.retention.due for each in reports if each.retention}
        _LOGGER.info("due for deletion, which lake.retention.apply does: %s", due)
        return {"deleted": 0, "due": due}

    # Policies

    @property
    def policies(self) -> dict[str, CompliancePolicy]:
        """The policies by their keys, as they are in the lake; changing the mapping changes nothing.

        Raises:
            MonitoringError: A policy's file cannot be used.
        """
        from auditlake.llmguardian.policies import as_llmguardian, key_of

        with _as_monitoring_error("read the policies"):
            return {key_of(each): as_llmguardian(each) for each in self.lake.policies.all()}

    def add_policy(self, name: str, policy: CompliancePolicy) -> None:
        """Put a policy into the lake, or another one in its place; it stays there, and holds for every process.

        LLMGuardian takes any policy, and forgets it at the end of the process. A name that cannot be a file's gets an
        id of its own in the lake and stays the policy's key here.

        Raises:
            MonitoringError: It cannot be used: a threshold below 1, no required event, an unknown type…
        """
        from auditlake.llmguardian.policies import add

        with _as_monitoring_error(f"add policy {name!r}", AttributeError, TypeError):
            add(self.lake, name, policy)

    def remove_policy(self, name: str) -> None:
        """Take a policy out of the lake; nothing happens if it has none of that name. No event goes with it.

        Raises:
            MonitoringError: The disk refused.
        """
        from auditlake.llmguardian.policies import id_of

        with _as_monitoring_error(f"remove policy {name!r}", OSError), suppress(PolicyNotFoundError):
            self.lake.policies.remove(id_of(name))

    # Answers

    def generate_compliance_report(
        self,
        policy_name: str,
        *,
        as_of: Instant | None = None,
        since: Instant | None = None,
        until: Instant | None = None,
        last: str | None = None,
        period: str | None = None,
    ) -> dict[str, Any]:
        """Judge one policy, write the report into ``reports/``, and return its content.

        The keys of LLMGuardian's report are there as they were: ``violations`` are sentences, those about missing
        types as before and one for each time the threshold was reached, always in the same order; ``generated_at`` is
        in UTC without an offset. What the sentences are about is in ``findings``. Everything is about a period, by
        default the policy's retention period until now; what else the lake's report says is there under its name.

        The file is the lake's own report (its ``violations`` are the findings), written whole or not at all. Its name
        begins as in LLMGuardian, ``compliance_<policy>_YYYYMMDD``, and goes on with the time, the snapshot and a
        digest, so that no report replaces another.

        Args:
            policy_name: The policy's key.
            as_of: Events after it do not exist for the report; now if None.
            since: Where the period begins.
            until: Where it ends.
            last: Instead of ``since``: a length back, e.g. ``30d``.
            period: Instead of both: ``2026``, ``2026-Q3`` or ``2026-10``.

        Raises:
            MonitoringError: There is no such policy, the period makes no sense, or the report cannot be written.
        """
        from auditlake.llmguardian.policies import id_of
        from auditlake.reports.files import write_once

        try:
            made = self.lake.report(
                id_of(policy_name), as_of=as_of or self._clock(), since=since, until=until, last=last, period=period,
                pages=False,
            )  # fmt: skip
            # Every finding is in its JSON, since no other file is written with it.
            data = made.relisted(len(made.findings)).json()
            path = self.audit_dir.absolute() / "reports" / f"{made.stem}_{hashlib.sha256(data).hexdigest()[:12]}.json"
            write_once(path, data)
        except PolicyNotFoundError as error:
            raise MonitoringError(f"Unknown policy: {policy_name}") from error
        except (AuditLakeError, OSError) as error:
            raise MonitoringError(f"Failed to report on {policy_name}: {error}") from error
        report: dict[str, Any] = json.loads(data)
        findings = report.pop("violations")
        return report | {
            "generated_at": _naive(made.report.generated_at),
            "events_by_type": Counter(report["events_by_type"]),
            "violations": [each["message"] for each in findings],
            "findings": findings,
            "report_path": str(path),
        }

    def get_audit_statistics(self) -> dict[str, Any]:
        """Return totals, events by type and by user, and how each policy stands now.

        The keys are LLMGuardian's. ``recent_violations`` has the episodes of each policy's last window, which
        LLMGuardian never filled; an episode is one entry, however many events it has. ``recent_events`` of a policy
        are those that count towards its threshold. Its ``status`` is about its last window: ``violation`` if any group
        is at the threshold, else ``compliant``, as in LLMGuardian, also where no event was received or there is no
        threshold.

        Raises:
            MonitoringError: The lake cannot be read.
        """
        from auditlake.reports.document import finding_dict

        with _as_monitoring_error("get audit statistics"):
            statistics, keys = self.lake.statistics(as_of=self._clock(), users=_EVERY_USER), self._keys()
        return {
            "total_events": statistics.total_events,
            "events_by_type": Counter(statistics.events_by_type),
            "events_by_user": Counter(statistics.events_by_user),
            "policy_status": {
                keys.get(each.policy_id, each.policy_id): {
                    "total_events": each.total_events, "recent_events": each.recent_events,
                    "violation_threshold": each.threshold,
                    "status": "violation" if each.status == "violation" else "compliant",
                }
                for each in statistics.policies
            },
            "recent_violations": [
                {"policy": keys.get(each.policy_id, each.policy_id)} | finding_dict(each.finding)
                for each in statistics.recent_violations
            ],
        }  # fmt: skip

    # What these need

    def _opened(self) -> AuditLake:
        """Open the lake in the directory, made if there is none; two processes may do this at once."""
        from auditlake import create
        from auditlake.lake import AuditLake

        path = self.audit_dir.absolute() / "lake"
        make_folders(path.parent, below=Path(path.anchor))
        (path.parent / "reports").mkdir(mode=FOLDER_MODE, exist_ok=True)
        with suppress(LakeNotFoundError):
            return AuditLake(path, clock=self._clock)
        try:
            return create(path, policies="llmguardian", clock=self._clock)
        except LakeError:
            if not (path / "lake.toml").exists():
                raise
            return AuditLake(path, clock=self._clock)  # another process was quicker

    def _import(self) -> None:
        """Ingest LLMGuardian's own files that are new or have grown since the last time.

        Lines have an id from their content, so a line that was ingested before is known.
        """
        known_file = self.audit_dir / "imported.json"
        known: dict[str, Any] = {}
        with suppress(OSError, ValueError):
            known = json.loads(read_file(known_file))
        files = {
            each.name: each for each in sorted((self.audit_dir / "events").glob("audit_*.jsonl")) if each.is_file()
        }
        marks = {name: [(status := path.stat()).st_size, status.st_mtime_ns] for name, path in files.items()}
        new = [files[name] for name in files if marks[name] != known.get(name)]
        if not new:
            return
        summary = self.lake.ingest(*new, source="auditlake")
        _LOGGER.info("brought %d events of LLMGuardian from %d files", summary.landed, len(new))
        if summary.quarantined:
            _LOGGER.warning("%d lines of LLMGuardian cannot be events: %s", summary.quarantined, summary.quarantine)
        write_whole(known_file, json.dumps(marks, indent=1).encode())

    def _alert(self, alert: Alert) -> None:
        if alert.kind == "threshold_exceeded":
            key = self._keys().get(alert.policy_id, alert.policy_id)
            more = {"group": dict(alert.group)} if alert.group else {}
            self._tell("compliance_threshold_exceeded", policy=key, events_count=alert.count, **more)

    def _tell(self, line: str, **details: Any) -> None:
        """Give the security logger a line; an exception of it is logged, and does not reach the caller."""
        if self.security_logger is None:
            return
        try:
            self.security_logger.log_security_event(line, **details)
        except Exception:
            _LOGGER.exception("the security logger failed at %s", line)

    def _keys(self) -> dict[str, str]:
        """Return the key of each policy by its id."""
        from auditlake.llmguardian.policies import key_of

        return {each.id: key_of(each) for each in self.lake.policies.all(tolerant=True)}


@contextmanager
def _as_monitoring_error(what: str, *more: type[Exception]) -> Iterator[None]:
    """Raise the lake's errors, and those of further types, as the monitor's: it failed to do something."""
    kinds: tuple[type[Exception], ...] = (AuditLakeError, *more)
    try:
        yield
    except kinds as error:
        raise MonitoringError(f"Failed to {what}: {error}") from error


def _as_llmguardian(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as LLMGuardian's event, followed by the fields that LLMGuardian leaves out."""
    metadata = _read(row["metadata"])
    if isinstance(metadata, Mapping) and ODD_ADDRESS in metadata:
        metadata = {key: value for key, value in metadata.items() if key != ODD_ADDRESS} or None
    return row | {"timestamp": _naive(row["timestamp"]), "details": _read(row["details"]), "metadata": metadata}


def _read(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _naive(instant: datetime) -> str:
    return utc(instant).replace(tzinfo=None).isoformat()
