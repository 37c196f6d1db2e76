"""Records become rows: judged, mapped, their times read, and every number as it came."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath

import duckdb
import numpy as np
import pyarrow as pa
from pyarrow import compute

from auditlake.engine.duck import without
from auditlake.engine.statements import statement
from auditlake.events.schema import CANONICAL, CANONICAL_FIELDS
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.catalog import SOURCES, input_sources
from auditlake.sources.refused import Refusal, refusal
from auditlake.sources.strictjson import why_not_an_object

_FILE = "ingest/stage.sql"
_NUMBERS = "ingest/numbers.sql"
_OWN = SOURCES[CANONICAL].statement
STAGED = pa.schema(
    [("seq", pa.int64())]
    + [(name, pa.timestamp("us", "UTC") if name == "timestamp" else pa.string()) for name in CANONICAL_FIELDS]
    + [("source", pa.string()), ("event_day", pa.int64())]
)
"""The columns of a record that was mapped; ``event_day`` is the day since 1970."""


EARLIER = pa.schema([field for field in STAGED if field.name not in {"source", "event_day"}])
"""The columns of an event as an earlier version would have spelled it."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What became of the records of a buffer."""

    rows: pa.Table
    """Those that can become events, as :data:`STAGED` says."""
    refused: list[Refusal]
    """The others."""
    earlier: pa.Table
    """As :data:`EARLIER` says: events that an earlier version would have spelled in another way, as it would have."""


def map_records(connection: duckdb.DuckDBPyConnection, buffer: RecordBuffer, event_types: Collection[str]) -> Mapped:
    """Map and judge the records of a buffer.

    Args:
        connection: Where.
        buffer: Records of one source.
        event_types: The types that the lake knows.
    """
    # A filter on the keys of a record that is pushed below them would read them twice.
    with without(connection, "filter_pushdown"):
        return _Mapping(connection, buffer, event_types).mapped()


class _Mapping:
    """A buffer on its way through the statements."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, buffer: RecordBuffer, event_types: Collection[str]
    ) -> None:
        self._connection = connection
        self._buffer = buffer
        self._types = sorted(event_types)
        self._file = SOURCES[buffer.source].statement
        # Our own mapping finds repeated keys by itself, with the keys it reads anyway.
        self._own = self._file == _OWN

    def mapped(self) -> Mapped:
        """What becomes of all of its records."""
        self._load_records(self._buffer.table())
        if self._own:
            self._run(_OWN, "parsed")
        for name in ("numbers", "suspects", "marked_numbers", "inner_numbers_as_they_are"):
            self._run(_NUMBERS, name)
        self._run(_OWN if self._own else _FILE, "keyed")
        for name in ("objects", "records" if self._own else "records_with_distinct_keys"):
            self._run(_FILE, name)
        self._view_mapping("mapped")
        try:
            rows = self._map()
        except (duckdb.InvalidInputException, UnicodeDecodeError):
            # The latter where DuckDB's message quotes a text that it cut within a character.
            if not self._own:
                raise
            self._run(_OWN, "parsed_or_null")
            rows = self._map()
        refused: list[Refusal] = []
        earlier = [EARLIER.empty_table()]
        if len(rows) < len(self._buffer):
            cleared = self._judge(rows, refused)
            if cleared:
                exact, before = self._spell(cleared)
                rows, earlier = pa.concat_tables([rows, exact]), [*earlier, before]
        if (texts := self._buffer.earlier_texts()) is not None:
            earlier.append(self._spell_before(texts, rows))
        self._connection.unregister("loaded")
        rows, more = self._parted(rows)
        return Mapped(rows, [*refused, *more], pa.concat_tables(earlier))

    def _judge(self, rows: pa.Table, refused: list[Refusal]) -> list[int]:
        """Which of the records that were not mapped are JSON objects after all; the others are refused."""
        missing = np.setdiff1d(self._buffer.seqs(), rows["seq"].to_numpy(), assume_unique=True)
        self._load_records(self._buffer.table(missing))
        part = statement(_FILE, "sure" if self._own else "sure_with_distinct_keys")
        cleared = self._connection.sql(part.text).fetchnumpy()["record"]
        found: list[int] = cleared.tolist()
        for seq in np.setdiff1d(missing, cleared, assume_unique=True).tolist():
            _, batch, i = self._buffer.find(seq)
            raw = batch.raw(i)
            if verdict := why_not_an_object(raw):
                refused.append(refusal(seq, *verdict, raw))
            else:
                found.append(seq)
        return found

    def _spell(self, seqs: list[int]) -> tuple[pa.Table, pa.Table]:
        """Map records in whose numbers DuckDB would change a digit; and as a version did that let it do so."""
        self._run(_FILE, "cleared_records")
        texts = self._buffer.table(seqs)
        self._load_records(texts)
        before = self._map()
        mark = statement(_NUMBERS, "mark")
        self._connection.execute(mark.text, {"mark": secrets.token_hex(16)})
        self._load_records(self._connection.sql(statement(_NUMBERS, "marked").text).to_arrow_table())
        self._run(_NUMBERS, "inner_numbers_marked")
        self._view_mapping("unspelled")
        self._run(_NUMBERS, "spelled" if self._own else "spelled_verbatim")
        exact = self._map(verbatim=False)
        self._run(_NUMBERS, "inner_numbers_as_they_are")
        self._view_mapping("mapped")
        return exact, self._differing(before, exact)

    def _spell_before(self, texts: pa.Table, rows: pa.Table) -> pa.Table:
        """Map the records that an earlier version would have read in another way."""
        self._run(_FILE, "cleared_records")
        self._load_records(texts)
        return self._differing(self._map(), rows)

    def _differing(self, before: pa.Table, now: pa.Table) -> pa.Table:
        self._connection.register("spelled_before", before)
        self._connection.register("spelled_now", now)
        found = self._connection.sql(statement(_NUMBERS, "spelled_otherwise").text).to_arrow_table()
        self._connection.unregister("spelled_before")
        self._connection.unregister("spelled_now")
        return found.cast(EARLIER)

    def _parted(self, rows: pa.Table) -> tuple[pa.Table, list[Refusal]]:
        """The rows that are events, and why the others are none."""
        refused = []
        reasons = rows["reason"]
        if reasons.null_count < len(rows):
            bad = rows.filter(compute.is_valid(reasons)).sort_by("seq")
            columns = (bad[name].to_pylist() for name in ("seq", "reason", "refused_value"))
            for seq, reason, value in zip(*columns, strict=True):
                phrase, _, detail = reason.partition(": ")
                _, batch, i = self._buffer.find(seq)
                refused.append(refusal(seq, phrase, detail, batch.raw(i), value, self._buffer.source))
            rows = rows.filter(compute.is_null(reasons))
        return rows.drop_columns(["reason", "refused_value"]), refused

    def _map(self, *, verbatim: bool = True) -> pa.Table:
        """The rows of the view ``mapped``, some with a reason why they are no event."""
        part = statement(_FILE, "stage")
        values = {
            "source": self._buffer.source,
            "sources": list(input_sources()) if self._buffer.may_be_exported else [CANONICAL],
            "event_types": self._types,
            "verbatim": verbatim and not self._own,
        }
        return self._connection.sql(part.text, params=part.bind(values)).to_arrow_table()

    def _view_mapping(self, name: str) -> None:
        mapping = statement(self._file, PurePath(self._file).stem).text
        self._connection.execute(f"create or replace temp view {name} as {mapping}")

    def _load_records(self, table: pa.Table) -> None:
        self._connection.register("loaded", table)

    def _run(self, file: str, name: str) -> None:
        self._connection.execute(statement(file, name).text)
