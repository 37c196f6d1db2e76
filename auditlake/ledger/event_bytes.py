"""The canonical bytes of events in memory (:mod:`auditlake.ledger.leaves`), made of whole columns by Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import compute

from auditlake.ledger.leaves import COLUMNS

_TEXTS = frozenset(COLUMNS) - {"timestamp", "ingested_at", "batch", "seq", "salt"}
_DIFFERENT = frozenset({"event_id", "timestamp", "resource", "details", "session_id", "ip_address", "seq"})
"""The columns of which most values are of one event alone; what stands for a value of the others is made once."""
_PIECE = 8_192
"""Of how many events the bytes are made at a time."""


def event_bytes(rows: pa.RecordBatch) -> Iterator[pa.StringArray]:
    """Yield the bytes that leaves are hashes of, some thousands at a time: what ``event_bytes`` of the SQL gives."""
    parts: list[Any] = []
    before = "\0"  # what is the same of all events and stands before the next part
    for name in COLUMNS:
        if name not in _DIFFERENT:
            coded = rows[name].dictionary_encode("encode")
            texts = _texts_of(name, coded.dictionary)
        elif name in _TEXTS:
            coded = compute.binary_length(rows[name]).dictionary_encode("encode")
            texts = _joined(_digits(coded.dictionary), ":")
        else:
            parts += [before, _digits(rows[name])]
            before = ";"
            continue
        if len(texts) > 1:
            parts.append(_joined(before, texts).take(coded.indices))
            before = ""
        else:
            before += texts[0].as_py()
        if name in _DIFFERENT:
            parts += [before, rows[name]]
            before = ""
    parts = [each for each in (*parts, before) if not isinstance(each, str) or each]
    for start in range(0, len(rows), _PIECE):
        yield _joined(*(each if isinstance(each, str) else each.slice(start, _PIECE) for each in parts))


def _texts_of(name: str, values: Any) -> Any:
    """Return what stands for the values of a column in an event's bytes."""
    if name == "salt":
        values = pa.array([None if each is None else each.hex().upper() for each in values.to_pylist()], pa.string())
    elif name not in _TEXTS:
        return _joined(_digits(values), ";")
    return _joined(_digits(compute.binary_length(values)), ":", values)


def _joined(*parts: Any) -> Any:
    return compute.binary_join_element_wise(*parts, "", null_handling="replace", null_replacement="")


def _digits(numbers: Any) -> Any:
    return numbers.cast(pa.int64()).cast(pa.string())
