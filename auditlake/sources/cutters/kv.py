"""Lines of pairs, ``date=2026-11-03 user="ann"``: each becomes a record with a field for each key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from auditlake.sources.cutters.plain import FRAME, REST, add_again, lines_of, pairs, plain_lines, recorded
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.model import NO_PAIR, Batch

_FRAME = re.compile(FRAME)


def cut_kv(stream: Any, max_record: int, outline: Outline) -> Iterator[Batch]:
    """Cut a stream into lines of pairs.

    The first of a repeated key counts, the others are kept under ``_again``; text between the pairs is kept under
    ``_rest``. Rejected are lines without a pair.
    """
    for batch in plain_lines(stream, max_record, outline):
        lines = lines_of(batch)
        yield recorded(batch, lines, map(_record, lines), NO_PAIR, max_record)


def _record(line: str) -> dict[str, Any] | None:
    found, rest = pairs(_FRAME.sub("", line))
    record: dict[str, Any] = {}
    for key, value in found:
        add_again(record, key, value)
    if record and rest:
        record.setdefault(REST, rest)
    return record or None
