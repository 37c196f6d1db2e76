"""Which records a mapping is for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import Any

from auditlake.engine.expression_gate import closed_connection
from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement
from auditlake.sources.mappings.model import Marks
from auditlake.sources.mappings.names import Place
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.mappings.statement import functions

_MISSING = object()
_WORD = re.compile(r"\w+")


def matches(outline: Outline, records: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return of each record whether it has the fields, or enough of them, or meets the condition, of ``match``.

    A record with none of the fields that a condition names does not meet it. Enough fields may also be those of the
    record inside.
    """
    if isinstance(outline.match, Marks):
        marks = outline.match
        return [marks.fit(frozenset(record)) or marks.fit(_keys_inside(record, outline)) for record in records]
    if not isinstance(outline.match, str):
        return [all(_has(record, place) for place in outline.match) for record in records]
    named = _words(outline.match)
    near = [any(named.intersection(_words(key) or named) for key in record) for record in records]
    if not any(near):
        return near  # to compile a condition and to ask it takes longer than all else in the ingest of a small file
    texts = [_text(record) for record in records]
    with closed_connection(functions()).cursor() as cursor:
        met = cursor.execute(_statement(outline.match), {"texts": texts}).fetchall()
    return [is_near and bool(has_met) for is_near, (has_met,) in zip(near, met, strict=True)]


def _text(record: Mapping[str, Any]) -> str:
    """Return a record as JSON; one that has none of its fields where it is nested too deeply to be taken."""
    try:
        return json.dumps(record, ensure_ascii=False, default=str)
    except RecursionError:
        return "{}"


@lru_cache(maxsize=1024)
def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text))


@cache
def _statement(condition: str) -> str:
    """Return the statement that finds the records which meet a condition; nothing else of its mapping is compiled."""
    from auditlake.sources.mappings.loader import load_match

    sql, paths = load_match(condition)
    listed = ", ".join(map(literal, paths)) or "'$'"
    columns = ", ".join(f"p[{i}] as p{i}" for i in range(1, len(paths) + 1)) or "p"
    text = statement("sources/matching.sql", "matching").text
    return text.replace("slot_paths", f"[{listed}]").replace("slot_columns", columns).replace("slot_condition", sql)


def _keys_inside(record: Mapping[str, Any], outline: Outline) -> frozenset[str]:
    """Return the keys of the record that is the text of a field of this one; none where it is no object."""
    fields = outline.keys.get("inside", ())
    for each in (fields,) if isinstance(fields, str) else fields:
        if isinstance(text := record.get(each), str) and text.lstrip().startswith("{"):
            with suppress(ValueError, RecursionError):
                return frozenset(json.loads(text))
    return frozenset()


def _has(record: Any, place: Place) -> bool:
    for step in place.steps:
        if isinstance(step, int):
            record = record[step] if isinstance(record, list) and step < len(record) else _MISSING
        else:
            record = record.get(step, _MISSING) if isinstance(record, Mapping) else _MISSING
    return record is not _MISSING
