"""No JSON object, however odd, makes the mapping raise or lose a row."""

from __future__ import annotations

import copy
import ipaddress
import json
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources_cloudtrail.mapping import TYPES, map_events, map_texts
from tests.sources_cloudtrail.test_cloudtrail_rules import ASSUMED, INSIGHT, event, lookup

FULL = event(
    userIdentity={**ASSUMED, "onBehalfOf": {"userId": "u"}, "userName": "n", "invokedBy": "x", "userId": "u"},
    errorCode="AccessDenied",
    errorMessage="no",
    resources=[{"ARN": "arn:r", "type": "T"}],
    requestParameters={"bucketName": "b", "key": "k", "name": "n"},
    responseElements={"ConsoleLogin": "Success"},
    additionalEventData={"MFAUsed": "Yes"},
    serviceEventDetails={"UserAuthentication": "Success"},
    insightDetails=INSIGHT["insightDetails"],
    tlsDetails={"tlsVersion": "TLSv1.3"},
    sharedEventID="s",
    vpcEndpointId="v",
)
DEEP = json.loads("[" * 900 + "]" * 900)
HOSTILE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**400,
    1e308,
    "",
    "x",
    "null",
    "{",
    "[",
    "{}",
    "[1",
    '"',
    "\\",
    "'; drop table input; --",
    "\x00",
    "a\x00b",
    "\n{",
    "\u2028",
    "😀",
    "$.a",
    "%",
    "9" * 5000,
    "x" * 100_000,
    [],
    [None],
    [[]],
    [{}],
    ["x"],
    {},
    {"": ""},
    {"a": None},
    {"$": 1, "*": 2, '"': 3, "a.b": 4, "[0]": 5},
    {"tagging": 1, "Tagging": 2},
    DEEP,
]


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def put(whole: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of a value with another one at a path."""
    changed = copy.deepcopy(whole)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return changed


def check(rows: list[dict[str, Any]], count: int) -> None:
    """One row for each record, each with a type, a status and metadata that is a JSON object."""
    assert [row["record"] for row in rows] == list(range(count))
    for row in rows:
        assert row["event_type"] in TYPES
        assert row["status"] in ("success", "failure")
        assert isinstance(json.loads(row["metadata"]), dict)
        assert row["details"] is not None
        assert row["reason"] is not None or (row["timestamp"] and row["action"])


def test_any_value_may_stand_anywhere() -> None:
    """Each value of a full event, at every depth, may be each of the hostile ones."""
    variants = [put(FULL, path, value) for path in places(FULL) for value in HOSTILE]
    check(map_events(variants), len(variants))


def test_any_value_may_stand_inside_a_lookup_row() -> None:
    """The same holds for the event in an envelope and for the envelope itself."""
    inside = [lookup(put(FULL, (key,), value)) for key in FULL for value in HOSTILE]
    envelope = lookup(FULL)
    outside = [put(envelope, (key,), value) for key in envelope for value in HOSTILE]
    variants = inside + outside
    check(map_events(variants), len(variants))


def test_texts_that_are_no_json_keep_their_rows() -> None:
    """A text that gets here by mistake spoils itself only, and says so, where the statement is run again for it."""
    texts = ["", "{", "nonsense", '{"eventName":"\\ud800"}', json.dumps(FULL), "null", "[]", '"x"', "5"]
    with pytest.raises(duckdb.InvalidInputException):
        map_texts(texts)
    rows = map_texts(texts, "values_or_null")
    check(rows, len(texts))
    reasons = [row["reason"] for row in rows]
    assert reasons[:4] == ["not valid JSON"] * 4
    assert reasons[4] is None
    assert set(reasons[5:]) == {"eventTime is missing"}


def test_very_deep_and_very_long_texts() -> None:
    """Nesting far beyond what struct inference bears, and a text of megabytes, are ordinary rows."""
    deep = '{"eventTime":"t","eventName":"x","requestParameters":' + "[" * 100_000 + "]" * 100_000 + "}"
    long = json.dumps({"eventTime": "t", "eventName": "x", "requestParameters": {"name": "n" * 5_000_000}})
    named = '{"eventTime":"t","eventName":' + "[" * 100_000 + "]" * 100_000 + "}"
    rows = map_texts([deep, long, named])
    check(rows, 3)
    assert [row["reason"] for row in rows] == [None, None, "an array where text belongs: eventName"]


def test_an_envelope_of_hostile_json_spoils_itself_only() -> None:
    """Deep, broken and doubled texts inside envelopes get a reason or a row of their own."""
    inner = [
        "[" * 50_000,
        "[" * 50_000 + "]" * 50_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
        "\\",
        '{"a":"\\ud800"}',
        "NaN",
    ]
    rows = map_events([lookup(text) for text in inner])
    check(rows, len(inner))
    assert rows[2]["reason"] == "eventName is missing"
    assert all(row["reason"] for row in rows)


KEYS = sorted(
    {str(path[-1]) for path in places(FULL)} | {"CloudTrailEvent", "EventId", "EventTime", "@timestamp", "Tagging"}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from([*HOSTILE[:25], "Success", "Failure", "AccessDenied", "s3.amazonaws.com", "DeleteObject", "Data"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=12)


ROWS = {
    "objects": st.lists(OBJECTS | st.builds(lambda inner: lookup(json.dumps(inner)), OBJECTS), min_size=1, max_size=8),
    "plain": st.booleans(),
}
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.large_base_example]}


@given(**ROWS)
@settings(max_examples=6, **QUIET)
def test_random_objects_with_cloudtrail_keys(objects: list[dict[str, Any]], plain: bool) -> None:
    """Random objects never raise and give one row each, whether escapes are used or not."""
    _give_a_row_each(objects, plain)


@pytest.mark.soak
@given(**ROWS)
@settings(max_examples=60, **QUIET)
def test_many_random_objects(objects: list[dict[str, Any]], plain: bool) -> None:
    """The same of many more objects."""
    _give_a_row_each(objects, plain)


def _give_a_row_each(objects: list[dict[str, Any]], plain: bool) -> None:
    rows = map_texts([json.dumps(each, ensure_ascii=plain) for each in objects])
    check(rows, len(objects))


ADDRESSES = (
    st.ip_addresses().map(str)
    | st.ip_addresses(v=6).map(lambda address: address.exploded)
    | st.from_regex(r"[0-9a-f:.]{0,24}", fullmatch=True)
    | st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){2,4}", fullmatch=True)
    | st.from_regex(r"(([0-9a-fA-F]{0,5}:){1,9}|::)([0-9a-f]{0,4}|[0-9.]{7,9}|1\.2\.3\.4)", fullmatch=True)
)


TEXTS = st.lists(ADDRESSES, min_size=50, max_size=200)


@given(texts=TEXTS)
@settings(max_examples=3, **QUIET)
def test_an_address_is_what_python_takes_for_one(texts: list[str]) -> None:
    """The column holds exactly the texts that the standard library parses as IPv4 or IPv6 addresses."""
    _compare(texts)


@pytest.mark.soak
@given(texts=TEXTS)
@settings(max_examples=40, **QUIET)
def test_many_addresses_are_what_python_takes_for_them(texts: list[str]) -> None:
    """The same of many more texts."""
    _compare(texts)


def _compare(texts: list[str]) -> None:
    found = [row["ip_address"] for row in map_events(event(sourceIPAddress=text) for text in texts)]
    assert found == [text if is_address(text) else None for text in texts]


def is_address(text: str) -> bool:
    """Whether the standard library parses it."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
