"""Lengths of time, as people write them in a policy (docs/reference/semantics.md, Time)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

_CALENDAR = {
    "retention_period": (31 * _DAY, 366 * _DAY), "hot": (31 * _DAY, 366 * _DAY),
    "max_retention": (30 * _DAY, 365 * _DAY),
}  # fmt: skip
"""The fields that may count in months and years, and what one of each is there: never too short, never too long."""

_FIXED = {"s": _SECOND, "min": _MINUTE, "h": _HOUR, "d": _DAY, "w": 7 * _DAY}
_UPPER_BOUND = 200 * 366 * _DAY

_SHORT = re.compile(r"([+-]?)([0-9]+)([a-zA-Z]+)")
_ISO = re.compile(
    r"P(?=[0-9T])(?:(?P<y>[0-9]+)Y)?(?:(?P<mo>[0-9]+)M)?(?:(?P<w>[0-9]+)W)?(?:(?P<d>[0-9]+)D)?"
    r"(?:T(?=[0-9])(?:(?P<h>[0-9]+)H)?(?:(?P<min>[0-9]+)M)?(?:(?P<s>[0-9]+)S)?)?"
)
_EXPECTED = "expected a length such as 24h, 30d, 12w, 6mo, 7y, 90min or ISO 8601 such as P30D"


@dataclass(frozen=True, slots=True)
class Duration:
    """A fixed length of time, as it was written and as it counts."""

    text: str
    """As written in the policy, e.g. ``30d``, ``7y``, ``P1Y``."""
    microseconds: int
    """Its length; what a month or a year counts for depends on the field (docs/reference/semantics.md, Time)."""

    def __str__(self) -> str:
        return self.text


def length_of(length: Duration | None) -> int:
    """Return the microseconds of a length; 0 where there is none."""
    return length.microseconds if length else 0


def parse_duration(text: str, field: str) -> Duration:
    """Read a length of time.

    Args:
        text: As written: ``90min``, ``24h``, ``30d``, ``12w``, ``6mo``, ``7y`` or ISO 8601 (``P1Y2M``, ``PT24H``).
        field: The policy's key. Months and years count 31 and 366 days in ``retention_period`` and ``hot``, 30 and 365
            days in ``max_retention``, and are refused everywhere else.

    Returns:
        The length, with the text as it was written.

    Raises:
        ValueError: The text is no length of time, or not one that the field takes.

    Example:
        >>> parse_duration("6mo", "retention_period").microseconds // 86_400_000_000
        186
    """
    short = text if len(text) <= 40 else text[:40] + "…"
    parts = _iso_parts(text) if text.startswith("P") else _short_parts(text, short)
    if not parts:
        raise ValueError(f"{_EXPECTED}, got {short!r}")
    lengths = dict(_FIXED)
    if field in _CALENDAR:
        lengths["mo"], lengths["y"] = _CALENDAR[field]
    elif "mo" in parts or "y" in parts:
        message = f"{short!r} counts months or years, whose length varies; {field} takes days and shorter, such as 30d"
        raise ValueError(message)
    microseconds = sum(number * lengths[unit] for unit, number in parts.items())
    if microseconds == 0:
        raise ValueError(f"a length of zero ({short!r}) is not allowed; it must be longer than nothing")
    if microseconds > _UPPER_BOUND:
        raise ValueError(f"{short!r} is longer than 200 years; write at most 200y")
    return Duration(text, microseconds)


def _short_parts(text: str, short: str) -> dict[str, int]:
    """Read ``30d`` as ``{"d": 30}``; return an empty dict if the text is nothing of the kind."""
    match = _SHORT.fullmatch(text)
    if match is None:
        if re.fullmatch(r"[+-]?[0-9]+", text):
            raise ValueError(f"{short!r} has no unit; write e.g. {text.lstrip('+-')}d or {text.lstrip('+-')}h")
        return {}
    sign, digits, unit = match.groups()
    if unit == "m":
        raise ValueError(f"{short!r} is ambiguous; write {digits}min for minutes or {digits}mo for months")
    if unit not in _FIXED and unit not in ("mo", "y"):
        raise ValueError(f"unknown unit {unit!r} in {short!r}; use one of s, min, h, d, w, mo, y")
    if sign:
        raise ValueError(f"a length has no sign, got {short!r}")
    return {unit: _number(digits)}


def _iso_parts(text: str) -> dict[str, int]:
    """Read ``P1Y2M`` as ``{"y": 1, "mo": 2}``; return an empty dict if the text is no ISO 8601 duration."""
    match = _ISO.fullmatch(text)
    return {} if match is None else {unit: _number(digits) for unit, digits in match.groupdict().items() if digits}


def _number(digits: str) -> int:
    """Return the number, or one surely too large: very long digit strings are not worth converting."""
    return int(digits) if len(digits.lstrip("0")) <= 18 else _UPPER_BOUND
