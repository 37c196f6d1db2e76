"""Where followed lines go: canonical events into the landing, those that a mapping is for straight into the table."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from auditlake.disk.lock import workspace
from auditlake.errors import CommitError, LakeBusyError, SourceError, UnrecognisedInputError
from auditlake.ingest.custody import IngestOptions
from auditlake.ingest.ingest import ingest
from auditlake.ingest.quarantine import Quarantine
from auditlake.sources.cutters.frames import needs_no_lines
from auditlake.sources.in_memory import MemoryLines
from auditlake.sources.model import Rejected
from auditlake.sources.recognise import recognise
from auditlake.storage.hosts import host_number
from auditlake.storage.lake import numbered_host, storage_of
from auditlake.storage.model import put
from auditlake.store.failures import explained
from auditlake.store.model import STAY, Advance
from auditlake.tail.identify import SOURCE, Occurrences, identified
from auditlake.tail.lines import Stretch
from auditlake.tail.place import Bookmark, Known, Place

if TYPE_CHECKING:
    from auditlake.lake import AuditLake
    from auditlake.landing.trail import Trail

COMMIT_SECONDS = 60.0
"""How long lines that a mapping is for wait for their commit, while they come."""
MOST_BYTES = 64 * 1024 * 1024
"""How many bytes of them wait at most."""
_FOLLOWED = {"lines": "JSON lines", "text": "lines of text", "kv": "lines of pairs"}
"""The forms whose records are lines, each by itself."""
_TEXTS = frozenset({"lines", "kv"})
"""The ways of reading by which lines are no JSON."""
_NOT_LINES = {
    "documents": "documents, whose records are no lines",
    "csv": "rows of CSV, which mean nothing without their header",
    "auditd": "auditd's, of which several lines are one record",
    "otlp": "documents of OTLP, each of many records",
}


@dataclass(frozen=True, slots=True)
class TailSummary:
    """What was followed."""

    records: int = 0
    """Lines that are in the lake now: in the landing; of a mapping's, in the table or in quarantine, or left out."""
    refused: int = 0
    """How many of them cannot become events: the next flush puts them into quarantine; of a mapping's, they are."""
    skipped: int = 0
    """How many of them the mapping leaves out, since they are no events."""
    too_long: int = 0
    """Lines over the lake's max_record, in quarantine already: their beginning, length and SHA-256."""
    files: int = 0
    """Files that were read, rotated ones among them."""
    unfinished: int = 0
    """Bytes behind the last newline, left for the next time."""


@dataclass(slots=True)
class _Held:
    """Lines of one file that wait for their commit."""

    occurrences: Occurrences
    """Of the file: by them it is known."""
    first: Stretch
    modified: float | None
    chunks: list[bytes] = field(default_factory=list)
    end: int = 0
    """Where the next stretch begins that follows them."""
    before: dict[str, int] = field(default_factory=dict)
    """How often their records came in the file before them."""
    seen: set[str] = field(default_factory=set)


class Destination:
    """Where the lines of one path go.

    Args:
        lake: The lake.
        trail: Its landing.
        name: What to call the path.
        source: Which source the lines are of; it is recognised by the first of them if None.
        timezone: The zone of times without an offset, of lines that a mapping is for.
        listen: Told what the operator should know.
    """

    def __init__(
        self,
        lake: AuditLake,
        trail: Trail,
        name: str,
        *,
        source: str | None = None,
        timezone: str = "UTC",
        listen: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.summary = TailSummary()
        self._lake = lake
        self._trail = trail
        self._name = name
        self._named = source
        self._timezone = timezone
        self._listen = listen
        self._known: Known | None = Known(form="lines") if source == SOURCE else None
        """Of which source the lines are, and how many commits brought what came before; None until that is known."""
        self._places: tuple[Place, ...] = ()
        """Up to which everything is in the lake."""
        self._held: list[_Held] = []
        self._due = 0.0
        self._told: set[str] = set()
        if source is not None and source != SOURCE and source not in lake.sources.catalog.inputs:
            lake.sources.of(source)  # raises, and says which there are
        if timezone != "UTC":
            from auditlake.engine.duck import connect, in_timezone

            with connect() as connection, in_timezone(connection, timezone):
                pass  # raises where there is no such zone, before anything is read

    @property
    def plain(self) -> bool:
        """Whether the lines are known to be no JSON."""
        if self._known is not None:
            return self._known.form not in ("", "lines")
        outline = self._lake.sources.catalog[self._named].outline if self._named else None
        return outline is not None and _TEXTS.issuperset(outline.read)

    def resume(self, known: Known) -> tuple[Place, ...]:
        """Go on with the source that was recognised the last time, unless the caller names another one.

        Returns:
            Up to where the lines were to be committed when the process ended; empty where no commit was broken off.
        """
        self._places = known.places
        before = known.source or SOURCE
        if known.form and self._named not in (None, before):
            self._listen(f"{self._name} was followed as {before} so far; from here on its lines are {self._named}'s")
        elif known.form:
            self._known = replace(known, places=(), upcoming=None)
            return known.upcoming or ()
        return ()

    def opened(self) -> None:
        """One more file."""
        self.summary = replace(self.summary, files=self.summary.files + 1)

    def look(self, lines: bytes) -> None:
        """Recognise the source by its first lines, unless it is known.

        Raises:
            SourceError: No source knows them, or their records are no lines.
        """
        if self._known is not None or not lines.strip():
            return
        self.refuse_messages(lines)
        try:
            found = recognise(lines, self._name, self._named, None, self._lake.sources.catalog)
        except UnrecognisedInputError as error:
            hint = "If its first lines are no records, name the source with --source."
            raise UnrecognisedInputError(str(error), why=error.why, hint=hint) from error
        source = self._lake.sources.catalog[found.source]
        encoding = source.outline.keys.get("encoding", "utf-8") if source.outline else "utf-8"
        if found.format in _FOLLOWED and encoding == "utf-8":
            self._known = Known(source="" if found.source == SOURCE else found.source, form=found.format)
            return
        what = _NOT_LINES.get(found.format, found.format) if encoding == "utf-8" else f"lines in {encoding}"
        followed = ", ".join(_FOLLOWED.values())
        message = f"{self._name} holds {found.source} records as {what}: only {followed} in UTF-8 can be followed"
        raise SourceError(message, hint="auditlake ingest reads it as it is")

    def refuse_messages(self, beginning: bytes) -> None:
        """Refuse a stream of messages of syslog that need no line ends: a line is no record of it.

        Raises:
            SourceError: It begins with such messages.
        """
        if needs_no_lines(beginning):
            message = f"{self._name} holds messages that say how long they are: only lines can be followed"
            raise SourceError(message, hint="auditlake ingest reads it as it is")

    def take(self, found: Sequence[Stretch | Rejected], occurrences: Occurrences, modified: float | None) -> None:
        """Land lines, durable when this returns; or hold those that a mapping is for until they are committed.

        Args:
            found: The lines.
            occurrences: Of the records of their file.
            modified: When that was last modified, in seconds since 1970; None if it has no file.
        """
        self.look(b"".join(each.data if isinstance(each, Stretch) else each.data + b"\n" for each in found))
        if self._known is not None and self._known.source:
            for each in found:
                if isinstance(each, Rejected):
                    self._quarantine(each)
                else:
                    self._hold(each, occurrences, modified)
            return
        records = [each for one in found for each in self._records(one)]
        lines, refused = [], 0
        for record in records:
            if isinstance(record, Rejected):
                self._quarantine(record)
            else:
                line, fits = identified(record, occurrences, self._lake.config.event_types)
                lines.append(line)
                refused += not fits
        self._trail.append_lines(lines)
        self._count(records=len(lines), refused=refused)

    def settle(self, mark: Bookmark | None, places: Sequence[Place], *, now: bool = False) -> None:
        """Keep the places up to which lines were taken. Lines that wait are committed with them, if that is due.

        Whatever is killed in between, the table says which places count: they move with its commit.

        Args:
            mark: Where the places are kept; None for an input that cannot be gone on with.
            places: In the files, the older one first.
            now: Whether what waits is due.

        Raises:
            LakeBusyError: Other processes wrote for all of the time to wait, and no more can wait.
            LakeError: The commit failed; what it was to bring is read again the next time.
        """
        known = self._known or Known()
        if not self._held:
            self._places = tuple(places)
            if mark is not None:
                mark.write(replace(known, places=self._places))
            return
        size = sum(each.end - each.first.offset for each in self._held)
        if not (now or size >= MOST_BYTES or time.monotonic() >= self._due):
            return
        try:
            self._commit(mark, replace(known, places=self._places, upcoming=tuple(places)))
        except LakeBusyError:
            if now or size >= MOST_BYTES:
                raise
            self._due = time.monotonic() + COMMIT_SECONDS

    def hurry(self) -> None:
        """Commit waiting lines at the next save."""
        self._due = -math.inf

    @property
    def waits(self) -> bool:
        """Whether lines wait for their commit."""
        return bool(self._held)

    # What these need

    def _records(self, found: Stretch | Rejected) -> Sequence[bytes | Rejected]:
        if isinstance(found, Rejected):
            return (found,)
        return tuple(found.records(self._lake.config.max_record, plain=self.plain))

    def _count(self, **more: int) -> None:
        self.summary = replace(
            self.summary, **{name: getattr(self.summary, name) + number for name, number in more.items()}
        )

    def _quarantine(self, record: Rejected) -> None:
        """Keep a record that is too long to be held: by itself, so that the same one makes the same file again."""
        with workspace(self._lake.layout.staging) as folder:
            kept = Quarantine(folder)
            kept.add(self._name, record)
            layout, name = self._lake.layout, kept.close()
            put(storage_of(layout), {layout.name(layout.quarantine / name): kept.draft})
        self._count(too_long=1)

    def _hold(self, stretch: Stretch, occurrences: Occurrences, modified: float | None) -> None:
        if not self._held:
            self._due = time.monotonic() + COMMIT_SECONDS
        last = self._held[-1] if self._held else None
        if last is None or last.occurrences is not occurrences or last.end != stretch.offset:
            self._held.append(last := _Held(occurrences, stretch, modified))
        last.chunks.append(stretch.data)
        last.end = stretch.offset + len(stretch.data)
        for record in self._records(stretch):
            if isinstance(record, bytes):
                digest, number = occurrences.count(record)
                if digest not in last.seen and number > 1:
                    last.before[digest] = number - 1
                last.seen.add(digest)

    def _commit(self, mark: Bookmark | None, known: Known) -> None:
        """Ingest what waits, as a file of these lines; the places move with the commit."""
        context = self._lake._context  # noqa: SLF001 - the same lake
        inputs = [
            MemoryLines(
                self._name, each.first.offset, each.first.line, b"".join(each.chunks), b"", known.source, known.form,
                each.modified, each.before,
            )
            for each in self._held
        ]  # fmt: skip
        options = replace(IngestOptions.of(context, known.source), timezone=self._timezone)
        with explained(context.layout, "the commit of what was followed"):
            while True:
                host, advance = None, STAY
                if mark is not None:
                    numbered_host(context.layout, wait_seconds=context.wait_seconds)
                    host, reached = mark.commits()
                    known, name = replace(known, commits=reached or 0), mark.application(host)
                    advance = Advance({} if reached is None else {name: reached}, {name: known.commits + 1})
                    mark.write(known)
                try:
                    done = ingest(context, inputs, options, now=context.now, advance=advance)
                    break
                except CommitError:
                    if mark is None or host_number(context.layout) == host:
                        raise
        for skip in done.new_skips:
            if skip.rule not in self._told:  # one commit has few records: shares come and go
                self._listen(str(skip))
            self._told.add(skip.rule)
        self._held.clear()
        self._count(records=done.read, refused=done.quarantined, skipped=done.skipped)
        known = known.after(known.commits + 1)
        self._known, self._places = replace(known, places=()), known.places
        if mark is not None:
            mark.write(known)


def resumed(mark: Bookmark) -> Known:
    """Return what is known of a path, by its bookmark and by what the table has."""
    known = mark.read()
    return known.after(mark.commits()[1] or 0) if known.source else known
