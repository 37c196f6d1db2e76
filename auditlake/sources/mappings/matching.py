"""Which records a mapping is for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from auditlake.engine.sql_text import literal
from auditlake.engine.statements import statement
from auditlake.sources.mappings.model import Marks, SourceMapping
from auditlake.sources.mappings.names import Place
from auditlake.sources.mappings.outline import Outline
from auditlake.sources.mappings.statement import functions

_MISSING = object()


def matches(mapping: SourceMapping, outline: Outline, records: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return of each record whether it has the fields, or enough of them, or meets the condition, of ``match``."""
    if isinstance(outline.match, Marks):
        return [outline.match.fit(frozenset(record)) for record in records]
    if not isinstance(outline.match, str):
        return [all(_has(record, place) for place in outline.match) for record in records]
    if not records:
        return []
    import duckdb

    texts = [json.dumps(record, ensure_ascii=False, default=str) for record in records]
    paths = ", ".join(map(literal, mapping.match_paths)) or "'$'"
    columns = ", ".join(f"p[{i}] as p{i}" for i in range(1, len(mapping.match_paths) + 1)) or "p"
    with duckdb.connect(config={"threads": 1}) as connection:
        for macro in functions():
            connection.execute(macro)
        part = statement("sources/matching.sql", "matching")
        sql = part.text.replace("slot_paths", f"[{paths}]").replace("slot_columns", columns)
        sql = sql.replace("slot_condition", str(mapping.match))
        rows = connection.execute(sql, {"texts": texts}).fetchall()
    return [bool(met) for (met,) in rows]


def _has(record: Any, place: Place) -> bool:
    for step in place.steps:
        if isinstance(step, int):
            record = record[step] if isinstance(record, list) and step < len(record) else _MISSING
        else:
            record = record.get(step, _MISSING) if isinstance(record, Mapping) else _MISSING
    return record is not _MISSING
