"""Tar archives, member by member, in order; a damaged header costs what lies before the next one."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from auditlake.sources.archive_members import Entry, printable_name, why_left_out
from auditlake.sources.damaged import Gap
from auditlake.sources.inputs import NO_FILE
from auditlake.sources.model import Damage
from auditlake.sources.stream import Stream

_PIECE = 1024 * 1024
_BLOCK = 512
_SPARSE = "GNU.sparse"
_LATEST = 253_370_764_800
"""Seconds from 1970 to the year 9999; a member cannot be of a later time."""
_NOTE = re.compile(rb"([0-9]{1,9}) ([^=]*?)=")
"""How a note of a member begins: how long it is, and what it is about."""


@dataclass(slots=True)
class _Reader:
    """Decompressed chunks, read as they are needed; it stops where something is missing."""

    _chunks: Iterator[bytes]
    at: int = 0
    missing: bool = False
    """Whether something is missing right here."""
    _held: list[memoryview] = field(default_factory=list)  # what comes first is last

    def read(self, n: int) -> bytes:
        """Return at most n bytes, fewer only where the archive ends or something is missing."""
        pieces, want = [], n
        while want and (self._held or self._fetch()):
            piece = self._held.pop()
            if len(piece) > want:
                self._held.append(piece[want:])
                piece = piece[:want]
            pieces.append(piece)
            want -= len(piece)
        self.at += n - want
        return b"".join(pieces)

    def _fetch(self) -> bool:
        if self.missing:
            return False
        chunk = next(self._chunks, None)
        self.missing = chunk == b""
        if chunk:
            self._held.append(memoryview(chunk))
        return bool(chunk)

    def unread(self, data: bytes) -> None:
        """Give bytes back, to be read next."""
        self.at -= len(data)
        self._held.append(memoryview(data))


def tar_header(block: bytes) -> tarfile.TarInfo | None:
    """Read a block as the header of a member; None if it is none."""
    if len(block) < _BLOCK or not block.strip(b"\0"):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return None
    return info if info.size >= 0 else None


def tar_entries(stream: Stream, lost: list[Gap]) -> Iterator[Entry]:
    """Go through an archive, or several put together; a stretch that is no member is added to ``lost``."""
    reader, names = _Reader(iter(stream)), dict[str, Any]()
    while (block := reader.read(_BLOCK)) or reader.missing:
        if len(block) == _BLOCK and not block.strip(b"\0"):
            continue  # the end; but another archive may follow
        info = None if len(block) < _BLOCK else tar_header(block)
        if info is None:
            names = {}
            reader.unread(block)
            if (stretch := _next_header(reader)).stop > stretch.start + 1:  # one byte is the newline of what is missing
                lost.append(stretch)
            continue
        if info.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME}:
            names |= _extended(info, b"".join(_contents(reader, min(info.size, 16 * _PIECE), lost, "a name")))
            continue
        if info.type in {tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK}:
            for _ in _contents(reader, info.size, lost, "a note"):
                pass
            continue
        entry = _entry(reader, info, names, lost)
        names = {}
        if info.type != tarfile.DIRTYPE:
            yield entry
        for _ in entry.pieces:
            pass


def _entry(reader: _Reader, info: tarfile.TarInfo, names: dict[str, Any], lost: list[Gap]) -> Entry:
    name = printable_name(names.get("path", info.name))
    size = names.get("size", info.size)
    why = why_left_out(name)
    if info.type == tarfile.GNUTYPE_SPARSE or _SPARSE in names:
        why = "a file with holes; unpack it first"
    elif info.type in {tarfile.LNKTYPE, tarfile.SYMTYPE}:
        why, size = f"a link to {printable_name(info.linkname)}", 0
    elif info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE}:
        why = NO_FILE
        size = 0 if info.type in {tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE} else size
    modified = float(info.mtime) if 0 < info.mtime < _LATEST else None
    return Entry(name, why, _contents(reader, size, lost, name), modified)


def _contents(reader: _Reader, size: int, lost: list[Gap], name: str) -> Iterator[bytes]:
    left = size
    while left and (piece := reader.read(min(left, _PIECE))):
        left -= len(piece)
        yield piece
    if left:
        lost.append(Gap(Damage("truncated tar", f"{left} bytes of {name} are missing"), reader.at, reader.at))
    else:
        reader.read(-size % _BLOCK)


def _extended(info: tarfile.TarInfo, data: bytes) -> dict[str, Any]:
    """Read the name and size that precede a member because they are too long for its header."""
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    names: dict[str, Any] = {}
    at = 0
    while (note := _NOTE.match(data, at)) and note.end() < (stop := at + int(note[1])) <= len(data):
        key = note[2].decode("utf-8", "replace")
        if key in {"path", "size"}:
            names[key] = data[note.end() : stop - 1].decode("utf-8", "surrogateescape")
        elif key.startswith(_SPARSE):
            names[_SPARSE] = ""
        at = stop
    with suppress(KeyError, ValueError):
        names["size"] = max(int(names.pop("size")), 0)
    return names


def _next_header(reader: _Reader) -> Gap:
    """Go over what is no header to the next that is one; where something is missing, it may stand anywhere."""
    start, held, look = reader.at, reader.read(_BLOCK), 8 * _BLOCK
    while True:
        reader.missing = False
        at = held.find(b"ustar", 258)
        while at >= 0:
            if len(held) < at - 257 + _BLOCK:
                held += reader.read(_BLOCK)
            if tar_header(held[at - 257 : at - 257 + _BLOCK]) is not None:
                reader.unread(held[at - 257 :])
                return Gap(Damage("corrupt tar", "no member begins here"), start, reader.at)
            at = held.find(b"ustar", at + 1)
        more, look = reader.read(look), min(2 * look, _PIECE)  # it is near more often than not
        if not more and not reader.missing:
            return Gap(Damage("corrupt tar", "no member begins here"), start, reader.at)
        held = held[-_BLOCK:] + more
