"""Lines into a slot of one's own, one segment after another.

A segment that something went wrong with is abandoned, and the next line begins a new one: what a failed sync leaves
behind is unknown, and bytes that a reader may have seen must not be followed by others.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress

from auditlake.disk.layout import Layout
from auditlake.errors import LandingError
from auditlake.landing.slot import OpenSegment, Slot, Sync, claim


class Writer:
    """Appends whole lines durably or not, for one thread at a time. Takes its slot with the first line.

    Args:
        layout: The lake.
        segment_bytes: The next segment begins when one would become longer.
        segment_seconds: The next segment begins with the first line after one is so old.
        sync: How bytes get to the disk.
        own: Whether these are auditlake's own events.
    """

    def __init__(
        self, layout: Layout, segment_bytes: int, segment_seconds: float, sync: Sync, *, own: bool = False
    ) -> None:
        self.segment: OpenSegment | None = None
        """What is being written; None before the first line and after a segment was given up."""
        self._slot: Slot | None = None
        self._doubt = False
        self._outcome: list[object] | None = None
        self._layout = layout
        self._bytes = segment_bytes
        self._seconds = segment_seconds
        self._sync = sync
        self._own = own

    def append(self, data: bytes, outcome: list[object] | None = None) -> None:
        """Write whole lines at the end, and sync them too if ``outcome`` is given.

        Args:
            data: The lines, each with its newline.
            outcome: Gets one item when they are on the disk, even if a signal handler raises at that moment.

        Raises:
            LandingError: The disk refused; nothing of it is kept. Or, without ``outcome``, a sync in the background has
                failed since the last call.
        """
        segment, length = self.segment, len(data)
        if (
            segment is None
            or self._doubt
            or segment.failure is not None
            or segment.length + length > self._bytes
            or time.monotonic() > segment.until
        ):
            segment = self._begin(segment)
        # Until it is known how it went: whatever a signal handler raises leaves this behind.
        self._outcome = outcome
        self._doubt = True
        try:
            written = segment.file.write(data)
            if written != length:
                _write_rest(segment, data, written)
            if outcome is not None:
                segment.sync(segment.length + length, outcome)
        except OSError as error:
            self._cut_back(segment)
            raise _refused(error, segment) from error
        segment.length += length
        self._doubt = False

    def _begin(self, segment: OpenSegment | None) -> OpenSegment:
        """Begin the next segment, once the one before is finished.

        Raises:
            LandingError: The disk refused, now or in the background before.
        """
        if segment is not None:
            if self._doubt and self._outcome == []:
                # Lines of a call that was interrupted before their sync: unclaimed, or about to be written again.
                with suppress(OSError):
                    segment.file.truncate(segment.length)
            self._retire(segment)
        try:
            if self._slot is not None and not self._slot.is_there():
                self._slot.release()
                self._slot = None
            if self._slot is None:
                self._slot = claim(self._layout, own=self._own)
            self.segment = self._slot.begin(self._sync, self._seconds)
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            message = f"not recorded: a new segment could not be made: {error.strerror or error}{where}"
            raise LandingError(message, hint="see to the disk and log it again") from error
        return self.segment

    def _cut_back(self, segment: OpenSegment) -> None:
        """Remove what a failed write or sync left. Only where not one byte was written can the segment go on."""
        untouched = False
        with suppress(OSError):
            untouched = segment.failure is None and segment.file.seek(0, os.SEEK_END) == segment.length
            if not untouched:
                segment.file.truncate(segment.length)
        if untouched:
            self._doubt = False
        else:
            self._retire(segment)

    def _retire(self, segment: OpenSegment) -> None:
        """Finish a segment: what was taken without a sync gets one now.

        Raises:
            LandingError: The disk refused, now or in the background before.
        """
        try:
            segment.sync(segment.length, [])
        except OSError as error:
            if segment.synced < segment.length:
                raise _unsynced(error, segment) from error
        finally:
            self.segment = None
            self._doubt = False
            segment.close()

    def sync(self) -> None:
        """Return once all lines are on the disk.

        Raises:
            LandingError: The disk refused; lines since the last sync may be lost.
        """
        if self.segment is not None:
            try:
                self.segment.sync(self.segment.length, [])
            except OSError:
                self._retire(self.segment)

    def close(self) -> None:
        """Sync, and give the slot back.

        Raises:
            LandingError: The disk refused the sync; the slot is given back all the same.
        """
        try:
            if self.segment is not None:
                self._retire(self.segment)
        finally:
            self.forget()

    def forget(self) -> None:
        """Close all files as they are. In a forked child, the parent goes on with its own."""
        if self.segment is not None:
            self.segment.file.close()  # without its lock, which a thread of the parent may have held
            self.segment = None
        if self._slot is not None:
            self._slot.release()
            self._slot = None


def _write_rest(segment: OpenSegment, data: bytes, written: int) -> None:
    """Write the rest after a short write: a disk that fills up says at the next write why it takes no more."""
    while written < len(data):
        written += segment.file.write(memoryview(data)[written:])


def _refused(error: OSError, segment: OpenSegment) -> LandingError:
    what = "synced" if segment.failure is error else "written"
    message = f"not recorded: {segment.path} could not be {what}: {error.strerror or error}"
    return LandingError(message, hint="see to the disk and log it again: it goes on when the disk does")


def _unsynced(error: OSError, segment: OpenSegment) -> LandingError:
    message = f"what was logged before may be lost: {segment.path} could not be synced: {error.strerror or error}"
    return LandingError(
        message, hint="see to the disk; an event whose logging raised this is not recorded: log it again"
    )
