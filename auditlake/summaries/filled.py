"""Which columns of text need not be read to know that they are filled: the footers of data files say so.

Between the least and the greatest value of a column there is often no text that says nothing. Then it is filled where
it is not null, which takes less time to ask; and where no value is null, it need not be read at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb

from auditlake.engine.paths import all_for_duckdb
from auditlake.engine.statements import statement
from auditlake.events.schema import TEXT_COLUMNS

_ASKS = re.compile(
    rf"/\*.*?\*/|--[^\n]*|'(?:[^']|'')*'|\bis_filled\(({'|'.join(TEXT_COLUMNS)})\)", re.IGNORECASE | re.DOTALL
)
"""Where a statement asks whether a column is filled; what is found of comments and texts has no column."""


def by_footers(
    connection: duckdb.DuckDBPyConnection, sql: str, where: Mapping[str, Path]
) -> Iterator[tuple[Mapping[str, bool], list[str]]]:
    """Yield columns of text that are filled but for nulls, and whether there are any, with the files that are so.

    Args:
        connection: What reads the footers.
        sql: A statement over ``events``: only columns that it asks about are looked up.
        where: The data files, and where they lie.

    Raises:
        duckdb.Error: A footer cannot be read.
    """
    asked = sorted({found[1].lower() for found in _ASKS.finditer(sql) if found[1]})
    known: dict[str, dict[str, bool]] = {name: {} for name in where}
    if asked and where:
        connection.execute(statement("policies/is_filled.sql", "are_filled").text)
        files = dict(zip(all_for_duckdb([*where.values()]), where, strict=True))
        read = statement("summaries/filled.sql", "known_filled").text
        for file, column, has_nulls in connection.execute(read, {"files": [*files], "columns": asked}).fetchall():
            if file in files:  # DuckDB spells a name that a pattern matched in its own way
                known[files[file]][column] = has_nulls
    alike: dict[tuple[tuple[str, bool], ...], list[str]] = {}
    for name, columns in known.items():
        alike.setdefault(tuple(columns.items()), []).append(name)
    yield from ((dict(columns), names) for columns, names in alike.items())


def spared(sql: str, known: Mapping[str, bool]) -> str:
    """Return a statement that asks no more of columns than whether they are null, and only where some value is."""

    def asked(found: re.Match[str]) -> str:
        has_nulls = known.get(column := (found[1] or "").lower())
        if has_nulls is None:
            return found[0]
        return f"case when {column} is not null then true end" if has_nulls else "true"

    return _ASKS.sub(asked, sql)
