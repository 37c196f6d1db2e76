"""A lake's own mappings: added, recognised, in the ledger, covered by erasure; and one with mistakes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditLake
from auditlake.errors import LakeFormatError, MappingError, SourceError, UnrecognisedInputError
from auditlake.facets.sources import Sources
from auditlake.ingest import new_skips
from auditlake.sources.recognise import PEEK_MOST, TRIED
from tests.ingest.lakes import events, made, put
from tests.ledger.lakes import check_ledger, entries
from tests.verify.lakes import checked

DOORS = """\
source: doors
match: [at, who, did]
event_id: id
timestamp: at
user_id: who.mail
action: did
skip: {a heartbeat: did = 'ping'}
event_type: [access_granted: [door.open], api_call: true]
personal: {names: [who.mail]}
"""


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake with a mapping of its own."""
    lake = made(tmp_path / "lake")
    lake.sources.add(put(tmp_path / "doors.yaml", DOORS))
    return lake


def door(number: int, **fields: Any) -> str:
    record = {"id": f"e{number}", "at": f"2026-11-20T08:00:0{number}Z", "who": {"mail": "ann@example.org"}}
    return json.dumps({**record, "did": "door.open", **fields})


def test_events_in(lake: AuditLake, tmp_path: Path) -> None:
    """Its records are recognised and land; those it skips are counted by name; each number is in the commit."""
    file = put(tmp_path / "x.jsonl", door(1), door(2, did="ping"), door(3, at="noon"), door(4))
    summary = lake.ingest(file)

    assert (summary.read, summary.landed, summary.skipped, summary.quarantined) == (4, 2, 1, 1)
    assert summary.skips == {"doors: a heartbeat": 1}
    assert {event["source"] for event in events(lake)} == {"doors"}
    assert json.loads(events(lake)[0]["metadata"])["mapping"] == lake.sources.of("doors")[1].version
    again = lake.ingest(file)
    assert (again.landed, again.duplicates, again.skipped) == (0, 2, 1)
    with lake.audit_session(principal="erika") as session:
        assert session.sql("select skipped from ingests where landed > 0").fetchall() == [(1,)]
    assert checked(lake).ok


def test_a_dry_run_changes_nothing(lake: AuditLake, tmp_path: Path) -> None:
    """It tells the numbers of the ingest that follows, and the lake is as before."""
    file = put(tmp_path / "x.jsonl", door(1), door(2, did="ping"), door(3, at="noon"), door(1))
    before = sorted(path for path in lake.layout.root.rglob("*") if path.is_file())
    told = lake.ingest(file, dry_run=True)

    assert sorted(path for path in lake.layout.root.rglob("*") if path.is_file()) == before
    done = lake.ingest(file)
    numbers = ("read", "landed", "duplicates", "quarantined", "skipped", "reasons")
    assert [getattr(told, name) for name in numbers] == [getattr(done, name) for name in numbers]
    assert lake.ingest(file, dry_run=True).landed == 0


def test_a_changed_mapping_makes_no_conflict(lake: AuditLake, tmp_path: Path) -> None:
    """The same records under another version of the mapping are duplicates."""
    file = put(tmp_path / "x.jsonl", door(1), door(2))
    lake.ingest(file)
    changed = DOORS.replace("access_granted: [door.open], ", "").replace(
        "user_id: who.mail", "user_id: who.mail || '!'"
    )
    lake.sources.add(put(tmp_path / "doors.yaml", changed), replace=True)
    summary = lake.ingest(file)

    assert (summary.landed, summary.duplicates, summary.quarantined) == (0, 2, 0)
    assert {event["event_type"] for event in events(lake)} == {"access_granted"}


def test_erasure_covers_its_places(lake: AuditLake, tmp_path: Path) -> None:
    """No name is left, and the same file again lands nothing."""
    file = put(tmp_path / "x.jsonl", door(1), door(2, note="ann@example.org"))
    lake.ingest(file)
    lake.retention.erase("ann@example.org", reason="Article 17", ticket="G-1")

    assert "ann@example.org" not in str(events(lake))
    again = lake.ingest(file)
    assert (again.landed, again.duplicates, again.quarantined) == (0, 2, 0)


def test_only_its_own_places_name(lake: AuditLake, tmp_path: Path) -> None:
    """What is a name in another source's records is none here: a common word there does not count as left elsewhere."""
    person = {"mail": "ann@example.org", "type": "user"}
    lake.ingest(
        put(tmp_path / "x.jsonl", door(1, actor={"type": "user"}, who=person), door(2, who={"mail": "bob"}, of="user"))
    )
    erased = lake.retention.erase("ann@example.org", reason="Article 17", ticket="G-1")

    assert (erased.events, erased.remaining["other_events"]) == (1, 0)


def test_in_the_ledger(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """Adding, changing and removing a mapping are entries with its digests; a change by hand is noticed."""
    path = lake.layout.source("doors")
    path.write_text(DOORS + "title: by hand\n")
    assert [notice.where for notice in checked(lake).notices] == ["sources/doors.yaml"]
    lake.ingest(put(tmp_path / "x.jsonl", door(1)))
    assert run("--lake", lake.layout.root, "source", "remove", "doors", "--yes").code == 0

    found = [entry for entry in entries(lake) if entry.kind == "mapping-change"]
    keys = ("added", "changed", "removed")
    changes = [[entry.details["by"], *(len(entry.details[key]) for key in keys)] for entry in found]
    assert changes == [["auditlake", 1, 0, 0], ["hand", 0, 1, 0], ["auditlake", 0, 0, 1]]
    check_ledger(lake)
    assert checked(lake).ok
    kept = sorted((lake.layout.ledger / "sources").iterdir())
    assert len(kept) == 2
    kept[0].write_bytes(b"x")
    assert [problem.where for problem in checked(lake).problems] == [f"ledger/sources/{kept[0].name}"]


def test_a_mapping_with_mistakes(lake: AuditLake, tmp_path: Path) -> None:
    """It is not used and named where its source is asked for; other inputs land; erasure waits until it is mended."""
    lake.ingest(put(tmp_path / "x.jsonl", door(1)))
    lake.layout.source("doors").write_text(DOORS.replace("timestamp: at", "timestamp: at +"))
    fresh = AuditLake(lake.layout.root)

    with pytest.raises(UnrecognisedInputError, match=r"sources/doors\.yaml:4:"):
        fresh.ingest(put(tmp_path / "y.jsonl", door(2)))
    with pytest.raises(MappingError, match=r"doors\.yaml:4:"):
        fresh.ingest(put(tmp_path / "y.jsonl", door(2)), source="doors")
    with pytest.raises(MappingError):
        fresh.retention.erase("ann@example.org", reason="Article 17", ticket="G-1")
    own = '{"event_type": "login", "timestamp": "2026-11-20T08:00:00Z"}'
    assert fresh.ingest(put(tmp_path / "z.jsonl", own)).landed == 1


def test_one_that_cannot_be_read(lake: AuditLake, tmp_path: Path) -> None:
    """A link or a pipe among the mappings is told, and every other mapping of the lake is used all the same."""
    (lake.layout.sources / "a.yaml").symlink_to(tmp_path / "doors.yaml")
    os.mkfifo(lake.layout.sources / "b.yaml")
    fresh = AuditLake(lake.layout.root)

    assert "doors" in fresh.sources.catalog.inputs
    assert [Path(each.problems[0].partition(":")[0]).name for each in fresh.sources.catalog.faults] == [
        "a.yaml",
        "b.yaml",
    ]


def test_what_is_refused(lake: AuditLake, tmp_path: Path) -> None:
    """Another mapping of a source, one of a built-in source's name, a link, and the removal of what is not there."""
    other = put(tmp_path / "other.yaml", DOORS + "title: other\n")
    with pytest.raises(MappingError, match="another mapping of 'doors'"):
        lake.sources.add(other)
    with pytest.raises(MappingError, match="every lake has a source 'okta'"):
        lake.sources.add(put(tmp_path / "okta.yaml", DOORS.replace("doors", "okta")))
    with pytest.raises(SourceError, match="no mapping of its own of 'okta'"):
        lake.sources.remove("okta")
    lake.layout.source("linked").symlink_to(other)
    with pytest.raises(MappingError, match="symbolic link"):
        AuditLake(lake.layout.root).ingest(put(tmp_path / "y.jsonl", door(2)), source="linked")


def test_ambiguous(lake: AuditLake, tmp_path: Path) -> None:
    """Where two mappings know the records, the input is refused with both names, until one says it goes before."""
    gates = DOORS.replace("source: doors", "source: gates")
    lake.sources.add(put(tmp_path / "gates.yaml", gates))
    file = put(tmp_path / "x.jsonl", door(1))

    with pytest.raises(UnrecognisedInputError, match="doors and gates both know its records"):
        lake.ingest(file)
    assert lake.ingest(file, source="gates").landed == 1
    lake.sources.add(put(tmp_path / "gates.yaml", gates + "before: doors\n"), replace=True)
    assert lake.ingest(file).inputs[0].source == "gates"


def test_a_rule_that_newly_leaves_much_out(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """It is told the first time, where it was little before, and when its mapping has changed; else only counted."""

    def told(first: int, pings: int, opens: int) -> list[str]:
        doings = ["ping"] * pings + ["door.open"] * opens
        lines = [door(1, id=f"e{number}", did=did) for number, did in enumerate(doings, first)]
        return [str(each) for each in lake.ingest(put(tmp_path / "x.jsonl", *lines)).new_skips]

    assert told(0, 1, 99) == []
    assert told(100, 2, 98) == [
        "doors newly leaves out 'a heartbeat': 2 of 100 records (2.0%); in the ingest before it was 1 of 100"
    ]
    assert told(200, 50, 50) == []
    before = lake.sources.of("doors")[1].version
    lake.sources.add(put(tmp_path / "doors.yaml", DOORS.replace("'ping'", "'door.open'")), replace=True)
    lake = AuditLake(lake.layout.root)
    (changed,) = told(300, 0, 100)
    assert changed.endswith(f"100 of 100 records (100.0%); its mapping was {before} before")
    answer = run("--lake", lake.layout.root, "ingest", tmp_path / "x.jsonl")
    assert f"auditlake: {changed}" in answer.err


def test_damage_before_does_not_fail_what_is_committed(
    lake: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What left much out is told also where an earlier entry of the log, which a checkpoint stands for, is damaged."""

    def damaged(*_: object) -> None:
        raise LakeFormatError("the log entry is damaged")

    monkeypatch.setattr(new_skips, "commit_metadata", damaged)
    done = lake.ingest(put(tmp_path / "x.jsonl", door(1, id="a", did="ping"), door(2, id="b")))

    assert (done.landed, len(done.new_skips)) == (1, 1)


@pytest.mark.parametrize("record", [
    {"id": 7, "created": 1763625600123, "user": {"email": "ann@example.org"}, "action": "open", "ip": "192.0.2.1"},
    {"uuid": "a", "@timestamp": "2026-11-20T08:00:00Z", "actor": "ann", "odd key": {"x": 1}, "operation": "open"},
])  # fmt: skip
def test_a_draft_can_be_used(record: dict[str, Any], tmp_path: Path, run: Callable[..., Any]) -> None:
    """What `source new` drafts is a mapping without mistakes, which lands the sample."""
    sample = put(tmp_path / "sample.jsonl", json.dumps(record), json.dumps(record | {"id": 8, "uuid": "b"}))
    draft = run("source", "new", sample)
    file = put(tmp_path / "draft.yaml", draft.out)
    lake = made(tmp_path / "lake")
    lake.sources.add(file)
    (summary,) = lake.ingest(sample).inputs

    assert (summary.source, summary.landed) == ("sample", 2)
    assert {event["action"] for event in events(lake)} == {"open"}
    assert all(event["user_id"] and event["event_id"] for event in events(lake))


def test_a_draft_of_documents(tmp_path: Path) -> None:
    """Where a sample is a document around records, the draft says where they are."""
    records = [json.loads(door(number, action="door.open")) for number in (1, 2)]
    drafts = {}
    for key, indent in product(("Records", "Events", "value", "items", "entries_of_today"), (None, 1)):
        document = {"kind": "page", "next": "p2", key: records}
        sample = put(tmp_path / "sample.json", json.dumps(document, indent=indent))
        drafts[key] = Sources().draft("sample", sample)
        assert f'records: ["{key}"]' in drafts[key]
    lake = made(tmp_path / "lake")
    lake.sources.add(put(tmp_path / "draft.yaml", drafts["entries_of_today"]))

    assert [(each.source, each.landed) for each in lake.ingest(sample).inputs] == [("sample", 2)]


@pytest.mark.parametrize(("lines", "expected"), [
    (["at=2026-11-20T08:00:00Z user=ann act=open", "at=2026-11-20T08:00:01Z user=bob act=shut"], "read: kv"),
    (["When;Who;What", "2026-11-20T08:00:00Z;ann;open", "2026-11-20T08:00:01Z;;shut"], "read: csv"),
    (["2026-11-20T08:00:00Z door 7: opened, by ann", "2026-11-20T08:00:01Z door 7: shut"], "%{ISO8601:stamp}"),
    (["<13>Nov  3 09:00:01 door 7: opened by ann"], "parse_time(stamp, "),
])  # fmt: skip
def test_a_draft_of_text(lines: list[str], expected: str, tmp_path: Path) -> None:
    """What is drafted of a table, of pairs and of lines lands the sample; of other lines only the time is known."""
    sample = put(tmp_path / "sample.log", *lines)
    draft = Sources().draft("sample", sample)
    assert expected in draft
    lake = made(tmp_path / "lake")
    lake.sources.add(put(tmp_path / "draft.yaml", draft.replace("# action:", "action: act #")))

    assert lake.ingest(sample, source="sample").landed == 2 - (len(lines) == 1)


def test_a_draft_of_nothing_known(tmp_path: Path) -> None:
    """Lines without a known time in front give a pattern to begin with; what is no text gives none."""
    for line in ("junk {name}", "[Thu Nov 05 10:00:00 2026] [error] no such file"):
        draft = Sources().draft("sample", put(tmp_path / "sample.log", line))
        assert f"# a line: {line}\n# timestamp:" in draft
    blank = ["\xa0".encode(), b"\x1c\n", b"\xef\xbb\xbf", b"\n" * PEEK_MOST + b"x\n"]
    for content in (b"", b"\n", b"a\0b", b"{", b"[1, 2]\n[3]\n", b"[\n1\n]", *blank):
        (tmp_path / "sample.log").write_bytes(content)
        with pytest.raises(SourceError, match="neither JSON objects nor lines"):
            Sources().draft("sample", tmp_path / "sample.log")


def test_a_draft_of_documents_of_which_some_are_empty(tmp_path: Path) -> None:
    """A later document may have something else, or nothing, where the records are."""
    full = json.dumps({"kind": "page", "rows": [json.loads(door(1))]})
    sample = put(tmp_path / "sample.jsonl", *[full] * TRIED, '{"rows": null}', '{"rows": 5}', "{}")

    assert 'records: ["rows"]' in Sources().draft("sample", sample)


def test_a_record_with_a_list_is_no_document(tmp_path: Path) -> None:
    """A record that has a time of its own and a list of objects is drafted as a record."""
    sample = put(tmp_path / "sample.jsonl", door(1, items=[{"n": 1}]), door(2, items=[{"n": 2}]))

    assert "records:" not in Sources().draft("sample", sample)


def test_what_a_trial_says_of_personal(tmp_path: Path, run: Callable[..., Any]) -> None:
    """Each place of `personal` is shown with how often it is filled; one in no event, with what may be meant."""
    misspelled = DOORS.replace("names: [who.mail]", "names: [who.mail], traces: [who.mial, zzz]")
    mapping = put(tmp_path / "doors.yaml", misspelled)
    sample = put(tmp_path / "x.jsonl", door(1), door(2, did="ping"), door(3, other=1))
    told = run("source", "test", mapping, sample).out

    assert "personal who.mail: filled in 2 of 2 events" in told
    assert "personal who.mial: filled in no event; did you mean who.mail?" in told
    assert "personal zzz: filled in no event\n" in told
    assert "not used: other (1)" in told
    (found,) = [json.loads(run("source", "test", mapping, sample, "--json").out)["files"]["personal"]]
    assert [(each["place"], each["events"], each["near"][:1]) for each in found] == [
        ("$.details.who.mail", 2, []), ("$.details.who.mial", 0, ["$.details.who.mail"]), ("$.details.zzz", 0, []),
    ]  # fmt: skip


def test_tests_of_a_mapping_are_told_apart(tmp_path: Path) -> None:
    """What comes of a test is what comes of its records alone, whatever came of those before and after it."""
    records = [door(1), "{", door(2, did="ping"), f"{door(3)}\n{door(4, at='noon')}\n{door(5)}", "{}", door(6, did="x")]
    expected = ["expect: {action: none}", "expect: {action: none}", "expect: {action: none}", "skipped: none",
                "expect: {action: none}", "quarantined: none"]  # fmt: skip
    texts = [f"  - name: t{number}\n    record: {json.dumps(record)}\n    {expected[number]}\n"
             for number, record in enumerate(records)]  # fmt: skip

    def told(tests: list[str]) -> list[tuple[str, ...]]:
        mapping = put(tmp_path / "doors.yaml", f"{DOORS}tests:\n{''.join(tests)}")
        return [each.problems for each in Sources().test(mapping)]

    together = told(texts)
    assert together == [problems for each in texts for problems in told([each])]
    assert len(set(together)) == len(records)


def test_numbers_that_are_none(lake: AuditLake, tmp_path: Path) -> None:
    """What is no number or has no end is left out of the metadata: JSON has neither."""
    (tmp_path / "scores.yaml").write_text(
        "source: scores\nmatch: [at, score]\ntimestamp: at\naction: \"'scored'\"\n"
        "event_type: [api_call: true]\nmetadata: {score: try_cast(score as double)}\n"
    )
    lake.sources.add(tmp_path / "scores.yaml")
    scores = tmp_path / "scores.jsonl"
    scores.write_text("".join(f'{{"at":"2026-11-24T09:00:00Z","score":"{each}"}}\n' for each in ("NaN", "inf", "0.5")))
    lake.ingest(scores)

    found = sorted(metadata for (metadata,) in lake.sql("select metadata from events").fetchall())
    assert [json.loads(each).get("score") for each in found] == [0.5, None, None]
