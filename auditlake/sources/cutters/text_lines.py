"""Lines of text that patterns cut into fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from auditlake.machine import system_clock
from auditlake.sources.cutters.patterns import LINE, Pattern, compiled
from auditlake.sources.cutters.plain import FRAME, plain_lines
from auditlake.sources.mappings.names import YEAR
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import NO_PATTERN, Batch, InputFile, Ints, reject

_SOON = timedelta(days=1)
_FIRST_LINE = r"(?s)^[\r\n]*([^\r\n]*).*$"


def cut_text(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into lines, each with the groups of the first pattern that fits.

    A frame of syslog is taken off before. The record is the line and the groups that are not empty; where a group is a
    stamp without a year, also its year. Rejected are lines that no pattern fits.
    """
    patterns = tuple(_patterns(outline))
    years = Years(stream.input, outline.keys.get("year"))
    for batch in plain_lines(stream, max_record, outline):
        if not len(batch):
            yield batch
            continue
        fits, texts = _fitted(batch.text, patterns, years)
        raws = batch.text.cast(pa.large_binary()).to_pylist()
        rejected = list(batch.rejected)
        for i in np.flatnonzero(~fits).tolist():
            place = (int(batch.records[i]), int(batch.lines[i]), int(batch.offsets[i]))
            rejected.append(reject(*place, NO_PATTERN, "", raws[i], max_record))
        yield Batch(
            batch.records[fits],
            batch.lines[fits],
            batch.offsets[fits],
            batch.lengths[fits],
            texts,
            tuple(sorted(rejected, key=lambda each: each.record)),
            tuple(compress(raws, fits.tolist())),
        )


def _patterns(outline: Outline) -> Iterator[Pattern]:
    written = outline.keys["pattern"]
    for each in [written] if isinstance(written, str) else written:
        yield compiled(each, outline.keys.get("patterns", {}))


def _fitted(lines: Any, patterns: Sequence[Pattern], years: Years) -> tuple[npt.NDArray[np.bool_], Any]:
    """Return which lines some pattern fits, and the JSON text of each of these with the first that does.

    A pattern may be for a whole line with its frame: it is tried on that after all were tried without it. Messages may
    have several lines: those that no pattern fits as a whole are tried by their first one.
    """
    odd = _odd_bytes(lines)
    left = np.arange(len(lines))
    bare = compute.replace_substring_regex(lines, FRAME, "", max_replacements=1)
    framed = np.flatnonzero(compute.not_equal(bare, lines).to_numpy(zero_copy_only=False))
    columns: list[tuple[Any, Ints | None]] = [(bare, None), (lines, framed)]
    if 0x0A in odd:
        long = np.flatnonzero(compute.match_substring(lines, "\n").to_numpy(zero_copy_only=False))
        first = [compute.replace_substring_regex(each, _FIRST_LINE, r"\1") for each in (bare, lines)]
        columns += [(first[0], long), (first[1], np.intersect1d(long, framed, assume_unique=True))]
    places: list[Ints] = []
    texts: list[Any] = []
    for column, only in columns:
        for pattern in patterns:
            tried = left if only is None else np.intersect1d(left, only, assume_unique=True)
            if not len(tried):
                break
            some = column if len(tried) == len(lines) else column.take(pa.array(tried))
            found = compute.extract_regex(some, pattern.regex)
            fits = found.is_valid().to_numpy(zero_copy_only=False)
            if fits.any():
                places.append(tried[fits])
                texts.append(
                    _json(lines.take(pa.array(tried[fits])), found.filter(pa.array(fits)), pattern, years, odd)
                )
                left = np.setdiff1d(left, tried[fits], assume_unique=True)
    fitted = np.ones(len(lines), np.bool_)
    fitted[left] = False
    if not places:
        return fitted, pa.array([], pa.large_string())
    order = np.argsort(np.concatenate(places))
    return fitted, pa.concat_arrays(texts).take(pa.array(order))


def _json(lines: Any, groups: Any, pattern: Pattern, years: Years, odd: Sequence[int]) -> Any:
    """Return records as JSON: text in, text out, column by column."""
    columns = {name: groups.field(i) for i, name in enumerate(pattern.groups)}
    parts = [f'{{"{LINE}":"', _escaped(lines, odd), '"']
    for name, column in columns.items():
        member = _joined(f',"{name}":"', _escaped(column, odd), '"')
        parts.append(compute.if_else(compute.equal(column, ""), _large(""), member))
    if pattern.stamps:
        empty = pa.scalar(None, pa.large_string())
        stamps = [compute.if_else(compute.equal(columns[name], ""), empty, columns[name]) for name in pattern.stamps]
        year = years.of(compute.coalesce(*stamps)).cast(pa.large_string())
        parts.append(compute.fill_null(_joined(f',"{YEAR}":', year), _large("")))
    return _joined(*parts, "}")


def _joined(*parts: Any) -> Any:
    return compute.binary_join_element_wise(*(_large(part) for part in parts), _large(""))


def _large(part: Any) -> Any:
    return pa.scalar(part, pa.large_string()) if isinstance(part, str) else part


def _odd_bytes(lines: Any) -> list[int]:
    """Return the bytes in lines that JSON has no room for in a text as they are."""
    _, offsets, data = lines.buffers()
    bounds = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    found = np.bincount(np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]], minlength=256) if data else np.zeros(256)
    return [each for each in (0x5C, 0x22, *range(0x20)) if found[each]]


def _escaped(column: Any, odd: Sequence[int]) -> Any:
    for byte in odd:
        written = f"\\{chr(byte)}" if byte >= 0x20 else f"\\u{byte:04x}"
        column = compute.replace_substring(column, chr(byte), written)
    return column


class Years:
    """The years of stamps that have none.

    Such a stamp is of the year in which its input was last modified, or of the year before where it would lie more than
    a day after that. 29 February is of the latest year that has one.

    Args:
        origin: The input; what has no file was modified just now.
        given: The year that the mapping says.
    """

    def __init__(self, origin: InputFile, given: int | None = None) -> None:
        self._given = given
        modified = origin.modified
        with suppress(OSError):
            modified = origin.path.stat().st_mtime if modified is None and origin.path else modified
        self._latest = (datetime.fromtimestamp(modified, UTC) if modified else system_clock()) + _SOON

    def of(self, stamps: Any) -> Any:
        """Return the years of a column of stamps, null where there is none."""
        if self._given:
            return compute.if_else(stamps.is_valid(), self._given, pa.scalar(None, pa.int64()))
        days = compute.utf8_slice_codeunits(stamps, 0, 6).dictionary_encode()
        known = [[self._year(day, later) for day in days.dictionary.to_pylist()] for later in (False, True)]
        earlier, later = (pa.array(years, pa.int64()).take(days.indices) for years in known)
        is_later = compute.greater(compute.utf8_slice_codeunits(stamps, -8, 2**31 - 1), f"{self._latest:%H:%M:%S}")
        return compute.if_else(is_later, later, earlier)

    def _year(self, day: str, later: bool) -> int:
        """Return the year of a day such as ``Nov  3`` at a time of day later than the latest instant has, or not."""
        latest = self._latest
        for year in range(latest.year, latest.year - 9, -1):
            try:
                begin = datetime.strptime(f"{year} {' '.join(day.split())}", "%Y %b %d").replace(tzinfo=UTC)
            except ValueError:
                continue
            if begin <= latest - timedelta(days=later):
                return year
        return latest.year
