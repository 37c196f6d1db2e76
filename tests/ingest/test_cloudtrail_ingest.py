"""CloudTrail through the whole ingest: every wrapper of an event is the same event, and the real files come in."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.lakes import checked, events, kept, made, put
from tests.sources.pieces import SHARED

REAL = SHARED / "data" / "real" / "cloudtrail"
EVENTS: list[dict[str, Any]] = [
    {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::1:user/{n}", "userName": f"ü{n}"},
        "eventTime": f"2026-11-24T09:0{n}:00Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "10.0.0.1", "requestParameters": {"bucketName": "b", "key": 'k/é "q"'}, "readOnly": True,
        "eventID": f"id-{n}", "additionalEventData": {"bytesTransferredIn": 0, "x": [1.5, None, {}]},
    }
    for n in range(3)
]  # fmt: skip


def looked_up(event: dict[str, Any]) -> dict[str, Any]:
    """An event as LookupEvents gives it."""
    return {
        "EventId": event["eventID"],
        "EventName": event["eventName"],
        "EventTime": event["eventTime"],
        "CloudTrailEvent": json.dumps(event),
    }


WRAPPERS: dict[str, str] = {
    "records.json": json.dumps({"Records": EVENTS}),
    "compact.json": json.dumps({"Records": EVENTS}, separators=(",", ":")),
    "pretty.json": json.dumps({"Records": EVENTS}, indent=2),
    "lines.jsonl": "\n\n".join(map(json.dumps, EVENTS)) + "\n \n",
    "spaced.jsonl": "".join(json.dumps(event, separators=(" , ", ":  ")) + " \r\n" for event in EVENTS),
    "escaped.jsonl": "".join(json.dumps(event, ensure_ascii=False).replace("/", "\\/") + "\n" for event in EVENTS),
    "array.json": json.dumps(EVENTS, indent="\t"),
    "lookup.json": json.dumps({"Events": list(map(looked_up, EVENTS))}),
    "lookup.jsonl": "".join(json.dumps(looked_up(event)) + "\n" for event in EVENTS),
    "pages.json": "\n".join(json.dumps({"Records": [event]}) for event in EVENTS),
    "subscription.json": json.dumps(
        {
            "messageType": "DATA_MESSAGE",
            "logEvents": [{"id": "1", "timestamp": 1, "message": json.dumps(event)} for event in EVENTS],
        }
    ),
}
FIRST = ("compact.json", "lookup.jsonl", "subscription.json")


def test_wrappers(tmp_path: Path) -> None:
    """The same three events in wrappers of each kind land once, one after the other."""
    lake = made(tmp_path / "lake")
    for name in FIRST:
        (tmp_path / name).write_text(WRAPPERS[name])
        before = lake.snapshot().rows
        summary = checked(lake, lake.ingest(tmp_path / name, strict=True), before)
        assert (name, summary.landed, summary.duplicates) == (name, 3 - before, before)
    assert [json.loads(event["details"]) for event in events(lake)] == EVENTS


@pytest.mark.parametrize(
    "name", [name if name in FIRST else pytest.param(name, marks=pytest.mark.soak) for name in WRAPPERS]
)
def test_wrappers_first(tmp_path: Path, name: str) -> None:
    """Whichever wrapper comes first, the others bring nothing new."""
    for other, text in WRAPPERS.items():
        (tmp_path / other).write_text(text)
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(tmp_path / name, *(tmp_path / other for other in WRAPPERS), strict=True))
    assert [each.duplicates for each in summary.inputs] == [0, *[3] * (len(WRAPPERS) - 1)]


def test_other_content(tmp_path: Path) -> None:
    """A CloudTrail event with a known id and other content is a conflict, its bytes kept."""
    lake = made(tmp_path / "lake")
    other = {**EVENTS[1], "additionalEventData": {}}
    text = json.dumps({"Records": [EVENTS[0], EVENTS[1], other]}, indent=1)
    (item,) = kept(checked(lake, lake.ingest(put(tmp_path / "x.json", text))))
    assert item.reason == "id_conflict"
    assert json.loads(item.data) == other
    assert text.encode()[item.offset : item.offset + item.length] == item.data


EXPLAINED = {
    "eventTime is missing": 11,  # partial events that Panther wrote for its own tests
    "not a time": 1,  # one whose time is "..."
    "id_conflict": 122,  # events that Panther made up for its tests share ids such as 1
}


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real data is not here: {REAL}")
def test_real_files(tmp_path: Path) -> None:
    """Every real file is read whole; what does not land is a duplicate or explained. Packed, they bring nothing new."""
    paths = sorted(path for path in REAL.rglob("*json") if not path.name.endswith(".labels.ndjson"))
    packed = [tmp_path / f"{n}-{path.name}.gz" for n, path in enumerate(paths)]
    for path, copy in zip(paths, packed, strict=True):
        copy.write_bytes(gzip.compress(path.read_bytes()))
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(*paths))
    assert {each.source for each in summary.inputs} == {"cloudtrail"}
    assert summary.reasons == EXPLAINED
    assert all("panther" in item.input for item in kept(summary))
    assert summary.landed > 1500
    assert all(each.landed + each.duplicates for each in summary.inputs)
    again = checked(lake, lake.ingest(*packed), summary.landed)
    assert again.reasons == EXPLAINED
    assert (again.landed, again.duplicates) == (0, summary.read - summary.quarantined)
