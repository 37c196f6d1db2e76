"""Which columns of text need not be read to know that they are filled: the footers of data files say so.

Between the least and the greatest value of a column there is often no text that says nothing. Then it is filled where
it is not null, which takes less time to ask; and where no value is null, it need not be read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from auditlake.engine.paths import for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.schema import TEXT_COLUMNS
from auditlake.store.files import Files

_ASKS = re.compile(
    rf"/\*.*?\*/|--[^\n]*|'(?:[^']|'')*'|\bis_filled\(({'|'.join(TEXT_COLUMNS)})\)", re.IGNORECASE | re.DOTALL
)
"""Where a statement asks whether a column is filled; what is found of comments and texts has no column."""


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """Data files whose footers say the same."""

    files: Files
    paths: Sequence[Path]
    """Where they lie, in the same order."""
    sql: str
    """The statement that gives of them what was asked, and asks no more of a column than is unknown."""


def alike(connection: duckdb.DuckDBPyConnection, sql: str, files: Files, paths: Sequence[Path]) -> Iterator[Alike]:
    """Yield data files, those whose footers say the same together.

    Args:
        connection: What reads the footers.
        sql: A statement over ``events``.
        files: The data files.
        paths: Where they lie, in the same order.

    Raises:
        duckdb.Error: A footer cannot be read.
    """
    asked = sorted({found[1].lower() for found in _ASKS.finditer(sql) if found[1]})
    if not asked or not paths:
        yield Alike(files, paths, sql)
        return
    connection.execute(statement("policies/is_filled.sql", "are_filled").text)
    names = [*map(for_duckdb, paths)]
    read = statement("summaries/filled.sql", "known_filled").text
    known: dict[str, dict[str, bool]] = {name: {} for name in names}
    for name, column, has_nulls in connection.execute(read, {"files": names, "columns": asked}).fetchall():
        known[name][column] = has_nulls
    told = [tuple(known[name].items()) for name in names]
    for each in dict.fromkeys(told):
        own = [(file.path, path) for file, path, other in zip(files, paths, told, strict=True) if other == each]
        yield Alike(files.named([path for path, _ in own]), [path for _, path in own], _spared(sql, dict(each)))


def _spared(sql: str, known: Mapping[str, bool]) -> str:
    """Return a statement that asks no more of columns than whether they are null, and only where some value is."""

    def asked(found: re.Match[str]) -> str:
        has_nulls = known.get(column := (found[1] or "").lower())
        if has_nulls is None:
            return found[0]
        return f"case when {column} is not null then true end" if has_nulls else "true"

    return _ASKS.sub(asked, sql)
