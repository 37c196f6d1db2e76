"""Instants: read as semantics.md says, written in one form. Always aware, in UTC, to the microsecond."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from auditlake.errors import EventError

Instant = datetime | date | str
"""What the library takes for an instant; see :func:`as_instant`."""

_SHAPE = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
    r"(?:\.(?P<fraction>\d+))?(?:[Zz]|(?P<sign>[+-])(?P<hours>0\d|1[0-8]):(?P<minutes>[0-5]\d))?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LAST_YEAR = 9998


def parse_instant(text: str) -> datetime:
    """Read RFC 3339, or the same without an offset (then UTC).

    Offsets up to ±18:00, years 1970 to 9998, second 60 becomes 59.999999, digits after the sixth are cut.

    Raises:
        ValueError: It is anything else.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        message = f"not a time: {text[:60]!r}; expected e.g. 2026-11-24T09:30:00Z"
        raise ValueError(message)
    leap = match["second"] == "60"
    micro = 999_999 if leap else int((match["fraction"] or "0")[:6].ljust(6, "0"))
    clock = f"{match['date']}T{match['hour']}:{match['minute']}:{'59' if leap else match['second']}"
    try:
        naive = datetime.fromisoformat(clock).replace(microsecond=micro)
    except ValueError as error:
        message = f"not a time: {text[:60]!r}; {error}"
        raise ValueError(message) from error
    offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    if offset > timedelta(hours=18):
        message = f"not a time: {text[:60]!r}; an offset is at most 18:00"
        raise ValueError(message)
    try:
        instant = (naive - (-offset if match["sign"] == "-" else offset)).replace(tzinfo=UTC)
    except OverflowError:
        instant = None
    if instant is None or not 1970 <= instant.year <= _LAST_YEAR:
        message = f"a time outside of 1970 to {_LAST_YEAR}: {text[:60]!r}"
        raise ValueError(message)
    return instant


def parse_bound(text: str) -> datetime:
    """Read an instant or a bare date, which is its 00:00 UTC: what people type on a command line."""
    return parse_instant(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)


def as_instant(asked: Instant) -> datetime:
    """What a caller of the library means by an instant: a datetime, a day (its 00:00 UTC), or either as text.

    Raises:
        EventError: It is none of these.
    """
    if isinstance(asked, datetime):
        return utc(asked)
    if isinstance(asked, date):
        return datetime(asked.year, asked.month, asked.day, tzinfo=UTC)
    try:
        return parse_bound(asked)
    except (ValueError, TypeError) as error:
        message = f"not a time: {asked!r}"
        raise EventError(
            message, hint="a datetime, a date, or text such as 2026-11-24T09:30:00Z or 2026-11-24"
        ) from error


def given(instant: Instant | None) -> datetime | None:
    """:func:`as_instant` for an argument that may be left out."""
    return None if instant is None else as_instant(instant)


def utc(instant: datetime) -> datetime:
    """The same instant in UTC; a naive one is UTC already."""
    return instant.replace(tzinfo=UTC) if instant.utcoffset() is None else instant.astimezone(UTC)


def print_instant(instant: datetime) -> str:
    """``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # noqa: UP017
