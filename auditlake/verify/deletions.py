"""What follows deletions and erasures, after their commits: the files that go, and last the certificate's file.

Their writer may be at it, or have died; then the next apply or erasure begins with it. Where a certificate lies, all
that was to go by then has gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from auditlake.disk.layout import Layout, partition_day
from auditlake.verify.deltalog import DeltaLog
from auditlake.verify.tree import LedgerEntry

_PATIENCE = timedelta(days=1)
"""How long after the grace files may wait for the next writer to unlink them."""
_TAKING = frozenset({"delete", "erase"})
NOT_YET = "is not there yet: the commit has it, and the next apply, erasure or remap writes it"
"""What is told of a certificate of a deletion, erasure or remap that is under way."""


@dataclass(frozen=True, slots=True)
class Deletions:
    """The deletions and erasures of a ledger; remaps have certificates too, and nothing of theirs must be gone."""

    layout: Layout
    log: DeltaLog
    certified: Sequence[LedgerEntry]
    """Those with a certificate, in order."""
    last_of: Mapping[date, LedgerEntry]
    """The last one that removed files of each day."""
    finished: Sequence[tuple[int, int]]
    """When the files were looked through after an entry, in milliseconds, and what the grace was, in seconds."""
    grace: timedelta
    """How long files may stay that were removed by an entry which does not say it."""

    def certificate(self, entry: LedgerEntry) -> Path:
        """Where the certificate of an entry lies that names one."""
        return _certificate(self.layout, entry)

    def is_under_way(self, entry: LedgerEntry) -> bool:
        """Whether what follows an entry may not be done yet: it is the last, and only the commit has its certificate.

        The page comes after the certificate: where it is, the certificate was.
        """
        return (
            entry is self.certified[-1]
            and entry.fields["version"] in self.log.certificates
            and not any(self.certificate(entry).with_suffix(each).exists() for each in (".html", ".json"))
        )

    def took(self, path: str, remover: LedgerEntry) -> LedgerEntry | None:
        """Return the entry that took the rows of a removed file: its remover, or one that came after it on that day."""
        if remover.fields["kind"] in _TAKING:
            return remover
        day = partition_day(path)
        last = self.last_of.get(day) if day else None
        return last if last is not None and last.index > remover.index else None

    def must_be_gone(self, entry: LedgerEntry, age: timedelta) -> bool:
        """Whether the files that an entry took cannot rightly be there any more.

        The writer that finished after the grace has unlinked them; another is to be expected.
        """
        taken_at, grace_seconds = (
            self.log.times.get(entry.fields["version"]),
            entry.fields["details"].get("grace_seconds"),
        )
        if taken_at is not None and any(at >= taken_at + grace * 1000 for at, grace in self.finished):
            return True
        return age > (timedelta(seconds=grace_seconds) if isinstance(grace_seconds, int) else self.grace) + _PATIENCE


def read_deletions(layout: Layout, entries: Sequence[LedgerEntry], log: DeltaLog, grace: timedelta) -> Deletions:
    """Return the deletions and erasures among these entries."""
    last_of: dict[date, LedgerEntry] = {}
    for entry in entries:
        if entry.fields["kind"] in _TAKING:
            last_of |= {day: entry for path in entry.fields["removes"] if (day := partition_day(path))}
    certified = [entry for entry in entries if isinstance(entry.fields["details"].get("certificate"), str)]
    finished = [
        (log.times[entry.fields["version"]], grace_seconds)
        for entry in certified
        if isinstance(grace_seconds := entry.fields["details"].get("grace_seconds"), int)
        and entry.fields["version"] in log.times
        and _certificate(layout, entry).exists()
    ]
    return Deletions(layout, log, certified, last_of, finished, grace)


def _certificate(layout: Layout, entry: LedgerEntry) -> Path:
    return layout.certificates / f"{Path(entry.fields['details']['certificate']).name}.json"
