"""Files of lines that are appended to: digests over all lines up to each, whole lines only, from either end."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.disk import chained
from auditlake.disk.chained import Extent, appending, digest_after, durable_extent, newest_first

LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=9)


@given(first=LINES, more=LINES, torn=st.binary(max_size=9).map(lambda tail: tail.replace(b"\n", b"")))
def test_what_is_read_is_every_whole_line(
    first: list[bytes], more: list[bytes], torn: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From either end, at once or since an earlier extent, a file gives the same lines; a torn last one is none."""
    path = tmp_path_factory.getbasetemp() / "chained.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in first) + torn)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chained, "_PIECE", 5)
        before = durable_extent(path, within=path.parent, since=Extent())
        for line in more:
            with appending(path, within=path.parent) as file:
                file.append(line)
                assert file.last() == line
        every = [*first, *more]
        assert list(newest_first(path, within=path.parent)) == every[::-1]
        with appending(path, within=path.parent) as file:
            assert file.lines() == b"".join(line + b"\n" for line in every)
            assert file.last() == (every[-1] if every else b"")
        after = durable_extent(path, within=path.parent, since=before)

    digest = bytes(32)
    for line in every:
        digest = hashlib.sha256(digest + line).digest()
    assert after == durable_extent(path, within=path.parent, since=Extent())
    assert after == Extent(len(every), sum(len(line) + 1 for line in every), digest.hex() if every else "")
    assert (before.lines, before.size) == (len(first), sum(len(line) + 1 for line in first))


def test_a_file_that_was_cut_is_read_from_its_beginning(tmp_path: Path) -> None:
    """An extent that reaches beyond the file's end is not built on."""
    path = tmp_path / "chained.jsonl"
    path.write_bytes(b"a\n")
    assert durable_extent(path, within=tmp_path, since=Extent(9, 99, "00" * 32)) == Extent(1, 2, digest_after("", b"a"))
