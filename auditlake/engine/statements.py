"""The statements in ``sql/``: each opened by a comment that is its interface.

::

    -- name: rolling_counts($since, $until)
    -- What it answers, in prose.
    -- returns: group_key, start, ...
    select ...;

A file may hold several; each is valid DuckDB SQL by itself once its slots (plain identifiers) are filled in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from auditlake.assets import folder

_HEADER = re.compile(r"^-- name: (?P<name>[a-z0-9_]+)\((?P<parameters>[^)]*)\)[ ]*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a file in ``sql/``."""

    name: str
    parameters: tuple[str, ...]
    """Names of the values it binds, without the dollar sign."""
    text: str
    """The SQL with its leading comments, without the closing semicolon."""
    file: str
    """Path below ``sql/``."""
    line: int
    """Where its header stands, 1-based."""

    def bind(self, values: dict[str, object]) -> dict[str, object]:
        """Return the values it needs, out of all that are known.

        Raises:
            KeyError: One is missing; that is a mistake in the program.
        """
        return {name: values[name] for name in self.parameters}


@cache
def statements(file: str) -> dict[str, Statement]:
    """Return all statements of a file, by name, in file order.

    Args:
        file: Path below ``sql/``, e.g. ``policies/retention.sql``.
    """
    return parsed((folder("sql") / file).read_text(encoding="utf-8"), file)


def parsed(text: str, file: str) -> dict[str, Statement]:
    """Return the statements of a file's text, by name, in file order."""
    headers = list(_HEADER.finditer(text))
    by_name: dict[str, Statement] = {}
    for header, following in zip(headers, [*headers[1:], None][: len(headers)], strict=True):
        body = text[header.start() : following.start() if following else len(text)].strip().removesuffix(";")
        names = tuple(part.strip().removeprefix("$") for part in header["parameters"].split(",") if part.strip())
        line = text.count("\n", 0, header.start()) + 1
        by_name[header["name"]] = Statement(header["name"], names, body, file, line)
    return by_name


def statement(file: str, name: str) -> Statement:
    """Return one statement by file and name."""
    return statements(file)[name]
