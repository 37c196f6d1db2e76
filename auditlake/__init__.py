"""auditlake: an embedded SQL analytics engine for audit trails.

>>> import auditlake                                                    # doctest: +SKIP
>>> lake = auditlake.create("lake")                                     # doctest: +SKIP
>>> lake.ingest("logs/*.jsonl")                                         # doctest: +SKIP
>>> lake.report("failed_logins", period="2026-Q3").status               # doctest: +SKIP
'violation'
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditlake.errors import AuditLakeError
from auditlake.machine import Clock, system_clock

if TYPE_CHECKING:
    from auditlake.desk.client import DeskSession
    from auditlake.events.event import AuditEvent
    from auditlake.events.schema import EventType
    from auditlake.events.times import Instant
    from auditlake.lake import AuditLake
    from auditlake.policies.files import PolicySet

__version__ = "0.1.0"
__all__ = ["AuditEvent", "AuditLake", "AuditLakeError", "EventType", "audit_session", "create", "open"]
_HOMES = {"AuditEvent": "events.event", "AuditLake": "lake", "EventType": "events.schema"}


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for: the program's help needs none of them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"auditlake.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return what can be asked for, these classes among it: notebooks complete names by it."""
    return sorted({*globals(), *_HOMES})


def create(
    path: str | Path,
    *,
    event_types: Sequence[str] = (),
    default_retention: str | None = None,
    policies: PolicySet = "starter",
    packs: Sequence[str] = (),
    unsigned: bool = False,
    clock: Clock = system_clock,
) -> AuditLake:
    """Make a lake, with a first set of policies in it.

    Args:
        path: Its folder; it must not exist yet, or be empty. Or ``s3://``, ``gs://`` or ``az://``, a bucket and a
            folder in it; this host then gets a folder of its own, ``lake.layout.root``.
        event_types: Types beside the built-in ones.
        default_retention: How long events are kept that no policy keeps, e.g. ``365d``; for ever if None.
        policies: Which it begins with: ``starter``, a few detections of general use that keep nothing; ``llmguardian``,
            the three of LLMGuardian; or ``none``.
        packs: The frameworks that it is judged by: ids of packs that ship with auditlake, or files.
        unsigned: Make no key: the ledger's checkpoints are then not signed, and a person who can write the
            lake can make new ones.
        clock: Where the present comes from.

    Raises:
        LakeExistsError: There is something at the path already.
        LakeError: A setting is not well formed, there is no such set, or the folder cannot be made.
        PackError: There is no such pack, or it cannot be used.
    """
    from auditlake.lake import AuditLake
    from auditlake.upkeep.create import create_lake

    create_lake(
        path, now=clock(), event_types=event_types, default_retention=default_retention, policies=policies,
        packs=packs, unsigned=unsigned,
    )  # fmt: skip
    return AuditLake(path, clock=clock)


def open(path: str | Path, *, clock: Clock = system_clock) -> AuditLake:  # noqa: A001 - auditlake.open is its name
    """Open a lake that is there.

    Raises:
        LakeNotFoundError: There is no lake at that path.
        LakeFormatError: Its settings cannot be understood.
    """
    from auditlake.lake import AuditLake

    return AuditLake(path, clock=clock)


def audit_session(
    desk: str | Path, *, snapshot: int | None = None, as_of: Instant | None = None, rows: int | None = None
) -> DeskSession:
    """Open a sandbox at a desk, by the account of this process, which needs no right over any file of the lake.

    The session is used as one that :meth:`AuditLake.audit_session` opens.

    Args:
        desk: The socket of ``auditlake desk listen``.
        snapshot: The version to read; the newest if None.
        as_of: Events after it do not exist; if None, nothing is left out.
        rows: At most so many rows an answer, instead of what the lake's owner says.

    Raises:
        DeskError: The desk cannot be reached, or has no room.
        RefusedError: This account may not ask there.
        SnapshotError: The snapshot is not there.
    """
    from auditlake.desk.client import DeskSession

    return DeskSession(desk, snapshot=snapshot, as_of=as_of, rows=rows)


def load_ipython_extension(shell: Any) -> None:
    """Register ``%%audit``: ``%load_ext auditlake`` calls this, and cells that begin so are SQL."""
    from auditlake.notebook import register

    register(shell)
