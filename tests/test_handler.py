"""The logging handler: records with an audit extra become events, and logging goes on whatever happens."""

from __future__ import annotations

import json
import logging
import logging.handlers
import queue
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake, EventType
from auditlake.handler import AuditHandler
from tests.lakes import create
from tests.tail.conftest import landed
from tests.waiting import HANG_SECONDS

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def logger_of_its_own(name: str) -> logging.Logger:
    """A logger that no other test and no handler of pytest knows."""
    return logging.Manager(logging.RootLogger(logging.NOTSET)).getLogger(name)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    return create(tmp_path / "lake")


@pytest.fixture
def log(lake: AuditLake) -> Iterator[logging.Logger]:
    logger = logger_of_its_own("shop.till")
    logger.addHandler(handler := AuditHandler(lake))
    yield logger
    handler.close()


def said(lake: AuditLake) -> list[dict[str, Any]]:
    return [json.loads(line) for line in landed(lake)]


def test_a_record_becomes_an_event(lake: AuditLake, log: logging.Logger) -> None:
    """The fields of the extra are the event's; the time is the record's, message and logger are metadata."""
    log.info("%s signed in", "alice", extra={"audit": {"event_type": EventType.LOGIN, "user_id": "alice"}})
    (event,) = said(lake)

    assert (event["event_type"], event["user_id"]) == ("login", "alice")
    assert event["metadata"] == {"logger": "shop.till", "message": "alice signed in"}
    assert datetime.fromisoformat(event["timestamp"]).astimezone(UTC) <= datetime.now(UTC)


def test_the_time_is_the_records(lake: AuditLake, log: logging.Logger) -> None:
    """An event of a record that was made before is as old as the record; a time in the extra comes first."""
    record = logging.makeLogRecord({"audit": {"event_type": "login"}, "created": NOON.timestamp()})
    AuditHandler(lake).handle(record)
    log.info("", extra={"audit": {"event_type": "login", "timestamp": NOON}})

    assert [each["timestamp"] for each in said(lake)] == ["2026-11-24T12:00:00.000000Z"] * 2


def test_an_event_as_it_is(lake: AuditLake, log: logging.Logger) -> None:
    """An AuditEvent keeps its fields and its metadata; nothing that was handed in is changed."""
    event = AuditEvent("login", NOON, metadata={"message": "mine", "a": 1}, event_id="e")
    fields: Mapping[str, Any] = {"event_type": "logout", "metadata": {"b": 2}}
    log.info("theirs", extra={"audit": event})
    log.info("theirs", extra={"audit": fields})

    first, second = said(lake)
    assert (first["event_id"], first["metadata"]) == ("e", {"logger": "shop.till", "message": "mine", "a": 1})
    assert second["metadata"] == {"logger": "shop.till", "message": "theirs", "b": 2}
    assert event.metadata == {"message": "mine", "a": 1}
    assert fields == {"event_type": "logout", "metadata": {"b": 2}}


def test_other_records_are_left_alone(lake: AuditLake, log: logging.Logger) -> None:
    """Records without the extra, below the level, filtered out, or of auditlake's own loggers make no event."""
    extra = {"audit": {"event_type": "login"}}
    (handler,) = log.handlers
    log.info("no extra")
    handler.setLevel(logging.ERROR)
    log.info("below", extra=extra)
    handler.setLevel(logging.NOTSET)
    handler.addFilter(lambda record: record.msg != "unwanted")
    log.info("unwanted", extra=extra)
    own = logger_of_its_own("auditlake.alerts")
    own.addHandler(handler)
    own.error("ours", extra=extra)

    assert landed(lake) == []


KEPT: dict[str, tuple[Any, str | None]] = {
    "a number": (5, "event_type is missing"),
    "no type": ({"user_id": "alice"}, "event_type is missing"),
    "an unknown type": ({"event_type": "nothing"}, "unknown event type"),
    "an event of an unknown type": (AuditEvent("nothing", NOON), "unknown event type"),
    "NaN": ({"event_type": "login", "details": {"a": float("nan")}}, "not valid JSON"),
    "an unknown field": ({"event_type": "login", "who": "alice"}, None),
    "what JSON cannot say": ({"event_type": "login", "details": {"a": object()}}, None),
    "no address": ({"event_type": "login", "ip_address": "localhost"}, None),
    "no metadata": ({"event_type": "login", "metadata": 5}, None),
}
"""Extras that cannot be logged, and why the flush quarantines them; None if it makes an event of them."""


def test_what_cannot_be_logged_is_kept(
    lake: AuditLake, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logging tells it on standard error, the application goes on, and the flush judges what was kept."""
    for name, (extra, _) in KEPT.items():
        log.info("%s", name, extra={"audit": extra})
    told = capsys.readouterr().err
    quarantined = {name: reason for name, (_, reason) in KEPT.items() if reason}
    summary = lake.flush()
    (file,) = lake.layout.quarantine.iterdir()
    records = [json.loads(line) for line in file.read_text().splitlines()]

    assert told.count("--- Logging error ---") == told.count("\nauditlake.errors.EventError: ") == len(KEPT)
    assert (summary.landed, summary.quarantined) == (len(KEPT) - len(quarantined), len(quarantined))
    assert {json.loads(each["data"])["metadata"]["message"]: each["reason"] for each in records} == quarantined
    messages = {message for (message,) in lake.sql("select coalesce(metadata->>'message', '5') from events")}
    assert messages == {*KEPT, "5"} - {*quarantined, "no metadata"}


def test_nothing_is_kept_where_the_disk_refuses(lake: AuditLake, capsys: pytest.CaptureFixture[str]) -> None:
    """A trail that is closed keeps nothing, and that does not reach the application either."""
    trail = lake.trail()
    trail.close()
    logger = logger_of_its_own("shop")
    logger.addHandler(AuditHandler(trail))
    logger.info("", extra={"audit": {"event_type": "nothing"}})

    assert "LandingError" in capsys.readouterr().err
    assert landed(lake) == []


def test_a_message_that_cannot_be_made(
    lake: AuditLake, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments that do not fit the message are logging's error, and cost the event nothing but them."""
    log.info("%d", "x", extra={"audit": {"event_type": "login"}})

    assert "--- Logging error ---" in capsys.readouterr().err
    assert [each["metadata"]["message"] for each in said(lake)] == ["%d"]


def test_logging_from_within_does_not_recurse(lake: AuditLake, log: logging.Logger) -> None:
    """What a trail logs with an audit extra while it logs an event does not come back to it."""

    class Talkative:
        def log(self, event: AuditEvent) -> str:
            log.info("logging", extra={"audit": {"event_type": "logout"}})
            return lake.log(event)

    log.handlers[:] = [AuditHandler(Talkative())]  # type: ignore[arg-type]
    log.info("", extra={"audit": {"event_type": "login"}})

    assert [each["event_type"] for each in said(lake)] == ["login"]


def test_threads_share_syncs(lake: AuditLake) -> None:
    """Threads that log at once do not wait for each other in the handler: the trail sees them together."""
    together = Barrier(8)

    class Meeting:
        def log(self, event: AuditEvent) -> str:
            together.wait(HANG_SECONDS)
            return lake.log(event)

    logger = logger_of_its_own("shop")
    logger.addHandler(AuditHandler(Meeting()))  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: logger.info("", extra={"audit": {"event_type": "login", "user_id": str(n)}}), range(8)))

    assert sorted(each["user_id"] for each in said(lake)) == [str(n) for n in range(8)]


def test_through_a_queue(lake: AuditLake) -> None:
    """Records that go through logging's own queue to another thread become the same events."""
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, AuditHandler(lake))
    logger = logger_of_its_own("shop")
    logger.addHandler(logging.handlers.QueueHandler(waiting))
    listener.start()
    logger.info("%s", "hello", extra={"audit": {"event_type": "login"}})
    listener.stop()

    assert [each["metadata"]["message"] for each in said(lake)] == ["hello"]


SCRIPT = """
import logging.config, sys, auditlake
from auditlake.handler import AuditHandler
lake = auditlake.open(sys.argv[1])
logging.config.dictConfig({
    "version": 1,
    "handlers": {"audit": {"()": AuditHandler, "trail": lake.trail(durability="os"), "level": "INFO"}},
    "root": {"handlers": ["audit"], "level": "INFO"},
})
logging.getLogger("shop").info("bye", extra={"audit": {"event_type": "logout"}})
"""


def test_to_the_end_of_the_process(lake: AuditLake) -> None:
    """Set up by dictConfig, nothing of what was logged is lost at the exit of the interpreter, nor is it noisy."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(lake.layout.root)], capture_output=True, text=True, check=True
    )

    assert (done.stdout, done.stderr) == ("", "")
    assert [each["event_type"] for each in said(lake)] == ["logout"]
