"""Instants: read as docs/reference/semantics.md says, written in one form. Always aware, in UTC, to the microsecond."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone

from auditlake.errors import AuditLakeError, EventError, ReportError

Instant = datetime | date | str
"""What the library takes for an instant: see :func:`as_instant` for a start, :func:`as_end` for an end."""

_SHAPE = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt ](?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d|60)"
    r"(?:\.(?P<fraction>\d+))?(?:[Zz]| ?(?P<sign>[+-])(?P<hours>0\d|1[0-8]):?(?P<minutes>[0-5]\d))?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LAST_YEAR = 9998
_DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
"""Between two neighbouring instants."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The instant from which microseconds and days are counted."""


def micros(at: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def instant(at: int) -> datetime:
    """Return the instant of so many microseconds since 1970."""
    return EPOCH + at * MICROSECOND


def parse_instant(text: str) -> datetime:
    """Read RFC 3339, or the same without an offset (then UTC), or with one as in ``-0700`` or `` -07:00``.

    Offsets up to ±18:00, years 1970 to 9998, second 60 becomes 59.999999, digits after the sixth are cut.

    Raises:
        ValueError: It is anything else.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(f"not a time: {text[:60]!r}; expected e.g. 2026-11-24T09:30:00Z")
    leap = match["second"] == "60"
    micro = 999_999 if leap else int((match["fraction"] or "0")[:6].ljust(6, "0"))
    clock = f"{match['date']}T{match['hour']}:{match['minute']}:{'59' if leap else match['second']}"
    try:
        naive = datetime.fromisoformat(clock).replace(microsecond=micro)
    except ValueError as error:
        raise ValueError(f"not a time: {text[:60]!r}; {error}") from error
    offset = timedelta(hours=int(match["hours"] or 0), minutes=int(match["minutes"] or 0))
    if offset > timedelta(hours=18):
        raise ValueError(f"not a time: {text[:60]!r}; an offset is at most 18:00")
    try:
        instant = (naive - (-offset if match["sign"] == "-" else offset)).replace(tzinfo=UTC)
    except OverflowError:
        instant = None
    if instant is None or not 1970 <= instant.year <= _LAST_YEAR:
        raise ValueError(f"a time outside of 1970 to {_LAST_YEAR}: {text[:60]!r}")
    return instant


def parse_bound(text: str) -> datetime | date:
    """Read an instant, or a bare date, which stays one: only who asks knows whether it starts or ends something.

    Raises:
        ValueError: It is neither.
    """
    return parse_instant(f"{text}T00:00:00Z").date() if _DATE.fullmatch(text) else parse_instant(text)


def parse_end(text: str) -> datetime:
    """Read an instant or a bare date, which ends with its last microsecond."""
    return as_end(parse_bound(text))


def as_instant(asked: Instant) -> datetime:
    """Read the start of a period: a datetime, a day (its first microsecond, UTC), or text of either.

    Raises:
        EventError: It is none of these.
    """
    bound = _bound(asked)
    return bound if isinstance(bound, datetime) else datetime(bound.year, bound.month, bound.day, tzinfo=UTC)


def as_end(asked: Instant) -> datetime:
    """Read the end of a period: as :func:`as_instant`, but a day ends with its last microsecond.

    Raises:
        EventError: It is none of these.
    """
    bound = _bound(asked)
    return bound if isinstance(bound, datetime) else as_instant(bound) + (_DAY - MICROSECOND)


def as_exclusive(asked: Instant) -> datetime:
    """Read a start that is not part of its period: a day is in it from its first microsecond on.

    Raises:
        EventError: It is none of these.
    """
    bound = _bound(asked)
    return bound if isinstance(bound, datetime) else as_instant(bound) - MICROSECOND


def judged_as_of(asked: Instant | None, now: datetime, error: type[AuditLakeError] = ReportError) -> datetime:
    """Return the instant to judge at: now if none is asked for, of a day its end, of today what has passed of it.

    Args:
        asked: The caller's instant.
        now: The present; a later instant is refused.
        error: What to raise.

    Raises:
        EventError: It is no instant.
        AuditLakeError: It lies ahead.
    """
    if asked is None:
        return now
    bound = _bound(asked)
    if not isinstance(bound, datetime) and bound == utc(now).date():
        return now
    if (instant := as_end(bound)) > now:
        message = f"as of {print_instant(instant)} lies ahead: it is {print_instant(now)}"
        raise error(message, hint="what happens until then is not known yet: name an earlier time, or none")
    return instant


def as_instant_or_none(instant: Instant | None) -> datetime | None:
    """Return :func:`as_instant` of an argument that may be left out."""
    return None if instant is None else as_instant(instant)


def as_end_or_none(instant: Instant | None) -> datetime | None:
    """Return :func:`as_end` of an argument that may be left out."""
    return None if instant is None else as_end(instant)


def _bound(asked: Instant) -> datetime | date:
    """Return a datetime in UTC, or a day."""
    if isinstance(asked, datetime):
        return utc(asked)
    if isinstance(asked, date):
        return asked
    try:
        return parse_bound(asked)
    except (ValueError, TypeError) as error:
        message = f"not a time: {asked!r}"
        raise EventError(
            message, hint="a datetime, a date, or text such as 2026-11-24T09:30:00Z or 2026-11-24"
        ) from error


def day_of(number: int) -> date:
    """Return the day of so many days since :data:`EPOCH`."""
    return EPOCH.date() + timedelta(days=number)


def utc(instant: datetime) -> datetime:
    """Return the same instant in UTC; a naive one is UTC already."""
    return instant.replace(tzinfo=UTC) if instant.utcoffset() is None else instant.astimezone(UTC)


def print_instant(instant: datetime) -> str:
    """Return ``YYYY-MM-DDTHH:MM:SS.ffffffZ``."""
    return f"{instant.astimezone(timezone.utc).isoformat(timespec='microseconds')[:-6]}Z"  # noqa: UP017
