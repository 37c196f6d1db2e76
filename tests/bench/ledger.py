"""What proof costs: ingest with the ledger and without, a verification, and a proof with its check."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import ingest
from tests.bench.data import Place
from tests.bench.work import Work

_CHECKS = 100
"""How often a proof is checked for one time."""


def writing() -> dict[str, Work]:
    """An ingest, and the same without leaves, entries, tree and signatures."""
    answer = ingest.works(ids=True)["ours"].answer
    ours = ingest.works(ids=True)["ours"].run
    return {"ours": Work(ours, answer), "without a ledger": Work(_without_ledger, answer)}


def _without_ledger(place: Place, scratch: Path) -> Path:
    from auditlake.ingest.day_files import DayFiles
    from auditlake.ledger import hashing
    from auditlake.ledger.book import Head, Prepared
    from auditlake.store import commit
    from auditlake.store.model import Snapshot

    def prepare(_: object, seen: Snapshot, __: object, head: Head, *___: object) -> Prepared:
        return Prepared(0, b"", seen.version + 1, (), head.settings, b"{}")

    commit.prepare_entry = prepare  # type: ignore[assignment]
    commit._count = lambda layout, entry, head, **_: head
    hashing.expect = lambda _: False  # type: ignore[assignment]
    DayFiles._leaves = lambda *_: []  # type: ignore[method-assign]
    found: Path = ingest.works(ids=True)["ours"].run(place, scratch)
    return found


# --- Verifying ---


@dataclass(frozen=True, slots=True)
class Looked:
    """What was looked through, and how long it took."""

    many: int
    seconds: float
    per_million: float
    """Seconds for a million events."""


def verifying(*, full: bool) -> dict[str, Work]:
    """A verification, and the hashing alone: of every row by DuckDB, or of every file by sha256sum."""
    rival = {"DuckDB: sha256 of every row": _hash_rows} if full else {"sha256sum": _hash_files}
    return {
        name: Work(run, lambda looked: looked.many, lambda looked: looked.seconds, lambda looked: looked.per_million)
        for name, run in {"ours": partial(_verify, full=full), **rival}.items()
    }


def _verify(place: Place, _: Path, *, full: bool) -> Looked:
    import auditlake

    lake = auditlake.open(place.lake)
    began = time.perf_counter()
    report = lake.ledger.verify(full=full)
    seconds = time.perf_counter() - began
    assert report.ok, report.problems
    return _looked(place, report.rows if full else len(lake.snapshot().files), seconds)


def _hash_rows(place: Place, _: Path) -> Looked:
    import duckdb

    files = [str(path) for path in place.day_files]
    with duckdb.connect() as connection:
        began = time.perf_counter()
        ((many, _),) = connection.sql(f"""
            select count(*), bit_xor(hash(sha256(concat_ws('|', *columns(*)))))
            from read_parquet({files}, hive_partitioning = false)""").fetchall()
        return _looked(place, many, time.perf_counter() - began)


def _hash_files(place: Place, _: Path) -> Looked:
    began = time.perf_counter()
    printed = subprocess.run(["sha256sum", "--", *place.day_files], check=True, stdout=subprocess.PIPE).stdout
    return _looked(place, len(printed.splitlines()), time.perf_counter() - began)


def _looked(place: Place, many: int, seconds: float) -> Looked:
    return Looked(many, seconds, seconds / place.events * 1_000_000)


# --- Proving ---


@dataclass(frozen=True, slots=True)
class Checked:
    """A check of a proof, and how large that was."""

    holds: bool
    seconds: float
    size: int = 0


def proving() -> dict[str, Work]:
    """The check of a proof, and that of one Ed25519 signature, which it cannot do without."""
    sides = {"ours": _check_proof, "one Ed25519 verification": _check_signature}
    return {
        name: Work(run, lambda checked: checked.holds, lambda checked: checked.seconds, lambda checked: checked.size)
        for name, run in sides.items()
    }


def _check_proof(place: Place, _: Path) -> Checked:
    import auditlake
    from auditlake.verify.prove import verify_proof

    lake = auditlake.open(place.lake)
    key = (lake.layout.ledger / "key.pub").read_text()
    ((event_id,),) = lake.sql("select min(event_id) from events").fetchall()
    proof = lake.ledger.prove(event_id)
    began = time.perf_counter()
    for _ in range(_CHECKS):
        proven = verify_proof(proof, key)
    seconds = (time.perf_counter() - began) / _CHECKS
    return Checked(proven.event["event_id"] == event_id, seconds, len(proof))


def _check_signature(_: Place, __: Path) -> Checked:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private, text = Ed25519PrivateKey.generate(), b"a checkpoint\n" * 20
    public, signature = private.public_key(), private.sign(text)
    began = time.perf_counter()
    for _ in range(_CHECKS):
        public.verify(signature, text)
    return Checked(True, (time.perf_counter() - began) / _CHECKS, len(signature))
