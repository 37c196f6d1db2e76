"""Errors of the disk and DuckDB in one line: which file of the lake is meant, and what is wrong with it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from auditlake.disk.files import open_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.engine.model import StatementError
from auditlake.errors import AuditLakeError, LakeError, LakeFormatError, QueryError, SnapshotError, StorageError
from auditlake.storage.lake import mirror_of, storage_of
from auditlake.store.snapshot import read_snapshot

_PART = re.compile(r"event_date=[^/]*/[^/\"']*\.parquet")
_UNNAMED = (UnicodeDecodeError, OverflowError, pa.ArrowException)
FAILURES = (duckdb.Error, *_UNNAMED)
"""What DuckDB raises, and what comes of its rows or messages where they cannot be what was written."""


@contextmanager
def explained(layout: Layout, what: str) -> Iterator[None]:
    """Turn what the disk or DuckDB refuses inside into one clear error.

    Args:
        layout: The lake.
        what: What was being done.

    Raises:
        LakeFormatError: A file of the lake is damaged or not there.
        LakeError: The disk is full, not writable, failing; or a bucket refused, which is a ``StorageError``.
        QueryError: Anything else that DuckDB could not do.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output has gone: nothing of the lake
    except StatementError as error:
        raise failure(layout, what, error.cause) from error.cause
    except StorageError:
        raise  # it says what the store answered, and what to do
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        message = f"{what} failed: {error.strerror or error}{where}"
        raise LakeError(message, hint="nothing of it is claimed; see to the disk and run it again") from error
    except FAILURES as error:
        raise failure(layout, what, error) from error


def failure(layout: Layout, what: str, error: Exception) -> AuditLakeError:
    """Return what to raise for an error of DuckDB: it names the lake's file that is damaged, where one is."""
    if (mirror := mirror_of(layout)) is not None and (refused := mirror.bucket.refused) is not None:
        mirror.bucket.refused = None
        return refused
    named = _PART.findall(str(error))
    unnamed = type(error) is duckdb.Error or isinstance(error, _UNNAMED)  # as for a broken footer
    files = named or ([file.path for file in read_snapshot(layout).files] if unnamed else [])
    if named and not {*named} <= {file.path for file in read_snapshot(layout).files}:
        message = f"{what} failed: compaction or retention has taken files from under it"
        return SnapshotError(
            message, hint="ask again: the same snapshot is then read from the newest files, where it still can be"
        )
    try:
        damage = _first_damage(layout, files)
    except StorageError as refused_now:
        return refused_now
    if damage:
        message = f"{what} failed: {damage}"
        return LakeFormatError(message, hint="restore the file from a backup; its name is the SHA-256 of its bytes")
    if isinstance(error, duckdb.IOException):
        return LakeError(f"{what} failed: {_first_line(error)}", hint="see to the disk and run it again")
    return QueryError(f"{what} failed: {_first_line(error)}")


def _first_damage(layout: Layout, files: Sequence[str]) -> str | None:
    for path in files:
        try:
            (place,) = storage_of(layout).local([layout.name(layout.events / path)])
            with open_file(Path(place), within=layout.root) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except StorageError:
            raise  # that the bucket gives no answer is no damage
        except OSError as error:
            return f"{path} cannot be read: {error.strerror}"
        named = part_day_and_digest(path)
        if named and named[1] != digest:
            return f"{path} is damaged: its bytes have the SHA-256 {digest}"
    return None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
