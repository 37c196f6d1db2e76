"""Inputs of any size take bounded memory, and hostile ones bounded time."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from auditlake.sources.model import KEPT, NOT_JSON, TOO_DEEP, TOO_LONG, Chunks, Damage, InputFile
from auditlake.sources.split import split_documents, split_lines
from auditlake.sources.stream import CHUNK, open_stream
from tests.sources.pieces import Pieces, Seen, seen

MIB = 1 << 20
ROOT = Path(__file__).resolve().parents[2]


class Generated:
    """A stream that is made up as it is read: a beginning, something often, an end."""

    damage: Damage | None = None

    def __init__(self, first: bytes, often: bytes, times: int, last: bytes) -> None:
        self._parts = first, often, times, last

    def __iter__(self) -> Iterator[bytes]:
        first, often, times, last = self._parts
        yield first
        for _ in range(times):
            yield often
        yield last


def record() -> bytes:
    """A record of the size of a CloudTrail event."""
    return b'{"eventVersion":"1.08","eventName":"x","requestParameters":{"a":["' + b"x" * 900 + b'","\\"]"]}},\n'


PER_CHUNK = CHUNK // len(record())
# The stream, how to cut it, and how many records and rejected ones it has.
STREAMS: dict[str, tuple[Chunks, str, int]] = {
    "wrapper": (Generated(b'{"Records":[\n', record() * PER_CHUNK, 40, b"{}]}"), "documents", 40 * PER_CHUNK + 1),
    "one line": (Generated(b"{", b"x" * CHUNK, 40, b"\n"), "lines", 1),
    "one record": (Generated(b"[1,", b"[" * CHUNK, 8, b""), "documents", 2),
    "white space": (Generated(b"[1,", b" " * CHUNK, 8, b"2]"), "documents", 2),
    "commas": (Generated(b"[", b"," * (MIB // 2), 1, b"1]"), "documents", MIB // 2 + 1),
    "newlines": (Generated(b"1\n", b"\n" * CHUNK, 8, b"2"), "lines", 2),
    "short lines": (Generated(b"", b"1\n" * (CHUNK // 2), 6, b""), "lines", 3 * CHUNK),
}


def run() -> None:
    """Read the streams; say how many numbers each gave, and how much more memory the process has had since, in MiB."""
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for stream, form, _ in STREAMS.values():
        count = 0
        for batch in (split_lines if form == "lines" else split_documents)(stream):
            count += len(batch) + len(batch.rejected)
        print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)


def test_memory_is_bounded() -> None:
    """However long the input, a record, or nothing at all, memory stays that of a few chunks."""
    code = "from tests.sources.test_large import run; run()"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for line, (name, (_, _, expected)) in zip(out.splitlines(), STREAMS.items(), strict=True):
        count, mib = map(int, line.split())
        assert (name, count) == (name, expected)
        assert mib < 300, name


def test_a_line_of_100_mb() -> None:
    """It is rejected with its beginning, length and digest, and the lines around it are records."""
    long = b'{"a":"' + b"x" * 100_000_000 + b'"}'
    for size in (1 << 25, 1 << 16):
        first, rejected, last = seen(split_lines(Pieces(b"1\n" + long + b"\r\n2\n", size)))
        assert (first.raw, last.raw, last.line) == (b"1", b"2", 3)
        assert (rejected.reason, rejected.raw) == (TOO_LONG, long[:KEPT])
    found = [item for batch in split_lines(Pieces(long)) for item in batch.rejected]
    assert [(item.length, item.sha256) for item in found] == [(len(long), hashlib.sha256(long).hexdigest())]


@pytest.mark.parametrize("split", [split_lines, split_documents])
def test_a_million_levels(split: object) -> None:
    """Nesting of a million levels reaches no parser that recurses, closed or not."""
    n = 1_000_000
    closed, opened = b'{"a":' + b"[" * n + b"]" * n + b"}", b"[" * n
    cut = split_lines if split is split_lines else split_documents
    got: list[Seen] = seen(cut(Pieces(b'{"b":1}\n' + closed + b'\n{"c":1}\n' + opened)))
    assert [item.reason for item in got] == ["", TOO_DEEP, "", NOT_JSON]


def test_many_bad_records() -> None:
    """Finding the bad ones among many takes little work: ten times less than the limit."""
    data = b"".join(b'{"a":"\xff%d"}\n{"a":%d}\n' % (i, i) for i in range(30_000))
    start = time.process_time()
    found = seen(split_lines(Pieces(data)))
    assert [item.reason for item in found] == [NOT_JSON, ""] * 30_000
    assert time.process_time() - start < 10


def test_a_gzip_bomb(tmp_path: Path) -> None:
    """A file of which 500 times as much comes out as went in is stopped, without holding what came out."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0" * (64 * MIB)) * 12)
    with open_stream(InputFile("bomb", path), bomb_floor=256 * MIB) as stream:
        *_, line, damage = seen(split_lines(stream))
    assert (line.reason, damage.reason) == (TOO_LONG, "gzip bomb")
    assert stream.unpacked < 400 * MIB
    assert stream.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
