"""The Delta log without delta-rs: what its entries say, and how they are made durable.

The log entries are the truth and are never removed. A summary (``.history`` of the lake) spares readers most of them.
It is written with each checkpoint of the log, names the entry up to which it goes by that entry's SHA-256, and is
ignored where the entry is another one.

A process that logs asks how far its application has come before anything else, and delta-rs cannot be used in a forked
child of a process that has used it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from auditlake.disk.durable import sync_file, sync_folder
from auditlake.disk.files import check_folder, descriptor_of, is_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.errors import LakeFormatError
from auditlake.storage.lake import storage_of
from auditlake.storage.model import found

EXACT = "auditlake-exact"
"""The application whose version is the first batch of a folder in which every number is as it came, and less than the
number of any batch of a host. Earlier batches of the folder, which have lower numbers, are compared also with what the
versions that made them would have made of a record."""
METADATA_KEY = "auditlake"
"""The key of a commit's custom metadata that holds what auditlake says about it."""
RECORD = "record"
"""The kind of a commit without files that only holds an entry of the ledger."""
ENTRY = re.compile(r"\d{20}\.(json|checkpoint\.parquet)\Z")
"""The names of entries and checkpoints of the log."""
OTHER = re.compile(r"\d{20}\.(checkpoint\.|\d{20}\.compacted\.)")
"""How other names begin from which readers of Delta tables take files: auditlake never writes such ones."""

_TERMS = ("protocol", "metaData")
"""What a log says about its table beside the files."""
_REMEMBERED = 256
"""How many commits :class:`Commits` keeps at hand: those that its callers come back to are the newest."""

_ROWS_STAY = frozenset({"ingest", "compact", "hold", RECORD})
"""Commits that only bring rows, put the same rows into other files, or touch none."""


@dataclass(frozen=True, slots=True)
class History:
    """The kinds of the versions up to one."""

    version: int
    others: Mapping[int, str | None]
    """The versions that neither brought rows nor compacted, with their kind; None where another program wrote them."""
    quarantine: Mapping[str, int]
    """The quarantine files that are to be there by name, with the version that last brought each."""


def commit_metadata(layout: Layout, version: int) -> dict[str, Any] | None:
    """Return what auditlake recorded about a version; None if the commit is not ours, or its log entry is gone."""
    own = _commit_info(layout, version).get(METADATA_KEY)
    return own if isinstance(own, dict) else None


def ingests_of(own: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    """Return what a commit says of each ingest that it is: those of several hosts may be committed together."""
    if own is None or own.get("kind") != "ingest":
        return ()
    several: Sequence[Mapping[str, Any]] = own.get("ingests", (own,))
    return several


def _commit_info(layout: Layout, version: int) -> dict[str, Any]:
    with suppress(FileNotFoundError):
        for entry in _entry(layout, layout.commit(version)):
            if isinstance(info := entry.get("commitInfo"), dict):
                return info
    return {}


def _entry(layout: Layout, path: Path) -> Iterator[dict[str, Any]]:
    """Yield the actions of a log entry, line by line.

    Raises:
        FileNotFoundError: It is not there.
        LakeFormatError: It is damaged, or no file of the lake.
    """
    try:
        for line in _read(layout, path).splitlines():
            if not isinstance(action := json.loads(line), dict):
                raise ValueError("a line of it is no object")  # noqa: TRY004 - damage like any other
            yield action
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        message = f"the log entry {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup") from error


RETENTION = ("retention", "erase", "remap")
"""The kinds of the commits of deletions, erasures and remaps."""


class Commits:
    """The commits up to a version, each log entry read once as far as there is room.

    Args:
        layout: The lake.
        newest: The version.
    """

    def __init__(self, layout: Layout, newest: int) -> None:
        self.layout = layout
        self.newest = newest
        self.metadata: Callable[[int], dict[str, Any] | None] = lru_cache(_REMEMBERED)(partial(commit_metadata, layout))
        """Gives what auditlake recorded about a version; None if the commit is not ours."""

    @cached_property
    def history(self) -> History:
        """The kinds of the versions."""
        known = _summary(self.layout, self.newest)
        others, quarantine = dict(known.others), dict(known.quarantine)
        for version in range(known.version + 1, self.newest + 1):
            own = self.metadata(version)
            if own is None or own.get("kind") not in _ROWS_STAY:
                others[version] = own.get("kind", "") if own is not None else None
            _follow(quarantine, version, own or {})
        return History(self.newest, others, quarantine)

    @property
    def retention_versions(self) -> list[int]:
        """The versions that are deletions, erasures and remaps, the newest first."""
        return sorted((version for version, kind in self.history.others.items() if kind in RETENTION), reverse=True)

    def of_retention(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the deletions, erasures and remaps with their metadata, the newest first."""
        for version in self.retention_versions:
            if own := self.metadata(version):
                yield version, own

    def following(self) -> Commits:
        """Return the commits up to the next version, which has just been committed."""
        commits = Commits(self.layout, self.newest + 1)
        commits.metadata = self.metadata
        return commits


def _follow(quarantine: dict[str, int], version: int, own: Mapping[str, Any]) -> None:
    """Remove the quarantine files that went with a version, and add those that it brought."""
    after: Mapping[str, str] = own.get("quarantine_after", {})
    for name in after:
        quarantine.pop(name, None)
    brought = [*after.values(), *(each.get("quarantine") for each in (own, *ingests_of(own)))]
    quarantine.update({name: version for name in brought if name})


def keep_summary(layout: Layout, newest: int) -> None:
    """Write the summary of the versions up to ``newest``. The caller holds the lake's lock."""
    past = Commits(layout, newest).history
    summary = {
        "version": newest,
        "entry": _digest(layout, newest),
        "others": sorted(past.others.items()),
        "quarantine": sorted(past.quarantine.items()),
    }
    storage, name = storage_of(layout), layout.name(layout.history)
    storage.swap(name, json.dumps(summary).encode(), found(storage, name))


def _summary(layout: Layout, newest: int) -> History:
    """Read the summary, if it is one of this log and goes no further than ``newest``."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        summary = json.loads(_read(layout, layout.history))
        if summary["version"] <= newest and summary["entry"] == _digest(layout, summary["version"]):
            return History(summary["version"], dict(summary["others"]), dict(summary["quarantine"]))
    return History(-1, {}, {})


def _digest(layout: Layout, version: int) -> str:
    """Return the SHA-256 of an entry, which a process takes once: that of an ingest of many files has megabytes."""
    return _digest_of(layout, version, layout.commit(version).stat().st_mtime_ns)


@lru_cache(_REMEMBERED)
def _digest_of(layout: Layout, version: int, _: int) -> str:
    return hashlib.sha256(_read(layout, layout.commit(version))).hexdigest()


def foreign_versions(layout: Layout, newest: int) -> list[int]:
    """Return the versions up to ``newest`` that another program committed: auditlake cannot vouch for them."""
    return [version for version, kind in sorted(Commits(layout, newest).history.others.items()) if kind is None]


def changed_rows(layout: Layout, newest: int, *, since: int, days: Collection[date]) -> int | None:
    """Return the first version that may have changed or removed rows of an earlier one on some days; None if none.

    Commits of auditlake count only after ``since``, and only where they removed a file of these days. Those of other
    programs always count, since their rows may belong to no batch.
    """
    for version, kind in sorted(Commits(layout, newest).history.others.items()):
        if version and (kind is None or (version > since and _removes_of(layout, version, days))):
            return version
    return None


def row_changes(layout: Layout, newest: int, *, since: int) -> tuple[int, ...]:
    """Return the versions after one and up to another that may have changed or removed rows of earlier ones."""
    return tuple(version for version in sorted(Commits(layout, newest).history.others) if since < version <= newest)


def _removes_of(layout: Layout, version: int, days: Collection[date]) -> bool:
    """Return whether a version removed files of some days; a file whose name tells no day may be of any."""
    parts = map(part_day_and_digest, removals(layout, version))
    return any(part is None or part[0] in days for part in parts)


def keeps_quarantine(layout: Layout, newest: int, file: Path) -> bool:
    """Return whether this quarantine file is there and is to be, by the commits up to ``newest``."""
    return is_file(file, within=layout.root) and file.name in Commits(layout, newest).history.quarantine


def removals(layout: Layout, version: int) -> dict[str, float]:
    """Return when each file that a version removed was removed, by path, in seconds since 1970."""
    removed = (action["remove"] for action in _entry(layout, layout.commit(version)) if "remove" in action)
    return {unquote(each["path"]): (each.get("deletionTimestamp") or 0) / 1000 for each in removed}


def additions(layout: Layout, version: int) -> dict[str, int]:
    """Return the bytes of each file that a version added, by path."""
    added = (action["add"] for action in _entry(layout, layout.commit(version)) if "add" in action)
    return {unquote(each["path"]): int(each["size"]) for each in added}


def removal_times(layout: Layout) -> dict[str, float]:
    """Return when each removed file was removed, by path, in seconds since 1970."""
    times: dict[str, float] = {}
    for version in sorted(_versions(layout)):
        times |= removals(layout, version)
    return times


def committed_at(layout: Layout, version: int) -> float | None:
    """Return when a version was committed by its writer's clock, in seconds since 1970; None if it does not say so."""
    at = _commit_info(layout, version).get("timestamp")
    return at / 1000 if isinstance(at, int) else None


def newest_version(layout: Layout) -> int:
    """Return the newest version by the names in the log alone, without opening the table.

    Raises:
        LakeFormatError: There is none.
    """
    if versions := _versions(layout):
        return max(versions)
    message = f"the events table at {layout.events} cannot be read: it has no log"
    raise LakeFormatError(message, hint="restore its log entries from a backup")


def _versions(layout: Layout) -> list[int]:
    """Return the versions that have an entry in the log, in no order."""
    names = storage_of(layout).names(folder := layout.name(layout.log))
    matches = [match for name in names if (match := ENTRY.match(name, len(folder) + 1))]
    return [int(match[0][:20]) for match in matches if match[1] == "json"]


def last_change(layout: Layout, version: int) -> int:
    """Return the last version up to one that changed anything: commits that only hold an entry leave answers alone."""
    while _only_records(layout, version):
        version -= 1
    return version


def is_newest(layout: Layout, version: int) -> bool:
    """Return whether no version after one changed anything."""
    while layout.commit(version + 1).exists():
        version += 1
        if not _only_records(layout, version):
            return False
    return True


def _only_records(layout: Layout, version: int) -> bool:
    return (commit_metadata(layout, version) or {}).get("kind") == RECORD


def sync_log(layout: Layout, version: int) -> None:
    """Make the log durable up to a version.

    A torn entry makes the table unreadable for all that follow, and its writer may have died before it synced it. Each
    entry of auditlake was written after all earlier ones were durable, so this stops at the newest of them.
    """
    for earlier in range(version, -1, -1):
        if layout.commit(earlier).exists():
            sync_file(layout.commit(earlier))
        if commit_metadata(layout, earlier) is not None:
            break
    sync_folder(layout.log)


def log_entries(layout: Layout) -> dict[str, int]:
    """Return the names of the log's entries and checkpoints with their sizes; nothing else may have such a name.

    Raises:
        OSError: The log, or one of them, is a link, or something that delta-rs would wait for.
        LakeFormatError: There is a checkpoint of another form, or entries that were put together.
    """
    check_folder(layout.log, within=layout.root)
    with os.scandir(layout.log) as listed:
        there = [*listed]
    named = [each for each in there if ENTRY.match(each.name) or each.name == layout.delta_pointer.name]
    if others := [each.path for each in there if OTHER.match(each.name) and not ENTRY.match(each.name)]:
        message = f"{min(others)} is no file of auditlake's, and says which files the lake has"
        raise LakeFormatError(message, hint="auditlake doctor --repair sets it aside: nothing is lost with it")
    for each in named:
        if not each.is_file(follow_symlinks=False):
            os.close(descriptor_of(Path(each.path), within=layout.root))  # which says what it is
    return {each.name: each.stat(follow_symlinks=False).st_size for each in named if ENTRY.match(each.name)}


def refuse_empty_entries(layout: Layout, entries: Mapping[str, int], version: int) -> None:
    """Refuse a log with an entry without bytes, which delta-rs would take for no change.

    A power cut can leave one of another writer. Entries before a checkpoint are not read.

    Raises:
        LakeFormatError: There is one.
    """
    earlier = {name: size for name, size in sorted(entries.items()) if int(name[:20]) <= version}
    read_from = max((name[:20] for name, size in earlier.items() if size and name.endswith(".parquet")), default="")
    for name, size in earlier.items():
        if name.endswith(".json") and read_from < name[:20] and not size:
            message = f"the log entry {layout.log / name} is empty"
            raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup")


def transaction_version(layout: Layout, application: str) -> int | None:
    """Return the version of the newest transaction of an application; None if it never committed.

    Raises:
        LakeFormatError: An entry of the log is damaged or not there.
        OSError: The log cannot be read.
    """
    return transaction_versions(layout, [application]).get(application)


def transaction_versions(layout: Layout, applications: Collection[str]) -> dict[str, int]:
    """Return the version of the newest transaction of each application that ever committed.

    Raises:
        LakeFormatError: An entry of the log is damaged or not there, or there is none at all.
        OSError: The log cannot be read.
    """
    reached = transactions_at(layout, newest_version(layout), applications) if applications else {}
    return {name: reached[name] for name in applications if name in reached}


def transactions_at(layout: Layout, version: int, applications: Collection[str] = ()) -> dict[str, int]:
    """Return the version of the newest transaction, up to a version of the lake, of applications.

    Entries are read from there back to where all that are asked for are found, or to a checkpoint, or to the first one;
    if none is asked for, they give all.

    Raises:
        LakeFormatError: An entry of the log is damaged or not there.
        OSError: The log cannot be read.
    """
    reached: dict[str, int] = {}
    for earlier in range(version, -1, -1):
        # What a checkpoint says is also in the entry of its version, which may be large.
        if (checkpoint := _checkpoint(layout, earlier)) is not None:
            return _by_application(_column(checkpoint, "txn")) | reached
        reached = _in_entry(layout, layout.commit(earlier)) | reached
        if applications and reached.keys() >= {*applications}:
            break
    return reached


def _in_entry(layout: Layout, entry: Path) -> dict[str, int]:
    data = found(storage_of(layout), layout.name(entry)) or b""
    if not data.endswith((b"}", b"}\n")):
        message = f"the log entry {entry} is not whole"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup")
    try:
        return transactions_in(data)
    except ValueError as error:
        message = f"the log entry {entry} is damaged: {error}"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup") from error


def transactions_in(data: bytes) -> dict[str, int]:
    """Return the version of each transaction in the bytes of a log entry.

    Raises:
        ValueError: It is damaged.
    """
    lines = data.splitlines() if b'"txn"' in data else []
    return _by_application(json.loads(line).get("txn") for line in lines if b'"txn"' in line)


def _by_application(transactions: Iterable[Any]) -> dict[str, int]:
    return {each["appId"]: int(each["version"]) for each in transactions if each}


def _read(layout: Layout, path: Path) -> bytes:
    return storage_of(layout).read(layout.name(path))


def _checkpoint(layout: Layout, version: int) -> str | None:
    """Return where the checkpoint of the log at a version lies; None if there is none, or none in the copy."""
    path = layout.delta_checkpoint(version)
    return str(path) if is_file(path, within=layout.root) else None


def _column(checkpoint: str, name: str) -> list[Any]:
    """Return the actions of a kind in a checkpoint."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(checkpoint).read([name], use_threads=False)
    except (pa.ArrowException, ValueError) as error:
        message = f"the checkpoint {checkpoint} is damaged: {error}"
        raise LakeFormatError(message, hint="restore it from a backup") from error
    return table.column(name).drop_null().to_pylist(maps_as_pydicts="strict") if name in table.column_names else []


def table_terms(layout: Layout, version: int) -> bytes:
    """Return a log of one entry that says of the table what its log says up to a version, without any file.

    Entries are read from that version back to a checkpoint, or to where both are found: the protocol that programs must
    follow, and the schema with the table's properties.

    Raises:
        LakeFormatError: An entry is damaged, or both are nowhere.
        OSError: An entry cannot be read.
    """
    terms: dict[str, Any] = {}
    for earlier in range(version, -1, -1):
        if (checkpoint := _checkpoint(layout, earlier)) is not None:
            terms = {kind: each for kind in _TERMS for each in _column(checkpoint, kind)} | terms
            break
        terms = _terms_in(layout, earlier) | terms
        if len(terms) == len(_TERMS):
            break
    if len(terms) < len(_TERMS):
        raise LakeFormatError(
            f"the log at {layout.log} does not say what its table is", hint="restore it from a backup"
        )
    return b"".join(json.dumps({kind: terms[kind]}).encode() + b"\n" for kind in _TERMS)


def _terms_in(layout: Layout, version: int) -> dict[str, Any]:
    """Return the protocol and the metadata that an entry has."""
    data = _read(layout, layout.commit(version))
    if not any(f'{{"{kind}":'.encode() in data for kind in _TERMS):
        return {}
    actions = _entry(layout, layout.commit(version))
    return {kind: action[kind] for action in actions for kind in _TERMS if kind in action}
