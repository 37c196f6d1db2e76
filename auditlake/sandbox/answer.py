"""What a question of an auditor gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditlake.display.cards import Card, Fact
from auditlake.display.shown import cells, cut
from auditlake.display.text import count
from auditlake.engine.arrow_rows import python_rows
from auditlake.query.rows import SHOWN_ROWS, Table
from auditlake.sandbox.model import Outcome

if TYPE_CHECKING:
    import pyarrow as pa


class Answer(Table):
    """The rows of an answer: at most as many as the lake's owner allows."""

    def __init__(self, table: pa.Table, outcome: Outcome, snapshot: int, event_id: str) -> None:
        self._table = table
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

    def arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self._table

    def _card(self) -> Card:
        note = "" if self.complete else "cut off: lake.toml, section [desk], sets how many; "
        if len(self) > SHOWN_ROWS:
            note += f"the first {SHOWN_ROWS}; "
        facts = (Fact("snapshot", str(self.snapshot)), Fact("on record", self.event_id))
        rows = cells(python_rows(self._table.slice(0, SHOWN_ROWS)))
        note += ".pl(), .arrow(), .df() or .fetchall() gives them"
        return Card("answer", count(len(self), "row"), "", facts, tuple(map(cut, self.columns)), rows, note)

    def __repr__(self) -> str:
        rows = f"{count(len(self), 'row')}{'' if self.complete else ', cut off'}"
        return f"<Answer of {rows} on snapshot {self.snapshot}; .pl(), .arrow() or .fetchall() gives it>"
