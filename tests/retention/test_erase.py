"""Erasure: a person's name, addresses and sessions become pseudonyms, everything else stays, and holds win."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake import AuditEvent, AuditLake
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, RetentionError
from auditlake.events.personal_paths import personal_path
from auditlake.retention.cleanup import certificate_paths
from auditlake.store.deltalog import commit_metadata
from auditlake.store.pseudonyms import Pseudonyms, pseudonyms
from tests.cli.conftest import Run
from tests.ledger.lakes import entries
from tests.retention.lakes import DAY, NOW, Clock, bring, ids, made, policy_text, record
from tests.soak import mostly
from tests.store.lakes import data_files
from tests.templates import copy_of

WHY = {"reason": "Article 17", "ticket": "G-1"}
HOLD = {"reason": "r", "owner": "o", "ticket": "t"}
COLUMNS = "event_id, user_id, ip_address, session_id, details, metadata"


def later(lake: AuditLake, days: int) -> AuditLake:
    """The same lake, days later."""
    return AuditLake(lake.layout.root, clock=Clock(NOW + days * DAY))


def three_people(folder: Path) -> None:
    """Make a lake of three people's events on four days."""
    lake = made(folder / "lake", {"keep": policy_text(["login"], "100d")}, Clock())
    lake.layout.config.write_text(lake.layout.config.read_text().replace('grace = "24h"', 'grace = "0h"'))
    lake = AuditLake(lake.layout.root, clock=Clock())
    bring(lake, (
        record(n, NOW - (n % 4) * DAY, user_id=("ann", "bob", "annette")[n % 3], ip_address=f"10.0.0.{n}",
               details={"to": {"email": "ann@example.org"}, "n": 1})
        for n in range(12)
    ))  # fmt: skip


def one_erased(folder: Path) -> None:
    """Make a lake of three people, of whom one was erased."""
    three_people(folder)
    AuditLake(folder / "lake", clock=Clock()).retention.erase("ann", **WHY, paths=["$.details.to.email"])


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake of three people's events."""
    return AuditLake(copy_of(three_people, tmp_path) / "lake", clock=Clock(NOW))


def rows(lake: AuditLake) -> dict[str, tuple[str | None, ...]]:
    return {row[0]: row[1:] for row in lake.sql(f"select {COLUMNS} from events").fetchall()}


def test_a_person_becomes_a_pseudonym(lake: AuditLake) -> None:
    """All events of the person have one pseudonym, which is a keyed HMAC; the others' stay as they were."""
    before = rows(lake)
    done = lake.retention.erase("ann", **WHY, paths=["$.details.to.email"])
    after = rows(lake)

    theirs = {f"e{n}" for n in range(0, 12, 3)}
    assert (done.events, done.held) == (4, 0)
    assert {name for name in after if after[name] != before[name]} == theirs
    assert {after[name][0] for name in theirs} == {done.pseudonym}
    assert len({after[name][1] for name in theirs}) == 4
    assert all((after[name][1] or "").startswith("pseudonym-") for name in theirs)
    assert {after[name][2] for name in theirs} == {None}
    assert {json.loads(after[name][3] or "")["to"]["email"] for name in theirs} == {
        known.of("ann@example.org") if (known := pseudonyms(lake.layout, make=False)) else ""
    }
    key = bytes.fromhex(lake.layout.pseudonyms.read_text())
    inner = hmac.digest(key, b"auditlake pseudonym name", "sha256")
    assert done.pseudonym[10:42] == hmac.new(inner, b"ann", hashlib.sha256).hexdigest()[:32]
    assert lake.layout.pseudonyms.stat().st_mode & 0o777 == 0o600
    for path in data_files(lake):
        assert b"10.0.0.0" not in (lake.layout.events / path).read_bytes()


def test_no_old_file_keeps_a_name(lake: AuditLake) -> None:
    """What another program's compaction had replaced goes from the disk too."""
    bring(lake, [record(50, NOW, user_id="ann"), record(51, NOW)], "more.jsonl")
    DeltaTable(lake.layout.events).optimize.compact()
    lake.retention.erase("ann", **WHY)

    assert lake.sql("select count(*) from events where user_id = 'ann'").fetchall() == [(0,)]
    files = [*lake.layout.events.rglob("*.parquet")]
    with duckdb.connect() as connection:
        found = connection.execute("select count(*) from read_parquet($1) where user_id = 'ann'", [[*map(str, files)]])
        assert found.fetchall() == [(0,)]


def test_one_key_of_two_makers(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that make the key at once, the second takes what the first one made."""
    first = "7" * 64

    def meanwhile(layout: Layout, *_: object) -> None:
        layout.pseudonyms.write_text(first)

    monkeypatch.setattr("auditlake.store.pseudonyms.recorded_key", meanwhile)
    made = pseudonyms(lake.layout, make=True)

    assert made is not None
    assert made.key.hex() == first == lake.layout.pseudonyms.read_text()


def test_twice_is_once(lake: AuditLake) -> None:
    """The same erasure again changes nothing, and a later event gets the same pseudonym."""
    first = lake.retention.erase("ann", **WHY)
    again = lake.retention.erase("ann", **WHY)
    assert (again.events, again.certificate, again.snapshot) == (0, None, first.snapshot)

    bring(lake, [record(50, NOW, user_id="ann")])
    assert lake.retention.erase("ann", **WHY).pseudonym == first.pseudonym
    assert {row[0] for row in rows(lake).values()} == {first.pseudonym, "bob", "annette"}
    assert lake.retention.erase("ann", **WHY, paths=["$.details.to.email"]).events == 4


def test_the_certificate_does_not_name_the_person(lake: AuditLake) -> None:
    """A certificate of erasure says who did it and why, and names the person by the pseudonym alone."""
    done = lake.retention.erase("bob", **WHY, operator="ann")
    assert done.certificate is not None
    made, page = certificate_paths(lake.layout, done.certificate)
    said = json.loads(made.read_bytes())

    assert (said["kind"], said["person"], said["pseudonymised"], said["deleted"]) == ("erasure", done.pseudonym, 4, 0)
    assert (said["reason"], said["ticket"], said["operator"]) == ("Article 17", "G-1", "ann")
    assert said["places"] == ["user_id", "ip_address", "session_id"]
    assert "bob" not in made.read_text() + page.read_text()
    assert "bob" not in str(commit_metadata(lake.layout, done.snapshot))
    assert "4 events of one person" in page.read_text()


def test_holds_win(lake: AuditLake) -> None:
    """Events under a hold keep the name; a hold on the name also keeps what is a pseudonym already."""
    lake.holds.add("h", **HOLD, user_ids=["ann"], since=NOW - DAY)
    done = lake.retention.erase("ann", **WHY)
    assert (done.events, done.held) == (2, 2)
    assert [row[0] for row in rows(lake).values()].count("ann") == 2

    lake.holds.release("h", reason="r")
    assert lake.retention.erase("ann", **WHY).events == 2
    lake.holds.add("later", **HOLD, user_ids=["ann"])
    assert later(lake, 90).retention.plan().held == 4
    lake.layout.policy("keep").write_text(policy_text(["login"], "1d"))
    lake.retention.apply(accept_weaker="tests")
    assert {"e0", "e3", "e6", "e9"} <= set(ids(lake))


def test_a_hold_that_has_gone_stops_it(lake: AuditLake) -> None:
    """Where a hold's file was removed, nothing is erased."""
    lake.holds.add("h", **HOLD, user_ids=["ann"])
    lake.layout.hold("h").unlink()

    with pytest.raises(RetentionError, match="the hold h has gone"):
        lake.retention.erase("ann", **WHY)


def test_landing_and_quarantine(lake: AuditLake) -> None:
    """What was logged is covered, a quarantined record loses its bytes, a report is named as left."""
    with lake.trail() as trail:
        trail.log(AuditEvent("login", NOW, user_id="ann", event_id="logged"))
    bad = lake.layout.root.parent / "bad.jsonl"
    bad.write_text("".join(
        json.dumps({"event_type": "login", "timestamp": "never", "user_id": user}) + "\n"
        for user in ("ann", "annette", "x.ann")
    ))  # fmt: skip
    lake.ingest(bad)
    (kept,) = lake.layout.quarantine.iterdir()
    lake.report("keep").write(lake.layout.reports, ["json"])
    (lake.layout.reports / "compliance_keep_20260401T120000Z_v99.json").write_text('{"user_id": "ann"}')
    done = lake.retention.erase("ann", **WHY)

    assert rows(lake)["logged"][0] == done.pseudonym
    assert not kept.exists()
    (new,) = lake.layout.quarantine.iterdir()
    entries = [json.loads(line) for line in new.read_bytes().splitlines()]
    assert [each.get("erased") for each in entries] == [True, None, None]
    assert [(each["line"], each["reason"][:4]) for each in entries] == [
        (n, entries[0]["reason"][:4]) for n in (1, 2, 3)
    ]
    assert new.name == f"records-{hashlib.sha256(new.read_bytes()).hexdigest()}.jsonl"
    assert any("1 kept report file may name the person" in sentence for sentence in done.left)


def test_the_old_input_again(lake: AuditLake) -> None:
    """An erased event that is ingested again is the one that is there: nothing of it is kept anywhere."""
    lake.retention.erase("ann", **WHY, paths=["$.details.to.email"])
    before = rows(lake)
    again = lake.ingest(lake.layout.root.parent / "events.jsonl")

    assert (again.landed, again.duplicates, again.quarantined) == (0, 12, 0)
    assert rows(lake) == before
    assert not list(lake.layout.quarantine.iterdir())


def test_the_old_input_again_after_max_retention(tmp_path: Path) -> None:
    """The same where the limit of a policy took the personal data, at a place in JSON too."""
    lake = made(tmp_path / "lake", {"keep": policy_text(["login"], "100d", "2d")}, Clock())
    config = lake.layout.config.read_text().replace("personal = []", 'personal = ["$.metadata.n"]')
    lake.layout.config.write_text(config)
    lake = AuditLake(lake.layout.root, clock=Clock())
    bring(lake, (record(n, NOW - n * DAY, ip_address=f"10.0.0.{n}", metadata={"n": 1.50, "m": "x"}) for n in range(6)))
    lake.retention.apply(accept_weaker="tests")
    assert sum((user or "").startswith("pseudonym-") for user, *_ in rows(lake).values()) == 4
    again = lake.ingest(tmp_path / "events.jsonl")

    assert (again.landed, again.duplicates, again.quarantined) == (0, 6, 0)


CHANGES: tuple[dict[str, object], ...] = (
    {"user_id": "bob"}, {"ip_address": "10.9.9.9"}, {"ip_address": None}, {"session_id": "s"}, {"action": "other"},
    {"details": {"to": {"email": "other@example.org"}, "n": 1}}, {"details": {"to": {"email": "ann@example.org"}}},
    {"details": None}, {"metadata": {"more": 1}},
)  # fmt: skip


@pytest.mark.parametrize("change", mostly(CHANGES, always=[CHANGES[n] for n in (0, 2, 4, 5, 8)]))
def test_another_event_of_an_erased_id(tmp_path: Path, change: dict[str, object]) -> None:
    """What says anything else than the erased event said is another event of its id, and stays a conflict."""
    lake = AuditLake(copy_of(one_erased, tmp_path) / "lake", clock=Clock(NOW))
    erased = record(0, NOW, user_id="ann", ip_address="10.0.0.0",
                    details={"to": {"email": "ann@example.org"}, "n": 1})  # fmt: skip
    done = bring(lake, [erased, erased | change], "other.jsonl")
    assert (done.duplicates, dict(done.reasons)) == (1, {"id_conflict": 1})


def test_what_is_refused(lake: AuditLake) -> None:
    """An erasure without a reason, a ticket or a person, or of a place that is none, is refused."""
    for wrong in ({"reason": " "}, {"ticket": ""}, {"paths": ["$.user_id"]}, {"paths": ["details.email"]}):
        with pytest.raises(RetentionError):
            lake.retention.erase("ann", **{**WHY, **wrong})  # type: ignore[arg-type]
    with pytest.raises(RetentionError, match="needs a user_id"):
        lake.retention.erase("", **WHY)
    lake.layout.pseudonyms.write_text("short")
    with pytest.raises(LakeFormatError, match="does not hold a key"):
        lake.retention.erase("ann", **WHY)


@pytest.mark.parametrize("how", ["gone", "another"])
def test_a_lost_key_of_the_pseudonyms(how: str, lake: AuditLake) -> None:
    """After an erasure nothing is deleted, erased or judged by a hold with another key or none; events still come."""
    lake.retention.erase("ann", **WHY)
    lake.retention.apply(accept_weaker="tests")  # says the key as well, although it made no pseudonym
    lake.holds.add("h", **HOLD, user_ids=["ann"])
    key = lake.layout.pseudonyms.read_bytes()
    lake.layout.pseudonyms.unlink()
    if how == "another":
        lake.layout.pseudonyms.write_text("0" * 64)
    for refused in (
        lambda: lake.retention.erase("bob", **WHY), later(lake, 200).retention.plan, lake.retention.apply,
        lambda: lake.report("keep"),
    ):  # fmt: skip
        with pytest.raises(LakeFormatError, match="has gone" if how == "gone" else "is another one") as raised:
            refused()
        assert "restore it from a backup" in (raised.value.hint or "")
    assert lake.layout.pseudonyms.exists() is (how == "another")
    again = record(0, NOW, user_id="ann", ip_address="10.0.0.0", details={"to": {"email": "ann@example.org"}, "n": 1})
    with pytest.raises(LakeFormatError, match="1 record has the id of an event that has a pseudonym"):
        bring(lake, [again, record(70, NOW)], "again.jsonl")
    assert bring(lake, [record(70, NOW)], "new.jsonl").landed == 1

    lake.layout.pseudonyms.write_bytes(key)
    assert later(lake, 200).retention.plan().held == 4


def test_the_key_of_the_pseudonyms_is_in_the_ledger(lake: AuditLake) -> None:
    """The entry about an erasure has the digest of the key, which is not the key."""
    lake.retention.erase("ann", **WHY)
    said = entries(lake)[-1].details["pseudonym_key"]
    key = bytes.fromhex(lake.layout.pseudonyms.read_text())
    assert said == hashlib.sha256(b"auditlake pseudonym key\0" + key).hexdigest()


def test_nobody_passes_for_a_pseudonym(lake: AuditLake) -> None:
    """A name that only looks like a pseudonym is replaced like any other."""
    fake = "pseudonym-" + "0" * 40
    bring(lake, [record(60, NOW, user_id=fake)])

    done = lake.retention.erase(fake, **WHY)
    assert (done.events, rows(lake)["e60"][0]) == (1, done.pseudonym)
    assert done.pseudonym != fake


def test_on_the_command_line(lake: AuditLake, unanswered: Run) -> None:
    """The command line asks, erases, and says what it left."""
    words = (
        "--lake",
        lake.layout.root,
        "erase",
        "--user-id",
        "ann",
        "--reason",
        "r",
        "--ticket",
        "t",
        "--path",
        "$.details.to.email",
    )
    assert unanswered(*words).code != 0
    assert "4 events erased, 0 kept by a hold" in unanswered(*words, "--yes").out


@given(name=st.text(st.characters(codec="utf-8"), max_size=20), key=st.binary(min_size=32, max_size=32))
@settings(max_examples=50)
def test_pseudonyms_are_stable(name: str, key: bytes) -> None:
    """A value's pseudonym is always the same, is known as one, and is its own pseudonym; another key makes another."""
    names = Pseudonyms(key)
    made = names.of(name)

    assert names.of(made) == made == names.of(name)
    assert names.knows(made)
    assert not names.knows(name)
    assert not Pseudonyms(bytes(32) if any(key) else b"\1" * 32).knows(made)


@pytest.mark.parametrize(("text", "steps"), [
    ("$.details.email", ("email",)), ('$.metadata."e-mail".x', ("e-mail", "x")), ("$.details", None),
    ("$.user_id", None), ("$.details.a[0]", None), ("details.a", None), ("$.details..a", None), ("", None), ("$", None),
])  # fmt: skip
def test_places(text: str, steps: tuple[str, ...] | None) -> None:
    """A place is keys of details or metadata, and nothing else."""
    path = personal_path(text)
    assert (path and path.steps) == steps
