"""Every question is an event of the lake, whatever became of it, and before anybody gets an answer."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import auditlake
from auditlake.errors import LandingError, QueryError, RefusedError, StoppedError
from auditlake.landing.segments import OWN, segments
from auditlake.sandbox.session import AuditSession
from tests.lakes import create
from tests.sandbox.lakes import NOW, asked, make_lake, session

DAY = timedelta(days=1)


def records(lake: auditlake.AuditLake) -> list[dict[str, object]]:
    rows = lake.events(event_type="audit_log_access", source="auditlake.self").pl().to_dicts()
    return [row | {"details": json.loads(row["details"])} for row in rows]


def test_what_is_recorded(tmp_path: Path) -> None:
    """A question is recorded with who, text, parameters, snapshot, rows, time and outcome."""
    lake = make_lake(tmp_path / "lake")
    with session(lake, principal="erika") as opened:
        answer = opened.sql("select * from events where user_id = $user", {"user": "bob"})

    (record,) = records(lake)
    details = record["details"]
    assert record["user_id"] == "erika"
    assert record["event_id"] == answer.event_id
    assert record["session_id"] == opened.id
    assert record["status"] == "success"
    assert details["system_user"] == pwd.getpwuid(os.getuid()).pw_name
    assert record["resource"] == "snapshot 1"
    assert details["query"] == "select * from events where user_id = $user"
    assert details["parameters"] == {"user": "bob"}
    assert (details["snapshot"], details["rows"], details["outcome"]) == (1, len(answer), "success")
    assert details["milliseconds"] >= 0


def test_every_outcome(tmp_path: Path) -> None:
    """What was refused, failed, was stopped or cut off is on record as that, with the reason."""
    lake = make_lake(tmp_path / "lake")
    with session(lake, rows=5) as opened:
        answers = [asked(opened, text) for text in ("copy events to 'x'", "select nothing from events")]
        patient = opened.limits
        opened.limits = replace(patient, seconds=0.2)
        answers.append(asked(opened, "select levenshtein(repeat('a', 2000000), repeat('b', 2000000))"))
        opened.limits = patient
        answers += [asked(opened, text) for text in ("from events", "select '\ud800'")]

    assert [type(each) for each in answers[:3]] == [RefusedError, QueryError, StoppedError]
    found = records(lake)
    assert [each["status"] for each in found] == ["refused", "failed", "stopped", "success", "refused"]
    assert all(each["details"]["reason"] for each in found if each["status"] != "success")
    assert found[3]["details"]["complete"] is False
    assert found[4]["details"]["query"] == "select '\\ud800'"


def test_no_record_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the question cannot be written down, there is no answer."""
    lake = make_lake(tmp_path / "lake")
    with session(lake) as opened:

        def refuse(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(opened._log._trail._writer, "_sync", refuse)
        with pytest.raises(LandingError):
            opened.sql("select 42")


def test_nobody_else_can_say_so(tmp_path: Path) -> None:
    """What applications log, and files that are followed, never get the source of auditlake's own events."""
    lake = make_lake(tmp_path / "lake")
    lake.log(auditlake.AuditEvent("audit_log_access", lake._context.clock(), user_id="mallory", action="query"))
    with session(lake) as opened:
        opened.sql("select 1")

    by_source = dict(lake.sql("select source, count(*) from events where action = 'query' group by all").fetchall())
    assert by_source == {"auditlake": 1, "auditlake.self": 1}
    lake.flush()
    by_source = dict(lake.sql("select source, count(*) from events where action = 'query' group by all").fetchall())
    assert by_source == {"auditlake": 1, "auditlake.self": 1}


def test_own_events_wait(tmp_path: Path) -> None:
    """Questions alone make no snapshot; what applications logged does, and takes them along."""
    lake = make_lake(tmp_path / "lake")
    for _ in range(2):
        with session(lake) as opened:
            opened.sql("select 1")
            assert opened.snapshot == 1
    assert all(each.slot >= OWN for each in segments(lake.layout))
    lake.log(auditlake.AuditEvent("login", lake._context.clock(), user_id="bob"))
    with session(lake) as opened:
        assert opened.snapshot == 2
        assert opened.sql("select count(*) from events where source = 'auditlake.self'").fetchall() == [(2,)]


def test_queries_view(tmp_path: Path) -> None:
    """The view queries has every earlier question, in a partition or not, and those of the same session."""
    lake = make_lake(tmp_path / "lake")
    with session(lake, principal="one") as opened:
        opened.sql("select 1")
    lake.flush()
    with session(lake, principal="two") as opened:
        asked(opened, "copy events to 'x'")
        found = opened.sql("select principal, query, outcome, rows, parameters from queries order by 1").fetchall()
        again = opened.sql("select count(*) from queries").fetchall()

    assert again == [(3,)]
    assert found == [("one", "select 1", "success", 1, "{}"), ("two", "copy events to 'x'", "refused", 0, "{}")]


def test_queries_are_pinned(tmp_path: Path) -> None:
    """A session sees the same earlier questions before and after a flush, each once, and its own as they come; on a
    named snapshot only those that are in it, and as of an earlier instant none of later ones."""
    lake = make_lake(tmp_path / "lake")
    asked = "select query from queries order by asked, query"
    with session(lake) as first:
        first.sql("select 1")
        with session(lake) as second, session(lake, snapshot=1) as old, session(lake, as_of=NOW - DAY) as earlier:
            first.sql("select 2")
            assert second.sql(asked).fetchall() == [("select 1",)]
            lake.flush()
            first.sql("select 3")
            assert second.sql(asked).fetchall() == [("select 1",), (asked,)]
            assert old.sql(asked).fetchall() == []
            assert old.sql(asked).fetchall() == [(asked,)]
            assert [earlier.sql(asked).fetchall() for _ in range(2)] == [[], []]
    lake.flush()
    with session(lake) as opened:
        found = opened.sql("select query, event_id, system_user from queries").fetchall()
    assert len(found) == len({event_id for _, event_id, _ in found}) == 9
    assert {user for _, _, user in found} == {pwd.getpwuid(os.getuid()).pw_name}


def broken(*_: object, **__: object) -> None:
    raise ValueError("not foreseen")


LOOP: list[object] = []
LOOP.append(LOOP)
BESIDE: dict[str, tuple[object, object]] = {
    "surrogates in a value": ("select $a", {"a": "\ud800"}),
    "surrogates in a list": ("select $a", {"a": ["\ud800"]}),
    "surrogates in a name": ("select $a", {"\ud800": 1}),
    "a value of no kind": ("select $a", {"a": object()}),
    "a list of itself": ("select $a", {"a": LOOP}),
    "huge": ("select $a", {"a": ["x" * 1_000_000] * 30}),
    "a number": ("select $a", {"a": 1 << 20_000}),
    "a time beyond all years": ("select $a", {"a": datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))}),
    "no number": ("select $a + 1, $b, $c", {"a": float("nan"), "b": float("inf"), "c": 1 << 100}),
    "no names": ("select $a", [1]),
    "no text": (7, None),
    "a long text": ("x" * 20_000_000, None),
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    """A lake that other tests do not see flushed."""
    return make_lake(tmp_path_factory.mktemp("own") / "lake")


@pytest.fixture(scope="module")
def opened(own: auditlake.AuditLake) -> Iterator[AuditSession]:
    """A session of that lake."""
    with session(own) as opened:
        yield opened


@pytest.mark.parametrize("name", BESIDE)
def test_what_fails_beside_the_child_is_recorded(name: str, opened: AuditSession) -> None:
    """Whatever is asked, and with whatever, is on record."""
    text, values = BESIDE[name]
    before = len(opened._log.lines)
    with suppress(QueryError):
        opened.sql(text, values)
    assert len(opened._log.lines) == before + 1
    assert opened.sql("select 42").fetchall() == [(42,)]


def test_what_nobody_foresaw_is_recorded(own: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is none of auditlake's leaves a record too, and the session goes on."""
    with session(own) as opened:
        with monkeypatch.context() as patched, pytest.raises(ValueError, match="not foreseen"):
            patched.setattr("auditlake.sandbox.parent.Child.ask", broken)
            opened.sql("select 1")
        assert opened.sql("select outcome, reason from queries where query = 'select 1' and session_id = $id",
                          {"id": opened.id}).fetchall() == [("failed", "not foreseen")]  # fmt: skip


def test_policies_count_them(tmp_path: Path) -> None:
    """A policy can govern who reads the audit log, and a lake of nothing else stays one without data."""
    lake = create(tmp_path / "lake")
    file = tmp_path / "readers.yaml"
    file.write_text(
        "name: Readers\ndescription: Who reads\nrequired_events: [audit_log_access]\nretention_period: 30d\n"
        "alert_threshold: 2\ngroup_by: [user_id]\n"
    )
    lake.policies.add(file)
    with lake.audit_session(principal="erika") as opened:
        opened.sql("select 1")
        opened.sql("select 2")

    report = lake.report("readers")
    assert report.status == "no_data"
    assert [each.group for each in report.report.violations] == [{"user_id": "erika"}]
