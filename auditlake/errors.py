"""Every error auditlake raises on purpose.

::

    AuditLakeError
    ├── EventError              an event that cannot be recorded
    ├── SourceError             something about an input
    │   ├── UnrecognisedInputError   no source knows this input
    │   ├── InputChangedError        an input changed while it was read
    │   └── StrictIngestError        --strict, and something would be quarantined
    ├── MistakesError           a file of a lake that cannot be used; lists every mistake
    │   ├── PolicyError              a policy
    │   │   ├── PolicyNotFoundError
    │   │   ├── PackError                a pack, or what a lake sets of packs
    │   │   └── HoldError                a legal hold that cannot be used, or is not there
    │   └── MappingError             the mapping of a source
    ├── LakeError               something about the lake itself
    │   ├── LakeNotFoundError
    │   ├── LakeExistsError
    │   ├── LakeFormatError          damaged, or of a version this program does not know
    │   │   └── LostKeyError         the key of the pseudonyms has gone, and records need it
    │   ├── LakeBusyError            another process holds the lock
    │   │   └── RunUnderWayError         it runs the same schedule
    │   ├── StorageError             an object store refused, or did not answer; also an OSError
    │   ├── LandingError             the disk refused a live event
    │   ├── CommitError              a commit was refused or could not be made durable
    │   │   ├── MovedError               what a commit was to bring has come with another one
    │   │   └── OvertakenError           another process has brought some of the same events meanwhile
    │   ├── LedgerError              the ledger, a key, a note or a proof that cannot be used
    │   └── SnapshotError            a snapshot that does not exist or is no longer whole
    ├── RetentionError          a deletion that was refused; nothing was deleted
    ├── ReportError             a report that cannot be built or written
    └── QueryError              SQL that could not be run
        ├── RefusedError             SQL that an auditor may not run
        ├── StoppedError             a query that came to a limit and was stopped
        ├── EngineError              an engine other than DuckDB that cannot be reached, or cannot answer
        ├── SandboxError             no sandbox can be had here, so nothing of it runs
        └── DeskError                a desk that cannot be opened or reached, is full, or has closed

``str(error)`` is one line for logs: what failed, what was expected and got, where. ``error.hint`` says what to do next.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence


class AuditLakeError(Exception):
    """The root of everything auditlake raises on purpose.

    Args:
        message: One line: what failed, expected and got, where.
        hint: What the reader can do about it, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What to do next, in a sentence; may be empty."""


class EventError(AuditLakeError):
    """An event that cannot be recorded as it is."""


class SourceError(AuditLakeError):
    """An input that cannot be read or understood."""


class UnrecognisedInputError(SourceError):
    """No source recognises the input.

    Args:
        message: One line that lists what was tried.
        why: What it looks like or lacks, in a few words.
        hint: What to do next.
    """

    def __init__(self, message: str, *, why: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.why = why
        """What it looks like or lacks, in a few words."""


class InputChangedError(SourceError):
    """An input changed while it was being read, so nothing of it was landed."""


class StrictIngestError(SourceError):
    """``strict`` was asked for and at least one record would have been quarantined."""


class MistakesError(AuditLakeError):
    """A file that people write, and that cannot be used.

    Args:
        problems: Every mistake found, each ``file:line:column: message``.
        hint: What to do next.
    """

    def __init__(self, problems: tuple[str, ...] | str, *, hint: str = "") -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else problems
        """Every mistake, in file order."""
        super().__init__("; ".join(self.problems), hint=hint)


class PolicyError(MistakesError):
    """A policy that cannot be used."""


class MappingError(MistakesError):
    """The mapping of a source that cannot be used."""


class PolicyNotFoundError(PolicyError):
    """No policy of that id in this lake."""


class PackError(PolicyError):
    """A pack, or what a lake sets of its packs, that cannot be used."""


class HoldError(PolicyError):
    """A legal hold that cannot be used, or is not there."""


class LakeError(AuditLakeError):
    """Something about the lake itself."""


class LakeNotFoundError(LakeError):
    """There is no lake at that path."""


class LakeExistsError(LakeError):
    """There is already something at the path where a lake should be made."""


class LakeFormatError(LakeError):
    """The lake is damaged, or of a format this program does not know."""


class LostKeyError(LakeFormatError):
    """Records may be erased events, and the key that tells has gone.

    Args:
        message: What is wrong.
        hint: What to do, and what was done.
        remedy: What to do.
        first: The first such record of each input that has any: the input's number from 0, and the record's offset.
    """

    def __init__(self, message: str, *, hint: str, remedy: str, first: Sequence[tuple[int, int]]) -> None:
        super().__init__(message, hint=hint)
        self.remedy = remedy
        """What to do."""
        self.first = first
        """Where each input, by its number, has the first of them, as an offset in bytes."""


class LakeBusyError(LakeError):
    """Another process holds the lake's lock for longer than we wait."""


class RunUnderWayError(LakeBusyError):
    """Another process runs the same schedule, so this one did nothing."""


class StorageError(LakeError, OSError):
    """The object store of a lake refused a call, did not answer in time, or answered what cannot be.

    It is an ``OSError`` too, as a disk's refusal is, with the object in ``filename`` and the reason in ``strerror``.

    Args:
        name: The object.
        why: What happened, in a few words.
        hint: What to do next.
    """

    def __init__(self, name: str, why: str, *, hint: str = "") -> None:
        super().__init__(f"{name}: {why}", hint=hint)
        self.errno, self.strerror, self.filename = errno.EIO, why, name

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class LandingError(LakeError):
    """The disk refused a live event, or may have lost some; what the message calls not recorded is not claimed."""


class CommitError(LakeError):
    """A commit was refused, or could not be made durable; nothing of it is claimed."""


class MovedError(CommitError):
    """What a commit was to bring has come with another one meanwhile, wholly or in part."""


class OvertakenError(CommitError):
    """Another process has brought some of the same events meanwhile, or changed the lake.

    Args:
        message: Which of these.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="nothing was landed; run it again")


class LedgerError(LakeError):
    """The ledger, or a key, a note, a checkpoint or a proof, that cannot be read or used."""


class SnapshotError(LakeError):
    """The snapshot asked for does not exist, or its files are no longer whole."""


class RetentionError(AuditLakeError):
    """A deletion or an erasure that was refused; nothing was deleted or changed."""


class ReportError(AuditLakeError):
    """A report that cannot be built or written."""


class QueryError(AuditLakeError):
    """SQL that could not be run."""


class EngineError(QueryError):
    """An engine other than DuckDB cannot be reached, or cannot answer."""


class RefusedError(QueryError):
    """SQL that an auditor may not run; nothing of it ran."""


class StoppedError(QueryError):
    """A query that came to a limit of time, memory or output, or whose process died, and was stopped."""


class SandboxError(QueryError):
    """No sandbox can be had here, so nothing is run in it."""


class DeskError(QueryError):
    """A desk that cannot be opened or reached, is full, or has closed."""
