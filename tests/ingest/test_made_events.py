"""Events made in Python: what cannot be recorded is refused at once, all others land and read back."""

from __future__ import annotations

import json
from collections import UserDict
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import auditlake
from auditlake import AuditEvent, EventType
from auditlake.errors import EventError
from tests.ingest.lakes import NOW, checked, events, kept, made, put


class NoOffset(tzinfo):
    """A zone that does not know how far it is from UTC, which Python calls naive."""

    def utcoffset(self, _: datetime | None) -> timedelta | None:
        return None

    def tzname(self, _: datetime | None) -> str | None:
        return None

    def dst(self, _: datetime | None) -> timedelta | None:
        return None


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


CYCLE: dict[str, Any] = {}
CYCLE["a"] = [CYCLE, CYCLE]
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
EAST = timezone(timedelta(hours=5))

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no type": ({"event_type": ""}, "event_type: expected a name, got ''"),
    "type is None": ({"event_type": None}, "event_type: expected a name, got None"),
    "type is a number": ({"event_type": 1}, "event_type: expected a name"),
    "time is text": ({"timestamp": "2026-11-24T00:00:00Z"}, "timestamp: expected a datetime, got str"),
    "time is a date": ({"timestamp": date(2026, 11, 24)}, "timestamp: expected a datetime, got date"),
    "time is None": ({"timestamp": None}, "timestamp: expected a datetime"),
    "1969": ({"timestamp": datetime(1970, 1, 1, 4, tzinfo=EAST)}, "expected a year from 1970 to 9998"),
    "9999": ({"timestamp": datetime(9999, 1, 1, tzinfo=UTC)}, "expected a year from 1970 to 9998"),
    "before all time": ({"timestamp": datetime.min.replace(tzinfo=EAST)}, "expected a year from 1970 to 9998"),
    **{
        f"{name} is a number": ({name: 1}, f"{name}: expected text or None, got int")
        for name in ("user_id", "action", "resource", "status", "session_id", "ip_address", "event_id")
    },
    "text is bytes": ({"user_id": b"x"}, "user_id: expected text or None, got bytes"),
    "lone surrogate": ({"user_id": "\ud800"}, "surrogates not allowed"),
    "host name": ({"ip_address": "localhost"}, "ip_address: expected an IPv4 or IPv6 address"),
    "no address": ({"ip_address": ""}, "ip_address: expected"),
    "half an address": ({"ip_address": "10.0.0"}, "ip_address: expected"),
    "details is a list": ({"details": []}, "details: expected a mapping or None, got list"),
    "details is text": ({"details": "{}"}, "details: expected a mapping or None, got str"),
    "metadata is a number": ({"metadata": 1}, "metadata: expected a mapping or None, got int"),
    "NaN": ({"details": {"a": [float("nan")]}}, "not JSON compliant"),
    "infinity": ({"metadata": {"a": float("inf")}}, "not JSON compliant"),
    "a set": ({"details": {"a": {1}}}, "expected what JSON can say, got set"),
    "bytes inside": ({"details": {"a": b"x"}}, "got bytes"),
    "a time inside": ({"details": {"a": NOW}}, "got datetime"),
    "a decimal inside": ({"details": {"a": Decimal(1)}}, "got Decimal"),
    "a surrogate inside": ({"details": {"a": "\udfff"}}, "surrogates not allowed"),
    "a number as key": ({"details": {1: 2}}, r"event\.details: expected text as a key, got 1"),
    "None as key": ({"metadata": {"a": [{None: 2}]}}, "expected text as a key, got None"),
    "itself inside": ({"details": CYCLE}, "nested too deeply"),
    "deep": ({"details": nested(501)}, "nested too deeply"),
    "number of 5000 digits": ({"details": {"a": 10**5000}}, "cannot be written as JSON"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    """A field that cannot be recorded is an error in one short line that names what was expected."""
    fields, message = REFUSED[name]
    with pytest.raises(EventError, match=message) as raised:
        AuditEvent(**{"event_type": "login", "timestamp": NOW, **fields})
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


ACCEPTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "least": ({}, {"user_id": None, "details": None, "metadata": None, "source": "auditlake", "timestamp": NOW}),
    "enum": ({"event_type": EventType.DATA_EXPORT}, {"event_type": "data_export"}),
    "declared type": ({"event_type": "own_type"}, {"event_type": "own_type"}),
    "naive is UTC": ({"timestamp": NOW.replace(tzinfo=None)}, {"timestamp": NOW}),
    "naive all the same": (
        {"timestamp": NOW.replace(tzinfo=NoOffset())}, {"timestamp": NOW},
    ),
    "converted": (
        {"timestamp": datetime(2026, 1, 2, 3, tzinfo=EAST)}, {"timestamp": datetime(2026, 1, 1, 22, tzinfo=UTC)},
    ),
    "last instant": (
        {"timestamp": LAST.replace(tzinfo=None)},
        {"timestamp": LAST},
    ),
    "all fields": (
        fields := {
            "user_id": "alice", "action": "", "resource": "{", "status": "[]", "session_id": "\0",
            "ip_address": "2001:db8::1%eth0",
            "event_id": "own",
        },
        fields,
    ),
    "JSON": (
        {"details": {"é": [1, 2.5, None, True, "\n", {}], "": (1,)}, "metadata": {"_extra": 10**30}},
        {"details": {"é": [1, 2.5, None, True, "\n", {}], "": [1]}, "metadata": {"_extra": 10**30}},
    ),
    "any mapping": (
        {"details": MappingProxyType({"a": UserDict(b={"c": 1})}), "metadata": UserDict()},
        {"details": {"a": {"b": {"c": 1}}}, "metadata": {}},
    ),
    "deep": ({"details": nested(500)}, {"details": nested(500)}),
}  # fmt: skip


def landed(lake: auditlake.AuditLake) -> list[dict[str, Any]]:
    """The events of a lake with their JSON read."""
    return [
        {**event, **{name: event[name] and json.loads(event[name]) for name in ("details", "metadata")}}
        for event in events(lake)
    ]


def test_accepted(tmp_path: Path) -> None:
    """What can be recorded lands and reads back as it was given, also from a file of such lines."""
    made_ones = {
        name: AuditEvent(**{"event_type": "login", "timestamp": NOW, "event_id": name, **fields})
        for name, (fields, _) in ACCEPTED.items()
    }
    lake = made(tmp_path / "lake", types=["own_type"])
    assert checked(lake, lake.ingest([*made_ones.values()], strict=True)).landed == len(ACCEPTED)
    found = {event["event_id"]: event for event in landed(lake)}
    for name, (_, expected) in ACCEPTED.items():
        event = found[made_ones[name].event_id]
        assert {key: event[key] for key in expected} == expected, name
    lines = put(tmp_path / "x.jsonl", *(event.to_json() for event in made_ones.values()))
    assert checked(lake, lake.ingest(lines), len(ACCEPTED)).duplicates == len(ACCEPTED)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
JSONS = st.none() | st.dictionaries(st.text(), JSON, max_size=3)
MADE = st.builds(
    AuditEvent,
    st.sampled_from(EventType),
    st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)),
    **dict.fromkeys(("user_id", "action", "resource", "status", "session_id"), st.none() | st.text()),
    **dict.fromkeys(("details", "metadata"), JSONS),
    ip_address=st.none() | st.ip_addresses().map(str),
)


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(MADE, min_size=10, max_size=30))
def test_any_event(tmp_path_factory: pytest.TempPathFactory, given_events: list[AuditEvent]) -> None:
    """Whatever is given reads back, field by field, numbers to the last digit."""
    lake = made(tmp_path_factory.mktemp("made") / "lake")
    checked(lake, lake.ingest(given_events[:5], given_events[5:], strict=True))
    fields = (
        "event_type",
        "timestamp",
        "user_id",
        "action",
        "resource",
        "status",
        "details",
        "metadata",
        "session_id",
        "ip_address",
    )
    wanted = sorted(repr([str(getattr(event, name)) for name in fields]) for event in given_events)
    assert sorted(repr([str(event[name]) for name in fields]) for event in landed(lake)) == wanted


def test_later_changes_change_nothing(tmp_path: Path) -> None:
    """An event is written down when it is made: what was handed in may change afterwards."""
    details = {"a": [1]}
    event = AuditEvent("login", NOW, details=details)
    details["a"].append(2)
    lake = made(tmp_path / "lake")
    lake.ingest([event])
    assert landed(lake)[0]["details"] == {"a": [1]}


def test_undeclared_type(tmp_path: Path) -> None:
    """A type that the lake does not know is quarantined, as from any other input."""
    lake = made(tmp_path / "lake")
    event = AuditEvent("own_type", NOW)
    (item,) = kept(checked(lake, lake.ingest([event], iter([AuditEvent("login", NOW)]))))
    assert (item.input, item.reason, item.detail, item.data) == (
        "python",
        "unknown event type",
        "own_type",
        event.to_json().encode(),
    )


def test_equal_events(tmp_path: Path) -> None:
    """Equal events without ids are as many events as are given at once, and known when they are given again."""
    lake, event = made(tmp_path / "lake"), AuditEvent("login", NOW)
    assert checked(lake, lake.ingest([event, event])).landed == 2
    assert checked(lake, lake.ingest([event]), 2).duplicates == 1
    assert checked(lake, lake.ingest([event] * 3), 2).landed == 1
    assert lake.ingest([]).read == 0
