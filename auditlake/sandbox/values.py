"""Parameters of a question, as they are sent: JSON, with what says which texts are times and days."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from auditlake.errors import QueryError
from auditlake.events.times import as_instant

_LONGEST_VALUES = 1_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_text(value: object) -> bool:
    """Whether it can be sent as UTF-8."""
    return isinstance(value, str) and _SURROGATE.search(value) is None


def sent(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return parameters as they are sent.

    Raises:
        QueryError: One is of a kind that cannot be bound, or they are too long.
    """
    if not isinstance(params, Mapping | None):
        raise QueryError(f"expected parameters by name, got {type(params).__name__}", hint="$name and {'name': …}")
    values = {str(name): _sent(str(name), value) for name, value in (params or {}).items()}
    if sum(len(str(value)) for value in values.values()) > _LONGEST_VALUES:
        raise QueryError(f"the parameters have more than {_LONGEST_VALUES:,} characters")
    return values


def bound(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as they are bound, from how they were sent."""
    readers = {"instant": datetime.fromisoformat, "day": date.fromisoformat}
    return {
        name: readers[value["kind"]](value["text"]) if isinstance(value, Mapping) and "kind" in value else value
        for name, value in values.items()
    }


def _sent(name: str, value: Any) -> Any:
    if not all(map(is_text, [name, *(each for each in _each(value) if isinstance(each, str))])):
        raise QueryError("a parameter has text that is not Unicode")
    if any(isinstance(each, int) and each.bit_length() > 127 for each in _each(value)):
        raise QueryError("a parameter is a whole number of more than 128 bits")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        try:
            return {"kind": "instant", "text": as_instant(value).isoformat()}
        except OverflowError:
            raise QueryError(f"${name}: the time is not within the years 1 to 9999 in UTC") from None
    if isinstance(value, date):
        return {"kind": "day", "text": value.isoformat()}
    if isinstance(value, list | tuple) and all(isinstance(each, str | bool | int | float) for each in value):
        return list(value)
    raise QueryError(f"${name}: expected text, a number, a truth value, a time, a date, or a list of the first three")


def _each(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)
