"""What an export is asked for, and what it says that it did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from auditlake.events.times import Instant


class Filters(TypedDict, total=False):
    """Which events; each means what it means for ``lake.events``."""

    event_type: str | Sequence[str] | None
    since: Instant | None
    until: Instant | None
    user_id: str | Sequence[str] | None
    status: str | Sequence[str] | None
    resource: str | Sequence[str] | None
    ip_address: str | Sequence[str] | None
    session_id: str | Sequence[str] | None
    source: str | Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    events: int
    """How many events."""
    ocsf: str
    """The version of OCSF."""
    snapshot: int
    """The version of the lake that was read."""
    out: Path | None
    """The file; None if it went into a stream."""
