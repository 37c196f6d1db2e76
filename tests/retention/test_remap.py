"""A remap: the present mapping derives columns anew, records, ids and times stay, and holds and erasures win."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from auditlake import AuditLake
from auditlake.alerts.lake_reader import brought
from auditlake.errors import AuditLakeError, LedgerError, MappingError, RetentionError, SnapshotError, SourceError
from auditlake.ledger.book import read_entry, read_head
from auditlake.retention import remap as room
from auditlake.retention.cleanup import certificate_paths
from auditlake.sources.catalog import built_in
from auditlake.store.deltalog import commit_metadata, last_change
from auditlake.store.pseudonyms import pseudonyms
from auditlake.verify.prove import verify_proof
from tests.cli.conftest import Run
from tests.lakes import make_lake
from tests.retention.lakes import DAY, NOW, Clock, graced, made, policy_text
from tests.soak import mostly
from tests.store.lakes import data_files
from tests.templates import copy_of

HOLD = {"reason": "r", "owner": "o", "ticket": "t"}
WHY = {"reason": "Article 17", "ticket": "G-1"}
FIRST = """
source: doors
match: [at, who, did]
event_id: id
timestamp: at
user_id: who.mail
action: did
resource: door
status: [success: ok, failure: true]
event_type:
  - access_granted: ok
  - api_call: true
personal:
  names: [who.mail, who.name]
"""
SECOND = (
    FIRST.replace("source: doors", "source: doors\nversion: 2")
    .replace("resource: door", "resource: concat('doors/', door)\nmetadata: {user_name: who.name, floor: floor}")
    .replace("  - api_call", "  - access_denied: did = 'door.open'\n  - api_call")
)
TYPES = {("access_granted", "access_granted"): 6, ("api_call", "access_denied"): 4, ("api_call", "api_call"): 2}
COLUMNS = "event_type, user_id, action, resource, status, metadata, session_id, ip_address"
STAYING = 'event_id, "timestamp", details, source, ingested_at'


def door(number: int, **more: Any) -> dict[str, Any]:
    """A record of a door: every other fails, and every sixth of these is no opening."""
    name = ("ann", "bob", "cleo")[number % 3]
    return {
        "id": f"e{number}", "at": (NOW - (1 + number % 2) * DAY).isoformat(), "door": f"d{number}",
        "who": {"mail": f"{name}@example.org", "name": f"{name} of Ghent"},
        "did": "door.lock" if number % 6 == 1 else "door.open", "ok": number % 2 == 0, "floor": number % 4, **more,
    }  # fmt: skip


def put_mapping(lake: AuditLake, text: str) -> None:
    """Let the lake read doors in this way."""
    (lake.layout.root / "sources").mkdir(exist_ok=True)
    (lake.layout.root / "sources" / "doors.yaml").write_text(text)


def bring(lake: AuditLake, records: list[dict[str, Any]], name: str = "doors.jsonl") -> Any:
    """Ingest records of doors."""
    file = lake.layout.root.parent / name
    file.write_text("".join(json.dumps(each) + "\n" for each in records))
    return lake.ingest(file, source="doors")


def mapped(folder: Path, text: str, records: list[dict[str, Any]] | None = None) -> AuditLake:
    """A lake with doors, read by a mapping."""
    lake = graced(made(folder / "lake", {"keep": policy_text(["access_granted"], "100d")}, Clock()), "0h")
    put_mapping(lake, text)
    bring(lake, [door(n) for n in range(12)] if records is None else records)
    return lake


def first(folder: Path) -> None:
    """Make a lake of twelve doors by the first mapping."""
    mapped(folder, FIRST)


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of twelve doors, whose mapping has changed since."""
    lake = AuditLake(copy_of(first, tmp_path) / "lake", clock=Clock())
    put_mapping(lake, SECOND)
    return lake


def rows(lake: AuditLake, columns: str = COLUMNS, snapshot: int | None = None) -> dict[str, tuple[Any, ...]]:
    """The events by their ids."""
    return {row[0]: row[1:] for row in lake.sql(f"select event_id, {columns} from events", snapshot=snapshot)}


def columns_of(lake: AuditLake, event_id: str) -> dict[str, Any]:
    """The columns of one event that a mapping gives."""
    return dict(zip(COLUMNS.split(", "), rows(lake)[event_id], strict=True))


def verdicts(lake: AuditLake) -> set[str]:
    """What verification says of the parts; nothing is wrong."""
    report = lake.ledger.verify()
    assert report.ok, report.problems
    assert lake.ledger.verify(full=False).ok
    return {part.verdict for batch in report.batches for part in batch.parts}


def certificate(lake: AuditLake, name: str | None) -> dict[str, Any]:
    """A certificate as its file has it; its page is there, too."""
    assert name is not None
    made_one, page = certificate_paths(lake.layout, name)
    assert page.exists()
    return dict(json.loads(made_one.read_bytes()))


# What it does


def test_it_ends_where_a_new_ingest_would(lake: AuditLake, tmp_path: Path) -> None:
    """The columns are those that the new mapping gives the records; ids, times, details and order stay."""
    staying = rows(lake, STAYING)
    done = lake.sources.remap("doors")

    assert rows(lake) == rows(mapped(tmp_path / "new", SECOND))
    assert rows(lake, STAYING) == staying
    assert done.events == 12
    assert verdicts(lake) == {"remapped"}


FIXTURES = Path(__file__).parents[1] / "sources" / "fixtures"
RECORDS = {
    "okta": [
        {"uuid": "u1", "published": "2026-03-01T08:00:00.123Z", "eventType": "user.session.start",
         "actor": {"id": "00u1", "type": "User", "alternateId": "ann@example.org"}, "outcome": {"result": "FAILURE"},
         "client": {"ipAddress": "192.0.2.7", "geographicalContext": {"country": "Norway"}}, "price": 1.50},
        {"uuid": "u2", "published": "2026-03-01T08:00:01Z", "eventType": "policy.rule.update",
         "actor": {"id": "00u2"}, "outcome": {"result": "SUCCESS"}, "target": [{"type": "Rule", "id": "p\u00e9"}]},
    ],
    "k8s_audit": [
        {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": "a1", "verb": "delete",
         "stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/x/secrets/s", "user": {"username": "ann"},
         "sourceIPs": ["192.0.2.8"], "objectRef": {"resource": "secrets", "namespace": "x", "name": "s"},
         "responseStatus": {"code": 200}, "stageTimestamp": "2026-03-02T08:00:00.000001Z"},
    ],
}  # fmt: skip


def records_of(name: str) -> list[str]:
    """Records of a source: those of its mapping's tests, of its fixture, or of this file."""
    tests = [each.record for each in built_in()[name].mapping.tests if each.expect]
    fixtures = [line for file in FIXTURES.glob(f"{name}.jsonl") for line in file.read_text().splitlines()]
    return [*tests, *fixtures] or [json.dumps(each) for each in RECORDS.get(name, ())]


MAPPED = [source.name for source in built_in() if source.outline and "json" in source.outline.read]


@pytest.mark.parametrize("name", mostly(MAPPED, always=["okta"]))
def test_every_mapping_again(tmp_path: Path, name: str) -> None:
    """Whatever a source's events were taken for, its mapping makes of their details what it makes of the records."""
    text = re.sub(rf"^source: {name}$", f"source: own_{name}", built_in()[name].text, flags=re.MULTILINE)
    keys = yaml.safe_load(text)
    plain = {key: keys[key] for key in keys if key not in ("metadata", "user_id", "resource", "status", "tests")}
    plain["event_type"] = [{"system_error": True}]
    for more in plain.get("also", []):
        more.pop("event_type", None)
        more.pop("metadata", None)
    file = tmp_path / "records.jsonl"
    file.write_text("".join(f"{each}\n" for each in records_of(name)))
    lakes = [make_lake(tmp_path / each) for each in ("remapped", "new")]
    for lake, mapping in zip(lakes, (yaml.safe_dump(plain, sort_keys=False, width=10_000), text), strict=True):
        (lake.layout.root / "sources").mkdir()
        (lake.layout.root / "sources" / "own.yaml").write_text(mapping)
        assert lake.ingest(file, source=f"own_{name}").landed
    (lakes[0].layout.root / "sources" / "own.yaml").write_text(text)
    done = lakes[0].sources.remap(f"own_{name}", accept_weaker="tests")

    remapped, new = map(rows, lakes)
    assert remapped.keys() == new.keys()
    assert sum(remapped[each] != new[each] for each in new) <= done.plan.left.total()
    assert done.events


def test_the_plan_says_it_before(lake: AuditLake) -> None:
    """The plan names types, columns and days, and changes nothing; what is done is what was planned."""
    before = lake.snapshot().version
    plan = lake.sources.remap_plan("doors")

    assert dict(plan.types) == TYPES
    assert dict(plan.columns) == {"event_type": 4, "resource": 12, "metadata": 12}
    assert [(day.day.day, day.changed, day.events) for day in plan.days] == [(30, 6, 6), (31, 6, 6)]
    assert (plan.looked_at, plan.changed, plan.mapping.partition("@")[0]) == (12, 12, "doors/2")
    assert lake.snapshot().version == before
    assert lake.sources.remap("doors", plan=plan.digest).plan.digest == plan.digest
    assert lake.sources.remap("doors", plan=plan.digest).was_done
    with pytest.raises(RetentionError, match="the plan has changed"):
        lake.sources.remap("doors", plan="sha256:" + "0" * 64)


def test_certificate_and_entry(lake: AuditLake) -> None:
    """The certificate, the commit and the ledger's entry say what was done, by which mapping and by whom."""
    done = lake.sources.remap("doors", operator="dana")
    said = certificate(lake, done.certificate)
    head = read_head(lake.layout)
    assert head is not None
    entry = read_entry(lake.layout, head.size - 1)

    assert (said["kind"], said["operator"], said["deleted"], said["pseudonymised"]) == ("remap", "dana", 0, 0)
    assert (said["remap"]["events"], said["remap"]["columns"]["event_type"]) == (12, 4)
    assert {(each["before"], each["after"]): each["events"] for each in said["remap"]["types"]} == TYPES
    assert [each["remapped"] for each in said["partitions"]] == [6, 6]
    assert (said["plan_digest"], said["remaining"], said["places"]) == (done.plan.digest, None, [])
    assert (commit_metadata(lake.layout, done.snapshot) or {})["certificate"] == said
    assert (entry.kind, entry.details["certificate"]) == ("remap", done.certificate)
    assert (entry.details["source"], entry.details["mapping"]) == ("doors", done.plan.mapping)
    page = certificate_paths(lake.layout, done.certificate or "")[1].read_text()
    assert "12 events derived anew" in page
    assert "api_call became access_denied" in page


def test_another_name_of_the_mapping_is_no_change(lake: AuditLake) -> None:
    """An event of which only the version in its metadata would differ stays; the same again does nothing."""
    put_mapping(lake, FIRST.replace("source: doors", "source: doors\nversion: 3"))
    done = lake.sources.remap("doors")
    assert (done.events, done.certificate, done.plan.changes) == (0, None, ())

    put_mapping(lake, SECOND)
    assert lake.sources.remap("doors").events == 12
    assert lake.sources.remap("doors").certificate is None


def test_only_of_a_period(lake: AuditLake) -> None:
    """Both ends of a period are within it."""
    day = (NOW - DAY).date()
    assert lake.sources.remap_plan("doors", since=day).changed == 6
    assert lake.sources.remap_plan("doors", until=NOW - DAY).changed == 12
    assert lake.sources.remap_plan("doors", until=NOW - 2 * DAY).changed == 6
    assert lake.sources.remap("doors", since=day, until=day).events == 6
    assert sum(row[0] == "access_denied" for row in rows(lake).values()) == 0
    with pytest.raises(SourceError, match="before it begins"):
        lake.sources.remap("doors", since=NOW, until=NOW - DAY)


def test_the_same_file_again_is_known(lake: AuditLake) -> None:
    """Remapped events that come again are duplicates, by the new mapping and by the old one."""
    lake.sources.remap("doors")
    for text in (SECOND, FIRST):
        put_mapping(lake, text)
        summary = bring(lake, [door(n) for n in range(12)])
        assert (summary.landed, summary.quarantined) == (0, 0)


def test_other_sources_stay(lake: AuditLake) -> None:
    """Events of another source on the same days keep every column."""
    other = {"event_id": "x", "event_type": "login", "timestamp": (NOW - DAY).isoformat(), "user_id": "ann"}
    file = lake.layout.root.parent / "other.jsonl"
    file.write_text(json.dumps(other) + "\n")
    lake.ingest(file)
    before = rows(lake)["x"]
    lake.sources.remap("doors")
    assert rows(lake)["x"] == before
    assert verdicts(lake) == {"remapped", "verified"}


# What it refuses


@pytest.mark.parametrize(
    ("matching", "counts"),
    [({"event_types": ["api_call"]}, (6, 2)), ({"event_types": ["access_denied"]}, (0, 4)),
     pytest.param({"resources": ["d2"]}, (1, 0), marks=pytest.mark.soak),
     pytest.param({"resources": ["doors/d2"]}, (0, 1), marks=pytest.mark.soak)],
)  # fmt: skip
def test_holds_stop_it(lake: AuditLake, matching: dict[str, Any], counts: tuple[int, int]) -> None:
    """A hold that matches an event as it is, or as it would become, stops the whole; its release lets it go on."""
    lake.holds.add("h", **HOLD, **matching)
    before, version = rows(lake), lake.snapshot().version
    assert lake.sources.remap_plan("doors").held == {"h": counts}

    with pytest.raises(RetentionError, match=r"a legal hold keeps events that would change: h \("):
        lake.sources.remap("doors")
    assert (rows(lake), lake.snapshot().version) == (before, version)

    lake.holds.release("h", reason="over")
    assert lake.sources.remap("doors").events == 12


def test_a_hold_over_what_stays(lake: AuditLake) -> None:
    """A hold on events that do not change stops nothing."""
    lake.holds.add("h", **HOLD, user_ids=["ann@example.org"])
    put_mapping(
        lake, FIRST.replace("resource: door", "resource: concat(door, case when who.mail like 'bob%' then '!' end)")
    )
    assert lake.sources.remap("doors").events == 4


def test_a_hold_that_has_gone(lake: AuditLake) -> None:
    """Where a hold's file was removed, nothing is remapped."""
    lake.holds.add("h", **HOLD, user_ids=["nobody"])
    lake.layout.hold("h").unlink()
    with pytest.raises(RetentionError, match="nothing was remapped: the hold h has gone"):
        lake.sources.remap("doors")


def test_shorter_needs_a_reason(lake: AuditLake) -> None:
    """Events that are kept shorter under their new type need a reason, which the certificate has."""
    put_mapping(lake, SECOND.replace("access_granted: ok", "login: ok"))
    plan = lake.sources.remap_plan("doors")
    assert plan.weaker == ()  # nothing ends a login, without default_retention

    lake.layout.policy("short").write_text(policy_text(["login"], "10d", "5d"))
    plan = lake.sources.remap_plan("doors")
    assert [(each.what, each.events, each.weaker) for each in plan.retention] == [
        ("events", 6, True), ("personal data", 6, True),
    ]  # fmt: skip
    with pytest.raises(RetentionError, match="6 events of access_granted become login: kept for 10d"):
        lake.sources.remap("doors")
    done = lake.sources.remap("doors", accept_weaker="they are logins")
    assert certificate(lake, done.certificate)["weaker"] == {
        "changes": list(plan.weaker), "reason": "they are logins",
    }  # fmt: skip


def test_what_cannot_be_remapped(lake: AuditLake) -> None:
    """Sources that say themselves what they are, that nobody knows, and mappings with mistakes are refused."""
    for name, what in (("auditlake", "say themselves"), ("auditlake.self", "say themselves"), ("gates", "no source")):
        with pytest.raises(SourceError, match=what):
            lake.sources.remap(name)
    put_mapping(lake, SECOND + "nonsense: 1\n")
    with pytest.raises(MappingError):
        lake.sources.remap("doors")


# What it leaves


def test_what_the_mapping_cannot_make(lake: AuditLake) -> None:
    """Another time, a record left out and one that is refused stay as they are, and are counted by why."""
    before = rows(lake)
    put_mapping(lake, (
        SECOND.replace("timestamp: at", "timestamp: case when id = 'e1' then '2026-03-30T00:00:00Z' else \"at\" end")
        .replace("event_id: id", "skip: {no lock: \"id = 'e2'\"}\nevent_id: id")
        .replace("  - api_call: true", "  - api_call: id <> 'e7'")
    ))  # fmt: skip
    done = lake.sources.remap("doors")

    assert dict(done.plan.left) == {
        "it has another time now": 1, "the mapping leaves it out: no lock": 1,
        "the mapping refuses it: no event type fits": 1,
    }  # fmt: skip
    assert {name for name in before if rows(lake)[name] == before[name]} == {"e1", "e2", "e7"}
    assert "1 event stayed: it has another time now." in certificate(lake, done.certificate)["left"]
    assert verdicts(lake) == {"remapped"}


def test_erased_events_keep_their_person(lake: AuditLake) -> None:
    """Of an erased event no personal column is derived, and nothing of a personal place comes into another column."""
    done = lake.retention.erase("ann@example.org", **WHY)
    put_mapping(lake, (
        SECOND.replace("user_id: who.mail", "user_id: coalesce(nick, who.mail)\nsession_id: who.name")
        .replace("concat('doors/', door)", "concat('doors/', door, case when ok then '/' || nick end)")
    ))  # fmt: skip
    before = {name: row for name, row in rows(lake).items() if row[1] == done.pseudonym}
    remapped = lake.sources.remap("doors")

    assert len(before) == 4
    assert remapped.plan.erased == 4
    for name, row in before.items():
        now = columns_of(lake, name)
        assert (now["user_id"], now["session_id"], now["ip_address"]) == (done.pseudonym, None, None)
        assert json.loads(now["metadata"]).keys() == {"mapping", "floor"}
        assert now["resource"] == f"doors/{row[3]}"
    assert columns_of(lake, "e1")["session_id"] == "bob of Ghent"
    names = pseudonyms(lake.layout, make=False)
    assert names is not None
    for path in data_files(lake):
        assert b"ann" not in (lake.layout.events / path).read_bytes()
    assert certificate(lake, remapped.certificate)["remap"]["erased"] == 4
    assert verdicts(lake) == {"erased"}


def test_a_name_that_erasure_did_not_know(tmp_path: Path) -> None:
    """A place that only the new mapping calls personal does not give an erased event its name back."""
    old = FIRST.replace(", who.name]", "]")
    lake = mapped(tmp_path, old, [door(0), door(1)])
    lake.retention.erase("ann@example.org", **WHY)
    new = SECOND.replace("user_id: who.mail", "user_id: who.name").replace("'doors/', door", "'by ', who.name")
    put_mapping(lake, new.replace("user_name: who.name", "user_name: who.name, tags: \"concat('x ', who.name)\""))
    before = columns_of(lake, "e0")
    lake.sources.remap("doors")

    now = columns_of(lake, "e0")
    assert (now["user_id"], now["resource"]) == (before["user_id"], before["resource"])
    assert json.loads(now["metadata"]).keys() == {"mapping", "floor"}
    assert columns_of(lake, "e1")["resource"] == "by bob of Ghent"


def test_an_erased_person_who_is_named_again(lake: AuditLake) -> None:
    """Events of others that would become those of an erased person are counted; a further erasure covers them."""
    lake.retention.erase("ann@example.org", **WHY)
    put_mapping(lake, SECOND.replace("user_id: who.mail", "user_id: replace(who.mail, 'bob', 'ann')"))
    assert lake.sources.remap_plan("doors").named_again == 4
    done = lake.sources.remap("doors")
    assert any("is to be erased again" in each for each in certificate(lake, done.certificate)["left"])
    assert lake.retention.erase("ann@example.org", **WHY).events == 4


EACH = """
source: doors
match: [shift]
each: shift.lines
event_id: item.id
timestamp: item.at
user_id: by
action: item.did
resource: item.door
event_type: [api_call: true]
personal: {names: [by]}
"""


def shift(*numbers: int, **more: Any) -> dict[str, Any]:
    """A record of several doors."""
    lines = [
        {"id": f"e{n}", "at": (NOW - DAY).isoformat(), "did": "door.open", "door": f"d{n}", "n": 1.50} for n in numbers
    ]
    return {"by": "ann", "shift": {"lines": lines, "name": "night"}, "item": None, **more}


def test_elements_of_a_list(tmp_path: Path) -> None:
    """Each event of a list is derived from its own element, and what lay beside the list cannot be."""
    records = [{key: value for key, value in shift(0, 1, 2).items() if key != "item"}]
    lake = mapped(tmp_path, EACH, records)
    new = EACH.replace("resource: item.door", "resource: concat(item.door, ' ', item.n)\nsession_id: shift.name")
    put_mapping(lake, new.replace("event_id: item.id", "event_id: concat('x', item.id)"))
    done = lake.sources.remap("doors")

    assert {name: row[3] for name, row in rows(lake).items()} == {f"e{n}": f"d{n} 1.5" for n in range(3)}
    assert {row[6] for row in rows(lake).values()} == {None}
    assert done.plan.underivable == ("session_id",)
    assert verdicts(lake) == {"remapped"}


def test_several_events_of_a_record(tmp_path: Path) -> None:
    """Events of one record are told by their ids; one whose id the mapping does not make any more is left."""
    also = "also:\n  - {when: ok, event_id: \"id || '-ok'\", event_type: [login: true]}\n"
    lake = mapped(tmp_path, FIRST + also, [door(0), door(1), door(2)])
    put_mapping(lake, SECOND + also.replace("ok}", "ok").replace("when: ok,", "when: id = 'e0',"))
    done = lake.sources.remap("doors")

    assert {name: row[0] for name, row in rows(lake).items()} == {
        "e0": "access_granted", "e0-ok": "login", "e1": "api_call", "e2": "access_granted", "e2-ok": "login",
    }  # fmt: skip
    assert {name: row[3] for name, row in rows(lake).items()} == {
        "e0": "doors/d0", "e0-ok": "doors/d0", "e1": "doors/d1", "e2": "doors/d2", "e2-ok": "d2",
    }  # fmt: skip
    assert list(done.plan.left.values()) == [1]
    assert "is known to be it" in next(iter(done.plan.left))


def test_what_stood_around_a_record(tmp_path: Path) -> None:
    """A column that the mapping reads from the envelope stays: details do not have it."""
    old = FIRST.replace("match: [at, who, did]", "match: [body]\ninside: body").replace(
        "user_id: who.mail", "user_id: envelope.by"
    )
    lake = mapped(tmp_path, old, [{"by": "ann", "body": json.dumps(door(0))}])
    put_mapping(lake, old.replace("resource: door", "resource: upper(door)").replace("envelope.by", "envelope.by, 'x'"))
    done = lake.sources.remap("doors")
    assert (columns_of(lake, "e0")["user_id"], columns_of(lake, "e0")["resource"]) == ("ann", "D0")
    assert done.plan.underivable == ("user_id",)


# What others see


def test_a_change_by_hand_is_found(lake: AuditLake) -> None:
    """Verification still finds a remapped row that was changed by hand."""
    lake.sources.remap("doors")
    path = lake.layout.events / min(data_files(lake))
    _change_a_row(path)
    report = lake.ledger.verify()
    assert not report.ok
    assert any("row" in part.detail for batch in report.batches for part in batch.parts if part.verdict == "CHANGED")


def _change_a_row(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path).read()
    texts = table["resource"].to_pylist()
    texts[0] = "doors/other"
    index = table.schema.get_field_index("resource")
    pq.write_table(table.set_column(index, table.schema.field(index), pa.array(texts)), path)


def test_proofs(lake: AuditLake) -> None:
    """A proof from before still holds; a new one of a remapped event says why there is none."""
    before = lake.ledger.prove("e1")
    lake.sources.remap("doors")
    assert verify_proof(before, None).event["event_type"] == "api_call"
    with pytest.raises(LedgerError, match="its columns were derived anew"):
        lake.ledger.prove("e1")


def test_older_snapshots(lake: AuditLake) -> None:
    """A snapshot from before is answered exactly while its files are there, then refused with the certificate."""
    lake = graced(lake, "24h")
    before, version = rows(lake), lake.snapshot().version
    done = lake.sources.remap("doors")
    assert rows(lake, snapshot=version) == before

    lake.compact(grace_seconds=0)
    with pytest.raises(SnapshotError, match=f"derived the columns of 12 events of doors anew.*{done.certificate}"):
        rows(lake, snapshot=version)
    assert len(rows(lake)) == 12


def test_compacted_days(lake: AuditLake) -> None:
    """Days of several batches are remapped as one, and what is compacted or erased afterwards verifies."""
    put_mapping(lake, FIRST)
    bring(lake, [door(n) for n in range(12, 20)], "more.jsonl")
    put_mapping(lake, SECOND)
    assert lake.sources.remap("doors").events == 20
    lake.retention.erase("bob@example.org", **WHY)
    lake.compact(grace_seconds=0)
    assert verdicts(lake) == {"erased"}
    for event_id in ("e0", "e1"):
        with pytest.raises(LedgerError, match="personal data in it was replaced, or its columns were derived anew"):
            lake.ledger.prove(event_id)


def test_no_events_are_brought(lake: AuditLake) -> None:
    """The evaluator of alerts takes no remapped event for one that has just come."""
    version = lake.snapshot().version
    done = lake.sources.remap("doors")
    assert brought(lake.layout, version, done.snapshot) == ([], [], [])


def test_the_key_stays_recorded(lake: AuditLake) -> None:
    """After a remap the lake still knows which key its pseudonyms are of."""
    lake.retention.erase("ann@example.org", **WHY)
    lake.sources.remap("doors")
    lake.layout.pseudonyms.unlink()
    with pytest.raises(AuditLakeError, match="their key"):
        lake.retention.plan()


# What interrupts it


def test_killed_after_the_commit(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the writer died over its commit, the next one writes the certificate."""

    class Killed(BaseException):
        """Nothing catches it."""

    def die(*_: object) -> None:
        raise Killed

    plan = lake.sources.remap_plan("doors")
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.retention.cleanup._write_certificate", die)
        with pytest.raises(Killed):
            lake.sources.remap("doors")
    assert not list(lake.layout.root.glob("certificates/*"))
    assert lake.ledger.verify().ok

    done = AuditLake(lake.layout.root, clock=Clock()).sources.remap("doors", plan=plan.digest)
    assert done.was_done
    assert certificate(lake, done.certificate)["remap"]["events"] == 12
    assert verdicts(lake) == {"remapped"}


@pytest.mark.parametrize("place", ["carry_out", "_check"])
def test_killed_before_the_commit(lake: AuditLake, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Before its commit nothing is changed, and nothing of it is left."""
    before, version = rows(lake), last_change(lake.layout, lake.snapshot().version)

    def fail(*_: object) -> None:
        raise RetentionError("enough")

    with monkeypatch.context() as patch:
        patch.setattr(room, place, fail)
        with pytest.raises(RetentionError, match="enough"):
            lake.sources.remap("doors")
    assert (rows(lake), last_change(lake.layout, lake.snapshot().version)) == (before, version)
    assert not any(lake.layout.staging.rglob("*"))
    assert lake.sources.remap("doors").events == 12


# On the command line


def test_command(lake: AuditLake, unanswered: Run) -> None:
    """--dry-run shows the plan, without --yes it asks, and --json gives one object."""
    remap = partial(unanswered, "--lake", lake.layout.root, "remap")
    shown = remap("doors", "--dry-run")
    assert (shown.code, "12 of 12 events of doors change" in shown.out) == (0, True)
    assert "api_call" in shown.out
    plan = remap("doors", "--dry-run", "--json").json
    assert plan["changed"] == 12

    assert remap("doors").code != 0  # nobody answers
    assert lake.sources.remap_plan("doors").changed == 12
    done = remap("doors", "--yes", "--json", "--plan", plan["digest"]).json
    assert (done["events"], done["was_done"]) == (12, False)
    assert "0 events derived anew" in remap("doors", "--yes").out
    refused = remap("auditlake", "--yes")
    assert (refused.code, "Traceback" in refused.err) == (3, False)
