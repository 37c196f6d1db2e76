"""Make the lake of an earlier build that later builds must open, ingest into, verify and re-perform.

Run with the commit that it is to be a lake of, from the root of the project::

    python -m tests.old_lake.make tests/old_lake

It writes ``lake.tar.gz`` (the lake, the files it was fed, and what its owner kept elsewhere) and ``expected.json``
(what that build said of it). The clock is set by hand; keys and ids are new in each run.
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import auditlake
from auditlake import AuditEvent, AuditLake

START = datetime(2026, 9, 1, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

LOGINS = """\
name: Logins
description: Five failed logins of one user within a day
required_events: [auth_failure, login]
retention_period: 60d
alert_threshold: 5
group_by: [user_id]
where: status = 'failure'
controls: {PCI DSS 4.0.1: [10.2.1.4]}
"""
EXPORTS = """\
name: Exports
description: Exports are kept for a year, names for a month
required_events: [data_export]
retention_period: 365d
max_retention: 200d
alert_threshold: 1000
"""


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def records() -> list[dict[str, Any]]:
    """Eighty days of logins, exports and failures; some with ids of their own, some without, some with hard numbers."""
    made: list[dict[str, Any]] = []
    for day in range(78):
        at = START + timedelta(days=day)
        user = ("alice", "bob", "mallory")[day % 3]
        made.append({
            "event_type": "login", "timestamp": at.isoformat(), "user_id": user, "status": "success",
            "ip_address": f"192.0.2.{day % 3}", "details": {"device": f"laptop-{day % 3}", "user": user},
        })  # fmt: skip
        made.append({
            "event_id": f"x{day}", "event_type": "data_export", "timestamp": (at + timedelta(hours=1)).isoformat(),
            "user_id": user, "resource": "customers", "details": {"rows": day * 1000, "price": day + 0.25},
        })  # fmt: skip
        if day in {20, 21, 60}:
            made.extend({
                "event_type": "auth_failure", "timestamp": (at + timedelta(minutes=minute)).isoformat(),
                "user_id": user, "status": "failure", "action": f"try {minute}",
            } for minute in range(6))  # fmt: skip
    return made


HARD = (
    '{"event_id": "n1", "event_type": "login", "timestamp": "2026-10-01T00:00:00Z", "user_id": "alice", '
    '"details": {"amount": 12345678901234567.89, "tiny": 1e-400, "whole": 9007199254740993.0, "same": 1.50}}\n'
    '{"event_id": "n2", "event_type": "login", "timestamp": "2026-10-01T00:00:01Z", "user_id": "alice", '
    '"details": {"text": "\\u00e9 \\/ é", "space" : [1,  2, {"a" :null}]}, "metadata": {"k": 1E5}}\n'
    "this is no record\n"
)
TABLE = "event_type,timestamp,user_id,action\nlogin,2026-10-02T00:00:00Z,carol,a\nlogin,2026-10-02T00:00:00Z,carol,a\n"


def cloudtrail() -> dict[str, Any]:
    """Three records of CloudTrail, in a document."""
    return {"Records": [
        {
            "eventVersion": "1.08", "eventID": f"00000000-0000-4000-8000-{number:012d}", "eventName": name,
            "eventSource": "iam.amazonaws.com", "eventTime": f"2026-10-0{number}T10:00:00Z", "awsRegion": "eu-west-1",
            "sourceIPAddress": "203.0.113.9", "recipientAccountId": "111122223333",
            "userIdentity": {
                "type": "IAMUser", "userName": "dave", "arn": "arn:aws:iam::111122223333:user/dave",
                "accountId": "111122223333", "accessKeyId": "AKIAEXAMPLEEXAMPLE00",
            },
        }
        for number, name in enumerate(("ConsoleLogin", "CreateUser", "GetUser"), 1)
    ]}  # fmt: skip


def make(folder: Path) -> dict[str, Any]:
    """Make everything below a folder, and tell what the lake says of itself."""
    clock = Clock(START + timedelta(days=79))
    inputs, kept = folder / "inputs", folder / "kept"
    inputs.mkdir()
    kept.mkdir()
    (inputs / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records()))
    (inputs / "hard.jsonl").write_text(HARD)
    (inputs / "table.csv").write_text(TABLE)
    (inputs / "trail.json").write_text(json.dumps(cloudtrail()))
    lake = auditlake.create(folder / "lake", clock=clock)
    for file in lake.layout.policies.iterdir():
        lake.remove_policy(file.stem)
    for name, text in {"logins": LOGINS, "exports": EXPORTS}.items():
        (folder / f"{name}.yaml").write_text(text)
        lake.add_policy(folder / f"{name}.yaml")
        (folder / f"{name}.yaml").unlink()
    lake.ingest(inputs / "events.jsonl")
    (kept / "checkpoint-1.note").write_bytes(lake.checkpoint())
    (kept / "key.pub").write_bytes((lake.layout.ledger / "key.pub").read_bytes())
    lake.ingest(inputs / "hard.jsonl", inputs / "table.csv", inputs / "trail.json")
    lake.compact(grace_seconds=0)
    lake.add_hold("smith", reason="Smith v. Acme", owner="legal", ticket="L-7", user_ids=["bob"], until="2026-10-31")
    clock.now = NOW
    _decide(lake, folder)
    lake.erase("mallory", reason="Article 17", ticket="G-1", operator="erika")
    lake.retention_apply(operator="erika", accept_weaker="policies of our own")
    (kept / "proof.json").write_bytes(lake.prove("x76"))
    (kept / "checkpoint-2.note").write_bytes(lake.checkpoint())
    with lake.trail(flush_seconds=None) as trail:
        trail.log_many(_event(number) for number in range(3))
        lake.flush()
        trail.log_many(_event(number) for number in range(3, 5))
        lake.reports(period="2026-10", snapshot=lake.snapshot().version)[0].write(lake.layout.reports)
        return _expected(lake)


def _event(number: int) -> AuditEvent:
    return AuditEvent("login", user_id="alice", action=f"logged {number}", timestamp=NOW - timedelta(minutes=number))


def _decide(lake: AuditLake, folder: Path) -> None:
    """Accept one finding, take another acceptance back, review, report, and pack the evidence."""
    period = {"since": START - timedelta(days=1), "until": NOW}
    _, second, third = lake.findings.list("logins", **period)  # the first is mallory's, who is erased later
    how = {"since": period["since"], "period_until": NOW, "reason": "a drill", "owner": "ops", "by": "erika"}
    lake.findings.accept(third.finding.id, until="2027-06-01", **how)
    lake.findings.accept(second.finding.id, until="2027-06-01", **how)
    lake.findings.reopen(second.finding.id, reason="it was none", by="erika")
    lake.findings.review("logins", note="looked at all", by="erika", **period)
    for report in lake.reports(**period):
        report.write(lake.layout.reports)
    lake.evidence("logins", folder / "kept" / "pack.zip", **period)


def _expected(lake: AuditLake) -> dict[str, Any]:
    query = "select event_id, event_type, timestamp::text as at, user_id, details, source from events order by all"
    statistics = lake.statistics(as_of=NOW)
    verified = lake.verify()
    assert verified.ok, verified
    reports = {each.report.policy_id: each.report for each in lake.reports(as_of=NOW)}
    return {
        "now": NOW.isoformat(),
        "rows": [list(row) for row in lake.sql(query).fetchall()],
        "total_events": statistics.total_events,
        "snapshot": lake.snapshot().version,
        "reports": {
            name: {
                "status": report.status, "total_events": report.total_events,
                "findings": [finding.id for finding in report.violations],
            }
            for name, report in reports.items()
        },
        "findings": [each.finding.id for each in lake.findings.list(as_of=NOW)],
        "holds": [hold.id for hold in lake.holds()],
    }  # fmt: skip


def pack(folder: Path, target: Path) -> None:
    """Pack a folder with its modes; the same folder gives the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        archive.add(folder, ".", filter=lambda member: member.replace(uid=0, gid=0, uname="", gname="", deep=False))
    target.write_bytes(gzip.compress(raw.getvalue(), 9, mtime=0))


def main(target: Path) -> None:
    """Write the fixture into a folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "old"
        folder.mkdir()
        expected = make(folder)
        pack(folder, target / "lake.tar.gz")
    (target / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
