"""Whether a data file is what its name and the log claim: its bytes, and its rows, so that readers may pass over it.

A claim that is false loses no row, and hides it: a question about its type or time does not open the file.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import file_digest
from pathlib import Path
from typing import Any

from auditlake.disk.files import open_file
from auditlake.disk.layout import part_day_and_digest

_TAG = "auditlake.types"
"""The tag of a file's action: a JSON object of its event types with how many events each has."""
_ROUNDED = timedelta(milliseconds=1)
"""How much of an instant may be cut off in a log."""


@dataclass(frozen=True, slots=True)
class FileClaims:
    """What the log claims of the rows of a file; None where it claims nothing, or what no reader understands."""

    types: Mapping[str, int] | None = None
    """How many events each event type has."""
    is_unreadable: bool = False
    """Whether the log has a tag of the event types that says none: readers open the file, and no writer made it so."""
    first: datetime | None = None
    """An instant that no event is before."""
    last: datetime | None = None
    """An instant that no event is after."""


def digest_of(file: Path, *, within: Path) -> tuple[str, int]:
    """Return the SHA-256 and the size of a file of the lake."""
    with open_file(file, within=within) as data:
        return file_digest(data, "sha256").hexdigest(), data.tell()


def damage(file: Path, path: str, size: int, *, within: Path) -> str | None:
    """Return how a data file is not what its path in the log and its size say; None if it is."""
    named = part_day_and_digest(path)
    try:
        digest, actual = digest_of(file, within=within)
    except (OSError, ValueError) as error:
        return f"is missing: {getattr(error, 'strerror', error)}"
    if actual != size:
        return f"has {actual} bytes instead of {size}"
    if named is None:
        return "has no digest"
    return None if digest == named[1] else f"was changed: its bytes have the SHA-256 {digest}"


def claims_of(add: Mapping[str, Any]) -> FileClaims:
    """Return what an action of the log claims of the file that it adds."""
    tags = add.get("tags")
    is_there = isinstance(tags, Mapping) and _TAG in tags
    types = _types(tags[_TAG]) if isinstance(tags, Mapping) and is_there else None
    return FileClaims(types, is_there and types is None, _bound(add, "minValues"), _bound(add, "maxValues"))


def _types(tag: Any) -> Mapping[str, int] | None:
    """Return what a tag says; None where that is no JSON object of names to whole numbers."""
    with suppress(ValueError, TypeError, RecursionError):
        types = json.loads(tag)
        if isinstance(types, dict) and all(type(rows) is int and rows >= 0 for rows in types.values()):
            return types
    return None


def _bound(add: Mapping[str, Any], name: str) -> datetime | None:
    with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        moment = datetime.fromisoformat(json.loads(add["stats"])[name]["timestamp"])
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def false_claims(file: Path, claims: FileClaims, *, within: Path) -> Iterator[str]:
    """Yield which claims of the log about a file are not so; none where it cannot be read, which is told elsewhere.

    Args:
        file: The file.
        claims: What the log claims.
        within: The lake.
    """
    from pyarrow import ArrowException, compute
    from pyarrow.parquet import ParquetFile

    if claims.is_unreadable:
        yield f"has a tag {_TAG} in the log that is no JSON object of event types to numbers of events"
    types, bounds = Counter[str](), list[datetime | None]()
    try:
        with open_file(file, within=within) as data:
            for rows in ParquetFile(data).iter_batches(columns=["event_type", "timestamp"], use_threads=False):
                for each in rows["event_type"].value_counts().to_pylist():
                    types[each["values"]] += each["counts"]
                bounds += compute.min_max(rows["timestamp"]).as_py().values()
    except (OSError, ArrowException, KeyError):
        return
    claimed = types if claims.types is None else claims.types
    for name in sorted(types.keys() | claimed.keys(), key=str):
        if types[name] != (number := claimed.get(name, 0)):
            yield f"has {types[name]:,} events of type {name}, and the log says {number:,}"
    instants = [moment for moment in bounds if moment is not None]
    if instants and claims.first is not None and min(instants) < claims.first:
        yield f"has an event of {min(instants).isoformat()}, and the log says none before {claims.first.isoformat()}"
    if instants and claims.last is not None and max(instants) > claims.last + _ROUNDED:
        yield f"has an event of {max(instants).isoformat()}, and the log says none after {claims.last.isoformat()}"
