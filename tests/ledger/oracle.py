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


Key = tuple[int, date, str]
Classes = Mapping[tuple[int, date, str], str]


def parts(events: Sequence[Mapping[str, Any]], classes: Classes | None = None) -> dict[Key, tuple[int, bytes]]:
    """Rows and root of each part, by batch, day and class.

    Args:
        events: All events.
        classes: The class of each event type of a batch on a day that has classes.
    """
    grouped: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        key = event["batch"], event["timestamp"].date()
        grouped[*key, (classes or {}).get((*key, event["event_type"]), "")].append(event)
    return {
        key: (len(part), by_the_book(list(map(canonical, in_order(part, key[2])))))
        for key, part in sorted(grouped.items())
    }


def in_order(part: Sequence[Mapping[str, Any]], of_class: str) -> list[Mapping[str, Any]]:
    """The events of a part in the order of their leaves."""
    by_type = bool(of_class)
    return sorted(part, key=lambda event: (event["event_type"].encode() if by_type else b"", event["seq"]))


def batch_root(found: Mapping[Key, tuple[int, bytes]], batch: int) -> bytes:
    """The root of a batch."""
    mine = sorted((day, of_class, *part) for (number, day, of_class), part in found.items() if number == batch)
    named = (f"{of_class} " if of_class else "" for _, of_class, _, _ in mine)
    return by_the_book(
        [f"{day} {name}{rows} ".encode() + root for name, (day, _, rows, root) in zip(named, mine, strict=True)]
    )
