"""Damage to what is compressed costs the damaged bytes: what is before and behind them is read, and they are kept."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditlake.sources.damaged import Gap, walk
from auditlake.sources.model import InputFile
from auditlake.sources.split import split_documents, split_lines
from auditlake.sources.stream import Stream, open_stream
from tests.sources.pieces import seen


def lines(name: str, count: int = 400) -> bytes:
    """Lines that do not compress well."""
    return b"".join(
        b'{"%s":"%s"}\n' % (name.encode(), hashlib.sha256(b"%d" % n).hexdigest().encode()) for n in range(count)
    )


def zstd(data: bytes) -> bytes:
    """A frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


PACK = {"gzip": lambda data: gzip.compress(data, mtime=0), "zstd": zstd}
TEXTS = [lines(name) for name in "abc"]


def flipped(data: bytes, place: int, bits: int = 0xFF) -> bytes:
    """The same with one byte changed."""
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def cut(data: bytes, place: int) -> bytes:
    """The same without some bytes: of a changed one, a zstd frame without a checksum may know nothing."""
    return data[:place] + data[place + 300 :]


def kept(stream: Stream) -> list[bytes]:
    """The bytes of each stretch that could not be decompressed, as quarantine gets them."""
    damage = stream.damage
    return [] if damage is None else [each.data for each in (damage, *damage.further())]


def read(path: Path, data: bytes, chunk: int = 1 << 23) -> tuple[list[bytes], list[bytes]]:
    """The lines that come out, and what is kept of the rest."""
    path.write_bytes(data)
    with open_stream(InputFile("x", path), chunk=chunk) as stream:
        found = seen(split_lines(stream))
        # Whatever is missing, records are found again by their places.
        some = [item for item in found if item.text is not None][:: max(len(found) // 50, 1)]
        again = list(stream.reread([item.offset for item in some], [len(item.raw) for item in some]))
        assert again == [item.raw for item in some]
        return [item.raw for item in found if item.text is not None], kept(stream)


@pytest.mark.parametrize("pack", PACK)
@pytest.mark.parametrize("hit", [0, 1, 2])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.98])
def test_only_the_unit_that_is_hit_is_lost(pack: str, hit: int, share: float, tmp_path: Path) -> None:
    """Of members or frames in a row, those that are not hit come out whole, and the bytes of the hit one are kept."""
    units = [PACK[pack](text) for text in TEXTS]
    if share == 0.0 and hit == 0:
        share = 0.3  # its first byte says what it is
    units[hit] = cut(units[hit], int(len(units[hit]) * share))
    found, gaps = read(tmp_path / "x", b"".join(units), chunk=5000)
    for i, text in enumerate(TEXTS):
        good = [line for line in text.splitlines() if line in set(found)]
        assert len(good) == 400 or i == hit
    raw = b"".join(units)
    assert all(gap in raw for gap in gaps)
    # Where every byte came out and a checksum alone is wrong, that is what is left; else it reaches to the next unit.
    (gap,) = gaps
    assert units[hit].endswith(gap)


def test_what_a_block_gave_is_used(tmp_path: Path) -> None:
    """Of one long zstd frame each block before the damage is used; behind it begins the next frame."""
    text = lines("a", 30_000)
    frame = zstd(text)
    place = len(frame) * 3 // 4
    found, (gap,) = read(tmp_path / "x", cut(frame, place) + zstd(b"1\n"))
    good = sum(1 for a, b in zip(found, text.splitlines(), strict=False) if a == b)
    assert good > 30_000 * 0.6
    assert found[-1] == b"1"
    assert frame.endswith(gap[-1000:])


@pytest.mark.parametrize("pack", PACK)
def test_a_writer_that_died_and_began_again(pack: str, tmp_path: Path) -> None:
    """Behind a unit that was never finished, the next one is read."""
    first, second = (PACK[pack](text) for text in TEXTS[:2])
    found, gaps = read(tmp_path / "x", first[: len(first) // 2] + second)
    assert found[-400:] == TEXTS[1].splitlines()
    assert b"".join(gaps) in first + second


def test_large_damage_is_kept_in_pieces(tmp_path: Path) -> None:
    """However much could not be decompressed, all of it is kept, in pieces that fit into memory."""
    damaged = hashlib.shake_256(b"x").digest(3_500_000)
    found, gaps = read(tmp_path / "x", PACK["gzip"](TEXTS[0]) + b"\x01" + damaged + PACK["gzip"](TEXTS[1]))
    assert found == [*TEXTS[0].splitlines(), *TEXTS[1].splitlines()]
    assert b"".join(gaps) == b"\x01" + damaged
    assert max(map(len, gaps)) <= 1 << 20


@pytest.mark.parametrize("front", [b"", b"\x50\x2a\x4d\x18\x04\0\0\0abcd" * 2])
def test_skippable_frames(front: bytes, tmp_path: Path) -> None:
    """Frames that are to be skipped over are, at the beginning and between others, also in what is damaged."""
    skip = b"\x5f\x2a\x4d\x18\x02\0\0\0xy"
    data = front + zstd(b"1\n") + skip + zstd(b"2\n")
    assert read(tmp_path / "x", data) == ([b"1", b"2"], [])
    assert read(tmp_path / "x", data + b"\0\0") == ([b"1", b"2"], [b"\0\0"])


def test_documents_behind_damage(tmp_path: Path) -> None:
    """A document that broke off swallows none of those behind it."""
    torn, whole = gzip.compress(b'{"Records":[{"a":"' + lines("b")), gzip.compress(b'{"Records":[{"c":1},{"d":2}]}')
    (tmp_path / "x").write_bytes(flipped(torn, len(torn) - 6) + whole)
    with open_stream(InputFile("x", tmp_path / "x")) as stream:
        found = seen(split_documents(stream))
    assert [item.raw for item in found if item.raw[:4] in (b'{"c"', b'{"d"')] == [b'{"c":1}', b'{"d":2}']
    assert [item.reason for item in found if item.text is None][-1] == "corrupt gzip"


UNITS = [[PACK[pack](b'{"%d":%d}\n' % (n, n) * 9) for n in range(4)] for pack in PACK]


@given(st.sampled_from([0, 1]), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 3))
@example(0, 0, 1, 1)
@example(1, 236, 236, 0)
def test_any_flip(pack: int, place: int, bits: int, hit: int) -> None:
    """Whichever byte is changed, each of the other units comes out whole and nothing fails.

    But for one: a zstd frame without a checksum of which the header or the block's length is changed may take the
    beginning of the next with it.
    """
    units = list(UNITS[pack])
    place %= len(units[hit])
    if hit == 0:
        place = max(place, 4)
    units[hit] = flipped(units[hit], place, bits)
    says_lengths = pack == 1 and 4 <= place < 9  # descriptor, window, and three bytes of the block's header
    with (
        patch.object(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"".join(units)))),
        open_stream(InputFile("-", None)) as stream,
    ):
        found = [item.raw for item in seen(split_lines(stream))]
    for n in itertools.filterfalse(hit.__eq__, range(4)):
        # The newline before its first line may be what was changed.
        least = 9 if n != hit + 1 else 0 if says_lengths else 8
        assert found.count(b'{"%d":%d}' % (n, n)) >= least


class Counted(io.BytesIO):
    """A file that knows how many bytes were read of it."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.count += len(data)
        return data


def test_beginnings_that_all_lead_to_the_end() -> None:
    """Where each of many beginnings has to be followed to the end, that is given up, and the rest is a stretch."""
    start, whole = b"\x1f\x8b\x08" + bytes(6) + b"\xff", gzip.compress(b"{}\n", mtime=0)
    room = 63 * 15 + len(whole)
    stored = [b"\0" + n.to_bytes(2, "little") + (n ^ 0xFFFF).to_bytes(2, "little") for n in range(room + 1)]
    group = b"".join(start + stored[room - n * 15] for n in range(1, 64)) + whole + stored[room]
    data = flipped(whole, len(whole) - 8) + group * 100 + bytes(room)
    file, gaps = Counted(data), list[Gap]()
    assert b"".join(walk(file, "gzip", 0, len(data), gaps.append)).startswith(b"{}\n")
    assert gaps[-1].stop == len(data)
    assert file.count < 200 * len(data)
