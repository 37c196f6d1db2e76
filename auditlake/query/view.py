"""How the lake's verbs read it: a DuckDB with the view ``events``, of one snapshot or of everything there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from auditlake.context import LakeContext
from auditlake.engine.duck import EventsView, connect, shared
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.narrowing import Asked, asked_by
from auditlake.engine.timings import stage
from auditlake.events.schema import COLUMNS, PUBLIC_COLUMNS
from auditlake.events.times import Instant, as_end_or_none, as_instant_or_none
from auditlake.landing.newest_view import read_newest, view_newest
from auditlake.query.events import Events, Origin
from auditlake.query.rows import Rows
from auditlake.store.failures import explained, failure
from auditlake.store.model import Snapshot
from auditlake.store.narrowed import contents_of, files_for
from auditlake.store.snapshot import read_snapshot, readable, view_snapshot

if TYPE_CHECKING:
    import duckdb


def matching(
    context: LakeContext,
    version: int | None,
    filters: Mapping[str, str | Sequence[str] | None],
    start: Instant | None,
    end: Instant | None,
    limit: int | None,
) -> Events:
    """Return the events that match every filter that is not None, of a version; of all that is there if None."""
    values: dict[str, Any] = {name: [each] if isinstance(each, str) else each for name, each in filters.items()}
    values = {name: each and list(each) for name, each in values.items()}
    values |= {"start": as_instant_or_none(start), "end": as_end_or_none(end), "limit": limit}
    with explained(context.layout, "the query"):
        connection = shared()
        if version is None:
            snapshot, unflushed = read_newest(context)
        else:
            snapshot, unflushed = read_snapshot(context.layout, version), None
        source = readable(context.layout, snapshot)
        if (types := values.get("types")) is not None:
            known = contents_of(context.layout, snapshot.version, source.files)
            chosen = files_for(known, [Asked(types=frozenset(types))], is_whole=False)
            source = replace(source, files=source.files.named(chosen))
        origin = Origin(context.layout, source, unflushed)
    return Events(connection, values, partial(failure, context.layout, "the query"), origin)


@contextmanager
def engine(
    context: LakeContext, version: int | None, *, arrived_by: int | None = None
) -> Iterator[tuple[duckdb.DuckDBPyConnection, Snapshot]]:
    """Open a DuckDB with the view ``events``; as :func:`judging_engine`."""
    with judging_engine(context, version, arrived_by=arrived_by) as (opened, snapshot):
        yield opened.connection, snapshot


@contextmanager
def judging_engine(
    context: LakeContext, version: int | None, *, arrived_by: int | None = None
) -> Iterator[tuple[DuckEngine, Snapshot]]:
    """Open an engine with the view ``events``, which may spill and goes away at the end.

    Its statements read only the files in which events of the types that they ask of may be.

    Args:
        context: The lake.
        version: The snapshot to read, without the landing; the newest with the landing if None.
        arrived_by: Of a snapshot, only the events that this version or an earlier one brought; all of them if None.
    """
    with (
        explained(context.layout, "the query"),
        TemporaryDirectory(prefix="auditlake-") as spill,
        connect(temp=Path(spill), memory=memory_of(context)) as connection,
    ):
        with stage("opening"):
            snapshot, events = _view(connection, context, version, tuple(COLUMNS), arrived_by, asked=())
        yield DuckEngine(connection, events), snapshot


def memory_of(context: LakeContext) -> str | None:
    """Return how much memory lake.toml gives to what policies ask; None where it does not say."""
    size = context.config.engine_memory_mb
    return f"{size}MB" if size else None


def ask(context: LakeContext, version: int | None, query: str, values: Mapping[str, Any] | None) -> Rows:
    """Return the rows of a query over what readers may see; its DuckDB lives as long as they do."""
    with explained(context.layout, "the query"):
        connection = shared()
        _view(connection, context, version, PUBLIC_COLUMNS, asked=asked_by(connection, query, values))
    return Rows(connection, query, values, partial(failure, context.layout, "the query"))


def _view(
    connection: duckdb.DuckDBPyConnection,
    context: LakeContext,
    version: int | None,
    columns: Sequence[str],
    arrived_by: int | None = None,
    asked: Sequence[Asked] | None = None,
) -> tuple[Snapshot, EventsView]:
    if version is None:
        return view_newest(connection, context, columns=columns, asked=asked)
    snapshot = read_snapshot(context.layout, version)
    return snapshot, view_snapshot(
        connection, context.layout, snapshot, columns=columns, arrived_by=arrived_by, asked=asked
    )
