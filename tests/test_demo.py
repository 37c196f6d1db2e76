"""The demo's promise: the same bytes everywhere, and in them exactly what it says, counted again in plain Python."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditlake.cli import demo_data
from auditlake.cli.demo_data import DemoInputs, Incident, write_demo

DIGEST_OF_SEVEN_DAYS = "3cee0255e19fe6eab2615f36761372b71d712dcd2c945476c103bb4b09dc408c"

TYPES = frozenset(
    "login logout auth_failure access_granted access_denied permission_change data_access data_modification "
    "data_deletion config_change system_error security_alert model_access model_update prompt_injection "
    "compliance_check policy_violation data_breach account_change privilege_use audit_log_access audit_log_control "
    "data_export human_oversight api_call network_change".split()
)
TIMESTAMP = re.compile(
    r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-](0\d|1[0-7]):[0-5]\d|[+-]18:00)?"
)
DATA = ("data_access", "data_modification", "data_deletion")


@dataclass
class Found:
    """What a slow and simple ingest finds."""

    events: list[dict[str, Any]] = field(default_factory=list)
    lines: dict[str, list[bytes]] = field(default_factory=dict)
    bad: Counter[str] = field(default_factory=Counter)
    by_file: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    duplicates: int = 0
    blank: int = 0
    written: int = 0

    def days(self) -> dict[date, list[dict[str, Any]]]:
        days: dict[date, list[dict[str, Any]]] = {}
        for event in self.events:
            days.setdefault(event["at"].date(), []).append(event)
        return days


class Bad(Exception):
    """A record that cannot become an event."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise Bad("repeated_key")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise Bad("not_a_number")


def _instant(text: str) -> datetime:
    try:
        if not TIMESTAMP.fullmatch(text):
            raise ValueError(text)
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Bad("bad_timestamp") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _parse(line: bytes) -> dict[str, Any]:
    """The record as an event, with its instant under ``at``, or :class:`Bad`."""
    try:
        event = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Bad("invalid_utf8") from None
    except json.JSONDecodeError:
        raise Bad("truncated_json") from None
    for name, value in event.items():
        if name not in ("details", "metadata") and not (value is None or isinstance(value, str)):
            raise Bad("not_text")
    if event["event_type"] not in TYPES:
        raise Bad("unknown_event_type")
    return {**event, "at": _instant(event["timestamp"])}


def _records(path: Path) -> list[bytes]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".csv":
        rows = list(csv.DictReader(data.decode().splitlines()))
        for row in rows:
            row["details"] = json.loads(row["details"])
        return [json.dumps({name: value or None for name, value in row.items()}).encode() for row in rows]
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line.removesuffix(b"\r") for line in (lines if lines[-1] else lines[:-1])]


def recount(inputs: DemoInputs, *, backwards: bool = False) -> Found:
    """Read every file and count what is in it."""
    found = Found()
    ids: dict[str, dict[str, Any]] = {}
    for path in reversed(inputs.files) if backwards else inputs.files:
        here = found.by_file[path.name] = []
        found.lines[path.name] = _records(path)
        for line in found.lines[path.name]:
            if not line:
                found.blank += 1
                continue
            found.written += 1
            try:
                event = _parse(line)
            except Bad as error:
                found.bad[str(error)] += 1
                continue
            known = ids.setdefault(event["event_id"], event) if "event_id" in event else event
            if known is event:
                here.append(event)
                found.events.append(event)
            elif known == event:
                found.duplicates += 1
            else:
                found.bad["id_conflict"] += 1
    return found


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoInputs:
    return write_demo(tmp_path_factory.mktemp("small"), days=7)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> DemoInputs:
    return write_demo(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module", params=["small", pytest.param("full", marks=pytest.mark.soak)])
def trail(request: pytest.FixtureRequest) -> tuple[DemoInputs, Found]:
    value = request.getfixturevalue(request.param)
    inputs = value
    return inputs, recount(inputs)


def incidents(inputs: DemoInputs, kind: str) -> list[Incident]:
    return [incident for incident in inputs.expected.incidents if incident.kind == kind]


def digest(inputs: DemoInputs) -> str:
    total = hashlib.sha256()
    for path in inputs.files:
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def test_same_arguments_give_same_bytes(small: DemoInputs, tmp_path: Path) -> None:
    """The same arguments give the same files, on this machine and on the one where the digest was taken."""
    again = write_demo(tmp_path, days=7)
    assert [path.name for path in again.files] == [path.name for path in small.files]
    assert digest(again) == digest(small) == DIGEST_OF_SEVEN_DAYS
    assert again.expected == small.expected


def test_another_seed_gives_another_trail(small: DemoInputs, tmp_path: Path) -> None:
    """Another seed changes every file and keeps the incidents."""
    other = write_demo(tmp_path, days=7, seed=1)
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(other.files, small.files, strict=True))
    assert [i.kind for i in other.expected.incidents] == [i.kind for i in small.expected.incidents]


def test_counts_add_up(trail: tuple[DemoInputs, Found]) -> None:
    """Every number in the ground truth is what a recount of the files gives."""
    inputs, found = trail
    expected = inputs.expected
    assert len(found.events) == expected.events
    assert found.duplicates == expected.duplicates > 0
    assert dict(found.bad) == expected.quarantined
    assert found.blank == expected.blank_lines > 0
    assert found.written == inputs.written
    assert expected.events + expected.duplicates + sum(expected.quarantined.values()) == inputs.written
    assert dict(Counter(event["event_type"] for event in found.events)) == expected.events_by_type
    assert len(found.days()) == expected.days
    assert expected.quarantined["id_conflict"] == 3
    assert all(event["at"] < inputs.as_of for event in found.events)


def test_order_of_files_does_not_matter(small: DemoInputs) -> None:
    """An ingest that takes the files in another order must find the same numbers."""
    forwards, backwards = recount(small), recount(small, backwards=True)
    assert (len(forwards.events), forwards.duplicates, forwards.bad) == (
        len(backwards.events),
        backwards.duplicates,
        backwards.bad,
    )


def test_full_size(full: DemoInputs) -> None:
    """The default is about 200,000 events."""
    inputs = full
    assert 190_000 < inputs.expected.events < 210_000
    assert inputs.as_of == datetime(2026, 10, 1, tzinfo=UTC)


def test_brute_force(trail: tuple[DemoInputs, Found]) -> None:
    """Both bursts are in the data, one user and address each, and no user fails three times in a day otherwise."""
    inputs, found = trail
    day, night = incidents(inputs, "brute_force")
    for burst in (day, night):
        hits = [e for e in found.events if e["event_type"] == "auth_failure" and e["ip_address"] == burst.ip_address]
        assert {e["user_id"] for e in hits} == {burst.user}
        assert (len(hits), min(e["at"] for e in hits), max(e["at"] for e in hits)) == (
            burst.count,
            burst.start,
            burst.end,
        )
        assert burst.end - burst.start < timedelta(minutes=20)
    assert day.count == 47
    assert night.start.date() < night.end.date()
    success = [e for e in found.events if e["event_type"] == "login" and e["ip_address"] == day.ip_address]
    assert [e["user_id"] for e in success] == [day.user]
    assert success[0]["at"] > day.end
    failures: dict[str, list[datetime]] = {}
    for event in found.events:
        if event["event_type"] == "auth_failure" and event["user_id"]:
            failures.setdefault(event["user_id"], []).append(event["at"])
    assert len(failures.pop(str(day.user))) == day.count
    assert len(failures.pop(str(night.user))) == night.count
    for times in failures.values():
        times.sort()
        assert all(c - a >= timedelta(hours=24) for a, c in zip(times, times[2:], strict=False))


def test_silences(trail: tuple[DemoInputs, Found]) -> None:
    """Data events are missing in the silent stretch and on the day without anything, and on no other day."""
    inputs, found = trail
    (family,), (nothing,) = incidents(inputs, "silent_family"), incidents(inputs, "silent_day")
    days = found.days()
    first, every = min(days), (inputs.as_of.date() - min(days)).days
    without = {first + timedelta(days=n) for n in range(every)} - {
        day for day, events in days.items() if any(event["event_type"] in DATA for event in events)
    }
    silent = {family.start.date() + timedelta(days=n) for n in range(family.count)}
    assert family.end == family.start + timedelta(days=family.count)
    assert without == silent | {nothing.start.date()}
    assert nothing.start.date() not in days
    assert nothing.end == nothing.start + timedelta(days=1)
    assert silent <= set(days)
    assert not [e for day in silent for e in days[day] if e["event_type"].startswith("data_")]


def test_late_events(trail: tuple[DemoInputs, Found]) -> None:
    """The late file holds nothing but events three to ten days older than its name."""
    inputs, found = trail
    (name,) = [name for name in found.by_file if "_late" in name]
    file_date = datetime.strptime(name[6:14], "%Y%m%d").replace(tzinfo=UTC).date()
    ages = [(file_date - event["at"].date()).days for event in found.by_file[name]]
    assert len(ages) == inputs.expected.late > 100
    assert 3 <= min(ages) <= max(ages) <= 10


def test_exfiltration(trail: tuple[DemoInputs, Found]) -> None:
    """One service account reads more distinct documents every night, and reads at no other time."""
    inputs, found = trail
    (theft,) = incidents(inputs, "exfiltration")
    reads = [e for e in found.events if e["user_id"] == theft.user and e["event_type"] in DATA]
    assert (len(reads), min(e["at"] for e in reads), max(e["at"] for e in reads)) == (
        theft.count,
        theft.start,
        theft.end,
    )
    nights: dict[date, set[str]] = {}
    for event in reads:
        assert 1 <= event["at"].hour < 4
        nights.setdefault(event["at"].date(), set()).add(event["resource"])
    sizes = [len(nights[day]) for day in sorted(nights)]
    assert sizes == sorted(set(sizes))
    assert sum(sizes) == theft.count
    assert max(nights) - min(nights) == timedelta(days=len(nights) - 1)


def test_a_fortnight_and_a_week(full: DemoInputs) -> None:
    """In the full trail the exfiltration takes two weeks and the silence one."""
    inputs = full
    (theft,), (family,) = incidents(inputs, "exfiltration"), incidents(inputs, "silent_family")
    assert (theft.end.date() - theft.start.date()).days == 13
    assert family.count == 7


def test_shapes_of_files(small: DemoInputs) -> None:
    """There is gzip without a time stamp, CRLF, a byte order mark, CSV, and a last line that was torn."""
    data = {path.name: path.read_bytes() for path in small.files}
    packed = [content for name, content in data.items() if name.endswith(".gz")]
    assert packed
    assert all(content[4:8] == b"\0\0\0\0" for content in packed)
    assert sum(content.count(b"\r\n") > 1000 for content in data.values()) == 1
    assert sum(content.startswith(b"\xef\xbb\xbf") for content in data.values()) == 1
    assert sum(name.endswith(".csv") for name in data) == 1
    assert sum(not content.endswith(b"\n") for name, content in data.items() if not name.endswith(".gz")) == 1


def test_llmguardian_file(small: DemoInputs) -> None:
    """The file in LLMGuardian's shape has no ids and naive times, and some of its lines stand there twice."""
    found = recount(small)
    (name,) = [name for name in found.lines if name.startswith("llmguardian")]
    lines = found.lines[name]
    assert len(lines) - len(set(lines)) == small.expected.repeated > 0
    assert all(b"event_id" not in line and line.isascii() for line in lines)
    assert all(datetime.fromisoformat(event["timestamp"]).tzinfo is None for event in found.by_file[name])


def test_content_is_plausible(small: DemoInputs) -> None:
    """People log in before they log out, models cost money, prompts are hostile, and some events have no user."""
    events = recount(small).events
    attacker = incidents(small, "brute_force")[0].ip_address
    sessions: dict[str, list[dict[str, Any]]] = {}
    for event in sorted(events, key=lambda event: event["at"]):
        if event["session_id"] and event["ip_address"] != attacker:
            sessions.setdefault(event["session_id"], []).append(event)
    assert len(sessions) > 100
    assert all(s[0]["event_type"] == "login" and s[-1]["event_type"] == "logout" for s in sessions.values())
    costs = [event["details"]["cost_usd"] for event in events if event["event_type"] == "model_access"]
    assert 0 < min(costs) < max(costs) < 1
    prompts = "".join(event["details"]["prompt"] for event in events if event["event_type"] == "prompt_injection")
    assert all(sign in prompts for sign in '"<\u202e\x1b\x00\U0001f608')
    assert any(event["user_id"] is None for event in events)
    assert {":" in event["ip_address"] for event in events if event["ip_address"]} == {True, False}


@pytest.mark.parametrize("days", [8, 13, *(pytest.param(days, marks=pytest.mark.soak) for days in (9, 31, 120))])
def test_incidents_fit_into_any_number_of_days(days: int, tmp_path: Path) -> None:
    """However many days there are, no incident falls on the day without events, and the counts hold."""
    inputs = write_demo(tmp_path, days=days, events_per_day=100, until=date(2024, 3, 1))
    found = recount(inputs)
    assert len(found.days()) == inputs.expected.days == days - 1
    assert dict(found.bad) == inputs.expected.quarantined
    assert len(found.events) == inputs.expected.events


@pytest.mark.parametrize(("days", "events"), [(6, 2200), (7, 99)])
def test_too_small_is_refused(days: int, events: int, tmp_path: Path) -> None:
    """A trail that has no room for the incidents is refused, and nothing is written."""
    with pytest.raises(ValueError, match="7 days and 100 events"):
        write_demo(tmp_path / "demo", days=days, events_per_day=events)
    assert not (tmp_path / "demo").exists()


def test_main_prints_one_line_per_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], small: DemoInputs
) -> None:
    """The command prints every file that it wrote, and how it is used if the folder is missing."""
    monkeypatch.setattr(demo_data, "write_demo", lambda folder: small)
    monkeypatch.setattr("sys.argv", ["demo", str(tmp_path)])
    demo_data.main()
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == [str(p) for p in small.files]
    monkeypatch.setattr("sys.argv", ["demo"])
    with pytest.raises(SystemExit, match="usage"):
        demo_data.main()
