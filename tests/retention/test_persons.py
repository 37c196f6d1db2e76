"""A person leaves a lake: from wherever a source's events name them, from ids, and from what comes again."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from auditlake import AuditLake
from auditlake.errors import LakeFormatError, RetentionError
from auditlake.retention.cleanup import certificate_paths
from auditlake.store.pseudonyms import pseudonyms
from tests.cli.conftest import Run
from tests.retention.lakes import DAY, NOW, Clock, bring, graced, made, policy_text, record
from tests.sources_cloudtrail.mapping import REAL
from tests.store.lakes import CLI

WHY = {"reason": "Article 17", "ticket": "G-1"}
ARN, OTHER = "arn:aws:iam::111122223333:user/eng/ann", "arn:aws:iam::111122223333:user/bob"
INVICTUS = REAL / "invictus" / "218007301253_CloudTrail_us-east-1_20230710T1205Z_UljXNp9xLp8nsAGc.json"


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    """A lake without grace."""
    return graced(made(tmp_path / "lake", {"keep": policy_text(["login", "api_call"], "100d")}, Clock()), "0h")


def call(number: int, arn: str, **fields: Any) -> dict[str, Any]:
    """A CloudTrail record."""
    name = arn.rpartition("/")[2]
    identity = {"type": "IAMUser", "principalId": f"AIDA{name}", "arn": arn, "accountId": "111122223333",
                "accessKeyId": f"AKIA{name}", "userName": name}  # fmt: skip
    return {
        "eventVersion": "1.08", "userIdentity": identity, "eventTime": (NOW - DAY).isoformat(), "eventID": f"c{number}",
        "eventSource": "iam.amazonaws.com", "eventName": "GetUser", "awsRegion": "us-east-1", "readOnly": True,
        "sourceIPAddress": f"192.0.2.{number}", "recipientAccountId": "111122223333",
    } | fields  # fmt: skip


CALLS = [
    call(1, ARN, requestParameters={"userName": "ann", "big": 1234, "groups": ["ann", {"arn": ARN}]}),
    call(2, ARN, errorCode="AccessDenied", errorMessage=f"{ARN} is not authorized", additionalEventData={"ann": 1}),
    call(3, OTHER, requestParameters={"userName": "ann"}),
    call(4, OTHER, requestParameters={"userName": "annette"}),
]


def texts(lake: AuditLake) -> Iterator[tuple[str, str]]:
    """Every text that lies in a lake: of its files, and in the columns of its data files, whether they are in use."""
    for path in lake.layout.root.rglob("*"):
        if path.is_file() and path.suffix != ".parquet":
            yield path.relative_to(lake.layout.root).as_posix(), path.read_bytes().decode("utf-8", "replace")
    for path in lake.layout.events.rglob("event_date=*/*.parquet"):
        with duckdb.connect() as connection:
            rows = connection.execute("select columns(*)::varchar from read_parquet($1)", [str(path)]).fetchall()
        yield path.parent.name, "\n".join(filter(None, (text for row in rows for text in row)))


def naming(lake: AuditLake, word: str) -> list[str]:
    """Where in a lake a word is."""
    return [name for name, text in texts(lake) if word in text]


def certificate(lake: AuditLake, name: str | None) -> tuple[dict[str, Any], str]:
    """A certificate's JSON and page."""
    assert name is not None
    said, page = certificate_paths(lake.layout, name)
    return json.loads(said.read_bytes()), page.read_text()


def test_a_user_of_cloudtrail(lake: AuditLake) -> None:
    """Every whole text that names a user goes from their events, lists included; what is left is in the headline."""
    file = lake.layout.root.parent / "calls.json"
    text = json.dumps({"Records": CALLS}).replace("1234", "0.125")
    file.write_text(text)
    assert lake.ingest(file).landed == 4
    done = lake.retention.erase(ARN, **WHY)
    rows = dict(lake.sql("select event_id, details || metadata || coalesce(resource, '') from events").fetchall())
    said, page = certificate(lake, done.certificate)

    assert done.events == 2
    assert not any(word in rows["c1"] for word in (ARN, '"ann"', "AIDAann", "AKIAann", "192.0.2.1"))
    assert '"accountId":"111122223333"' in rows["c1"]
    left = {"texts": 2, "keys": 1, "other_events": 1, "files": 0}
    assert {key: said["remaining"][key] for key in left} == left
    assert said["remaining"] == done.remaining
    assert {each["place"]: each["values"] for each in said["remaining"]["places"]} == {
        "$.details.errorMessage": 1, "$.metadata.error_message": 1, "$.details.additionalEventData": 1,
    }  # fmt: skip
    assert "$.details.userIdentity.arn" in said["places"]
    assert "2 events pseudonymised; personal data remains in 2 longer texts, 1 key and 1 other event" in page
    assert ARN not in str(said) + page
    again = lake.ingest(file)
    assert (again.landed, again.duplicates, again.quarantined) == (0, 4, 0)
    file.write_text(text.replace("0.125", "0.25"))
    assert dict(lake.ingest(file).reasons) == {"id_conflict": 1}


@pytest.mark.skipif(not INVICTUS.exists(), reason=f"the real data is not here: {INVICTUS}")
def test_a_user_of_real_cloudtrail(lake: AuditLake) -> None:
    """No byte of a real user's name is left but where the certificate counts it."""
    user = "arn:aws:iam::123837392027:user/bert-jan"
    lake.ingest(INVICTUS)
    ((theirs,),) = lake.sql("select count(*) from events where user_id = $u", {"u": user}).fetchall()
    done = lake.retention.erase(user, **WHY)
    found = lake.sql("select details, metadata from events where contains(details || metadata, 'bert-jan')").fetchall()

    assert done.events == theirs > 30
    whole = {f'"{word}"' for word in (user, "bert-jan")}
    assert not any(word in text for row in found for text in row for word in whole)
    assert done.remaining["texts"] + done.remaining["other_events"] >= len(found)
    assert {name for name in naming(lake, "bert-jan") if not name.startswith("event_date=")} == set()
    again = lake.ingest(INVICTUS)
    assert (again.landed, again.quarantined) == (0, 0)


def test_a_name_that_no_event_has(lake: AuditLake, run: Run) -> None:
    """It is an error that names those that are like it; nothing is committed or certified, and twice is no error."""
    bring(lake, [record(1, NOW, user_id="ann"), record(2, NOW, user_id=ARN), record(3, NOW, user_id="bob",
          details={"to": "carol"})])  # fmt: skip
    before = lake.snapshot().version
    likes = {"Ann": "did you mean ann or", "anm": "did you mean ann?", "carol": "1 event has it", "eng/ann": ARN}
    for name, like in likes.items():
        with pytest.raises(RetentionError, match=f"no event has the user_id {name}; nothing was changed") as raised:
            lake.retention.erase(name, **WHY)
        assert like in raised.value.hint
    assert (lake.snapshot().version, list(lake.layout.certificates.iterdir())) == (before, [])
    assert not lake.layout.pseudonyms.exists()
    assert lake.retention.erase("ann", **WHY).events == 1
    again = run("--lake", lake.layout.root, "erase", "--user-id", "ann", "--reason", "r", "--ticket", "t", "--yes")
    assert (again.code, "nothing is left to erase" in again.out) == (0, True)


def nameless(user: str, **fields: Any) -> str:
    """A line without an id."""
    return json.dumps({"event_type": "login", "timestamp": NOW.isoformat(), "user_id": user, **fields}) + "\n"


def content_id(line: str, occurrence: int = 1) -> str:
    """The id that is made of a line."""
    digest = hashlib.sha256(line.strip().encode()).hexdigest()
    return hashlib.sha256(f"auditlake\n{digest}\n{occurrence}".encode()).hexdigest()


def test_ids_made_from_content(lake: AuditLake) -> None:
    """An erased event's id cannot be computed from a guess; the same input, by whatever way it comes, adds nothing."""
    one, two = lake.layout.root.parent / "one.jsonl", lake.layout.root.parent / "two.jsonl"
    line = nameless("ann", details={"note": ["ann", 1.50]})
    one.write_text(line + line + nameless("bob"))
    two.write_text(one.read_text())
    assert lake.ingest(one).landed == 3
    guessed = {content_id(line), content_id(line, 2)}
    ids = "select event_id from events where user_id <> 'bob'"
    assert {text for (text,) in lake.sql(ids).fetchall()} == guessed
    lake.retention.erase("ann", **WHY)
    kept = {text for (text,) in lake.sql(ids).fetchall()}
    names = pseudonyms(lake.layout, make=False)

    assert names is not None
    assert kept == set(map(names.keyed, guessed))
    for file in (one, two):
        again = lake.ingest(file)
        assert (again.landed, again.duplicates, again.quarantined) == (0, 3, 0)
    told = record(0, NOW, user_id="ann", event_id=content_id(line), details={"note": ["ann", 1.50]})
    assert bring(lake, [told]).duplicates == 1  # as auditlake tail logs a line that has no id
    assert [word for word in ('"ann"', "ann\n", *guessed) if naming(lake, word)] == []
    assert not list(lake.layout.quarantine.iterdir())
    assert lake.retention.erase("bob", **WHY).events == 1
    assert {text for (text,) in lake.sql("select event_id from events").fetchall()} > kept
    assert lake.ledger.verify().ok


BAD = [
    '{"timestamp":"nonsense","event_type":"login","user_id":"carol"}',
    '{"timestamp":"carol","event_type":"login"}',
    '{"event_id":"e7","event_type":"login","timestamp":"2026-03-01T00:00:00Z","user_id":"carol"}',
    'neither JSON nor "carol" \udcff',
    json.dumps({"user_id": "carol", "more": "x" * 2_000_000}),
]


def test_records_that_cannot_be_events(lake: AuditLake) -> None:
    """What an erasure took out of the quarantine stays out, by whatever way it comes; other bad records are kept."""
    lake.layout.config.write_text(
        re.sub("(?m)^max_record = .*$", "max_record = 1_000_000", lake.layout.config.read_text())
    )
    lake = AuditLake(lake.layout.root, clock=lake._context.clock)
    bring(lake, [record(7, NOW)])
    data = "\n".join([*BAD, BAD[0], '{"user_id":"bob"}']).encode("utf-8", "surrogateescape")
    one, two = lake.layout.root.parent / "one.jsonl", lake.layout.root.parent / "two.jsonl.gz"
    one.write_bytes(data)
    two.write_bytes(gzip.compress(data))
    first = lake.ingest(one)
    assert (first.quarantined, first.reasons["id_conflict"]) == (7, 1)
    done = lake.retention.erase("carol", **WHY)
    assert naming(lake, "carol") == []
    assert not any("come back" in each for each in done.left)

    for file in (one, two):
        again = lake.ingest(file)
        assert (again.landed, again.duplicates, again.quarantined, again.inputs[0].duplicates) == (0, 6, 1, 6)
    command = [*CLI, "--lake", str(lake.layout.root), "ingest", "--json", "-"]
    piped = json.loads(subprocess.run(command, input=data, capture_output=True, check=True).stdout)
    assert (piped["duplicates"], piped["quarantined"]) == (6, 1)
    segment = lake.layout.segment(0, 1)
    segment.parent.mkdir(parents=True, exist_ok=True)
    segment.write_bytes(BAD[0].encode() + b"\n")
    flushed = lake.flush()
    assert (flushed.duplicates, flushed.quarantined) == (1, 0)
    lake.retention.erase("bob", **WHY)
    assert lake.ingest(one).duplicates == 7
    assert (
        naming(lake, "carol")
        == naming(lake, '"bob"')
        == naming(lake, hashlib.sha256(BAD[0].encode()).hexdigest())
        == []
    )
    assert lake.ledger.verify().ok


def test_own_ids_without_the_key(lake: AuditLake) -> None:
    """Where the key has gone, a record that may be an erased event is refused; any other lands or conflicts."""
    theirs, other = record(1, NOW, user_id="ann", details={"by": "ann"}), record(2, NOW, user_id="bob")
    bring(lake, [theirs, other])
    lake.retention.erase("ann", **WHY)
    key = lake.layout.pseudonyms.read_bytes()
    before = lake.snapshot().version
    for kept in (None, b"7" * 64):
        lake.layout.pseudonyms.unlink() if kept is None else lake.layout.pseudonyms.write_bytes(kept)
        with pytest.raises(LakeFormatError, match="1 record has the id of an event that has a pseudonym") as raised:
            bring(lake, [record(3, NOW), theirs, other])
        assert "restore it from a backup" in raised.value.hint
    assert (lake.snapshot().version, naming(lake, '"ann"'), list(lake.layout.quarantine.iterdir())) == (before, [], [])
    told = [record(3, NOW), other | {"user_id": "carl"}, theirs | {"event_type": "logout", "user_id": "eve"}]
    done = bring(lake, [*told, other])
    assert (done.landed, done.duplicates, dict(done.reasons)) == (1, 1, {"id_conflict": 2})

    lake.layout.pseudonyms.write_bytes(key)
    assert bring(lake, [theirs]).duplicates == 1


def test_ids_made_from_content_without_the_key(lake: AuditLake) -> None:
    """Where the key of keyed ids has gone, records without an id of their own are refused, and what has one lands."""
    file = lake.layout.root.parent / "one.jsonl"
    file.write_text(nameless("ann"))
    lake.ingest(file)
    lake.retention.erase("ann", **WHY)
    key = lake.layout.pseudonyms.read_bytes()
    lake.layout.pseudonyms.unlink()
    with pytest.raises(LakeFormatError, match=r"1 record has no id but one made from content.*key .* gone") as raised:
        lake.ingest(file)
    assert "restore it from a backup" in raised.value.hint
    assert bring(lake, [record(7, NOW)]).landed == 1
    assert naming(lake, '"ann"') == []

    lake.layout.pseudonyms.write_bytes(key)
    assert lake.ingest(file).duplicates == 1


def test_what_an_earlier_version_erased(lake: AuditLake) -> None:
    """Where an earlier version left the id and texts, what comes again is known, and the next erasure takes them."""
    names = pseudonyms(lake.layout, make=True)
    assert names is not None
    line = nameless("ann", details={"by": "ann", "who": {"id": 1.5}})
    erased = {"event_id": content_id(line), "details": {"by": "ann", "who": names.of('{"id":1.5}')}}
    bring(lake, [record(1, NOW, user_id=names.of("ann"), **erased)])
    file = lake.layout.root.parent / "one.jsonl"
    file.write_text(line)
    assert lake.ingest(file).duplicates == 1
    done = lake.retention.erase("ann", **WHY)

    assert (done.events, naming(lake, '"ann"'), naming(lake, content_id(line))) == (1, [], [])
    assert lake.ingest(file).duplicates == 1
    assert lake.retention.erase("ann", **WHY).certificate is None


def test_max_retention_follows_the_same_places(lake: AuditLake) -> None:
    """A limit of personal data takes it from the same places, once; lists on the way to a place are passed."""
    lake.layout.policy("keep").write_text(policy_text(["login", "api_call"], "100d", "1d"))
    config = lake.layout.config.read_text().replace("personal = []", 'personal = ["$.details.people.email"]')
    lake.layout.config.write_text(config)
    lake = AuditLake(lake.layout.root, clock=Clock(NOW + 3 * DAY))
    people = {"people": [{"email": "ann@example.org", "n": 1}, {"email": None}]}
    file = lake.layout.root.parent / "calls.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in CALLS))
    lake.ingest(file)
    bring(lake, [record(7, NOW, details=people), record(8, NOW, user_id=None, details=people)])
    nobody = [record(n, NOW, user_id=None, event_id=None, details=said) for n, said in ((9, {"people": 1}), (10, None))]
    bring(lake, nobody, "not.jsonl")

    assert lake.retention.plan().pseudonymise == 5  # of the calls only those that are no change of an account
    lake.retention.apply(accept_weaker="tests")
    assert naming(lake, "ann@example.org") == naming(lake, '"192.0.2.1"') == []
    assert lake.retention.plan().pseudonymise == 0
    assert lake.ingest(file, lake.layout.root.parent / "events.jsonl").duplicates == 6
