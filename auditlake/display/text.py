"""Values as text for people: hidden characters spelled out, long text cut, numbers, instants and lengths of time.

The command line imports :func:`visible` on every run, so nothing here may be slow to import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""Characters that a reader does not see but a terminal or a browser acts on: C0 and C1 controls, marks that turn the
direction of writing, characters without width, halves of surrogate pairs. A fixed list: bytes must be the same under
any Python."""

SHOWN_CHARACTERS = 240
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNITS = {"h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_LENGTH = re.compile(r"([0-9]+)\s?(h|d|w|mo|y)|P([0-9]+)([DWY])|PT([0-9]+)(H)")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_TICK, _MIDNIGHT = timedelta(microseconds=1), time(0)
_MONTHS = (
    "January February March April May June July August September October November December".split()  # in any locale
)


@dataclass(frozen=True, slots=True)
class Text:
    """A value that others wrote, fit to be looked at."""

    text: str
    """The value, hidden characters spelled out, cut where it is very long."""
    rest: str = ""
    """How long it really is, where it was cut."""
    kind: Literal["text", "empty", "none"] = "text"
    """Whether there is a value, an empty one, or none."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what it stands for."""

    label: str
    """What the value is."""
    value: Text
    """The value."""
    note: str = ""
    """An explanation, where the label needs one."""
    code: bool = False
    """Whether the value is for machines: a digest, a condition, a name."""
    alarm: bool = False
    """Whether it is part of a violation."""


def counted_events(number: int) -> str:
    """Return ``1 event`` or ``2 events``."""
    return f"{number} event{'' if number == 1 else 's'}"


def visible(text: str, *, keep: str = "") -> str:
    r"""Spell out what a reader would not see but a terminal or a browser would act on.

    Args:
        text: Any text, however hostile.
        keep: Hidden characters that may stay, e.g. the line breaks of SQL.

    Example:
        >>> print(visible("a\x1b[31m\u202eb"))
        a\u001b[31m\u202eb
    """
    return UNSEEN.sub(lambda match: match[0] if match[0] in keep else _SHORT.get(match[0], _code_point(match[0])), text)


def shown(value: str | None, *, limit: int = SHOWN_CHARACTERS, keep: str = "") -> Text:
    """Make a value fit to be looked at: cut it after ``limit`` characters, and state its full length."""
    if value is None:
        return Text("", kind="none")
    if not value:
        return Text("", kind="empty")
    if len(value) <= limit:
        return Text(visible(value, keep=keep))
    return Text(visible(value[:limit], keep=keep), rest=f"cut: {len(value):,} characters in all")


def size_in_words(size: int) -> str:
    """Return a number of bytes in the unit that fits, as ``1.5 MB``; a unit is a thousand of the one before."""
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:,.1f} {unit}"
    return count(size, "byte")


def count(number: int, one: str, many: str = "") -> str:
    """Return a number and its noun.

    Example:
        >>> count(1, "episode"), count(1200, "day"), count(0, "entry", "entries")
        ('1 episode', '1,200 days', '0 entries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(when: datetime, *, zone: bool = True) -> str:
    """Return an instant for people: ``2026-11-24 08:00:00 UTC``, with its microseconds if there are any."""
    utc = when.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(" ", "microseconds" if utc.microsecond else "seconds") + (" UTC" if zone else "")


def instant_name(when: datetime) -> str:
    """Return an instant as people name it: the end of a day, or :func:`moment`.

    Example:
        >>> instant_name(datetime(2026, 9, 30, 23, 59, 59, 999999, tzinfo=UTC))
        'the end of 30 September 2026'
    """
    day = when.astimezone(UTC)
    if (day + _TICK).time() != _MIDNIGHT:
        return moment(when)
    return f"the end of {day.day} {_MONTHS[day.month - 1]} {day.year}"


def period_name(since: datetime, until: datetime) -> str:
    """Return a period of whole UTC days as people name it; empty where a bound is no day's edge.

    A bound counts as an edge at midnight and at the last microsecond of a day: the exact bounds stand beside the name.

    Example:
        >>> def day(text): return datetime.fromisoformat(text).replace(tzinfo=UTC)
        >>> period_name(day("2026-08-01"), day("2026-09-01")), period_name(day("2026-08-01"), day("2026-08-02"))
        ('August 2026', '1 August 2026')
        >>> period_name(day("2026-07-03"), day("2026-10-01")), period_name(day("2026-08-01T12:00"), day("2026-09-01"))
        ('3 July to 30 September 2026, 90 days', '')
    """
    bounds = (since.astimezone(UTC), until.astimezone(UTC))
    first, after = (bound.date() + _DAY * ((bound + _TICK).time() == _MIDNIGHT) for bound in bounds)
    if any(bound.time() != _MIDNIGHT and (bound + _TICK).time() != _MIDNIGHT for bound in bounds):
        return ""
    last = after - _DAY
    if last == first:
        return f"{first.day} {_MONTHS[first.month - 1]} {first.year}"
    if (first.day, after.day) == (1, 1):
        return _months(first, last)
    begin = f"{first.day} {_MONTHS[first.month - 1]}{f' {first.year}' if first.year != last.year else ''}"
    end = f"{last.day} {_MONTHS[last.month - 1]} {last.year}"
    return f"{begin} to {end}, {count((after - first).days, 'day')}"


def _months(first: date, last: date) -> str:
    """Name whole months: one, a year, or several."""
    begin, end = (_MONTHS[day.month - 1] for day in (first, last))
    if first.year != last.year:
        return f"{begin} {first.year} to {end} {last.year}"
    if begin == end:
        return f"{begin} {first.year}"
    return f"{first.year}" if (first.month, last.month) == (1, 12) else f"{begin} to {end} {first.year}"


def length(stretch: timedelta) -> str:
    """Return a length of time in its two largest units, or in one where that is exact; in hours up to two days.

    Example:
        >>> [length(timedelta(hours=hours)) for hours in (76, 48.25, 24.25, 24, 0.2)]
        ['3 d 4 h', '2 d 0 h', '24 h 15 min', '1 d', '12 min']
        >>> [length(timedelta(seconds=seconds)) for seconds in (725, 5.25, 0)]
        ['12 min 5 s', '5.25 s', '0 s']
    """
    if stretch >= 2 * _DAY or (stretch and not stretch % _DAY):
        return _two_units(stretch, _DAY, "d", _HOUR, "h")
    if stretch >= _HOUR:
        return _two_units(stretch, _HOUR, "h", _MINUTE, "min")
    if stretch >= _MINUTE:
        return _two_units(stretch, _MINUTE, "min", timedelta(seconds=1), "s")
    return f"{stretch.total_seconds():.6f}".rstrip("0").rstrip(".") + " s"


def spelled(duration: str) -> str:
    """Return a policy's duration in words: ``24h`` is ``24 hours``; any other text stays as it is."""
    match = _LENGTH.fullmatch(duration)
    if match is None:
        return shown(duration).text
    number, unit = (group for group in match.groups() if group is not None)
    return count(int(number), _UNITS[unit.lower()])


def _two_units(stretch: timedelta, large: timedelta, large_name: str, small: timedelta, small_name: str) -> str:
    whole, rest = divmod(stretch, large)
    return f"{whole:,} {large_name}" + (f" {rest // small} {small_name}" if rest else "")


def _code_point(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
