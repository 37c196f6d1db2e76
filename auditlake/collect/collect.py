"""What is new in each place of lake.toml, ingested.

An object is written down as taken only after the commit with its events. So a process that is killed at any point
loses nothing, and what it had committed and not written down is read again, found to be known, and written down then.
The disk holds one object at a time, or small ones of :data:`BATCH_BYTES` in all, which land in one commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from auditlake.collect.listing import Place
from auditlake.collect.model import TOLD, CollectSummary, Fetched, Found, PlaceListener, PlaceSummary
from auditlake.collect.taken import Line, Taken
from auditlake.config import CollectPlace
from auditlake.context import LakeContext
from auditlake.disk.lock import exclusive, workspace
from auditlake.errors import LakeBusyError, MappingError, SourceError
from auditlake.ingest.custody import IngestOptions, IngestSummary, Most, read_limit
from auditlake.ingest.ingest import ingest
from auditlake.sources.catalog import Catalog
from auditlake.sources.model import InputFile
from auditlake.sources.reader import UNRECOGNISED
from auditlake.store.failures import explained
from auditlake.store.snapshot import read_snapshot

BATCH_BYTES = 64 * 1024 * 1024
"""How many bytes are fetched before they are ingested in one commit ..."""
BATCH_OBJECTS = 500
"""... or how many objects."""
_AT_ONCE = 8
"""How many small objects are asked for at a time: most of the time a store needs is its answer's way."""


def collect(
    context: LakeContext, *, everything: bool = False, listen: PlaceListener = lambda _: None
) -> CollectSummary:
    """Ingest what is new in the places of lake.toml; see :meth:`auditlake.AuditLake.collect`."""
    places = context.config.collect
    if not places:
        raise SourceError("lake.toml names no place to collect from", hint="add a table [[collect]] with a path")
    layout = context.layout
    with explained(layout, "the collection"), _alone(context), workspace(layout.staging) as folder:
        taken = Taken(layout)
        runs = [_Run(context, place, taken, folder, listen, everything=everything) for place in places]
        summaries = tuple(run.collect() for run in runs)
        if not any(each.problem for each in summaries):
            taken.forget_unlisted()
        return CollectSummary(summaries, read_snapshot(layout).version)


@contextmanager
def _alone(context: LakeContext) -> Iterator[None]:
    try:
        with exclusive(context.layout.collect_lock, wait_seconds=0):
            yield
    except LakeBusyError as error:
        if str(context.layout.collect_lock) not in str(error):
            raise
        hint = "it takes what is new; run this again when it has ended"
        raise LakeBusyError("another process is collecting into this lake", hint=hint) from None


class _Run:
    """The collection of one place on its way."""

    def __init__(
        self, context: LakeContext, place: CollectPlace, taken: Taken, folder: Path, listen: PlaceListener,
        *, everything: bool,
    ) -> None:  # fmt: skip
        self._context = context
        self._place = Place(context.layout, place.path)
        self._taken = taken
        self._folder = folder
        self._listen = listen
        self._everything = everything
        self._most: Most | None = read_limit(place.max_quarantined)
        self._options = IngestOptions.of(context, source=place.source, tolerant=True)
        self._sources = _digest(self._options.catalog, place.source)
        self._summary = PlaceSummary(self._place.shown)
        self._number = 0

    def collect(self) -> PlaceSummary:
        """Take what is new, and return what came of it."""
        batch: list[Found] = []
        try:
            self._check_source()
            for found in self._new():
                if batch and sum(each.size or 0 for each in batch) + (found.size or BATCH_BYTES) > BATCH_BYTES:
                    self._take(batch)
                    batch = []
                batch.append(found)
                if len(batch) >= BATCH_OBJECTS:
                    self._take(batch)
                    batch = []
        except (SourceError, MappingError) as error:
            self._count(problem=f"{error}; {error.hint}" if error.hint else str(error))
        self._take(batch)
        summary = self._summary
        all_quarantined = bool(summary.read) and summary.quarantined == summary.read and not summary.landed
        too_many = self._most.exceeded(summary.quarantined, summary.read) if self._most else all_quarantined
        return replace(summary, too_many_quarantined=too_many)

    def _check_source(self) -> None:
        """Refuse a source that is not there before anything is fetched for it."""
        source, catalog = self._options.source, self._options.catalog
        if source is not None and source not in catalog.inputs:
            for fault in catalog.faults:
                raise fault
            hint = f"there are: {', '.join(catalog.inputs)}"
            raise SourceError(f"{self._place.shown}: there is no source {source!r}", hint=hint)

    def _new(self) -> Iterator[Found]:
        """Yield what was not taken yet as it is now; what is empty is nothing to take."""
        for found in self._place.found():
            self._count(listed=self._summary.listed + 1)
            if found.fault:
                self._tell(f"{found.name}: {found.fault}", not_read=self._summary.not_read + 1)
            elif self._taken.has(found, self._sources, everything=self._everything):
                self._count(known=self._summary.known + 1)
            elif found.size != 0:
                yield found

    def _take(self, batch: Sequence[Found]) -> None:
        """Fetch, commit and write down some objects; those that cannot be fetched are told and tried next time."""
        if fetched := self._fetched(batch):
            self._land(fetched)
            for each in fetched:
                if each.found.remote is not None and each.input.path is not None:
                    each.input.path.unlink(missing_ok=True)
        if batch:
            self._listen(self._summary)

    def _fetched(self, batch: Sequence[Found]) -> list[Fetched]:
        targets = [self._folder / f"object-{self._number + i}" for i in range(len(batch))]
        self._number += len(batch)
        with ThreadPoolExecutor(_AT_ONCE, "auditlake-fetch") as pool:
            waiting = [pool.submit(self._place.fetch, *each) for each in zip(batch, targets, strict=True)]
            fetched = []
            for found, target, future in zip(batch, targets, waiting, strict=True):
                try:
                    file = InputFile(found.name, future.result(), self._place.shown)
                    fetched.append(Fetched(found, file))
                except SourceError as error:
                    target.unlink(missing_ok=True)
                    self._tell(str(error), not_read=self._summary.not_read + 1)
        return fetched

    def _land(self, batch: Sequence[Fetched]) -> None:
        try:
            summary = ingest(self._context, [each.input for each in batch], self._options, now=self._context.now)
        except SourceError as error:
            if len(batch) == 1:
                self._tell(str(error), not_read=self._summary.not_read + 1)
            else:  # one by one, so that the object at fault is the only one that stays out
                for each in batch:
                    self._land([each])
            return
        self._write_down(batch, summary)

    def _write_down(self, batch: Sequence[Fetched], summary: IngestSummary) -> None:
        new = (*self._summary.new_skips, *map(str, summary.new_skips))
        self._summary = replace(self._summary, new_skips=new)
        inputs = {each.name: each for each in summary.inputs}
        lines = []
        for each in batch:
            read = inputs[each.input.name]
            is_strange = read.format == UNRECOGNISED
            if is_strange:
                self._tell(f"{read.name}: {read.notice}", unrecognised=self._summary.unrecognised + 1)
            sources = self._sources if is_strange else ""
            lines.append(Line(each.found, read.sha256, read.size, summary.snapshot, sources))
        self._taken.record(lines, self._context.now)
        before = self._summary
        self._count(
            taken=before.taken + len(batch),
            size=before.size + sum(line.size for line in lines),
            **{name: getattr(before, name) + getattr(summary, name)
               for name in ("read", "landed", "duplicates", "quarantined")},
        )  # fmt: skip

    def _tell(self, what: str, **numbers: int) -> None:
        told = self._summary.told
        self._summary = replace(self._summary, told=(*told, what) if len(told) < TOLD else told, **numbers)  # type: ignore[arg-type]

    def _count(self, **values: int | str) -> None:
        self._summary = replace(self._summary, **values)  # type: ignore[arg-type]


def _digest(catalog: Catalog, source: str | None) -> str:
    """Return a short digest of what recognises the objects of a place."""
    known = [[each.name, each.version] for each in catalog if each.is_input]
    return blake2b(repr((source, known)).encode(), digest_size=8).hexdigest()
