"""Streams in pieces of any size, and what the splitters make of them, as plain tuples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auditlake.sources.model import Batch, Damage

SHARED = Path(__file__).resolve().parents[3] / "shared"
"""Where the corpora lie; absent outside our own machines."""


class Pieces:
    """Bytes as a stream that comes in pieces of one size."""

    def __init__(self, data: bytes, size: int = 1 << 25, damage: Damage | None = None) -> None:
        self._data = data
        self._size = size
        self.damage = damage

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), self._size):
            yield self._data[start : start + self._size]


@dataclass(frozen=True)
class Seen:
    """One record or rejected record."""

    number: int
    line: int
    offset: int
    raw: bytes
    text: str | None
    """None if rejected."""
    reason: str = ""
    detail: str = ""


def seen(batches: Iterable[Batch]) -> list[Seen]:
    """Everything that came, in order of its number; checks that no number is missing."""
    found: list[Seen] = []
    for batch in batches:
        texts = batch.text  # made anew each time, where there are fields
        texts.validate(full=True)
        assert np.all(np.diff(batch.records) > 0)
        columns = zip(batch.records, batch.lines, batch.offsets, batch.lengths, strict=True)
        for i, (number, line, offset, length) in enumerate(columns):
            raw = texts[i].as_py().encode() if length < 0 else batch.raw(i)
            assert length in (len(raw), -1)
            found.append(Seen(int(number), int(line), int(offset), raw, texts[i].as_py()))
        found += [
            Seen(item.record, item.line, item.offset, item.data, None, item.reason, item.detail)
            for item in batch.rejected
        ]
    found.sort(key=lambda item: item.number)
    assert [item.number for item in found] == list(range(len(found)))
    return found
