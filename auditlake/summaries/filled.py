"""Which columns of text need not be read to know that they are filled: the footers of data files say so.

Of a column none of whose values is null, and whose least and greatest value have none between them that says nothing,
every value is filled. That takes much less time than to read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from auditlake.engine.paths import for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.schema import TEXT_COLUMNS
from auditlake.store.files import Files


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Data files in which the same columns are known to be filled."""

    filled: tuple[str, ...]
    """The columns, sorted; those alone of which the statement asks nothing else."""
    files: Files
    paths: Sequence[Path]


def by_filled(
    connection: duckdb.DuckDBPyConnection, sql: str, files: Files, paths: Sequence[Path]
) -> Iterator[Alike]:  # fmt: skip
    """Yield data files by the columns that are known to be filled in them, as far as a statement asks only that.

    Args:
        connection: What reads the footers.
        sql: The statement; it asks with the macro ``is_filled``.
        files: The data files.
        paths: Where they lie, in the same order.

    Raises:
        duckdb.Error: A footer cannot be read.
    """
    asked = [name for name in TEXT_COLUMNS if _asks_only_that(sql, name)]
    if not asked or not paths:
        yield Alike((), files, paths)
        return
    connection.execute(statement("policies/is_filled.sql", "are_filled").text)
    names = [*map(for_duckdb, paths)]
    found = connection.execute(
        statement("summaries/filled.sql", "filled_throughout").text, {"files": names, "columns": asked}
    ).fetchall()
    known = {name: tuple(columns) for name, columns in found}
    for filled in sorted({known.get(name, ()) for name in names}):
        own = [known.get(name, ()) == filled for name in names]
        listed = [file.path for file, is_own in zip(files, own, strict=True) if is_own]
        yield Alike(filled, files.named(listed), [path for path, is_own in zip(paths, own, strict=True) if is_own])


def _asks_only_that(sql: str, column: str) -> bool:
    asked = f"is_filled({column})"
    return asked in sql and re.search(rf"\b{column}\b", sql.replace(asked, ""), re.IGNORECASE) is None
