"""Messages of syslog that say how long they are (RFC 6587): such a stream needs no line ends between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute

from auditlake.sources.batches import BATCH_RECORDS, broken, damages, make_batch
from auditlake.sources.model import NO_LENGTH, Batch, Chunks, Damage, reject
from auditlake.sources.split import split_lines

_HEAD = re.compile(rb"([1-9][0-9]{0,6}) <[0-9]{1,3}>")
"""What a message begins with: how many bytes follow the space, and its priority."""
_LONGEST_HEAD = 13
_OTHER = r"[1-9][0-9]{0,6} <[0-9]{1,3}>(?:1 |[A-Z][a-z]{2} [ 0-9][0-9] |[0-9]{4}-[0-9]{2}-)"
"""The beginning of another message within one: a head, and the version or the time behind it."""
_ANOTHER = re.compile(_OTHER.encode())
_OWN_HEAD = "^[0-9]{1,7} <[0-9]{1,3}>"
_BETWEEN = re.compile(rb"(?:[\r\n]|\xef\xbb\xbf)*+")
_NEWLINE = 0x0A


@dataclass(frozen=True, slots=True)
class _Begun:
    """A stream of which some was read already."""

    read: bytes
    rest: Iterator[bytes]
    stream: Chunks

    @property
    def damage(self) -> Damage | None:
        """Why some bytes are missing."""
        return self.stream.damage

    def __iter__(self) -> Iterator[bytes]:
        """Yield its bytes from the first on."""
        if self.read:
            yield self.read
        yield from self.rest


@dataclass(frozen=True, slots=True)
class _Message:
    """Where a message begins and ends, by what it says, and whether it holds no beginning of another."""

    start: int
    stop: int
    fits: bool = True


class _Frames:
    """The messages in the bytes so far. A message is settled once what follows it shows that its length is right."""

    def __init__(self) -> None:
        self.data = b""
        self.counted = False
        """Whether it began with a message."""
        self.by_line = True
        """Whether a line end followed each settled message: then lines are messages where lengths are wrong."""
        self.reached = 0
        """Where in the data the next message begins."""
        self._held: list[_Message] = []

    def take(self, chunk: bytes, *, last: bool) -> tuple[list[_Message], bool]:
        """Return the messages that are settled with this chunk, and whether no other can follow."""
        self.data += chunk
        settled: list[_Message] = []
        while True:
            self.reached = self._behind(self.reached)
            head = _HEAD.match(self.data, self.reached)
            self.counted = self.counted or head is not None
            left = len(self.data) - self.reached
            if head is None:
                lost = left >= _LONGEST_HEAD or (last and left > 0)
                break
            stop = head.end(1) + 1 + int(head[1])
            if stop > len(self.data) or stop < head.end():
                lost = last or stop < head.end()
                break
            fits = _ANOTHER.search(self.data, head.end(), stop) is None
            settled += self._settled(known=fits)
            self._held.append(_Message(self.reached, stop, fits))
            self.reached = stop
        if lost and self._held and not self._known(last=last):
            self.reached, self._held = self._held[0].start, []
        elif lost or last:
            settled += self._settled(known=True)
        return settled, lost

    def drop(self) -> int:
        """Forget the data before what is not settled; return how many bytes that is."""
        read = self._held[0].start if self._held else self.reached
        self.data, self.reached = self.data[read:], self.reached - read
        self._held = [replace(each, start=each.start - read, stop=each.stop - read) for each in self._held]
        return read

    def _behind(self, at: int) -> int:
        between = _BETWEEN.match(self.data, at)
        return between.end() if between else at

    def _apart(self) -> bool:
        """Return whether a line end lies between the last message and the next one."""
        stop = self._held[-1].stop
        return self.reached > stop or self.data[stop - 1 : stop] in (b"\r", b"\n")

    def _settled(self, *, known: bool) -> list[_Message]:
        """Return the messages that are settled by what begins here, and whether that is a message for sure.

        A length that is too short leaves the end of its message to the next head, where digits make that one longer.
        """
        if not self._held:
            return []
        if (apart := self._apart()) or known:
            settled, self._held = self._held, []
            self.by_line = self.by_line and apart
            return settled
        *settled, doubted = self._held
        self._held = [replace(doubted, fits=False)]
        self.by_line = self.by_line and not settled
        return settled

    def _known(self, *, last: bool) -> bool:
        """Return whether the last message may be right although no whole one follows it: the next one is cut off."""
        head = _HEAD.match(self.data, self.reached)
        if self._apart() or (last and self.reached == len(self.data)):
            return True
        if head is None or _ANOTHER.search(self.data, head.end()):
            return False
        there = len(self.data.rstrip(b"\r\n")) - head.end(1) - 1
        return there < int(head[1]) and not head[1].endswith(b"%d" % there)


def split_messages(stream: Chunks, max_record: int) -> Iterator[Batch]:
    """Cut a stream into messages that say how long they are, if it begins with one; else into lines.

    Line ends in a message belong to it, those behind it do not. A message that holds the beginning of another is
    rejected. Where lengths stop fitting, the rest is cut into lines: they are messages where every message so far had a
    line to itself; else all of them are rejected, since nobody can tell where a message ends.
    """
    chunks, frames, ended = iter(stream), _Frames(), False
    number, line, at = 0, 1, 0
    while not ended:
        chunk = next(chunks, None)
        ended = chunk is None
        settled, lost = frames.take(chunk or b"", last=not chunk)
        for batch in _batches(frames.data, settled, (number, line, at), max_record):
            yield batch
            number += len(batch) + len(batch.rejected)
        data = frames.data
        read = frames.drop()
        line, at = line + data.count(b"\n", 0, read), at + read
        if chunk == b"":  # something is missing behind it
            chunks, lost = chain([b""], chunks), True
        if lost:
            for batch in split_lines(_Begun(frames.data, chunks, stream), max_record, plain=True):
                moved = _moved(batch, number, line - 1, at)
                yield _judged(moved, frames, max_record) if frames.counted and len(moved) else moved
            return
    yield from broken(damages(stream), number, line, at)


def needs_no_lines(beginning: bytes) -> bool:
    """Return whether a stream begins with messages that say how long they are, of which two share a line."""
    frames = _Frames()
    frames.take(beginning, last=False)
    return frames.counted and not frames.by_line


def split_followed(stream: Chunks, max_record: int) -> Iterator[Batch]:
    """Cut a stretch of a file that is followed into lines; one that holds several such messages is rejected."""
    for batch in split_lines(stream, max_record, plain=True):
        counted = compute.match_substring_regex(batch.text, _OWN_HEAD).to_numpy(zero_copy_only=False)
        yield _without(batch, counted & _holds_another(batch), max_record)


def _judged(batch: Batch, frames: _Frames, max_record: int) -> Batch:
    """Return a batch of lines behind the last message without those that may be no message, or several."""
    if not frames.by_line:
        return _without(batch, np.ones(len(batch), np.bool_), max_record)
    return _without(batch, _holds_another(batch), max_record)


def _holds_another(batch: Batch) -> npt.NDArray[np.bool_]:
    bare = compute.replace_substring_regex(batch.text, _OWN_HEAD, "", max_replacements=1)
    found: npt.NDArray[np.bool_] = compute.match_substring_regex(bare, _OTHER).to_numpy(zero_copy_only=False)
    return found


def _without(batch: Batch, wrong: npt.NDArray[np.bool_], max_record: int) -> Batch:
    """Return a batch in which some records are rejected, since their length does not fit."""
    if not wrong.any():
        return batch
    refused = []
    for i in np.flatnonzero(wrong).tolist():
        place = (int(batch.records[i]), int(batch.lines[i]), int(batch.offsets[i]))
        refused.append(reject(*place, NO_LENGTH, "", batch.raw(i), max_record))
    return Batch(
        batch.records[~wrong],
        batch.lines[~wrong],
        batch.offsets[~wrong],
        batch.lengths[~wrong],
        batch.text.filter(pa.array(~wrong)),
        tuple(sorted((*batch.rejected, *refused), key=lambda each: each.record)),
    )


def _batches(
    data: bytes, messages: Sequence[_Message], before: tuple[int, int, int], max_record: int
) -> Iterator[Batch]:
    """Yield batches of messages, given how many records, which line and which offset there were before."""
    number, line, at = before
    whole = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(whole == _NEWLINE) if messages else whole
    for i in range(0, len(messages), BATCH_RECORDS):
        some = messages[i : i + BATCH_RECORDS]
        starts = np.array([each.start for each in some], np.int64)
        lengths = np.array([len(data[each.start : each.stop].rstrip(b"\r\n")) for each in some], np.int64)
        lines = line + np.searchsorted(newlines, starts).astype(np.int64)
        numbers = number + i + np.arange(len(some), dtype=np.int64)
        batch = make_batch(whole, starts, lengths, lines, numbers, at, max_record, gaps=True, plain=True)
        wrong = numbers[[not each.fits for each in some]]
        yield _without(batch, np.isin(batch.records, wrong), max_record)


def _moved(batch: Batch, number: int, line: int, at: int) -> Batch:
    """Return a batch with its places as they are behind so many records, lines and bytes."""
    rejected = tuple(
        replace(each, record=each.record + number, line=each.line + line, offset=each.offset + at)
        for each in batch.rejected
    )
    return replace(
        batch,
        records=batch.records + number,
        lines=batch.lines + line,
        offsets=batch.offsets + at,
        rejected=rejected,
    )
