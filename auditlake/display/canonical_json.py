"""Values as JSON, exactly and in one way only: the bytes of reports and certificates, whose digests are kept."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import orjson

from auditlake.display.text import UNSEEN
from auditlake.errors import ReportError
from auditlake.events.times import print_instant

_UNSEEN_IN_JSON = re.compile(UNSEEN.pattern.replace("\x00-\x1f", ""))
"""C0 controls inside of strings are escapes already, so a line break is one of ours, between values."""
_AS_THEY_ARE = {str, int, bool, type(None)}
"""The types of values that are written as they are."""
_PLAIN = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def canonical(document: object) -> bytes:
    """Write a JSON value the one way: keys in their order, two spaces, hidden characters escaped, a final newline."""
    content = _quickly(document)
    if content is not None and content.isascii() and b"\x7f" not in content:
        return content + b"\n"
    text = content.decode() if content else json.dumps(document, ensure_ascii=False, allow_nan=False, indent=2)
    return (_UNSEEN_IN_JSON.sub(lambda match: json_escape(match[0]), text) + "\n").encode("utf-8")


def _quickly(document: object) -> bytes | None:
    """Return what :func:`json.dumps` writes, which takes far longer; None where orjson may write something else, as
    of the number 1e16 or of a UUID, or nothing.
    """
    with suppress(orjson.JSONEncodeError, RecursionError):
        return orjson.dumps(document, option=_PLAIN) if _is_plain(document) else None
    return None


def _is_plain(document: Any) -> bool:
    values = [document]
    for value in values:
        kind = type(value)
        if kind in _AS_THEY_ARE:
            continue
        if kind is dict:
            values += value.values()
        elif kind is list or kind is tuple:
            values += value
        else:
            return False
    return True


@cache
def json_escape(character: str) -> str:
    """Return a character as JSON escapes it: the same value, and nothing that a terminal would act on."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def instant(moment: datetime) -> str:
    """Write an instant as ``YYYY-MM-DDTHH:MM:SS.ffffffZ``.

    Example:
        >>> from datetime import UTC
        >>> instant(datetime(2026, 11, 24, 8, 0, tzinfo=UTC))
        '2026-11-24T08:00:00.000000Z'

    Raises:
        ReportError: The instant has no zone, so its place in time is unknown.
    """
    if moment.tzinfo is None:
        message = f"a report needs instants with a zone, got {moment.isoformat()}"
        raise ReportError(message)
    return print_instant(moment)


def json_value(value: Any) -> Any:
    """Turn a query's parameter, or a dataclass, into a JSON value; a length of time becomes text that DuckDB casts to
    INTERVAL.

    Raises:
        ReportError: The value is of a type that no query binds.
    """
    if type(value) in _AS_THEY_ARE:
        return value
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return instant(value)
        case date():
            return value.isoformat()
        case timedelta():
            return f"{value // timedelta(microseconds=1)} microseconds"
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case Mapping():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple():
            return [json_value(item) for item in value]
        case _ if is_dataclass(value):
            return {each.name: json_value(getattr(value, each.name)) for each in fields(value)}
        case _:
            message = f"a parameter of type {type(value).__name__} has no JSON form"
            raise ReportError(message)
