"""Which events still name a person: what a statement is sure of, and what only a look at their texts tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from auditlake.engine.arrow_rows import table_rows
from auditlake.events.personal import Eraser, Row
from auditlake.policies.compile import Step

if TYPE_CHECKING:
    import duckdb

_ROWS = 10_000


def named(connection: duckdb.DuckDBPyConnection, step: Step, eraser: Eraser) -> Iterator[tuple[Any, ...]]:
    """Yield the groups of a statement's rows that name a person.

    Args:
        connection: Where to run it.
        step: A statement whose last columns are source, resource, details, metadata and a number of events; all texts
            are null where it is sure, and so are then the personal columns of those where it is not.
        eraser: What takes personal data out of events.

    Yields:
        What precedes these columns, and the number of events.
    """
    for batch in connection.sql(step.sql, params=dict(step.parameters)).to_arrow_reader(_ROWS):
        for *group, source, resource, details, metadata, events in table_rows(batch):
            row = Row(source, None, resource, None, details, metadata, None, None, None)
            if (details is None and metadata is None and resource is None) or eraser.is_named(row):
                yield *group, events
