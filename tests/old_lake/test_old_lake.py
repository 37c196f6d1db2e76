"""What a user of an earlier build has on disk keeps working: its lake opens, grows, verifies and re-performs.

``lake.tar.gz`` and ``expected.json`` were made by ``make.py`` with the commit 1faba9d; no later build makes them again.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import zipfile
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake, testing
from auditlake.verify.prove import verify_proof
from tests.verify.test_prove import passes
from tests.verify.test_recipe import failing

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((HERE / "expected.json").read_text())
NOW = datetime.fromisoformat(EXPECTED["now"])
DELETED = 13
"""Events that its retention had deleted."""
ROWS = "select event_id, event_type, timestamp::text as at, user_id, details, source from events order by all"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The folder with the lake, its inputs, and what was kept elsewhere."""
    with tarfile.open(HERE / "lake.tar.gz") as archive:
        archive.extractall(tmp_path / "old", filter="tar")
    return tmp_path / "old"


@pytest.fixture
def lake(old: Path) -> AuditLake:
    """The lake, a day later."""
    return auditlake.open(old / "lake", clock=lambda: NOW + timedelta(days=1))


def check_verifies(lake: AuditLake, old: Path) -> None:
    """Compare the lake with its ledger and with everything that its owner kept elsewhere."""
    key = (old / "kept" / "key.pub").read_text()
    for number, checkpoint in enumerate(sorted((old / "kept").glob("*.note"))):
        report = lake.ledger.verify(checkpoint=checkpoint.read_bytes(), public_key=key, full=not number)
        assert report.ok, (report.problems, report.batches)


def test_says_what_it_said(lake: AuditLake, old: Path) -> None:
    """The same events, numbers, findings, holds and decisions, before anything is written."""
    assert [list(row) for row in lake.sql(ROWS).fetchall()] == EXPECTED["rows"]
    assert lake.statistics(as_of=NOW).total_events == EXPECTED["total_events"]
    assert [hold.id for hold in lake.holds.all()] == EXPECTED["holds"]
    for made in lake.reports(as_of=NOW):
        report, then = made.report, EXPECTED["reports"][made.policy_id]
        assert (report.status, report.total_events) == (then["status"], then["total_events"])
        assert [finding.id for finding in report.violations] == then["findings"]
    check_verifies(lake, old)


def test_verifies_from_elsewhere(old: Path) -> None:
    """A proof that was kept still shows that its event is in the ledger."""
    shown = verify_proof((old / "kept" / "proof.json").read_bytes(), (old / "kept" / "key.pub").read_text())

    assert shown.event["event_id"] == "x76"


def test_reperforms(lake: AuditLake, old: Path, tmp_path: Path) -> None:
    """Every report that was kept, and the one of the evidence pack, has the same numbers again."""
    with zipfile.ZipFile(old / "kept" / "pack.zip") as pack:
        pack.extractall(tmp_path / "pack")
    for report in sorted(lake.layout.reports.glob("*.json")):
        again = lake.reperform(report)
        # A hold on somebody now names their pseudonym too: that is a parameter, no number.
        assert all(each.where.startswith("evidence.queries") for each in again.differences), again
    again = lake.reperform(tmp_path / "pack" / "report.json", policies=tmp_path / "pack" / "policies")
    assert all(each.where.startswith("evidence.queries") for each in again.differences), again


def test_upgrades(lake: AuditLake, old: Path, tmp_path: Path) -> None:
    """As a lake of format 2, it says what it said, and all that was kept elsewhere holds."""
    assert lake.ledger.upgrade() is not None

    lake.ingest(AuditEvent("login", user_id="zoe", timestamp=NOW))
    assert len(lake.sql(ROWS).fetchall()) == len(EXPECTED["rows"]) + 1
    test_verifies_from_elsewhere(old)
    test_reperforms(lake, old, tmp_path)
    check_verifies(lake, old)


@pytest.mark.skipif(
    None in {shutil.which("openssl"), shutil.which("sha256sum")}, reason="openssl or sha256sum is not here"
)
def test_upgraded_by_the_public_recipe(lake: AuditLake, old: Path, tmp_path: Path) -> None:
    """As a lake of format 2, every checkpoint, proof, certificate and pack of before holds without auditlake too."""
    lake.ledger.upgrade()
    lake.ingest(AuditEvent("login", user_id="zoe", timestamp=NOW))
    kept = old / "kept"
    with zipfile.ZipFile(kept / "pack.zip") as pack:
        pack.extractall(tmp_path / "pack")
    checkpoints = [*sorted(kept.glob("*.note")), tmp_path / "pack" / "checkpoint.txt"]
    for number, checkpoint in enumerate(checkpoints):
        shutil.copy(checkpoint, kept / "checkpoint")
        every = ("names", "signature", "tree", "rows")
        assert failing(lake, old, every if not number else ("tree",)) == [], checkpoint
    assert passes(kept / "proof.json", (kept / "key.pub").read_text(), tmp_path)
    summed = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    assert subprocess.run(summed, cwd=tmp_path / "pack", check=False).returncode == 0
    named = [each["details"]["certificate"] for each in entries_of(lake) if "certificate" in each["details"]]
    digests = {path.stem: sha256(path.read_bytes()).hexdigest() for path in lake.layout.certificates.glob("*.json")}
    assert digests == {name: name for name in named}
    assert len(named) == 2


def entries_of(lake: AuditLake) -> list[dict[str, Any]]:
    """What the entries of the ledger say, read as the page on file formats has it."""
    (tile,) = lake.layout.ledger.glob("tile/entries/000.p/*")
    data, found = tile.read_bytes(), []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        found.append(json.loads(data[2:end]))
        data = data[end:]
    return found


def test_knows_what_it_has(lake: AuditLake, old: Path) -> None:
    """Fed the same files again, it lands what retention had deleted and nothing else; new events land."""
    again = lake.ingest(old / "inputs")
    assert (again.landed, again.duplicates, again.quarantined) == (DELETED, 168, 1), again

    assert lake.ingest(AuditEvent("login", user_id="alice", timestamp=NOW, details={"amount": 1.5})).landed == 1
    with lake.trail(flush_seconds=None) as trail:
        trail.log(AuditEvent("login", user_id="alice", timestamp=NOW))
        lake.flush()
    lake.compact(grace_seconds=0)
    assert len(lake.sql(ROWS).fetchall()) == len(EXPECTED["rows"]) + DELETED + 2
    check_verifies(lake, old)


def test_keeps_what_was_decided(lake: AuditLake, old: Path) -> None:
    """The acceptance covers its finding, the one that was taken back covers none, and the hold still holds."""
    findings = lake.findings.list("logins", since="2026-08-31T08:00:00Z", as_of=NOW)
    assert [each.state for each in findings] == ["open", "open", "accepted"]

    lake.ingest(old / "inputs")
    assert lake.retention.apply(as_of=NOW).plan.due == DELETED
    assert [list(row) for row in lake.sql(ROWS).fetchall()] == EXPECTED["rows"]
    check_verifies(lake, old)


def test_comes_over(lake: AuditLake, old: Path) -> None:
    """Deletions, which sort what they touch into classes, and a reclassing leave every part verified and proved."""
    lake = testing.change_settings(lake, grace="0h")

    def later(days: int) -> AuditLake:
        return AuditLake(lake.layout.root, clock=lambda: NOW + timedelta(days=days))

    assert {each.action for each in later(10).retention.apply().plan.changes} == {"rewrite"}
    assert lake.ledger.verify().ok
    assert later(11).compact(grace_seconds=0, reclass=True).days
    assert later(12).compact(grace_seconds=0, reclass=True).days == 0
    assert lake.ledger.verify().ok
    assert later(40).retention.apply().plan.due
    check_verifies(lake, old)
    staying = [event for event, *_, user, _, _ in lake.sql(ROWS) if user and not user.startswith("pseudonym-")]
    for event_id in staying[::25]:
        assert verify_proof(lake.ledger.prove(event_id), None).event["event_id"] == event_id
