"""LLMGuardian's audit monitor on a lake: everything it does, and each of its defects that is mended."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb
import pytest

from auditlake import EventType
from auditlake.llmguardian import AuditEvent, AuditEventType, AuditMonitor, CompliancePolicy, MonitoringError
from auditlake.llmguardian.policies import as_llmguardian
from auditlake.policies.files import READY
from auditlake.testing import make_policy
from tests.tail.conftest import landed
from tests.waiting import HANG_SECONDS

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TYPES = """
    login logout auth_failure access_granted access_denied permission_change data_access data_modification data_deletion
    config_change system_error security_alert model_access model_update prompt_injection compliance_check
    policy_violation data_breach
""".split()


class Lines:
    """A security logger as LLMGuardian has it: the name of a line, and whatever belongs to it."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def log_security_event(self, event_type: str, **kwargs: Any) -> None:
        json.dumps(kwargs)
        self.lines.append((event_type, kwargs))

    def of(self, name: str) -> list[dict[str, Any]]:
        return [details for line, details in self.lines if line == name]


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[AuditMonitor]:
    with AuditMonitor(audit_dir=str(tmp_path / "audit"), clock=lambda: NOW) as made:
        yield made


@pytest.fixture
def watched(lines: Lines, tmp_path: Path) -> Iterator[AuditMonitor]:
    """One that tells a security logger, and so evaluates alerts."""
    with AuditMonitor(lines, str(tmp_path / "audit"), clock=lambda: NOW) as made:
        yield made


def event(kind: Any = AuditEventType.LOGIN, *, ago: timedelta = timedelta(hours=1), **more: Any) -> AuditEvent:
    """An event some time before now."""
    fields: dict[str, Any] = {
        "timestamp": NOW.replace(tzinfo=None) - ago, "user_id": "alice", "action": "do", "resource": "thing",
        "status": "success", "details": {"n": 1},
    }  # fmt: skip
    return AuditEvent(kind, **(fields | more))


def policy(**more: Any) -> CompliancePolicy:
    fields: dict[str, Any] = {
        "name": "Mine", "description": "My own", "required_events": {AuditEventType.MODEL_ACCESS},
        "retention_period": timedelta(days=10), "alert_threshold": 2,
    }  # fmt: skip
    return CompliancePolicy(**(fields | more))


def days(n: float) -> timedelta:
    return timedelta(days=n)


# What it does: the parity list


def test_parity_01_event_types(monitor: AuditMonitor) -> None:
    """There are the same eighteen types, and a lake takes each of them."""
    assert [each.value for each in AuditEventType] == TYPES
    for each in AuditEventType:
        monitor.log_event(event(each))
    assert sorted(each["event_type"] for each in monitor.get_events()) == sorted(TYPES)


def test_parity_02_event_fields(monitor: AuditMonitor) -> None:
    """An event is made with the same fields in the same order, and all of them come back."""
    made = AuditEvent(
        AuditEventType.DATA_ACCESS, datetime(2026, 11, 24, 9, 30), "u", "a", "r", "s", {"d": [1, {"e": None}]},
        {"m": 1.5}, "session", "192.0.2.1",
    )  # fmt: skip
    monitor.log_event(made)
    (got,) = monitor.get_events()

    assert {name: got[name] for name in got if name not in {"event_id", "source"}} == {
        "event_type": "data_access", "timestamp": "2026-11-24T09:30:00", "user_id": "u", "action": "a",
        "resource": "r", "status": "s", "details": {"d": [1, {"e": None}]}, "metadata": {"m": 1.5},
        "session_id": "session", "ip_address": "192.0.2.1",
    }  # fmt: skip


def test_parity_03_policy_fields(monitor: AuditMonitor) -> None:
    """A policy is made with the same fields, and the monitor gives them back."""
    given = CompliancePolicy("Mine", "My own", {AuditEventType.LOGIN, AuditEventType.LOGOUT}, days(400), 7)
    monitor.add_policy("mine", given)
    got = monitor.policies["mine"]

    assert (got.name, got.description, got.retention_period, got.alert_threshold) == ("Mine", "My own", days(400), 7)
    assert got.required_events == {AuditEventType.LOGIN, AuditEventType.LOGOUT}
    assert {each.value for each in got.required_events} == {"login", "logout"}  # type: ignore[union-attr]


def test_thresholds_that_llmguardian_does_not_have() -> None:
    """A threshold of another measure, or of the events in a scope alone, is none that LLMGuardian could hold."""
    text = "name: n\ndescription: d\nrequired_events: [login]\nalert_threshold: 2\n"
    kinds = {"": 2, "scope: source = 'vpn'": None, "distinct: user_id": None}
    assert {more: as_llmguardian(make_policy(text + more)).alert_threshold for more in kinds} == kinds


def test_parity_04_default_policies(monitor: AuditMonitor) -> None:
    """The three default policies are there as they were, and no others."""
    got = monitor.policies
    assert {
        key: (set(each.required_events), each.retention_period.days, each.alert_threshold) for key, each in got.items()
    } == {
        "data_access_tracking": ({"data_access", "data_modification", "data_deletion"}, 90, 5),
        "authentication_monitoring": ({"login", "logout", "auth_failure"}, 30, 3),
        "security_compliance": ({"security_alert", "prompt_injection", "data_breach"}, 365, 1),
    }
    assert got["data_access_tracking"].name == "Data Access Tracking"


def test_parity_05_log_event(watched: AuditMonitor, lines: Lines) -> None:
    """An event that is logged is kept, and the security logger gets a line with its type, user and action."""
    event_id = watched.log_event(event(AuditEventType.LOGIN, user_id="bob", action="sign in"))

    assert [each["event_id"] for each in watched.get_events()] == [event_id]
    assert lines.lines == [("audit_event_logged", {"type": "login", "user_id": "bob", "action": "sign in"})]


def test_parity_06_threshold(watched: AuditMonitor, lines: Lines) -> None:
    """Events of any required type within 24 hours, as many as the threshold, make a line with policy and count."""
    for kind in (AuditEventType.LOGIN, AuditEventType.LOGOUT, AuditEventType.DATA_ACCESS):
        watched.log_event(event(kind, ago=timedelta(minutes=2)))
    watched.close()
    assert lines.of("compliance_threshold_exceeded") == []
    with AuditMonitor(lines, watched.audit_dir, clock=lambda: NOW) as again:
        again.log_event(event(AuditEventType.AUTH_FAILURE, ago=timedelta(minutes=1)))
    assert lines.of("compliance_threshold_exceeded") == [{"policy": "authentication_monitoring", "events_count": 3}]


def test_parity_07_get_events_filters(monitor: AuditMonitor) -> None:
    """Events are found by type, by start and end, both inclusive, and by user, by position too."""
    for n in range(4):
        kind = AuditEventType.LOGIN if n % 2 else AuditEventType.LOGOUT
        monitor.log_event(event(kind, ago=timedelta(hours=n), user_id=f"u{n}"))
    naive = NOW.replace(tzinfo=None)

    def users(*args: Any, **filters: Any) -> list[str]:
        return [each["user_id"] for each in monitor.get_events(*args, **filters)]

    assert users() == ["u3", "u2", "u1", "u0"]
    assert users(AuditEventType.LOGIN) == ["u3", "u1"]
    assert users(start_time=naive - timedelta(hours=2)) == ["u2", "u1", "u0"]
    assert users(end_time=NOW - timedelta(hours=2)) == ["u3", "u2"]
    assert users(None, naive - timedelta(hours=2), naive - timedelta(hours=1), "u1") == ["u1"]
    assert users(AuditEventType.DATA_BREACH) == []


def test_parity_08_compliance_report(monitor: AuditMonitor) -> None:
    """A report has the keys it had, with their meanings, and is written as JSON; an unknown policy raises."""
    monitor.log_event(event(AuditEventType.LOGIN))
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(2)))
    report = monitor.generate_compliance_report("authentication_monitoring")

    assert {name: report[name] for name in ("policy_name", "description", "generated_at", "total_events")} == {
        "policy_name": "Authentication Monitoring", "description": "Monitor authentication events",
        "generated_at": "2026-11-24T12:00:00", "total_events": 2,
    }  # fmt: skip
    assert dict(report["events_by_type"]) == {"auth_failure": 0, "login": 2, "logout": 0}
    assert report["violations"] == [
        "Missing required event type: auth_failure", "Missing required event type: logout",
    ]  # fmt: skip
    json.dumps(report)
    (file,) = (monitor.audit_dir / "reports").iterdir()
    assert file.name.startswith("compliance_authentication_monitoring_20261124")
    assert str(file) == report["report_path"]
    assert json.loads(file.read_bytes())["total_events"] == 2
    with pytest.raises(MonitoringError, match="Unknown policy: nothing"):
        monitor.generate_compliance_report("nothing")


def test_parity_09_add_and_remove_policies(monitor: AuditMonitor) -> None:
    """Policies come and go; the same key again is the newer one, and removing what is not there does nothing."""
    monitor.add_policy("mine", policy())
    monitor.add_policy("mine", policy(alert_threshold=9))
    assert monitor.policies["mine"].alert_threshold == 9
    monitor.remove_policy("mine")
    monitor.remove_policy("mine")
    assert "mine" not in monitor.policies


def test_parity_10_clear_old_events(monitor: AuditMonitor) -> None:
    """It says what may go by each policy, and deletes nothing yet."""
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(40)))
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(20)))
    told = monitor.clear_old_events()

    assert told["deleted"] == 0
    assert told["due"] == {
        "authentication_monitoring": 1, "data_access_tracking": 0, "security_compliance": 0,
    }  # fmt: skip
    assert len(monitor.get_events()) == 2


def test_parity_11_audit_statistics(monitor: AuditMonitor) -> None:
    """Statistics have the keys they had: totals, by type, by user, and how each policy stands."""
    for n in range(3):
        monitor.log_event(event(AuditEventType.LOGIN, ago=timedelta(hours=n), user_id=f"u{n % 2}"))
    monitor.log_event(event(AuditEventType.LOGOUT, ago=days(2), user_id="u0"))
    got = monitor.get_audit_statistics()

    assert (got["total_events"], got["events_by_type"], got["events_by_user"]) == (
        4, {"login": 3, "logout": 1}, {"u0": 3, "u1": 1},
    )  # fmt: skip
    assert list(got) == ["total_events", "events_by_type", "events_by_user", "policy_status", "recent_violations"]
    assert got["events_by_type"]["data_breach"] == 0  # as of a defaultdict
    assert got["policy_status"]["authentication_monitoring"] == {
        "total_events": 4, "recent_events": 3, "violation_threshold": 3, "status": "violation",
    }  # fmt: skip
    assert got["policy_status"]["security_compliance"]["status"] == "compliant"
    json.dumps(got)


def test_parity_12_setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    """It lives in the home folder unless told otherwise, needs no security logger, and says why it cannot begin."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with AuditMonitor() as monitor:
        assert monitor.audit_dir == tmp_path / "home" / ".llmguardian" / "audit"
        monitor.log_event(event())
        assert (monitor.audit_dir / "lake" / "lake.toml").exists()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MonitoringError, match="Failed to setup audit directory"):
        AuditMonitor(audit_dir=str(tmp_path / "file" / "audit"))
    with AuditMonitor(lines, tmp_path / "audit") as monitor, pytest.raises(MonitoringError):
        monitor.log_event(event(status=object()))
    assert lines.of("audit_logging_error")[0]["error"].startswith("status: expected text")


# What it gets wrong, and this does not


def test_b01_each_event_is_kept_as_long_as_its_own_policies_say(monitor: AuditMonitor) -> None:
    """A short retention of one policy takes no events of another, nor events that no policy names."""
    monitor.log_event(event(AuditEventType.DATA_BREACH, ago=days(60)))
    monitor.log_event(event(AuditEventType.PERMISSION_CHANGE, ago=days(31)))
    told = monitor.clear_old_events()

    assert set(told["due"].values()) == {0}
    assert len(monitor.get_events()) == 2


def test_b02_reports_and_events_never_disagree(monitor: AuditMonitor) -> None:
    """What a report counts are the events that are there: there is no second memory of them."""
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(5000)))
    monitor.clear_old_events()
    report = monitor.generate_compliance_report("authentication_monitoring", since="2000-01-01")

    assert report["total_events"] == len(monitor.get_events()) == 1


def test_b03_what_is_due_is_known_on_disk(monitor: AuditMonitor, tmp_path: Path) -> None:
    """What is due is counted over what lies on the disk, by policy, whoever asks and whenever it was started."""
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(40)))
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as another:
        assert another.clear_old_events()["due"]["authentication_monitoring"] == 1


def test_b04_logging_reads_nothing(monitor: AuditMonitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event costs the same whatever is there already: logging it asks no question of the lake."""

    def asked(*_: object) -> None:
        raise AssertionError("the lake was asked")

    monkeypatch.setattr(duckdb, "connect", asked)
    monkeypatch.setattr("auditlake.facets.policies.Policies.all", asked)
    for n in range(50):
        monitor.log_event(event(ago=timedelta(minutes=n)))
    assert len(landed(monitor.lake)) == 50


def test_b05_no_alert_storm(watched: AuditMonitor, lines: Lines) -> None:
    """A hundred logins at a threshold of three are one alert."""
    for n in range(100):
        watched.log_event(event(AuditEventType.LOGIN, ago=timedelta(seconds=300 - n)))
    watched.close()

    assert [each["policy"] for each in lines.of("compliance_threshold_exceeded")] == ["authentication_monitoring"]
    assert len(lines.of("audit_event_logged")) == 100


def test_b06_only_what_counts_is_counted(watched: AuditMonitor, lines: Lines) -> None:
    """A policy may count by user, only what failed, and in another window; failed_logins does."""
    watched.lake.policies.add(READY / "failed_logins.yaml")
    watched.add_policy("failures", policy(
        required_events={"login"}, group_by=["user_id"], where="status = 'failure'", window=timedelta(minutes=10),
    ))  # fmt: skip
    for n in range(8):
        watched.log_event(event(AuditEventType.LOGIN, user_id=f"u{n}", ago=timedelta(minutes=n)))
        watched.log_event(event(AuditEventType.AUTH_FAILURE, user_id=f"u{n}", ago=timedelta(minutes=n)))
    assert watched.get_audit_statistics()["policy_status"]["failures"]["status"] == "compliant"
    assert watched.get_audit_statistics()["policy_status"]["failed_logins"]["status"] == "compliant"
    for n in range(2):
        watched.log_event(event(AuditEventType.LOGIN, user_id="eve", status="failure", ago=timedelta(minutes=n)))

    assert watched.get_audit_statistics()["policy_status"]["failures"]["status"] == "violation"
    watched.close()
    assert {"policy": "failures", "events_count": 2, "group": {"user_id": "eve"}} in lines.of(
        "compliance_threshold_exceeded"
    )
    (finding,) = watched.generate_compliance_report("failures")["findings"]
    assert (finding["group"], finding["peak"]) == ({"user_id": "eve"}, 2)


def test_b07_thresholds_reach_the_report(monitor: AuditMonitor) -> None:
    """What the statistics call a violation is in the report, and among the recent violations."""
    for n in range(10):
        monitor.log_event(event(AuditEventType.DATA_BREACH, ago=timedelta(minutes=n)))
    report, statistics = monitor.generate_compliance_report("security_compliance"), monitor.get_audit_statistics()

    assert (report["status"], report["status_now"]) == ("violation", "violation")
    assert any("10 events" in each for each in report["violations"])
    (recent,) = statistics["recent_violations"]
    assert (recent["policy"], recent["kind"], recent["peak"]) == ("security_compliance", "threshold_exceeded", 10)


def test_b08_a_report_is_about_a_period(monitor: AuditMonitor) -> None:
    """It says which period, counts within it, and has the window's count, the severity and its evidence."""
    monitor.log_event(event(AuditEventType.LOGIN))
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(20)))
    monitor.log_event(event(AuditEventType.LOGIN, ago=days(40)))
    usual = monitor.generate_compliance_report("authentication_monitoring")
    month = monitor.generate_compliance_report("authentication_monitoring", period="2026-10")

    assert (usual["total_events"], usual["period"]["until"]) == (2, "2026-11-24T12:00:00.000000Z")
    assert (month["total_events"], month["period"]["until"]) == (1, "2026-10-31T23:59:59.999999Z")
    assert (usual["severity"], usual["threshold"]["recent_events"]) == ("medium", 1)
    assert usual["evidence"]["queries"]


def test_b09_the_time_of_events_counts(watched: AuditMonitor, lines: Lines) -> None:
    """A burst that comes in a day late is a violation at its time, and what lies in the future is not recent."""
    watched.lake.policies.add(READY / "failed_logins.yaml")
    for n in range(50):
        watched.log_event(event(AuditEventType.AUTH_FAILURE, ago=timedelta(hours=30, seconds=n)))
        watched.log_event(event(AuditEventType.DATA_ACCESS, ago=timedelta(hours=-30, seconds=n)))
    report, statistics = watched.generate_compliance_report("failed_logins"), watched.get_audit_statistics()

    (finding,) = report["findings"]
    assert (finding["peak"], finding["start"][:10], finding["ongoing"]) == (50, "2026-11-23", False)
    assert statistics["policy_status"]["failed_logins"]["status"] == "compliant"
    assert statistics["policy_status"]["data_access_tracking"]["recent_events"] == 0
    watched.close()
    assert {"policy": "failed_logins", "events_count": 5, "group": {"user_id": "alice"}} in lines.of(
        "compliance_threshold_exceeded"
    )


def test_b10_any_time_zone(monitor: AuditMonitor) -> None:
    """Naive times are UTC, others are converted, and both live together in every answer."""
    zone = timezone(timedelta(hours=5, minutes=30))
    monitor.log_event(event(timestamp=datetime(2026, 11, 24, 9)))
    monitor.log_event(event(timestamp=datetime(2026, 11, 24, 15, 30, tzinfo=zone)))
    monitor.log_event(event(timestamp=datetime(2026, 11, 24, 11, tzinfo=UTC)))

    assert [each["timestamp"][11:13] for each in monitor.get_events()] == ["09", "10", "11"]
    assert len(monitor.get_events(start_time=datetime(2026, 11, 24, 15, 30, tzinfo=zone))) == 2
    assert monitor.get_audit_statistics()["policy_status"]["authentication_monitoring"]["recent_events"] == 3


def test_b11_all_or_nothing(watched: AuditMonitor, lines: Lines, caplog: pytest.LogCaptureFixture) -> None:
    """What cannot be recorded leaves nothing behind, a retry makes no double, and a failing logger undoes nothing."""
    bad = event(details={"a": object()})
    with pytest.raises(MonitoringError, match="Failed to log audit event") as caught:
        watched.log_event(bad)
    assert (landed(watched.lake), watched.get_events()) == ([], [])
    assert lines.of("audit_event_logged") == []

    bad.details = {"a": "text"}
    bad.event_id = caught.value.context["event_id"]
    assert watched.log_event(bad) == watched.log_event(bad) == bad.event_id
    assert len(watched.get_events()) == 1

    def fail(*_: object, **__: object) -> None:
        raise OSError("no room")

    lines.log_security_event = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.ERROR):
        watched.log_event(event())
    assert len(watched.get_events()) == 2
    assert [each.name for each in caplog.records] == ["auditlake.llmguardian"]


def test_b12_a_restart_loses_nothing(tmp_path: Path) -> None:
    """What one process logged is in the report of the next."""
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as before:
        before.log_event(event(AuditEventType.LOGIN))
        before.add_policy("mine", policy())
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as after:
        assert after.generate_compliance_report("authentication_monitoring")["total_events"] == 1
        assert "mine" in after.policies


def test_b13_a_policy_sees_what_came_before_it(monitor: AuditMonitor) -> None:
    """A policy that is added later judges the events that are there."""
    monitor.log_event(event(AuditEventType.MODEL_ACCESS))
    monitor.add_policy("mine", policy())
    report = monitor.generate_compliance_report("mine")

    assert (report["total_events"], report["violations"]) == (1, [])


def test_b14_types_as_text(monitor: AuditMonitor) -> None:
    """A type may be given as its name or as a member of another enumeration; one that is unknown is refused whole."""
    monitor.log_event(event("login"))
    monitor.log_event(event(EventType.LOGIN))
    for wrong in ("nothing", "", None, 5):
        with pytest.raises(MonitoringError):
            monitor.log_event(event(wrong))

    assert monitor.get_audit_statistics()["events_by_type"] == {"login": 2}
    assert len(monitor.get_events("login")) == len(monitor.get_events(AuditEventType.LOGIN)) == 2


def test_b15_no_number_that_json_does_not_know(monitor: AuditMonitor) -> None:
    """NaN and the infinities are refused, not written as what nobody else can read."""
    for odd in (float("nan"), float("inf")):
        with pytest.raises(MonitoringError):
            monitor.log_event(event(details={"x": odd}))
    assert landed(monitor.lake) == []


def test_b16_what_was_logged_stays(monitor: AuditMonitor) -> None:
    """Changing an event, or what it holds, after it was logged changes nothing."""
    made = event(user_id="alice", details={"list": [1]})
    monitor.log_event(made)
    made.user_id = "mallory"
    made.details["list"].append(2)

    (got,) = monitor.get_events()
    assert (got["user_id"], got["details"]) == ("alice", {"list": [1]})


def test_b17_every_field_comes_back_and_can_be_asked_for(monitor: AuditMonitor) -> None:
    """Metadata, session and address are given, every field is a filter, and there are pages."""
    for n in range(5):
        monitor.log_event(event(
            ago=timedelta(minutes=n), action=f"a{n}", resource=f"r{n}", status=f"s{n}", session_id=f"i{n}",
            ip_address=f"192.0.2.{n}", metadata={"n": n},
        ))  # fmt: skip
    for name, value in {
        "action": "a3",
        "resource": "r3",
        "status": "s3",
        "session_id": "i3",
        "ip_address": "192.0.2.3",
    }.items():
        (got,) = monitor.get_events(**{name: value})
        assert got["metadata"] == {"n": 3}
    pages = [[each["metadata"]["n"] for each in monitor.get_events(limit=2, offset=n)] for n in (0, 2, 4, 6)]
    assert pages == [[4, 3], [2, 1], [0], []]


def test_b17_filters_that_make_no_sense(monitor: AuditMonitor) -> None:
    """They are the monitor's own error, as everything that goes wrong is."""
    wrong: list[dict[str, Any]] = [{"start_time": "soon"}, {"limit": -1}, {"event_type": 5}]
    for filters in wrong:
        with pytest.raises(MonitoringError, match="Failed to get audit events"):
            monitor.get_events(**filters)


def test_b18_reports_are_the_same_every_time(monitor: AuditMonitor, tmp_path: Path) -> None:
    """Asking changes nothing, and two processes with other hash seeds write the same bytes."""
    monitor.log_event(event(AuditEventType.LOGIN))
    first, second = (monitor.generate_compliance_report("data_access_tracking") for _ in range(2))
    assert first == second
    assert first["violations"] == sorted(first["violations"])
    code = (
        "import sys; from datetime import datetime, UTC; from auditlake.llmguardian import AuditMonitor\n"
        "m = AuditMonitor(audit_dir=sys.argv[1], clock=lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))\n"
        "print(open(m.generate_compliance_report('data_access_tracking')['report_path']).read())"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0"
    said = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "audit")],
        capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed},
    ).stdout  # fmt: skip
    assert said == Path(first["report_path"]).read_bytes() + b"\n"


def test_b19_no_report_replaces_another(tmp_path: Path) -> None:
    """Each report of a day has a file of its own, a policy may have any key, and what fails is a MonitoringError."""
    times = iter(NOW + timedelta(microseconds=n) for n in range(1000))
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: next(times)) as monitor:
        for key in ("GDPR/2016", "../up", "Ünïcode", "mine"):
            monitor.add_policy(key, policy(name=key))
        paths = [Path(monitor.generate_compliance_report("mine")["report_path"]) for _ in range(3)]
        assert len({path.read_bytes() for path in paths}) == len(set(paths)) == 3
        assert {"GDPR/2016", "../up", "Ünïcode", "mine"} < set(monitor.policies)
        for key in ("GDPR/2016", "../up", "Ünïcode"):
            report = monitor.generate_compliance_report(key)
            assert Path(report["report_path"]).parent == tmp_path / "audit" / "reports"
            assert key in monitor.get_audit_statistics()["policy_status"]
            assert report["policy_name"] == key
            monitor.remove_policy(key)
        assert "../up" not in monitor.policies
        for file in (tmp_path / "audit" / "reports").iterdir():
            file.unlink()
        (tmp_path / "audit" / "reports").rmdir()
        (tmp_path / "audit" / "reports").write_text("in the way")
        with pytest.raises(MonitoringError, match="Failed to report"):
            monitor.generate_compliance_report("mine")


def test_b20_reading_and_writing_at_once(monitor: AuditMonitor) -> None:
    """Reports, statistics and events may be asked for while threads log: each answer is whole, and none fails."""

    def ask(n: int) -> int:
        monitor.generate_compliance_report("authentication_monitoring")
        got = monitor.get_audit_statistics()
        assert got["total_events"] == sum(got["events_by_type"].values())
        return len(monitor.get_events())

    def log(n: int) -> int:
        for i in range(25):
            monitor.log_event(event(ago=timedelta(seconds=100 * n + i)))
        return 0

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(work, n) for n in range(2) for work in (log, ask)]
        counts = [each.result() for each in asked]
    assert max(counts) <= len(monitor.get_events()) == 50


CROWD = """
import sys
from auditlake.llmguardian import AuditMonitor
from tests.test_llmguardian import event, timedelta
with AuditMonitor(audit_dir=sys.argv[1]) as monitor:
    for n in range(50):
        monitor.log_event(event(user_id=sys.argv[2], ago=timedelta(seconds=n)))
"""


def test_b21_many_processes(tmp_path: Path) -> None:
    """Processes begin on an empty directory and log at once: nothing is lost, and nothing comes twice."""
    workers = [subprocess.Popen([sys.executable, "-c", CROWD, str(tmp_path / "audit"), f"u{n}"]) for n in range(3)]
    assert [worker.wait(HANG_SECONDS) for worker in workers] == [0] * 3
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as monitor:
        assert monitor.get_audit_statistics()["events_by_user"] == {f"u{n}": 50 for n in range(3)}
        assert len({each["event_id"] for each in monitor.get_events()}) == 150


def test_b22_for_the_owner_only(monitor: AuditMonitor) -> None:
    """Nobody else may read or write what is there, whatever the umask says."""
    monitor.log_event(event())
    monitor.generate_compliance_report("security_compliance")
    monitor.add_policy("mine", policy())
    open_to_others = [
        path for path in (monitor.audit_dir, *monitor.audit_dir.rglob("*"))
        if stat.S_IMODE(path.stat().st_mode) & 0o077 and "_delta_log" not in path.parts
    ]  # fmt: skip

    assert open_to_others == []


def test_b23_more_than_json(monitor: AuditMonitor) -> None:
    """A policy has a severity and controls, the report says them, and the lake renders it as a page too."""
    monitor.log_event(event(AuditEventType.MODEL_ACCESS))
    monitor.add_policy("mine", policy(severity="critical", controls={"EU AI Act": ["12", "26.6"]}))
    report = monitor.generate_compliance_report("mine")

    assert (report["severity"], report["controls"]) == ("critical", {"EU AI Act": ["12", "26.6"]})
    assert b"26.6" in monitor.lake.report("mine", as_of=NOW).html()


WRONG = {
    "threshold 0": {"alert_threshold": 0},
    "threshold -1": {"alert_threshold": -1},
    "threshold as text": {"alert_threshold": "many"},
    "nothing required": {"required_events": set()},
    "an unknown type": {"required_events": {"nothing"}},
    "a number as a type": {"required_events": {5}},
    "no retention": {"retention_period": timedelta(0)},
    "retention as a number": {"retention_period": 30},
    "no window": {"window": timedelta(seconds=-1)},
    "a condition that is none": {"where": "drop table events"},
    "a column that is none": {"group_by": ["no_such_column"]},
    "no name": {"name": None},
}


@pytest.mark.parametrize("name", WRONG)
def test_b24_policies_are_checked(name: str, monitor: AuditMonitor) -> None:
    """A policy that makes no sense is refused, and the one that was there stays."""
    monitor.add_policy("mine", policy(alert_threshold=7))
    with pytest.raises(MonitoringError, match="Failed to add policy 'mine'"):
        monitor.add_policy("mine", policy(**WRONG[name]))
    with pytest.raises(MonitoringError):
        monitor.add_policy("other", {"name": "a dict"})  # type: ignore[arg-type]

    assert monitor.policies["mine"].alert_threshold == 7


def test_b24_policies_have_versions(monitor: AuditMonitor) -> None:
    """A report says by which text of the policy it judged."""
    monitor.add_policy("mine", policy())
    before = monitor.generate_compliance_report("mine")["evidence"]["policy_digest"]
    monitor.add_policy("mine", policy(alert_threshold=3))
    file = monitor.lake.layout.policy("mine")
    after = AuditMonitor(audit_dir=monitor.audit_dir, clock=lambda: NOW + days(1)).generate_compliance_report("mine")

    assert before != after["evidence"]["policy_digest"]
    assert "alert_threshold: 3" in file.read_text()


# An existing directory


def old_line(n: int, **more: Any) -> str:
    return json.dumps({
        "event_type": "login", "timestamp": f"2026-11-2{n}T09:00:00.123456", "user_id": "old", "action": "do",
        "resource": "thing", "status": "success", "details": {"n": n}, "metadata": None, "session_id": None,
        "ip_address": "localhost", **more,
    }) + "\n"  # fmt: skip


def test_an_existing_directory_is_brought_in_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The old files' events are in every answer, each line once however often it is looked at; lines that cannot be
    events are told, and what an old process still writes comes in the next time.
    """
    (old := tmp_path / "audit" / "events").mkdir(parents=True)
    (old / "audit_20261120.jsonl").write_text(old_line(0) + old_line(0))
    (old / "audit_20261121.jsonl").write_text(old_line(1) + old_line(1, details={"x": float("nan")}))
    (old / "audit_20261122.jsonl").write_text("")
    (old / "notes.txt").write_text("not ours")

    def seen() -> list[int]:
        with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as monitor:
            return [each["details"]["n"] for each in monitor.get_events()]

    with caplog.at_level(logging.WARNING, "auditlake.llmguardian"):
        assert seen() == [0, 0, 1]
        assert len(caplog.records) == 1
        assert seen() == [0, 0, 1]
        assert len(caplog.records) == 1
    (old / "audit_20261122.jsonl").write_text(old_line(2))
    (tmp_path / "audit" / "imported.json").write_text("[")
    assert seen() == [0, 0, 1, 2]
    with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as monitor:
        report = monitor.generate_compliance_report("authentication_monitoring")
        assert report["total_events"] == 4
        assert monitor.get_events(ip_address="localhost", limit=1)[0]["timestamp"] == "2026-11-20T09:00:00.123456"


ODD_FILES: dict[str, tuple[Callable[[Path], object], list[int]]] = {
    "a link to nowhere": (lambda path: path.symlink_to("nowhere"), [0]),
    "a folder": (lambda path: path.mkdir(), [0]),
    "a pipe": (os.mkfifo, [0]),
    "a line cut off": (lambda path: path.write_text(old_line(3) + old_line(4)[:40]), [0, 3]),
    "no lines": (lambda path: path.write_bytes(b"\x00\x1f\x8b\xff" * 999), [0]),
    "another encoding": (lambda path: path.write_bytes(old_line(3).encode("utf-16")), [0]),
    "line ends of another system": (lambda path: path.write_bytes(old_line(3).replace("\n", "\r\n").encode()), [0, 3]),
    "a line too long": (lambda path: path.write_text("x" * 20_000_000 + "\n" + old_line(3)), [0, 3]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_FILES)
def test_an_existing_directory_with_odd_files(name: str, tmp_path: Path) -> None:
    """Whatever else lies among the old files, what can be brought in is, once, and the monitor begins."""
    (old := tmp_path / "audit" / "events").mkdir(parents=True)
    (old / "audit_20261120.jsonl").write_text(old_line(0))
    make, expected = ODD_FILES[name]
    make(old / "audit_20261123.jsonl")
    for _ in range(2):
        with AuditMonitor(audit_dir=tmp_path / "audit", clock=lambda: NOW) as monitor:
            assert [each["details"]["n"] for each in monitor.get_events()] == expected


def test_values_that_were_never_checked(monitor: AuditMonitor) -> None:
    """Numbers as users and host names as addresses are logged as before, and come back."""
    monitor.log_event(event(user_id=42, ip_address="localhost", metadata={"a": 1}))  # type: ignore[arg-type]
    monitor.log_event(event(user_id="43", ip_address="unknown"))

    first, second = monitor.get_events()
    assert (first["user_id"], first["ip_address"], first["metadata"]) == ("42", "localhost", {"a": 1})
    assert (second["ip_address"], second["metadata"]) == ("unknown", None)
    assert len(monitor.get_events(ip_address="localhost")) == 1
