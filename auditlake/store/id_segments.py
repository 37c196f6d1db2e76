"""A segment of the id index: hashes of the sources and ids of some data files, sorted, and which file has each.

::

    {"version": 1, "hashing": …, "files": f, "entries": n, "hash_bytes": h, "file_bytes": w}   one line of JSON
    f * 99 bytes      the paths of the data files below ``events/``
    f * 4 bytes       how many ids of each were keyed by an erasure
    b * 8 bytes       the first hash of each block of 4,096 entries
    b * 8 bytes       the beginning of each block's SHA-256
    the blocks        of each entry the distance to the hash before (h bytes), then of each its file's number (w bytes)

Numbers are little-endian. The file's name has the month of its data files and the SHA-256 of all before the blocks, so
a reader believes what it reads of a large segment without reading the rest. A hash has 48 bits: one that is sought in a
hundred million is found by chance once in three million times, and what is found is compared exactly.
"""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditlake.disk.durable import write_whole
from auditlake.disk.files import check_folder, open_file
from auditlake.disk.layout import Layout

FILE_BITS = 16
"""A key is what an entry is in memory: its hash, and in so many bits below it the number of its file in the segment."""
MOST_FILES = 1 << FILE_BITS
PATH_BYTES = 99
"""Bytes of the path of a data file that auditlake named."""
_BLOCK = 4_096
_VERSION = 1
_NAME = re.compile(r"(?P<month>\d{4}-\d{2})-(?P<digest>[0-9a-f]{64})\.ids\Z")
_LONGEST_LINE = 1_000

Keys = NDArray[np.uint64]
Paths = NDArray[np.bytes_]


class DamagedSegmentError(Exception):
    """A segment is not what its digests say; it is never believed."""


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A segment on the disk."""

    path: Path
    month: str
    """Of all of its data files, such as ``2026-11``."""
    files: Paths
    """The data files by their numbers."""
    keyed: NDArray[np.uint32]
    """How many ids of each were keyed by an erasure."""
    entries: int
    hashing: int
    """How its hashes were made."""
    _firsts: Keys
    _digests: bytes
    _blocks: memoryview
    _hash_bytes: int
    _file_bytes: int

    def find(self, wanted: Keys) -> NDArray[np.intp]:
        """Return the numbers of the files that may have some hashes.

        Args:
            wanted: The hashes, sorted.

        Raises:
            DamagedSegmentError: A block is damaged.
        """
        begins = np.searchsorted(wanted, self._firsts, "left")
        # The first hash of the next block may be that of the last entries of this one, too.
        ends = np.append(np.searchsorted(wanted, self._firsts[1:], "right"), len(wanted))[: len(begins)]
        found = np.zeros(len(self.files), np.bool_)
        for block in np.flatnonzero(begins < ends):
            keys, some = self._block(int(block)), wanted[begins[block] : ends[block]]
            hashes = keys >> np.uint64(FILE_BITS)
            places = np.minimum(np.searchsorted(some, hashes), len(some) - 1)
            found[file_numbers(keys[some[places] == hashes])] = True
        return np.flatnonzero(found)

    def keys(self) -> Keys:
        """Return all entries, sorted.

        Raises:
            DamagedSegmentError: A block is damaged.
        """
        return np.concatenate([np.zeros(0, np.uint64), *map(self._block, range(len(self._firsts)))])

    def _block(self, number: int) -> Keys:
        wide, begin = self._hash_bytes + self._file_bytes, number * _BLOCK
        many = min(_BLOCK, self.entries - begin)
        data = self._blocks[begin * wide : (begin + many) * wide]
        if sha256(data).digest()[:8] != self._digests[8 * number : 8 * number + 8]:
            raise DamagedSegmentError(self.path)
        parts = self._hash_bytes * many
        steps = _widened(np.frombuffer(data[:parts], np.uint8), self._hash_bytes)
        hashes = self._firsts[number] + np.cumsum(steps, dtype=np.uint64)
        keys: Keys = hashes << np.uint64(FILE_BITS) | _widened(np.frombuffer(data[parts:], np.uint8), self._file_bytes)
        return keys


def _widened(data: NDArray[np.uint8], wide: int) -> Keys:
    """Return numbers of so many bytes each as such of eight."""
    whole = np.zeros((len(data) // wide, 8), np.uint8)
    whole[:, :wide] = data.reshape(-1, wide)
    numbers: Keys = whole.view("<u8").ravel()
    return numbers


def _narrowed(numbers: Keys, wide: int) -> NDArray[np.uint8]:
    """Return the so many lower bytes of each number, by number."""
    return np.ascontiguousarray(numbers, "<u8").view(np.uint8).reshape(-1, 8)[:, :wide]


def file_numbers(keys: Keys) -> NDArray[np.intp]:
    """Return the numbers of the files of entries."""
    return (keys & np.uint64(MOST_FILES - 1)).astype(np.intp)


def read_segments(layout: Layout, hashing: int | None) -> tuple[list[Segment], list[Path]]:
    """Return the segments of a lake, and those files that are none: damaged, or made by another DuckDB.

    Args:
        layout: The lake.
        hashing: How the DuckDB of this process hashes; None if that does not matter.
    """
    segments: list[Segment] = []
    damaged: list[Path] = []
    with suppress(FileNotFoundError):
        check_folder(layout.ids, within=layout.root)
        for path in sorted(layout.ids.iterdir()):
            if _NAME.match(path.name):
                try:
                    segments.append(read_segment(path, layout.root, hashing))
                except FileNotFoundError:
                    continue  # a writer has merged it
                except (OSError, ValueError, KeyError, TypeError, RecursionError):
                    damaged.append(path)
    return segments, damaged


def read_segment(path: Path, root: Path, hashing: int | None) -> Segment:
    """Return a segment, of which all but the blocks is verified.

    Args:
        path: Where it lies.
        root: The lake.
        hashing: As for :func:`read_segments`.

    Raises:
        OSError: It cannot be read.
        ValueError, KeyError, TypeError: It is none.
    """
    if not (match := _NAME.match(path.name)):
        raise ValueError("not the name of a segment")
    with open_file(path, within=root) as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    line = data[:_LONGEST_LINE].partition(b"\n")[0]
    says = json.loads(line)
    files, entries, wide = says["files"], says["entries"], says["hash_bytes"] + says["file_bytes"]
    many = -(-entries // _BLOCK)
    ends = np.cumsum([len(line) + 1, PATH_BYTES * files, 4 * files, 8 * many, 8 * many]).tolist()
    if says["version"] != _VERSION or hashing not in (None, says["hashing"]) or len(data) != ends[-1] + entries * wide:
        raise ValueError("no segment that this program reads")
    head = data[: ends[-1]]
    if sha256(head).hexdigest() != match["digest"]:
        raise ValueError("not what its name says")
    paths, keyed, firsts, digests = (head[begin:end] for begin, end in pairwise(ends))
    return Segment(
        path, match["month"], np.frombuffer(paths, f"S{PATH_BYTES}"), np.frombuffer(keyed, "<u4"), entries,
        says["hashing"], np.frombuffer(firsts, "<u8"), digests, memoryview(data)[ends[-1] :], says["hash_bytes"],
        says["file_bytes"],
    )  # fmt: skip


def write_segment(
    layout: Layout, hashing: int, month: str, files: Paths, keyed: NDArray[np.uint32], keys: Keys
) -> Path:
    """Write a segment, and return where. It need not outlast a power cut: what is torn is not believed.

    Args:
        layout: The lake, which has the folder.
        hashing: How the hashes were made.
        month: That of all files.
        files: The data files, at most :data:`MOST_FILES`.
        keyed: How many ids of each were keyed.
        keys: The entries, sorted.
    """
    hashes = keys >> np.uint64(FILE_BITS)
    firsts = hashes[::_BLOCK]
    steps = np.diff(hashes, prepend=hashes[:1])
    steps[::_BLOCK] = 0
    hash_bytes, file_bytes = _bytes_of(int(steps.max(initial=0))), _bytes_of(max(len(files) - 1, 0))
    blocks = list(_blocks(_narrowed(steps, hash_bytes), _narrowed(keys, file_bytes)))
    line = json.dumps({
        "version": _VERSION, "hashing": hashing, "files": len(files), "entries": len(keys), "hash_bytes": hash_bytes,
        "file_bytes": file_bytes,
    })  # fmt: skip
    tables: list[Any] = [files.astype(f"S{PATH_BYTES}"), keyed.astype("<u4"), firsts.astype("<u8")]
    head = b"".join([
        line.encode() + b"\n", *(table.tobytes() for table in tables), *(sha256(each).digest()[:8] for each in blocks),
    ])  # fmt: skip
    path = layout.ids / f"{month}-{sha256(head).hexdigest()}.ids"
    write_whole(path, b"".join([head, *blocks]), synced=False)
    return path


def _bytes_of(number: int) -> int:
    return max(1, -(-number.bit_length() // 8))


def _blocks(steps: NDArray[np.uint8], files: NDArray[np.uint8]) -> Iterator[bytes]:
    for begin in range(0, len(steps), _BLOCK):
        yield steps[begin : begin + _BLOCK].tobytes() + files[begin : begin + _BLOCK].tobytes()
