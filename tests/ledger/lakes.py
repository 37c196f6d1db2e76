"""Lakes with a ledger, and what must be true of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import date
from hashlib import sha256

from pyarrow.parquet import ParquetFile

from auditlake import AuditLake
from auditlake.ledger import book, merkle
from auditlake.ledger.held import LEAF_KEY, commit_entry, commit_leaf
from tests.ledger import oracle


def entries(lake: AuditLake) -> list[book.Entry]:
    """Every entry that the checkpoint counts."""
    head = book.read_head(lake.layout)
    assert head is not None
    return [book.read_entry(lake.layout, index) for index in range(head.size)]


def check_ledger(lake: AuditLake) -> None:
    """The tree is that of its entries; each version has one, whose roots are those of its rows; the log is covered."""
    head, tree = book.read_head(lake.layout), book.tiles(lake.layout)
    assert head is not None
    hashes = [merkle.leaf_hash(data) for data in tree.entries(0, head.size)]
    assert merkle.root(b"".join(hashes)) == tree.root(head.size) == head.root
    found = entries(lake)
    newest = lake.snapshot().version
    about = [
        (entry.version, leaf.hex()) for entry, leaf in zip(found, hashes, strict=True) if entry.version is not None
    ]
    assert [version for version, _ in about] == list(range(about[0][0] or 0, newest + 1))
    assert all(leaf_of(lake, version) == leaf for version, leaf in about[1:])
    logs = [sha256(lake.layout.commit(version).read_bytes()).hexdigest() for version in range(newest + 1)]
    assert (head.version, head.log) == (newest, logs[newest])
    assert all(entry.previous_log == logs[entry.version - 1] for entry in found if entry.version)
    rows = [
        row for file in lake.snapshot().files for row in ParquetFile(lake.layout.events / file.path).read().to_pylist()
    ]
    recorded = {part.key: (part.rows, part.root) for entry in found for part in entry.parts}
    assert recorded == oracle.parts(rows, classes(found))


def leaf_of(lake: AuditLake, version: int) -> str | None:
    """The leaf that a commit names, or that of the entry which it holds."""
    held = commit_entry(lake.layout, version)
    return commit_leaf(lake.layout, version) if held is None else merkle.leaf_hash(held).hex()


def classes(found: Iterable[book.Entry]) -> dict[tuple[int, date, str], str]:
    """The class of each event type of the batches on days that have classes."""
    parts = [part for entry in found for part in entry.parts]
    return {(part.batch, part.day, name): part.retention_class for part in parts for name, _ in part.types}


def make_old(lake: AuditLake) -> None:
    """Turn a lake into one that was made before there were ledgers."""
    shutil.rmtree(lake.layout.root / "ledger")
    for path in sorted(lake.layout.log.glob("*.json")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            line.get("commitInfo", {}).pop(LEAF_KEY, None)
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def says_its_format(lake: AuditLake) -> bool:
    """Whether lake.toml says the format that the ledger has."""
    is_inside = any("entries_in_commits" in entry.details for entry in entries(lake))
    return f"format_version = {1 + is_inside}\n" in lake.layout.config.read_text()
