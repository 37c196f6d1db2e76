"""CSV and Parquet as records."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.errors import SourceError
from auditlake.sources.batches import BOM
from auditlake.sources.csv_table import split_csv
from auditlake.sources.model import NOT_CSV, NOT_JSON, NOT_UTF8, TOO_DEEP, TOO_LONG, WRONG_FIELDS, InputFile
from auditlake.sources.stream import Stream, open_stream
from auditlake.sources.tabular import read_parquet
from tests.sources.pieces import Pieces, Seen, seen

HEADER = b"event_type,timestamp,user_id\n"
SIZES = (1, 2, 7, 64, 1 << 20)


def rows(data: bytes, size: int = 1 << 25, max_record: int = 1 << 24) -> list[Seen]:
    """Cut CSV up."""
    stream: Any = Pieces(data, size)
    stream.input = InputFile("x.csv", None)
    found = seen(split_csv(stream, max_record))
    for item in found:
        if item.text is not None:
            assert data[item.offset :].startswith(item.raw)
        assert item.line == 1 + data[: item.offset].count(b"\n")
    return found


# The rows behind the header, and what becomes of them: values, or why not.
CASES: dict[str, tuple[bytes, list[Any]]] = {
    "none": (b"", []),
    "plain": (b"login,t,alice\nlogout,t,bob", [["login", "t", "alice"], ["logout", "t", "bob"]]),
    "CRLF and blank lines": (b"\r\nlogin,t,alice\r\n\r\n", [["login", "t", "alice"]]),
    "empty is null": (b'login,,""\n', [["login", None, None]]),
    "quoted": (b'login,"a,b","say ""x""\nand\r\ny"\nz,z,z\n', [["login", "a,b", 'say "x"\nand\r\ny'], ["z", "z", "z"]]),
    "quotes over many lines": (b'"\n\n",t,"\n"\nz,z,z\n', [["\n\n", "t", "\n"], ["z", "z", "z"]]),
    "letters": ("é,t,😀\n".encode(), [["é", "t", "😀"]]),
    "too few": (b"login,t\nz,z,z\n", [WRONG_FIELDS, ["z", "z", "z"]]),
    "too many": (b"login,t,a,b\nz,z,z\n", [WRONG_FIELDS, ["z", "z", "z"]]),
    "not UTF-8": (b"login,t,\xff\nz,z,z\n", [NOT_UTF8, ["z", "z", "z"]]),
    "garbage behind a quote": (b'login,t,"a"b\nz,z,z\n', [NOT_CSV, ["z", "z", "z"]]),
    "a quote never closed": (b'login,t,"a\nx,x,x\ny,y,y\n', [NOT_CSV, ["x", "x", "x"], ["y", "y", "y"]]),
    "two quotes never closed": (
        b'a,t,"a\nx,x,x\nb,t,"b\ny,y,y\n',
        [NOT_CSV, ["x", "x", "x"], NOT_CSV, ["y", "y", "y"]],
    ),
    "an inch": (b'login,t,5" pipe\nz,z,z\nz,z,"\n"\n', [NOT_CSV, ["z", "z", "z"], ["z", "z", "\n"]]),
    "NUL": (b"login,t,\0\nz,z,z\n", [["login", "t", "\0"], ["z", "z", "z"]]),
    "marks of files put together": (
        b'login,t,a\n\xef\xbb\xbflogin,t,b\n\xef\xbb\xbf\xef\xbb\xbf"x\ny",t,\xef\xbb\xbf',
        [["login", "t", "a"], ["login", "t", "b"], ["x\ny", "t", "\ufeff"]],
    ),
    "long fields": (b"login,t," + b"x" * 200_000, [["login", "t", "x" * 200_000]]),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_csv(name: str, size: int) -> None:
    """Each row is an object under the header's names; a bad row does not stop those behind it."""
    data, expected = CASES[name]
    if len(data) > 1000 and size < 64:
        return
    names = ["event_type", "timestamp", "user_id"]
    wanted = [item if isinstance(item, str) else dict(zip(names, item, strict=True)) for item in expected]
    for around in (data, data.removesuffix(b"\n")):
        found = rows(HEADER + around, size)
        assert [json.loads(item.text) if item.text else item.reason for item in found] == wanted


@pytest.mark.parametrize("begin", [b"", b'"\n'])
def test_long_names(begin: bytes) -> None:
    """Short rows under long names become batches that fit into memory, also where a quote is never closed."""
    count, header = 2_000, b"event_type,timestamp," + b"x" * 60_000 + b"\n"
    stream: Any = Pieces(header + begin + b"a,b,c\n" * count, 1 << 25)
    stream.input = InputFile("x.csv", None)
    sizes = [(len(batch), batch.text.nbytes) for batch in split_csv(stream)]
    assert sum(number for number, _ in sizes) == count
    assert max(size for _, size in sizes) < 100_000_000


@given(
    st.lists(st.tuples(*[st.text(st.sampled_from('a,;"\n\r é'), max_size=6)] * 3), max_size=8),
    st.sampled_from(SIZES),
    st.sampled_from(",;\t"),
)
def test_any_table(table: list[tuple[str, str, str]], size: int, separator: str) -> None:
    """What Python's csv module writes is read back, value by value."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([("event_type", "timestamp", "user_id"), *table])
    found = rows(out.getvalue().encode(), size)
    assert [list(json.loads(item.text or "{}").values()) for item in found] == [
        [v or None for v in row] for row in table
    ]


@given(
    st.text(st.sampled_from('a,"\n\r'), max_size=40).map(str.encode) | st.binary(max_size=30), st.sampled_from(SIZES)
)
def test_any_bytes(data: bytes, size: int) -> None:
    """Whatever stands behind the header, chunks do not matter, and every line that is not blank is accounted for."""
    found = rows(HEADER + data, size)
    assert found == rows(HEADER + data)
    lines = (line.replace(BOM, b"") for line in data.split(b"\n"))  # a line of marks alone is blank
    assert sum(item.raw.count(b"\n") + 1 for item in found) >= sum(bool(line.strip(b"\r")) for line in lines)


@pytest.mark.parametrize("size", SIZES)
def test_long_rows(size: int) -> None:
    """A row over the limit is rejected, also one that only quotes make long."""
    data = HEADER + b"login,t," + b"x" * 100 + b'\nz,z,z\nlogin,t,"' + b"y\n" * 100
    found = rows(data, size, max_record=50)
    assert [item.reason for item in found[:3]] == [TOO_LONG, "", NOT_CSV]
    assert all(item.reason == WRONG_FIELDS for item in found[3:])
    assert len(found) == 3 + 99


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"event_type,user_id\nlogin,a\n", "no column timestamp; of an event's columns it has event_type, user_id"),
        (b"a\n", "no column event_type and no column timestamp"),
        (b"event_type,timestamp,timestamp\n", "column timestamp is there twice"),
        (b'event_type,"timestamp\n', "the header cannot be read"),
        (b"\xff\n", "the header cannot be read: invalid UTF-8"),
        (b"\n\n", "has no header"),
    ],
)
def test_csv_refuses(data: bytes, message: str) -> None:
    """A table without the columns of an event is an error for the whole input."""
    with pytest.raises(SourceError, match=message):
        rows(data)


def opened(path: Path) -> Stream:
    return open_stream(InputFile(path.name, path))


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    """Write a Parquet file."""
    pq.write_table(pa.table(columns), path, **options)
    return path


def read(path: Path, max_record: int = 1 << 24) -> list[Any]:
    """Its rows, or why not."""
    with opened(path) as stream:
        found = seen(read_parquet(stream, max_record))
        assert stream.sha256
    for i, item in enumerate(found):
        assert (item.line, item.offset) == (i + 1, -1)
    return [json.loads(item.text) if item.text else item.reason for item in found]


def test_parquet(tmp_path: Path) -> None:
    """Each row is an object; times are UTC text with microseconds, whatever their unit and zone."""
    at = datetime(2026, 11, 24, 1, 2, 3, 456789, UTC)
    table = {
        "event_type": pa.array(["login", None]).dictionary_encode(),
        "timestamp": pa.array([at, None], pa.timestamp("us", "America/New_York")),
        "naive": pa.array([datetime(1969, 12, 31, 23, 59, 59, 1), None], pa.timestamp("us")),
        "nanos": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
        "seconds": pa.array([0, None], pa.timestamp("s")),
        "details": pa.array([{"a": [1, 2], "t": at}, None]),
        "big": pa.array([2**64 - 1, None], pa.uint64()),
        "decimal": pa.array([Decimal("1.10"), None]),
        "bytes": pa.array([b"\xff\x00", None]),
        "date": pa.array([at.date(), None]),
    }
    first, second = read(parquet(tmp_path / "x.parquet", table))
    assert first == {
        "event_type": "login",
        "timestamp": "2026-11-24T01:02:03.456789Z",
        "naive": "1969-12-31T23:59:59.000001Z",
        "nanos": "2023-11-14T22:13:20.123456789Z",
        "seconds": "1970-01-01T00:00:00.000000Z",
        "details": {"a": [1, 2], "t": "2026-11-24T01:02:03.456789Z"},
        "big": 2**64 - 1,
        "decimal": "1.10",
        "bytes": "ff00",
        "date": "2026-11-24",
    }
    assert set(second.values()) == {None}


MINIMAL = {"event_type": ["login"] * 40_000, "timestamp": ["2026-11-24T00:00:00Z"] * 40_000}


@pytest.mark.parametrize("codec", ["none", "snappy", "zstd", "gzip"])
def test_parquet_codecs(codec: str, tmp_path: Path) -> None:
    """The common compressions are read."""
    found = read(parquet(tmp_path / "x", MINIMAL, compression=codec, row_group_size=30_000))
    assert len(found) == 40_000


def test_parquet_refuses(tmp_path: Path) -> None:
    """Other compressions, missing columns and repeated ones are errors."""
    with pytest.raises(SourceError, match="compressed with LZ4"):
        read(parquet(tmp_path / "x", MINIMAL, compression="lz4"))
    with pytest.raises(SourceError, match="no column timestamp"):
        read(parquet(tmp_path / "y", {"event_type": ["login"]}))
    pq.write_table(pa.table([["a"], ["b"], ["c"]], names=["event_type", "timestamp", "timestamp"]), tmp_path / "z")
    with pytest.raises(SourceError, match="timestamp is there twice"):
        read(tmp_path / "z")


def test_odd_parquet_rows(tmp_path: Path) -> None:
    """A row that is not UTF-8 or too long is rejected, and the others are records."""
    bad = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"]).buffers())
    table = {"event_type": bad, "timestamp": ["t", "t", "t" * 200]}
    assert read(parquet(tmp_path / "x", table), max_record=100) == [
        {"event_type": "a", "timestamp": "t"},
        "row cannot be written as JSON",
        TOO_LONG,
    ]


def test_damaged_parquet(tmp_path: Path) -> None:
    """A damaged file costs what cannot be read, which is kept, or reads as if nothing had happened; nothing fails."""
    path = parquet(tmp_path / "x", {"event_type": ["login", "logout"] * 50, "timestamp": ["t"] * 100})
    whole = path.read_bytes()
    damaged = [whole[:n] for n in range(5, len(whole), 37)] + [b"PAR1" * 3, b"PAR1" + b"\0" * 100 + b"PAR1"]
    for i in range(0, len(whole), 13):
        damaged.append(whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :])
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            with open_stream(InputFile("x", path)) as stream:
                lost = [each for batch in read_parquet(stream) for each in batch.rejected if "Parquet" in each.reason]
        except SourceError as error:  # of a column's name, or a codec's
            assert "\n" not in str(error)
            continue
        refused += bool(lost)
        assert all("\n" not in each.detail and each.data in data for each in lost)
    assert refused > len(damaged) // 2


def test_a_damaged_row_group(tmp_path: Path) -> None:
    """Of several row groups the damaged one is lost, with its bytes kept, and the others are read."""
    rows = pa.table({"event_type": [f"{n:064x}" for n in range(900)], "timestamp": ["t"] * 900})
    pq.write_table(rows, tmp_path / "x", row_group_size=300, compression="none", use_dictionary=False)
    data = (tmp_path / "x").read_bytes()
    place = data.index(b"%064x" % 450) - 4
    (tmp_path / "x").write_bytes(data[:place] + b"\xff" * 8 + data[place + 8 :])
    with open_stream(InputFile("x", tmp_path / "x")) as stream:
        found = seen(read_parquet(stream))
    assert [sum(f"{n:064x}" in (item.text or "") for item in found) for n in (1, 299, 600, 899)] == [1, 1, 1, 1]
    (lost,) = [item for item in found if item.text is None]
    assert lost.reason == "corrupt Parquet"
    assert b"%064x" % 449 in lost.raw
    assert b"%064x" % 600 not in lost.raw


def test_gzipped_parquet(tmp_path: Path) -> None:
    """Parquet inside gzip is refused in words."""
    import gzip

    path = parquet(tmp_path / "x", {"event_type": ["a"], "timestamp": ["t"]})
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(SourceError, match="Parquet inside gzip"):
        read(path)


def test_too_deep_over_several_lines() -> None:
    """A row whose quoted cell goes over several lines is one row, also where what is in it is refused."""
    header = b"event_type,timestamp,details\n"
    found = rows(header + b'a,t,"' + b"[\n" * 512 + b"]" * 512 + b'"\nz,t,\n')
    assert [item.reason for item in found] == [TOO_DEEP, ""]


def test_reasons_of_csv_are_its_own() -> None:
    """A CSV row is never called invalid JSON."""
    assert NOT_JSON not in {item.reason for data, _ in CASES.values() for item in rows(HEADER + data)}
