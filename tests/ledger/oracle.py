"""The canonical bytes of an event, their leaf and the roots over them in plain Python, from the words of leaves.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

from tests.ledger.test_merkle import by_the_book

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXTS = {
    "event_id", "event_type", "user_id", "action", "resource", "status", "details", "metadata", "session_id",
    "ip_address", "source",
}  # fmt: skip
ORDER = (
    "event_id event_type timestamp user_id action resource status details metadata session_id ip_address source "
    "ingested_at batch seq salt"
).split()


def canonical(event: Mapping[str, Any]) -> bytes:
    """The bytes of an event."""
    found = b""
    for name in ORDER:
        value = event[name]
        if name in TEXTS or name == "salt":
            data = b"" if value is None else value.encode() if name in TEXTS else value.hex().upper().encode()
            found += (b"" if value is None else str(len(data)).encode()) + b":" + data
        else:
            number = (value - EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
            found += (b"" if number is None else str(number).encode()) + b";"
    return found


def leaf(event: Mapping[str, Any]) -> bytes:
    """Its leaf."""
    return sha256(b"\0" + canonical(event)).digest()


def parts(events: Sequence[Mapping[str, Any]]) -> dict[tuple[int, date], tuple[int, bytes]]:
    """Rows and root of each part."""
    grouped: dict[tuple[int, date], list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        grouped[event["batch"], event["timestamp"].date()].append(event)
    return {
        key: (len(part), by_the_book([canonical(event) for event in sorted(part, key=lambda each: each["seq"])]))
        for key, part in sorted(grouped.items())
    }


def batch_root(found: Mapping[tuple[int, date], tuple[int, bytes]], batch: int) -> bytes:
    """The root of a batch."""
    mine = sorted((day, *part) for (number, day), part in found.items() if number == batch)
    return by_the_book([f"{day} {rows} ".encode() + root for day, rows, root in mine])
