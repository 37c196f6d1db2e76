"""Lines of a growing file, or of standard input, into a lake: each once, whatever happens to the file or to us."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.lock import exclusive
from auditlake.errors import LakeBusyError, SourceError
from auditlake.sources.model import Rejected
from auditlake.tail.destination import Destination, TailSummary, resumed
from auditlake.tail.files import CHUNK, Family, Input
from auditlake.tail.identify import Occurrences
from auditlake.tail.lines import Lines, Stretch
from auditlake.tail.place import Bookmark, Place, bookmark

if TYPE_CHECKING:
    from auditlake.lake import AuditLake

POLL_SECONDS = 0.25
"""How long to wait before looking again where nothing has come."""
_STDIN = "-"


Told = Callable[[str], None]
"""Takes a sentence for the operator."""


def tail(
    lake: AuditLake,
    path: str | Path,
    *,
    source: str | None = None,
    timezone: str = "UTC",
    from_end: bool = False,
    once: bool = False,
    stop: Callable[[], bool] = lambda: False,
    listen: Told = lambda _: None,
) -> TailSummary:
    """Follow the lines of a log into a lake until told to stop; standard input until its end.

    They are canonical events as JSON lines, or of any source whose records are lines. What is followed and ingested
    besides counts once: a record without an id gets the one that an ingest of its file gives it. A file is gone on with
    at the place that is kept for its path in the lake, whatever name it has by then. Of records that are identical the
    last 131,072 different ones are counted, and 256 MiB of them where a file is gone on with; one that comes again
    after that is taken for the same as before. A line without a newline is waited for, unless nothing can follow: at
    the end of standard input, or of a file that was rotated away twice.

    Canonical events go into the landing. What has been landed is durable, and is told from what has not after any
    crash. Lines that cannot be events land as they are, and are quarantined by the next flush with exactly their bytes;
    after a crash between their landing and the keeping of the place, the last of them perhaps twice.

    Lines that a mapping is for become events in the table, by a commit a minute at most, and one at the end: the same
    as of an ingest of the file, with the same quarantine. The place moves with the commit, so that no crash loses or
    doubles one; after a crash the same lines are committed first, so that they make the same quarantine. Where a file
    is cut after it was copied elsewhere than beside it, what waits for its commit is in memory alone: it is committed
    as soon as the cut is seen, and a crash before that loses it here. The copy can be ingested.

    Args:
        lake: Where they go.
        path: The file, or ``-`` for standard input, which cannot be gone on with.
        source: Whose records the lines are, not to look at the first of them.
        timezone: The zone of times without an offset, of lines that a mapping is for.
        from_end: The first time, begin at the file's end instead of its beginning.
        once: Take what is there and return.
        stop: Asked again and again whether to end; what has been read is in the lake then.
        listen: Told what the operator should know.

    Raises:
        SourceError: The input cannot be read, no source knows it, or its records are no lines.
        MappingError: The mapping of the source has mistakes.
        LakeBusyError: Another process follows the same path into this lake, or others wrote for too long.
        LakeError: The lake cannot be written to; what is not in it is read again the next time.
    """
    with lake.trail() as trail:
        name = _STDIN if str(path) == _STDIN else os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - links stay
        destination = Destination(lake, trail, name, source=source, timezone=timezone, listen=listen)
        if name == _STDIN:
            _stream(0, destination, lake.config.max_record, stop)
            return destination.summary
        with following(lake, Path(name), destination, from_end=from_end, listen=listen) as follower:
            while (follower.round() or not once) and not stop():
                if not follower.moved:
                    time.sleep(POLL_SECONDS)
            follower.settle()
            return replace(destination.summary, unfinished=follower.unfinished)


def _stream(descriptor: int, destination: Destination, max_record: int, stop: Callable[[], bool]) -> None:
    lines, occurrences = Lines(0, 1, max_record), Occurrences()
    destination.opened()
    while not stop():
        if not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            destination.settle(None, ())
            continue
        chunk = os.read(descriptor, CHUNK)
        if not chunk:
            break
        destination.take(lines.feed(chunk), occurrences, None)
        destination.settle(None, ())
    destination.take(lines.rest(), occurrences, None)
    destination.settle(None, (), now=True)


@contextmanager
def following(
    lake: AuditLake, path: Path, destination: Destination, *, from_end: bool, listen: Told
) -> Iterator[Follower]:
    """Follow a path, alone, from where it was left."""
    mark = bookmark(lake.layout, str(path))
    with ExitStack() as stack:
        try:
            stack.enter_context(exclusive(mark.lock, wait_seconds=0))
        except LakeBusyError as error:
            message = f"another process follows {mark.path} into this lake"
            raise LakeBusyError(message, hint="one is enough: end the other first") from error
        follower = Follower(lake, path, mark, destination, listen)
        stack.callback(follower.close)
        follower.begin(from_end=from_end)
        yield follower


class Follower:
    """The file of a path, and the one that had the name before: its writer may still hold it open."""

    def __init__(self, lake: AuditLake, path: Path, mark: Bookmark, destination: Destination, listen: Told) -> None:
        self.moved = False
        """Whether the last round found anything."""
        self._family = Family(path)
        self._mark = mark
        self._sink = destination
        self._lake = lake
        self._max = lake.config.max_record
        self._listen = listen
        self._inputs: list[Input] = []
        self._broken_off: tuple[Place, ...] = ()
        """Up to where the lines are to be committed before others: a process ended during their commit, which may have
        put some into quarantine. The same lines make the same file there."""

    @property
    def unfinished(self) -> int:
        """Bytes that wait for a newline."""
        return sum(each.lines.unfinished for each in self._inputs)

    def close(self) -> None:
        """Let go of all files."""
        while self._inputs:
            self._inputs.pop().close()

    # Beginning

    def begin(self, *, from_end: bool) -> None:
        """Go on where the path was left; the first time, begin at the file's start or end."""
        known = resumed(self._mark)
        self._broken_off = self._sink.resume(known)
        if known.places:
            self._go_on(known.places)
            return
        current = self._family.current()
        if current is None:
            raise SourceError(f"{self._family.path} does not exist", hint="what is followed has to be there once")
        beginning = os.pread(current, CHUNK, 0)
        self._sink.refuse_messages(beginning)
        if from_end:
            self._sink.look(beginning.rpartition(b"\n")[0])
        self._add(current, *(_end(current) if from_end else ()))
        self._tell_where()
        self._save()  # from now on nothing is missed, should the file be rotated before it is read

    def _go_on(self, known: Sequence[Place]) -> None:
        for each in known:
            descriptor = self._family.find(each)
            if descriptor is not None:
                self._add(descriptor, each.position, each.line)
                self._inputs[-1].changed = each.changed
            elif each == known[-1] or each.size > each.position:
                self._listen(
                    f"the file that was followed up to byte {each.position:,} is not here any more: if it had more, "
                    "ingest it from where it is now (what landed already is not landed again)"
                )
        self._turn()
        self._tell_where()

    def _tell_where(self) -> None:
        where = f"byte {self._inputs[-1].place().position:,}" if self._inputs else "the moment it is there"
        self._listen(f"following {self._mark.path} from {where}")

    def _add(self, descriptor: int, position: int = 0, line: int = 1) -> None:
        """Follow one more open file, the newest."""
        self._inputs.append(Input(descriptor, self._max, position, line, plain=self._sink.plain))
        self._sink.opened()

    # Going on

    def round(self) -> bool:
        """See whether another file has the name now, and take the next bytes of every file; gives :attr:`moved`."""
        self.moved = self._turn()
        limits = self._limits()
        for each, limit in zip(tuple(self._inputs), limits, strict=True):
            if (found := each.read(limit)) is not None:
                self.moved = True
                self._land(each, found)
            elif len(self._inputs) > 2 and each is self._inputs[0] and limit is None:
                self._finish(each)
        if self._broken_off and not self.moved:
            self.settle()
            self._broken_off, self.moved = (), True
        if self._sink.waits and not self.moved:
            self._save()
        return self.moved

    def _limits(self) -> list[int | None]:
        """Return how far each file may be read for now, None: to its end.

        Where a commit was broken off, a file older than those of its places had been read to its end, and a newer one
        had not been read.
        """
        if not self._broken_off:
            return [None] * len(self._inputs)
        limits: list[int | None] = []
        for each in self._inputs:
            there = (place.position for place in self._broken_off if each.has(place))
            limits.append(next(there, 0 if limits and limits[-1] is not None else None))
        return limits

    def settle(self) -> None:
        """Bring into the lake what was taken and waits."""
        self._sink.settle(self._mark, self._places(), now=True)

    def _land(self, each: Input, found: Sequence[Stretch | Rejected]) -> None:
        if found:
            self._sink.take(found, each.occurrences, each.modified)
            self._save()

    def _finish(self, each: Input) -> None:
        """Read what stands behind the last newline of the oldest file, which is out of reach of its writer."""
        self._land(each, each.lines.rest())
        self._inputs.remove(each)
        each.close()
        self._save()

    def _save(self) -> None:
        if not self._broken_off:
            self._sink.settle(self._mark, self._places())

    def _places(self) -> list[Place]:
        return [each.place() for each in self._inputs]

    # Rotation

    def _turn(self) -> bool:
        """If the name belongs to another file now, or the file was cut, follow that too; whether it was so."""
        new = self._family.current()
        if new is None:
            return False
        last = self._inputs.pop() if self._inputs else None
        if last is not None:
            if last.is_at(new) and last.untouched():
                self._inputs.append(last)
                os.close(new)
                return False
            since = last.changed
            if not last.is_at(new):
                self._inputs.append(last)
            elif last.intact():
                last.close()
            else:
                self._rescue(last)
            for each in self._family.since(since, [new, *(each.descriptor for each in self._inputs)]):
                self._add(each)
        self._add(new)
        self._save()
        return True

    def _rescue(self, cut: Input) -> None:
        """Go on in the copy that was made of a file before it was cut, if there is one."""
        known, unfinished, modified = cut.place(), cut.lines.rest(), cut.modified
        cut.close()
        copy = self._family.find(known)
        if copy is not None:
            self._inputs.append(Input(copy, self._max, known.position, known.line, cut.occurrences))
            return
        self._sink.take(unfinished, cut.occurrences, modified)
        self._sink.hurry()
        self._listen(
            f"{self._mark.path} was cut at byte {known.position:,} and no copy of it is here: if one was made, ingest "
            "it (what landed already is not landed again)"
        )


def _end(descriptor: int) -> tuple[int, int]:
    """Behind the last whole line of a file: the place and the number of the line that begins there."""
    at, position, line = 0, 0, 1
    while chunk := os.pread(descriptor, CHUNK, at):
        line += chunk.count(b"\n")
        position = at + newline if (newline := chunk.rfind(b"\n") + 1) else position
        at += len(chunk)
    return position, line
