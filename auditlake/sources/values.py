"""Values of a Parquet file as values that JSON has: exact, whatever their type, unit or size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DIGITS = {"s": 6, "ms": 6, "us": 6, "ns": 9}
_DAY = 86_400
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The first and the last second of the years 1 to 9999."""


class NotText(bytes):
    """What should be text and is not UTF-8."""

    __slots__ = ()


def values(column: pa.Array) -> tuple[list[Any], list[Any] | None]:
    """Return the values of a column; also as an earlier version read them, if that differed.

    Timestamps at the top become RFC 3339 text in UTC, with as many digits as they have, six at least; a year beyond
    9999 or before 0 has a sign. What is nested is as it was: only what Python has no room for becomes such text.
    """
    if pa.types.is_timestamp(column.type):
        return _instants(column)
    if _has_nanoseconds(column.type):
        return [_converted(each) for each in column], None
    try:
        return column.to_pylist(), None
    except (ValueError, OverflowError, pa.ArrowException):
        return [_converted(each) for each in column], None


def infinite(value: Any, place: str = "") -> tuple[str, str] | None:
    """Find a number that JSON lacks, and its place: ``("details.score", "NaN")``; None without one."""
    if isinstance(value, float):
        if math.isfinite(value):
            return None
        return place, "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    inner: Iterator[tuple[str, Any]] = iter(())
    if isinstance(value, dict):
        inner = ((f"{place}.{key}" if place else key, each) for key, each in value.items())
    elif isinstance(value, list | tuple):
        inner = ((place, each) for each in value)
    return next((fault for name, each in inner if (fault := infinite(each, name))), None)


def plain_instants(column: pa.Array) -> pa.Array | None:
    """Return a column of timestamps as texts; None if one of them is of a year, or has digits, that few have."""
    texts, odd, _ = _spelled(column)
    return None if len(odd) else texts


def _spelled(column: pa.Array) -> tuple[pa.Array, Any, Any]:
    """Return timestamps as texts, the places of those that are odd, and what is stored."""
    unit = column.type.unit
    per = _UNITS[unit]
    stored = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    seconds, rest = stored // per, stored % per
    plain = (seconds >= _FIRST) & (seconds <= _LAST)
    if unit == "ns":
        plain &= rest % 1_000 == 0
    micros = np.where(plain, seconds, 0) * 1_000_000 + rest * 1_000_000 // per
    spelled = pa.array(micros).cast(pa.timestamp("us")).cast(pa.string())
    spelled = pc.binary_join_element_wise(pc.replace_substring(spelled, " ", "T", max_replacements=1), "Z", "")
    return pc.if_else(column.is_valid(), spelled, None), np.flatnonzero(~plain), stored


def _instants(column: pa.Array) -> tuple[list[Any], list[Any] | None]:
    spelled, places, stored = _spelled(column)
    texts, odd, unit = spelled.to_pylist(), places.tolist(), column.type.unit
    before = list(texts) if odd else None
    for i in odd:
        if texts[i] is not None and before is not None:
            texts[i] = _instant(int(stored[i]), unit)
            before[i] = f"{texts[i][:-4]}Z" if unit == "ns" else texts[i]
    return texts, before


def _instant(stored: int, unit: str) -> str:
    """Print an instant since 1970, of any year."""
    seconds, rest = divmod(stored, _UNITS[unit])
    days, second = divmod(seconds, _DAY)
    fraction = rest * 10 ** _DIGITS[unit] // _UNITS[unit]
    return f"{_day(days)}T{_clock(second)}.{fraction:0{_DIGITS[unit]}d}Z"


def _clock(second: int) -> str:
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"


def _day(days: int) -> str:
    """Print a day since 1970 in the Gregorian calendar, of any year."""
    year, month, day = str(np.datetime64(days, "D")).rsplit("-", 2)
    sign = "-" if int(year) < 0 else "+" if int(year) > 9999 else ""
    return f"{sign}{abs(int(year)):04d}-{month}-{day}"


def _has_nanoseconds(kind: pa.DataType) -> bool:
    """Return whether a type has nanoseconds somewhere, for which Python's own values have no room."""
    if pa.types.is_temporal(kind):
        return getattr(kind, "unit", "") == "ns"
    if pa.types.is_dictionary(kind):
        return _has_nanoseconds(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _has_nanoseconds(kind.storage_type)
    return any(_has_nanoseconds(kind.field(i).type) for i in range(kind.num_fields))


def _converted(value: pa.Scalar) -> Any:
    """Convert one value, however deep it lies, to Python's own; to text where Python has no room for it."""
    kind = value.type
    if not value.is_valid:
        return None
    if isinstance(kind, pa.BaseExtensionType):
        return _converted(value.value)
    if pa.types.is_dictionary(kind):
        return _converted(value.dictionary[value.index.as_py()])
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _converted(value[i]) for i in range(kind.num_fields)}
    if pa.types.is_map(kind):
        return [(_converted(pair["key"]), _converted(pair["value"])) for pair in value.values]
    if pa.types.is_nested(kind) and hasattr(value, "values"):
        return [_converted(each) for each in value.values]
    return _temporal(value, kind) if pa.types.is_temporal(kind) else _leaf(value)


def _leaf(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except UnicodeDecodeError:
        return NotText(value.as_buffer().to_pybytes())
    except (ValueError, OverflowError, pa.ArrowException):
        return str(value)


def _temporal(value: pa.Scalar, kind: pa.DataType) -> Any:
    unit = getattr(kind, "unit", "s")
    if unit != "ns":
        try:
            return value.as_py()
        except (ValueError, OverflowError):
            pass
    stored = value.cast(pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()).as_py()
    if pa.types.is_timestamp(kind):
        return _short(_instant(stored, unit))
    if pa.types.is_date(kind):
        return _day(stored if pa.types.is_date32(kind) else stored // (_DAY * 1_000))
    seconds, rest = divmod(stored, _UNITS[unit])
    fraction = f".{rest * 1_000_000_000 // _UNITS[unit]:09d}".removesuffix("000") if rest else ""
    if pa.types.is_duration(kind):
        days, second = divmod(seconds, _DAY)
        if not rest % 1_000 and abs(days) < timedelta.max.days:
            return timedelta(days, second, rest // 1_000)
        clock = f"{second // 3600}:{second // 60 % 60:02d}:{second % 60:02d}{fraction}"
        return f"{days} day{'' if abs(days) == 1 else 's'}, {clock}" if days else clock
    return f"{_clock(seconds)}{fraction}"


def _short(text: str) -> str:
    """Shorten an instant by zeros that say nothing, as nested ones were always written."""
    whole, _, fraction = text[:-1].partition(".")
    fraction = fraction.removesuffix("000") if len(fraction) == 9 else fraction
    return f"{whole}.{fraction}Z" if int(fraction) else f"{whole}Z"
