"""What the versions of the table were, one log entry each, and a summary so that nobody has to read all of them.

The log entries are the truth and are never removed. The summary (``.history`` of the lake) is made of them whenever a
checkpoint is written; it names the entry up to which it goes by that entry's SHA-256, and is passed over where that is
not the entry that is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from auditlake.disk.durable import write_whole
from auditlake.disk.files import is_file, read_file
from auditlake.disk.layout import Layout, part_day_and_digest
from auditlake.errors import LakeFormatError
from auditlake.ledger.book import LEAF_KEY

EXACT = "auditlake-exact"
"""The application whose version is the first batch of a lake in which every number is as it came. Earlier batches are
compared also with what the versions that made them would have made of a record."""
METADATA_KEY = "auditlake"
"""The key of a commit's custom metadata that holds what auditlake says about it."""

_ROWS_STAY = frozenset({"ingest", "compact", "hold"})
"""Commits that only bring rows, put the same rows into other files, or touch none."""


@dataclass(frozen=True, slots=True)
class History:
    """What the versions up to one were."""

    version: int
    others: Mapping[int, str | None]
    """The versions that neither brought rows nor compacted, with their kind; None where another program wrote them."""
    quarantine: Mapping[str, int]
    """The quarantine files that are to be there by name, with the version that last brought each."""


def commit_metadata(layout: Layout, version: int) -> dict[str, Any] | None:
    """What auditlake recorded about a version; None if the commit is not ours, or its log entry is gone."""
    own = _commit_info(layout, version).get(METADATA_KEY)
    return own if isinstance(own, dict) else None


def commit_leaf(layout: Layout, version: int) -> str | None:
    """The leaf of the ledger's entry about a version that its commit names, in hexadecimal; None if it names none."""
    leaf = _commit_info(layout, version).get(LEAF_KEY)
    return leaf if isinstance(leaf, str) else None


def _commit_info(layout: Layout, version: int) -> dict[str, Any]:
    with suppress(FileNotFoundError):
        for entry in _entry(layout, layout.commit(version)):
            if isinstance(info := entry.get("commitInfo"), dict):
                return info
    return {}


def _entry(layout: Layout, path: Path) -> Iterator[dict[str, Any]]:
    """The actions of a log entry, line by line.

    Raises:
        FileNotFoundError: It is not there.
        LakeFormatError: It is damaged, or no file of the lake.
    """
    try:
        for line in read_file(path, within=layout.root).splitlines():
            if not isinstance(action := json.loads(line), dict):
                raise ValueError("a line of it is no object")  # noqa: TRY004 - damage like any other
            yield action
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        message = f"the log entry {path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise LakeFormatError(message, hint="what it committed is not known; restore it from a backup") from error


def history(layout: Layout, newest: int) -> History:
    """What the versions up to ``newest`` were."""
    known = _summary(layout, newest)
    others, quarantine = dict(known.others), dict(known.quarantine)
    for version in range(known.version + 1, newest + 1):
        own = commit_metadata(layout, version)
        if own is None or own.get("kind") not in _ROWS_STAY:
            others[version] = own.get("kind", "") if own is not None else None
        _follow(quarantine, version, own or {})
    return History(newest, others, quarantine)


def _follow(quarantine: dict[str, int], version: int, own: Mapping[str, Any]) -> None:
    """Take away the quarantine files that went with a version, and add those that it brought."""
    after: Mapping[str, str] = own.get("quarantine_after", {})
    for name in after:
        quarantine.pop(name, None)
    brought = [*after.values(), own.get("quarantine")]
    quarantine.update({name: version for name in brought if name})


def keep_summary(layout: Layout, newest: int) -> None:
    """Write down what the versions up to ``newest`` were. To be called with the lake's lock held."""
    found = history(layout, newest)
    said = {
        "version": newest,
        "entry": _digest(layout, newest),
        "others": sorted(found.others.items()),
        "quarantine": sorted(found.quarantine.items()),
    }
    write_whole(layout.history, json.dumps(said).encode())


def _summary(layout: Layout, newest: int) -> History:
    """The summary that was written down, if it is one of this log and goes no further than ``newest``."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads(read_file(layout.history, within=layout.root))
        if said["version"] <= newest and said["entry"] == _digest(layout, said["version"]):
            return History(said["version"], dict(said["others"]), dict(said["quarantine"]))
    return History(-1, {}, {})


def _digest(layout: Layout, version: int) -> str:
    return hashlib.sha256(read_file(layout.commit(version), within=layout.root)).hexdigest()


def last_batch(layout: Layout, version: int) -> int:
    """The newest batch committed at or before a version: batches are numbered in the order of their commits."""
    for earlier in range(version, 0, -1):
        if (own := commit_metadata(layout, earlier)) and own.get("batch") is not None:
            return int(own["batch"])
    return 0


def foreign_versions(layout: Layout, newest: int) -> list[int]:
    """Versions up to ``newest`` that another program committed: auditlake cannot vouch for what they did."""
    return [version for version, kind in sorted(history(layout, newest).others.items()) if kind is None]


def changed_rows(layout: Layout, newest: int, *, since: int, days: Collection[date]) -> int | None:
    """The first version that may have changed or removed rows that an earlier one had on some days; None if none.

    Of ours only those after ``since`` count, and only where they removed a file of these days; of other programs' any,
    since their rows may belong to no batch.
    """
    for version, kind in sorted(history(layout, newest).others.items()):
        if version and (kind is None or (version > since and _removes_of(layout, version, days))):
            return version
    return None


def _removes_of(layout: Layout, version: int, days: Collection[date]) -> bool:
    """Whether a version removed files of some days; a file whose name tells no day may be of any."""
    named = map(part_day_and_digest, removals(layout, version))
    return any(each is None or each[0] in days for each in named)


def keeps_quarantine(layout: Layout, newest: int, file: Path) -> bool:
    """Whether this quarantine file is there and is to be, by the commits up to ``newest``."""
    return is_file(file, within=layout.root) and file.name in history(layout, newest).quarantine


def removals(layout: Layout, version: int) -> tuple[str, ...]:
    """The paths of the files that a version removed."""
    actions = _entry(layout, layout.commit(version))
    return tuple(unquote(action["remove"]["path"]) for action in actions if "remove" in action)


def removal_times(layout: Layout) -> dict[str, float]:
    """When each removed file was removed, by path, in seconds since 1970."""
    times: dict[str, float] = {}
    for path in sorted(layout.log.glob("*.json")):
        for action in _entry(layout, path):
            if removed := action.get("remove"):
                times[unquote(removed["path"])] = (removed.get("deletionTimestamp") or 0) / 1000
    return times
