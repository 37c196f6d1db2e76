"""Proofs of single events: made from the lake, checked without it, and by nothing but Python's own library."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from auditlake import AuditLake
from auditlake.errors import LedgerError
from auditlake.ledger.keys import read_public_key
from auditlake.ledger.note import new_signer, parse_note
from auditlake.verify.prove import canonical, prove, verify_proof
from auditlake.verify.tree import parse_entry
from tests.ledger import oracle
from tests.ledger.lakes import classes, entries
from tests.ledger.test_leaves import events as any_events
from tests.store.lakes import write_events
from tests.verify.lakes import ERASED, rows_in

FAULTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "faults"


def key(lake: AuditLake) -> str:
    return str(read_public_key(lake.layout))


def test_every_event_has_a_proof(lake: AuditLake) -> None:
    """There is a proof of every event that is as it was recorded; of one that was erased there is none."""
    proven, erased = 0, []
    for event_id, user in lake.sql("select event_id, user_id from events"):
        if user == "pseudonym":
            with pytest.raises(LedgerError, match="not what was recorded any more: personal data in it was replaced"):
                lake.ledger.prove(event_id)
            erased.append(event_id)
            continue
        shown = verify_proof(lake.ledger.prove(event_id), key(lake))
        assert (shown.event["event_id"], shown.event["user_id"], shown.signed_by) == (event_id, user, key(lake))
        assert shown.recorded == "2026-04-01T00:00:00+00:00"
        proven += 1
    assert proven > 20
    assert erased


def test_an_erased_event_that_was_changed(lake: AuditLake) -> None:
    """Where what became of an erased event is another one, no event of its part has a proof, and the reason is said."""
    files = [file for file in lake.snapshot().files if file.day == ERASED]
    (file,) = [file for file in files if any(row["user_id"] == "pseudonym" for row in rows_in(lake, file))]
    path = lake.layout.events / file.path
    rows = [row | {"action": "other"} if row["user_id"] == "pseudonym" else row for row in rows_in(lake, file)]
    pq.write_table(pa.Table.from_pylist(rows, pq.read_schema(path)), path)

    of_class = classes(entries(lake))
    key = {row["seq"]: of_class.get((row["batch"], ERASED, row["event_type"]), "") for row in rows}
    changed = {(row["batch"], key[row["seq"]]) for row in rows if row["user_id"] == "pseudonym"}
    for row in rows:
        if (row["batch"], key[row["seq"]]) in changed:
            with pytest.raises(LedgerError, match="is not what was recorded"):
                lake.ledger.prove(row["event_id"])
        else:
            lake.ledger.prove(row["event_id"])
    assert changed


def test_no_proof(lake: AuditLake, tmp_path: Path) -> None:
    """Of an event that is not there, or that several sources have, there is no proof until one says which."""
    with pytest.raises(LedgerError, match="no event with the id"):
        lake.ledger.prove("nothing")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"eventVersion": "1.08", "eventTime": "2026-03-05T00:00:00Z", "eventID": "e40",
                                 "eventSource": "s3.amazonaws.com", "eventName": "GetObject"}) + "\n")  # fmt: skip
    lake.ingest(other, source="cloudtrail")
    with pytest.raises(LedgerError, match="2 events have the id"):
        lake.ledger.prove("e40")
    assert verify_proof(prove(lake.layout, "e40", source="cloudtrail"), None).event["source"] == "cloudtrail"


def test_a_damaged_lake_proves_nothing(lake: AuditLake) -> None:
    """There is no proof from a lake whose ledger is not whole."""
    (lake.layout.ledger / "checkpoint").write_bytes(b"")
    with pytest.raises(LedgerError):
        lake.ledger.prove("e40")


def changed(proof: Any, path: list[Any], value: Callable[[Any], Any]) -> bytes:
    copy = json.loads(json.dumps(proof))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value(inner[path[-1]])
    return json.dumps(copy).encode()


def leaves_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return [each for name, inner in items for each in leaves_of(inner, (*path, name))]
    return [path]


def other_than(value: Any) -> Any:
    if isinstance(value, int):
        return value + 1
    if not value:
        return "x"
    return ("0" if value[0] != "0" else "1") + value[1:]


def test_changed_proofs(lake: AuditLake) -> None:
    """A proof of which any value was changed, or taken away, does not hold."""
    proof = json.loads(lake.ledger.prove("e12"))
    for path in leaves_of(proof):
        with pytest.raises(LedgerError):
            verify_proof(changed(proof, list(path), other_than), key(lake))
        copy = json.loads(json.dumps(proof))
        inner = copy
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]
        with pytest.raises(LedgerError):
            verify_proof(json.dumps(copy).encode(), key(lake))


def objects_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [each for name, value in items for each in objects_of(value, (*path, name))]
    return [path, *inner] if isinstance(value, dict) else inner


def test_fields_that_nothing_signs(lake: AuditLake) -> None:
    """A proof that says more than its form at any level, or a key twice, is refused, and so is a checkpoint."""
    first = key(lake)
    lake.ledger.rotate_key()
    proof, kept = json.loads(lake.ledger.prove("e12")), first
    verify_proof(json.dumps(proof).encode(), kept)
    places = objects_of(proof)
    assert len(places) == 6  # the proof, event, part, batch, entry, a rotation
    for path in places:
        said = proof
        for step in path:
            said = said[step]
        spelled = json.dumps(said)
        for extra in ('"reviewed_by": "auditor", ', f"{json.dumps(next(iter(said)))}: 7, "):
            forged = json.dumps(proof).replace(spelled, f"{{{extra}{spelled[1:]}", 1)
            with pytest.raises(LedgerError, match=r"nothing vouches for|is there twice"):
                verify_proof(forged.encode(), kept)
    note = proof["checkpoint"].replace("\n\n", "\nreviewed by auditor\n\n", 1)
    with pytest.raises(LedgerError, match="says more than a checkpoint does"):
        verify_proof(json.dumps(proof | {"checkpoint": note}).encode(), kept)
    del proof["rotations"]  # as in proofs that are older than rotations
    verify_proof(json.dumps(proof).encode(), key(lake))


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared inputs are not here")
def test_a_proof_with_a_field_of_somebody(run: Callable[..., Any]) -> None:
    """The command refuses a proof that was given a field, and shows nothing of it."""
    done = run("verify-proof", FAULTS / "proof_extra_key.json", "--public-key", FAULTS / "proof_key.pub", "--json")

    assert done.code == 4
    assert json.loads(done.out)["problem"].startswith("that is not a proof: its event has '")


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text[:-1] + b',"reviewed":"auditor"}',
        lambda text: b'{"at":"2020",' + text[1:],
        lambda text: text.replace(b",", b", ", 1),
        lambda _: b"[]",
    ],
)
def test_entries_that_say_more(lake: AuditLake, forge: Callable[[bytes], bytes]) -> None:
    """An entry of the ledger with a key that is unknown, there twice, or spelled otherwise is none."""
    text = json.loads(lake.ledger.prove("e12"))["entry"]["text"].encode()
    assert parse_entry(text)["kind"] == "append"
    with pytest.raises(ValueError, match=r"nothing vouches for|is there twice|spelled|no object|not an object"):
        parse_entry(forge(text))


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"format":"auditlake-proof/1"}']
)
def test_no_proofs(data: bytes) -> None:
    """What is no proof is refused with an error of ours."""
    with pytest.raises(LedgerError):
        verify_proof(data, None)


@given(event=any_events)
def test_canonical_bytes_once_more(event: dict[str, Any]) -> None:
    """The verifier's canonical bytes are those of the oracle."""
    spelled = {
        name: (value - oracle.EPOCH) // oracle.timedelta(microseconds=1) if name in {"timestamp", "ingested_at"}
        else value.hex().upper() if name == "salt" and value is not None else value
        for name, value in event.items()
    }  # fmt: skip
    assert canonical(spelled) == oracle.canonical(event)


RECIPE = r"""
import base64, hashlib, json, sys
H = lambda data: hashlib.sha256(data).digest()
def climb(leaf, step, size):
    node, at, last = leaf, step["index"], size - 1
    for sibling in map(bytes.fromhex, step["path"]):
        if at % 2 or at == last:
            node = H(b"\1" + sibling + node)
            while at % 2 == 0 and at: at, last = at // 2, last // 2
        else:
            node = H(b"\1" + node + sibling)
        at, last = at // 2, last // 2
    return node
p = json.load(open(sys.argv[1]))
part, batch, entry = p["part"], p["batch"], p["entry"]
top = climb(H(b"\0" + p["canonical"].encode()), part, part["size"])
kept = part["class"] + " " if "class" in part else ""
top = climb(H(b"\0" + f"{part['day']} {kept}{part['size']} ".encode() + top), batch, batch["size"])
assert [part["batch"], batch["size"], top.hex()] in json.loads(entry["text"])["roots"]
text, _, signature = p["checkpoint"].partition("\n\n")
origin, size, root = text.split("\n")[:3]
assert climb(H(b"\0" + entry["text"].encode()), entry, int(size)) == base64.b64decode(root)
open(sys.argv[2], "w").write(text + "\n")
open(sys.argv[3], "wb").write(base64.b64decode(signature.split()[2])[4:])
"""
"""What the documentation gives a third party: plain Python, without any package."""


def passes(proof: Path, public_key: str, folder: Path) -> bool:
    """Whether the recipe takes a proof, with openssl and a public key made of the lake's."""
    text, signature, pem = (folder / name for name in ("text", "signature", "pem"))
    isolated = [sys.executable, "-I", "-S", "-c", RECIPE, proof, text, signature]
    if subprocess.run(isolated, capture_output=True, check=False).returncode:
        return False
    public = base64.b64decode(public_key.strip().split("+", 2)[2])[1:]
    der = base64.b64encode(bytes.fromhex("302a300506032b6570032100") + public).decode()
    pem.write_text(f"-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n")
    openssl = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", pem, "-rawin", "-in", text, "-sigfile", signature]
    return subprocess.run(openssl, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_the_recipe_for_a_third_party(lake: AuditLake, tmp_path: Path) -> None:
    """A proof is checked by twenty lines of plain Python and openssl, and a public key made of the lake's key.pub."""
    (proof := tmp_path / "proof").write_bytes(lake.ledger.prove("e12"))
    assert passes(proof, key(lake), tmp_path)
    assert not passes(proof, str(new_signer("another").verifier), tmp_path)

    forged = json.loads(proof.read_text())
    forged["canonical"] = forged["canonical"].replace("user", "usex")
    proof.write_text(json.dumps(forged))
    assert not passes(proof, key(lake), tmp_path)


def test_sha256sum_gives_the_leaf(lake: AuditLake) -> None:
    """The leaf of an event is what sha256sum says of a zero byte and its canonical bytes."""
    proof = json.loads(lake.ledger.prove("e12"))
    data = b"\0" + proof["canonical"].encode()
    done = subprocess.run(["sha256sum"], input=data, capture_output=True, check=True)
    (row,) = [row for row in rows(lake) if row["event_id"] == "e12"]

    assert done.stdout.split()[0].decode() == sha256(data).hexdigest() == oracle.leaf(row).hex()


def rows(lake: AuditLake) -> list[dict[str, Any]]:
    from pyarrow.parquet import ParquetFile

    return [
        row for file in lake.snapshot().files for row in ParquetFile(lake.layout.events / file.path).read().to_pylist()
    ]


# --- The command line ---


def test_the_command_line(lake: AuditLake, tmp_path: Path, run: Callable[..., Any]) -> None:
    """verify, checkpoint, prove and verify-proof: what they say, and 4 where something is wrong."""
    kept, proof, public = tmp_path / "kept", tmp_path / "proof", lake.layout.ledger / "key.pub"
    where = ("--lake", lake.layout.root)
    assert run(*where, "checkpoint", "--out", kept).code == 0
    assert parse_note(kept.read_bytes()).signatures
    assert run(*where, "checkpoint").out.encode() == kept.read_bytes()
    assert run(*where, "prove", "e12", "--out", proof).code == 0
    assert "event e12 was recorded on" in run("verify-proof", proof, "--public-key", public).out
    assert run("verify-proof", proof, "--unsigned", "--json").json["event"]["event_id"] == "e12"
    assert run("verify-proof", proof).code == 2
    lake.ingest(write_events(tmp_path / "b.jsonl", range(60, 63)))

    done = run(*where, "verify", "--checkpoint", kept, "--public-key", public)
    assert done.code == 0, done.out
    assert "all is as it was recorded" in done.out
    assert run(*where, "verify", "--quick", "--json").json["ok"] is True
    (lake.layout.events / lake.snapshot().files[0].path).unlink()
    done = run(*where, "verify")
    assert done.code == 4
    assert "WRONG: events/event_date=" in done.out
    assert "MISSING" in done.out
    proof.write_bytes(proof.read_bytes().replace(b"user", b"usex"))
    done = run("verify-proof", proof, "--public-key", public)
    assert (done.code, done.out.startswith("WRONG: ")) == (4, True)
    assert run(*where, "prove", "nothing").code == 3
