"""How far an application has come by the Delta log, without delta-rs.

Whoever logs asks this first, and delta-rs cannot be used in a forked child of a process that has used it.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError

_ENTRY = re.compile(r"(\d{20})\.json\Z", re.ASCII)


def transaction_version(layout: Layout, application: str) -> int | None:
    """The version of the newest transaction of an application; None if it never committed.

    Entries are read from the newest back to one with such a transaction, or to a checkpoint, or to the first one.

    Raises:
        LakeFormatError: An entry of the log is damaged or not there.
        OSError: The log cannot be read.
    """
    names = [match[1] for path in layout.log.iterdir() if (match := _ENTRY.match(path.name))]
    for version in range(max(map(int, names), default=-1), -1, -1):
        if (found := _in_entry(layout, layout.commit(version), application)) is not None:
            return found
        checkpoint = layout.log / f"{version:020d}.checkpoint.parquet"
        if is_file(checkpoint, within=layout.root):
            return _in_checkpoint(checkpoint, application)
    return None


def _in_entry(layout: Layout, entry: Path, application: str) -> int | None:
    data = b""
    with suppress(FileNotFoundError):
        data = read_file(entry, within=layout.root)
    if not data.endswith((b"}", b"}\n")):
        message = f"the log entry {entry} is not whole"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup")
    if b'"txn"' not in data:
        return None
    try:
        transactions = [json.loads(line).get("txn") for line in data.splitlines() if b'"txn"' in line]
    except ValueError as error:
        message = f"the log entry {entry} is damaged: {error}"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup") from error
    return _newest(transactions, application)


def _in_checkpoint(checkpoint: Path, application: str) -> int | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(checkpoint).read(["txn"], use_threads=False)
    except (pa.ArrowException, ValueError) as error:
        message = f"the checkpoint {checkpoint} is damaged: {error}"
        raise LakeFormatError(message, hint="restore it from a backup") from error
    return _newest(table.column("txn").to_pylist() if "txn" in table.column_names else [], application)


def _newest(transactions: list[Any], application: str) -> int | None:
    mine = [each["version"] for each in transactions if each and each.get("appId") == application]
    return int(mine[-1]) if mine else None
