"""What a question of an auditor gives."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from auditlake.display.cards import Card, CardFact, cells, cut
from auditlake.display.text import count
from auditlake.engine.arrow_rows import python_rows
from auditlake.query.rows import BATCH, SHOWN_ROWS, Table
from auditlake.sandbox.model import Outcome
from auditlake.sandbox.received import Received

if TYPE_CHECKING:
    import pyarrow as pa


class Answer(Table):
    """The rows of an answer: at most as many as the lake's owner allows."""

    def __init__(self, rows: pa.Table | Received, outcome: Outcome, snapshot: int, event_id: str) -> None:
        self._rows = rows
        self.outcome = outcome
        """How it ended: ``complete`` says whether nothing was cut off."""
        self.snapshot = snapshot
        """The version of the lake that was read."""
        self.event_id = event_id
        """The event that records the question."""

    @property
    def complete(self) -> bool:
        """Whether these are all rows."""
        return self.outcome.complete

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self._rows.reader().schema.names if isinstance(self._rows, Received) else self._rows.column_names)

    def __len__(self) -> int:
        return self.outcome.rows if isinstance(self._rows, Received) else int(self._rows.num_rows)

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self._rows.reader().read_all() if isinstance(self._rows, Received) else self._rows

    def to_batches(self, size: int = BATCH) -> pa.RecordBatchReader:
        """Return a reader of the rows as Arrow record batches of at most so many rows, which does not hold them all."""
        from pyarrow import RecordBatchReader

        if not isinstance(self._rows, Received):
            return super().to_batches(size)
        reader = self._rows.reader()
        parts = (batch.slice(at, size) for batch in reader for at in range(0, batch.num_rows, size))
        return RecordBatchReader.from_batches(reader.schema, parts)

    def _card(self) -> Card:
        note = "" if self.complete else "cut off: lake.toml, section [desk], sets how many; "
        if len(self) > SHOWN_ROWS:
            note += f"the first {SHOWN_ROWS}; "
        facts = (CardFact("snapshot", str(self.snapshot)), CardFact("on record", self.event_id))
        shown = islice(self.to_batches(SHOWN_ROWS), 1)
        rows = cells([row for batch in shown for row in python_rows(batch)])
        note += ".pl(), .arrow(), .df() or .fetchall() gives them"
        return Card("answer", count(len(self), "row"), "", facts, tuple(map(cut, self.columns)), rows, note)

    def __repr__(self) -> str:
        rows = f"{count(len(self), 'row')}{'' if self.complete else ', cut off'}"
        return f"<Answer of {rows} on snapshot {self.snapshot}; .pl(), .arrow() or .fetchall() gives it>"
