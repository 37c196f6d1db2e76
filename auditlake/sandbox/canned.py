"""Canned questions: documented statements with parameters, ours in ``sql/queries`` and a lake's own in LAKE/queries.

Those about the events of one source lie in ``sql/queries/sources``, a file a source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Literal

from auditlake.assets import folder
from auditlake.disk.files import read_text
from auditlake.disk.layout import Layout
from auditlake.engine.statements import Statement, parsed, statements
from auditlake.errors import QueryError
from auditlake.events.durations import parse_duration
from auditlake.events.times import as_end, as_exclusive, as_instant, parse_bound

_OURS = "queries/auditor.sql"
_OF_SOURCES = "queries/sources"
_PARAMETER = re.compile(r"^-- \$(?P<name>\w+) \((?P<kind>time|text|number)(?:, (?P<default>.*))?\): (?P<what>.*)$")
_LONGEST = 1_000_000
_ENDS = ("until", "end", "as_of")
"""Parameters of these names end something, however the statement puts it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that a question needs."""

    name: str
    kind: Literal["time", "text", "number"]
    default: str | None
    """As it is written; None if it must be given."""
    what: str


@dataclass(frozen=True, slots=True)
class CannedQuery:
    """A statement that has a name."""

    name: str
    what: str
    """What it answers, in a sentence."""
    parameters: tuple[Parameter, ...]
    sql: str
    own: bool
    """Whether it is the lake's own."""
    source: str = ""
    """The source whose events it is about; empty where it is about all."""

    def values(self, arguments: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """Return the values that it binds: those of the caller, and the defaults of the others.

        Raises:
            QueryError: One is missing, not known, or not of its kind.
        """
        names = [each.name for each in self.parameters]
        if unknown := sorted(set(arguments) - set(names)):
            known = ", ".join(names) or "none"
            raise QueryError(f"{self.name} has no parameter {unknown[0]}; expected some of {known}")
        values = {}
        for each in self.parameters:
            value = arguments.get(each.name, each.default)
            if value is None:
                raise QueryError(f"{self.name} needs {each.name}: {each.what}", hint=f"--param {each.name}=…")
            values[each.name] = _read(each, value, now, self.sql) if isinstance(value, str) else value
        return values


def questions(layout: Layout) -> dict[str, CannedQuery]:
    """Every question, by name: ours, and the lake's own, which may take the place of ours.

    Raises:
        QueryError: A file of the lake cannot be understood.
    """
    queries = {each.name: _canned(each) for each in statements(_OURS).values()}
    for path in sorted((folder("sql") / _OF_SOURCES).glob("*.sql")):
        of_source = statements(f"{_OF_SOURCES}/{path.name}").values()
        queries |= {each.name: replace(_canned(each), source=path.stem) for each in of_source}
    for file in sorted((layout.root / "queries").glob("*.sql")):
        try:
            text = read_text(file, within=layout.root)
            if len(text) > _LONGEST:
                raise ValueError("it is too long")
            own = parsed(text, file.name)
        except (OSError, ValueError) as error:
            raise QueryError(f"{file} cannot be understood: {error}") from error
        if not own:
            raise QueryError(f"{file} has no question", hint="each begins with a line -- name: NAME($parameter, …)")
        queries |= {each.name: _canned(each, own=True) for each in own.values()}
    return dict(sorted(queries.items()))


def chosen(queries: Mapping[str, CannedQuery], name: str) -> CannedQuery:
    """One question by its name.

    Raises:
        QueryError: There is none.
    """
    if name not in queries:
        close = get_close_matches(name[:64], queries, 1)
        hint = f"did you mean {close[0]}?" if close else "auditlake query list shows them all"
        raise QueryError(f"there is no canned query {name[:80]!r}", hint=hint)
    return queries[name]


def _canned(source: Statement, *, own: bool = False) -> CannedQuery:
    sentences, parameters = [], {}
    for line in source.text.splitlines()[1:]:
        if match := _PARAMETER.match(line):
            parameters[match["name"]] = Parameter(**match.groupdict())  # type: ignore[arg-type]
        elif line.startswith("-- returns:") or not line.startswith("-- "):
            break
        elif not parameters:
            sentences.append(line.removeprefix("-- ").strip())
    listed = (parameters.get(name) or Parameter(name, "text", None, "") for name in source.parameters)
    return CannedQuery(source.name, " ".join(sentences), tuple(listed), source.text, own)


def _read(parameter: Parameter, text: str, now: datetime, sql: str) -> Any:
    try:
        if parameter.kind == "number":
            return float(text) if "." in text else int(text)
        if parameter.kind == "time":
            return _instant(parameter.name, text, now, sql)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{parameter.name}: expected a {parameter.kind}, got {text[:80]!r}: {error}") from error
    return text


def _instant(name: str, text: str, now: datetime, sql: str) -> datetime:
    """Read an instant, ``now``, a length before now such as ``-30d``, or a whole day.

    How the statement compares says which end of the day is meant; what it leaves out (``> $since``) is the microsecond
    before the day.
    """
    if text == "now":
        return now
    if text.startswith("-"):
        return now - timedelta(microseconds=parse_duration(text[1:], "retention_period").microseconds)
    bound = parse_bound(text)
    if name in _ENDS or re.search(rf"<=?\s*\${name}\b", sql):
        return as_end(bound)
    return as_exclusive(bound) if re.search(rf">\s*\${name}\b", sql) else as_instant(bound)
