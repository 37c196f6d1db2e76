"""A long answer waits in a file rather than in memory, and is what it was."""

from __future__ import annotations

from itertools import zip_longest

import pyarrow as pa
import pytest

from auditlake.sandbox import received
from auditlake.sandbox.answer import Answer
from auditlake.sandbox.model import Outcome
from auditlake.sandbox.received import Received

TABLE = pa.table({"n": range(3_000), "t": [str(n) for n in range(3_000)]})


@pytest.mark.parametrize("in_memory", [0, 5_000, 10**9])
def test_rows_of_a_long_answer(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever they are, rows are read in order, again and again, and by several readers in turn."""
    monkeypatch.setattr(received, "IN_MEMORY", in_memory)
    stream, rows = pa.BufferOutputStream(), Received()
    with pa.ipc.new_stream(stream, TABLE.schema) as writer:
        writer.write_table(TABLE, 100)
    for at in range(0, len(data := stream.getvalue().to_pybytes()), 777):
        rows.add(data[at : at + 777])
    answer = Answer(rows, Outcome("success", rows=3_000), 1, "e")

    assert (len(answer), answer.columns) == (3_000, ["n", "t"])
    assert answer.arrow() == TABLE
    one, other = answer.to_batches(64), answer.to_batches(1_000)
    pairs = list(zip_longest(one, other))
    assert max(batch.num_rows for batch, _ in pairs if batch is not None) == 64
    assert pa.Table.from_batches([batch for batch, _ in pairs if batch is not None]) == TABLE
    assert pa.Table.from_batches([batch for _, batch in pairs if batch is not None]) == TABLE
    assert "row" in answer._repr_html_()
