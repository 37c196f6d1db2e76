"""Records become events: mapped by their source's statement, judged, their times read, every number as it came."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.engine.duck import in_timezone, without
from auditlake.engine.statements import statement, statements
from auditlake.events.schema import CANONICAL, CANONICAL_FIELDS
from auditlake.ingest.plain_events import plain_events
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.catalog import Catalog, built_in
from auditlake.sources.model import Ints
from auditlake.sources.refused import Refusal, refusal
from auditlake.sources.strictjson import why_not_an_object

_FILE = "ingest/stage.sql"
_NUMBERS = "ingest/numbers.sql"
_FUNCTIONS = "sources/functions.sql"
_OWN = "sources/auditlake.sql"
STAGED = pa.schema(
    [("seq", pa.int64()), ("record", pa.int64())]
    + [(name, pa.timestamp("us", "UTC") if name == "timestamp" else pa.string()) for name in CANONICAL_FIELDS]
    + [("source", pa.string()), ("event_day", pa.int64())]
)
"""The columns of a mapped event: ``seq`` is its number in the ingest, ``record`` the number of the record that
it was made from, and ``event_day`` the day since 1970."""


OF_MAPPINGS = ("filter_pushdown", "common_subexpressions", "in_clause")
"""The optimizers of DuckDB that a mapping's statement runs without.

The second pulls expressions out of ``TRY``. The last changes nothing in such a statement, and takes time to plan it.
"""
EARLIER = pa.schema([field for field in STAGED if field.name not in {"record", "source", "event_day"}])
"""The columns of an event as an earlier version would have spelled it."""


_JUDGED = pa.schema(
    [STAGED.field("record"), ("event_number", pa.int64())]
    + [STAGED.field(name) for name in (*CANONICAL_FIELDS, "source", "event_day")]
    + [(name, pa.string()) for name in ("skipped", "fault", "reason", "refused_value")]
)
"""The columns that the statement ``stage`` gives."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The events of a buffer's records."""

    rows: pa.Table
    """The events, as :data:`STAGED` says."""
    event_numbers: pa.ChunkedArray
    """The number of each event in its record, from 0; null where a record is one event."""
    refused: list[Refusal]
    """The records that cannot become events."""
    earlier: pa.Table
    """As :data:`EARLIER` says: events that an earlier version would have spelled in another way, as it would have."""
    ahead: int
    """By how much the next record's seq is ahead of its number."""
    skipped: tuple[tuple[int, str], ...] = ()
    """The records that the mapping leaves out, each with the name of why."""


def map_records(
    connection: duckdb.DuckDBPyConnection,
    buffer: RecordBuffer,
    event_types: Collection[str],
    ahead: int = 0,
    catalog: Catalog | None = None,
    timezone: str = "UTC",
) -> Mapped:
    """Map the records of a buffer to events, and judge them.

    An event's seq is the number of its record, as long as each record is one event. A record of several events takes as
    many numbers, and one of none takes one, so the seqs of what follows are ahead of the numbers of the records.

    Args:
        connection: Where the statements run.
        buffer: Records of one source.
        event_types: The types that the lake knows.
        ahead: By how much the first record's seq is ahead of its number.
        catalog: The sources; those that every lake knows by default.
        timezone: The zone of times that have no offset.

    Raises:
        SourceError: There is no such zone.
    """
    mapping = _Mapping(connection, buffer, event_types, catalog or built_in())
    # A filter on the keys of a record that is pushed below them would read them twice.
    with without(connection, *mapping.optimizers), in_timezone(connection, timezone):
        return mapping.mapped(ahead)


class _Mapping:
    """A buffer on its way through the statements."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        buffer: RecordBuffer,
        event_types: Collection[str],
        catalog: Catalog,
    ) -> None:
        self._connection = connection
        self._buffer = buffer
        self._types = sorted(event_types)
        self._catalog = catalog
        self._sources = list(catalog.inputs) if buffer.may_be_exported else [CANONICAL]
        self._source = catalog[buffer.source]
        # The canonical mapping finds repeated keys by itself, with the keys it reads anyway.
        self._own = self._source.statement == _OWN
        self.optimizers = OF_MAPPINGS if self._source.outline else ("filter_pushdown",)
        """What DuckDB must not do."""

    def mapped(self, ahead: int) -> Mapped:
        """Map all of its records."""
        rows = self._plain()
        refused: list[Refusal] = []
        earlier: list[pa.Table] = []
        texts = self._buffer.earlier_texts()
        if len(left := self._missing(rows)) or texts is not None:
            self._define(left if len(rows) else None)
            rows = pa.concat_tables([rows, self._map_left()]) if len(rows) else self._map_left()
            if len(missing := self._missing(rows)) and (cleared := self._judge(missing, refused)):
                exact, before = self._spell(cleared)
                rows, earlier = pa.concat_tables([rows, exact]), [before]
        if texts is not None:
            earlier.append(self._spell_before(texts, rows))
        self._connection.unregister("loaded")
        rows, skipped = self._without_skipped(rows)
        rows, more = self._parted(rows)
        rows, following = self._numbered(rows, ahead)
        before = EARLIER.empty_table()
        # No lake has events of a source with several a record in an earlier spelling: there was none in that version.
        if earlier and not self._source.several:
            before = pa.concat_tables(earlier)
            before = before.set_column(0, "seq", compute.add(before["record"], ahead)).cast(EARLIER)
        return Mapped(rows.select(STAGED.names), rows["event_number"], [*refused, *more], before, following, skipped)

    def _plain(self) -> pa.Table:
        """Return the events that need no further look."""
        if not self._own:
            return _JUDGED.empty_table()
        for name in ("parsed", "parsed_fields", "is_json", "stays"):
            self._run(_OWN, name)
        rows = self._trying(lambda: plain_events(self._connection, self._buffer, self._types, self._sources))
        return pa.concat_tables([_JUDGED.empty_table(), rows], promote_options="default").cast(_JUDGED)

    def _define(self, left: Ints | None) -> None:
        """Make the views of the mapping, over the records that are left of all."""
        self._connection.register("loaded", self._buffer.texts(left))
        for name in ("numbers", "suspects", "marked_numbers", "inner_numbers_as_they_are", "values_as_they_are"):
            self._run(_NUMBERS, name)
        for each in statements(_FUNCTIONS) if self._source.outline else ():
            self._run(_FUNCTIONS, each)
        self._run(_OWN if self._own else _FILE, "keyed")
        for name in ("objects", "records" if self._own else "records_with_distinct_keys"):
            self._run(_FILE, name)
        self._view_mapping("mapped")
        if self._own and self._buffer.has_fields:
            # Rows are looked at as JSON only where the columns alone do not tell what they say.
            self._connection.register("loaded_fields", self._buffer.fields(left))
            self._view_mapping("mapped_texts")
            for name in ("json_of_row", "fields", "with_fields"):
                self._run(_OWN, name)

    def _map_left(self) -> pa.Table:
        return self._trying(self._map) if self._own else self._map()

    def _trying(self, rows: Callable[[], pa.Table]) -> pa.Table:
        """Return rows of statements that expect texts to be JSON; on the first that is none they expect it no more."""
        try:
            return rows()
        except (duckdb.InvalidInputException, UnicodeDecodeError):
            # The latter where DuckDB's message quotes a text that it cut within a character.
            self._run(_OWN, "parsed_or_null")
            return rows()

    def _missing(self, rows: pa.Table) -> Ints:
        """Return the records that gave no row."""
        if not self._source.several and len(rows) == len(self._buffer):
            return np.empty(0, np.int64)
        return np.setdiff1d(self._buffer.records(), np.unique(rows["record"].to_numpy()), assume_unique=True)

    def _numbered(self, rows: pa.Table, ahead: int) -> tuple[pa.Table, int]:
        """Give each event its seq; return also by how much the seqs are ahead of the records then."""
        records = rows["record"].to_numpy()
        seqs = records + ahead
        if self._source.several:
            known, numbers = self._buffer.records(), compute.fill_null(rows["event_number"], 0).to_numpy()
            order = np.lexsort((numbers, records))
            places = np.searchsorted(known, records[order])
            events = np.bincount(places, minlength=len(known))
            more = np.maximum(events - 1, 0)
            in_record = np.arange(len(order)) - (np.cumsum(events) - events)[places]
            seqs[order] += (np.cumsum(more) - more)[places] + in_record
            ahead += int(more.sum())
        return rows.append_column("seq", pa.array(seqs)), ahead

    def _judge(self, missing: Ints, refused: list[Refusal]) -> list[int]:
        """Return which records without a row are JSON objects after all; the others are refused."""
        self._connection.register("loaded", self._buffer.table(missing))
        part = statement(_FILE, "sure" if self._own else "sure_with_distinct_keys")
        cleared = self._connection.sql(part.text).fetchnumpy()["record"]
        objects: list[int] = cleared.tolist()
        for record in np.setdiff1d(missing, cleared, assume_unique=True).tolist():
            _, batch, i = self._buffer.find(record)
            raw = batch.raw(i) if batch.originals is None else batch.text_of(np.array([i]))[0].as_py().encode()
            if verdict := why_not_an_object(raw):
                refused.append(refusal(record, *verdict, raw))
            else:
                objects.append(record)
        return objects

    def _spell(self, records: list[int]) -> tuple[pa.Table, pa.Table]:
        """Map records in whose numbers DuckDB would change a digit; also as a version did that let it do so."""
        self._run(_FILE, "cleared_records")
        texts = self._buffer.table(records)
        self._connection.register("loaded", texts)
        before = self._map()
        mark = statement(_NUMBERS, "mark")
        self._connection.execute(mark.text, {"mark": secrets.token_hex(16)})
        self._connection.register("loaded", self._connection.sql(statement(_NUMBERS, "marked").text).to_arrow_table())
        for name in ("inner_numbers_marked", "values_unmarked"):
            self._run(_NUMBERS, name)
        self._view_mapping("unspelled")
        self._run(_NUMBERS, "spelled" if self._own else "spelled_verbatim")
        exact = self._map(verbatim=False)
        for name in ("inner_numbers_as_they_are", "values_as_they_are"):
            self._run(_NUMBERS, name)
        self._view_mapping("mapped")
        return exact, self._differing(before, exact)

    def _spell_before(self, texts: pa.Table, rows: pa.Table) -> pa.Table:
        """Map the records that an earlier version would have read in another way."""
        self._run(_FILE, "cleared_records")
        self._connection.register("loaded", texts)
        return self._differing(self._map(), rows)

    def _differing(self, before: pa.Table, now: pa.Table) -> pa.Table:
        self._connection.register("spelled_before", before)
        self._connection.register("spelled_now", now)
        differing = self._connection.sql(statement(_NUMBERS, "spelled_otherwise").text).to_arrow_table()
        self._connection.unregister("spelled_before")
        self._connection.unregister("spelled_now")
        return differing

    def _without_skipped(self, rows: pa.Table) -> tuple[pa.Table, tuple[tuple[int, str], ...]]:
        """Return the rows that are not left out, and the records that are; one that has a reason is refused instead."""
        if rows["skipped"].null_count == len(rows):
            return rows, ()
        left_out = compute.and_(compute.is_valid(rows["skipped"]), compute.is_null(rows["fault"]))
        some = rows.filter(left_out)
        pairs = dict(zip(some["record"].to_pylist(), some["skipped"].to_pylist(), strict=True))
        return rows.filter(compute.invert(left_out)), tuple(pairs.items())

    def _parted(self, rows: pa.Table) -> tuple[pa.Table, list[Refusal]]:
        """Return the rows that are events, and why the records of the others are refused, each as a whole."""
        refused: list[Refusal] = []
        reasons = rows["reason"]
        if reasons.null_count < len(rows):
            bad = rows.filter(compute.is_valid(reasons)).sort_by(
                [("record", "ascending"), ("event_number", "ascending")]
            )
            columns = (bad[name].to_pylist() for name in ("record", "reason", "refused_value"))
            for record, reason, value in zip(*columns, strict=True):
                if refused and refused[-1].record == record:
                    continue
                phrase, _, detail = reason.partition(": ")
                _, batch, i = self._buffer.find(record)
                refused.append(refusal(record, phrase, detail, batch.raw(i), value, self._source))
            rows = rows.filter(compute.invert(compute.is_in(rows["record"], value_set=bad["record"])))
        return rows, refused

    def _map(self, *, verbatim: bool = True) -> pa.Table:
        """Return the rows of the view ``mapped``, some with a reason why they are no event."""
        try:
            return self._rows(verbatim=verbatim)
        except duckdb.InvalidInputException:
            if self._own:
                raise
        # A text that is no JSON: no record is known that is an object by every earlier judgement and comes here.
        self._run(_NUMBERS, "values_or_null")
        self._view_mapping("mapped")
        return self._rows(verbatim=verbatim)

    def _rows(self, *, verbatim: bool) -> pa.Table:
        part = statement(_FILE, "stage")
        values = {
            "source": self._buffer.source,
            "sources": self._sources,
            "event_types": self._types,
            "verbatim": verbatim and not self._own,
            "untyped": "no event type fits" if self._source.outline else "event_type is missing",
        }
        return self._connection.sql(part.text, params=part.bind(values)).to_arrow_table().cast(_JUDGED)

    def _view_mapping(self, name: str) -> None:
        self._connection.execute(f"create or replace temp view {name} as {self._source.sql}")

    def _run(self, file: str, name: str) -> None:
        self._connection.execute(statement(file, name).text)
