"""Every source of the catalog is recognised, mapped and erased; a new one is a row and a statement."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import UnrecognisedInputError
from auditlake.events.personal import PersonalData, mentions
from auditlake.sandbox.dictionary import dictionary
from auditlake.sources.catalog import Marks, Source, built_in, built_in_names, canonical
from tests.ingest.lakes import checked, events, made

FIXTURES = Path(__file__).parent / "fixtures"
WHY = {"reason": "Article 17", "ticket": "G-1"}


def fixtures_of(source: Source) -> list[str]:
    """The files of a source: those of its row, or what is named like it."""
    if source.outline is None:
        return [*source.fixtures]
    named = [path.name for path in FIXTURES.iterdir()]
    return sorted(name for name in named if name.partition(".")[0].removesuffix("_lookup") == source.name)


def prove(source: Source, fixture: Path, folder: Path) -> AuditLake:
    """Ingest a fixture, erase everyone in it, and ingest it again; return the lake."""
    lake = made(folder / f"lake-{fixture.name}")
    summary = lake.ingest(fixture)
    if not source.several:
        checked(lake, summary)
    assert [each.source for each in summary.inputs] == [source.name]
    assert summary.landed
    assert not summary.quarantined
    people = {event["user_id"] for event in events(lake) if event["user_id"]}
    assert people
    for person in sorted(people):
        lake.retention.erase(person, **WHY)
    words = people.union(*map(source.personal.parts, people))
    for event in events(lake):
        texts = [text for text in event.values() if isinstance(text, str)]
        assert not any(mentions(text, words) for text in texts), event
    again = lake.ingest(fixture)
    assert (again.landed, again.duplicates, again.quarantined) == (0, summary.landed, 0)
    return lake


@pytest.mark.parametrize(
    "name", [source.name for source in built_in() if source.outline is None or source.name == "cloudtrail"]
)
def test_every_source(name: str, tmp_path: Path) -> None:
    """Each fixture of a source is taken for it, becomes events, loses its people, and is known when it comes again."""
    source = built_in()[name]
    for fixture in fixtures_of(source):
        prove(source, FIXTURES / fixture, tmp_path)
    assert bool(fixtures_of(source)) == bool(source.looks_for) == (name in built_in().inputs)
    assert name in dictionary()


def test_every_fixture() -> None:
    """Each file among the fixtures is in the row of one source, or named like one with a mapping."""
    named = [fixture for source in built_in() for fixture in fixtures_of(source)]
    assert sorted(named) == sorted(path.name for path in FIXTURES.iterdir())


def test_names() -> None:
    """Each mapping that ships is in a file of its source's name, so sources are listed without reading them."""
    assert built_in_names() == [*built_in().sources]


TOY = """-- name: toy()
-- A door's log.
select
  record,
  cast(null as varchar) as event_id,
  'access_granted' as event_type,
  json_extract_string("text", '$.at') as "timestamp",
  json_extract_string("text", '$.who') as user_id,
  'open' as action,
  json_extract_string("text", '$.door') as resource,
  'success' as status,
  "text" as details,
  cast(null as varchar) as metadata,
  cast(null as varchar) as session_id,
  cast(null as varchar) as ip_address,
  if(json_exists("text", '$.door'), null, 'door is missing') as reason
from records
"""


def toy(folder: Path) -> Source:
    """A source whose statement and fixture lie in a folder of the test."""
    folder.joinpath("toy.sql").write_text(TOY)
    doors = [
        {
            "at": "2026-11-20T08:00:00Z",
            "door": door,
            "who": "ann (42)",
            "badge": {"of": "Ann Other"},
            "via": ["Ann Other"],
        }
        for door in ("north", "south")
    ]
    folder.joinpath("doors.jsonl").write_text("".join(json.dumps(door) + "\n" for door in doors))
    return Source(
        name="toy",
        title="a door's log",
        statement=str(folder / "toy.sql"),
        marks=Marks(frozenset({"at", "door", "who"}), enough=2),
        condition=lambda record: str(record.get("who")).endswith(")"),
        looks_for="JSON objects with at, door and who",
        time_field="at",
        faults={"door is missing": "door"},
        personal=PersonalData(names=("$.details.badge",), within=(r"(\w+) \(\d+\)",)),
        fixtures=(str(folder / "doors.jsonl"),),
    )


def test_a_new_source_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its row in the catalog, a source is recognised, mapped, erased, and named where sources are listed."""
    source = toy(tmp_path)
    with pytest.raises(UnrecognisedInputError):
        made(tmp_path / "before").ingest(source.fixtures[0])
    for catalog in (canonical(), built_in()):
        monkeypatch.setitem(catalog.sources, "toy", source)
    lake = prove(source, Path(source.fixtures[0]), tmp_path)

    assert "Other" not in str(events(lake))
    assert {event["resource"] for event in events(lake)} == {"north", "south"}
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"at":"2026-11-20T08:00:00Z","who":"ann (42)"}\n{"at":"noon","door":"east","who":"ann (42)"}\n')
    fields = {(example.reason, example.field, example.value) for example in lake.ingest(bad).examples}
    assert fields == {("door is missing", "door", ""), ("not a time", "at", "noon")}
    other = tmp_path / "other.jsonl"
    other.write_text('{"at":"2026-11-20T08:00:00Z","door":"north","who":"ann"}\n')
    with pytest.raises(UnrecognisedInputError, match="toy: JSON objects with at, door and who"):
        lake.ingest(other)
    assert "toy" in dictionary()
    assert built_in().inputs[-1] == "toy"
