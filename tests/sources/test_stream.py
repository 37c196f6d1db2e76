"""Inputs as streams: found, unpacked, digested, read again."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from auditlake.errors import InputChangedError, SourceError
from auditlake.sources.inputs import expand_inputs
from auditlake.sources.model import InputFile
from auditlake.sources.split import split_lines
from auditlake.sources.stream import Stream, open_stream
from tests.sources.pieces import seen

LINES = b"".join(b'{"n":%d,"who":"%s"}\n' % (i, hashlib.md5(b"%d" % i).hexdigest().encode()) for i in range(20_000))
PACKED = gzip.compress(LINES, mtime=0)


def zstd(data: bytes) -> bytes:
    """Compress with zstandard."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def read(path: Path, data: bytes, chunk: int = 1 << 25) -> tuple[bytes, Stream]:
    """Write it, read it whole, and give what came out and the stream, closed."""
    path.write_bytes(data)
    with open_stream(InputFile(path.name, path), chunk=chunk) as stream:
        out = b"".join(stream)
    assert (stream.size, stream.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert stream.unpacked == len(out)
    return out, stream


FLIPPED = bytearray(PACKED)
FLIPPED[len(PACKED) // 2] ^= 0xFF
BAD_SUM = PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:]

# The bytes of the file; what comes out (None: a beginning of it); the damage.
UNPACKED: dict[str, tuple[bytes, bytes | None, str]] = {
    "empty": (b"", b"", ""),
    "one byte": (b"x", b"x", ""),
    "plain": (LINES, LINES, ""),
    "gzip": (PACKED, LINES, ""),
    "gzip of nothing": (gzip.compress(b""), b"", ""),
    "several members": (PACKED * 3, LINES * 3, ""),
    "very many members": (
        b"".join(gzip.compress(line) for line in LINES.splitlines(keepends=True)[:5000]),
        b"".join(LINES.splitlines(keepends=True)[:5000]),
        "",
    ),  # fmt: skip
    "members with zeros between": (PACKED + b"\0" * 300_000 + PACKED, LINES * 2, ""),
    "zeros behind": (PACKED + b"\0" * 512, LINES, ""),
    "garbage behind": (PACKED + b"garbage", LINES, "trailing garbage after gzip"),
    "one byte behind": (PACKED + b"\x1f", LINES, "trailing garbage after gzip"),
    "truncated": (PACKED[:-100], None, "truncated gzip"),
    "truncated in the checksum": (PACKED[:-3], LINES, "truncated gzip"),
    "truncated in the header": (PACKED[:5], b"", "truncated gzip"),
    "the magic alone": (b"\x1f\x8b", b"", "truncated gzip"),
    "corrupt": (bytes(FLIPPED), None, "corrupt gzip"),
    "wrong checksum": (BAD_SUM, LINES, "corrupt gzip"),
    "no gzip at all": (b"\x1f\x8bnonsense", b"", "corrupt gzip"),
    "zstd": (zstd(LINES), LINES, ""),
    "several zstd frames": (zstd(LINES) * 2, LINES * 2, ""),
    "truncated zstd": (zstd(LINES)[:-10], None, "truncated zstd"),
    "corrupt zstd": (zstd(LINES) + b"garbage", None, "corrupt zstd"),
}


@pytest.mark.parametrize("chunk", [1 << 25, 1000])
@pytest.mark.parametrize("name", UNPACKED)
def test_unpacking(name: str, chunk: int, tmp_path: Path) -> None:
    """Compression is known by content; what can be unpacked is, and what is wrong is said."""
    data, expected, damage = UNPACKED[name]
    out, stream = read(tmp_path / "misleading.gz", data, chunk)
    assert (stream.damage.reason if stream.damage else "") == damage
    if expected is None:
        # Of what is corrupt in the middle all may come out, and only the checksum tells.
        assert len(LINES) // 4 < len(out) <= len(LINES)
        assert LINES.startswith(out) or damage == "corrupt gzip"
    else:
        assert out == expected


def test_what_came_before_the_damage_is_kept(tmp_path: Path) -> None:
    """A checksum that fails at the very end costs no byte that came before it."""
    out, _ = read(tmp_path / "x", gzip.compress(b"a\n") + gzip.compress(b"b\n")[:-8] + b"\0" * 8)
    assert out == b"a\nb\n"


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    """What unpacks to far more than any log would is stopped, said, and still digested whole."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(b"\0" * 64_000_000))
    with open_stream(InputFile("bomb", path), chunk=1 << 20, bomb_floor=8 << 20) as stream:
        out = sum(map(len, stream))
    assert out < 33 << 20
    assert stream.damage is not None
    assert stream.damage.reason == "gzip bomb"
    assert stream.size == path.stat().st_size


def test_peek_takes_nothing(tmp_path: Path) -> None:
    """Looking at the beginning leaves it in the stream, at any size of chunks."""
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(LINES[:9000]))
    for chunk in (3, 1000, 1 << 25):
        with open_stream(InputFile("x", path), chunk=chunk) as stream:
            assert stream.peek(10) == LINES[:10]
            assert stream.peek(5000) == LINES[:5000]
            assert b"".join(stream) == LINES[:9000]


def test_a_growing_file_is_read_up_to_its_size(tmp_path: Path) -> None:
    """What is appended while a file is read belongs to the next run, and the digest does not cover it."""
    path = tmp_path / "x"
    path.write_bytes(LINES)
    with open_stream(InputFile("x", path), chunk=1000) as stream:
        with path.open("ab") as more:
            more.write(b"more\n")
        assert b"".join(stream) == LINES
        assert stream.sha256 == hashlib.sha256(LINES).hexdigest()
        stream.verify()


def test_a_shrinking_file_is_an_error(tmp_path: Path) -> None:
    """A file cut short while it is read is not taken for a short file."""
    path = tmp_path / "x"
    path.write_bytes(LINES)
    with open_stream(InputFile("x", path), chunk=1000) as stream:
        path.write_bytes(b"")
        with pytest.raises(InputChangedError, match="became shorter"):
            b"".join(stream)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("paused", [False, True])
def test_reread(pack: Callable[[bytes], bytes], paused: bool, tmp_path: Path) -> None:
    """Records are fetched again by their places; once for all, and again for others."""
    path = tmp_path / "x"
    path.write_bytes(pack(LINES))
    with open_stream(InputFile("x", path), chunk=1000) as stream:
        found = seen(split_lines(stream))[::7]
        if paused:
            stream.pause()
        for part in (found, found[5:6], found[-3:]):
            got = stream.reread([item.offset for item in part], [len(item.raw) for item in part])
            assert list(got) == [item.raw for item in part]


def test_reread_notices_a_change(tmp_path: Path) -> None:
    """A file rewritten in place since it was read is refused, with both digests."""
    path = tmp_path / "x"
    path.write_bytes(LINES)
    with open_stream(InputFile("x", path)) as stream:
        for _ in stream:
            pass
        with path.open("r+b") as file:
            file.write(b"[")
        with pytest.raises(InputChangedError, match="expected, got") as caught:
            list(stream.reread([0], [1]))
    assert caught.value.hint


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_standard_input(pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input is read like a file and can be read again, and leaves nothing behind."""
    packed = pack(LINES)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(packed)))
    with open_stream(InputFile("-", None), spool_dir=tmp_path) as stream:
        found = seen(split_lines(stream))
        assert b"".join(item.raw + b"\n" for item in found) == LINES
        assert stream.sha256 == hashlib.sha256(packed).hexdigest()
        assert list(stream.reread([found[9].offset], [len(found[9].raw)])) == [found[9].raw]
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_a_file(tmp_path: Path) -> None:
    """A named pipe, as the shell makes them, is read to its end and spooled."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(LINES,))
    writer.start()
    with open_stream(*expand_inputs([path])) as stream:
        assert b"".join(stream) == LINES
        assert list(stream.reread([1], [4])) == [LINES[1:5]]
    writer.join()


def test_no_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without standard input gets an error it can read."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="- cannot be read: standard input is closed"):
        open_stream(InputFile("-", None))


def test_raw_deflate_is_not_taken_for_gzip(tmp_path: Path) -> None:
    """Only what has gzip's magic is unpacked."""
    data = zlib.compress(LINES)
    assert read(tmp_path / "x.gz", data)[0] == data


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Some files, folders, links and a loop."""
    for name in ("b.jsonl", "a/z.json", "a/AWSLogs/CloudTrail-Digest/d.json.gz", "a/y[1].json", ".hidden", "a/.git/x"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "link.jsonl").symlink_to(tmp_path / "b.jsonl")
    return tmp_path


def names(tree: Path, *args: str) -> list[str]:
    """What the arguments stand for, relative to the tree."""
    found = expand_inputs([arg if arg == "-" else str(tree / arg) for arg in args])
    return [str(item.path.relative_to(tree)) if item.path else item.name for item in found if not item.left_out]


def test_expand(tree: Path) -> None:
    """Files, folders and patterns stand for files, each once, in an order that does not change."""
    digest = "a/AWSLogs/CloudTrail-Digest/d.json.gz"
    assert names(tree, "b.jsonl", "-", "./b.jsonl", "-", "a/link.jsonl") == ["b.jsonl", "-"]
    assert names(tree, "") == ["b.jsonl", "a/y[1].json", "a/z.json", digest]
    assert names(tree, "*.jsonl", "a/*.json") == ["b.jsonl", "a/y[1].json", "a/z.json"]
    assert names(tree, "**/*.gz") == [digest]
    assert names(tree, "a/y[1].json") == ["a/y[1].json"]
    (tree / "nothing").mkdir()
    assert names(tree, "nothing") == []


@pytest.mark.parametrize(("arg", "message"), [("missing.json", "does not exist"), ("*.csv", "no file matches")])
def test_expand_refuses(tree: Path, arg: str, message: str) -> None:
    """What is not there is an error, not an empty list."""
    with pytest.raises(SourceError, match=message):
        names(tree, arg)


def test_a_dangling_link(tree: Path) -> None:
    """A link to nothing that is named itself is an error, and one in a folder is left out, both by its own name."""
    (tree / "a" / "dangling").symlink_to(tree / "gone")
    with pytest.raises(SourceError, match=r"a/dangling cannot be read: a link to .*/gone, which is not there"):
        names(tree, "a/dangling")
    for folder in (tree / "a", tree / "a" / "d*"):
        (left_out,) = [each for each in expand_inputs([folder]) if each.name.endswith("/dangling")]
        assert left_out.left_out == f"a link to {tree}/gone, which is not there"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_expand_refuses_what_may_not_be_read(tree: Path) -> None:
    """A file without permission is an error before anything is read."""
    (tree / "b.jsonl").chmod(0)
    with pytest.raises(SourceError, match="permission denied"):
        names(tree, "b.jsonl")


def test_odd_names_can_be_printed(tmp_path: Path) -> None:
    """A file name that is no text gets a name that is."""
    path = os.fsencode(tmp_path) + b"/\xff.jsonl"
    Path(os.fsdecode(path)).write_bytes(b"{}\n")
    (found,) = expand_inputs([tmp_path])
    assert found.name.endswith("/\\xff.jsonl")
    with open_stream(found) as stream:
        assert b"".join(stream) == b"{}\n"
