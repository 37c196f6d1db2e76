"""Hours of the week by the clocks of a zone, in which silence counts (semantics.md, Missing required types)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache

from auditlake.events.times import MICROSECOND, micros

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MINUTE = 60_000_000
_DAY = 1440 * _MINUTE
_SPAN = re.compile(
    rf"(?P<first>{'|'.join(_DAYS)})(?:-(?P<last>{'|'.join(_DAYS)}))?"
    r"(?: (?P<opens>(?:[01][0-9]|2[0-3]):[0-5][0-9])-(?P<closes>(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00))?"
)
EXPECTED = "days and hours such as 'Mon-Fri 08:00-18:00' or 'Mon-Fri 08:00-18:00, Sat 09:00-13:00'"


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours of the week in a zone."""

    text: str
    """As written, e.g. ``Mon-Fri 08:00-18:00``."""
    zone: str
    """The zone's name in the IANA database, e.g. ``Europe/Berlin``."""
    spans: tuple[tuple[int, int], ...]
    """From when to when, in microseconds since Monday 00:00 by the local clock; in order, none touches another."""

    def __str__(self) -> str:
        return f"{self.text} {self.zone}"

    @property
    def of_week(self) -> int:
        """How many microseconds of a week they are."""
        return sum(closes - opens for opens, closes in self.spans)


def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Read days and hours; days without hours are whole days, and ``Fri-Mon`` runs over the end of the week.

    Raises:
        ValueError: The text is nothing of the kind, or a span ends before it begins.

    Example:
        >>> parse_hours("Sat-Sun")
        ((432000000000, 604800000000),)
    """
    spans = [span for part in text.split(",") for span in _part(part.strip())]
    merged: list[tuple[int, int]] = []
    for opens, closes in sorted(spans):
        if merged and opens <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(closes, merged[-1][1]))
        else:
            merged.append((opens, closes))
    return tuple(merged)


def _part(text: str) -> list[tuple[int, int]]:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {EXPECTED}, got {text[:40]!r}")
    first, last = (_DAYS.index(day) for day in (match["first"], match["last"] or match["first"]))
    opens, closes = _of_day(match["opens"] or "00:00"), _of_day(match["closes"] or "24:00")
    if opens >= closes:
        message = f"{text!r} ends before it begins; hours over midnight are two: 'Mon 22:00-24:00, Tue 00:00-06:00'"
        raise ValueError(message)
    days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
    return [(day * _DAY + opens, day * _DAY + closes) for day in days]


def _of_day(text: str) -> int:
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * _MINUTE


def check_zone(name: str) -> str:
    """Return the name of a zone.

    Raises:
        ValueError: There is no such zone.
    """
    from pytz import all_timezones_set

    if name not in all_timezones_set:
        raise ValueError(f"expected a zone of the IANA database such as Europe/Berlin or UTC, got {name[:40]!r}")
    return name


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    """Return a zone, from the data that pytz ships: not every machine has a database of its own."""
    from importlib.resources import files
    from zoneinfo import ZoneInfo

    with files("pytz").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def offsets(name: str, first: datetime, last: datetime) -> list[tuple[int, int]]:
    """Return since when a zone's clocks are how far ahead of UTC, both in microseconds, the times since 1970.

    Args:
        name: The zone.
        first: From when on that is asked; the first entry begins there.
        last: Until when.
    """
    zone, day = _zone(name), timedelta(days=1)
    found = [(micros(first), _ahead(zone, first))]
    at = first
    while at < last:
        after = min(at + day, last)
        if (ahead := _ahead(zone, after)) != found[-1][1]:
            found.append((micros(_change(zone, at, after)), ahead))
        at = after
    return found


def _change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the first instant at which clocks are as far ahead as at the later one."""
    ahead = _ahead(zone, after)
    while after - before > MICROSECOND:
        middle = before + (after - before) // 2
        before, after = (before, middle) if _ahead(zone, middle) == ahead else (middle, after)
    return after


def _ahead(zone: tzinfo, at: datetime) -> int:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None, "a zone knows its offset"
    return offset // MICROSECOND
