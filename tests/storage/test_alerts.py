"""Several hosts and the alerts of one lake: one of them evaluates for all, and the next knows what it told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake.alerts import watch
from auditlake.alerts.model import Alert
from auditlake.alerts.watch import evaluate_once
from auditlake.errors import LakeBusyError
from auditlake.policies.files import READY
from auditlake.storage import lease
from tests.storage.test_hosts import host
from tests.storage.test_lake import NOW, bucket, made, mirror, opened, url
from tests.waiting import until

__all__ = ["host", "url"]

Lake = auditlake.AuditLake


@pytest.fixture
def hosts(url: str, host: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Callable[[], None], Lake]]:
    """Two hosts of a lake with a policy of five failed logins, each with what makes a test go on there."""
    monkeypatch.setattr(watch, "_LOOK_SECONDS", 0)
    lakes = [made(url, policies="none", unsigned=True)]
    lakes[0].policies.add(READY / "failed_logins.yaml")
    host("two")
    lakes.append(opened(url))
    return [(lambda: host("one"), lakes[0]), (lambda: host("two"), lakes[1])]


def log(lake: Lake, user: str, number: int, *, before: timedelta = timedelta(minutes=2)) -> None:
    for each in range(number):
        lake.log(event_type="auth_failure", user_id=user, timestamp=NOW - before + timedelta(seconds=each))


def told(lake: Lake) -> list[str]:
    """Whom the alerts are about that a host tells of once it evaluates."""
    alerts: list[Alert] = []
    evaluate_once(lake.layout, lake.config, lambda: NOW, alerts.append)
    return [each.group["user_id"] for each in alerts]


@pytest.mark.soak
def test_an_alert_is_told_by_one_host(hosts: Any) -> None:
    """What one host has told is told by no other one, and what several logged together is counted together."""
    (on_one, one), (on_two, two) = hosts
    log(two, "bea", 6)
    log(two, "cleo", 3)
    assert told(two) == ["bea"]
    two.flush()
    on_one()
    log(one, "ada", 6)
    log(one, "cleo", 3)

    assert sorted(told(one)) == ["ada", "cleo"]
    one.flush()
    on_two()
    assert told(opened(mirror(two).objects.url)) == []
    on_one()
    assert told(one) == []


def test_one_host_evaluates_while_another_logs(hosts: Any) -> None:
    """The host that evaluates counts what others flush, late or not; they wait, and go on where it stood."""
    (on_one, one), (on_two, two) = hosts
    on_one()
    alerts: list[Alert] = []
    session = watch._Session(one.layout, one.config, lambda: NOW, watch.all_sinks(one.config, alerts.append), None, 1)
    session.round()
    on_two()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lease.Lease, "taken_within", lambda self, *_: self.take())
        with pytest.raises(LakeBusyError, match="evaluates the alerts"):
            told(two)
    log(two, "ada", 6)
    log(two, "late", 6, before=timedelta(hours=30))
    two.flush()
    on_one()
    for _ in range(3):
        session.round(is_last=True)
    session.end(5)

    assert sorted((each.group["user_id"], each.late) for each in alerts if each.kind != "resolved") == [
        ("ada", False), ("late", True),
    ]  # fmt: skip
    on_two()
    assert told(two) == []


@pytest.mark.soak
def test_a_host_that_was_taken_for_dead(hosts: Any) -> None:
    """A host that has not renewed its lease in time evaluates no more until it has it again."""
    (on_one, one), _ = hosts
    on_one()
    alerts: list[Alert] = []
    session = watch._Session(one.layout, one.config, lambda: NOW, watch.all_sinks(one.config, alerts.append), None, 1)
    session.round()
    objects = mirror(one).objects
    objects.swap(lease.ALERTS, b'{"host": "beta", "folder": "/f"}', objects.found(lease.ALERTS))
    session._lease._until = 0  # type: ignore[union-attr]
    log(one, "ada", 6)
    session.round()

    assert (session.is_leading, session.lead(), alerts) == (False, "beta", [])
    objects.swap(lease.ALERTS, b"", objects.found(lease.ALERTS))
    session.round(is_last=True)
    session.end(5)
    assert [each.group["user_id"] for each in alerts] == ["ada"]


@contextmanager
def watching(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], list[str]]]]:
    """Let a process watch, and give it with what returns whom it has told of."""
    said = folder / "told"
    with said.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "auditlake", "watch", "--json"], stdout=file)
    try:
        yield process, lambda: [json.loads(line)["group"]["user_id"] for line in said.read_text().splitlines()]
    finally:
        process.kill()
        process.wait()


@pytest.mark.soak
def test_the_host_that_evaluates_is_killed(url: str, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two hosts that watch, the other goes on: it tells what was not told, and nothing that was."""
    monkeypatch.setenv("AUDITLAKE_LAKE", url)
    one = auditlake.create(url, policies="none", unsigned=True)
    one.policies.add(READY / "failed_logins.yaml")

    def fail(user: str) -> None:
        for _ in range(6):
            one.log(event_type="auth_failure", user_id=user)
        one.flush()

    def is_taken(user: str) -> bool:
        state = json.loads(mirror(one).objects.found("alerts/state.json") or b"{}")
        return user in str(state.get("policies")) and not state["outbox"]

    with ExitStack() as stack:
        process, told_here = stack.enter_context(watching(one.layout.root))
        fail("ada")
        until(lambda: is_taken("ada"))
        host("two")
        _, told_there = stack.enter_context(watching(auditlake.open(url).layout.root))
        host("one")
        fail("bea")
        until(lambda: is_taken("bea"))
        process.kill()
        process.wait()
        fail("cleo")
        until(lambda: is_taken("cleo"))

        assert (told_here(), told_there()) == (["ada", "bea"], ["cleo"])


@pytest.mark.soak
def test_an_erasure_reaches_what_was_told(hosts: Any) -> None:
    """What the bucket keeps of alerts has the pseudonym, whichever host evaluated."""
    (on_one, one), (_, two) = hosts
    log(two, "mallory", 6)
    assert told(two) == ["mallory"]
    two.flush()
    assert b"mallory" in bucket(two)["alerts/state.json"]
    on_one()
    lake = opened(mirror(one).objects.url)
    lake.retention.erase("mallory", reason="r", ticket="t")

    assert b"mallory" not in bucket(one)["alerts/state.json"]
    assert json.loads(bucket(one)["alerts/state.json"])["policies"]["failed_logins"]["breaches"]
