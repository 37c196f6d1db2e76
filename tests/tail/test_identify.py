"""The ids that records get before they land are those that an ingest of their file gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.tail.identify import Occurrences, identified
from tests.lakes import create

GOOD = b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}'
RECORDS: dict[str, bytes] = {
    "plain": GOOD,
    "its own id": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","event_id":"mine"}',
    "a number as its id": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","event_id":7}',
    "null as its id": b'{"event_id" : null,"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}',
    "an empty id": b'{"event_type":"login","a":{"event_id":1},"event_id":"","timestamp":"2026-11-24T09:00:00Z"}',
    "an escaped key": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","event_\\u0069d":null}',
    "white space": b' \t{ "event_type" : "login" , "timestamp" : "2026-11-24T09:00:00Z" } ',
    "unknown fields": b'{"zone":1.10,"event_type":"login","timestamp":"2026-11-24T09:00:00","metadata":{"a":[1e400]}}',
    "huge numbers": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","details":{"n":' + b"9" * 5000 + b"}}",
    "a number as a user": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","user_id":5}',
    "a leap second": b'{"event_type":"login","timestamp":"2026-11-24t09:59:60.1234567+18:00"}',
    "all but the id of an export": json.dumps({
        "event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": "u", "action": "a", "resource": "r",
        "status": "s", "details": {}, "metadata": {}, "session_id": "i", "ip_address": "::1", "source": "elsewhere",
        "ingested_at": "2026-11-24T10:00:00Z",
    }).encode(),
    "not UTF-8": b'{"event_type":"login\xff","timestamp":"2026-11-24T09:00:00Z"}',
    "no JSON": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"',
    "NaN": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","details":{"a":NaN}}',
    "a repeated key": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","event_type":"login"}',
    "an array": b"[1]",
    "a number": b"7",
    "nothing": b"{}",
    "an unknown type": b'{"event_type":"nothing","timestamp":"2026-11-24T09:00:00Z"}',
    "a list as its type": b'{"event_type":["login"],"timestamp":"2026-11-24T09:00:00Z"}',
    "no time": b'{"event_type":"login"}',
    "a number as its time": b'{"event_type":"login","timestamp":5}',
    "a day that is none": b'{"event_type":"login","timestamp":"2026-02-30T09:00:00Z"}',
    "an object as a user": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","user_id":{"a":1}}',
    "too deep": b'{"event_type":"login","timestamp":"2026-11-24T09:00:00Z","details":' + b"[" * 600 + b"]" * 600 + b"}",
}  # fmt: skip


def ingested(folder: Path, records: list[bytes]) -> tuple[list[tuple[Any, ...]], list[bytes]]:
    """The events of a file with these lines, and the bytes that were quarantined."""
    file = folder / "records.jsonl"
    folder.mkdir()
    file.write_bytes(b"".join(record + b"\n" for record in records))
    lake = create(folder / "lake")
    summary = lake.ingest(file, source="auditlake")
    rows = lake.sql("select * exclude (ingested_at) from events order by event_id").fetchall()
    kept = []
    for line in summary.quarantine.read_text().splitlines() if summary.quarantine else ():
        entry = json.loads(line)
        kept.append(entry["data"].encode() if entry["encoding"] == "utf-8" else entry["data"])
    return rows, kept


def test_identified_as_an_ingest_does(tmp_path: Path) -> None:
    """Records that come three times are the same three events with and without being identified first; what is refused
    is refused with its own bytes.
    """
    records, occurrences = [*RECORDS.values(), *RECORDS.values(), *RECORDS.values()], Occurrences()
    made = [identified(record, occurrences, BUILT_IN_TYPES) for record in records]
    expected, refused = ingested(tmp_path / "expected", records)
    found, kept = ingested(tmp_path / "found", [line for line, _ in made])

    assert found == expected
    assert kept == refused
    assert sum(not fits for _, fits in made) == len(kept)


def test_identified_twice_is_the_same() -> None:
    """Another process that reads the same records gives them the same ids."""
    first, second = Occurrences(), Occurrences()
    records = [GOOD, GOOD, RECORDS["white space"], GOOD]

    assert [identified(each, first, BUILT_IN_TYPES) for each in records] == [
        identified(each, second, BUILT_IN_TYPES) for each in records
    ]


def test_occurrences_are_counted_as_far_as_the_window_reaches() -> None:
    """A record keeps its count while it comes again before as many different others have come as the window holds."""
    occurrences = Occurrences(window=2)

    counts = [occurrences.count(each)[1] for each in (b"a", b"b", b"a", b"c", b"a", b"b", b"c", b"a")]
    assert counts == [1, 1, 2, 1, 3, 1, 1, 1]
