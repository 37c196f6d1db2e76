"""Lengths of time and instants, as a policy writes them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.events.durations import parse_duration
from auditlake.events.times import parse_instant, print_instant

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR

# (text, field, microseconds)
LENGTHS = [
    ("1s", "window", 1_000_000),
    ("90min", "window", 90 * 60_000_000),
    ("24h", "window", _DAY),
    ("30d", "window", 30 * _DAY),
    ("12w", "max_gap", 84 * _DAY),
    ("007d", "window", 7 * _DAY),
    ("6mo", "retention_period", 186 * _DAY),
    ("7y", "retention_period", 7 * 366 * _DAY),
    ("200y", "retention_period", 200 * 366 * _DAY),
    ("6mo", "max_retention", 180 * _DAY),
    ("7y", "max_retention", 7 * 365 * _DAY),
    ("P30D", "window", 30 * _DAY),
    ("PT24H", "window", _DAY),
    ("PT90M", "window", 90 * 60_000_000),
    ("PT1S", "window", 1_000_000),
    ("P1DT12H30M", "window", 36 * _HOUR + 30 * 60_000_000),
    ("P1W", "window", 7 * _DAY),
    ("P6M", "retention_period", 186 * _DAY),
    ("P1Y2M", "retention_period", (366 + 62) * _DAY),
    ("P1Y2M", "max_retention", (365 + 60) * _DAY),
]

_EXPECTED = "expected a length such as 24h, 30d, 12w, 6mo, 7y, 90min or ISO 8601 such as P30D, got "
_ZERO = " is not allowed; it must be longer than nothing"

# name: (text, field, message)
REFUSED = {
    "empty": ("", "window", _EXPECTED + "''"),
    "blank": (" ", "window", _EXPECTED + "' '"),
    "words": ("30 days", "window", _EXPECTED + "'30 days'"),
    "a fraction": ("1.5h", "window", _EXPECTED + "'1.5h'"),
    "two units": ("1h30min", "window", _EXPECTED + "'1h30min'"),
    "other digits": ("\u0663d", "window", _EXPECTED + "'\u0663d'"),
    "a line end": ("30d\n", "window", _EXPECTED + r"'30d\n'"),
    "long": ("x" * 50, "window", _EXPECTED + f"'{'x' * 40}…'"),
    "P alone": ("P", "window", _EXPECTED + "'P'"),
    "PT alone": ("PT", "window", _EXPECTED + "'PT'"),
    "T without a time": ("P1DT", "window", _EXPECTED + "'P1DT'"),
    "days after T": ("PT1D", "window", _EXPECTED + "'PT1D'"),
    "small letters": ("p30d", "window", _EXPECTED + "'p30d'"),
    "negative ISO": ("P-1D", "window", _EXPECTED + "'P-1D'"),
    "no unit": ("30", "window", "'30' has no unit; write e.g. 30d or 30h"),
    "m": ("90m", "window", "'90m' is ambiguous; write 90min for minutes or 90mo for months"),
    "M": ("90M", "window", "unknown unit 'M' in '90M'; use one of s, min, h, d, w, mo, y"),
    "D": ("30D", "window", "unknown unit 'D' in '30D'; use one of s, min, h, d, w, mo, y"),
    "a sign": ("-30d", "window", "a length has no sign, got '-30d'"),
    "a plus": ("+30d", "window", "a length has no sign, got '+30d'"),
    "zero": ("0d", "window", f"a length of zero ('0d'){_ZERO}"),
    "zero months": ("0mo", "retention_period", f"a length of zero ('0mo'){_ZERO}"),
    "zero in ISO": ("P0D", "window", f"a length of zero ('P0D'){_ZERO}"),
    "too long": ("201y", "retention_period", "'201y' is longer than 200 years; write at most 200y"),
    "far too long": ("9" * 30 + "d", "window", f"'{'9' * 30}d' is longer than 200 years; write at most 200y"),
    "months in a window": (
        "1mo",
        "window",
        "'1mo' counts months or years, whose length varies; window takes days and shorter, such as 30d",
    ),
    "years in max_gap": (
        "P1Y",
        "max_gap",
        "'P1Y' counts months or years, whose length varies; max_gap takes days and shorter, such as 30d",
    ),
}


@pytest.mark.parametrize(("text", "field", "microseconds"), LENGTHS)
def test_length(text: str, field: str, microseconds: int) -> None:
    """A length keeps its text and counts as docs/reference/semantics.md says for its field."""
    duration = parse_duration(text, field)

    assert (duration.text, duration.microseconds) == (text, microseconds)


@pytest.mark.parametrize(("text", "field", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_length_refused(text: str, field: str, message: str) -> None:
    """What is no length, or none for the field, is refused with what to write instead."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text, field)

    assert str(caught.value) == message


@settings(deadline=None)
@given(st.text(max_size=20) | st.from_regex(r"P?[0-9]{1,25}[a-zA-Z]{0,3}", fullmatch=True))
def test_length_is_positive_or_refused(text: str) -> None:
    """Any text is either a length above zero and at most 200 years, or refused in one line."""
    try:
        microseconds = parse_duration(text, "retention_period").microseconds
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert 0 < microseconds <= 200 * 366 * _DAY


# (text, as every report writes it)
INSTANTS = [
    ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00.000000Z"),
    ("2026-11-24t10:00:00z", "2026-11-24T10:00:00.000000Z"),
    ("2026-11-24 10:00:00", "2026-11-24T10:00:00.000000Z"),
    ("2026-11-24T10:00:00.1234567Z", "2026-11-24T10:00:00.123456Z"),
    ("2026-11-24T10:00:00.5+02:00", "2026-11-24T08:00:00.500000Z"),
    ("2026-11-24T10:00:00-18:00", "2026-11-25T04:00:00.000000Z"),
    ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999999Z"),
    ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
    ("9998-12-31T23:59:59.999999Z", "9998-12-31T23:59:59.999999Z"),
]

NO_INSTANTS = [
    "",
    "2026-11-24",
    "2026-11-24T10:00Z",
    "2026-11-24T24:00:00Z",
    "2026-11-24T10:00:61Z",
    "2026-02-30T10:00:00Z",
    "2026-11-24T10:00:00+18:01",
    "2026-11-24T10:00:00+01:60",
    "2026-11-24T10:00:00+01000",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00+01:00",
    "9999-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "infinity",
    "1764000000",
    "2026-11-24T10:00:00Z\n",
]


@pytest.mark.parametrize(("text", "written"), INSTANTS)
def test_instant(text: str, written: str) -> None:
    """An instant is read as UTC, to the microsecond."""
    assert print_instant(parse_instant(text)) == written


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_instant_refused(text: str) -> None:
    """What is no instant of the years 1970 to 9998 is refused."""
    with pytest.raises(ValueError, match=r"not a time|a time outside"):
        parse_instant(text)


@settings(deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)))
def test_instant_round_trip(instant: datetime) -> None:
    """What is written can be read again."""
    assert parse_instant(print_instant(instant)) == instant
