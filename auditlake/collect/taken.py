"""Which objects were taken: a line for each, written once its events are committed.

It only saves work. Where it is damaged or gone, objects are read again, and their events are known to the lake, but for
those that retention has deleted since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from auditlake.collect.lines import lines_of
from auditlake.collect.model import Found
from auditlake.disk.layout import Layout
from auditlake.events.times import print_instant
from auditlake.sources.remote import is_url

_LEAST = 1000


class Line(NamedTuple):
    """An object that was taken."""

    found: Found
    sha256: str
    size: int
    """Bytes that were read."""
    snapshot: int
    sources: str = ""
    """Where no source knew it: a digest of the sources that there were. With others it is read again."""


class Taken:
    """The objects that were taken, by digests of 16 bytes each.

    Args:
        layout: The lake.

    Raises:
        OSError: The bucket of the lake cannot be asked.
    """

    def __init__(self, layout: Layout) -> None:
        self._lines = lines_of(layout)
        self._host = self._lines.host()
        self._seen: dict[bytes, bool] = {}
        """Each mark, and whether a listing of this run has it."""
        self._number = 0
        """How many lines this host may let go of."""
        for line in self._lines.read():
            mark, is_own = self._parsed(line)
            self._number += is_own
            if mark is not None:
                self._seen[mark] = False

    def has(self, found: Found, sources: str, *, everything: bool = False) -> bool:
        """Return whether an object was taken as it is now; with ``everything``, whether in this run."""
        for mark in (_mark(found.name, found.size, found.version, ""),
                     _mark(found.name, found.size, found.version, sources)):  # fmt: skip
            if found.version and mark in self._seen:
                was_seen, self._seen[mark] = self._seen[mark], True
                return was_seen or not everything
        return False

    def record(self, lines: Iterable[Line], at: datetime) -> None:
        """Write down, durably, what was taken; the commit that has its events comes before.

        Raises:
            OSError: The disk or the bucket refused.
        """
        records = []
        for line in lines:
            found = line.found
            self._seen[_mark(found.name, found.size, found.version, line.sources)] = True
            self._number += 1
            record = {
                "name": found.name, "size": found.size, "version": found.version, "bytes": line.size,
                "sha256": line.sha256, "at": print_instant(at), "snapshot": line.snapshot,
                **({"not_recognised_by": line.sources} if line.sources else {}),
                **({"host": self._host} if self._host is not None else {}),
            }  # fmt: skip
            records.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._lines.append(records)

    def forget_unlisted(self) -> None:
        """Let go of what is no longer listed, where that is most of what there is.

        Raises:
            OSError: The disk or the bucket refused.
        """
        if self._number > 2 * sum(self._seen.values()) + _LEAST:
            self._lines.keep(self._is_listed)

    def _is_listed(self, line: bytes) -> bool:
        mark, is_own = self._parsed(line)
        if mark is None:
            return not is_own
        # What another host wrote meanwhile is in no listing of this run. Each is kept once, however often it is there.
        is_kept, self._seen[mark] = self._seen.get(mark, True), False
        return is_kept or not is_own

    def _parsed(self, line: bytes) -> tuple[bytes | None, bool]:
        """Return the mark of a line, None if it is damaged, and whether this host may let go of it: what another
        host has taken of its own files is not listed here.
        """
        with suppress(ValueError, KeyError, TypeError):
            record: dict[str, Any] = orjson.loads(line)
            name, size, version = record["name"], record["size"], record["version"]
            if isinstance(name, str) and isinstance(version, str) and (size is None or type(size) is int):
                mark = _mark(name, size, version, record.get("not_recognised_by", ""))
                return mark, is_url(name) or record.get("host") == self._host
        return None, True


def _mark(name: str, size: int | None, version: str, sources: str) -> bytes:
    text = json.dumps([name, size, version, sources])
    return blake2b(text.encode(), digest_size=16).digest()
