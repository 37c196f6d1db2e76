"""Logging one event from Python: an AuditEvent, a mapping of its fields, or these as keywords."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from auditlake.errors import EventError
from tests.lakes import create

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    return create(tmp_path / "lake", event_types=["badge_read"], clock=lambda: NOW)


def test_the_three_ways(lake: AuditLake) -> None:
    """Each way gives the same event and its id; the time is the present of the lake's clock unless it is said."""
    details = {"n": 10**20}
    ids = [
        lake.log(AuditEvent("badge_read", NOW, user_id="a", details=details)),
        lake.log({"event_type": "badge_read", "user_id": "a", "details": details, "timestamp": None}),
        lake.log(
            {"event_type": "badge_read", "user_id": "a", "details": details, "timestamp": "2026-11-24T10:30:00+01:00"}
        ),
        lake.log(event_type="badge_read", user_id="a", details=details),
        *lake.log_many([{"event_type": "badge_read", "user_id": "a", "details": details}]),
    ]
    columns = "event_type, timestamp, user_id, details, source"

    assert sorted(event_id for (event_id,) in lake.sql("select event_id from events")) == sorted(ids)
    assert lake.sql(f"select distinct {columns} from events").fetchall() == [
        ("badge_read", NOW, "a", '{"n":100000000000000000000}', "auditlake")
    ]


def test_all_or_none(lake: AuditLake) -> None:
    """Of several events of which one cannot be recorded, none is."""
    with pytest.raises(EventError, match="userid"):
        lake.log_many([{"event_type": "login"}, AuditEvent("login", NOW), {"event_type": "login", "userid": "a"}])

    assert lake.events().fetchall() == []


WRONG: list[tuple[Any, str, str]] = [
    ({}, "event_type: expected a name, and it is missing", "auditlake.EventType"),
    ({"event_type": "logn"}, "event_type: this lake does not know 'logn'", "close to it: login, logout"),
    ({"event_type": "badge"}, "event_type: this lake does not know 'badge'", "close to it: badge_read"),
    ({"event_type": "login", "userid": "a"}, "userid: an event has no such field", "close to it: user_id"),
    ({"event_type": "login", "who": "a"}, "who: an event has no such field", "put it into details"),
    ({"event_type": "login", "timestamp": "noon"}, "timestamp: not a time: 'noon'", ""),
    ({"event_type": "login", "timestamp": 5}, "timestamp: expected a datetime, got int", ""),
    ({"event_type": "login", "details": []}, "details: expected a mapping or None, got list", ""),
    ("login", "expected an AuditEvent or a mapping of its fields, got str", ""),
    (["login"], "expected an AuditEvent or a mapping of its fields, got list", ""),
]


def test_errors_name_the_field(lake: AuditLake) -> None:
    """What cannot be recorded is an error that names the field and what is near it, and nothing of it is kept."""
    for record, message, hint in WRONG:
        with pytest.raises(EventError) as caught:
            lake.log(record)
        assert str(caught.value).startswith(message)
        assert hint in caught.value.hint
    with pytest.raises(EventError, match="expected an event or its fields as keywords, got both"):
        lake.log({"event_type": "login"}, user_id="a")  # type: ignore[call-overload]

    assert lake.events().fetchall() == []
