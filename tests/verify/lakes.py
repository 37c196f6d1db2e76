"""A lake with all that a ledger can tell: ingests, refused lines, a compaction, a deletion, an erasure, checkpoints."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake import AuditLake
from auditlake.disk.durable import make_folders
from auditlake.engine.duck import connect
from auditlake.ledger import book, sidecars
from auditlake.ledger.entry import Taken
from auditlake.ledger.parts import recorded_parts
from auditlake.ledger.sidecars import GONE
from auditlake.retention.withdrawn import Moved, Withdrawal
from auditlake.store.dayfile import data_file
from auditlake.store.model import Change, DataFile
from auditlake.verify.check import verify
from auditlake.verify.model import VerifyReport
from tests.ledger import oracle
from tests.ledger.lakes import classes, entries
from tests.store.lakes import NOW, made, opened, write_events
from tests.store.lakes import commit as commit_change

DELETED, ERASED = date(2026, 3, 1), date(2026, 3, 3)


def checked(lake: AuditLake, **options: Any) -> VerifyReport:
    """What a verification finds."""
    return verify(lake.layout, now=NOW.replace(year=2027), **options)


def commit(lake: AuditLake, adds: Any, removes: Any, **options: Any) -> int:
    """Commit a change as a retention would."""
    return commit_change(lake, Change(tuple(adds), tuple(removes), **options))


def certificate(lake: AuditLake) -> str:
    """A certificate, and its name."""
    data = b'{"what": "deleted"}'
    lake.layout.certificates.mkdir(exist_ok=True)
    (lake.layout.certificates / f"{sha256(data).hexdigest()}.json").write_bytes(data)
    return sha256(data).hexdigest()


def rows_of(lake: AuditLake, day: date) -> list[dict[str, Any]]:
    """The rows of a day."""
    return [row for file in lake.snapshot().files if file.day == day for row in rows_in(lake, file)]


def rows_in(lake: AuditLake, file: DataFile) -> list[dict[str, Any]]:
    """The rows of a file."""
    return pq.ParquetFile(lake.layout.events / file.path).read().to_pylist()


def write_day(lake: AuditLake, day: date, rows: list[dict[str, Any]]) -> DataFile:
    """A file of these rows under its final name."""
    schema = pq.read_schema(lake.layout.events / lake.snapshot().files[0].path)
    draft = lake.layout.staging / "draft.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema), draft)
    file = data_file(draft, day, len(rows), None, None)
    make_folders((lake.layout.events / file.path).parent, below=lake.layout.events)
    draft.rename(lake.layout.events / file.path)
    return file


def delete_day(lake: AuditLake, day: date) -> None:
    """Delete every event of a day, and unlink its files."""
    files = [file for file in lake.snapshot().files if file.day == day]
    counts = oracle.parts(rows_of(lake, day), classes(entries(lake)))
    taken = tuple(
        Taken(batch, day, rows, "", *((name, rows) if name else ())) for (batch, _, name), (rows, _) in counts.items()
    )
    commit(lake, (), files, metadata={"kind": "delete", "at": NOW.isoformat()}, taken=taken,
           details={"certificate": certificate(lake), "policies": ["failed_logins"]})  # fmt: skip
    for file in files:
        (lake.layout.events / file.path).unlink()
    (lake.layout.events / files[0].path).parent.rmdir()


def change_day(lake: AuditLake, day: date, change: Any, kind: str = "erase") -> None:
    """Rewrite a day: each row becomes what ``change`` gives, and goes where that is None; what it was is kept."""
    old = [file for file in lake.snapshot().files if file.day == day]
    rows = rows_of(lake, day)
    new = [change(row) for row in rows]
    keep: dict[int, list[sidecars.Kept]] = defaultdict(list)
    for row, made_of in zip(rows, new, strict=True):
        if made_of != row:
            present = oracle.leaf(made_of) if made_of else sidecars.GONE
            keep[row["batch"]].append(sidecars.Kept(row["seq"], oracle.leaf(row), present))
    if classes(entries(lake)):
        taken = taken_of(lake, day, old, keep)
    else:
        taken = tuple(
            Taken(batch, day, len(mine), sidecars.keep(lake.layout, "kept", sidecars.pack(mine)))
            for batch, mine in sorted(keep.items())
        )
    file = write_day(lake, day, [row for row in new if row])
    old = [each for each in old if each.path != file.path]  # what is left may be a file that there is
    adds = [] if file.path in {each.path for each in lake.snapshot().files} else [file]
    commit(lake, adds, old, metadata={"kind": kind, "at": NOW.isoformat()}, taken=taken,
           details={"certificate": certificate(lake)})  # fmt: skip
    for each in old:
        (lake.layout.events / each.path).unlink()


def taken_of(
    lake: AuditLake, day: date, files: list[DataFile], changes: Mapping[int, list[sidecars.Kept]]
) -> tuple[Taken, ...]:
    """What a retention says of the parts of a day of which events go or become others, after it kept what it must."""
    head = book.read_head(lake.layout)
    assert head is not None
    withdrawal = Withdrawal(lake.layout, recorded_parts(lake.layout, head.size, changes))
    types = {(row["batch"], row["seq"]): row["event_type"] for file in files for row in rows_in(lake, file)}
    gone = {batch: frozenset(each.seq for each in some if each.present == GONE) for batch, some in changes.items()}
    changed = {batch: {e.seq: e.present for e in some if e.present != GONE} for batch, some in changes.items()}
    counts = {batch: Counter(types[batch, seq] for seq in some) for batch, some in gone.items()}
    moved = Moved(gone, {batch: each for batch, each in changed.items() if each}, counts)
    with connect() as connection:
        withdrawal.take(connection, day, (), files, {}, moved)
    return tuple(withdrawal.taken)


def erased(row: dict[str, Any]) -> dict[str, Any]:
    """A row of another user."""
    return {**row, "user_id": "pseudonym"} if row["user_id"] == "user 0" else row


def full_lake(folder: Path, patch: pytest.MonkeyPatch) -> AuditLake:
    """The lake, with a checkpoint of its log every three versions."""
    patch.setattr("auditlake.store.log_checkpoint.EVERY", 3)
    lake = made(folder / "lake")
    for number in range(4):
        lake.ingest(write_events(folder / f"{number}.jsonl", range(6 * number, 6 * number + 9), bad=number % 2))
    lake.compact(grace_seconds=0)
    delete_day(lake, DELETED)
    change_day(lake, ERASED, erased)
    lake.ingest(write_events(folder / "last.jsonl", range(40, 44)))
    return opened(lake.layout.root)
