"""OCSF: every event of a lake is valid, keeps what it was, and is what the tables say."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from itertools import cycle, product
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake import AuditLake, EventType
from auditlake.cli import ocsf as command
from auditlake.cli.docs import FOLDER
from auditlake.errors import LakeError, QueryError, SnapshotError
from auditlake.export import ocsf
from auditlake.ledger.keys import read_public_key
from auditlake.testing import NOW, events
from tests.export.schema import faults
from tests.export.tables import activities_table, tables, types_table
from tests.lakes import temporary_lake
from tests.soak import mostly

VERSIONS = ("1.8.0", "1.9.0")
OWN = "robot_moved"
TYPES = (*EventType, OWN)
KINDS = (None, "user", "role", "group", "policy", "app", "key", "Group", "other")
CREDENTIALS = (None, "password", "mfa", "token", "key", "certificate")
VERBS = (
    None, "create", "read", "update", "delete", "enable", "disable", "lock", "unlock", "attach", "detach", "assign",
    "revoke", "Update", "sing",
)  # fmt: skip
HOSTILE = (
    "'; drop table events; --", '"}],"class_uid":1,{"', "\\u0000 \\", "$version {x} %s", "a\nb\r\tc\x1b[2J\x7f\x9b",
    "\u202eabc\u2028\ufeff", "\U0001f600 \U000e0041", "<script>", "=1+1", " ", "getvariable('ocsf')", "null",
)  # fmt: skip


def exported(lake: AuditLake, version: str = "1.8.0", **options: Any) -> list[dict[str, Any]]:
    """The events, as they are written."""
    stream = io.BytesIO()
    written = lake.export.ocsf(stream, version=version, **options)
    lines = stream.getvalue().decode().splitlines()
    assert written.events == len(lines)
    return [json.loads(line) for line in lines]


def by_id(found: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["uid"]: each for each in found}


def record(number: int, event_type: str, **fields: Any) -> dict[str, Any]:
    at = (NOW - timedelta(seconds=number)).isoformat()
    return {"event_id": f"e{number}", "event_type": event_type, "timestamp": at} | fields


@pytest.fixture
def lake() -> Iterator[AuditLake]:
    """A lake with a type of its own."""
    with temporary_lake(event_types=[OWN]) as made:
        yield made


# Every event is valid


def test_every_combination_is_valid(lake: AuditLake) -> None:
    """Each type, with each kind of target and verb, and each credential in turn, is valid, and its numbers agree."""
    chosen = zip(product(TYPES, KINDS, VERBS), cycle(CREDENTIALS), strict=False)
    cases = [(kind, target, credential, verb) for (kind, target, verb), credential in chosen]
    lake.ingest([
        record(number, kind, metadata={"target_kind": target, "credential": credential, "verb": verb})
        for number, (kind, target, credential, verb) in enumerate(cases)
    ])  # fmt: skip
    for version in VERSIONS:
        found = exported(lake, version)
        assert len(found) == len(TYPES) * len(KINDS) * len(VERBS)
        assert {fault for each in found for fault in faults(each)} == set()


texts = (
    st.none() | st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
words = st.sampled_from(["success", "failure", "pending", "Denied", "blocked", "flagged", ""]) | texts
addresses = st.sampled_from(
    ["10.0.0.1", "::1", "2001:db8::1", "::ffff:10.0.0.1", "1:2:3:4:5:6:100.100.100.100", "host"]
)
keys = (
    "verb", "target_kind", "credential", "mfa", "actor_type", "user_name", "error_code", "error_message", "reason",
    "user_agent", "country", "account", "region", "model", "provider", "tokens", "severity", "read_only", "other",
)  # fmt: skip
values = (
    texts | st.sampled_from([*VERBS, *KINDS, *CREDENTIALS, "true", "high", "1e9"]) | st.booleans() | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False) | st.lists(st.integers(), max_size=2) | st.just({"a": None})
)  # fmt: skip
anything = st.fixed_dictionaries(
    {"event_type": st.sampled_from(TYPES)},
    optional={
        "user_id": texts, "action": texts, "resource": texts | st.just("arn:aws:s3:::b/k"), "status": words,
        "session_id": texts, "ip_address": addresses | texts,
        "details": st.dictionaries(st.sampled_from([*HOSTILE, *keys]), values, max_size=3),
        "metadata": st.dictionaries(st.sampled_from(keys), values, max_size=6),
    },
)  # fmt: skip


@given(st.lists(anything, min_size=20, max_size=40), st.sampled_from(VERSIONS))
@settings(max_examples=4)
def test_whatever_was_said_is_valid(cases: list[dict[str, Any]], version: str) -> None:
    """Events of any type that say anything are valid, and what they said is in them, letter by letter."""
    _judge(cases, version)


@pytest.mark.soak
@given(st.lists(anything, min_size=1, max_size=12), st.sampled_from(VERSIONS))
def test_whatever_was_said_in_many_lakes_is_valid(cases: list[dict[str, Any]], version: str) -> None:
    """The same of many lakes, each with fewer events."""
    _judge(cases, version)


def _judge(cases: list[dict[str, Any]], version: str) -> None:
    with temporary_lake(event_types=[OWN]) as lake:
        given_events = {f"e{number}": record(number, **case) for number, case in enumerate(cases)}
        assert lake.ingest(list(given_events.values())).quarantined == 0
        found = by_id(exported(lake, version))

        assert found.keys() == given_events.keys()
        for event_id, event in found.items():
            said = given_events[event_id]
            assert faults(event) == []
            assert event["metadata"]["event_code"] == said["event_type"]
            assert event["actor"].get("user", {}).get("uid", "") == (said.get("user_id") or "")
            assert event["actor"].get("session", {}).get("uid", "") == (said.get("session_id") or "")
            assert event["message"].startswith(said.get("action") or said["event_type"])
            assert event.get("unmapped") == said.get("metadata")
            if "details" in said:
                assert json.loads(event["raw_data"]) == said["details"]


@pytest.mark.parametrize("version", VERSIONS)
def test_hostile_text_is_text(lake: AuditLake, version: str) -> None:
    """Text that looks like SQL or JSON stays text, and no line has a character that a terminal would act on."""
    fields = ("user_id", "action", "resource", "status", "session_id", "ip_address")
    lake.ingest([
        record(number, "api_call", **dict.fromkeys(fields, text), metadata=dict.fromkeys(keys, text),
               details={text: text})
        for number, text in enumerate(HOSTILE)
    ])  # fmt: skip
    stream = io.BytesIO()
    lake.export.ocsf(stream, version=version)
    found = by_id(map(json.loads, stream.getvalue().decode().split("\n")[:-1]))

    for number, text in enumerate(HOSTILE):
        event = found[f"e{number}"]
        assert (event["class_uid"], event["actor"]["user"]["uid"], event["unmapped"]["reason"]) == (6003, text, text)
        assert json.loads(event["raw_data"]) == {text: text}
    assert not {*stream.getvalue().decode()} & {*"\x1b\x7f\x9b\r\t\u202e\u2028\ufeff\U000e0041"}


# What an event becomes


CASES: Mapping[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a role is assigned": (
        {"event_type": "permission_change", "metadata": {"verb": "create", "target_kind": "role"}},
        {"class_uid": 3005, "activity_id": 1},
        {"class_uid": 3008, "activity_id": 4},
    ),
    "rights are taken": (
        {"event_type": "permission_change", "metadata": {"verb": "delete"}, "resource": "bob"},
        {"class_uid": 3005, "activity_id": 2, "user": {"uid": "bob"}},
        {"class_uid": 3007, "activity_id": 15, "user": {"uid": "bob"}},
    ),
    "a policy is attached": (
        {"event_type": "permission_change", "metadata": {"verb": "create", "target_kind": "policy"}},
        {"class_uid": 3005, "activity_id": 1},
        {"class_uid": 3007, "activity_id": 10},
    ),
    "a group's rights": (
        {"event_type": "permission_change", "metadata": {"verb": "update", "target_kind": "group"}},
        {"class_uid": 3006, "activity_id": 1},
        {"class_uid": 3006, "activity_id": 1},
    ),
    "an account is made": (
        {"event_type": "account_change", "metadata": {"verb": "create"}},
        {"class_uid": 3001, "activity_id": 1},
        {"class_uid": 3007, "activity_id": 1},
    ),
    "a password is changed": (
        {"event_type": "account_change", "metadata": {"verb": "update", "credential": "password"}},
        {"class_uid": 3001, "activity_id": 3},
        {"class_uid": 3007, "activity_id": 8},
    ),
    "a key is made": (
        {"event_type": "account_change", "action": "CreateKey", "metadata": {"verb": "create", "credential": "key"}},
        {"class_uid": 3001, "activity_id": 99, "activity_name": "CreateKey"},
        {"class_uid": 3007, "activity_id": 18},
    ),
    "of an account, the action's word says too little": (
        {"event_type": "account_change", "action": "iam:CreateAccessKey"},
        {"class_uid": 3001, "activity_id": 99},
        {"class_uid": 3007, "activity_id": 99},
    ),
    "the action's word": ({"event_type": "api_call", "action": "s3:DeleteObject"}, *[{"activity_id": 4}] * 2),
    "a word within a word": ({"event_type": "api_call", "action": "s3:Gettysburg"}, *[{"activity_id": 99}] * 2),
    "it only read": ({"event_type": "api_call", "metadata": {"read_only": True}}, *[{"activity_id": 2}] * 2),
    "a login with two factors": (
        {"event_type": "login", "user_id": "ann", "metadata": {"mfa": True, "user_name": "Ann"}, "session_id": "s"},
        *[{"is_mfa": True, "user": {"uid": "ann", "name": "Ann"}, "session": {"uid": "s"}, "activity_id": 1}] * 2,
    ),
    "nobody's login": (
        {"event_type": "login"}, *[{"user": {"name": "Unknown"}, "actor": {"app_name": "auditlake"}}] * 2,
    ),
    "a failure by its type": (
        {"event_type": "auth_failure", "status": "odd"}, *[{"status_id": 2, "status": "odd"}] * 2,
    ),
    "a status of its own": ({"event_type": "api_call", "status": "odd"}, *[{"status_id": 99, "status": "odd"}] * 2),
    "no status": ({"event_type": "api_call"}, *[{"status_id": 0}] * 2),
    "its own severity": ({"event_type": "api_call", "metadata": {"severity": "High"}}, *[{"severity_id": 4}] * 2),
    "where and with what": (
        {"event_type": "api_call", "ip_address": "10.0.0.1", "metadata": {"country": "DE", "user_agent": "curl"}},
        *[{
            "src_endpoint": {"ip": "10.0.0.1", "location": {"country": "DE"}}, "http_request": {"user_agent": "curl"},
        }] * 2,
    ),
    "no address": ({"event_type": "api_call", "ip_address": "a host"}, *[{"src_endpoint": {"name": "a host"}}] * 2),
    "nowhere": ({"event_type": "api_call"}, *[{"src_endpoint": {"name": "Unknown"}}] * 2),
    "a cloud": (
        {"event_type": "data_access", "metadata": {"account": "1", "region": "eu"}},
        *[{"cloud": {"provider": "auditlake", "account": {"uid": "1"}, "region": "eu"}}] * 2,
    ),
    "an error": (
        {"event_type": "api_call", "metadata": {"error_code": 403, "error_message": "no"}},
        *[{"status_code": "403", "status_detail": "no"}] * 2,
    ),
    "a model": (
        {"event_type": "model_access", "metadata": {"model": "m", "provider": "p", "tokens": 7}},
        *[{
            "ai_model": {"name": "m", "ai_provider": "p"},
            "message_context": {"total_tokens": 7, "service": {"name": "auditlake"}},
        }] * 2,
    ),
    "a blocked prompt": (
        {"event_type": "prompt_injection", "status": "blocked"},
        *[{"class_uid": 2004, "status_id": 1, "action_id": 2, "disposition_id": 2, "status_detail": "blocked"}] * 2,
    ),
    "denied": ({"event_type": "access_denied"}, *[{"action_id": 2, "disposition_id": 2, "status_id": 2}] * 2),
    "a bucket": (
        {"event_type": "data_deletion", "resource": "arn:aws:s3:::b"},
        *[{"databucket": {"uid": "arn:aws:s3:::b", "type_id": 1}, "activity_id": 7}] * 2,
    ),
    "a process": (
        {"event_type": "process_execution", "action": "rm -r /", "user_id": "root"},
        *[{"class_uid": 1007, "activity_id": 1, "actor": {"user": {"uid": "root"}}}] * 2,
    ),
    "a firewall": ({"event_type": "network_change"}, *[{"class_uid": 6003, "activity_id": 3}] * 2),
    "a type of the lake's own": ({"event_type": OWN}, *[{"class_uid": 6003, "activity_id": 99}] * 2),
}  # fmt: skip


@pytest.fixture(scope="module")
def became() -> Mapping[tuple[str, str], dict[str, Any]]:
    """What each case became in each version."""
    with temporary_lake(event_types=[OWN]) as made:
        made.ingest([record(number, **fields) for number, (fields, *_) in enumerate(CASES.values())])
        found = {version: by_id(exported(made, version)) for version in VERSIONS}
    return {(case, version): found[version][f"e{n}"] for n, case in enumerate(CASES) for version in VERSIONS}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_what_an_event_becomes(became: Mapping[tuple[str, str], dict[str, Any]], case: str, version: str) -> None:
    """An event of this kind has these attributes, and is valid."""
    event = became[case, version]
    wanted = CASES[case][1 + VERSIONS.index(version)]

    assert {name: event.get(name) for name in wanted} == wanted
    assert faults(event) == []


def test_times_are_kept_to_the_microsecond(lake: AuditLake) -> None:
    """`time` is in milliseconds, rounded down, and the instant itself is beside it."""
    lake.ingest(
        [
            record(0, "login", timestamp="2026-03-01T10:00:00.123999Z"),
            record(1, "login", timestamp="1970-01-01T00:00:00Z"),
        ]
    )
    first, last = exported(lake)

    assert (first["time"], last["time"]) == (0, 1772359200123)
    assert last["metadata"]["original_time"] == "2026-03-01T10:00:00.123999Z"


def test_every_type_has_a_row() -> None:
    """Each built-in event type has one row for any target in each version, and each row's class is listed."""
    rows = tables().execute("select event_type, target_kind, version, class_uid from ocsf_types").fetchall()
    classes = {uid for (uid,) in tables().execute("select class_uid from ocsf_classes").fetchall()}
    for version in VERSIONS:
        general = [row[0] for row in rows if row[1] is None and row[2] in {None, version}]
        assert sorted(general) == sorted(EventType)
    assert {row[3] for row in rows} <= classes


def test_the_page_has_the_tables() -> None:
    """The page of the documentation has the tables as the statements have them."""
    page = (FOLDER / "reference" / "ocsf-export.md").read_text(encoding="utf-8")

    assert types_table() in page
    assert activities_table() in page


def test_versions_are_the_same_everywhere() -> None:
    """The command line offers the versions that can be written."""
    assert command.VERSIONS == ocsf.VERSIONS == VERSIONS


# Which events


@pytest.fixture(scope="module")
def mixed() -> Iterator[AuditLake]:
    """A lake of many days, users and statuses, with events that are not flushed; no test changes it."""
    types = ("login", "auth_failure", "data_access")
    with temporary_lake(event_types=[OWN]) as lake:
        _fill(lake, types)
        yield lake


def _fill(lake: AuditLake, types: Sequence[str]) -> None:
    lake.ingest([
        record(number, types[number % 3], user_id=f"u{number % 4}", status=("success", None)[number % 2],
               timestamp=(NOW - timedelta(hours=7 * number)).isoformat(), ip_address=f"10.0.0.{number % 5}",
               session_id=f"s{number % 6}", resource=f"r{number % 7}")
        for number in range(60)
    ])  # fmt: skip
    lake.log(event_id="live", event_type="login", user_id="u1")


ALWAYS = [
    {"event_type": ["login", "data_access"], "user_id": "u1"}, {"since": "2026-03-20", "until": "2026-03-25"},
    {"ip_address": "10.0.0.3", "session_id": ["s2", "s3"], "resource": "r3"}, {"user_id": "x' or 1=1 --"},
    {"snapshot": 1, "source": "auditlake", "status": "success"},
]  # fmt: skip
OTHERS = [
    {}, {"event_type": "login"}, {"status": "success"}, {"until": "2026-03-25T00:00:00Z"}, {"source": "cloudtrail"},
]  # fmt: skip


@pytest.mark.parametrize("filters", mostly([*ALWAYS, *OTHERS], always=ALWAYS))
def test_filters_are_those_of_events(mixed: AuditLake, filters: dict[str, Any]) -> None:
    """An export has the events that `lake.events` has for the same filters, in the same order."""
    wanted = [row[0] for row in mixed.events(**filters).fetchall()]

    assert [each["metadata"]["uid"] for each in exported(mixed, **filters)] == wanted


def test_pieces_make_no_difference(mixed: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many days are sorted together, the bytes are the same."""
    whole, parts = io.BytesIO(), io.BytesIO()
    mixed.export.ocsf(whole, version="1.9.0")
    monkeypatch.setattr(ocsf, "PIECE", 5)
    mixed.export.ocsf(parts, version="1.9.0")

    assert whole.getvalue() == parts.getvalue() != b""


def test_parquet_has_what_the_lines_have(mixed: AuditLake, tmp_path: Path) -> None:
    """A Parquet file has the same events, a column an attribute, by the ending of its name as well."""
    mixed.export.ocsf(tmp_path / "a.parquet", version="1.9.0")
    mixed.export.ocsf(tmp_path / "b", version="1.9.0", parquet=True)

    def present(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: present(each) for key, each in value.items() if each is not None}
        return list(map(present, value)) if isinstance(value, list) else value

    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert list(map(present, rows)) == exported(mixed, "1.9.0")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b").read_bytes()


def test_no_events(lake: AuditLake, tmp_path: Path) -> None:
    """Without events a file of lines is empty, and one of Parquet has its columns."""
    assert lake.export.ocsf(str(tmp_path / "a.jsonl")).events == 0
    assert lake.export.ocsf(tmp_path / "a.parquet").events == 0

    assert (tmp_path / "a.jsonl").read_bytes() == b""
    table = pq.read_table(tmp_path / "a.parquet")
    assert (table.num_rows, {"class_uid", "actor", "metadata"} <= {*table.column_names}) == (0, True)


# Proof and persons


def test_attestations_lead_to_the_ledger(mixed: AuditLake) -> None:
    """In 1.9.0 the fingerprint is the event's leaf in the ledger; an event that is not in it yet has none."""
    found = by_id(exported(mixed, "1.9.0"))
    proof = json.loads(mixed.ledger.prove("e7"))
    (attestation,) = found["e7"]["attestation_list"]

    assert attestation["fingerprint"]["value"] == sha256(b"\0" + proof["canonical"].encode()).hexdigest()
    assert attestation["chain_uid"] == mixed.ledger.checkpoint().decode().splitlines()[0]
    assert attestation["authority_uid"] == str(read_public_key(mixed.layout))
    assert "attestation_list" not in found["live"]
    assert "record_integrity" not in found["live"]["metadata"].get("profiles", [])
    assert all("attestation_list" not in each for each in exported(mixed))


def test_erased_persons_stay_pseudonyms(lake: AuditLake) -> None:
    """After an erasure the name is nowhere in an export, and every event is still valid."""
    lake.ingest([
        record(number, kind, user_id="ann", ip_address="10.9.8.7", session_id="sess-77", resource="ann",
               details={"email": "ann"}, metadata={"user_name": "ann", "target_kind": "user"})
        for number, kind in enumerate(EventType)
    ])  # fmt: skip
    before = exported(lake, "1.9.0")
    lake.retention.erase("ann", reason="Article 17", ticket="G-1", operator="dpo")
    after = exported(lake, "1.9.0")
    erased = [each for each in after if each["metadata"]["log_name"] == "auditlake"]

    assert '"ann"' in json.dumps(before)
    assert '"ann"' not in json.dumps(erased).replace("\\", "")
    assert "10.9.8.7" not in json.dumps(erased)
    assert {fault for each in after for fault in faults(each)} == set()


# What is refused


def test_what_is_refused(lake: AuditLake, tmp_path: Path) -> None:
    """An unknown version, snapshot or folder is an error of the tree, and a file that was there stays."""
    lake.ingest(events())
    (tmp_path / "kept").write_text("kept")
    with pytest.raises(QueryError, match=r"OCSF '1\.7\.0' cannot be written"):
        lake.export.ocsf(tmp_path / "kept", version="1.7.0")
    with pytest.raises(SnapshotError):
        lake.export.ocsf(tmp_path / "kept", snapshot=9)
    with pytest.raises(LakeError, match="no folder"):
        lake.export.ocsf(tmp_path / "none" / "x")

    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert (tmp_path / "kept").read_text() == "kept"
