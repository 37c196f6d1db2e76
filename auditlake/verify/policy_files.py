"""Policies and holds as the ledger's last entry knew them, and the lists of holds that entries name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.verify.model import Problem
from auditlake.verify.tree import LedgerEntry


def unrecorded(layout: Layout, last: LedgerEntry) -> Iterator[Problem]:
    """Yield what was done to policies and holds after the last entry, which the next entry records."""
    policies = {str(name): str(digest) for name, digest in last.fields["policies"].items()}
    now = {path.stem: _digest(path) for path in layout.policies.glob("*.yaml")}
    for name in sorted(policies.keys() | now.keys()):
        if policies.get(name) != now.get(name):
            yield Problem(f"policies/{name}.yaml", "was changed after the last entry")
    holds = "".join(f"{path.name} {_digest(path)}\n" for path in sorted(layout.holds.glob("*.yaml")))
    if last.fields["holds"] != (sha256(holds.encode()).hexdigest() if holds else ""):
        yield Problem("holds", "are not those of the last entry: one was added, changed or removed by hand")


def lost_lists(layout: Layout, entries: Sequence[LedgerEntry]) -> Iterator[Problem]:
    """Yield the lists of holds that entries about changes by hand name, and that are not what they say."""
    by_hand = (entry for entry in entries if entry.fields["kind"] == "hold" and "hold" not in entry.fields["details"])
    for digest in sorted({entry.fields["holds"] for entry in by_hand} - {""}):
        path = layout.ledger / "holds" / Path(digest).name
        if _digest(path) != digest:
            yield Problem(f"ledger/holds/{digest}", "is missing or was changed: it says which holds there were")


def changed_policies(layout: Layout) -> Iterator[Problem]:
    """Files of policies that are kept as they were when an entry recorded them, and are not what their names say."""
    for path in sorted((layout.ledger / "policies").glob("?" * 64)):
        if _digest(path) != path.name:
            yield Problem(f"ledger/policies/{path.name}", "was changed: it says what a policy asked for")


def _digest(path: Path) -> str | None:
    try:
        return sha256(read_file(path, within=path.parent)).hexdigest()
    except OSError:
        return None
