"""A mapping's file: what it compiles to, what it is told when it is wrong, and every kind of key at work."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from auditlake.errors import MappingError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.ingest.trial import overlaps
from auditlake.sources.catalog import Catalog, built_in, own_source
from auditlake.sources.mappings.loader import load_mapping
from auditlake.sources.recognise import recognise

DOORS = """\
source: doors
match: [at, who, did]
event_id: id
timestamp: at
user_id: who.mail, who.badge
action: did
resource: door
ip_address: from
status: [success: ok, failure: true]
skip: {a heartbeat: did = 'ping'}
event_type:
  - access_granted: ok and did = 'door.open'
  - access_denied: [door.open, door.*.open]
  - api_call: size > 10 or size in (1, 2) or size between 4 and 5
metadata: {size: size, big: size >= 100, empty: nothing}
"""


def events_of(text: str, *records: Any, folder: Path) -> list[dict[str, Any]]:
    """What a mapping makes of records: the events, or a reason."""
    from auditlake.engine.duck import connect
    from auditlake.ingest.mapping import map_records
    from auditlake.ingest.record_buffer import RecordBuffer
    from auditlake.sources.model import InputFile
    from auditlake.sources.reader import open_records

    source = own_source(text.encode(), "x.yaml", BUILT_IN_TYPES)
    catalog = built_in().with_source(source)
    path = folder / "records.jsonl"
    path.write_text("".join((record if isinstance(record, str) else json.dumps(record)) + "\n" for record in records))
    opened = open_records(InputFile("x", path), source.name, 10_000, folder, catalog=catalog)
    found: list[dict[str, Any]] = []
    with closing(opened.stream), connect(exact_try=False) as connection:
        for batch in opened.batches:
            buffer = RecordBuffer()
            buffer.add(0, batch, 0, source.name)
            mapped = map_records(connection, buffer, BUILT_IN_TYPES, catalog=catalog)
            found += mapped.rows.sort_by("seq").to_pylist()
            found += [{"record": record, "skipped": name} for record, name in mapped.skipped]
            found += [{"record": each.record, "reason": each.reason, "field": each.field} for each in mapped.refused]
    return sorted(found, key=lambda each: each["record"])


def door(**fields: Any) -> dict[str, Any]:
    return {"id": "e1", "at": "2026-11-20T08:00:00Z", "who": {"mail": "ann@example.org"}, "did": "door.open", **fields}


def picked(event: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(event[name] for name in names)


def test_values(tmp_path: Path) -> None:
    """Paths, lists of values, cases, numbers beside paths, patterns, addresses and metadata give what the page says."""
    records = [
        door(ok=True, door="north", **{"from": "[2001:db8::1]:443"}),
        door(did="door.side.open", who={"mail": "", "badge": 7}), door(did="x", size=11), door(did="x", size="2"),
        door(did="x", size=4.5), door(did="x", size=3), door(did="ping"),
        door(did="x", size="100.0", **{"from": "192.0.2.1:80, 10.0.0.1"}), door(**{"from": "a host"}, ok=False),
    ]  # fmt: skip
    found = events_of(DOORS, *records, folder=tmp_path)
    names = ("event_type", "user_id", "status", "resource", "ip_address")

    assert picked(found[0], *names) == ("access_granted", "ann@example.org", "success", "north", "2001:db8::1")
    assert picked(found[1], *names) == ("access_denied", "7", "failure", None, None)
    assert [each.get("event_type", each.get("reason")) for each in found[2:6]] == [
        *["api_call"] * 3,
        "no event type fits",
    ]
    assert found[6] == {"record": 6, "skipped": "a heartbeat"}
    assert picked(found[7], "event_type", "ip_address") == ("api_call", "192.0.2.1")
    assert json.loads(found[7]["metadata"])["size"] == "100.0"
    assert json.loads(found[7]["metadata"])["big"] is True
    assert set(json.loads(found[2]["metadata"])) == {"mapping", "size", "big"}
    assert json.loads(found[2]["metadata"])["mapping"].startswith("doors/1@")
    assert picked(found[8], "event_type", "ip_address") == ("access_denied", None)
    assert json.loads(found[0]["details"]) == records[0]


def test_records_that_are_no_events(tmp_path: Path) -> None:
    """An object where text belongs, a missing time and no time are refused with the record's own field."""
    found = events_of(
        DOORS, door(id={"a": 1}), door(at=None), door(at="noon"), door(who=[1], ok=True), '{"at":1', folder=tmp_path
    )

    assert [picked(each, "reason", "field") for each in found if "reason" in each] == [
        ("an object where text belongs", "id"), ("timestamp is missing", "at"), ("not a time", "at"),
        ("not valid JSON", ""),
    ]  # fmt: skip
    assert [each["user_id"] for each in found if "user_id" in each] == [None]


def test_digits_stay(tmp_path: Path) -> None:
    """A number that DuckDB would write otherwise is compared as a number, and stands as it came."""
    record = '{"id":1.10,"at":"2026-11-20T08:00:00Z","who":{"mail":9007199254740993.0},"did":"x","size":1e2,"n":1e-400}'
    (event,) = events_of(DOORS, record, folder=tmp_path)

    assert picked(event, "event_id", "user_id", "event_type") == ("1.10", "9007199254740993.0", "api_call")
    assert event["details"] == record
    assert json.loads(event["metadata"])["size"] == "1e2"


EACH = """\
source: batches
match: [host, lists]
each: lists[*].items
event_id: item.id
timestamp: item.at
user_id: host
action: coalesce(item.what, 'nothing')
event_type: [api_call: true]
also:
  - when: item.bad
    event_id: item.id || '/bad'
    action: "'alarm'"
    event_type: [security_alert: [alarm], api_call: true]
"""


def test_several_events(tmp_path: Path) -> None:
    """`each` gives an event an element, of lists in lists too, and `also` a second one; details hold the element."""
    two = {"host": "h", "lists": [{"items": [{"id": "a", "at": "2026-11-20T08:00:00Z"}]}, {"items": [
        {"id": "b", "at": "2026-11-20T08:00:01Z", "what": "x", "bad": True}]}], "n": 1}  # fmt: skip
    found = events_of(EACH, two, {"host": "h", "lists": [], "n": 2}, folder=tmp_path)

    assert [picked(each, "event_id", "event_type", "action") for each in found if "event_id" in each] == [
        ("a", "api_call", "nothing"), ("b", "api_call", "x"), ("b/bad", "security_alert", "alarm"),
    ]  # fmt: skip
    assert json.loads(found[0]["details"]) == {"host": "h", "n": 1, "item": two["lists"][0]["items"][0]}  # type: ignore[index]
    assert picked(found[-1], "reason", "field") == ("timestamp is missing", "item.at")


INSIDE = """\
source: wrapped
match: message is not null
inside: message
event_id: id, envelope.id
timestamp: at, envelope.at
action: did
event_type: [api_call: true]
"""


BATCHES = """\
source: batches
match: [batch]
each: steps
event_id: batch || '/' || item_number
timestamp: epoch_ms("sent at")
action: item.did, 'nothing'
event_type: [api_call: true]
"""


def test_numbers_of_elements(tmp_path: Path) -> None:
    """Elements that are alike are told apart by their number, and times are read by functions of mappings."""
    alike = {"batch": "b1", "sent at": 1763625600123, "steps": [{"did": "x"}, {"did": "x"}]}
    late = {"batch": "b2", "sent at": "soon", "steps": [{"did": "x"}]}
    found = events_of(BATCHES, alike, late, folder=tmp_path)
    dotted = BATCHES.replace('epoch_ms("sent at")', "parse_time(\"sent at\", '%Y', '%d.%m.%Y %H:%M')")
    (other,) = events_of(dotted, {"batch": "b3", "sent at": "20.11.2025 08:00", "steps": []}, folder=tmp_path)

    assert [each["event_id"] for each in (*found[:2], other)] == ["b1/0", "b1/1", "b3/0"]
    times = [each["timestamp"].isoformat() for each in (found[1], other)]
    assert times == ["2025-11-20T08:00:00.123000+00:00", "2025-11-20T08:00:00+00:00"]
    assert picked(found[2], "reason", "field") == ("not a time", "sent at")


def test_records_inside(tmp_path: Path) -> None:
    """The record inside counts, its envelope is at hand, and what is inside and no object is refused."""
    inner = '{"did":"x","n":1.10}'
    found = events_of(
        INSIDE, {"id": "o", "at": "2026-11-20T08:00:00Z", "message": inner}, {"message": "NaN"}, {"message": "[1]"},
        {"message": '{"a":1,"a":2}'}, {"id": "i", "at": "2026-11-20T08:00:00Z", "did": "y"}, folder=tmp_path,
    )  # fmt: skip

    assert picked(found[0], "event_id", "action", "details") == ("o", "x", inner)
    assert [each["reason"] for each in found[1:4]] == [
        "the record inside is not valid JSON", "the record inside is not a JSON object",
        "the record inside has a key twice",
    ]  # fmt: skip
    assert picked(found[4], "event_id", "action") == ("i", "y")


def test_records_inside_one_of_several_fields(tmp_path: Path) -> None:
    """Of several fields that may hold the record, the first that is there counts, as text or as an object."""
    text = INSIDE.replace("inside: message", "inside: [message, Data]").replace(
        "message is not null", "did is not null"
    )
    record = {"did": "x", "at": "2026-11-20T08:00:00Z"}
    found = events_of(
        text, {"Data": record}, {"Data": json.dumps(record)}, {"message": json.dumps(record), "Data": {"did": "y"}},
        record, folder=tmp_path,
    )  # fmt: skip

    assert [(each["action"], json.loads(each["details"])) for each in found] == [("x", record)] * 4


def test_names() -> None:
    """`let` hides a field; a quoted key, an element and a word of SQL are paths; each path is read once."""
    text = DOORS + 'let:\n  who: coalesce("a b"."c.d"[0], \'x\')\n'
    text = text.replace("who.mail, who.badge", 'who || "group".id, group.id')
    mapping = load_mapping(text, file="x.yaml")

    assert '$."a b"."c.d"[0]' in mapping.paths
    assert mapping.paths.count("$.group.id") == 1
    assert not any(path.startswith("$.who") for path in mapping.paths)


STRICT = """\
source: doors
match: {at_least: 2, of: [at, who, did], or: [wrapped]}
inside: wrapped
empty: absent
leave_out: {a list of doors: [doors, printed]}
texts: [note, who]
require: {who: "who, envelope.by", did: did}
event_id: id
timestamp: at, envelope.at
user_id: text_of(who, envelope.by)
action: did
resource: text_of(door, gate, "the gate".name)
ip_address: sender
let: {sender: address("from")}
event_type: [api_call: true]
metadata: {from: case when sender is null then "from" end, note: note, ok: ok = 'yes'}
"""


def test_what_a_record_must_be(tmp_path: Path) -> None:
    """`texts` and `require` refuse with the field; empty texts, objects and what is no bare address count as absent."""
    right = door(who="ann", door={"n": 1}, gate="", **{"the gate": {"name": "north"}, "from": "192.0.2.1", "ok": "yes"})
    found = events_of(
        STRICT, right, door(who="ann", note=["x"]), door(who=""), door(who="ann", did=None),
        door(who="ann", door="x", note="", **{"from": "192.0.2.1:80"}), {"wrapped": "[1]"},
        {"wrapped": '{"did":"y","at":""}', "at": "2026-11-20T08:00:00Z", "by": "bob"}, folder=tmp_path,
    )  # fmt: skip

    assert picked(found[0], "resource", "ip_address", "user_id") == ("north", "192.0.2.1", "ann")
    assert json.loads(found[0]["metadata"]).items() >= {"ok": True}.items()
    assert [picked(each, "reason", "field") for each in (*found[1:4], found[5])] == [
        ("an array where text belongs", "note"), ("who is missing", "who"), ("did is missing", "did"),
        ("the record inside is not a JSON object", "wrapped"),
    ]  # fmt: skip
    assert picked(found[4], "resource", "ip_address") == ("x", None)
    assert json.loads(found[4]["metadata"]).keys() == {"mapping", "from"}
    assert picked(found[6], "user_id", "action") == ("bob", "y")


def test_marks() -> None:
    """So many of some keys, or one that tells alone, are the source's; a document with other keys is left out."""
    source = own_source(STRICT.encode(), "x.yaml", BUILT_IN_TYPES)
    catalog = built_in().with_source(source)
    records = [{"at": 1, "did": None}, {"at": 1}, {"wrapped": 1}]

    assert source.fits(records) == [True, False, True]
    assert "at least 2 of at, who, did, or with wrapped" in source.looks_for
    found = recognise(b'{"doors":[1],"printed":"now","more":1}', "x.json", catalog=catalog)
    assert (found.format, found.notice) == ("skip", "x.json is a list of doors; it is left out")


PLACES = """\
fields:
  did: did
  who: [who.mail, '"a b".c', who]
  door: ["doors[*].name", "doors[0].keys[*]", door]
"""


def test_places_of_fields() -> None:
    """A name has one place or several, in their order; `[*]` is every element of a list."""
    assert load_mapping(DOORS + PLACES, file="x.yaml").fields == {
        "did": ("$.did",),
        "who": ("$.who.mail", '$."a b".c', "$.who"),
        "door": ("$.doors[*].name", "$.doors[0].keys[*]", "$.door"),
    }


@pytest.mark.parametrize("place", ["[]", "'[*].a'", "'a[*]b'", "a b", "'a[*].'", "'a[*][*]'", "[did, did]"])
def test_mistakes_of_fields(place: str) -> None:
    """What is no place in a record is told, and so is a place that is listed twice."""
    with pytest.raises(MappingError) as caught:
        load_mapping(f"{DOORS}fields:\n  x: {place}\n", file="doors.yaml")
    (problem,) = caught.value.problems
    assert problem.startswith("doors.yaml:17:") and ": fields: " in problem


WRONG_MARKS = {
    "at_least: 2": ("at_least: 4", "at_least: expected a whole number from 1 to 3"),
    "[doors, printed]": ("[]", "leave_out: expected at least one key"),
    "texts: [note, who]": ("texts: ['a[']", "texts: expected a field of a record"),
    "empty: absent": ("empty: never", "empty: unknown value"),
    "did: did}\n": ("did: now()}\n", "require did: now is not allowed"),
}


@pytest.mark.parametrize("before", WRONG_MARKS)
def test_mistakes_of_marks(before: str) -> None:
    """What these keys cannot be is told."""
    after, told = WRONG_MARKS[before]
    with pytest.raises(MappingError) as caught:
        load_mapping(STRICT.replace(before, after), file="doors.yaml")
    assert any(told in problem for problem in caught.value.problems), caught.value.problems


def test_functions_in_every_value() -> None:
    """Functions of mappings may stand in any value, also those that are made of others."""
    inside = "resource: case when in_network(\"from\", '10.0.0.0/8') then door end"
    mapping = load_mapping(DOORS.replace("resource: door", inside), file="x.yaml")
    assert "in_network(" in mapping.statement


WRONG = {
    "timestamp: at\n": ("timestamp: at +\n", "2: timestamp: syntax error"),
    "action: did": ("action: did || group.id", "action: syntax error"),
    "event_id: id": ("event_id: (select 1)", "event_id: a subquery is not allowed"),
    "resource: door": ("resource: now()", "may not depend on the clock"),
    "match: [at, who, did]": ("match: [at, 'a[', did]", "match: expected a field of a record"),
    "access_granted:": ("acces_granted:", "did you mean 'access_granted'"),
    "source: doors": ("source: auditlake.x", "and not auditlake"),
    "skip: {": ("skip: {x: 1, ", "skip: a condition must be true or false"),
    "metadata: {size: size": ("metadata: {Size: size", "metadata: expected a name"),
    "status: [": ("staus: [", "unknown key 'staus'; did you mean 'status'"),
}


@pytest.mark.parametrize("before", WRONG)
def test_mistakes(before: str) -> None:
    """Each mistake is told with its line, its column and what to do."""
    after, told = WRONG[before]
    with pytest.raises(MappingError) as caught:
        load_mapping(DOORS.replace(before, after), file="doors.yaml")
    assert any(told.lstrip("0123456789: ") in problem for problem in caught.value.problems), caught.value.problems
    line = next(
        i for i, each in enumerate(DOORS.replace(before, after).splitlines(), 1) if after.splitlines()[0] in each
    )
    assert any(problem.startswith(f"doors.yaml:{line}:") for problem in caught.value.problems), caught.value.problems


def test_every_mistake_at_once() -> None:
    """All mistakes of a file come together, in its order."""
    text = DOORS.replace("timestamp: at\n", "timestamp: at +\n").replace("action: did", "action: now()")
    with pytest.raises(MappingError) as caught:
        load_mapping(text + "nonsense: 1\n", file="doors.yaml")

    assert [int(problem.split(":")[1]) for problem in caught.value.problems] == [4, 6, 16]


def test_overlap() -> None:
    """A record that two mappings match is found, and is no overlap where one goes before the other."""
    tests = "tests: [{name: t, record: {at: x, who: y, did: z}, quarantined: not a time}]\n"
    one = own_source((DOORS + tests).encode(), "a.yaml", BUILT_IN_TYPES)
    text = DOORS.replace("source: doors", "source: gates")
    two = own_source(text.encode(), "b.yaml", BUILT_IN_TYPES)
    first = own_source((text + "before: doors\n").encode(), "b.yaml", BUILT_IN_TYPES)

    assert overlaps(Catalog({"doors": one, "gates": two})) == [("doors", "t", "gates")]
    assert overlaps(Catalog({"doors": one, "gates": first})) == []
