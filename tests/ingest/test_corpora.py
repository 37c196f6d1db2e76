"""Corpora made to break readers: JSONTestSuite by Nicolas Seriot, and the Big List of Naughty Strings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent
from tests.ingest.lakes import BARE, NOW, checked, events, kept, made, put
from tests.soak import mostly
from tests.sources.pieces import SHARED

SUITE = SHARED / "data" / "corpora" / "json-test-suite" / "test_parsing"
NAUGHTY = SHARED / "data" / "corpora" / "naughty-strings" / "blns.json"
TEXTS = ("user_id", "action", "resource", "status", "session_id")

needs_suite = pytest.mark.skipif(not SUITE.is_dir(), reason=f"the corpus is not here: {SUITE}")
needs_strings = pytest.mark.skipif(not NAUGHTY.is_file(), reason=f"the corpus is not here: {NAUGHTY}")


SEVERAL = {"n_structure_double_array.json", "n_structure_object_with_trailing_garbage.json"}
"""What is no JSON document, but several values one after the other, which an input may be."""


def suite(kind: str) -> list[Path]:
    """The files of one kind: y accepted, n refused, i either."""
    return sorted(SUITE.glob(f"{kind}_*.json"))


@needs_suite
def test_suite(tmp_path: Path) -> None:
    """Every file is read in one ingest; what is no JSON is quarantined as such, and what is JSON never is."""
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(SUITE, source="auditlake"))
    assert {Path(each.name) for each in summary.inputs} == set(SUITE.iterdir())
    assert summary.landed == 0
    refused = {Path(item.input) for item in kept(summary) if item.reason == "not valid JSON"}
    assert {path.name for path in suite("n") if path not in refused} == SEVERAL
    assert [path.name for path in suite("y") if path in refused] == []


@needs_suite
@pytest.mark.parametrize("place", mostly(["details", "metadata", "unknown"], always=["details", "unknown"]))
def test_suite_inside_events(tmp_path: Path, place: str) -> None:
    """As a value inside an event, what is no JSON takes its line to quarantine, and what is JSON lands."""
    lines, expected = [], {}
    for path in (*suite("n"), *suite("y")):
        value = path.read_bytes()
        if b"\n" in value.strip() or len(value) > 10_000:
            continue
        lines.append(
            b'{%b,"event_id":"%b","%b":%b}' % (BARE.encode(), path.name.encode(), place.encode(), value.strip())
        )
        expected[path.name] = path.name.startswith("y_")
    assert len(expected) > 240
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(put(tmp_path / "x.jsonl", *lines)))
    landed = {event["event_id"] for event in events(lake)}
    assert {name: name in landed for name in expected} == expected
    assert set(summary.reasons) == {"not valid JSON"}


@needs_strings
def test_naughty_strings(tmp_path: Path) -> None:
    """Every string lands and reads back exactly, in each text field, as details, in them and as a key, and as an id."""
    strings = [text for text in json.loads(NAUGHTY.read_bytes()) if text] + [
        "\0",
        "a\0b",
        "\ud7ff\ue000\uffff",
        "\U0010ffff",
    ]
    strings += [f"<{text}>" for text in strings]
    lines: list[str] = []
    expected: dict[str, dict[str, Any]] = {}
    for text in dict.fromkeys(strings):
        fields: dict[str, Any] = dict.fromkeys((*TEXTS, "ip_address"), text) | {"details": text}
        metadata, unknown = {text: text, "list": [text, {text: None}]}, f"{text} is no field"
        event = {"event_id": text, "event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "metadata": metadata}
        lines.append(json.dumps({**event, **fields, unknown: text}, ensure_ascii=len(lines) % 2 == 0))
        expected[text] = {**fields, "metadata": {**metadata, "_extra": {unknown: text}}}
    lake = made(tmp_path / "lake")
    assert checked(lake, lake.ingest(put(tmp_path / "x.jsonl", *lines), strict=True)).landed == len(expected) > 900
    for event in events(lake):
        given = expected[event["event_id"]]
        found = {**event, **{key: json.loads(event[key]) for key in ("details", "metadata")}}
        assert {key: found[key] for key in given} == given


@needs_strings
def test_naughty_events_made_in_python(tmp_path: Path) -> None:
    """Every string that Python can write down as UTF-8 lands from an AuditEvent and reads back exactly."""
    strings = list(dict.fromkeys(json.loads(NAUGHTY.read_bytes())))
    given = [
        AuditEvent("login", NOW, **dict.fromkeys(TEXTS, text), details={text: [text]}, event_id=f"#{n}")
        for n, text in enumerate(strings)
    ]
    lake = made(tmp_path / "lake")
    checked(lake, lake.ingest(given, strict=True))
    for event in events(lake):
        text = strings[int(event["event_id"][1:])]
        assert [event[name] for name in TEXTS] == [text] * len(TEXTS)
        assert json.loads(event["details"]) == {text: [text]}
