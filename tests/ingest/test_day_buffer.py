"""What waits to be written is all there, day by day, in memory or not."""

from __future__ import annotations

from itertools import accumulate, pairwise

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.ingest import day_buffer as room
from auditlake.ingest.day_buffer import DayBuffer
from auditlake.ingest.mapping import STAGED

sizes = st.lists(st.integers(0, 40), min_size=1, max_size=6)


def additions(sizes: list[int], days: list[int], order: list[int]) -> list[pa.Table]:
    """Tables of so many rows: numbers run on from one to the next, and ``order`` shuffles them within each."""
    found = []
    for first, behind in pairwise(accumulate(sizes, initial=0)):
        seqs = sorted(range(first, behind), key=lambda seq: order[seq % len(order)])
        rows = [{"seq": seq, "event_id": f"e{seq}", "event_day": days[seq % len(days)]} for seq in seqs]
        found.append(pa.Table.from_pylist(rows, STAGED))
    return found


@pytest.mark.parametrize("held", [0, 1_500, 1_000_000])
@given(
    sizes, st.lists(st.integers(0, 3), min_size=1, max_size=9), st.lists(st.integers(0, 9), min_size=1, max_size=7),
    st.sampled_from([1, 400, 100_000]), st.sampled_from([1, 1_000]),
)  # fmt: skip
@settings(deadline=None, max_examples=12)
def test_every_row_once(held: int, sizes: list[int], days: list[int], order: list[int], most: int, turns: int) -> None:
    """Each row is in one piece, of its day, however they come; a piece of several additions is not too large."""
    tables = additions(sizes, days, order)
    with pytest.MonkeyPatch.context() as patch, duckdb.connect() as connection:
        patch.setattr(room, "_HELD_BYTES", held)
        patch.setattr(room, "_TURNS", turns)
        staged = DayBuffer(connection)
        for table in tables:
            staged.add(table)
        staged.show()
        shown = connection.sql("select seq from staged").fetchall()
        pieces = [(piece, staged.read(connection, piece)) for piece in staged.pieces(most)]

    expected = sorted((days[seq % len(days)], seq) for seq in range(sum(sizes)))
    assert sorted((piece.day, seq) for piece, rows in pieces for seq in rows["seq"].to_pylist()) == expected
    assert sorted(seq for (seq,) in shown) == sorted(seq for _, seq in expected)
    assert [piece.day for piece, _ in pieces] == sorted(piece.day for piece, _ in pieces)
    for piece, rows in pieces:
        assert set(rows["event_day"].to_pylist()) == {piece.day}
        assert len(piece.stretches) == 1 or sum(stretch.nbytes for stretch in piece.stretches) <= most
