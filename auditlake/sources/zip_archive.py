"""ZIP archives, member by member: by their directory, or by the members' own headers if that is damaged."""

from __future__ import annotations

import bz2
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from auditlake.sources.archive_members import Entry, printable_name, why_left_out
from auditlake.sources.damaged import Gap
from auditlake.sources.model import Damage
from auditlake.sources.stream import BOMB_FLOOR, MAX_RATIO, Stream

_PIECE = 1024 * 1024
_BLOCK = 64 * 1024
_LOCAL = b"PK\x03\x04"
_BEHIND = b"PK\x07\x08"
ZIPS = (_LOCAL, b"PK\x05\x06", _BEHIND)
"""How ZIP archives begin."""
_IN_ZIP64 = 0xFFFF_FFFF
_NOT_LOGS = frozenset(("[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF"))


@dataclass(frozen=True, slots=True)
class _Zipped:
    """A member of a ZIP archive, by the central directory or, where that is gone, by its own header."""

    name: str
    flags: int
    method: int
    crc: int | None
    start: int
    """Where its compressed bytes begin."""
    size: int
    """How many these are."""
    modified: float | None = None
    """When it was last modified, in seconds since 1970; by the directory, which has no zone: taken as UTC."""

    @property
    def left_out(self) -> str:
        """Why it cannot be read, or an empty text."""
        if self.flags & 1:
            return "it is encrypted"
        return why_left_out(self.name) or (
            "" if self.method in _METHODS else f"its compression ({self.method}) is not read"
        )


_METHODS: dict[int, Callable[[], Any]] = {
    zipfile.ZIP_STORED: lambda: None,
    zipfile.ZIP_DEFLATED: lambda: zlib.decompressobj(wbits=-15),
    zipfile.ZIP_BZIP2: bz2.BZ2Decompressor,
}


_FAULTS = (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError)


def why_no_logs(stream: Stream) -> str:
    """Return why a ZIP archive is not one of logs, or an empty text; the stream is read to its end."""
    for _ in stream:
        pass
    if stream.compression != "none":
        return f"a ZIP archive in {stream.compression}; unpack it first"
    with stream.file() as file:
        try:
            names = {member.name for member in _directory(file)}
        except _FAULTS:
            return ""
    return "it looks like a document or a program" if names & _NOT_LOGS else ""


def zip_entries(stream: Stream, lost: list[Gap]) -> Iterator[Entry]:
    """Go through an archive; stretches that are no member, or a damaged one, are added to ``lost``."""
    for _ in stream:
        pass
    with stream.file() as file:
        try:
            members: Iterator[_Zipped] = iter(_directory(file))
        except _FAULTS:
            members = _headers(file, stream.size, lost)
        total, most, end = 0, max(BOMB_FLOOR, MAX_RATIO * stream.size), 0

        def counted(member: _Zipped) -> Iterator[bytes]:
            """Yield a member's bytes, until more came out of the archive than a log would give."""
            nonlocal total
            for piece in _inflated(file, member, stream.size, lost):
                yield piece
                total += len(piece)
                if total > most:
                    why = f"{total} bytes came out, {total // stream.size} for each byte in"
                    lost.append(Gap(Damage("zip bomb", why), member.start, stream.size))
                    return

        for member in members:
            why = member.left_out
            if member.start < end:
                why = "its bytes belong to another member"
            end = max(end, member.start + member.size)
            if not member.name.endswith("/"):
                yield Entry(printable_name(member.name), why, counted(member), member.modified)
            if total > most:
                return


def _directory(file: IO[bytes]) -> list[_Zipped]:
    """List the members by the central directory, in the order in which they lie there."""
    with zipfile.ZipFile(file) as archive:
        infos = sorted(archive.infolist(), key=lambda each: each.header_offset)
    members = []
    for info in infos:
        file.seek(info.header_offset)
        header = file.read(30)
        if not header.startswith(_LOCAL):
            raise zipfile.BadZipFile(f"no member at {info.header_offset}")
        start = (
            info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        )
        members.append(_Zipped(
            info.filename, info.flag_bits, info.compress_type, info.CRC, start, info.compress_size,
            _instant(info.date_time),
        ))  # fmt: skip
    return members


def _instant(date_time: tuple[int, int, int, int, int, int]) -> float | None:
    """Return a time of a directory in seconds since 1970; None if it is the first day of all, which says nothing."""
    with suppress(ValueError):
        return datetime(*date_time, tzinfo=UTC).timestamp() if date_time[:3] != (1980, 1, 1) else None
    return None


def _headers(file: IO[bytes], size: int, lost: list[Gap]) -> Iterator[_Zipped]:
    """Yield the members by their own headers, in order: the directory at the end is damaged or cut off."""
    at, room = 0, max(BOMB_FLOOR, MAX_RATIO * size)
    damage = Damage("corrupt zip", "the archive's directory is missing or damaged, and no member begins here")
    while at < size:
        begin = _find(file, _LOCAL, at, size)
        header = _at(file, begin, 30)
        if begin > at or len(header) < 30:
            lost.append(Gap(damage, at, begin if len(header) == 30 else size))
        if len(header) < 30:
            return
        flags, method, named, more = (int.from_bytes(header[i : i + 2], "little") for i in (6, 8, 26, 28))
        crc, packed = (int.from_bytes(header[i : i + 4], "little") for i in (14, 18))
        name, start = _at(file, begin + 30, named), begin + 30 + named + more
        if packed == _IN_ZIP64:
            packed = _packed_size(_at(file, begin + 30 + named, more))
        at, checked = start + packed, True
        if flags & 8 and not packed:
            at, used = _end(file, method, start, size, room)
            room -= used
            packed, note = at - start, _at(file, at, 28)
            if checked := note.startswith(_BEHIND):
                crc = int.from_bytes(note[4:8], "little")
                at += 24 if note[24:26] == b"PK" and note[16:18] != b"PK" else 16
        text = name.decode("utf-8" if flags & 0x800 else "cp437", "replace")
        yield _Zipped(text, flags, method, crc if checked else None, start, packed)


def _packed_size(extra: bytes) -> int:
    """Return how many packed bytes a member has by what follows its name; 0 if that does not say."""
    at = 0
    while len(extra) >= at + 4:
        kind, length = (int.from_bytes(extra[i : i + 2], "little") for i in (at, at + 2))
        if kind == 1:
            return int.from_bytes(extra[at + 12 : at + 20], "little")
        at += 4 + length
    return 0


def _end(file: IO[bytes], method: int, start: int, size: int, room: int) -> tuple[int, int]:
    """Return where a member of unknown size ends, and how many bytes came out until that was known.

    One that never ends, or gives out more than there is room for, takes all that is left.
    """
    unpacker = _METHODS[method]() if method in _METHODS else None
    if unpacker is None:
        return _end_of_stored(file, start, size), 0
    at, used, block = start, 0, b""
    try:
        while at < size and not unpacker.eof:
            block = _at(file, at, min(_BLOCK, size - at))
            at += len(block)
            for piece in _unpacked(unpacker, block):
                used += len(piece)
                if used > room:
                    return size, used
    except (zlib.error, OSError, EOFError, ValueError):
        return _find(file, _LOCAL, at - len(block), size), used
    return at - len(unpacker.unused_data), used


def _end_of_stored(file: IO[bytes], start: int, size: int) -> int:
    """Return where an unpacked member ends: at the note after it, or where anything else begins."""
    at = start
    while (at := _find(file, b"PK", at, size)) < size:
        note = _at(file, at, 16)
        says = {int.from_bytes(note[8:stop], "little") for stop in (12, 16)}
        if note.startswith((_LOCAL, b"PK\x01\x02")) or (note.startswith(_BEHIND) and at - start in says):
            return at
        at += 2
    return size


def _at(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _find(file: IO[bytes], what: bytes, at: int, size: int) -> int:
    """Return the first place of some bytes from a place on; the end if there is none."""
    look = 4 * 1024
    while at < size:
        window = _at(file, at, min(look, size - at))
        if (place := window.find(what)) >= 0:
            return at + place
        at, look = at + max(len(window) - len(what) + 1, 1), min(2 * look, _PIECE)
    return size


def _unpacked(unpacker: Any, block: bytes) -> Iterator[bytes]:
    """Yield the content of packed bytes in pieces that fit into memory: a few of bzip2's may hold gigabytes."""
    if isinstance(unpacker, bz2.BZ2Decompressor):
        yield unpacker.decompress(block, _PIECE)
        while not (unpacker.eof or unpacker.needs_input):
            yield unpacker.decompress(b"", _PIECE)
    else:
        yield block if unpacker is None else unpacker.decompress(block)


def _inflated(file: IO[bytes], member: _Zipped, size: int, lost: list[Gap]) -> Iterator[bytes]:
    """Yield the member's bytes; if some cannot be unpacked, those before count and the packed ones are lost."""
    at, stop, crc = member.start, min(member.start + member.size, size), 0
    unpacker = _METHODS[member.method]() if member.method in _METHODS else None
    why = "" if member.start + member.size <= size else "its end is missing"
    try:
        while at < stop and not (unpacker is not None and unpacker.eof):
            block = _at(file, at, min(_BLOCK, stop - at))
            at += len(block)
            for piece in filter(None, _unpacked(unpacker, block)):
                crc = zlib.crc32(piece, crc)
                yield piece
    except (zlib.error, OSError, EOFError, ValueError) as error:
        why = str(error)
    if not why and unpacker is not None and not unpacker.eof:
        why = "its compressed data ends in the middle"
    if not why and member.crc is not None and crc != member.crc:
        why = "its checksum is wrong"
    if why:
        lost.append(Gap(Damage("corrupt zip", f"{printable_name(member.name)}: {why}"), member.start, stop))
