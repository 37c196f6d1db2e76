"""Which events of an ingest the lake has, and which are not the first of their id: those do not land.

What is looked for is read from the files that may have it, as the index of ids names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from auditlake.engine.duck import rows, view_events
from auditlake.engine.statements import statement
from auditlake.events.schema import CANONICAL, SELF
from auditlake.ingest.erased_again import excuse_erased, take_keyed_ids
from auditlake.store.deltalog import EXACT
from auditlake.store.snapshot import file_paths

if TYPE_CHECKING:
    import duckdb

    from auditlake.disk.layout import Layout
    from auditlake.store.files import Files
    from auditlake.store.id_index import IdIndex
    from auditlake.store.id_segments import Keys
    from auditlake.store.model import Snapshot

_FILE = "ingest/land.sql"
_OWN = [CANONICAL, SELF]
"""The sources whose events are what their columns say; of every other it is the vendor's record, in ``details``."""


def find_losers(
    connection: duckdb.DuckDBPyConnection, layout: Layout, snapshot: Snapshot, index: IdIndex, *, refuse: bool
) -> None:
    """Make the table ``losers``: the candidates that do not land.

    Args:
        connection: Has the candidates, and what is sought for them.
        layout: The lake.
        snapshot: What the lake has.
        index: The ids of that.
        refuse: Whether candidates are refused of which only a key that has gone tells whether they are erased events.

    Raises:
        LostKeyError: They are refused; nothing was changed.
    """
    _view(connection, layout, index.missing.and_also(index.with_keyed_ids))
    connection.execute(statement(_FILE, "looked_for").text)
    hashes = _sought(connection)
    # Ids that occur more than once among the candidates; by hash, so perhaps a few that do not.
    repeated = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])
    connection.register("repeated", pa.table({"hash": repeated}))
    if take_keyed_ids(connection, layout, refuse=refuse):
        hashes = _sought(connection)
    _view(connection, layout, _known_files(connection, layout, index, hashes))
    values: dict[str, object] = {"exact_since": snapshot.transactions.get(EXACT), "own": _OWN}
    _run(connection, "matches", values)
    excuse_erased(connection, layout, snapshot.transactions.get(EXACT), refuse=refuse)
    for name in ("known", "losers"):
        _run(connection, name, values)


def _sought(connection: duckdb.DuckDBPyConnection) -> Keys:
    """Return the hashes of what is looked for, sorted."""
    hashes: Keys = connection.sql(statement("store/ids.sql", "sought_ids").text).fetchnumpy()["hash"]
    return np.sort(hashes)


def _known_files(connection: duckdb.DuckDBPyConnection, layout: Layout, index: IdIndex, hashes: Keys) -> Files:
    """Return the files that may have what is looked for: by the index, and of what it lacks those of such days."""
    named = index.may_hold(hashes)
    if not (others := index.missing):
        return named
    _view(connection, layout, others)
    days = {day for (day,) in rows(connection, statement(_FILE, "known_days").text)}
    return named.and_also(others.of_days(days))


def _view(connection: duckdb.DuckDBPyConnection, layout: Layout, files: Files) -> None:
    view_events(connection, file_paths(layout, files))


def _run(connection: duckdb.DuckDBPyConnection, name: str, values: dict[str, object]) -> None:
    part = statement(_FILE, name)
    connection.execute(part.text, part.bind(values) or None)
