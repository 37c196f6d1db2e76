"""Times: what is accepted, what is refused, and that SQL and Python agree about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auditlake.errors import SourceError
from auditlake.events import times
from auditlake.store.deltalog import commit_metadata
from tests.ingest import oracle
from tests.ingest.lakes import events, kept, made, put

Z = "2026-11-24T09:30:15"


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


ACCEPTED: dict[str, datetime] = {
    f"{Z}Z": at(2026, 11, 24, 9, 30, 15),
    f"{Z}z": at(2026, 11, 24, 9, 30, 15),
    Z: at(2026, 11, 24, 9, 30, 15),
    "2026-11-24t09:30:15z": at(2026, 11, 24, 9, 30, 15),
    "2026-11-24t09:30:15": at(2026, 11, 24, 9, 30, 15),
    "2026-11-24 09:30:15": at(2026, 11, 24, 9, 30, 15),
    "2026-11-24 09:30:15Z": at(2026, 11, 24, 9, 30, 15),
    "2026-11-24 09:30:15z": at(2026, 11, 24, 9, 30, 15),
    "2026-11-24 09:30:15+01:00": at(2026, 11, 24, 8, 30, 15),
    f"{Z}+00:00": at(2026, 11, 24, 9, 30, 15),
    f"{Z}-00:00": at(2026, 11, 24, 9, 30, 15),
    f"{Z}+02:00": at(2026, 11, 24, 7, 30, 15),
    f"{Z}-05:45": at(2026, 11, 24, 15, 15, 15),
    f"{Z}+00:01": at(2026, 11, 24, 9, 29, 15),
    f"{Z}+09:59": at(2026, 11, 23, 23, 31, 15),
    f"{Z}+14:00": at(2026, 11, 23, 19, 30, 15),
    f"{Z}+15:59": at(2026, 11, 23, 17, 31, 15),
    f"{Z}+16:00": at(2026, 11, 23, 17, 30, 15),
    f"{Z}-17:59": at(2026, 11, 25, 3, 29, 15),
    f"{Z}+18:00": at(2026, 11, 23, 15, 30, 15),
    f"{Z}-18:00": at(2026, 11, 25, 3, 30, 15),
    f"{Z}.5Z": at(2026, 11, 24, 9, 30, 15, 500_000),
    f"{Z}.5": at(2026, 11, 24, 9, 30, 15, 500_000),
    f"{Z}.05-01:00": at(2026, 11, 24, 10, 30, 15, 50_000),
    f"{Z}.000001Z": at(2026, 11, 24, 9, 30, 15, 1),
    f"{Z}.123456Z": at(2026, 11, 24, 9, 30, 15, 123_456),
    f"{Z}.1234567Z": at(2026, 11, 24, 9, 30, 15, 123_456),
    f"{Z}.123456789Z": at(2026, 11, 24, 9, 30, 15, 123_456),
    f"{Z}.1234569999": at(2026, 11, 24, 9, 30, 15, 123_456),
    f"{Z}.999999999+00:00": at(2026, 11, 24, 9, 30, 15, 999_999),
    f"{Z}.0000009Z": at(2026, 11, 24, 9, 30, 15),
    f"{Z}.{'1' * 40}Z": at(2026, 11, 24, 9, 30, 15, 111_111),
    f"{Z}.{'9' * 300}z": at(2026, 11, 24, 9, 30, 15, 999_999),
    "2026-11-24T23:59:60Z": at(2026, 11, 24, 23, 59, 59, 999_999),
    "2026-11-24T23:59:60.5Z": at(2026, 11, 24, 23, 59, 59, 999_999),
    "2026-11-24T23:59:60": at(2026, 11, 24, 23, 59, 59, 999_999),
    "2026-11-24t23:59:60z": at(2026, 11, 24, 23, 59, 59, 999_999),
    "2026-11-24 12:30:60.000000001+05:00": at(2026, 11, 24, 7, 30, 59, 999_999),
    "2016-12-31T18:59:60-05:00": at(2016, 12, 31, 23, 59, 59, 999_999),
    "2026-11-24T00:00:00Z": at(2026, 11, 24),
    "2026-11-24T23:59:59.999999Z": at(2026, 11, 24, 23, 59, 59, 999_999),
    "2024-02-29T12:00:00Z": at(2024, 2, 29, 12),
    "2000-02-29T12:00:00Z": at(2000, 2, 29, 12),
    "1970-01-01T00:00:00Z": at(1970, 1, 1),
    "1970-01-01T00:00:00.000000999Z": at(1970, 1, 1),
    "1969-12-31T23:00:00-01:00": at(1970, 1, 1),
    "1970-01-01T18:00:00+18:00": at(1970, 1, 1),
    "9998-12-31T23:59:59.999999Z": at(9998, 12, 31, 23, 59, 59, 999_999),
    "9998-12-31T23:59:60Z": at(9998, 12, 31, 23, 59, 59, 999_999),
    "9999-01-01T00:00:00+00:01": at(9998, 12, 31, 23, 59),
    "9999-01-01T17:59:59.999999+18:00": at(9998, 12, 31, 23, 59, 59, 999_999),
    "2026-03-29T02:30:00": at(2026, 3, 29, 2, 30),
    f"{Z}+0100": at(2026, 11, 24, 8, 30, 15),
    f"{Z}.5 -0700": at(2026, 11, 24, 16, 30, 15, 500_000),
    f"{Z} +01:00": at(2026, 11, 24, 8, 30, 15),
}
OUTSIDE = (
    "1969-12-31T23:59:59.999999Z", "1970-01-01T00:00:00+00:01", "1970-01-01T17:59:59+18:00", "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+18:00", "0000-12-31T23:00:00-18:00", "9999-01-01T00:00:00Z",
    "9998-12-31T23:59:59-00:01", "9999-12-31T23:59:60-18:00", "-2026-11-24T09:30:15Z", "9999-12-31T23:59:59.999999Z",
)  # fmt: skip
REFUSED = (
    "", " ", "now", "epoch", "infinity", "-infinity", "today", "null", "0", "1764000000", "1764000000.5", "-1", "1e9",
    "2026-11-24", "2026-11-24T", "2026-11-24T09", "2026-11-24T09:30", "2026-11-24T09:30Z", "20261124T093015Z",
    "2026-328T09:30:15Z",
    "2026-W48-2T09:30:15Z", "09:30:15", "2026-11-24T24:00:00Z", "2026-11-24T25:00:00Z", "2026-11-24T09:60:15Z",
    "2026-11-24T09:30:61Z", "2026-11-24T09:30:99Z", "2026-00-24T09:30:15Z", "2026-13-24T09:30:15Z",
    "2026-11-00T09:30:15Z",
    "2026-11-31T09:30:15Z", "2026-02-29T09:30:15Z", "1900-02-29T09:30:15Z", "2026-02-30T23:59:60Z",
    "2026-1-24T09:30:15Z",
    "2026-11-4T09:30:15Z", "2026-11-24T9:30:15Z", "26-11-24T09:30:15Z", "12026-11-24T09:30:15Z",
    "+2026-11-24T09:30:15Z",
    "2026-11-24T09:30:15 BC", "2026/11/24T09:30:15Z", "24.11.2026 09:30:15",
    "11/24/2026 09:30:15",
    f" {Z}Z", f"{Z}Z ", f"{Z}\n", f"{Z}Z\n", f"\t{Z}Z", f"{Z} Z", f"{Z}  +01:00", "2026-11-24  09:30:15",
    "2026-11-24_09:30:15",
    f"{Z}.Z", f"{Z}.", f"{Z},5Z", f"{Z}.5.5Z", f"{Z}.-5Z", f"{Z}.1e3Z", f"{Z}+1", f"{Z}+01", f"{Z}+01000", f"{Z}Z+0100",
    f"{Z}+01:0",
    f"{Z}+1:00",
    f"{Z}+01:60", f"{Z}+01:00:00", f"{Z}+18:01", f"{Z}-18:01", f"{Z}+19:00", f"{Z}+24:00", f"{Z}+99:99", f"{Z}ZZ",
    f"{Z}Z+00:00",
    f"{Z}UTC", f"{Z} UTC", f"{Z}[UTC]", f"{Z} Europe/Berlin", f"{Z}+", f"{Z}-", f"{Z}\u221201:00", f"{Z}\0",
    "٢٠٢٦-١١-٢٤T٠٩:٣٠:١٥Z",
    "2026-11-24T09:30:1٥Z", "２０２６-11-24T09:30:15Z", f"{Z}.٥Z", f"{Z}+٠1:00", "2026–11–24T09:30:15Z",
    "2026-11-24T09:30:15Ｚ",
    "Tue, 24 Nov 2026 09:30:15 GMT", "Nov 24 09:30:15", "true", "P1D",
)  # fmt: skip
REASONS = dict.fromkeys(OUTSIDE, "a time outside of 1970 to 9998") | dict.fromkeys(REFUSED, "not a time")


def test_there_are_many() -> None:
    """Every text is tried once."""
    assert (
        len(ACCEPTED) + len(REASONS)
        == len({*ACCEPTED, *OUTSIDE, *REFUSED})
        == len(ACCEPTED) + len(OUTSIDE) + len(REFUSED)
    )
    assert len(ACCEPTED) >= 50


def test_sql(tmp_path: Path) -> None:
    """Accepted texts land as the instant they mean, the others are quarantined with the reason."""
    texts = [*ACCEPTED, *REASONS]
    lines = [
        json.dumps({"event_id": f"#{i}", "event_type": "login", "timestamp": text}) for i, text in enumerate(texts)
    ]
    lake = made(tmp_path / "lake")
    summary = lake.ingest(put(tmp_path / "x.jsonl", *lines))

    refused = {json.loads(item.data)["timestamp"]: item.reason for item in kept(summary)}
    assert refused == REASONS
    assert {texts[int(event["event_id"][1:])]: event["timestamp"] for event in events(lake)} == ACCEPTED


@pytest.mark.parametrize("read", [times.parse_instant, oracle.instant],
                         ids=["times", "oracle"])  # fmt: skip
def test_python(read: Callable[[str], datetime]) -> None:
    """The Python readers of instants accept the same texts as SQL, as the same instants, and refuse the others."""
    assert {text: read(text) for text in ACCEPTED} == ACCEPTED
    for text in REASONS:
        with pytest.raises((ValueError, oracle.RefusedError)):
            print(f"accepted {text!r} as {read(text)}")


def test_zone(tmp_path: Path) -> None:
    """A time without an offset is of the zone that is named, all others are as they are; the commit says which zone."""
    mapping = """source: clock
match: [local, epoch]
timestamp: local, parse_time(day, '%d.%m.%Y %H:%M'), parse_time(zoned, '%d.%m.%Y %H:%M %z'), epoch_s(epoch)
action: "'tick'"
event_type: [api_call: true]
"""
    lake = made(tmp_path / "lake")
    lake.sources.add(put(tmp_path / "clock.yaml", mapping))
    nothing: dict[str, object] = {"local": None, "epoch": None}
    records: list[dict[str, object]] = [
        {"local": "2026-07-01 12:00:00"}, {"local": "2026-07-01T12:00:00Z"}, {"local": "2026-01-01 12:00:00"},
        {"day": "01.07.2026 12:00"}, {"zoned": "01.07.2026 12:00 +0200"}, {"epoch": 1782907200},
    ]  # fmt: skip
    file = put(tmp_path / "x.jsonl", *(json.dumps(nothing | record) for record in records))
    assert lake.ingest(file, timezone="Europe/Berlin").landed == len(records)
    hours = sorted(event["timestamp"].astimezone(UTC).hour for event in events(lake) if event["action"] == "tick")
    assert hours == [10, 10, 10, 11, 12, 12]
    assert commit_metadata(lake.layout, lake.snapshot().version)["timezone"] == "Europe/Berlin"  # type: ignore[index]
    with pytest.raises(SourceError, match="no time zone 'Mars/Olympus'"):
        lake.ingest(file, timezone="Mars/Olympus")
    assert lake.ingest(file).landed == 0
