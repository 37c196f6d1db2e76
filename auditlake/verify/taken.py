"""What deletions and erasures took, and what they kept so that the rest still verifies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path

from auditlake.ledger.merkle import HASH_SIZE
from auditlake.store.layout import Layout
from auditlake.verify.model import Problem, Verdict
from auditlake.verify.rows import Key
from auditlake.verify.tree import LedgerEntry

_RECORD = 8 + 2 * HASH_SIZE
_GONE = bytes(HASH_SIZE)


@dataclass(slots=True)
class Taking:
    """What was taken of one part, by the last entry that did."""

    entry: LedgerEntry
    whole: bool = False
    """Whether nothing of the part is left."""
    replaced: dict[int, tuple[bytes, bytes | None]] = field(default_factory=dict)
    """By seq: the leaf that the event was appended with, and the one that it has now; None if it went."""


def read_takings(layout: Layout, entries: Sequence[LedgerEntry]) -> tuple[dict[Key, Taking], list[Problem]]:
    """What entries took, by batch and day, and what of it cannot be read."""
    found: dict[Key, Taking] = {}
    problems: list[Problem] = []
    for entry in entries:
        for batch, day, _, kept in entry.said["taken"]:
            key = (int(batch), date.fromisoformat(day))
            taking = found.setdefault(key, Taking(entry))
            taking.entry = entry
            taking.whole = taking.whole or not kept
            try:
                _merge(taking, _read(layout, str(kept)) if kept else b"")
            except (OSError, ValueError) as error:
                problems.append(
                    Problem(f"ledger/kept/{kept}", f"cannot be read, entry {entry.index} needs it: {error}")
                )
    return found, problems


def _read(layout: Layout, digest: str) -> bytes:
    data = (layout.ledger / "kept" / Path(digest).name).read_bytes()
    if sha256(data).hexdigest() != digest or len(data) % _RECORD:
        raise ValueError("it is damaged")
    return data


def _merge(taking: Taking, data: bytes) -> None:
    """What was kept first is what was appended; what came last is what is there now."""
    for at in range(0, len(data), _RECORD):
        seq = int.from_bytes(data[at : at + 8], "big", signed=True)
        original, present = data[at + 8 : at + 8 + HASH_SIZE], data[at + 8 + HASH_SIZE : at + _RECORD]
        first = taking.replaced.get(seq, (original, None))[0]
        taking.replaced[seq] = (first, None if present == _GONE else present)


def told(taking: Taking) -> tuple[Verdict, str]:
    """The verdict on a part of which something was taken rightly, and under whose rule."""
    said, details = taking.entry.said, taking.entry.said["details"]
    verdict: Verdict = "erased" if said["kind"] == "erase" else "deleted"
    policies = details.get("policies")
    under = f" under policy {', '.join(map(str, policies))}" if isinstance(policies, list) and policies else ""
    certificate = f" (certificate {details['certificate']})" if details.get("certificate") else ""
    rows = "" if taking.whole else f", {len(taking.replaced)} rows"
    return verdict, f"{verdict}{under} on {str(said['at'])[:10]}{rows}{certificate}"
