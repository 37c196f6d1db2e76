"""Policies, mappings and holds as the ledger's last entry knew them, and the lists of holds that entries name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.verify.model import Problem
from auditlake.verify.tree import LedgerEntry


def unrecorded(layout: Layout, last: LedgerEntry) -> Iterator[Problem]:
    """Yield what was done to policies, mappings and holds after the last entry, which the next entry records."""
    details, settings = last.fields["details"], layout.frameworks.name
    known = {layout.policies: last.fields["policies"], layout.sources: details.get("sources", {}),
             layout.packs: details.get("packs", {})}  # fmt: skip
    for folder, recorded in known.items():
        now = {path.stem: _digest(path) for path in folder.glob("*.yaml")}
        if folder == layout.packs:  # those of a lake without settings judge nothing
            now = {**now, settings: _digest(layout.frameworks)} if layout.frameworks.exists() else {}
        for name in sorted(recorded.keys() | now.keys()):
            if recorded.get(name) != now.get(name):
                where = settings if name == settings else f"{folder.name}/{name}.yaml"
                yield Problem(where, "was changed after the last entry")
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
    """Files of policies and mappings that are kept as an entry recorded them, and are not what their names say."""
    for folder, what in (
        ("policies", "a policy asked for"),
        ("sources", "a mapping made of records"),
        ("packs", "a pack asked for"),
    ):
        for path in sorted((layout.ledger / folder).glob("?" * 64)):
            if _digest(path) != path.name:
                yield Problem(f"ledger/{folder}/{path.name}", f"was changed: it says what {what}")


def _digest(path: Path) -> str | None:
    try:
        return sha256(read_file(path, within=path.parent)).hexdigest()
    except OSError:
        return None
