"""Lines as records."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.sources.model import NOT_JSON, TOO_DEEP, TOO_LONG, Damage
from auditlake.sources.split import split_lines
from tests.sources.pieces import Pieces, seen

SIZES = (1, 2, 7, 64, 1 << 20)

CASES = {
    "nothing": (b"", []),
    "a byte order mark alone": (b"\xef\xbb\xbf", []),
    "half a byte order mark": (b"\xef\xbb", [(1, 0, b"\xef\xbb", NOT_JSON)]),
    "blank lines are no records": (b"\n\r\n \t\r\n{}\n\n", [(4, 7, b"{}", "")]),
    "the last line may lack its end": (b"1\n2", [(1, 0, b"1", ""), (2, 2, b"2", "")]),
    "CRLF": (b"1\r\n2\r\n", [(1, 0, b"1", ""), (2, 3, b"2", "")]),
    "one CR is the terminator's, others are not": (b"1\r\r\n", [(1, 0, b"1\r", "")]),
    "a byte order mark is no part of a record": (b"\xef\xbb\xbf1\n2", [(1, 3, b"1", ""), (2, 5, b"2", "")]),
    "nor are several": (b"\xef\xbb\xbf\xef\xbb\xbf1", [(1, 6, b"1", "")]),
    "nor is one before a later line": (
        b"1\n\xef\xbb\xbf2\r\n3",
        [(1, 0, b"1", ""), (2, 5, b"2", ""), (3, 8, b"3", "")],
    ),
    "nothing but one on a line": (b"1\n\xef\xbb\xbf \n3", [(1, 0, b"1", ""), (3, 7, b"3", "")]),
    "one within a line is": (b"1\xef\xbb\xbf\n", [(1, 0, b"1\xef\xbb\xbf", "")]),
    "objects that touch": (
        b'{"a":{}}{"b":"}{"} \t {"c":3}\n{}',
        [(1, 0, b'{"a":{}}', ""), (1, 8, b'{"b":"}{"}', ""), (1, 21, b'{"c":3}', ""), (2, 29, b"{}", "")],
    ),
    "objects and a byte order mark that touch": (
        b'{"a":1}\xef\xbb\xbf{"b":2}\r\n',
        [(1, 0, b'{"a":1}', ""), (1, 10, b'{"b":2}', "")],
    ),
    "white space around them": (b' {"a":1} {"b":2} \n', [(1, 0, b' {"a":1}', ""), (1, 9, b'{"b":2}', "")]),
    "an object and one that is torn": (b'{"a":1}{"b', [(1, 0, b'{"a":1}', ""), (1, 7, b'{"b', "")]),
    "one that is torn and an object": (b'{"a":"x{"b":1}', [(1, 0, b'{"a":"x{"b":1}', "")]),
    "brackets in a string": (b'{"a":"}{"}\n', [(1, 0, b'{"a":"}{"}', "")]),
    "NUL stays": (b"a\0b\n", [(1, 0, b"a\0b", "")]),
    "not UTF-8": (b"1\n\xff\n2\n", [(1, 0, b"1", ""), (2, 2, b"\xff", NOT_JSON), (3, 4, b"2", "")]),
    "a letter torn between two lines": (b"\xc3\n\xa9\n", [(1, 0, b"\xc3", NOT_JSON), (2, 2, b"\xa9", NOT_JSON)]),
    "too deep": (b"[" * 513 + b"]" * 513, [(1, 0, b"[" * 513 + b"]" * 513, TOO_DEEP)]),
    "not too deep": (b"[" * 512 + b"]" * 512, [(1, 0, b"[" * 512 + b"]" * 512, "")]),
    "brackets in strings do not count": (b'"' + b"[" * 600 + b'"', [(1, 0, b'"' + b"[" * 600 + b'"', "")]),
    "deep and never closed": (b"[" * 600, [(1, 0, b"[" * 600, NOT_JSON)]),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_lines(name: str, size: int) -> None:
    """Each line is a record at its place, however the stream is cut into chunks."""
    data, expected = CASES[name]
    found = seen(split_lines(Pieces(data, size)))
    assert [(item.line, item.offset, item.raw, item.reason) for item in found] == expected
    assert all(item.text is None or item.text.encode().rstrip() == item.raw.rstrip() for item in found)


@given(
    st.lists(st.sampled_from([b"\n", b"\r", b"a", b'{"b":1', b" ", b"\xff", b"\xc3\xa9", b"["])),
    st.sampled_from(SIZES),
)
def test_lines_are_what_split_gives(parts: list[bytes], size: int) -> None:
    """The records are those of ``bytes.split``, without terminators and blanks, where no objects touch."""
    data = b"".join(parts)
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    got = seen(split_lines(Pieces(data, size)))
    assert [item.raw for item in got] == [line for line in lines if line.strip(b" \t\r")]
    for item in got:
        assert data[item.offset :].startswith(item.raw)
        assert item.line == 1 + data[: item.offset].count(b"\n")


@given(st.lists(st.integers(0, 40), max_size=20), st.sampled_from(SIZES), st.booleans())
def test_long_lines(lengths: list[int], size: int, crlf: bool) -> None:
    """A line over the limit is rejected with its length and digest, and those around it are records."""
    end = b"\r\n" if crlf else b"\n"
    data = b"".join(b"%d" % (n % 10) * n + end for n in lengths)
    batches = list(split_lines(Pieces(data, size), max_record=20))
    seen(batches)
    assert [n for batch in batches for n in batch.lengths] == [n for n in lengths if 0 < n <= 20]
    rejected = [item for batch in batches for item in batch.rejected]
    assert [item.length for item in rejected] == [n for n in lengths if n > 20]
    for item in rejected:
        assert item.reason == TOO_LONG
        assert item.sha256 == hashlib.sha256(b"%d" % (item.length % 10) * item.length).hexdigest()


def test_many_records_make_several_batches() -> None:
    """Columns of very many short records do not grow with the chunk."""
    data = b"1\n" * 1_000_000
    batches = list(split_lines(Pieces(data)))
    assert max(len(batch) for batch in batches) <= 300_000
    assert sum(len(batch) for batch in batches) == 1_000_000
    assert batches[-1].lines[-1] == 1_000_000
    assert batches[-1].offsets[-1] == len(data) - 2


def test_text_is_not_copied() -> None:
    """Records lie where the chunk lies, so that a gigabyte is not copied for being cut."""
    data = b'{"a":1}\n' * 1000
    (batch,) = split_lines(Pieces(data))
    assert batch.text.buffers()[2].size == len(data)
    assert batch.text[999].as_py() == '{"a":1}\n'


@pytest.mark.parametrize("size", SIZES)
def test_a_broken_stream_leaves_a_record(size: int) -> None:
    """What came before the damage is read, and the damage itself is one more rejected record."""
    stream = Pieces(b'{"a":1}\n{"b"', size, Damage("truncated gzip", "it ends", b"xyz"))
    *records, last = seen(split_lines(stream))
    assert [item.raw for item in records] == [b'{"a":1}', b'{"b"']
    assert (last.reason, last.detail, last.offset, last.raw) == ("truncated gzip", "it ends", 12, b"xyz")
