"""What arrives is cut as an ingest cuts the whole file, however it arrives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from auditlake.sources.model import Rejected
from auditlake.sources.split import split_lines
from auditlake.tail.lines import Lines, Stretch
from tests.sources.pieces import Pieces

PARTS = st.lists(
    st.sampled_from(
        [b"\n", b"\r\n", b"\r", b" ", b"\t", b"a", b"{}", b"{}{}", b"x" * 9, b"y" * 10, b"z" * 11, b"\xef\xbb\xbf"]
    ),
    max_size=30,
)


def records(found: list[Stretch | Rejected], most: int) -> list[bytes | Rejected]:
    """The records of what was given out."""
    return [each for one in found for each in (one.records(most) if isinstance(one, Stretch) else [one])]


def cut(data: bytes, at: list[int], most: int) -> tuple[list[tuple[object, ...]], Lines]:
    """The records of the data that comes in pieces, comparably."""
    lines = Lines(0, 1, most)
    edges = [0, *sorted(min(each, len(data)) for each in at), len(data)]
    found = [record for a, b in pairwise(edges) for record in records(lines.feed(data[a:b]), most)]
    return [comparable(each) for each in [*found, *records(lines.rest(), most)]], lines


def comparable(record: bytes | Rejected) -> tuple[object, ...]:
    if isinstance(record, bytes):
        return (record,)
    # How much of it is kept depends on the pieces it came in, down to one byte more than the limit.
    return (record.line, record.offset, record.length, record.reason, record.detail, record.sha256)


def expected(data: bytes, most: int) -> list[tuple[object, ...]]:
    """What an ingest makes of it; lines that are not UTF-8 are left to the flush, so they count as records here."""
    found: dict[int, tuple[object, ...]] = {}
    for batch in split_lines(Pieces(data), most):
        found |= {int(batch.records[i]): (batch.raw(i),) for i in range(len(batch))}
        for each in batch.rejected:
            found[each.record] = comparable(each) if each.reason == "too long" else (each.data,)
    return [found[number] for number in sorted(found)]


@given(PARTS.map(b"".join), st.lists(st.integers(0, 200), max_size=6))
@example(b"zzzzzzzzzzz\nxx", [3, 5])
@example(b"\xef\xbb\xbf{}\n\xef\xbb\xbf{}\n", [1])
@example(b"yyyyyyyyyy\r\nyyyyyyyyyy\r", [])
@example(b"zzzzzzzzzzz\r\r\n", [12])
def test_cut_as_an_ingest_cuts(data: bytes, at: list[int]) -> None:
    """The records are those of an ingest of the same bytes, and so are the places of those that are too long."""
    found, lines = cut(data, at, 10)

    assert found == expected(data, 10)
    assert (lines.position, lines.unfinished) == (len(data), 0)


def test_the_place_is_where_the_unfinished_line_begins() -> None:
    """Everything before the position was given out, and what follows it is counted."""
    lines = Lines(100, 7, 1000)

    assert lines.feed(b"a\nb\nc") == [Stretch(100, 7, b"a\nb\n")]
    assert (lines.position, lines.line, lines.unfinished) == (104, 9, 1)
    assert lines.feed(b"d") == []
    assert lines.feed(b"\n") == [Stretch(104, 9, b"cd\n")]
    assert (lines.position, lines.line, lines.unfinished) == (107, 10, 0)


def test_a_long_line_is_not_held() -> None:
    """Of a line without an end no more is held than the longest record, and its length and digest are known."""
    lines = Lines(0, 1, 1000)
    for _ in range(1000):
        assert lines.feed(b"x" * 1000) == []
    (long,) = lines.feed(b"x\nrest")

    assert isinstance(long, Rejected)
    assert (long.length, long.reason, len(long.data)) == (1_000_001, "too long", 2000)
    assert lines.unfinished == 4
