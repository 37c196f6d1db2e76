"""Rows of a table as JSON of events: a row that a lake exported becomes again the event that it was."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from auditlake.events.schema import CANONICAL_FIELDS
from auditlake.sources.model import MAX_DEPTH, NOT_A_ROW, NOT_JSON, TOO_DEEP
from auditlake.sources.strictjson import nesting, why_not_json
from auditlake.sources.values import NotText, infinite

JSON_COLUMNS = frozenset({"details", "metadata"})
"""Columns whose text is JSON, as a lake's own Parquet files and exports have it."""
ADDED = frozenset({"batch", "seq", "salt"})
"""Columns of a lake's own files that are no reader's business; columns of these names elsewhere are kept."""
EXPORTED = frozenset({*CANONICAL_FIELDS, "source", "ingested_at"})
"""The columns that every table of events out of a lake has."""
OWN = ADDED | EXPORTED
"""The columns of a lake's own files."""


class RefusedError(Exception):
    """A row that is no record; its arguments are reason and detail."""


def delimiter(header: str) -> str:
    """Return what separates the columns of a CSV header: a comma, a semicolon, a tab or a bar."""
    return max(",;\t|", key=header.count)


def quoted_empty(row: bytes, separator: str) -> set[int]:
    """Return which fields of a row are an empty text between quotes, and not nothing at all."""
    apart = re.escape(separator)
    field = re.compile(rf'(?:^|{apart})("(?:[^"]|"")*"|[^{apart}]*)')
    return {i for i, match in enumerate(field.finditer(row.decode())) if match[1] == '""'}


def event(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as an event: without a lake's internal columns, its JSON text as that JSON.

    Raises:
        RefusedError: With that JSON in it, the record would be nested too deeply.
    """
    internal = ADDED if row.keys() >= OWN else frozenset()
    exported = row.keys() >= EXPORTED
    return {
        name: _as_json(value, exported=exported) if name in JSON_COLUMNS else value
        for name, value in row.items()
        if name not in internal
    }


def _as_json(value: Any, *, exported: bool) -> Any:
    """Return JSON text as that JSON. What a lake exported always is; elsewhere a text or a number stays itself."""
    if not isinstance(value, str) or not (exported or value.lstrip()[:1] in {"{", "["}):
        return value
    data = value.encode("utf-8", "surrogatepass")
    if data.count(b"[") + data.count(b"{") >= MAX_DEPTH:
        levels, closed = nesting(data)
        if closed and levels >= MAX_DEPTH:  # the record itself is one more
            raise RefusedError(TOO_DEEP, f"{levels + 1} levels, at most {MAX_DEPTH} are allowed")
    return value if why_not_json(data) else orjson.Fragment(data)


def shown_row(row: Mapping[Any, Any], spell: Callable[[Any], str]) -> bytes:
    """Return the whole row for people to read; numbers that JSON lacks are spelled as in JavaScript.

    Args:
        row: Its values by their names.
        spell: Returns as text what JSON cannot say.
    """
    try:
        text = json.dumps(dict(row), default=spell, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        text = spell(dict(row))
    return text.encode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a row of a Parquet file is no record, with all that it says."""

    reason: str
    detail: str
    data: bytes
    field: str = ""
    value: str = ""


@dataclass(slots=True)
class Writer:
    """Writes a row as JSON. Decimals keep every digit; bytes are text where they are UTF-8, else hexadecimal."""

    decodes: bool = True
    """Whether bytes may be text; an earlier version had all of them hexadecimal."""
    decoded: bool = False
    """Whether bytes were taken for text."""
    _bad: bytes = b""

    def json_of(self, row: dict[str, Any]) -> bytes | Refused:
        """Return the row's JSON text, or why it is refused. JSON has no NaN and no Infinity, so no event has one."""
        if self.decodes and (odd := infinite(row)) is not None:
            place, number = odd
            return Refused(NOT_JSON, f"{place}: JSON has no {number}", shown_row(row, self._plain), place, number)
        try:
            fields = event({name: self._plain(each) if isinstance(each, bytes) else each for name, each in row.items()})
            text = orjson.dumps(fields, self._plain, orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)
        except RefusedError as error:
            reason, detail = error.args
            return Refused(reason, detail, shown_row(row, self._plain))
        except (TypeError, ValueError) as error:
            return Refused(NOT_A_ROW, str(error)[:200], shown_row(row, self._plain))
        if self._bad:
            field = next((name for name, value in row.items() if value is self._bad), "")
            value = self._bad[:60].decode("utf-8", "backslashreplace")
            return Refused(NOT_A_ROW, "text that is not UTF-8", shown_row(row, self._plain), field, value)
        return text

    def _plain(self, value: object) -> str:
        if isinstance(value, orjson.Fragment):
            contents = value.contents
            return contents if isinstance(contents, str) else bytes(contents).decode()
        if not isinstance(value, bytes):
            return value.isoformat() if isinstance(value, datetime) else str(value)
        if isinstance(value, NotText):
            self._bad = value
            return value.decode("utf-8", "backslashreplace")
        if self.decodes:
            with suppress(UnicodeDecodeError):
                text = value.decode()
                self.decoded = True
                return text
        return value.hex()
