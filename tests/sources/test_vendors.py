"""Every source with a mapping: its own tests, its fixture, and the real files of its vendor."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from auditlake.cli.docs import FOLDER
from auditlake.events.personal import mentions
from auditlake.events.schema import BUILT_IN_TYPES, CANONICAL_FIELDS, METADATA_KEYS
from auditlake.ingest.trial import overlaps, run_tests
from auditlake.sandbox.canned import questions
from auditlake.sources.catalog import built_in
from auditlake.sources.mappings.loader import load_mapping
from tests.ingest.lakes import events, made
from tests.soak import mostly
from tests.sources.pieces import SHARED

FIXTURES = Path(__file__).parent / "fixtures"
PAGES = FOLDER / "sources"
REAL = SHARED / "data" / "real"
WHY = {"reason": "Article 17", "ticket": "G-1"}
MAPPED = [source.name for source in built_in() if source.outline is not None]
VALUES: dict[str, tuple[Any, ...]] = {
    "verb": ("create", "read", "update", "delete"),
    "credential": ("password", "mfa", "token", "key", "certificate"),
    "mfa": (True, False),
}
"""What some keys of metadata may say."""
NAMES = sorted(path.name for path in FIXTURES.iterdir() if path.stem in MAPPED and path.stem != "cloudtrail")
"""The fixtures but CloudTrail's, whose places of names are tried by themselves."""
ALIKE = ["k8s_audit.csv", "ocsf.json"]
"""Those whose records go through the same mapping in another format, which is in NAMES, too."""
TOGETHER = [[name for name in NAMES if name not in ALIKE][number::3] for number in range(3)]
NAMELESS = frozenset({"garak"})
"""The sources whose records never name a person."""


@pytest.mark.parametrize("name", MAPPED)
def test_a_mapping_holds(name: str) -> None:
    """A mapping has no mistakes, also when each expression is tried; its tests pass, with a value for each
    known key of metadata; it has a fixture and a page."""
    outcomes = run_tests(built_in(), name, BUILT_IN_TYPES)
    assert {each.test.name: each.problems for each in outcomes if each.problems} == {}
    assert len(outcomes) >= 3
    expected = [each["metadata"] for outcome in outcomes for each in outcome.test.expect if "metadata" in each]
    filled = {key for metadata in expected for key, value in metadata.items() if value is not None}
    assert METADATA_KEYS.keys() & built_in()[name].outline.keys.get("metadata", {}).keys() <= filled
    for metadata in expected:
        assert {key: metadata[key] for key in VALUES.keys() & metadata.keys() if metadata[key] not in VALUES[key]} == {}
    assert [path.name for path in FIXTURES.glob(f"{name}.*")]
    assert PAGES.joinpath(f"{name}.md").is_file()


@pytest.mark.parametrize("name", MAPPED)
def test_the_page_says_whether_it_is_followed(name: str) -> None:
    """A log of lines is followed by ``tail``; one of which several lines, or a part of one, are a record is not."""
    page, outline = (PAGES / f"{name}.md").read_text(), built_in()[name].outline
    assert outline is not None
    follows = not {"auditd", "otlp"} & set(outline.read)
    assert ("auditlake tail --source " + name in page, "refuses this log" in page) == (follows, not follows)


@pytest.mark.soak
@pytest.mark.parametrize("name", MAPPED)
def test_a_mapping_has_no_mistakes(name: str) -> None:
    """A mapping that ships is as sound as its users' must be: each expression is tried on odd values."""
    mapping = load_mapping(built_in()[name].text, file=built_in()[name].file)
    assert mapping.paths == built_in()[name].mapping.paths


def test_no_two_mappings_know_a_record() -> None:
    """No record of any mapping's tests is taken for one of another source."""
    assert overlaps(built_in()) == []


@pytest.mark.parametrize("fixtures", mostly([*TOGETHER, ALIKE], always=TOGETHER), ids=" ".join)
def test_fixtures(fixtures: Sequence[str], tmp_path: Path) -> None:
    """Each lands whole under its own name; one lake with several of them loses everybody, and lands none again."""
    lake, sources = made(tmp_path / "lake"), {str(FIXTURES / name): Path(name).stem for name in fixtures}
    summary = lake.ingest(*sources)
    assert {each.name: each.source for each in summary.inputs} == sources
    assert (all(each.landed for each in summary.inputs), summary.quarantined) == (True, 0)

    found = events(lake)
    people = {event["user_id"] for event in found if event["user_id"]}
    named = {event["source"] for event in found if event["user_id"]}
    assert named == {*sources.values()} - NAMELESS
    for person in sorted(people):
        lake.retention.erase(person, **WHY)
    names = {name for person in PEOPLE for name in (person, person.lower())} | people
    for event in events(lake):
        texts = [text for text in event.values() if isinstance(text, str)]
        assert not [text for text in texts if mentions(text, names)]

    again = lake.ingest(*sources)
    assert (again.landed, again.quarantined) == (0, 0)
    assert [each.duplicates for each in again.inputs] == [each.landed for each in summary.inputs]


def exported(source: str, event_id: str, metadata: object) -> str:
    """A line of another lake's export."""
    fields = dict.fromkeys((*CANONICAL_FIELDS, "source", "ingested_at"))
    return json.dumps(fields | {
        "event_id": event_id, "event_type": "model_access", "timestamp": "2026-11-24T09:00:00Z", "source": source,
        "ingested_at": "2026-11-24T09:00:01Z", "status": "success", "metadata": metadata,
    })  # fmt: skip


def test_every_source_has_three_questions(tmp_path: Path) -> None:
    """Each is about the events of its source alone, and finds something in its fixture."""
    lake = made(tmp_path / "lake")
    fixtures = {str(path): path.stem for path in FIXTURES.iterdir() if path.stem in MAPPED}
    summary = lake.ingest(*fixtures)
    assert ({each.name: each.source for each in summary.inputs}, summary.quarantined) == (fixtures, 0)
    odd = [exported(source, f"odd-{source}", {"tokens": "many"}) for source in MAPPED]  # another lake's mapping made it
    (tmp_path / "odd.jsonl").write_text("\n".join(odd))
    assert lake.ingest(tmp_path / "odd.jsonl").landed == len(odd)
    asked = [each for each in questions(lake.layout).values() if each.source]
    assert Counter(each.source for each in asked) == dict.fromkeys(MAPPED, 3)
    for each in asked:
        assert each.name.startswith(f"{each.source}_")
        assert f"source = '{each.source}'" in each.sql
        values = {"item": "V1/I1"} if each.parameters else {}
        assert lake.sql(each.sql, values).fetchall(), each.name


PEOPLE = ("Ann", "ann@example.org", "Bob", "bob@example.org", "Carol", "carol@example.org", "192.0.2.10")
"""How fixtures name people; whoever does something in one has a user_id, and all of these belong to such people."""

TIMELESS = ("timestamp is missing", "not a time", "no line of auditd")
"""Why a record is no event that has no time, or one that its vendor never wrote: such records do not count."""

# Of each vendor the real files, as patterns, and the records in them that are events.
FILES = {
    "github_audit": (("github_audit/*rules.ndjson", "github_audit/azure*.ndjson"), 40),
    "gcp_audit": (
        (
            "gcp_audit/*rules.ndjson",
            "gcp_audit/plaso*",
            "gcp_audit/otel*",
            "gcp_audit/*/google.[adils]*.json",
            "gcp_audit/*/google.cloud.[ai]*.json",
        ),
        59,
    ),
    "gworkspace": (("gworkspace/*rules.ndjson",), 21),
    "slack": (("slack/*rules.ndjson",), 21),
    "onepassword": (("onepassword/*rules.ndjson",), 4),
    "openai_audit": (("llm/panther_openai*rules.ndjson",), 27),
    "anthropic_compliance": (("llm/panther_anthropic*rules.ndjson",), 18),
    "entra": (("entra/*rules.ndjson", "entra/otrf/*.json"), 24),
    "azure_activity": (("azure_activity/*rules.ndjson", "azure_activity/plaso*"), 107),
    "m365": (("m365/otrf/*.json",), 1),
    "k8s_audit": (
        ("k8s_audit/*.log", "k8s_audit/falco*.ndjson", "k8s_audit/*eks_rules.ndjson", "k8s_audit/*.csv"),
        8345,
    ),
    "okta": (("okta/*rules.ndjson",), 38),
    "litellm": (("llm/litellm_standard*.ndjson",), 72),
    "litellm_spend": (("llm/litellm_spend*.ndjson",), 42),
    "langfuse": (("llm/langfuse/*.json",), 31),
    "garak": (("llm/garak/*.jsonl",), 7),
    "sshd": (("sshd/*.log",), 9),
    "auditd": (("auditd/*/*.log", "auditd/*.log"), 66),
    "otlp_genai": (("otlp/otel_genai*",), 72),
    "ocsf": (("ocsf/*/*.parquet", "ocsf/prowler/*.json"), 23),
}


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not on this machine")
def test_real_files(tmp_path: Path) -> None:
    """Real files are recognised; every record is an event but those without a time, or whose id another one has."""
    vendors = {
        str(path): name
        for name, (patterns, _) in FILES.items()
        for pattern in patterns
        for path in REAL.glob(pattern)
        if "labels" not in path.name
    }
    summary = made(tmp_path / "lake").ingest(*vendors)
    assert {each.name: each.source for each in summary.inputs} == vendors
    assert set(summary.reasons) <= {"id_conflict", *TIMELESS}
    given = Counter[str]()
    for each in summary.inputs:
        given[each.source] += each.events
    assert given == {name: expected for name, (_, expected) in FILES.items()}
