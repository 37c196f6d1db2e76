"""What is in force in a lake: policies, holds, mappings, packs; what an entry of the ledger says of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from auditlake.disk.chained import Extent, durable_extent
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.entry import Entry, Record
from auditlake.ledger.keys import LedgerSettings
from auditlake.ledger.sidecars import Folder, keep, kept_path

DEFAULT_RETENTION = "default_retention"
"""In the details of every entry: the one of lake.toml, where it sets one."""
_SOURCES = "sources"
"""The detail of an entry that has the SHA-256 of every mapping of the lake's own."""
FRAMEWORKS = "frameworks.yaml"
"""The name of the settings of packs among the packs."""
PACKS = "packs"
"""The detail of an entry that has the SHA-256 of every pack of the lake, and of ``frameworks.yaml``."""
_RUNS = "runs"
"""The detail of an entry that says how far the journal of runs reached when it was written."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force when an entry is written; each file of it is read once."""

    settings: LedgerSettings
    policies: Mapping[str, str]
    """The SHA-256 of every policy's file, by id."""
    holds: str
    """The list of holds."""
    sources: Mapping[str, str]
    """The SHA-256 of every file of a mapping of the lake's own, by its name without ``.yaml``."""
    packs: Mapping[str, str]
    """The SHA-256 of every pack's file, by id, and that of ``frameworks.yaml``."""


def unrecorded(
    layout: Layout, last: Entry, rules: Rules, at: str, by: str = "hand", reason: str | None = None, *, about: str = ""
) -> list[Record]:
    """Return what is to be recorded of policies, holds, mappings and packs that are not those of the last entry.

    The files that are to be known still when they have changed again are kept.

    Args:
        layout: The lake.
        last: The last entry.
        rules: What is in force.
        at: When, RFC 3339.
        by: Who changed the policies: "auditlake" where a verb did, "hand" where the files were edited.
        reason: Why a change of packs that makes retention weaker is right.
        about: What the entry that follows is about: one about a hold says itself what was done to it.
    """
    found: list[Record] = []
    changed = last.policies != rules.policies
    if changed or not (layout.ledger / "policies").is_dir():  # an earlier version kept none
        keep_files(layout, layout.policies.glob("*.yaml"), "policies")
    if changed:
        found.append(Record("policy-change", at, details=_changes(last.policies, rules.policies, by)))
    if (mapped := last.details.get(_SOURCES, {})) != rules.sources:
        keep_files(layout, layout.sources.glob("*.yaml"), "sources")
        found.append(Record("mapping-change", at, details=_changes(mapped, rules.sources, by)))
    if (packed := last.details.get(PACKS, {})) != rules.packs:
        keep_files(layout, pack_files(layout), "packs")
        why = {"reason": reason} if reason else {}
        found.append(Record("pack-change", at, details=_changes(packed, rules.packs, by) | why))
    if about != "hold" and last.holds != digest_of_holds(rules.holds):
        if rules.holds:
            keep(layout, "holds", rules.holds.encode())
        found.append(Record("hold", at, details={"by": "hand"}))
    return found


def keep_files(layout: Layout, files: Iterable[Path], folder: Folder) -> None:
    """Keep files of policies, mappings or packs; the policies of init are in its commit's terms, and need not be."""
    for path in files:
        content = read_file(path, within=layout.root)
        if not kept_path(layout, folder, sha256(content).hexdigest()).exists():
            keep(layout, folder, content)


def _changes(before: Mapping[str, str], now: Mapping[str, str], by: str) -> dict[str, Any]:
    return {
        "by": by,
        "added": {name: now[name] for name in sorted(now.keys() - before.keys())},
        "changed": {
            name: [before[name], now[name]] for name in sorted(before) if now.get(name, before[name]) != before[name]
        },
        "removed": {name: before[name] for name in sorted(before.keys() - now.keys())},
    }


def read_rules(layout: Layout, settings: LedgerSettings) -> Rules:
    """Read what is in force.

    Raises:
        LedgerError: A file of it cannot be read.
    """
    policies, sources = (_by_name(folder.name, folder.glob("*.yaml")) for folder in (layout.policies, layout.sources))
    holds = "".join(f"{path.name} {digest}\n" for path, digest in _digests("holds", layout.holds.glob("*.yaml")))
    return Rules(settings, policies, holds, sources, _by_name("packs", pack_files(layout)))


def _by_name(what: str, files: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files by their names, those of a folder without ``.yaml``."""
    return {path.name if path.name == FRAMEWORKS else path.stem: digest for path, digest in _digests(what, files)}


def pack_files(layout: Layout) -> list[Path]:
    """Return the files by which packs judge a lake; those of a lake without settings judge nothing."""
    return [*layout.packs.glob("*.yaml"), layout.frameworks] if layout.frameworks.exists() else []


def _digests(what: str, files: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the files of policies, holds, mappings or packs, in order of their names, each with its SHA-256.

    Raises:
        LedgerError: One cannot be read. A link is none: what is behind it may change without the lake.
    """
    for path in sorted(files):
        try:
            content = read_file(path, within=path.parent)
        except OSError as error:
            message = f"{path}: {error.strerror}; the ledger has to say which {what} a lake has"
            hint = "put the file itself in its place, or take it away; nothing is written to the lake until then"
            raise LedgerError(message, hint=hint) from error
        yield path, sha256(content).hexdigest()


def details_of(layout: Layout, rules: Rules, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the details of every entry say, given those of the entry before it."""
    default = rules.settings.default_retention
    details: dict[str, Any] = {DEFAULT_RETENTION: default} if default else {}
    details |= {name: dict(each) for name, each in ((_SOURCES, rules.sources), (PACKS, rules.packs)) if each}
    return details | _runs(layout, before.get(_RUNS, {}))


def carried(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the details of an entry is in force after it too."""
    return {name: details[name] for name in (DEFAULT_RETENTION, _SOURCES, PACKS, _RUNS) if name in details}


def _runs(layout: Layout, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry says of the journal of runs, given what the entry before it said."""
    since = Extent(before.get("lines", 0), before.get("bytes", 0), before.get("sha256", ""))
    try:
        now = durable_extent(layout.run_journal, within=layout.root, since=since)
    except OSError:  # there is none; or it was damaged, which a verification tells and which keeps no event out
        return {}
    return {_RUNS: {"lines": now.lines, "bytes": now.size, "sha256": now.digest}}


def digest_of_holds(listed: str) -> str:
    """Return what an entry says of a list of holds."""
    return sha256(listed.encode()).hexdigest() if listed else ""
