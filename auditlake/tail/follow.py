"""Lines of a growing file, or of standard input, into the landing: each once, whatever happens to the file or to us."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from auditlake.disk.durable import rename_synced
from auditlake.disk.lock import exclusive, workspace
from auditlake.errors import LakeBusyError, SourceError
from auditlake.ingest.quarantine import Quarantine
from auditlake.sources.catalog import built_in
from auditlake.sources.model import Rejected
from auditlake.sources.recognise import recognise
from auditlake.tail.files import CHUNK, Family, Input
from auditlake.tail.identify import SOURCE, Occurrences, identified
from auditlake.tail.lines import Lines
from auditlake.tail.place import Bookmark, Place, bookmark

if TYPE_CHECKING:
    from auditlake.lake import AuditLake
    from auditlake.landing.trail import Trail

POLL_SECONDS = 0.25
"""How long to wait before looking again where nothing has come."""
_STDIN = "-"


@dataclass(frozen=True, slots=True)
class TailSummary:
    """What was followed."""

    records: int = 0
    """Lines that are in the landing now."""
    refused: int = 0
    """How many of them cannot become events: the next flush puts them into quarantine."""
    too_long: int = 0
    """Lines over the lake's max_record, in quarantine already: their beginning, length and SHA-256."""
    files: int = 0
    """Files that were read, rotated ones among them."""
    unfinished: int = 0
    """Bytes behind the last newline, left for the next time."""


Told = Callable[[str], None]
"""Takes a sentence for the operator."""


def tail(
    lake: AuditLake,
    path: str | Path,
    *,
    source: str | None = None,
    from_end: bool = False,
    once: bool = False,
    stop: Callable[[], bool] = lambda: False,
    listen: Told = lambda _: None,
) -> TailSummary:
    """Follow JSON lines of canonical events into a lake until told to stop; standard input until its end.

    What has been landed is durable, and is told from what has not after any crash: a file is gone on with at the place
    that is kept for its path in the lake, whatever name it has by then. A record without an id gets the one that an
    ingest of its file gives it, so what is followed and ingested besides counts once. Of records that are identical
    the last 131,072 different ones are counted, and 256 MiB of them where a file is gone on with; one that comes again
    after that is taken for the same as before. Lines that cannot be events land as they are, and are quarantined by
    the next flush with exactly their bytes; after a crash between their landing and the keeping of the place, the last
    of them perhaps twice. A line without a newline is waited for, unless nothing can follow: at the end of standard
    input, or of a file that was rotated away twice.

    Args:
        lake: Where they go.
        path: The file, or ``-`` for standard input, which cannot be gone on with.
        source: ``auditlake``, not to look at the first records whether they are canonical events.
        from_end: The first time, begin at the file's end instead of its beginning.
        once: Take what is there and return.
        stop: Asked again and again whether to end; what has been read is landed then.
        listen: Told what the operator should know.

    Raises:
        SourceError: The input cannot be read, or does not hold canonical events.
        LakeBusyError: Another process follows the same path into this lake.
        LakeError: The landing cannot be written to; what was not landed is read again the next time.
    """
    if source not in (None, SOURCE):
        hint = (
            f"auditlake ingest --source {source} maps files" if source in built_in().inputs else f"there is: {SOURCE}"
        )
        raise SourceError(f"only canonical events can be followed, not {source!r}", hint=hint)
    with lake.trail() as trail:
        name = _STDIN if str(path) == _STDIN else os.path.abspath(Path(path).expanduser())  # noqa: PTH100 - links stay
        destination = Destination(lake, trail, name, checked=source is not None)
        if name == _STDIN:
            _stream(0, destination, lake.config.max_record, stop)
            return destination.summary
        with following(lake, Path(name), destination, from_end=from_end, listen=listen) as follower:
            while (follower.round() or not once) and not stop():
                if not follower.moved:
                    time.sleep(POLL_SECONDS)
            return replace(destination.summary, unfinished=follower.unfinished)


class Destination:
    """Where records go: those that fit, into the landing, synced; those that are too long, into quarantine."""

    def __init__(self, lake: AuditLake, trail: Trail, name: str, *, checked: bool) -> None:
        self.summary = TailSummary()
        self._lake = lake
        self._trail = trail
        self._name = name
        self.checked = checked
        """Whether the input is known to hold canonical events, also from another time."""

    def opened(self) -> None:
        """One more file."""
        self.summary = replace(self.summary, files=self.summary.files + 1)

    def take(self, records: Sequence[bytes | Rejected], occurrences: Occurrences) -> None:
        """Land records; durable when this returns."""
        self._check(records)
        lines, refused, long = [], 0, 0
        for record in records:
            if isinstance(record, Rejected):
                self._quarantine(record)
                long += 1
            else:
                line, fits = identified(record, occurrences, self._lake.config.event_types)
                lines.append(line)
                refused += not fits
        self._trail.append_lines(lines)
        before = self.summary
        self.summary = replace(
            before, records=before.records + len(lines), refused=before.refused + refused,
            too_long=before.too_long + long,
        )  # fmt: skip

    def _quarantine(self, record: Rejected) -> None:
        """Keep a record that is too long for the landing: by itself, so that the same one makes the same file again."""
        with workspace(self._lake.layout.staging) as folder:
            kept = Quarantine(folder)
            kept.add(self._name, record)
            rename_synced([(kept.draft, self._lake.layout.quarantine / kept.close())])

    def _check(self, records: Sequence[bytes | Rejected]) -> None:
        """Look at the first records of an input whether they are canonical events at all."""
        if self.checked or not records:
            return
        head = b"".join((each.data if isinstance(each, Rejected) else each) + b"\n" for each in records)
        recognised = recognise(head, self._name)
        if recognised.source != SOURCE or recognised.format != "lines":
            what = (
                f"{recognised.source} records"
                if recognised.source != SOURCE
                else f"canonical events as {recognised.format}"
            )
            message = f"{self._name} holds {what}: only JSON lines of canonical events can be followed"
            raise SourceError(message, hint="auditlake ingest reads it as it is")
        self.checked = True


def _stream(descriptor: int, destination: Destination, max_record: int, stop: Callable[[], bool]) -> None:
    lines, occurrences = Lines(0, 1, max_record), Occurrences()
    destination.opened()
    while not stop():
        if not select.select([descriptor], [], [], POLL_SECONDS)[0]:
            continue
        chunk = os.read(descriptor, CHUNK)
        if not chunk:
            break
        destination.take(lines.feed(chunk), occurrences)
    destination.take(lines.rest(), occurrences)


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
        follower = Follower(path, mark, destination, lake.config.max_record, listen)
        stack.callback(follower.close)
        follower.begin(from_end=from_end)
        yield follower


class Follower:
    """The file of a path, and the one that had the name before: its writer may still hold it open."""

    def __init__(self, path: Path, mark: Bookmark, destination: Destination, max_record: int, listen: Told) -> None:
        self.moved = False
        """Whether the last round found anything."""
        self._family = Family(path)
        self._mark = mark
        self._sink = destination
        self._max = max_record
        self._listen = listen
        self._inputs: list[Input] = []

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
        known = self._mark.read()
        if known:
            if any(each.position for each in known):
                self._sink.checked = True
            self._go_on(known)
            return
        current = self._family.current()
        if current is None:
            raise SourceError(f"{self._family.path} does not exist", hint="what is followed has to be there once")
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
        self._inputs.append(Input(descriptor, self._max, position, line))
        self._sink.opened()

    # Going on

    def round(self) -> bool:
        """See whether another file has the name now, and take the next bytes of every file; gives :attr:`moved`."""
        self.moved = self._turn()
        for each in tuple(self._inputs):
            if (records := each.read()) is not None:
                self.moved = True
                self._land(each, records)
            elif len(self._inputs) > 2 and each is self._inputs[0]:
                self._finish(each)
        return self.moved

    def _land(self, each: Input, records: Sequence[bytes | Rejected]) -> None:
        if records:
            self._sink.take(records, each.occurrences)
            self._save()

    def _finish(self, each: Input) -> None:
        """Read what stands behind the last newline of the oldest file, which is out of reach of its writer."""
        self._land(each, each.lines.rest())
        self._inputs.remove(each)
        each.close()
        self._save()

    def _save(self) -> None:
        self._mark.write([each.place() for each in self._inputs])

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
        known, unfinished = cut.place(), cut.lines.rest()
        cut.close()
        copy = self._family.find(known)
        if copy is not None:
            self._inputs.append(Input(copy, self._max, known.position, known.line, cut.occurrences))
            return
        self._sink.take(unfinished, cut.occurrences)
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
