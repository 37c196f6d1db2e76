"""An event's canonical JSON: the quick way and the thorough one write the same bytes and refuse the same."""

from __future__ import annotations

import enum
import json
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Self
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditlake import AuditEvent, EventType
from auditlake.errors import EventError
from auditlake.events import event as room

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = ("user_id", "action", "resource", "status", "session_id", "ip_address", "event_id")
ORDER = ("user_id", "action", "resource", "status", "details", "metadata", "session_id", "ip_address")


# --- The form as it is defined, with Python's own json ---


class Refused(Exception):
    """An event that cannot be recorded."""


def oracle(fields: Mapping[str, Any]) -> str:
    """The canonical JSON of an event, slowly."""
    name, instant = fields.get("event_type"), fields.get("timestamp")
    if not isinstance(name, str) or not name or not isinstance(instant, datetime):
        raise Refused
    try:
        instant = instant.replace(tzinfo=UTC) if instant.utcoffset() is None else instant.astimezone(UTC)
    except OverflowError as error:
        raise Refused from error
    if not 1970 <= instant.year <= 9998:
        raise Refused
    if any(not isinstance(fields.get(each), str | None) for each in TEXTS):
        raise Refused
    if fields.get("ip_address") is not None:
        try:
            ip_address(fields["ip_address"].partition("%")[0])
        except ValueError as error:
            raise Refused from error
    if any(not isinstance(fields.get(each), Mapping | None) for each in ("details", "metadata")):
        raise Refused
    known = {"event_id": fields["event_id"]} if fields.get("event_id") is not None else {}
    known |= {"event_type": str(name), "timestamp": instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    known |= {each: fields.get(each) for each in ORDER}
    check_keys(known)
    try:
        text = json.dumps(known, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=as_dict)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused from error
    return text


def as_dict(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def check_keys(value: Any, depth: int = 0) -> None:
    if depth > 500:
        raise Refused
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise Refused
            check_keys(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_keys(item, depth + 1)


def agree(fields: Mapping[str, Any]) -> None:
    try:
        expected = oracle(fields)
    except Refused:
        with pytest.raises(EventError):
            AuditEvent(**fields)
        return
    event = AuditEvent(**fields)
    assert event.to_json() == expected
    assert type(event.event_type) is str
    assert event.timestamp.tzinfo is UTC


# --- What may be in an event ---


class Word(str):
    __slots__ = ()


class Colour(str, enum.Enum):  # noqa: UP042 - whose str() is not its value
    RED = "red"


class Odd(str, enum.Enum):  # noqa: UP042 - see above
    """Its value is not its text."""

    ONE = ("text", 1)

    def __new__(cls, text: str, value: object) -> Self:
        made = str.__new__(cls, text)
        made._value_ = value
        return made

    def __repr__(self) -> str:
        return "Odd.ONE"


class Plain(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


class Whole(int):
    pass


class Real(float):
    def __repr__(self) -> str:
        return "real"


class Row(list):  # type: ignore[type-arg]
    pass


WORDS = st.text(st.characters(codec=None, categories=None)) | st.sampled_from(
    ["", "a", '"', "\\", "/", "\x7f", "\x00\x1f\b\f\n\r\t", "\u2028", "é", "\U0001f600", "\ud800", "</script>"]
)
FLOATS = (
    st.floats()
    | st.floats(1e-5, 1e-3)
    | st.floats(1e15, 1e17)
    | st.sampled_from(
        [0.0, -0.0, 1e-4, 0.00009999999999999999, 1e16, 9999999999999998.0, 5e-324, 1.7976931348623157e308]
    )
    | st.decimals(allow_nan=False, allow_infinity=False, places=3).map(float)
)
NUMBERS = st.integers() | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30]) | FLOATS
ODDITIES = (
    Word("w"), Colour.RED, Odd.ONE, Plain.RED, Number.ONE, Whole(3), Real(2.5), Row([1]), b"x", NOON, date(2026, 1, 1),
    NOON.time(), UUID(int=5), Decimal(1), {1}, object(), OrderedDict(a=1), MappingProxyType({"a": (1,)}), range(2), 1j,
    {1: 2}, {None: 1}, {True: 1}, {Word("k"): 1}, {Colour.RED: 1}, timedelta(1), EventType.LOGIN,
)  # fmt: skip
ODD = st.sampled_from(ODDITIES)
LEAVES = st.none() | st.booleans() | NUMBERS | WORDS
VALUES = st.recursive(
    LEAVES | LEAVES | LEAVES | ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=2).map(tuple) | st.dictionaries(WORDS, inner, max_size=3)
    ),
    max_leaves=8,
)
MAPPINGS = st.none() | st.dictionaries(WORDS, VALUES, max_size=4) | VALUES
ZONES = st.sampled_from([
    None, UTC, UTC, ZoneInfo("UTC"), timezone(timedelta(0)), timezone(timedelta(hours=5, minutes=45)),
    timezone(-timedelta(hours=23, seconds=1)), ZoneInfo("Europe/Berlin"),
])  # fmt: skip
INSTANTS = (
    st.datetimes(datetime(1969, 12, 30), datetime(2100, 1, 1), timezones=ZONES)
    | st.datetimes(timezones=ZONES)
    | st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=0))
)
MAYBE = st.none() | WORDS | ODD | st.integers()
ADDRESSES = st.none() | st.ip_addresses().map(str) | st.sampled_from(
    ["::1%eth0", "::1%", "10.0.0.1%x", "fe80::1%a%b", "::ffff:1.2.3.4", "010.0.0.1", " 10.0.0.1", "10.0.0.1\n", "",
     "localhost", "::1%" + "x" * 60, Word("10.0.0.1"), 5, "٣.0.0.1"]
)  # fmt: skip
FIELDS = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(["login", EventType.DATA_BREACH, Word("w"), Colour.RED, "", None, 5]) | WORDS,
        "timestamp": INSTANTS | st.sampled_from([None, "2026-11-24", date(2026, 1, 1), 0]),
    },
    optional={
        **dict.fromkeys(TEXTS, MAYBE), "ip_address": ADDRESSES, "details": MAPPINGS, "metadata": MAPPINGS,
    },
)  # fmt: skip


@given(FIELDS)
def test_the_line_is_canonical(fields: dict[str, Any]) -> None:
    """Whatever an event is made of, its JSON is what Python's json says, or it is refused where that cannot say it."""
    agree(fields)


@given(st.dictionaries(WORDS, VALUES, max_size=5))
@example({"a": 0.1 + 0.2})
@example({"a": [[[[{}]]]], "b": (), "c": [()]})
def test_details_are_canonical(details: dict[str, Any]) -> None:
    """The same for the details of an event that is plain otherwise."""
    agree({"event_type": "login", "timestamp": NOON, "details": details})


@pytest.mark.parametrize("number", range(len(ODDITIES)))
def test_oddities_are_canonical(number: int) -> None:
    """The same for what is nearly, or not at all, what JSON can say."""
    odd = ODDITIES[number]
    for details in ({"a": odd}, {"a": [odd]}, {"a": {"b": odd}}, odd):
        agree({"event_type": "login", "timestamp": NOON, "details": details})
        agree({"event_type": "login", "timestamp": NOON, "metadata": details})
    agree({"event_type": "login", "timestamp": NOON, "user_id": odd})


@given(FLOATS)
def test_floats_are_canonical(number: float) -> None:
    """Every float is written as Python writes it."""
    agree({"event_type": "login", "timestamp": NOON, "details": {"a": number}, "metadata": {"b": [number]}})


@pytest.mark.parametrize("levels", [1, 31, 32, 33, 34, 253, 255, 400, 497, 498, 499, 500, 501, 2000])
def test_depth_is_canonical(levels: int) -> None:
    """However deep an event is nested, the same holds."""
    for wrap in (lambda inner: {"a": inner}, lambda inner: [inner]):
        value: Any = 1
        for _ in range(levels):
            value = wrap(value)
        agree({"event_type": "login", "timestamp": NOON, "details": {"a": value}})


def test_usual_events_go_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events as applications make them never need the slow way."""
    monkeypatch.setattr(room, "_any_json", None)
    for event_type in ("login", EventType.LOGIN):
        for at in (
            NOON,
            NOON.replace(microsecond=5),
            NOON.replace(tzinfo=None),
            NOON.astimezone(ZoneInfo("Asia/Tokyo")),
        ):
            event = AuditEvent(
                event_type, at, "alice", "read", "store/7", "success", {"bytes": 5, "ok": True, "tags": [1], "f": 0.25},
                {"x": None, "y": {"z": 0.0}}, "s-1", "10.1.2.3", "own",
            )  # fmt: skip
            assert json.loads(event.to_json())["details"]["f"] == 0.25


def test_addresses_that_are_remembered_are_few() -> None:
    """Neither many nor long addresses fill the memory."""
    room._is_short_address.cache_clear()
    for i in range(6000):
        AuditEvent("login", NOON, ip_address=f"10.0.{i // 256}.{i % 256}")
    assert room._is_short_address.cache_info().currsize == 4096
    room._is_short_address.cache_clear()
    for zone in "xyz":
        AuditEvent("login", NOON, ip_address="::1%" + zone * 1000)
    assert room._is_short_address.cache_info().currsize == 1


def test_what_was_handed_in_may_change() -> None:
    """An event is what it was when it was made."""
    details = {"a": [1]}
    event = AuditEvent("login", NOON, details=details)
    details["a"].append(2)
    details["b"] = 3

    assert json.loads(event.to_json())["details"] == {"a": [1]}


def test_events_are_values() -> None:
    """An event can be copied with changes, pickled and compared."""
    event = AuditEvent("login", NOON, user_id="alice", event_id="own")

    assert pickle.loads(pickle.dumps(event)) == event
    assert pickle.loads(pickle.dumps(event)).to_json() == event.to_json()
    assert json.loads(replace(event, user_id="bob").to_json())["user_id"] == "bob"


@pytest.mark.parametrize("event_id", [None, "", "own", 'q"\\\n', "é", Word("w"), Odd.ONE])
def test_the_line_has_an_id(event_id: str | None) -> None:
    """A line has the event's own id, or a new one where it has none, and is otherwise its JSON."""
    event = AuditEvent("login", NOON, user_id="alice", event_id=event_id)
    given_id, line = event.as_line(lambda: "new")

    assert given_id == (event_id or "new")
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    expected = AuditEvent("login", NOON, user_id="alice", event_id=event_id or "new")
    assert line.decode() == expected.to_json() + "\n"
