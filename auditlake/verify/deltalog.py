"""The Delta log, read entry by entry as the JSON that it is: which files are part of the lake, what commits say."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import takewhile
from typing import Any
from urllib.parse import unquote

from auditlake.disk import evidence_json
from auditlake.disk.files import read_file
from auditlake.disk.layout import Layout
from auditlake.ledger.merkle import leaf_hash
from auditlake.verify.file_claims import FileClaims, claims_of
from auditlake.verify.model import Problem


@dataclass(slots=True)
class DeltaLog:
    """What the log says, as far as it can be read."""

    newest: int = -1
    digests: dict[int, str] = field(default_factory=dict)
    """The SHA-256 of each log entry."""
    leaves: dict[int, str] = field(default_factory=dict)
    """The leaf of the ledger that each commit names, or that of the entry which it holds."""
    entries: dict[int, bytes] = field(default_factory=dict)
    """The entry of the ledger that each commit holds, where it holds one."""
    signatures: dict[int, bytes] = field(default_factory=dict)
    """The signature over that entry, where the commit holds one."""
    quarantine: dict[str, int] = field(default_factory=dict)
    """Files in quarantine/ that commits name, and which version does."""
    live: dict[str, int] = field(default_factory=dict)
    """The files that are part of the newest version, with their sizes."""
    claims: dict[str, FileClaims] = field(default_factory=dict)
    """What it claims of the rows of each of them."""
    times: dict[int, int] = field(default_factory=dict)
    """When each commit was made by its writer's clock, in milliseconds since 1970."""
    certificates: set[int] = field(default_factory=set)
    """The versions whose commits hold a certificate, whole."""
    removed: set[str] = field(default_factory=set)
    """Files that were part of it once."""
    at: dict[int, dict[str, FileClaims]] = field(default_factory=dict)
    """The files that were part of the versions that have a checkpoint of the log, with what it claims of them."""
    problems: list[Problem] = field(default_factory=list)

    def after(self, version: int) -> list[bytes]:
        """Return the entries that commits after a version hold, up to one that holds none."""
        following = (self.entries.get(each) for each in range(version + 1, self.newest + 1))
        return [data for data in takewhile(lambda data: data is not None, following) if data is not None]


def read_log(layout: Layout) -> DeltaLog:
    """Read every entry of the log from the first one on; nothing in it makes this fail."""
    log = DeltaLog()
    named = [path.name for path in layout.log.glob("*.json") if path.stem.isdecimal() and len(path.stem) == 20]
    log.newest = max((int(name[:20]) for name in named), default=-1)
    for version in range(log.newest + 1):
        path = layout.commit(version)
        try:
            data = read_file(path, within=layout.root)
            log.digests[version] = sha256(data).hexdigest()
            for line in data.splitlines():
                _apply(log, version, evidence_json.parse(line))
        except OSError as error:
            log.problems.append(Problem(_name(layout, version), f"cannot be read: {error.strerror}"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.problems.append(Problem(_name(layout, version), f"is not a log entry: {error}"))
        if layout.delta_checkpoint(version).exists():
            log.at[version] = dict(log.claims)
    if log.newest < 0:
        log.problems.append(Problem("events/_delta_log", "there is no log entry"))
    return log


def _name(layout: Layout, version: int) -> str:
    return layout.commit(version).relative_to(layout.root).as_posix()


def _apply(log: DeltaLog, version: int, action: Mapping[str, Any]) -> None:
    if added := action.get("add"):
        log.live[path := unquote(str(added["path"]))] = int(added["size"])
        log.claims[path] = claims_of(added)
    if removed := action.get("remove"):
        log.live.pop(path := unquote(str(removed["path"])), None)
        log.claims.pop(path, None)
        log.removed.add(path)
    if info := action.get("commitInfo"):
        if isinstance(leaf := info.get("auditlake.ledger"), str):
            log.leaves[version] = leaf
        if isinstance(text := info.get("auditlake.entry"), str):
            log.entries[version] = text.encode("ascii")
            log.leaves[version] = leaf_hash(log.entries[version]).hex()
        if isinstance(signature := info.get("auditlake.signature"), str):
            log.signatures[version] = b64decode(signature, validate=True)
        if isinstance(at := info.get("timestamp"), int):
            log.times[version] = at
        own = info.get("auditlake")
        if isinstance(own, dict) and isinstance(own.get("certificate"), dict):
            log.certificates.add(version)
        for each in own.get("ingests", [own]) if isinstance(own, dict) else ():
            if isinstance(each.get("quarantine"), str):
                log.quarantine[each["quarantine"]] = version
