"""What the last verification of a lake found, for the list of reports. It is no proof: that takes a verification."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from auditlake.disk.durable import write_whole
from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.events.times import parse_instant, print_instant


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification that was run on this lake."""

    at: datetime
    full: bool
    """Whether every row was hashed, or the files only."""
    version: int
    """The newest snapshot that it covered."""
    problems: int
    """How many problems it found."""

    @property
    def ok(self) -> bool:
        """Whether all was as recorded."""
        return self.problems == 0


def remember(layout: Layout, verification: Verification) -> None:
    """Keep the result of a verification; where the lake cannot be written to, it is not remembered."""
    record = asdict(verification) | {"at": print_instant(verification.at)}
    with suppress(OSError):
        write_whole(layout.verified, json.dumps(record).encode())


def last_verification(layout: Layout) -> Verification | None:
    """Return what the last verification found; None if there was none, or what is kept of it cannot be read."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        record = json.loads(read_file(layout.verified, within=layout.root, limit=SMALL))
        full, version, problems = bool(record["full"]), int(record["version"]), int(record["problems"])
        return Verification(parse_instant(record["at"]), full, version, problems)
    return None
