"""Lines of text that patterns cut into fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.sources.cutters.patterns import LINE, YEAR, Pattern, compiled
from auditlake.sources.cutters.plain import FRAME, lines_of, plain_lines, recorded
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import NO_PATTERN, Batch, InputFile

_SOON = timedelta(days=1)
_ROWS = 16 * 1024
"""Few lines at a time: their fields are Python texts for a moment."""


def cut_text(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into lines, each with the groups of the first pattern that fits.

    A frame of syslog is taken off before. The record is the line and the groups that are not empty; where a group is a
    stamp without a year, also its year. Rejected are lines that no pattern fits.
    """
    patterns = tuple(_patterns(outline))
    years = Years(stream.input, outline.keys.get("year"))
    for whole in plain_lines(stream, max_record, outline):
        for batch in _parts(whole):
            fitted = _fitted(batch.text, patterns)
            lines = lines_of(batch)
            records = [
                None if found is None else {LINE: line, **years.added(found, stamps)}
                for line, (found, stamps) in zip(lines, fitted, strict=True)
            ]
            yield recorded(batch, lines, records, NO_PATTERN, max_record)


def _patterns(outline: Outline) -> Iterator[Pattern]:
    written = outline.keys["pattern"]
    for each in [written] if isinstance(written, str) else written:
        yield compiled(each, outline.keys.get("patterns", {}))


def _parts(batch: Batch) -> Iterator[Batch]:
    """Yield a batch in parts, each rejected record in the part that it belongs into."""
    if len(batch) <= _ROWS:
        yield batch
        return
    rejected = list(batch.rejected)
    for start in range(0, len(batch), _ROWS):
        stop = start + _ROWS
        before = batch.records[stop] if stop < len(batch) else None
        own = [each for each in rejected if before is None or each.record < before]
        rejected = rejected[len(own) :]
        yield replace(
            batch,
            records=batch.records[start:stop],
            lines=batch.lines[start:stop],
            offsets=batch.offsets[start:stop],
            lengths=batch.lengths[start:stop],
            text=batch.text.slice(start, _ROWS),
            rejected=tuple(own),
        )


_Found = tuple[dict[str, str] | None, tuple[str, ...]]


def _fitted(lines: Any, patterns: Sequence[Pattern]) -> list[_Found]:
    """Return of each line the groups of the first pattern that fits, and which of them are stamps; None if none fits.

    A pattern may be for a whole line with its frame: it is tried on that after all were tried without it.
    """
    fitted: list[_Found] = [(None, ())] * len(lines)
    left = np.arange(len(lines))
    bare = compute.replace_substring_regex(lines, FRAME, "", max_replacements=1)
    framed = np.flatnonzero(compute.not_equal(bare, lines).to_numpy(zero_copy_only=False))
    for texts, only in ((bare, None), (lines, framed)):
        left = left if only is None else np.intersect1d(left, only, assume_unique=True)
        for pattern in patterns:
            if not len(left):
                break
            some = texts if len(left) == len(texts) else texts.take(pa.array(left))
            found = compute.extract_regex(some, pattern.regex)
            fits = found.is_valid().to_numpy(zero_copy_only=False)
            groups = found.filter(pa.array(fits))
            columns = [groups.field(i).to_pylist() for i in range(len(pattern.groups))]
            rows = zip(*columns, strict=True) if columns else iter([()] * int(fits.sum()))
            for i, row in zip(left[fits].tolist(), rows, strict=True):
                fitted[i] = (
                    {group: text for group, text in zip(pattern.groups, row, strict=True) if text},
                    pattern.stamps,
                )
            left = left[~fits]
    return fitted


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
        try:
            modified = origin.path.stat().st_mtime if origin.path else None
        except OSError:
            modified = None
        self._latest = (datetime.fromtimestamp(modified, UTC) if modified else datetime.now(UTC)) + _SOON
        self._of = lru_cache(maxsize=4096)(self._year)

    def added(self, record: dict[str, str], stamps: Sequence[str]) -> dict[str, Any]:
        """Return a record with the year of its stamp, if it has one."""
        stamp = next((record[name] for name in stamps if name in record), None)
        if stamp is None:
            return dict(record)
        return {**record, YEAR: self._given or self._of(stamp[:-9], stamp[-8:] > f"{self._latest:%H:%M:%S}")}

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
