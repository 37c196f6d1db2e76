"""Inputs become events: read, mapped and staged in SQL, de-duplicated, written as day files, committed once.

An ingest is one commit. Reading needs no lock; the lake's lock is held from the search for duplicates on, so that a
decision on a snapshot is committed on that snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from auditlake.context import LakeContext
from auditlake.disk.layout import Layout
from auditlake.disk.lock import workspace
from auditlake.engine.duck import connect, limit_memory, rows
from auditlake.engine.statements import statement
from auditlake.errors import AuditLakeError, OvertakenError, StrictIngestError, UnrecognisedInputError
from auditlake.ingest.custody import IngestOptions, IngestSummary, InputSummary, custody
from auditlake.ingest.day_buffer import LEAST_MEMORY, MEMORY, DayBuffer
from auditlake.ingest.day_files import DayFiles
from auditlake.ingest.known_events import find_losers
from auditlake.ingest.mapping import Mapped, map_records
from auditlake.ingest.new_skips import new_skips
from auditlake.ingest.progress import Listener, Progress
from auditlake.ingest.quarantine import ErasedRecords, Quarantine
from auditlake.ingest.record_buffer import RecordBuffer
from auditlake.sources.archive import Archive
from auditlake.sources.in_memory import MemoryLines, MemoryStream
from auditlake.sources.model import Batch, InputFile, Rejected, reject
from auditlake.sources.reader import DAMAGED, UNREAD, UNRECOGNISED, cut_ahead, open_records, reread
from auditlake.sources.refused import cut
from auditlake.sources.stream import CHUNK, Stream
from auditlake.storage.lake import storage_of
from auditlake.storage.model import put
from auditlake.store.batches import OF_HOSTS, allocate_batch, moved_by
from auditlake.store.compact import merge_small
from auditlake.store.deltalog import EXACT, keeps_quarantine
from auditlake.store.host_turn import ingest_turn
from auditlake.store.id_index import IdIndex
from auditlake.store.model import STAY, Advance, Change, DataFile, Snapshot
from auditlake.store.snapshot import read_snapshot
from auditlake.store.turn import Turn

if TYPE_CHECKING:
    import duckdb

    from auditlake.ledger.leaves import Part

_AHEAD = 12
"""How many batches are cut ahead: about as many as are staged together."""
_TABLES = frozenset({"parquet", "arrow"})
"""The formats whose rows have no place in their file."""
_TRIES = 10
"""How often an ingest is made again of which another host has brought some events meanwhile."""
_LISTED = 20
"""How many files a message names."""
_BOUNDS = pa.schema([("input", pa.int64()), ("first_record", pa.int64())])
_BEFORE = pa.schema([("input", pa.int64()), ("digest", pa.string()), ("occurrences", pa.int64())])


def ingest(
    context: LakeContext,
    inputs: Sequence[InputFile | MemoryLines],
    options: IngestOptions,
    *,
    now: datetime,
    listen: Listener = lambda _: None,
    advance: Advance = STAY,
) -> IngestSummary:
    """Bring inputs into the lake as one commit.

    Args:
        context: The lake.
        inputs: What to read, in order.
        options: How.
        now: What the events' ``ingested_at`` says.
        listen: Told now and then how far it is.
        advance: Which applications move on in the same commit, which is then made even where nothing is new.

    Raises:
        LakeFormatError: Records may be erased events, and the key that tells has gone; nothing lands.
        SourceError: An input cannot be read, or one that was named itself is not recognised, or none of a folder or
            pattern; nothing lands.
        StrictIngestError: ``strict``, and something would be quarantined; nothing lands.
        CommitError: The commit was refused or could not be made durable.
    """
    if options.dry_run:
        return _rehearse(context, inputs, options, listen)
    may_be_read_again = all(isinstance(each, MemoryLines) or each.path is not None for each in inputs)
    for left in range(_TRIES - 1, -1, -1):
        try:
            return _ingest(context, inputs, options, now, listen, advance)
        except OvertakenError:
            if not left or not may_be_read_again:
                raise
    raise AssertionError("the last try returns or raises")


def _ingest(
    context: LakeContext, inputs: Sequence[InputFile | MemoryLines], options: IngestOptions, now: datetime,
    listen: Listener, advance: Advance,
) -> IngestSummary:  # fmt: skip
    with ExitStack() as stack:
        folder = stack.enter_context(workspace(context.layout.staging))
        spill = folder / "spill"
        spill.mkdir()
        connection = stack.enter_context(connect(temp=spill, memory=f"{MEMORY}B", exact_try=False))
        run = _Run(context.layout, options, connection, folder, listen)
        try:
            for each in inputs:
                run.read(each)
            if not options.tolerant:
                run.refuse_strangers()
            return run.land(context, now, advance)
        finally:
            run.close()


def _rehearse(
    context: LakeContext, inputs: Sequence[InputFile | MemoryLines], options: IngestOptions, listen: Listener
) -> IngestSummary:
    """Return the summary of an ingest that changes nothing."""
    with _running(context.layout, options, listen) as run:
        for each in inputs:
            run.read(each)
        run.refuse_strangers()
        return run.rehearse(read_snapshot(context.layout))


def preview(
    layout: Layout, inputs: Sequence[MemoryLines], options: IngestOptions, *, now: datetime, snapshot: Snapshot
) -> pa.Table:
    """Return the rows that an ingest would add to a snapshot, with every column; nothing is changed."""
    with _running(layout, options, lambda _: None) as run:
        for each in inputs:
            run.read(each)
        return run.preview(now, snapshot)


@contextmanager
def _running(layout: Layout, options: IngestOptions, listen: Listener) -> Iterator[_Run]:
    """Give an ingest that is not to change the lake: what it writes lies elsewhere."""
    with (
        TemporaryDirectory(prefix="auditlake-") as folder,
        connect(temp=Path(folder), memory=f"{MEMORY}B", exact_try=False) as connection,
    ):
        run = _Run(layout, options, connection, Path(folder), listen)
        try:
            yield run
        finally:
            run.close()


@dataclass(slots=True)
class _Reading:
    """One input of a run, while its numbers are still growing."""

    summary: InputSummary
    first: int
    """The number of its first record in the ingest."""
    stream: Stream | MemoryStream
    """Kept to fetch records again."""
    within: str
    """The folder or pattern that led to it."""
    events: int | None = None
    """Events that its records gave; None where each record is one."""
    recut: Callable[[Stream], Iterator[Batch]] | None = None
    """Cuts it again, where the bytes of a record do not lie in it as they are."""
    before: Mapping[str, int] = field(default_factory=dict)
    """How often records came in the same file before it, by their SHA-256."""


class _Run:
    """One ingest on its way: everything staged so far, and the numbers of each input."""

    def __init__(
        self,
        layout: Layout,
        options: IngestOptions,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        listen: Listener,
    ) -> None:
        self._layout = layout
        self._options = options
        self._connection = connection
        self._folder = folder
        self._listen = listen
        self._quarantine = Quarantine(folder)
        self._erased = ErasedRecords(layout)
        self._readings: list[_Reading] = []
        self._archives: list[Archive] = []
        self._record = 0
        self._ahead = 0
        self._buffer = RecordBuffer()
        self._unidentified = False
        self._spelled_before = False
        self._staged = DayBuffer(connection)
        for name in ("places", "digests"):
            self._run("ingest/stage.sql", name)
        for name in ("earlier", "earlier_digests"):
            self._run("ingest/numbers.sql", name)

    def close(self) -> None:
        """Let go of the inputs and the draft."""
        self._quarantine.abandon()
        for archive in self._archives:
            archive.close()
            archive.stream.close()
        for reading in self._readings:
            reading.stream.close()

    # Reading

    def read(self, origin: InputFile | MemoryLines) -> None:
        """Take every record of one input; they are staged together with those of other small inputs."""
        source, most, strict = self._options.source, self._options.max_record, self._options.strict
        opened = open_records(origin, source, most, self._folder, catalog=self._options.catalog, strict=strict)
        if opened.archive is not None:
            self._archives.append(opened.archive)
            for member in opened.archive.members():
                self.read(member)
        summary = InputSummary(origin.name, 0, "", opened.source or "", opened.format, 0, 0, 0, 0, opened.notice)
        if isinstance(origin, MemoryLines):
            summary = replace(summary, offset=origin.offset)
        within, before = getattr(origin, "within", ""), getattr(origin, "before", {})
        if opened.source and (mapping := self._options.catalog[opened.source].version):
            summary = replace(summary, mapping=mapping)
        events = 0 if opened.source and self._options.catalog[opened.source].several else None
        self._readings.append(_Reading(summary, self._record, opened.stream, within, events, opened.recut, before))
        if opened.format == UNREAD:
            return
        total = origin.path.stat().st_size if origin.path and origin.path.exists() else None
        # Chunks of bytes are small; rows of a Parquet file may not be.
        many = 1 if opened.format in _TABLES else _AHEAD
        for batch in cut_ahead(opened.batches, many) if (total or 0) > CHUNK else opened.batches:
            self._take(batch, opened.source or "", may_be_exported=isinstance(origin, InputFile))
            self._listen(Progress("reading", opened.stream.size, total, origin.name))
        opened.stream.pause()
        self._count(-1, size=opened.stream.size, sha256=opened.stream.sha256)
        if opened.format == "lines" and not self._readings[-1].summary.read:
            self._count(-1, notice=DAMAGED if isinstance(origin, InputFile) and origin.damaged else "it is empty")
        self._record += self._readings[-1].summary.read

    def refuse_strangers(self) -> None:
        """Raise if not one file of a folder or pattern is recognised: it was hardly meant."""
        searched: dict[str, list[InputSummary]] = {}
        for reading in self._readings:
            if reading.summary.format != UNREAD:
                searched.setdefault(reading.within, []).append(reading.summary)
        for within, files in searched.items():
            if within and all(each.format == UNRECOGNISED for each in files):
                listed = [f"{each.name}, {each.notice}" for each in files[:_LISTED]]
                more = [f"and {len(files) - _LISTED} more"] if len(files) > _LISTED else []
                message = f"nothing in {within} is an input: {'; '.join([*listed, *more])}"
                raise UnrecognisedInputError(message, hint="name the source with --source if you know it")

    def _take(self, batch: Batch, source: str, *, may_be_exported: bool) -> None:
        index = len(self._readings) - 1
        for rejected in batch.rejected:
            self._refuse(index, rejected)
        self._count(index, read=self._readings[index].summary.read + len(batch) + len(batch.rejected))
        if not len(batch):
            return
        if (source, may_be_exported) != (self._buffer.source, self._buffer.may_be_exported):
            self._stage()
        self._buffer.add(index, batch, self._readings[index].first, source, may_be_exported=may_be_exported)
        if self._buffer.full:
            self._stage()

    def _stage(self) -> None:
        """Judge and map what was taken, all of it in the same statements."""
        buffer, self._buffer = self._buffer, RecordBuffer()
        if not buffer.batches:
            return
        mapped = map_records(
            self._connection,
            buffer,
            self._options.event_types,
            self._ahead,
            self._options.catalog,
            self._options.timezone,
        )
        self._ahead = mapped.ahead
        for refusal in mapped.refused:
            index, batch, i = buffer.find(refusal.record)
            self._refuse(index, refusal.rejected(batch, i, self._options.max_record))
        for record, name in mapped.skipped:
            index = buffer.find(record)[0]
            skips = self._readings[index].summary.skips
            self._count(index, skips={**skips, name: skips.get(name, 0) + 1})
        if self._options.catalog[buffer.source].several:
            for index, events in buffer.count_by_input(mapped.rows["record"].to_numpy()):
                self._readings[index].events = (self._readings[index].events or 0) + events
        if mapped.rows["event_id"].null_count:
            self._digest_unidentified(buffer, mapped)
        self._staged.add(mapped.rows)
        if len(mapped.earlier):
            self._spelled_before = True
            self._keep("ingest/numbers.sql", "keep_earlier", "arriving", mapped.earlier)
        self._keep("ingest/stage.sql", "keep_places", "new_places", buffer.places())

    def _digest_unidentified(self, buffer: RecordBuffer, mapped: Mapped) -> None:
        self._unidentified = True
        unidentified = mapped.rows.select(["seq", "record", "event_id"])
        self._connection.register("unidentified", unidentified.append_column("event_number", mapped.event_numbers))
        self._keep("ingest/stage.sql", "keep_digests", "raws", buffer.raws(), {"source": buffer.source})
        before = None if self._options.catalog[buffer.source].several else buffer.earlier_raws()
        if before is not None:
            self._spelled_before = True
            self._keep("ingest/stage.sql", "keep_earlier_digests", "raws", before, {"source": buffer.source})
        self._connection.unregister("unidentified")

    def _refuse(self, index: int, rejected: Rejected) -> None:
        """Quarantine a record of an input, unless an erasure took it out of the quarantine: it has come again then."""
        summary = self._readings[index].summary
        if self._erased.has(rejected):
            self._count(index, duplicates=summary.duplicates + 1)
            return
        self._quarantine.add(summary.name, rejected)
        self._count(index, quarantined=summary.quarantined + 1)

    def _count(self, index: int, **numbers: Any) -> None:
        reading = self._readings[index]
        reading.summary = replace(reading.summary, **numbers)

    # Landing

    def land(self, context: LakeContext, now: datetime, advance: Advance) -> IngestSummary:
        """Decide on the newest snapshot what is new, write it, and commit."""
        self._identify()
        self._count_events()
        with ingest_turn(context, folder=self._folder, applications={*advance.to, EXACT}) as turn:
            advance.check(before := turn.snapshot)
            self._classes: Mapping[str, str] = context.classes()
            index = turn.id_index(self._connection)
            index.keep()
            done = self._commit(turn, self._settle(before, index), now, advance.to)
        return replace(done, new_skips=new_skips(self._layout, before.version, done.inputs))  # without the lock

    def rehearse(self, snapshot: Snapshot) -> IngestSummary:
        """Return the summary of an ingest that lands on a snapshot; nothing is changed."""
        self._identify()
        self._count_events()
        self._settle(snapshot, IdIndex(self._layout, snapshot, self._connection))
        done = self._summary(tuple(reading.summary for reading in self._readings), snapshot.version, None, None)
        return replace(done, new_skips=new_skips(self._layout, snapshot.version, done.inputs))

    def _settle(self, snapshot: Snapshot, index: IdIndex) -> str:
        """Decide what lands on a snapshot, and refuse the rest; return the name of its quarantine."""
        find_losers(self._connection, self._layout, snapshot, index, refuse=True)
        lost = self._lost()
        for number, conflicts in sorted(lost):
            if conflicts:
                self._refuse_conflicts(number)
        self._settle_numbers(lost)
        name = self._quarantine.close()
        if self._options.strict and self._quarantine.records:
            raise self._strict_error()
        return name

    def preview(self, now: datetime, snapshot: Snapshot) -> pa.Table:
        """Return the rows that an ingest would add to a snapshot, with every column; nothing is changed."""
        self._identify()
        index = IdIndex(self._layout, snapshot, self._connection)
        find_losers(self._connection, self._layout, snapshot, index, refuse=False)
        self._run("ingest/land.sql", "landing")
        part = statement("ingest/preview.sql", "preview")
        return self._connection.sql(part.text, params={"ingested_at": now}).to_arrow_table()

    def _identify(self) -> None:
        """Give every record an id."""
        self._stage()
        self._staged.show()
        self._mark_bounds()
        if self._unidentified:
            self._run("ingest/land.sql", "identified")
        self._run("ingest/land.sql", "candidates" if self._unidentified else "candidates_with_own_ids")
        if self._spelled_before:
            self._run("ingest/land.sql", "earlier_identified")
        self._run("ingest/land.sql", "sought" if self._spelled_before else "sought_as_they_are")

    def _lost(self) -> Counter[tuple[int, bool]]:
        """Return how many events of each input do not land, as conflicts and as duplicates."""
        lost: Counter[tuple[int, bool]] = Counter()
        for index, conflicts, events in self._rows("ingest/land.sql", "losers_by_input"):
            lost[index, conflicts] += events
        return lost

    def _refuse_conflicts(self, index: int) -> None:
        """Quarantine an input's conflicting records, each once; their places are columns: there may be millions."""
        reading = self._readings[index]
        part = statement("ingest/land.sql", "conflicting")
        values = {"first": reading.first, "behind": reading.first + reading.summary.read}
        table = self._connection.sql(part.text, params=values).to_arrow_table()
        table = table.take(pa.array(np.flatnonzero(np.diff(table["record"].to_numpy(), prepend=-1))))
        *places, ids = table.columns
        records, lines, offsets, lengths = (column.to_numpy() for column in places)
        records = records - reading.first
        if reading.recut is not None:
            assert isinstance(reading.stream, Stream)
            raws = reread(reading.stream, reading.recut, records)
        else:
            raws = reading.stream.reread(offsets, lengths)
        for record, line, offset, event_id, data in zip(records, lines, offsets, ids, raws, strict=True):
            place, most = (int(record), int(line), int(offset)), self._options.max_record
            refused = reject(*place, "id_conflict", "another event has this id", data, most)
            self._refuse(index, replace(refused, field="event_id", value=cut(event_id.as_py())))
        reading.stream.pause()

    def _mark_bounds(self) -> None:
        """Register where in the numbering of records each input begins, and what came in its file before it."""
        begun = {index: reading.first for index, reading in enumerate(self._readings) if reading.summary.read}
        self._connection.register("bounds", pa.table([[*begun], [*begun.values()]], schema=_BOUNDS))
        before = [(i, *each) for i, reading in enumerate(self._readings) for each in reading.before.items()]
        columns = zip(*before, strict=True) if before else ((), (), ())
        self._connection.register("occurred_before", pa.table([*map(list, columns)], schema=_BEFORE))

    def _count_events(self) -> None:
        """Count the events of each input, before any of them is found to be a duplicate or a conflict."""
        for index, reading in enumerate(self._readings):
            each = reading.summary
            one_each = each.read - each.quarantined - each.duplicates - each.skipped
            self._count(index, events=one_each if reading.events is None else reading.events)

    def _settle_numbers(self, lost: Counter[tuple[int, bool]]) -> None:
        for index, reading in enumerate(self._readings):
            duplicates, conflicts = lost[index, False], lost[index, True]
            landed = reading.summary.events - duplicates - conflicts
            self._count(index, landed=landed, duplicates=reading.summary.duplicates + duplicates)

    def _strict_error(self) -> AuditLakeError:
        counts = "; ".join(map(str, self._quarantine.examples[:_LISTED]))
        message = f"strict: nothing was landed, since {self._quarantine.records} records cannot become events: {counts}"
        return StrictIngestError(message, hint="; ".join(self._quarantine.first))

    def _commit(
        self, turn: Turn, quarantine_name: str, now: datetime, transactions: Mapping[str, int]
    ) -> IngestSummary:
        snapshot = turn.snapshot
        summaries = tuple(reading.summary for reading in self._readings)
        landed = sum(each.landed for each in summaries)
        target = self._layout.quarantine / quarantine_name if self._quarantine.records else None
        nothing = not landed and not transactions
        if nothing and (target is None or keeps_quarantine(self._layout, snapshot.version, target)):
            return self._summary(summaries, snapshot.version, None, target)
        batch = allocate_batch(self._layout, snapshot.version)
        files, parts = self._files(batch, now, landed) if landed else ((), ())
        if target is not None:
            put(storage_of(self._layout), {self._layout.name(target): self._quarantine.draft})
        exact = {} if EXACT in snapshot.transactions else {EXACT: min(batch, OF_HOSTS)}
        transactions = {**transactions, **exact, **moved_by(self._layout, snapshot, batch)}
        metadata = custody(batch, now, summaries, landed, quarantine_name if target else None, self._options)
        change = Change(files, (), metadata, transactions=transactions, classes=self._classes, parts=parts)
        turn.commit(change, self._connection)
        merge_small(turn, files, self._classes, now, self._connection)
        return self._summary(summaries, turn.snapshot.version, batch, target)

    def _summary(
        self, summaries: tuple[InputSummary, ...], version: int, batch: int | None, kept: Path | None
    ) -> IngestSummary:
        reasons, examples = dict(self._quarantine.reasons), self._quarantine.examples
        return IngestSummary(summaries, version, batch, reasons, kept, examples, self._options.most)

    def _files(
        self, batch: int, now: datetime, landed: int
    ) -> tuple[tuple[DataFile, ...], tuple[tuple[Part, bytes], ...]]:
        limit_memory(self._connection, LEAST_MEMORY)
        days = DayFiles(self._connection, self._staged, self._folder, self._layout, batch, now, self._classes)
        return days.write(landed, lambda done, total: self._listen(Progress("writing", done, total, "")))

    # SQL

    def _keep(
        self, file: str, name: str, view: str, table: pa.Table, values: Mapping[str, object] | None = None
    ) -> None:
        """Run a statement that reads a table of Arrow."""
        self._connection.register(view, table)
        self._run(file, name, values)
        self._connection.unregister(view)

    def _run(self, file: str, name: str, values: Mapping[str, object] | None = None) -> None:
        part = statement(file, name)
        self._connection.execute(part.text, part.bind(dict(values or {})) or None)

    def _rows(self, file: str, name: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        part = statement(file, name)
        return rows(self._connection, part.text, part.bind(dict(values or {})) or None)
