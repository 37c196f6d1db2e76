"""Live events become part of the table: what lies in the landing is ingested exactly once, and then removed.

Rows and positions are one commit. Whatever is killed in the middle, the next flush goes on where the table says.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime

from auditlake.context import LakeContext
from auditlake.disk.durable import sync_folder
from auditlake.disk.files import remove_file
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive
from auditlake.errors import CommitError, LakeError, LedgerError, LostKeyError, MovedError, StorageError
from auditlake.ingest.custody import IngestOptions
from auditlake.landing.positions import held, numbered
from auditlake.landing.segments import OWN, START, Piece, Position, Segment, application, pieces, segments, slots
from auditlake.sources.in_memory import MemoryLines
from auditlake.storage.hosts import host_number, read_as_host
from auditlake.storage.lake import mirror_of, numbered_host
from auditlake.store.deltalog import newest_version, sync_log, transaction_versions
from auditlake.store.model import Advance

_LOG = logging.getLogger("auditlake.landing")
ROUND = 128 * 1024 * 1024
"""About how many bytes of the landing become one commit: more may lie there than fits into memory."""
_MOVES = 5
"""How often a flush goes on from where another host has brought the landing to meanwhile."""


@dataclass(frozen=True, slots=True)
class FlushSummary:
    """What a flush did."""

    landed: int
    """Events that are in the table now."""
    duplicates: int
    """Events that it had already."""
    quarantined: int
    """Records that cannot become events; torn lines that a dead writer left are among them."""
    removed: int
    """Segments of which everything is in the table, removed from the disk."""
    snapshot: int
    """The newest version of the lake after it."""


def flush(context: LakeContext, *, reading: bool = False) -> FlushSummary:
    """Bring into the table what lay in the landing when the flush began.

    Args:
        context: The lake; its present is what the events' ``ingested_at`` says.
        reading: Whether the caller only reads: where nothing can be written, auditlake's own events, of questions that
            were asked, may stay where they are, which is logged.

    Raises:
        LakeBusyError: Another process flushed or wrote for all of the time to wait.
        LakeError: The lake cannot be written, and there is something to bring into the table.
        LostKeyError: A record may be an erased event, and the key that tells has gone: it waits where it is, and so
            does what lies behind it in its slot. All else is flushed.
        CommitError: The commit was refused or could not be made durable.
    """
    layout, options, now = context.layout, IngestOptions.live(context), context.now
    nothing = FlushSummary(0, 0, 0, 0, newest_version(layout))
    if not (present := segments(layout)):
        return nothing
    _, _, positions = _reached(layout)
    behind = next(pieces(layout, positions), None) is not None
    if not behind and not any(_is_done(segment, positions) for segment in present):
        return nothing
    from auditlake.store.failures import explained  # with DuckDB, which is slow to import

    with explained(layout, "the flush"), ExitStack() as stack:
        try:
            stack.enter_context(exclusive(layout.landing / "flush.lock", wait_seconds=context.wait_seconds))
        except OSError as error:
            if not behind:
                return nothing
            if reading and _are_questions(layout, positions, nothing.snapshot, error.strerror or ""):
                return nothing
            message = f"the landing holds events that are not in the table, and cannot be written: {error.strerror}"
            raise LakeError(message, hint="run auditlake flush where it can be, or ask for a snapshot") from error
        try:
            return _flush(context, options, now)
        except (LedgerError, StorageError) as error:  # this host may only read what lies in the bucket, or has no key
            if reading and mirror_of(layout) and _are_questions(layout, positions, nothing.snapshot, str(error)):
                return nothing
            raise


def _are_questions(layout: Layout, positions: Mapping[int, Position], version: int, why: str) -> bool:
    """Return whether only questions wait, which a reader may leave where they are, and log that they do."""
    if all(piece.segment.slot >= OWN for piece in pieces(layout, positions)):
        _LOG.warning("questions that were asked since are not in version %d: %s", version, why)
        return True
    return False


def _flush(context: LakeContext, options: IngestOptions, now: datetime) -> FlushSummary:
    from auditlake.ingest.ingest import ingest  # with DuckDB

    layout = context.layout
    # What is logged meanwhile is for the next flush: this one comes to an end.
    until = {segment.slot: Position(segment.number, segment.size) for segment in segments(layout)}
    stops: dict[int, Position] = {}
    lost: LostKeyError | None = None
    total = FlushSummary(0, 0, 0, 0, 0)
    # Read once: only this process moves the positions while it holds the lock. Another host may still commit what a
    # process of this one had proposed before it died: then a commit is refused, and what is left is chosen anew.
    numbered_host(layout, wait_seconds=context.wait_seconds)
    host, reached, positions = _reached(layout)
    version = newest_version(layout)
    moves = 0
    while True:
        total = replace(total, removed=total.removed + _remove(layout, version, positions), snapshot=version)
        chosen = _choose(layout, positions, until, stops)
        if not chosen and lost is not None:
            raise _waits(lost, stops)
        if not chosen:
            return total
        ends = {piece.segment.slot: piece.end for piece, _ in chosen}
        to = {application(slot, host): end.packed for slot, end in ends.items()}
        try:
            done = ingest(context, [line for _, line in chosen], options, now=now, advance=Advance(reached, to))
        except LostKeyError as error:
            lost = lost or error
            for index, offset in error.first:
                segment = chosen[index][0].segment
                place = Position(segment.number, offset)
                stops[segment.slot] = min(place, stops.get(segment.slot, place))
            continue
        except CommitError as error:
            # A number that was another host's too has been given up; of what lies here, the table has what its ids say.
            is_final = not isinstance(error, MovedError) and host_number(layout) == host
            moves += 1
            if is_final or moves > _MOVES:
                raise
            numbered_host(layout, wait_seconds=context.wait_seconds)
            host, reached, positions = _reached(layout)
            version = newest_version(layout)
            continue
        version, reached, positions = done.snapshot, {**reached, **to}, {**positions, **ends}
        total = replace(
            total,
            landed=total.landed + done.landed,
            duplicates=total.duplicates + done.duplicates,
            quarantined=total.quarantined + done.quarantined,
        )


def _reached(layout: Layout) -> tuple[int | None, dict[str, int], dict[int, Position]]:
    """Return the number of this host, and how far the table has come, by application and by slot; the log says so."""

    def read(host: int | None) -> tuple[int | None, dict[str, int], dict[int, Position]]:
        names = {application(slot, host): slot for slot in slots(layout)}
        reached = transaction_versions(layout, names.keys())
        return host, reached, {names[name]: Position.unpack(packed) for name, packed in reached.items()}

    return read_as_host(layout, read)


def _choose(
    layout: Layout, positions: Mapping[int, Position], until: Mapping[int, Position], stops: Mapping[int, Position]
) -> list[tuple[Piece, MemoryLines]]:
    """Return lines for one commit; each slot's application moves on to where its last piece ends."""
    chosen: list[tuple[Piece, MemoryLines]] = []
    size = 0
    for piece, line in numbered(pieces(layout, positions)):
        slot, begin = piece.segment.slot, Position(piece.segment.number, piece.offset)
        stop = stops.get(slot, piece.end)
        if begin < min(until.get(slot, START), stop) and size < ROUND:
            part = (
                replace(piece, data=piece.data[: stop.offset - piece.offset], torn=b"") if stop < piece.end else piece
            )
            chosen.append((part, held(part, line=line)))
            size += chosen[-1][1].size
    return chosen


def _waits(lost: LostKeyError, stops: Mapping[int, Position]) -> LostKeyError:
    """Return the error about the records that wait, once everything else is flushed."""
    places = ", ".join(f"{slot:02d}/{at.number:010d}.jsonl from byte {at.offset}" for slot, at in sorted(stops.items()))
    hint = f"it waits with what lies behind it in landing/{places}; all else is flushed; {lost.remedy}"
    return LostKeyError(str(lost), remedy=lost.remedy, hint=hint, first=())


def _remove(layout: Layout, version: int, positions: Mapping[int, Position]) -> int:
    """Remove the segments of which the table has everything; give how many there were."""
    done = [segment for segment in segments(layout) if _is_done(segment, positions)]
    if done:
        # The writer that committed their events may have died before the commit was on the disk.
        sync_log(layout, version)
    for segment in done:
        remove_file(segment.path, within=layout.root)
    for folder in sorted({segment.path.parent for segment in done}):
        sync_folder(folder)
    return len(done)


def _is_done(segment: Segment, positions: Mapping[int, Position]) -> bool:
    """Return whether no process appends to a segment and the table has everything in it."""
    end = Position(segment.number, segment.size)
    return not segment.open and (not segment.size or end <= positions.get(segment.slot, START))
