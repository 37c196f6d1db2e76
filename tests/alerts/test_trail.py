"""A trail that evaluates what is logged through it."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake import AuditEvent, AuditLake
from tests.lakes import create

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A new lake whose clock stands still."""
    return create(tmp_path / "lake", clock=lambda: NOW)


def failures(count: int) -> list[AuditEvent]:
    """So many failed logins of one user, a minute apart, the last one a minute ago."""
    return [AuditEvent("auth_failure", NOW - timedelta(minutes=count - n), user_id="eve") for n in range(count)]


def test_a_callable_is_told(lake: AuditLake) -> None:
    """Who opens a trail with a callable is told of each episode once, at the latest when the trail is closed."""
    told: list[tuple[str, dict[str, str]]] = []
    with lake.trail(alerts=lambda alert: told.append((alert.policy_id, dict(alert.group)))) as trail:
        for event in failures(20):
            trail.log(event)

    assert sorted(told) == [("authentication_monitoring", {}), ("failed_logins", {"user_id": "eve"})]


@pytest.mark.parametrize(("alerts", "evaluated"), [(None, False), (False, False), (True, True)])
def test_whether_it_evaluates(lake: AuditLake, alerts: bool | None, evaluated: bool) -> None:
    """A trail evaluates when it is told to; where lake.toml says nothing of alerts, not by itself."""
    with lake.trail(alerts=alerts) as trail:
        trail.log_many(failures(5))

    assert (lake.layout.root / "alerts" / "state.json").exists() == evaluated


@pytest.mark.parametrize(("alerts", "lines"), [(None, 2), (False, 0)])
def test_the_settings_decide(lake: AuditLake, alerts: bool | None, lines: int) -> None:
    """Where lake.toml says where alerts go, whoever logs evaluates, unless it is told not to."""
    text = lake.layout.config.read_text(encoding="utf-8")
    lake.layout.config.write_text(text.replace("[alerts]\n", '[alerts]\njsonl = "told.jsonl"\n'), encoding="utf-8")
    again = auditlake.open(lake.layout.root, clock=lambda: NOW)
    with again.trail(alerts=alerts) as trail:
        trail.log_many(failures(5))

    file = lake.layout.root / "told.jsonl"
    told = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    assert len(told) == lines
    assert {each["policy_id"] for each in told} <= {"authentication_monitoring", "failed_logins"}


def test_a_forked_child_evaluates_too(lake: AuditLake) -> None:
    """A child that goes on with its parent's trail evaluates, if its parent has not used delta-rs before."""
    code = f"""
import os
import auditlake
from tests.alerts.test_trail import NOW, failures
from tests.waiting import until
lake = auditlake.open({str(lake.layout.root)!r}, clock=lambda: NOW)
alerts = []
trail = lake.trail(alerts=alerts.append)
child = os.fork()
if not child:
    trail.log_many(failures(5))
    until(lambda: len(alerts) == 2)
    print(*sorted(alert.policy_id for alert in alerts), flush=True)
trail.close()
if child:
    os.waitpid(child, 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["authentication_monitoring", "failed_logins"]
